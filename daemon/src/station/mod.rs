//! The station file: audio backend, chains, control. Each section has a file of its own with its table at the top. The
//! table defines what is read, the error texts and the JSON Schema.

pub mod audio;
pub mod control;
pub mod cpal;
pub mod cues;
pub mod impulses;
pub mod jack;
pub mod load;
pub mod midi;
pub mod null;
pub mod overload;
pub mod realtime;
pub mod schema;
pub(crate) mod work;

pub use audio::{Audio, Backend};
pub use null::Null;

use control::Control;
use lacquer_control::desk::settings::Settings;
use lacquer_graph::file::error::{At, Mistake};
use lacquer_graph::file::fields::wrong_shape;
use lacquer_graph::file::table::{Holds, Key, List, Section, Text};
use lacquer_graph::file::values::Values;
use lacquer_graph::file::yaml::{self, Item, Value};
use lacquer_graph::param::{Param, Unit};
use overload::Overload;

const WARMUP: Param = Param::new(0, "warmup", Unit::Ms)
    .range(0.0, 10_000.0)
    .default(250.0)
    .help("Time that a new chain runs before the crossfade begins.");
const FADE: Param =
    Param::new(0, "fade", Unit::Ms).range(1.0, 10_000.0).default(80.0).help("Duration of the crossfade.");
const WATCH: Param = Param::new(0, "watch", Unit::Switch)
    .help("Whether a chain is reloaded when its file, or one of its impulses, changes on disk.");
const CHAINS: List =
    List::of(&Holds::Text(Text::ANY), "a list of one or more chain files").count(1, usize::MAX);

static SWAP: Section = Section::new("swap", &[Key::row(WARMUP), Key::row(FADE)]);

/// Its table.
pub static SECTION: Section = Section::new(
    "a station",
    &[
        Key::new("name", Holds::Text(Text::ANY), "The station's name."),
        Key::new("audio", Holds::Section(&audio::SECTION), "The audio backend and its channels.").needed(),
        Key::new("chains", Holds::List(CHAINS), "Chain files, relative to this file.").needed(),
        Key::new(
            "start",
            Holds::Text(Text::ANY),
            "The chain to start with; last: the one that was on air when the station ended; default: the first.",
        ),
        Key::new("swap", Holds::Section(&SWAP), "Times of a swap from one chain to another."),
        Key::row(WATCH),
        Key::new("cues", Holds::Text(Text::ANY), "The file of the cue list, relative to this file."),
        Key::new("control", Holds::Section(&control::SECTION), "Who may control it."),
        Key::new(
            "overload",
            Holds::Section(&overload::SECTION),
            "Nodes to bypass while the machine is too slow.",
        ),
    ],
);

/// A parsed station file.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Its name.
    pub name: String,
    /// The audio settings.
    pub audio: Audio,
    /// The chain files, as written, each with its position.
    pub chains: Vec<(String, At)>,
    /// The chain to start with, and its position; `None` is the first.
    pub start: Option<(String, At)>,
    /// Time that a new chain runs before the crossfade, in ms.
    pub warmup_ms: f64,
    /// Duration of the crossfade, in ms.
    pub fade_ms: f64,
    /// Whether a chain is reloaded when its file changes on disk.
    pub watch: bool,
    /// Who may control it.
    pub control: Control,
    /// The file of its cue list, as written, and its position.
    pub cues: Option<(String, At)>,
    /// What to bypass while the machine is too slow.
    pub overload: Overload,
}

/// The word for the chain that was on air when the station ended.
pub const LAST: &str = "last";

impl Station {
    /// Whether it starts in the state in which it ended.
    pub fn starts_where_it_ended(&self) -> bool {
        self.start.as_ref().is_some_and(|(start, _)| start == LAST)
    }

    /// What the desk needs of it.
    pub fn settings(&self) -> Settings {
        Settings {
            station: self.name.clone(),
            warmup_ms: self.warmup_ms,
            fade_ms: self.fade_ms,
            latency_ms: self.audio.latency_ms,
            overload_bypass: self.overload.bypass.iter().map(|(id, _)| id.clone()).collect(),
            overload_chain: self.overload.chain.as_ref().map(|(chain, _)| chain.clone()),
            has_midi: !self.control.midi.is_empty(),
        }
    }

    /// The changes to `new` that need a restart.
    pub fn needs_restart(&self, new: &Station) -> Vec<String> {
        let (was, audio) = (&self.audio, &new.audio);
        let mut fixed = Vec::new();
        if audio.backend != was.backend {
            let (from, to) = (was.backend.name(), audio.backend.name());
            let what = if from == to { format!("the settings of {from}") } else { format!("{from} to {to}") };
            fixed
                .push(format!("the backend cannot change while the station runs ({what}): restart to apply"));
        }
        if audio.io != was.io {
            fixed.push(
                "input and output groups cannot change while the station runs: restart to apply".to_owned(),
            );
        }
        if new.control != self.control {
            fixed.push(
                "the control section cannot change while the station runs: restart to apply".to_owned(),
            );
        }
        fixed
    }

    /// Parses a station file. The valid parts are returned even if there are mistakes; `None` if the file is not a map or
    /// its backend is missing.
    pub fn parse(bytes: &[u8]) -> (Option<Self>, Vec<Mistake>) {
        match yaml::parse(bytes) {
            Ok((root, mut mistakes)) => {
                let station = read(&root, &mut mistakes);
                (station, mistakes)
            }
            Err(mistake) => (None, vec![mistake]),
        }
    }
}

fn read(root: &Value, mistakes: &mut Vec<Mistake>) -> Option<Station> {
    if !matches!(root.item, Item::Map(_)) {
        mistakes.push(wrong_shape("a station file", "a map with \"audio\" and \"chains\"", root));
        return None;
    }
    let values = Values::read(&SECTION, root, mistakes);
    let chains = values.items("chains").iter();
    let nothing = Values::none(&SWAP);
    let swap = values.section("swap").unwrap_or(&nothing);
    let station = Station {
        name: values.text("name").unwrap_or_default().to_owned(),
        audio: audio::read(values.section("audio")?, mistakes)?,
        chains: chains.filter_map(|held| Some((held.text()?.to_owned(), held.at))).collect(),
        start: values.placed("start"),
        warmup_ms: swap.number("warmup"),
        fade_ms: swap.number("fade"),
        watch: values.switch("watch").unwrap_or(false),
        cues: values.placed("cues"),
        control: values.section("control").map(control::read).unwrap_or_default(),
        overload: values.section("overload").map(overload::read).unwrap_or_default(),
    };
    Some(station)
}
