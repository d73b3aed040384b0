//! How samples are stored in an output file.

use std::fmt;
use std::str::FromStr;

/// How samples are stored in an output file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// 16-bit integer.
    Int16,
    /// 24-bit integer.
    Int24,
    /// 32-bit integer.
    Int32,
    /// 32-bit float.
    Float32,
    /// 64-bit float: the samples unchanged.
    Float64,
}

const DEPTHS: [(Depth, &str); 5] = [
    (Depth::Int16, "16"),
    (Depth::Int24, "24"),
    (Depth::Int32, "32"),
    (Depth::Float32, "f32"),
    (Depth::Float64, "f64"),
];

impl Depth {
    /// Bits of a stored sample.
    pub fn bits(self) -> u32 {
        match self {
            Depth::Int16 => 16,
            Depth::Int24 => 24,
            Depth::Int32 | Depth::Float32 => 32,
            Depth::Float64 => 64,
        }
    }

    /// Whether samples are stored as floats.
    pub fn is_float(self) -> bool {
        matches!(self, Depth::Float32 | Depth::Float64)
    }
}

impl fmt::Display for Depth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = DEPTHS.iter().find(|(depth, _)| depth == self);
        f.pad(found.map_or("", |(_, word)| word))
    }
}

impl FromStr for Depth {
    type Err = String;

    /// The words are 16, 24, 32, f32 and f64; the error says so.
    fn from_str(word: &str) -> Result<Self, Self::Err> {
        let found = DEPTHS.iter().find(|(_, known)| *known == word);
        found
            .map(|(depth, _)| *depth)
            .ok_or_else(|| format!("\"{word}\" is not a sample format; use 16, 24, 32, f32 or f64"))
    }
}
