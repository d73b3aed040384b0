//! Units of parameters: how a value is written, and what the audio value is.

use crate::param::text::Form;

/// The unit of a row: it decides how a value is written and how it becomes an audio value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Level change in dB; the audio value is the linear factor.
    Gain,
    /// Level change in dB; the audio value stays in dB.
    Db,
    /// Level in dB re full scale; the audio value stays in dB.
    Dbfs,
    /// True-peak level in dBTP; the audio value is the linear amplitude.
    Dbtp,
    /// Loudness in LUFS (ITU-R BS.1770, EBU R 128); the audio value stays in LUFS.
    Lufs,
    /// Difference of two loudnesses, in LU.
    Lu,
    /// How fast a level changes, in dB a second.
    DbPerSecond,
    /// Frequency in Hz.
    Hz,
    /// Time in ms.
    Ms,
    /// How often something happens a second.
    PerSecond,
    /// Parts per million.
    Ppm,
    /// Angle in degrees.
    Degrees,
    /// Compression ratio, written `4:1` or `4`.
    Ratio,
    /// Per cent; the audio value is the fraction.
    Percent,
    /// A number without a unit.
    Plain,
    /// A whole number.
    Count,
    /// `true` or `false`; the audio value is 1 or 0.
    Switch,
    /// One of some named values; the value is the index of the name.
    Choice(&'static [&'static str]),
    /// A text, not a number: see [`crate::param::text`].
    Text(Form),
}

impl Unit {
    /// The unit as written after a number; empty if there is none.
    pub const fn symbol(self) -> &'static str {
        match self {
            Unit::Gain | Unit::Db => "dB",
            Unit::Dbfs => "dBFS",
            Unit::Dbtp => "dBTP",
            Unit::Lufs => "LUFS",
            Unit::Lu => "LU",
            Unit::DbPerSecond => "dB/s",
            Unit::Hz => "Hz",
            Unit::Ms => "ms",
            Unit::PerSecond => "/s",
            Unit::Ppm => "ppm",
            Unit::Degrees => "°",
            Unit::Ratio => ":1",
            Unit::Percent => "%",
            Unit::Plain | Unit::Count | Unit::Switch | Unit::Choice(_) | Unit::Text(_) => "",
        }
    }

    /// Every accepted spelling of the unit, in lower case, with the factor to the row's own unit.
    pub(crate) const fn spellings(self) -> &'static [(&'static str, f64)] {
        match self {
            Unit::Gain | Unit::Db => &[("db", 1.0)],
            Unit::Dbfs => &[("dbfs", 1.0), ("db", 1.0)],
            Unit::Dbtp => &[("dbtp", 1.0), ("db", 1.0)],
            Unit::Lufs => &[("lufs", 1.0), ("lkfs", 1.0), ("db", 1.0)],
            Unit::Lu => &[("lu", 1.0), ("db", 1.0)],
            Unit::DbPerSecond => &[("db/s", 1.0), ("db", 1.0)],
            Unit::Hz => &[("hz", 1.0), ("khz", 1000.0)],
            Unit::Ms => &[("ms", 1.0), ("s", 1000.0), ("us", 0.001), ("µs", 0.001)],
            Unit::PerSecond => &[("/s", 1.0)],
            Unit::Ppm => &[("ppm", 1.0)],
            Unit::Degrees => &[("°", 1.0), ("deg", 1.0)],
            Unit::Ratio => &[(":1", 1.0)],
            Unit::Percent => &[("%", 1.0)],
            Unit::Plain | Unit::Count | Unit::Switch | Unit::Choice(_) | Unit::Text(_) => &[],
        }
    }
}
