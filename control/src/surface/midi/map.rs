//! A controller's map: which of its controls moves what, and how it is told.

use crate::value::Value;
use lacquer_graph::file::error::{At, Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::{self, Item, Value as Yaml};
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::{Param, Taper, Unit};

const CHANNEL: Param = Param::new(0, "channel", Unit::Count).range(1.0, 16.0).default(1.0);
const NUMBER: Param = Param::new(0, "", Unit::Count).range(0.0, 127.0);
const NUMBER_14: Param = Param::new(0, "cc14", Unit::Count).range(0.0, 31.0);
const NUMBER_NRPN: Param = Param::new(0, "nrpn", Unit::Count).range(0.0, 16_383.0);
const ACCELERATION: Param = Param::new(0, "acceleration", Unit::Plain).range(0.0, 16.0).default(4.0);

/// What a control sends; channels count from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// A control change of 7 bits.
    Cc(u8, u8),
    /// Two control changes, `n` and `n + 32`: 14 bits.
    Cc14(u8, u8),
    /// A non-registered parameter: 14 bits.
    Nrpn(u8, u16),
    /// Pitch bend: 14 bits.
    Bend(u8),
    /// A note.
    Note(u8, u8),
    /// Program changes.
    Program(u8),
}

/// How a relative encoder says which way and how far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// 1..63 up, 65..127 down: bit 6 is the sign. Mackie's.
    SignedBit,
    /// 65..127 up, 1..63 down.
    SignedBit2,
    /// 1..64 up, 127..65 down.
    TwosComplement,
    /// 65.. up, 63.. down, from 64.
    BinaryOffset,
}

/// What a control does with what it sends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Act {
    /// Its position is the value.
    Absolute,
    /// It goes up and down from wherever the value is; the faster, the farther.
    Relative(Encoding, f64),
    /// Each press turns it over.
    Toggle,
    /// On while it is held.
    Momentary,
    /// Each press does something.
    Trigger,
}

/// The words for [`Act`].
const ACTS: [&str; 8] = [
    "absolute",
    "toggle",
    "momentary",
    "trigger",
    "signed-bit",
    "signed-bit-2",
    "twos-complement",
    "binary-offset",
];

/// What a control moves.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its address, under `/node` or any other.
    pub address: String,
    /// The ends of its way, as they were written, in the unit of the value.
    pub range: Option<[String; 2]>,
    /// How the way between is spread, where it is not as the value itself says.
    pub taper: Option<Taper>,
    /// Whether up is down.
    pub is_inverted: bool,
    /// What is sent when it is pressed.
    pub send: Option<Value>,
}

/// How a control shows a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Show {
    /// By the message that it sends itself: motor faders, knobs with a display.
    Same,
    /// A ring of lights.
    Ring {
        /// Its control change.
        source: Source,
        /// How it counts.
        style: Ring,
    },
    /// A light.
    Light {
        /// Its note or control change.
        source: Source,
        /// The value for on.
        on: u8,
        /// The value for off.
        off: u8,
    },
}

/// How a ring of lights counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ring {
    /// 1 to 11 in the low bits, how it looks above them (Mackie Control).
    Mackie,
    /// 1 to 13, 0 is dark (X-Touch Mini).
    Thirteen,
    /// 0 to 127.
    Plain,
}

/// One line of a map.
#[derive(Clone, Debug, PartialEq)]
pub struct Control {
    /// What it sends.
    pub source: Source,
    /// What it does.
    pub act: Act,
    /// What it moves.
    pub targets: Vec<Target>,
    /// Whether it must meet the value before it moves it.
    pub has_pickup: bool,
    /// Whether a motor follows the value.
    pub has_motor: bool,
    /// What it sends when it is touched.
    pub touch: Option<Source>,
    /// How it shows the value.
    pub show: Option<Show>,
    /// Where it stands in the file.
    pub at: At,
}

/// The displays and meters of a Mackie Control.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mackie {
    /// The model in its system-exclusive messages.
    pub model: u8,
    /// The addresses whose names and values stand on the eight strips.
    pub strips: Vec<String>,
    /// The meters of the strips, in dB.
    pub meters: Vec<String>,
}

/// A map, as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// The controller's name.
    pub name: String,
    /// Patterns of its port's name.
    pub devices: Vec<String>,
    /// What is sent when it comes, each a whole message.
    pub init: Vec<Vec<u8>>,
    /// Its controls.
    pub controls: Vec<Control>,
    /// Its displays, if it has any.
    pub mackie: Option<Mackie>,
}

/// What a map says for all its controls.
struct Common {
    channel: u8,
    has_pickup: bool,
    has_motor: bool,
}

impl Map {
    /// Reads a map. What could be read is given even where there are mistakes.
    pub fn parse(bytes: &[u8]) -> (Option<Self>, Vec<Mistake>) {
        match yaml::parse(bytes) {
            Ok((root, mut mistakes)) if matches!(root.item, Item::Map(_)) => {
                let map = read(&root, &mut mistakes);
                (Some(map), mistakes)
            }
            Ok((root, mut mistakes)) => {
                mistakes.push(wrong_shape("a MIDI map", "a map with \"device\" and \"controls\"", &root));
                (None, mistakes)
            }
            Err(mistake) => (None, vec![mistake]),
        }
    }

    /// Whether it has a control of 14 bits on this channel and number (0 to 31).
    pub fn has_14(&self, channel: u8, number: u8) -> bool {
        self.controls.iter().any(|control| control.source == Source::Cc14(channel, number))
    }

    /// Whether it has any numbered parameter on this channel.
    pub fn has_nrpn(&self, channel: u8) -> bool {
        self.controls.iter().any(|control| matches!(control.source, Source::Nrpn(on, _) if on == channel))
    }
}

/// Whether a port, or the client before its colon, is called what `pattern` means: `*` any text, `?` any character,
/// upper and lower case alike.
pub fn fits(pattern: &str, port: &str) -> bool {
    let client = port.split(':').next().unwrap_or_default();
    matches(pattern, port) || matches(pattern, client)
}

/// Whether a pattern with `*` and `?` fits all of a name, in capitals or not.
pub fn matches(pattern: &str, name: &str) -> bool {
    let lower = |text: &str| text.to_lowercase().chars().collect::<Vec<char>>();
    let (pattern, name) = (lower(pattern), lower(name));
    // What a prefix of the pattern can stand for, one character of it after the other.
    let mut reached = vec![false; name.len() + 1];
    reached[0] = true;
    for sign in pattern {
        let before = reached.clone();
        let mut any = false;
        for at in 0..=name.len() {
            any |= before[at];
            reached[at] = match sign {
                '*' => any,
                sign => at > 0 && before[at - 1] && (sign == '?' || sign == name[at - 1]),
            };
        }
    }
    reached[name.len()]
}

fn read(root: &Yaml, mistakes: &mut Vec<Mistake>) -> Map {
    let mut fields = Fields::of(root, "a MIDI map", mistakes);
    let name = fields.text("name", mistakes).map_or_else(String::new, |(text, _)| text.to_owned());
    let devices = texts(fields.list("device").unwrap_or_default(), "device", mistakes);
    if devices.is_empty() {
        mistakes
            .push(Mistake::new(root.at, Problem::Missing { owner: "a MIDI map".to_owned(), key: "device" }));
    }
    let channel = fields.row(&CHANNEL, mistakes).unwrap_or(1.0) as u8 - 1;
    let has_motor = fields.switch("motor", mistakes).unwrap_or(false);
    let has_pickup = fields.switch("pickup", mistakes).unwrap_or(!has_motor);
    let common = Common { channel, has_pickup, has_motor };
    let init =
        fields.list("init").unwrap_or_default().iter().filter_map(|value| hex(value, mistakes)).collect();
    let controls = fields.list("controls").unwrap_or_default();
    let controls = controls.iter().filter_map(|value| control(value, &common, mistakes)).collect();
    let mackie = fields.take("mackie").map(|entry| {
        let mut fields = Fields::of(&entry.value, "mackie", mistakes);
        let model = fields.row(&Param { name: "model", ..NUMBER }, mistakes).unwrap_or(20.0) as u8;
        let strips = texts(fields.list("strips").unwrap_or_default(), "strips", mistakes);
        let meters = texts(fields.list("meters").unwrap_or_default(), "meters", mistakes);
        fields.finish(&["model", "strips", "meters"], mistakes);
        Mackie { model, strips, meters }
    });
    fields.finish(&["name", "device", "channel", "motor", "pickup", "init", "controls", "mackie"], mistakes);
    Map { name, devices, init, controls, mackie }
}

fn texts(values: &[Yaml], key: &'static str, mistakes: &mut Vec<Mistake>) -> Vec<String> {
    let mut texts = Vec::new();
    for value in values {
        match scalar(value) {
            Some(text) => texts.push(text.to_owned()),
            None => mistakes.push(wrong_shape(key, "a text", value)),
        }
    }
    texts
}

/// `F0 00 00 66 14 00 F7`: one message.
fn hex(value: &Yaml, mistakes: &mut Vec<Mistake>) -> Option<Vec<u8>> {
    let text = scalar(value).unwrap_or_default();
    let bytes: Option<Vec<u8>> =
        text.split_whitespace().map(|byte| u8::from_str_radix(byte, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.first().is_some_and(|first| *first >= 0x80));
    if bytes.is_none() {
        let allowed = "write the bytes of a message in hexadecimal, as in \"B0 7F 00\"".to_owned();
        let (owner, found) = ("a MIDI map".to_owned(), format!("\"{text}\""));
        mistakes.push(Mistake::new(value.at, Problem::Text { owner, key: "init", found, allowed }));
    }
    bytes
}

/// Takes `cc`, `note`, ... of a map of fields.
fn source(fields: &mut Fields<'_>, channel: u8, mistakes: &mut Vec<Mistake>) -> Option<Source> {
    let channel = fields.row(&CHANNEL, mistakes).map_or(channel, |channel| channel as u8 - 1);
    let number = |fields: &mut Fields<'_>, name, mistakes: &mut Vec<Mistake>| {
        fields.row(&Param { name, ..NUMBER }, mistakes).map(|number| number as u8)
    };
    if let Some(number) = number(fields, "cc", mistakes) {
        return Some(Source::Cc(channel, number));
    }
    if let Some(number) = number(fields, "note", mistakes) {
        return Some(Source::Note(channel, number));
    }
    if let Some(number) = fields.row(&NUMBER_14, mistakes) {
        return Some(Source::Cc14(channel, number as u8));
    }
    if let Some(number) = fields.row(&NUMBER_NRPN, mistakes) {
        return Some(Source::Nrpn(channel, number as u16));
    }
    if fields.switch("bend", mistakes) == Some(true) {
        return Some(Source::Bend(channel));
    }
    (fields.switch("program", mistakes) == Some(true)).then_some(Source::Program(channel))
}

fn control(value: &Yaml, common: &Common, mistakes: &mut Vec<Mistake>) -> Option<Control> {
    let mut fields = Fields::of(value, "a control", mistakes);
    let source = source(&mut fields, common.channel, mistakes);
    let acceleration = fields.row(&ACCELERATION, mistakes).unwrap_or(ACCELERATION.default);
    let act = fields.text("as", mistakes);
    let has_motor = fields.switch("motor", mistakes).unwrap_or(common.has_motor);
    let has_pickup = fields.switch("pickup", mistakes).unwrap_or(common.has_pickup && !has_motor);
    let part = |fields: &mut Fields<'_>, key: &'static str, mistakes: &mut Vec<Mistake>| {
        let entry = fields.take(key)?;
        let mut fields = Fields::of(&entry.value, key, mistakes);
        let found = self::source(&mut fields, common.channel, mistakes);
        fields.finish(&["channel", "cc", "note"], mistakes);
        found
    };
    let touch = part(&mut fields, "touch", mistakes);
    let send = fields.text("send", mistakes).map(|(text, _)| crate::surface::client::parse_value(text));
    let targets = match fields.take("to") {
        Some(entry) => match &entry.value.item {
            Item::List(list) => {
                list.iter().filter_map(|value| target(value, send.as_ref(), mistakes)).collect()
            }
            _ => target(&entry.value, send.as_ref(), mistakes).into_iter().collect(),
        },
        None => Vec::new(),
    };
    let shown = show(&mut fields, source, common, mistakes);
    let found = "cc, cc14, nrpn, bend, note or program";
    fields.finish(
        &[
            "channel",
            "cc",
            "cc14",
            "nrpn",
            "bend",
            "note",
            "program",
            "to",
            "send",
            "as",
            "acceleration",
            "pickup",
            "motor",
            "touch",
            "ring",
            "light",
            "display",
        ],
        mistakes,
    );
    let Some(source) = source else {
        let text = format!("a control needs what it sends: {found}");
        mistakes.push(Mistake::new(value.at, Problem::Other(text)));
        return None;
    };
    let is_button = matches!(source, Source::Note(..) | Source::Program(_));
    let act = match act {
        None if is_button => Act::Trigger,
        None => Act::Absolute,
        Some((word, at)) => match ACTS.iter().position(|known| *known == word) {
            Some(0) => Act::Absolute,
            Some(1) => Act::Toggle,
            Some(2) => Act::Momentary,
            Some(3) => Act::Trigger,
            Some(4) => Act::Relative(Encoding::SignedBit, acceleration),
            Some(5) => Act::Relative(Encoding::SignedBit2, acceleration),
            Some(6) => Act::Relative(Encoding::TwosComplement, acceleration),
            Some(_) => Act::Relative(Encoding::BinaryOffset, acceleration),
            None => {
                let hint = Hint::nearest(word, ACTS);
                let allowed = format!("there are {}", ACTS.join(", "));
                let (owner, found) = ("a control".to_owned(), format!("\"{word}\"{hint}"));
                mistakes.push(Mistake::new(at, Problem::Text { owner, key: "as", found, allowed }));
                Act::Absolute
            }
        },
    };
    let show = shown.or((has_motor && act == Act::Absolute).then_some(Show::Same));
    let has_pickup = has_pickup && act == Act::Absolute;
    Some(Control { source, act, targets, has_pickup, has_motor, touch, show, at: value.at })
}

fn target(value: &Yaml, send: Option<&Value>, mistakes: &mut Vec<Mistake>) -> Option<Target> {
    let plain = |address: &str| Target {
        address: address.to_owned(),
        range: None,
        taper: None,
        is_inverted: false,
        send: send.cloned(),
    };
    let target = match scalar(value) {
        Some(address) => plain(address),
        None => {
            let mut fields = Fields::of(value, "to", mistakes);
            let address = fields.text("address", mistakes).map_or("", |(text, _)| text);
            let mut target = plain(address);
            if let Some(entry) = fields.take("range") {
                let ends = match &entry.value.item {
                    Item::List(ends) => texts(ends, "range", mistakes),
                    _ => Vec::new(),
                };
                match <[String; 2]>::try_from(ends) {
                    Ok(ends) => target.range = Some(ends),
                    Err(_) => {
                        mistakes.push(wrong_shape("range", "two ends, as in [-12 dB, 3 dB]", &entry.value))
                    }
                }
            }
            const TAPERS: [&str; 2] = ["linear", "log"];
            let taper = fields.row(&Param::new(0, "taper", Unit::Choice(&TAPERS)), mistakes);
            target.taper = taper.map(|taper| if taper == 0.0 { Taper::Linear } else { Taper::Log });
            target.is_inverted = fields.switch("invert", mistakes).unwrap_or(false);
            fields.finish(&["address", "range", "taper", "invert"], mistakes);
            target
        }
    };
    if !target.address.starts_with('/') {
        mistakes.push(wrong_shape("to", "an address, as in /node/ceiling/ceiling", value));
        return None;
    }
    Some(target)
}

fn show(
    fields: &mut Fields<'_>,
    source: Option<Source>,
    common: &Common,
    mistakes: &mut Vec<Mistake>,
) -> Option<Show> {
    const STYLES: [&str; 3] = ["mackie", "thirteen", "plain"];
    if let Some(entry) = fields.take("ring") {
        let mut fields = Fields::of(&entry.value, "ring", mistakes);
        let style = fields.row(&Param::new(0, "style", Unit::Choice(&STYLES)), mistakes).unwrap_or(0.0);
        let found = self::source(&mut fields, common.channel, mistakes);
        fields.finish(&["channel", "cc", "style"], mistakes);
        let style = [Ring::Mackie, Ring::Thirteen, Ring::Plain][style as usize];
        return found.map(|source| Show::Ring { source, style });
    }
    if let Some(entry) = fields.take("light") {
        if scalar(&entry.value) == Some("true") {
            return source.map(|source| Show::Light { source, on: 127, off: 0 });
        }
        let mut fields = Fields::of(&entry.value, "light", mistakes);
        let level = |fields: &mut Fields<'_>, name, mistakes: &mut Vec<Mistake>| {
            fields.row(&Param { name, ..NUMBER }, mistakes).map(|level| level as u8)
        };
        let on = level(&mut fields, "on", mistakes).unwrap_or(127);
        let off = level(&mut fields, "off", mistakes).unwrap_or(0);
        let found = self::source(&mut fields, common.channel, mistakes).or(source);
        fields.finish(&["channel", "cc", "note", "on", "off"], mistakes);
        return found.map(|source| Show::Light { source, on, off });
    }
    (fields.switch("display", mistakes) == Some(true)).then_some(Show::Same)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_ports_fit_patterns() {
        assert!(fits("*nanokontrol2*", "nanoKONTROL2:nanoKONTROL2 _ CTRL 24:0"));
        assert!(fits("X-Touch ?ini", "x-touch mini") && !fits("X-Touch", "X-Touch Mini"));
        assert!(fits("box", "box:MIDI 1") && !fits("box", "boxes:MIDI 1"));
        assert!(fits("*", "") && fits("a*b*c", "axxbyyc") && !fits("a*b*c", "axxbyy"));
    }

    #[test]
    fn mistakes_have_their_places() {
        let text = "name: x\ndevice: y\ncontrols:\n  - {cc: 200, to: /node/a/b}\n  - {to: /undo}\n  - {note: 1, to: undo, as: togle}\n";
        let (map, mistakes) = Map::parse(text.as_bytes());
        assert!(map.is_some_and(|map| map.controls.len() == 1));
        let told: Vec<(usize, String)> = mistakes
            .iter()
            .map(|mistake| (mistake.at.map_or(0, |at| at.line), mistake.problem.to_string()))
            .collect();
        assert!(told.iter().any(|(line, text)| *line == 4 && text.contains("0 to 127")), "{told:?}");
        assert!(told.iter().any(|(line, text)| *line == 5 && text.contains("what it sends")), "{told:?}");
        assert!(
            told.iter().any(|(line, text)| *line == 6 && text.contains("did you mean \"toggle\"")),
            "{told:?}"
        );
    }
}
