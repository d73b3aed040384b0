//! A map of a MIDI controller: which parameter each control changes, and what the control shows.

use crate::surface::client::parse_value;
use crate::surface::midi::act::Act;
use crate::surface::midi::table::{self, NOTHING_SENT};
use crate::value::Value;
use lacquer_graph::file::error::{At, Mistake, Problem};
use lacquer_graph::file::fields::wrong_shape;
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::file::yaml::{self, Item, Value as Yaml};
use lacquer_graph::param::Taper;
use wildmatch::WildMatch;

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
    pub(crate) fn has_14(&self, channel: u8, number: u8) -> bool {
        self.controls.iter().any(|control| control.source == Source::Cc14(channel, number))
    }

    /// Whether it has any numbered parameter on this channel.
    pub(crate) fn has_nrpn(&self, channel: u8) -> bool {
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
    WildMatch::new_case_insensitive(pattern).matches(name)
}

fn read(root: &Yaml, mistakes: &mut Vec<Mistake>) -> Map {
    let values = Values::read(&table::SECTION, root, mistakes);
    let has_motor = values.switch("motor").unwrap_or(false);
    let common = Common {
        channel: values.number("channel") as u8 - 1,
        has_pickup: values.switch("pickup").unwrap_or(!has_motor),
        has_motor,
    };
    let controls = values.items("controls").iter();
    Map {
        name: values.text("name").unwrap_or_default().to_owned(),
        devices: values.texts("device").map(str::to_owned).collect(),
        init: values.texts("init").filter_map(table::bytes).collect(),
        controls: controls.filter_map(|held| control(held.section()?, &common, mistakes)).collect(),
        mackie: values.section("mackie").map(|mackie| Mackie {
            model: mackie.number("model") as u8,
            strips: mackie.texts("strips").map(str::to_owned).collect(),
            meters: mackie.texts("meters").map(str::to_owned).collect(),
        }),
    }
}

/// What `cc`, `note` and the like say, as far as the section has them.
fn source(values: &Values<'_>, channel: u8) -> Option<Source> {
    let number = |key| if values.has(key) { values.written(key) } else { None };
    let channel = number("channel").map_or(channel, |channel| channel as u8 - 1);
    let is_on = |key| number(key) == Some(1.0);
    let cc = number("cc").map(|number| Source::Cc(channel, number as u8));
    let note = || number("note").map(|number| Source::Note(channel, number as u8));
    let cc_14 = || number("cc14").map(|number| Source::Cc14(channel, number as u8));
    let nrpn = || number("nrpn").map(|number| Source::Nrpn(channel, number as u16));
    let bend = || is_on("bend").then_some(Source::Bend(channel));
    let program = || is_on("program").then_some(Source::Program(channel));
    cc.or_else(note).or_else(cc_14).or_else(nrpn).or_else(bend).or_else(program)
}

fn control(values: &Values<'_>, common: &Common, mistakes: &mut Vec<Mistake>) -> Option<Control> {
    let Some(source) = source(values, common.channel) else {
        // `bend: false` is written, and sends nothing.
        if values.switch("bend").or(values.switch("program")) == Some(false) {
            mistakes.push(Mistake::new(values.at, Problem::Other(format!("a control {NOTHING_SENT}"))));
        }
        return None;
    };
    let has_motor = values.switch("motor").unwrap_or(common.has_motor);
    let acceleration = values.number("acceleration");
    let is_button = matches!(source, Source::Note(..) | Source::Program(_));
    let act = values.text("as").and_then(|word| Act::of(word, acceleration));
    let act = act.unwrap_or(if is_button { Act::Trigger } else { Act::Absolute });
    let send = values.text("send").map(parse_value);
    let shown = show(values, source, common.channel);
    let has_pickup = values.switch("pickup").unwrap_or(common.has_pickup && !has_motor);
    Some(Control {
        source,
        act,
        targets: values.items("to").iter().filter_map(|held| target(held, send.as_ref())).collect(),
        has_pickup: has_pickup && act == Act::Absolute,
        has_motor,
        touch: values.section("touch").and_then(|touch| self::source(touch, common.channel)),
        show: shown.or((has_motor && act == Act::Absolute).then_some(Show::Same)),
        at: values.at,
    })
}

fn target(held: &Held<'_>, send: Option<&Value>) -> Option<Target> {
    let plain = |address: &str| Target {
        address: address.to_owned(),
        range: None,
        taper: None,
        is_inverted: false,
        send: send.cloned(),
    };
    if let Some(address) = held.text() {
        return Some(plain(address));
    }
    let values = held.section()?;
    let ends: Vec<String> = values.texts("range").map(str::to_owned).collect();
    Some(Target {
        range: ends.try_into().ok(),
        taper: values.written("taper").map(|taper| if taper == 0.0 { Taper::Linear } else { Taper::Log }),
        is_inverted: values.switch("invert").unwrap_or(false),
        ..plain(values.text("address")?)
    })
}

fn show(values: &Values<'_>, source: Source, channel: u8) -> Option<Show> {
    if let Some(ring) = values.section("ring") {
        let style = [Ring::Mackie, Ring::Thirteen, Ring::Plain][ring.number("style") as usize];
        return self::source(ring, channel).map(|source| Show::Ring { source, style });
    }
    if let Some(light) = values.section("light") {
        let source = self::source(light, channel).unwrap_or(source);
        let (on, off) = (light.number("on") as u8, light.number("off") as u8);
        return Some(Show::Light { source, on, off });
    }
    if values.get("light").and_then(Held::number) == Some(1.0) {
        return Some(Show::Light { source, on: 127, off: 0 });
    }
    (values.switch("display") == Some(true)).then_some(Show::Same)
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
        let errors: Vec<(usize, String)> = mistakes
            .iter()
            .map(|mistake| (mistake.at.map_or(0, |at| at.line), mistake.problem.to_string()))
            .collect();
        assert!(errors.iter().any(|(line, text)| *line == 4 && text.contains("0 to 127")), "{errors:?}");
        assert!(errors.iter().any(|(line, text)| *line == 5 && text.contains("what it sends")), "{errors:?}");
        assert!(
            errors.iter().any(|(line, text)| *line == 6 && text.contains("did you mean \"toggle\"")),
            "{errors:?}"
        );
    }
}
