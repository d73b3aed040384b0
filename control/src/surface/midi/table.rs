//! The tables of a MIDI map: its keys, those of a control, and of what a control moves and shows.

use crate::surface::midi::act::WORDS;
use lacquer_graph::file::table::{Holds, Key, List, Rule, Section, Text};
use lacquer_graph::param::{Param, Unit};

const CHANNEL: Param =
    Param::new(0, "channel", Unit::Count).range(1.0, 16.0).default(1.0).help("The channel.");
const CC: Param = Param::new(0, "cc", Unit::Count).range(0.0, 127.0).help("The number of a control change.");
const NOTE: Param = Param::new(0, "note", Unit::Count).range(0.0, 127.0).help("The number of a note.");
const CC_14: Param = Param::new(0, "cc14", Unit::Count)
    .range(0.0, 31.0)
    .help("The number of a control change of 14 bits: n for the coarse half, n + 32 for the fine one.");
const NRPN: Param = Param::new(0, "nrpn", Unit::Count)
    .range(0.0, 16_383.0)
    .help("The number of a non-registered parameter (14 bits).");
const BEND: Param = Param::new(0, "bend", Unit::Switch).help("true: pitch bend (14 bits).");
const PROGRAM: Param = Param::new(0, "program", Unit::Switch).help("true: program changes.");
const ACCELERATION: Param = Param::new(0, "acceleration", Unit::Plain)
    .range(0.0, 16.0)
    .default(4.0)
    .help("How much farther a relative encoder goes where it is turned fast.");
const MOTOR: Param = Param::new(0, "motor", Unit::Switch).help("Whether a motor follows the value.");
const PICKUP: Param = Param::new(0, "pickup", Unit::Switch)
    .help("Whether a control must meet the value before it moves it; else true where there is no motor.");
const DISPLAY: Param = Param::new(0, "display", Unit::Switch)
    .help("Whether the value is shown by the message that the control sends itself.");
const TAPER: Param = Param::new(0, "taper", Unit::Choice(&["linear", "log"]))
    .help("How the way between the ends is spread; else as the value itself says.");
const INVERT: Param = Param::new(0, "invert", Unit::Switch).help("Whether up is down.");
const STYLE: Param = Param::new(0, "style", Unit::Choice(&["mackie", "thirteen", "plain"])).help(
    "How the ring counts: 1 to 11 and how it looks (Mackie Control), 1 to 13 (X-Touch Mini), or 0 to 127.",
);
const LIT: Param = Param::new(0, "light", Unit::Switch);
const ON: Param = Param::new(0, "on", Unit::Count).range(0.0, 127.0).default(127.0).help("The value for on.");
const OFF: Param = Param::new(0, "off", Unit::Count).range(0.0, 127.0).help("The value for off.");
const MODEL: Param = Param::new(0, "model", Unit::Count)
    .range(0.0, 127.0)
    .default(20.0)
    .help("The model in its system-exclusive messages.");

const ACT: Text = Text::one_of(&WORDS, "");
const ADDRESS: Text = Text {
    words: &[],
    fits: |text| text.starts_with('/'),
    pattern: "^/",
    allowed: "write an address, as in /node/ceiling/ceiling",
    example: "/node/ceiling/ceiling",
};
const MESSAGE: Text = Text {
    words: &[],
    fits: |text| bytes(text).is_some(),
    pattern: r"^\s*0*[89A-Fa-f][0-9A-Fa-f](\s+0*[0-9A-Fa-f]{1,2})*\s*$",
    allowed: "write the bytes of a message in hexadecimal, as in \"B0 7F 00\"",
    example: "B0 7F 00",
};

/// The bytes of a message that is written in hexadecimal: `F0 00 00 66 14 00 F7`.
pub fn bytes(text: &str) -> Option<Vec<u8>> {
    // The standard library takes a plus as well.
    let is_digits = |byte: &&str| byte.bytes().all(|digit| digit.is_ascii_hexdigit());
    let byte = |byte: &str| Some(byte).filter(is_digits).and_then(|byte| u8::from_str_radix(byte, 16).ok());
    let bytes = text.split_whitespace().map(byte);
    bytes.collect::<Option<Vec<_>>>().filter(|bytes| bytes.first().is_some_and(|first| *first >= 0x80))
}

const TEXTS: List = List::of(&Holds::Text(Text::ANY), "a list of texts");
const ADDRESSES: Holds = Holds::List(List::of(&Holds::Text(Text::ANY), "a list of addresses"));

static TOUCH: Section =
    Section::new("touch", &[Key::row(CHANNEL).open(), Key::row(CC).open(), Key::row(NOTE).open()])
        .rules(&[Rule { keys: &["cc", "note"], least: 0, most: 1, why: "" }]);

static RING: Section =
    Section::new("ring", &[Key::row(CHANNEL).open(), Key::row(CC).open(), Key::row(STYLE)]);

static LIGHT: Section = Section::new(
    "light",
    &[Key::row(CHANNEL).open(), Key::row(CC).open(), Key::row(NOTE).open(), Key::row(ON), Key::row(OFF)],
)
.rules(&[Rule { keys: &["cc", "note"], least: 0, most: 1, why: "" }]);

static TARGET: Section = Section::new(
    "to",
    &[
        Key::new("address", Holds::Text(ADDRESS), "Its address, as OSC has it.").needed(),
        Key::new(
            "range",
            Holds::List(List::of(&Holds::Text(Text::ANY), "two ends, as in [-12 dB, 3 dB]").count(2, 2)),
            "The ends of the control's way, in the unit of the value; else the whole range.",
        ),
        Key::row(TAPER).open(),
        Key::row(INVERT),
    ],
);

static CONTROL: Section = Section::new(
    "a control",
    &[
        Key::row(CHANNEL).open(),
        Key::row(CC).open(),
        Key::row(CC_14).open(),
        Key::row(NRPN).open(),
        Key::row(BEND),
        Key::row(NOTE).open(),
        Key::row(PROGRAM),
        Key::new(
            "to",
            Holds::List(List::of(
                &Holds::Any(
                    &[Holds::Text(ADDRESS), Holds::Section(&TARGET)],
                    "an address, as in /node/ceiling/ceiling, or a map with \"address\"",
                ),
                "addresses",
            )),
            "What it moves: an address, or several.",
        ),
        Key::new("send", Holds::Text(Text::ANY), "What is sent when it is pressed."),
        Key::new(
            "as",
            Holds::Text(ACT),
            "What it does; else absolute, and trigger where it is a note or a program change.",
        ),
        Key::row(ACCELERATION),
        Key::row(PICKUP).open(),
        Key::row(MOTOR).open(),
        Key::new("touch", Holds::Section(&TOUCH), "What it sends when it is touched."),
        Key::new("ring", Holds::Section(&RING), "Its ring of lights."),
        Key::new(
            "light",
            Holds::Any(&[Holds::Row(LIT), Holds::Section(&LIGHT)], "true, or a map"),
            "Its light; true where the light has the control's own number.",
        ),
        Key::row(DISPLAY),
    ],
)
.rules(&[
    Rule { keys: &["cc", "cc14", "nrpn", "bend", "note", "program"], least: 1, most: 1, why: NOTHING_SENT },
    Rule { keys: &["ring", "light", "display"], least: 0, most: 1, why: "" },
]);

/// What is wrong with a control that sends nothing.
pub(crate) const NOTHING_SENT: &str = "needs what it sends: cc, cc14, nrpn, bend, note or program";

static MACKIE: Section = Section::new(
    "mackie",
    &[
        Key::row(MODEL),
        Key::new("strips", ADDRESSES, "The addresses whose names and values stand on the eight strips."),
        Key::new("meters", ADDRESSES, "The addresses of the strips' meters, in dB."),
    ],
);

/// The table of a map.
pub static SECTION: Section = Section::new(
    "a MIDI map",
    &[
        Key::new("name", Holds::Text(Text::ANY), "The controller's name."),
        Key::new(
            "device",
            Holds::List(TEXTS.count(1, usize::MAX)),
            "Patterns of its port's name: * any text, ? any character.",
        )
        .needed(),
        Key::row(CHANNEL),
        Key::row(MOTOR),
        Key::row(PICKUP).open(),
        Key::new(
            "init",
            Holds::List(List::of(&Holds::Text(MESSAGE), "a list of messages")),
            "What is sent when it comes, each a whole message in hexadecimal.",
        ),
        Key::new(
            "controls",
            Holds::List(List::of(&Holds::Section(&CONTROL), "a list of controls")),
            "Its controls.",
        ),
        Key::new("mackie", Holds::Section(&MACKIE), "The displays and meters of a Mackie Control."),
    ],
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_written_in_hexadecimal_digits_alone() {
        assert_eq!(bytes(" F0 0 7f\tF7 "), Some(vec![0xF0, 0, 0x7F, 0xF7]));
        for bad in ["", "+B0 7F 00", "B0 +7F 00", "B0 -1", "7F 00", "B0 100", "0xB0", "B0,7F"] {
            assert_eq!(bytes(bad), None, "{bad}");
        }
    }
}
