//! Faults found while an audio file is read.

use std::io;

/// The message for a file with an unreadable part, whatever the decoder library reports.
pub(super) const BROKEN: &str = "part of the data is broken or missing";

/// A fault that ends reading.
pub(super) enum Fault {
    /// The data stops before its end.
    Truncated,
    Io(io::Error),
    Corrupt(String),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Truncated,
            _ => Fault::Io(error),
        }
    }
}

/// The fault of a file with an unreadable part.
pub(super) fn broken() -> Fault {
    Fault::Corrupt(BROKEN.into())
}
