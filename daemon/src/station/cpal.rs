//! The `cpal:` section: devices of the system's own sound interface, which on Linux is ALSA.

use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::file::fields::{Fields, scalar, wrong_shape};
use lacquer_graph::file::yaml::{Item, Value};
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::{Group, Io};

const RATE: Param = Param::new(0, "rate", Unit::Hz)
    .range(8000.0, 768_000.0)
    .default(48_000.0)
    .help("Sample rate of the output, and of the chains.");
const BLOCK: Param = Param::new(1, "block", Unit::Count)
    .range(16.0, 8192.0)
    .default(256.0)
    .help("Frames in each of the device's two buffers; the nearest that the device can.");
const FORMATS: [&str; 6] = ["auto", "16-bit", "24-bit", "32-bit", "float", "float64"];
const FORMAT: Param = Param::new(2, "format", Unit::Choice(&FORMATS))
    .help("What the device is given; auto: the best that it takes.");
const DEPTH: Param = Param::new(3, "depth", Unit::Count)
    .range(8.0, 32.0)
    .default(32.0)
    .help("Bits that the device really has, where they are fewer than its format's: the output is dithered to them.");
const CLOCKS: [&str; 3] = ["auto", "one", "two"];
const CLOCK: Param = Param::new(4, "clocks", Unit::Choice(&CLOCKS))
    .help("one: both devices run by one word clock; two: the input is resampled to follow; auto: one where it is one device.");

/// Its rows.
pub const ROWS: &[Param] = &[RATE, BLOCK, FORMAT, DEPTH, CLOCK];
/// Its other keys, each with what it is.
pub const KEYS: [(&str, &str); 5] = [
    (
        "device",
        "The device, by its name, its description or a pattern of either, both for input and output; else the default one.",
    ),
    ("input", "The input device, where it is another one; none for silence."),
    ("output", "The output device, where it is another one."),
    ("host", "The sound interface: alsa, or pulseaudio for a PulseAudio server or PipeWire's in its place."),
    (
        "channels",
        "For each group the device's channels, counted from 1, that its channels are; else all in a row.",
    ),
];

/// Most channels of a device.
pub const MOST_CHANNELS: usize = 64;
/// The word for no input device.
const NONE: &str = "none";

/// The samples that a device is given.
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

/// What a station plays through by cpal.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpal {
    /// The host; ALSA where none is named.
    pub host: Option<String>,
    /// The pattern of the input device; `None` where nothing comes in.
    pub input: Option<String>,
    /// The pattern of the output device.
    pub output: String,
    /// Hz.
    pub rate: u32,
    /// Frames.
    pub block: u32,
    /// The format; `None` is the best that the device takes.
    pub format: Option<Format>,
    /// Bits that the device has.
    pub depth: u32,
    /// Whether input and output run by one clock; `None` is so where they are one device.
    pub is_one_clock: Option<bool>,
    /// The device's channel, counted from 0, of each channel that comes in, and of each that goes out.
    pub inputs: Vec<usize>,
    /// Likewise of each that goes out.
    pub outputs: Vec<usize>,
}

impl Cpal {
    /// Whether one device is meant for both ways.
    pub fn is_one_device(&self) -> bool {
        self.input.as_ref() == Some(&self.output)
    }
}

/// Reads the section, or what it is where there is none.
pub fn read(fields: Option<Fields<'_>>, io: &Io, mistakes: &mut Vec<Mistake>) -> Cpal {
    let mut rows = [RATE, BLOCK, FORMAT, DEPTH, CLOCK].map(|row| row.default);
    let mut cpal = Cpal {
        host: None,
        input: Some("default".to_owned()),
        output: "default".to_owned(),
        rate: 0,
        block: 0,
        format: None,
        depth: 0,
        is_one_clock: None,
        inputs: (0..io.input_channels()).collect(),
        outputs: (0..io.output_channels()).collect(),
    };
    if let Some(mut fields) = fields {
        for row in ROWS {
            rows[row.slot] = fields.row(row, mistakes).unwrap_or(rows[row.slot]);
        }
        let mut text = |key| fields.text(key, mistakes).map(|(text, _)| text.to_owned());
        if let Some(device) = text("device") {
            (cpal.input, cpal.output) = (Some(device.clone()), device);
        }
        cpal.input = text("input").map_or(cpal.input, |name| (name != NONE).then_some(name));
        cpal.output = text("output").unwrap_or(cpal.output);
        cpal.host = text("host");
        if let Some(entry) = fields.take("channels") {
            read_channels(&entry.value, io, &mut cpal, mistakes);
        }
        let keys: Vec<&str> =
            KEYS.iter().map(|(key, _)| *key).chain(ROWS.iter().map(|row| row.name)).collect();
        fields.finish(&keys, mistakes);
    }
    let [rate, block, format, depth, clocks] = rows;
    (cpal.rate, cpal.block, cpal.depth) = (rate.round() as u32, block as u32, depth as u32);
    cpal.format = (format as usize).checked_sub(1).and_then(|at| ALL_FORMATS.get(at).copied());
    cpal.is_one_clock = [None, Some(true), Some(false)][clocks as usize];
    cpal
}

fn read_channels(value: &Value, io: &Io, cpal: &mut Cpal, mistakes: &mut Vec<Mistake>) {
    for entry in Fields::of(value, "channels", mistakes).rest() {
        let place = |groups: &[Group]| {
            let at = groups.iter().position(|group| group.name == entry.key)?;
            Some((groups[..at].iter().map(|group| group.channels).sum::<usize>(), groups[at].channels))
        };
        let (first, count, of) = match (place(&io.inputs), place(&io.outputs)) {
            (Some((first, count)), _) => (first, count, &mut cpal.inputs),
            (None, Some((first, count))) => (first, count, &mut cpal.outputs),
            (None, None) => {
                mistakes.push(Mistake::new(entry.at, unknown_group("channels", &entry.key, io)));
                continue;
            }
        };
        let channel = |value: &Value| {
            let number = scalar(value)?.parse::<usize>().ok()?;
            (1..=MOST_CHANNELS).contains(&number).then(|| number - 1)
        };
        let channels: Option<Vec<usize>> = match &entry.value.item {
            Item::List(list) => list.iter().map(channel).collect(),
            _ => None,
        };
        match channels.filter(|channels| channels.len() == count) {
            Some(channels) => of[first..first + count].copy_from_slice(&channels),
            None => mistakes.push(wrong_shape(
                &format!("channels.{}", entry.key),
                "a list of the device's channels, from 1 on, one for each channel of the group",
                &entry.value,
            )),
        }
    }
}

/// A group that there is not.
pub fn unknown_group(owner: &str, key: &str, io: &Io) -> Problem {
    let names: Vec<&str> = io.inputs.iter().chain(&io.outputs).map(|group| group.name.as_str()).collect();
    Problem::UnknownKey {
        owner: owner.to_owned(),
        key: key.to_owned(),
        hint: Hint::nearest(key, names.iter().copied()),
        allowed: names.join(", "),
    }
}
