//! Audio files: read as streams of f64, written whole or not at all.
//!
//! [`Source`] reads WAV, AIFF, FLAC, MP3, Ogg Vorbis and AAC; [`Sink`] writes WAV and FLAC.
//! Samples are planar f64 with full scale at 1.0. A file that is cut off or corrupt is an
//! error wherever the format lets it be seen; nothing is skipped or concealed.

mod coded;
mod flac;
mod read;
mod trail;
mod wav;
mod write;

use std::io;
use std::path::Path;

use thiserror::Error;

pub use read::Source;
pub use write::{Depth, Sink, Written};

/// The most channels a file may have.
pub const MAX_CHANNELS: usize = 8;

/// What went wrong with a file. Every message starts with the file's name (without its folder)
/// and says what was found and, where there is one, what to do.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refused to open, read, write or rename the file.
    #[error("{file}: cannot be {doing}: {source}")]
    Io {
        /// File name.
        file: String,
        /// Past participle: `opened`, `read`, `written`.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No known audio format was found in the file.
    #[error("{file}: not an audio file that can be read (wav, aiff, flac, mp3, ogg vorbis, aac)")]
    NotAudio {
        /// File name.
        file: String,
    },
    /// An audio file, but of a variant that is not handled, or with a broken header.
    #[error("{file}: cannot be read: {what}; convert it to wav or flac, or get a whole copy")]
    Unreadable {
        /// File name.
        file: String,
        /// What was found.
        what: String,
    },
    /// No channels, or more than [`MAX_CHANNELS`].
    #[error("{file}: has {channels} channels where 1 to 8 are handled")]
    Channels {
        /// File name.
        file: String,
        /// Channel count found or asked for.
        channels: usize,
    },
    /// Fewer frames than the file promises. Times in seconds.
    #[error(
        "{file}: ends after {found:.1} s of {promised:.1} s ({missing} frames are missing); \
         get a whole copy"
    )]
    Short {
        /// File name.
        file: String,
        /// Seconds that are there.
        found: f64,
        /// Seconds the file promises.
        promised: f64,
        /// Promised frames that are not there.
        missing: u64,
    },
    /// The file stops in the middle of its data and does not say how long it should be.
    #[error("{file}: is cut off after {found:.1} s; get a whole copy")]
    Cut {
        /// File name.
        file: String,
        /// Seconds that could be read.
        found: f64,
    },
    /// The data cannot be decoded, or is not what its checksum or frame count says.
    #[error("{file}: is corrupt after {at:.1} s: {what}; get a whole copy")]
    Corrupt {
        /// File name.
        file: String,
        /// Seconds read before the fault was seen.
        at: f64,
        /// What was found.
        what: String,
    },
    /// An output that cannot be made as asked: kind, depth, rate or channels.
    #[error("{file}: cannot be written: {what}")]
    Output {
        /// File name.
        file: String,
        /// What was asked for and what can be done instead.
        what: String,
    },
    /// A call after an earlier call on the same file had failed.
    #[error("{file}: an earlier read or write failed, so it cannot be gone on with; start again")]
    Failed {
        /// File name.
        file: String,
    },
}

/// The name a file has in messages.
fn name(path: &Path) -> String {
    let name = path.file_name().unwrap_or(path.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Frames as seconds.
fn seconds(frames: u64, rate: u32) -> f64 {
    frames as f64 / f64::from(rate.max(1))
}
