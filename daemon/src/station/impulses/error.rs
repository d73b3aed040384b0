//! Why a file gives no impulse.

use crate::media::FileError;
use crate::process::named::NotAFile;
use crate::process::os_error::plain;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::text::{BadImpulse, LONGEST_IMPULSE_S};
use std::io;
use thiserror::Error;

/// Why a file gives no impulse. Whoever shows it says which file it is.
#[derive(Debug, Error)]
pub(super) enum ImpulseError {
    /// The file cannot be found or looked at.
    #[error("{}{near}", plain(error))]
    Missing { error: io::Error, near: Hint },
    /// The name comes from a client, and is not below the chain file's folder.
    #[error("the path leads out of the chain file's folder")]
    OutsideFolder,
    /// The system refused to open or read the file.
    #[error("{}", plain(.0))]
    File(io::Error),
    #[error(transparent)]
    NotAFile(#[from] NotAFile),
    /// The audio file cannot be read.
    #[error("{}", .0.reason())]
    Audio(FileError),
    /// The file's name says that it holds text.
    #[error("not a text file")]
    NotText,
    /// A line of a text file has another number of channels.
    #[error("line {line}: {found} numbers, but the first line has {expected}")]
    UnevenLine { line: usize, found: usize, expected: usize },
    /// The text is not quoted: the client that named the file may not be allowed to read it.
    #[error("line {line}: not a number")]
    NotANumber { line: usize },
    /// A text file whose length is not known before its end.
    #[error("longer than {LONGEST_IMPULSE_S} s; shorten it")]
    TooManyLines,
    /// A text file larger than the longest impulse can be.
    #[error("more than {most} bytes, too many for {LONGEST_IMPULSE_S} s; shorten it")]
    TooManyBytes { most: usize },
    #[error("{bytes} bytes, not a whole number of {bits}-bit samples")]
    PartOfASample { bytes: usize, bits: usize },
    /// The peak in dBFS.
    #[error("peak {0:+.0} dBFS: wrong format or scale; 1.0 is full scale")]
    TooLoud(f64),
    #[error(transparent)]
    Impulse(#[from] BadImpulse),
}
