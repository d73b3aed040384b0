//! Checks the machine for real-time audio. Each finding that is not fine comes with the command that fixes it.

mod kernel;
pub mod machine;
mod rights;
mod sound;
pub mod station;

pub use machine::{Answers, Machine};

/// Real-time priority that the audio thread should be able to have.
pub const PRIORITY: u64 = 70;

/// The result of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What was checked.
    pub what: &'static str,
    /// What was found.
    pub found: String,
    /// How to fix it, if it is not fine.
    pub fix: Option<String>,
}

fn finding(what: &'static str, found: impl Into<String>, is_fine: bool, fix: impl Into<String>) -> Finding {
    Finding { what, found: found.into(), fix: (!is_fine).then(|| fix.into()) }
}
