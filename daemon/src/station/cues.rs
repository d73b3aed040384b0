//! The cue list: what is to be on air one after the other, by hand or by the clock.

use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::{self, Item, Value};
use lacquer_graph::param::{Param, Unit};

const MORPH: Param =
    Param::new(0, "morph", Unit::Ms).range(0.0, 3_600_000.0).help("How long the values glide to the scene.");

/// The rows of a cue.
pub const ROWS: [Param; 1] = [MORPH];

/// One cue.
#[derive(Clone, Debug, PartialEq)]
pub struct Cue {
    /// Its name.
    pub name: String,
    /// The chain to swap to.
    pub chain: Option<String>,
    /// The scene to recall.
    pub scene: Option<String>,
    /// How long values glide, in ms.
    pub morph_ms: f64,
    /// When it is done every day, in seconds since midnight by the clock on the wall.
    pub at: Option<u32>,
}

/// Reads a cue list. What could be read is given even where there are mistakes.
pub fn parse(bytes: &[u8]) -> (Vec<Cue>, Vec<Mistake>) {
    let (root, mut mistakes) = match yaml::parse(bytes) {
        Ok(read) => read,
        Err(mistake) => return (Vec::new(), vec![mistake]),
    };
    if !matches!(root.item, Item::Map(_)) {
        mistakes.push(wrong_shape("a cue list", "a map with \"cues\"", &root));
        return (Vec::new(), mistakes);
    }
    let mut fields = Fields::of(&root, "a cue list", &mut mistakes);
    let list = fields.list("cues").unwrap_or_default();
    fields.finish(&["cues"], &mut mistakes);
    let mut cues: Vec<Cue> = Vec::new();
    for (at, value) in list.iter().enumerate() {
        let cue = read(at, value, &mut mistakes);
        if cues.iter().any(|other| other.name == cue.name) {
            let text = format!("there is a cue \"{}\" already", cue.name);
            mistakes.push(Mistake::new(value.at, Problem::Other(text)));
        }
        cues.push(cue);
    }
    (cues, mistakes)
}

fn read(at: usize, value: &Value, mistakes: &mut Vec<Mistake>) -> Cue {
    let mut fields = Fields::of(value, format!("cue {}", at + 1), mistakes);
    let text = |fields: &mut Fields<'_>, key, mistakes: &mut Vec<Mistake>| {
        fields.text(key, mistakes).map(|(text, _)| text.to_owned())
    };
    let name = text(&mut fields, "name", mistakes).unwrap_or_else(|| format!("{}", at + 1));
    let (chain, scene) = (text(&mut fields, "chain", mistakes), text(&mut fields, "scene", mistakes));
    let morph_ms = fields.row(&MORPH, mistakes).unwrap_or(0.0);
    let time = fields.take("at").and_then(|entry| {
        let found = scalar(&entry.value).unwrap_or_default();
        let time = seconds(found);
        if time.is_none() {
            let allowed = "write a time of day, as in \"18:00\" or \"18:00:30\"".to_owned();
            let (owner, found) = (fields.owner.clone(), format!("\"{found}\""));
            mistakes.push(Mistake::new(entry.value.at, Problem::Text { owner, key: "at", found, allowed }));
        }
        time
    });
    if chain.is_none() && scene.is_none() {
        let text = format!("cue \"{name}\" does nothing; give it a chain, a scene, or both");
        mistakes.push(Mistake::new(value.at, Problem::Other(text)));
    }
    fields.finish(&["name", "chain", "scene", "morph", "at"], mistakes);
    Cue { name, chain, scene, morph_ms, at: time }
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
/// How late a cue may still be done: the clock may have been set, the machine asleep.
const LATE: i64 = 60;

/// A clock that is set back by no more than this waits until it is where it was; farther back it begins anew.
const SET_BACK: i64 = 7_200;

/// The clock on the wall, looked at from time to time.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch {
    before: Option<i64>,
}

impl Watch {
    /// The cues whose time has come since the last look, in their order; `now` is the clock on the wall in seconds since
    /// some midnight. What it has jumped over by more than a minute is left out, and nothing is done twice.
    pub fn come<'a>(&mut self, cues: &'a [Cue], now: i64) -> Vec<&'a Cue> {
        let before = self.before.unwrap_or(now);
        if (now..=now + SET_BACK).contains(&before) && self.before.is_some() {
            return Vec::new();
        }
        self.before = Some(now);
        // How long ago the time of a cue was, today or yesterday.
        let ago = |cue: &Cue| cue.at.map(|at| (now - i64::from(at)).rem_euclid(DAY));
        let has_come = |cue: &&Cue| ago(cue).is_some_and(|ago| ago < LATE.min(now - before));
        let mut come: Vec<&Cue> = cues.iter().filter(has_come).collect();
        come.sort_by_key(|cue| std::cmp::Reverse(ago(cue)));
        come
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
    fn cues_come_once_over_midnight_and_over_a_clock_that_is_set() {
        let (cues, _) = parse(LIST.as_bytes());
        let mut watch = Watch::default();
        let mut names =
            |now: i64| -> Vec<String> { watch.come(&cues, now).iter().map(|cue| cue.name.clone()).collect() };
        assert!(names(86_390).is_empty());
        assert_eq!(names(86_399), ["2"]);
        assert!(names(86_399).is_empty());
        assert!(names(86_395).is_empty(), "set back by some seconds");
        assert!(names(86_399).is_empty(), "not a second time");
        let day = 86_400;
        assert_eq!(names(day + 2), ["early"]);
        assert!(names(3 * day - 2_400).is_empty(), "asleep for two days");
        assert_eq!(names(3 * day), ["2", "early"], "in their order, and as late as this is not too late");
        assert!(names(10).is_empty(), "set back by days: it begins anew");
        assert_eq!(names(day), ["2", "early"]);
    }
}
