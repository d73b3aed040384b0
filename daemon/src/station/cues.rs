//! The cue list: chains and scenes to run one after the other, manually or at a time of day.

use lacquer_control::desk::cues::Cue;
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
    pattern: r"^0*([0-9]|1[0-9]|2[0-3])(:0*([0-9]|[1-5][0-9])){1,2}$",
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
    // The standard library takes a plus as well.
    let is_digits = |part: &&str| part.bytes().all(|digit| digit.is_ascii_digit());
    let number = |part: &str| Some(part).filter(is_digits).and_then(|part| part.parse().ok());
    let parts: Vec<u32> = text.split(':').map(number).collect::<Option<_>>()?;
    match parts[..] {
        [h @ 0..24, m @ 0..60] => Some(h * 3_600 + m * 60),
        [h @ 0..24, m @ 0..60, s @ 0..60] => Some(h * 3_600 + m * 60 + s),
        _ => None,
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
    fn a_time_is_written_in_digits_alone() {
        assert_eq!((seconds("8:05"), seconds("23:59:59")), (Some(29_100), Some(86_399)));
        for bad in ["+8:05", "8:+5", "8", "8:60", "24:00", "8:05:", "8:-5", "1:2:3:4", ""] {
            assert_eq!(seconds(bad), None, "{bad}");
        }
    }

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
}
