//! What of this machine stands in the way of real-time audio, and the command that mends it.

mod kernel;
pub mod machine;
mod rights;
mod sound;
pub mod station;

pub use machine::{Answers, Machine};

use serde::Serialize;

/// Real-time priority that the audio thread should be able to have.
pub const PRIORITY: u64 = 70;

/// What was found at one point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What was looked at.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// What to do, where something should be done.
    pub mend: Option<String>,
}

fn finding(what: &'static str, found: impl Into<String>, is_fine: bool, mend: impl Into<String>) -> Finding {
    Finding { what, found: found.into(), mend: (!is_fine).then(|| mend.into()) }
}
