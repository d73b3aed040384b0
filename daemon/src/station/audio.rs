//! The `audio:` section: backend, channel groups, latency.

use crate::station::cpal::{self, Cpal};
use crate::station::jack::{self, Jack};
use crate::station::null::{self, Null};
use crate::station::realtime::{self, Realtime};
use lacquer_graph::MAX_CHANNELS;
use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::table::{Holds, Key, Named, Section, Text};
use lacquer_graph::file::values::{Held, Values};
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::{Group, Io};

/// Most channels of all input or output groups together.
pub const MOST_CHANNELS: usize = 32;

// A bare `null` is YAML for no value; it still means the null backend, as in earlier versions.
const BACKEND: Text = Text::one_of(&["jack", "cpal", "none", "null"], "there are jack, cpal, none");
const CHANNELS: Param = Param::new(0, "channels", Unit::Count).range(1.0, MAX_CHANNELS as f64).default(2.0);
const GROUPS: Holds = Holds::Named(Named { of: &Holds::Row(CHANNELS), names: Some("a group"), least: 1 });
const LATENCY: Param = Param::new(0, "latency", Unit::Ms)
    .range(0.0, 2000.0)
    .help("Latency that every chain is padded to; default: the largest latency of the chains.");

/// Its table.
pub static SECTION: Section = Section::new(
    "audio",
    &[
        Key::new(
            "backend",
            Holds::Text(BACKEND),
            "Where audio comes from and goes to: jack, cpal (sound cards), or none, the null backend: a timer without a device. \"null\" is another word for none.",
        )
        .needed(),
        Key::new("inputs", GROUPS, "The input groups with their numbers of channels; default: programme: 2."),
        Key::new("outputs", GROUPS, "The output groups with their numbers of channels; default: master: 2."),
        Key::row(LATENCY).open(),
        Key::new("realtime", Holds::Section(&realtime::SECTION), "Scheduling of the audio thread."),
        Key::new("jack", Holds::Section(&jack::SECTION), "The JACK server."),
        Key::new("cpal", Holds::Section(&cpal::SECTION), "The sound cards."),
        Key::new("none", Holds::Section(&null::SECTION), "The null backend.").or("null"),
    ],
);

/// The audio settings of a station. They do not change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Audio {
    /// The backend.
    pub backend: Backend,
    /// The groups of channels.
    pub io: Io,
    /// Latency that every chain is padded to, in ms.
    pub latency_ms: Option<f64>,
    /// Scheduling of the audio thread.
    pub realtime: Realtime,
}

/// Where audio comes from and goes to.
#[derive(Clone, Debug, PartialEq)]
pub enum Backend {
    /// A JACK server.
    Jack(Jack),
    /// Devices of the system's sound interface.
    Cpal(Cpal),
    /// A timer without a device.
    Null(Null),
}

impl Backend {
    /// Its name in status, logs and reports.
    pub fn name(&self) -> &'static str {
        match self {
            Backend::Jack { .. } => "jack",
            Backend::Cpal(_) => "cpal",
            Backend::Null(_) => "null",
        }
    }
}

/// The section; `None` where the backend is missing or wrong.
pub(super) fn read(values: &Values<'_>, mistakes: &mut Vec<Mistake>) -> Option<Audio> {
    let default = Io::stereo();
    let inputs = read_groups("inputs", values, mistakes).unwrap_or(default.inputs);
    let outputs = read_groups("outputs", values, mistakes).unwrap_or(default.outputs);
    let io = Io { inputs, outputs };
    let jack = jack::read(values.section("jack"), &io, mistakes);
    let cpal = cpal::read(values.section("cpal"), &io, mistakes);
    let null = null::read(values.section("none"));
    let backend = match values.text("backend")? {
        "jack" => Backend::Jack(jack),
        "cpal" => Backend::Cpal(cpal),
        _ => Backend::Null(null),
    };
    let realtime = values.section("realtime").map(realtime::read).unwrap_or_default();
    Some(Audio { backend, io, latency_ms: values.written("latency"), realtime })
}

fn read_groups(key: &'static str, values: &Values<'_>, mistakes: &mut Vec<Mistake>) -> Option<Vec<Group>> {
    let named = values.named(key)?;
    let group = |(name, _, held): &(&str, _, _)| {
        let channels = Held::number(held)? as usize;
        Some(Group { name: (*name).to_owned(), channels })
    };
    let groups: Vec<Group> = named.iter().filter_map(group).collect();
    let sum: usize = groups.iter().map(|group| group.channels).sum();
    // The sum is checked only if every group is valid.
    if groups.len() == named.len() && !(1..=MOST_CHANNELS).contains(&sum) {
        let text = format!("{key}: {sum} channels in total; a station has 1 to {MOST_CHANNELS}");
        let at = values.get(key).map_or(values.at, |held| held.at);
        mistakes.push(Mistake::new(at, Problem::Other(text)));
    }
    Some(groups)
}
