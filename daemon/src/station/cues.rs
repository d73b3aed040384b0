//! The cue list: chains and scenes to run one after the other, manually or at a time of day.

use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::wrong_shape;
use lacquer_graph::file::table::{Holds, Key, List, Rule, Section, Text};
use lacquer_graph::file::values::Values;
use lacquer_graph::file::yaml::{self, Item};
use lacquer_graph::param::{Param, Unit};

const MORPH: Param =
    Param::new(0, "morph", Unit::Ms).range(0.0, 3_600_000.0).help("Duration of the morph to the scene.");
const TIME: Text = Text {
    words: &[],
    fits: |text| seconds(text).is_some(),
    pattern: r"^\+?0*([0-9]|1[0-9]|2[0-3])(:\+?0*([0-9]|[1-5][0-9])){1,2}$",
    allowed: "write a time of day, as in \"18:00\" or \"18:00:30\"",
    example: "18:00",
};

static CUE: Section = Section::new(
    "cue",
    &[
        Key::new("name", Holds::Text(Text::ANY), "The name of the cue; default: its number."),
        Key::new("chain", Holds::Text(Text::ANY), "The chain to swap to."),
        Key::new("scene", Holds::Text(Text::ANY), "The scene to recall."),
        Key::row(MORPH),
        Key::new("at", Holds::Text(TIME), "Local time at which the cue runs every day, as in \"18:00\"."),
    ],
)
.rules(&[Rule {
    keys: &["chain", "scene"],
    least: 1,
    most: 2,
    why: "has no effect; give it a chain, a scene, or both",
}])
.counted();

/// The table of a cue list.
pub static SECTION: Section = Section::new(
    "a cue list",
    &[Key::new(
        "cues",
        Holds::List(List::of(&Holds::Section(&CUE), "a list of cues")),
        "The cues, in order.",
    )],
);

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

/// Parses a cue list. Valid cues are returned even if there are mistakes.
pub fn parse(bytes: &[u8]) -> (Vec<Cue>, Vec<Mistake>) {
    let (root, mut mistakes) = match yaml::parse(bytes) {
        Ok(read) => read,
        Err(mistake) => return (Vec::new(), vec![mistake]),
    };
    if !matches!(root.item, Item::Map(_)) {
        mistakes.push(wrong_shape("a cue list", "a map with \"cues\"", &root));
        return (Vec::new(), mistakes);
    }
    let values = Values::read(&SECTION, &root, &mut mistakes);
    let mut cues: Vec<Cue> = Vec::new();
    for (at, held) in values.items("cues").iter().enumerate() {
        let Some(cue) = held.section().map(|values| read(at, values)) else { continue };
        if cues.iter().any(|other| other.name == cue.name) {
            let text = format!("another cue is named \"{}\" already", cue.name);
            mistakes.push(Mistake::new(held.at, Problem::Other(text)));
        }
        cues.push(cue);
    }
    (cues, mistakes)
}

fn read(at: usize, values: &Values<'_>) -> Cue {
    let text = |key| values.text(key).map(str::to_owned);
    Cue {
        name: text("name").unwrap_or_else(|| format!("{}", at + 1)),
        chain: text("chain"),
        scene: text("scene"),
        morph_ms: values.number("morph"),
        at: values.text("at").and_then(seconds),
    }
}

/// `18:00` or `18:00:30` in seconds since midnight.
fn seconds(text: &str) -> Option<u32> {
    let parts: Vec<u32> = text.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    match parts[..] {
        [h @ 0..24, m @ 0..60] => Some(h * 3_600 + m * 60),
        [h @ 0..24, m @ 0..60, s @ 0..60] => Some(h * 3_600 + m * 60 + s),
        _ => None,
    }
}

/// Seconds of a day.
const DAY: i64 = 86_400;
/// A cue runs up to this many seconds late, if the clock was set or the machine was suspended.
const MAX_LATE: i64 = 60;

/// If the clock is set back by at most this many seconds, no cue runs until the old time is reached again.
const MAX_SET_BACK: i64 = 7_200;

/// The local time of day, checked periodically.
#[derive(Clone, Copy, Debug, Default)]
pub struct CueClock {
    before: Option<i64>,
}

impl CueClock {
    /// The cues that became due since the last check, in order. `now` is the local time in seconds since some midnight.
    /// Cues more than a minute late are skipped, and no cue is returned twice.
    pub fn take_due<'a>(&mut self, cues: &'a [Cue], now: i64) -> Vec<&'a Cue> {
        let before = self.before.unwrap_or(now);
        if (now..=now + MAX_SET_BACK).contains(&before) && self.before.is_some() {
            return Vec::new();
        }
        self.before = Some(now);
        // How long ago the time of a cue was, today or yesterday.
        let ago = |cue: &Cue| cue.at.map(|at| (now - i64::from(at)).rem_euclid(DAY));
        let is_due = |cue: &&Cue| ago(cue).is_some_and(|ago| ago < MAX_LATE.min(now - before));
        let mut due: Vec<&Cue> = cues.iter().filter(is_due).collect();
        due.sort_by_key(|cue| std::cmp::Reverse(ago(cue)));
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str = "
cues:
  - {name: opening, chain: streaming, scene: soft, morph: 2 s}
  - {chain: night, at: \"23:59:59\"}
  - {name: early, scene: loud, at: \"00:00\"}
";

    #[test]
    fn a_cue_list_is_read_with_all_its_mistakes() {
        let (cues, mistakes) = parse(LIST.as_bytes());
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert_eq!((cues[0].morph_ms, cues[1].name.as_str(), cues[1].at), (2_000.0, "2", Some(86_399)));
        let bad = "cues:\n  - {name: a, at: \"24:00\", chain: x}\n  - {name: a, chian: x}\n";
        let texts: Vec<String> =
            parse(bad.as_bytes()).1.iter().map(|mistake| mistake.problem.to_string()).collect();
        assert_eq!(texts.len(), 4, "{texts:?}");
        assert!(texts[0].contains("18:00") && texts.iter().any(|text| text.contains("\"chain\"")));
    }

    #[test]
    fn cues_run_once_over_midnight_and_when_the_clock_is_set() {
        let (cues, _) = parse(LIST.as_bytes());
        let mut clock = CueClock::default();
        let mut names = |now: i64| -> Vec<String> {
            clock.take_due(&cues, now).iter().map(|cue| cue.name.clone()).collect()
        };
        assert!(names(86_390).is_empty());
        assert_eq!(names(86_399), ["2"]);
        assert!(names(86_399).is_empty());
        assert!(names(86_395).is_empty(), "set back by some seconds");
        assert!(names(86_399).is_empty(), "not a second time");
        let day = 86_400;
        assert_eq!(names(day + 2), ["early"]);
        assert!(names(3 * day - 2_400).is_empty(), "suspended for two days");
        assert_eq!(names(3 * day), ["2", "early"], "in their order, and as late as this is not too late");
        assert!(names(10).is_empty(), "set back by days: starts again from there");
        assert_eq!(names(day), ["2", "early"]);
    }
}
