//! The `none:` section: the null backend, a timer without a device.

use lacquer_graph::file::table::{Key, Section};
use lacquer_graph::file::values::Values;
use lacquer_graph::param::{Param, Unit};

const RATE: Param =
    Param::new(0, "rate", Unit::Hz).range(8000.0, 384_000.0).default(48_000.0).help("Sample rate.");
const BLOCK: Param =
    Param::new(0, "block", Unit::Count).range(1.0, 8192.0).default(256.0).help("Frames in each block.");
const CLOCK: Param = Param::new(0, "clock", Unit::Choice(&["real", "free"]))
    .help("real: a timer drives the blocks; free: as fast as possible.");
const SOURCE: Param = Param::new(0, "source", Unit::Choice(&["silence", "programme"]))
    .help("Input signal: silence, or a generated, music-like programme.");

/// Its table.
pub static SECTION: Section =
    Section::new("none", &[Key::row(RATE), Key::row(BLOCK), Key::row(CLOCK), Key::row(SOURCE)]);

/// The null backend.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Null {
    /// Sample rate in Hz.
    pub rate: f64,
    /// Frames per block.
    pub block: usize,
    /// Whether it runs as fast as possible.
    pub free: bool,
    /// Whether the input is the generated programme.
    pub programme: bool,
}

/// The section, or its defaults.
pub(super) fn read(values: Option<&Values<'_>>) -> Null {
    let nothing = Values::none(&SECTION);
    let values = values.unwrap_or(&nothing);
    Null {
        rate: values.number("rate").round(),
        block: values.number("block") as usize,
        free: values.number("clock") == 1.0,
        programme: values.number("source") == 1.0,
    }
}
