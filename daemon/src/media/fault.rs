//! What stops the reading of an audio file.

use std::io;

/// What is said of a file of which a part cannot be read, whatever the decoder library finds there.
pub(super) const BROKEN: &str = "a part of it is broken or missing";

/// What stops a read.
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

/// The fault of such a file.
pub(super) fn broken() -> Fault {
    Fault::Corrupt(BROKEN.into())
}
