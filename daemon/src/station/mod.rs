//! The station file: what to play through, which chains there are, who may control it.

pub mod control;
pub mod cpal;
pub mod cues;
pub mod impulses;
pub mod jack;
pub mod load;
pub mod midi;
pub mod overload;
pub mod realtime;
pub mod schema;

use control::Control;
use cpal::Cpal;
use jack::Jack;
use lacquer_graph::MAX_CHANNELS;
use lacquer_graph::file::error::{At, Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::spec::{bad_name, is_name};
use lacquer_graph::file::yaml::{self, Item, Value};
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::{Group, Io};
use overload::Overload;
use realtime::Realtime;

/// Most channels of all input or output groups together.
pub const MOST_CHANNELS: usize = 32;

const WARMUP: Param = Param::new(0, "warmup", Unit::Ms)
    .range(0.0, 10_000.0)
    .default(250.0)
    .help("How long a new chain runs unheard before it fades in.");
const FADE: Param =
    Param::new(1, "fade", Unit::Ms).range(1.0, 10_000.0).default(80.0).help("How long the crossfade takes.");
const LATENCY: Param = Param::new(0, "latency", Unit::Ms)
    .range(0.0, 2000.0)
    .help("Latency that every chain is padded to; else the largest among the chains.");
const RATE: Param = Param::new(0, "rate", Unit::Hz)
    .range(8000.0, 384_000.0)
    .default(48_000.0)
    .help("Sample rate of the null backend.");
const BLOCK: Param = Param::new(1, "block", Unit::Count)
    .range(1.0, 8192.0)
    .default(256.0)
    .help("Frames in each block of the null backend.");
const CLOCKS: [&str; 2] = ["real", "free"];
const CLOCK: Param = Param::new(2, "clock", Unit::Choice(&CLOCKS))
    .help("real: a timer drives the blocks; free: as fast as it can.");
const SOURCES: [&str; 2] = ["silence", "programme"];
const SOURCE: Param = Param::new(3, "source", Unit::Choice(&SOURCES))
    .help("What comes in: silence, or a made, music-like programme.");

/// The rows of the station file that have a table, by the section they stand in: for schema and docs.
pub const SECTIONS: &[(&str, &[Param])] = &[
    ("control.osc", control::ROWS),
    ("audio", &[LATENCY]),
    ("audio.realtime", realtime::ROWS),
    ("swap", &[WARMUP, FADE]),
    ("audio.cpal", cpal::ROWS),
    ("audio.null", &[RATE, BLOCK, CLOCK, SOURCE]),
];

/// The backends that there are.
pub const BACKENDS: [&str; 3] = ["jack", "cpal", "null"];

/// A station as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Station {
    /// Its name.
    pub name: String,
    /// What it plays through.
    pub audio: Audio,
    /// The chain files, as written, each with its place.
    pub chains: Vec<(String, At)>,
    /// The chain to start with, and its place; the first where the file says nothing.
    pub start: Option<(String, At)>,
    /// How long a new chain runs unheard, in ms.
    pub warmup_ms: f64,
    /// How long the crossfade takes, in ms.
    pub fade_ms: f64,
    /// Whether a change of a chain file on disk is taken over.
    pub watch: bool,
    /// Who may control it.
    pub control: Control,
    /// The file of its cue list, as written, and its place.
    pub cues: Option<(String, At)>,
    /// What it may leave out where the machine is too slow.
    pub overload: Overload,
}

/// What a station plays through. Does not change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// The backend.
    pub backend: Backend,
    /// The groups of channels.
    pub io: Io,
    /// Latency that every chain is padded to, in ms.
    pub latency_ms: Option<f64>,
    /// How the audio thread is scheduled.
    pub realtime: Realtime,
}

/// Where audio comes from and goes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Backend {
    /// A JACK server.
    Jack(Jack),
    /// Devices of the system's own sound interface.
    Cpal(Cpal),
    /// A timer.
    Null(Null),
}

impl Backend {
    /// Its name in files.
    pub fn name(&self) -> &'static str {
        match self {
            Backend::Jack { .. } => BACKENDS[0],
            Backend::Cpal(_) => BACKENDS[1],
            Backend::Null(_) => BACKENDS[2],
        }
    }
}

/// The null backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Null {
    /// Hz.
    pub rate: f64,
    /// Frames a block.
    pub block: usize,
    /// Whether it runs as fast as it can.
    pub free: bool,
    /// Whether the made programme comes in.
    pub programme: bool,
}

/// The word for the chain that was on air when the station ended.
pub const LAST: &str = "last";

impl Station {
    /// Whether it is to go on where it ended.
    pub fn starts_where_it_ended(&self) -> bool {
        self.start.as_ref().is_some_and(|(start, _)| start == LAST)
    }

    /// Reads a station file. What could be read is given even where there are mistakes; only a file that
    /// is no map at all gives nothing.
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
    let mut fields = Fields::of(root, "a station", mistakes);
    let name = fields.text("name", mistakes).map_or_else(String::new, |(text, _)| text.to_owned());
    let audio = match fields.take("audio") {
        Some(entry) => read_audio(Fields::of(&entry.value, "audio", mistakes), mistakes),
        None => missing(root, "a station", "audio", mistakes),
    };
    let chains = read_chains(&mut fields, mistakes);
    let start = fields.text("start", mistakes).map(|(text, at)| (text.to_owned(), at));
    let (mut warmup_ms, mut fade_ms) = (WARMUP.default, FADE.default);
    if let Some(entry) = fields.take("swap") {
        let mut swap = Fields::of(&entry.value, "swap", mistakes);
        warmup_ms = swap.row(&WARMUP, mistakes).unwrap_or(warmup_ms);
        fade_ms = swap.row(&FADE, mistakes).unwrap_or(fade_ms);
        swap.finish(&[WARMUP.name, FADE.name], mistakes);
    }
    let watch = fields.switch("watch", mistakes).unwrap_or(false);
    let cues = fields.text("cues", mistakes).map(|(text, at)| (text.to_owned(), at));
    let control = fields.take("control").map(|entry| control::read(&entry.value, mistakes));
    let overload = fields.take("overload").map(|entry| overload::read(&entry.value, mistakes));
    let keys = ["name", "audio", "chains", "start", "swap", "watch", "cues", "control", "overload"];
    fields.finish(&keys, mistakes);
    Some(Station {
        name,
        audio: audio?,
        chains,
        start,
        warmup_ms,
        fade_ms,
        watch,
        control: control.unwrap_or_default(),
        cues,
        overload: overload.unwrap_or_default(),
    })
}

fn missing<T>(at: &Value, owner: &str, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<T> {
    mistakes.push(Mistake::new(at.at, Problem::Missing { owner: owner.to_owned(), key }));
    None
}

fn read_chains(fields: &mut Fields<'_>, mistakes: &mut Vec<Mistake>) -> Vec<(String, At)> {
    let at = fields.at;
    let list = fields.list("chains").unwrap_or_default();
    if list.is_empty() {
        mistakes.push(Mistake::new(at, Problem::Missing { owner: "a station".to_owned(), key: "chains" }));
    }
    let mut chains = Vec::new();
    for value in list {
        match scalar(value) {
            Some(path) => chains.push((path.to_owned(), value.at)),
            None => mistakes.push(wrong_shape("a chain", "the path of its file", value)),
        }
    }
    chains
}

fn read_audio(mut fields: Fields<'_>, mistakes: &mut Vec<Mistake>) -> Option<Audio> {
    let default = Io::stereo();
    let groups =
        |fields: &mut Fields<'_>, key: &'static str, default: Vec<Group>, mistakes: &mut Vec<Mistake>| {
            fields.take(key).map_or(default, |entry| read_groups(key, &entry.value, mistakes))
        };
    let inputs = groups(&mut fields, "inputs", default.inputs, mistakes);
    let outputs = groups(&mut fields, "outputs", default.outputs, mistakes);
    let io = Io { inputs, outputs };
    let latency_ms = fields.row(&LATENCY, mistakes);
    let realtime =
        fields.take("realtime").map(|entry| realtime::read(&entry.value, mistakes)).unwrap_or_default();
    let jack = fields.take("jack");
    let jack = jack::read(jack.map(|entry| Fields::of(&entry.value, "jack", mistakes)), &io, mistakes);
    let cpal = fields.take("cpal");
    let cpal = cpal::read(cpal.map(|entry| Fields::of(&entry.value, "cpal", mistakes)), &io, mistakes);
    let null = fields.take("null");
    let null = read_null(null.map(|entry| Fields::of(&entry.value, "null", mistakes)), mistakes);
    let backend = match fields.text("backend", mistakes) {
        Some(("jack", _)) => Some(Backend::Jack(jack)),
        Some(("cpal", _)) => Some(Backend::Cpal(cpal)),
        Some(("null", _)) => Some(Backend::Null(null)),
        Some((found, at)) => {
            let hint = Hint::nearest(found, BACKENDS);
            let allowed = format!("there are {}", BACKENDS.join(", "));
            let (owner, found) = ("audio".to_owned(), format!("\"{found}\"{hint}"));
            mistakes.push(Mistake::new(at, Problem::Text { owner, key: "backend", found, allowed }));
            None
        }
        None => {
            let problem = Problem::Missing { owner: "audio".to_owned(), key: "backend" };
            mistakes.push(Mistake::new(fields.at, problem));
            None
        }
    };
    let keys = ["backend", "inputs", "outputs", "latency", "realtime", "jack", "cpal", "null"];
    fields.finish(&keys, mistakes);
    Some(Audio { backend: backend?, io, latency_ms, realtime })
}

fn read_groups(key: &'static str, value: &Value, mistakes: &mut Vec<Mistake>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let before = mistakes.len();
    for entry in Fields::of(value, key, mistakes).rest() {
        if !is_name(&entry.key) {
            mistakes.push(bad_name(entry.at, key, "a group", &entry.key));
        }
        let count = scalar(&entry.value).and_then(|text| text.parse::<usize>().ok());
        match count.filter(|count| (1..=MAX_CHANNELS).contains(count)) {
            Some(channels) => groups.push(Group { name: entry.key.clone(), channels }),
            None => {
                let found = scalar(&entry.value).map_or(entry.value.shape().to_owned(), str::to_owned);
                let allowed = format!("write a number of channels, 1 to {MAX_CHANNELS}");
                let owner = format!("{key}.{}", entry.key);
                mistakes.push(Mistake::new(
                    entry.value.at,
                    Problem::Text { owner, key: "channels", found, allowed },
                ));
            }
        }
    }
    let sum: usize = groups.iter().map(|group| group.channels).sum();
    if mistakes.len() == before && (sum == 0 || sum > MOST_CHANNELS) {
        let text = format!("{key}: {sum} channels in all; a station has 1 to {MOST_CHANNELS}");
        mistakes.push(Mistake::new(value.at, Problem::Other(text)));
    }
    groups
}

fn read_null(fields: Option<Fields<'_>>, mistakes: &mut Vec<Mistake>) -> Null {
    let mut rows = [RATE.default, BLOCK.default, CLOCK.default, SOURCE.default];
    if let Some(mut fields) = fields {
        for row in [RATE, BLOCK, CLOCK, SOURCE] {
            rows[row.slot] = fields.row(&row, mistakes).unwrap_or(rows[row.slot]);
        }
        fields.finish(&[RATE.name, BLOCK.name, CLOCK.name, SOURCE.name], mistakes);
    }
    let [rate, block, clock, source] = rows;
    Null { rate: rate.round(), block: block as usize, free: clock == 1.0, programme: source == 1.0 }
}
