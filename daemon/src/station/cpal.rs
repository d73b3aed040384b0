//! The `cpal:` section: devices of the system's sound interface (ALSA on Linux).

use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::table::{Holds, Key, List, Named, Section, Text};
use lacquer_graph::file::values::{Values, What};
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::{Group, Io};

const RATE: Param = Param::new(0, "rate", Unit::Hz)
    .range(8000.0, 768_000.0)
    .default(48_000.0)
    .help("Sample rate of the output, and of the chains.");
const BLOCK: Param = Param::new(0, "block", Unit::Count)
    .range(16.0, 8192.0)
    .default(256.0)
    .help("Frames in each of the device's two buffers; the nearest size that the device supports is used.");
const FORMATS: [&str; 6] = ["auto", "16-bit", "24-bit", "32-bit", "float", "float64"];
const FORMAT: Param = Param::new(0, "format", Unit::Choice(&FORMATS))
    .help("Sample format sent to the device; auto: the best one that it supports.");
const DEPTH: Param = Param::new(0, "depth", Unit::Count).range(8.0, 32.0).default(32.0).help(
    "Resolution of the device in bits, if it is lower than that of its format: the output is dithered to it.",
);
const CLOCKS: [&str; 3] = ["auto", "one", "two"];
const CLOCK: Param = Param::new(0, "clocks", Unit::Choice(&CLOCKS))
    .help("one: both devices share a word clock; two: the input is resampled to the output's clock; auto: one for a single device, else two.");
const CHANNEL: Param = Param::new(0, "channels", Unit::Count).range(1.0, MOST_CHANNELS as f64).default(1.0);
const CHANNELS: Holds = Holds::List(List::of(
    &Holds::Row(CHANNEL),
    "a list of the device's channels, from 1 on, one for each channel of the group",
));

/// Its table.
pub static SECTION: Section = Section::new(
    "cpal",
    &[
        Key::new(
            "device",
            Holds::Text(Text::ANY),
            "The device for input and output: its name, its description or a pattern of either; default: the system's default device.",
        ),
        Key::new(
            "input",
            Holds::Text(Text::ANY),
            "The input device, if it is a different one; none for silence.",
        ),
        Key::new("output", Holds::Text(Text::ANY), "The output device, if it is a different one."),
        Key::new(
            "host",
            Holds::Text(Text::ANY),
            "The sound interface: alsa, or pulseaudio (a PulseAudio server or PipeWire).",
        ),
        Key::new(
            "channels",
            Holds::Named(Named { of: &CHANNELS, names: None, least: 0 }),
            "For each group, the device channel of each of its channels, counted from 1; default: in order.",
        ),
        Key::row(RATE),
        Key::row(BLOCK),
        Key::row(FORMAT),
        Key::row(DEPTH),
        Key::row(CLOCK),
    ],
);

/// Most channels of a device.
pub const MOST_CHANNELS: usize = 64;
/// The word for no input device.
const NONE: &str = "none";

/// Sample format of a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Integers of 16 bits.
    Int16,
    /// Integers of 24 bits in 32.
    Int24,
    /// Integers of 32 bits.
    Int32,
    /// Floating-point numbers of 32 bits.
    Float,
    /// Floating-point numbers of 64 bits.
    Float64,
}

/// All formats, in the order of their words.
pub const ALL_FORMATS: [Format; 5] =
    [Format::Int16, Format::Int24, Format::Int32, Format::Float, Format::Float64];

/// The cpal backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpal {
    /// The host; `None` is ALSA.
    pub host: Option<String>,
    /// Pattern for the input device; `None` is silence.
    pub input: Option<String>,
    /// Pattern for the output device.
    pub output: String,
    /// Sample rate in Hz.
    pub rate: u32,
    /// Frames per block.
    pub block: u32,
    /// The format; `None` is the best that the device supports.
    pub format: Option<Format>,
    /// Resolution of the device in bits.
    pub depth: u32,
    /// Whether input and output share a clock; `None`: if they are one device.
    pub is_one_clock: Option<bool>,
    /// The device channel, counted from 0, of each input channel.
    pub inputs: Vec<usize>,
    /// The device channel, counted from 0, of each output channel.
    pub outputs: Vec<usize>,
}

/// The section, or its defaults.
pub(super) fn read(values: Option<&Values<'_>>, io: &Io, mistakes: &mut Vec<Mistake>) -> Cpal {
    let nothing = Values::none(&SECTION);
    let values = values.unwrap_or(&nothing);
    let device = values.text("device").unwrap_or("default");
    let input = values.text("input").unwrap_or(device);
    let mut cpal = Cpal {
        host: values.text("host").map(str::to_owned),
        input: (input != NONE || values.text("input").is_none()).then(|| input.to_owned()),
        output: values.text("output").unwrap_or(device).to_owned(),
        rate: values.number("rate").round() as u32,
        block: values.number("block") as u32,
        format: (values.number("format") as usize).checked_sub(1).and_then(|at| ALL_FORMATS.get(at).copied()),
        depth: values.number("depth") as u32,
        is_one_clock: [None, Some(true), Some(false)][values.number("clocks") as usize],
        inputs: (0..io.input_channels()).collect(),
        outputs: (0..io.output_channels()).collect(),
    };
    read_channels(values, io, &mut cpal, mistakes);
    cpal
}

fn read_channels(values: &Values<'_>, io: &Io, cpal: &mut Cpal, mistakes: &mut Vec<Mistake>) {
    for (name, at, held) in values.named("channels").unwrap_or_default() {
        let place = |groups: &[Group]| {
            let at = groups.iter().position(|group| group.name == *name)?;
            Some((groups[..at].iter().map(|group| group.channels).sum::<usize>(), groups[at].channels))
        };
        let (first, count, of) = match (place(&io.inputs), place(&io.outputs)) {
            (Some((first, count)), _) => (first, count, &mut cpal.inputs),
            (None, Some((first, count))) => (first, count, &mut cpal.outputs),
            (None, None) => {
                mistakes.push(Mistake::new(*at, unknown_group("channels", name, io)));
                continue;
            }
        };
        // A value that is not a list is reported already.
        let What::List(channels) = &held.what else { continue };
        if channels.len() != count {
            let found = channels.len();
            let text =
                format!("channels: {name} lists {found} device channels; the group has {count} channels");
            mistakes.push(Mistake::new(held.at, Problem::Other(text)));
            continue;
        }
        for (channel, of) in channels.iter().zip(&mut of[first..first + count]) {
            *of = channel.number().map_or(*of, |number| number as usize - 1);
        }
    }
}

/// The error for an unknown group.
pub fn unknown_group(owner: &str, key: &str, io: &Io) -> Problem {
    let names: Vec<&str> = io.inputs.iter().chain(&io.outputs).map(|group| group.name.as_str()).collect();
    Problem::UnknownKey {
        owner: owner.to_owned(),
        key: key.to_owned(),
        hint: Hint::nearest(key, names.iter().copied()),
        allowed: names.join(", "),
    }
}
