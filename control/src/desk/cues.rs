//! The cue list: chains and scenes to run one after the other, manually or at a time of day.

/// One cue.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// Its name.
    pub name: String,
    /// The chain to swap to.
    pub chain: Option<String>,
    /// The scene to recall.
    pub scene: Option<String>,
    /// Duration of the morph, in ms.
    pub morph_ms: f64,
    /// Local time at which it runs every day, in seconds since midnight.
    pub at: Option<u32>,
}

/// Seconds of a day.
const DAY: i64 = 86_400;
/// A cue runs up to this many seconds late, if the clock was set or the machine was suspended.
const MAX_LATE: i64 = 60;
/// If the clock is set back by at most this many seconds, no cue runs until the old time is reached again.
const MAX_SET_BACK: i64 = 7_200;

/// The cue list and its position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cues {
    list: Vec<Cue>,
    /// Index of the next cue.
    next: usize,
    /// Local time of the last check, in seconds since some midnight, and its offset from UTC.
    checked: Option<(i64, i32)>,
}

impl Cues {
    /// A list at its first cue.
    pub fn new(list: Vec<Cue>) -> Self {
        Self { list, ..Self::default() }
    }

    /// Replaces the list after a reload; the next cue stays the one of the same name.
    pub fn reread(&mut self, list: Vec<Cue>) {
        let name = self.list.get(self.next).map(|cue| cue.name.clone());
        self.next = list.iter().position(|cue| Some(&cue.name) == name.as_ref()).unwrap_or(0);
        self.list = list;
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The names of all cues.
    pub fn names(&self) -> Vec<&str> {
        self.list.iter().map(|cue| cue.name.as_str()).collect()
    }

    /// The next cue.
    pub fn next(&self) -> Option<&Cue> {
        self.list.get(self.next)
    }

    /// Selects the cue behind the next one (1), or before it (-1), round the list.
    pub fn advance(&mut self, by: isize) {
        let count = self.list.len() as isize;
        if count > 0 {
            self.next = (self.next as isize + by).rem_euclid(count) as usize;
        }
    }

    /// The next cue; the one behind it is the next then.
    pub(crate) fn take_next(&mut self) -> Option<Cue> {
        let cue = self.next().cloned();
        self.advance(1);
        cue
    }

    /// The cue of this name; the one behind it is the next then.
    pub fn take(&mut self, name: &str) -> Option<Cue> {
        self.next = self.list.iter().position(|cue| cue.name == name)?;
        self.take_next()
    }

    /// Whether a cue runs by the clock.
    pub(crate) fn has_times(&self) -> bool {
        self.list.iter().any(|cue| cue.at.is_some())
    }

    /// The names of the cues that became due since the last check, in order, each with how many seconds late it is. `now`
    /// is the local time in seconds since some midnight, `offset` its offset from UTC in seconds. Cues more than a minute
    /// late are skipped, and none is returned twice. The cues of an hour that is left out (summer time begins) run at its
    /// end, those of an hour that is repeated only once.
    pub fn due(&mut self, now: i64, offset: i32) -> Vec<(String, i64)> {
        let (before, old_offset) = self.checked.unwrap_or((now, offset));
        if (now..=now + MAX_SET_BACK).contains(&before) && self.checked.is_some() {
            return Vec::new();
        }
        self.checked = Some((now, offset));
        let most = MAX_LATE + i64::from((offset - old_offset).max(0));
        // How long ago the time of a cue was, today or yesterday.
        let ago = |cue: &Cue| cue.at.map(|at| (now - i64::from(at)).rem_euclid(DAY));
        let due = |cue: &Cue| {
            let ago = ago(cue).filter(|ago| *ago < most.min(now - before))?;
            Some((cue.name.clone(), ago))
        };
        let mut due: Vec<_> = self.list.iter().filter_map(due).collect();
        due.sort_by_key(|(_, ago)| std::cmp::Reverse(*ago));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cue(name: &str, at: Option<u32>) -> Cue {
        Cue { name: name.to_owned(), chain: None, scene: None, morph_ms: 0.0, at }
    }

    #[test]
    fn cues_run_once_over_midnight_and_when_the_clock_is_set() {
        let mut cues =
            Cues::new(vec![cue("opening", None), cue("night", Some(86_399)), cue("early", Some(0))]);
        let mut names =
            |now: i64| -> Vec<String> { cues.due(now, 0).into_iter().map(|(name, _)| name).collect() };
        assert!(names(86_390).is_empty());
        assert_eq!(names(86_399), ["night"]);
        assert!(names(86_399).is_empty());
        assert!(names(86_395).is_empty(), "set back by some seconds");
        assert!(names(86_399).is_empty(), "not a second time");
        assert_eq!(names(DAY + 2), ["early"]);
        assert!(names(3 * DAY - 2_400).is_empty(), "suspended for two days");
        assert_eq!(names(3 * DAY), ["night", "early"], "in their order, and as late as this is not too late");
        assert!(names(10).is_empty(), "set back by days: starts again from there");
        assert_eq!(names(DAY), ["night", "early"]);
    }

    /// A cue at 02:30 runs exactly once on the days on which the clock changes: each second from 00:00 UTC on, in a
    /// zone that is one hour ahead, two in summer.
    #[test]
    fn a_cue_in_the_hour_that_is_repeated_or_left_out_runs_once() {
        let runs = |offset: &dyn Fn(i64) -> i32| {
            let mut cues = Cues::new(vec![cue("half past two", Some(9_000)), cue("noon", Some(43_200))]);
            let mut due_at = |utc: i64| cues.due(utc + i64::from(offset(utc)), offset(utc));
            let due: Vec<_> = (-DAY / 2..DAY / 2).flat_map(&mut due_at).collect();
            due.iter().filter(|(name, _)| name == "half past two").count()
        };
        assert_eq!(runs(&|_| 3_600), 1, "on an ordinary day");
        // At 01:00 UTC the local time goes from 03:00 back to 02:00.
        assert_eq!(runs(&|utc| if utc < 3_600 { 7_200 } else { 3_600 }), 1, "in autumn");
        // At 01:00 UTC it goes from 02:00 on to 03:00.
        assert_eq!(runs(&|utc| if utc < 3_600 { 3_600 } else { 7_200 }), 1, "in spring");
    }

    #[test]
    fn the_list_goes_round_and_keeps_its_place_over_a_reload() {
        let mut cues = Cues::new(["a", "b", "c"].map(|name| cue(name, None)).to_vec());
        assert_eq!(cues.take_next().map(|cue| cue.name).as_deref(), Some("a"));
        cues.advance(-1);
        cues.advance(-1);
        assert_eq!(cues.next().map(|cue| cue.name.as_str()), Some("c"));
        cues.reread(["c", "d"].map(|name| cue(name, None)).to_vec());
        assert_eq!(cues.next().map(|cue| cue.name.as_str()), Some("c"));
        assert!(cues.take("a").is_none() && cues.take("c").is_some());
        assert_eq!(cues.next().map(|cue| cue.name.as_str()), Some("d"));
    }
}
