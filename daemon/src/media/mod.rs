//! Audio files: read as streams of f64, written whole or not at all.
//!
//! [`Source`] reads WAV, AIFF, FLAC, MP3, Ogg Vorbis and AAC; [`Sink`] writes WAV and FLAC.
//! Samples are planar f64 with full scale at 1.0. A file that is corrupt is an error wherever the
//! format lets it be seen, and one that is cut off too, unless the caller accepts it and says so;
//! nothing is skipped or concealed.

mod aiff;
mod coded;
mod depth;
mod fault;
mod flac;
mod mp4;
mod nothing;
mod ogg;
mod place;
mod read;
mod trail;
mod wav;
mod write;

use std::io;
use std::path::Path;

use thiserror::Error;

use crate::process::named::{NotAFile, shown};

pub use depth::Depth;
pub use place::Place;
pub use read::{Accept, Source};
pub use write::{Sink, Written};

/// The most channels a file may have.
pub const MAX_CHANNELS: usize = 8;

/// What went wrong with a file. Every message starts with the file, as it was given,
/// and says what was found and, where there is one, what to do.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refused to open, read, write or rename the file.
    #[error("{file}: cannot be {doing}: {source}")]
    Io {
        /// The file, as it was given.
        file: String,
        /// Past participle: `opened`, `read`, `written`.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No known audio format was found in the file.
    #[error("{file}: not an audio file that can be read (wav, aiff, flac, mp3, ogg vorbis, aac)")]
    NotAudio {
        /// The file, as it was given.
        file: String,
    },
    /// A folder, a FIFO, a device: what could not be checked for its length, and may never end.
    #[error("{file}: {what}; give the name of an audio file")]
    NotAFile {
        /// The file, as it was given.
        file: String,
        /// What it is instead.
        what: NotAFile,
    },
    /// An audio file, but of a variant that is not handled, or with a broken header.
    #[error("{file}: cannot be read: {what}; convert it to wav or flac, or get a whole copy")]
    Unreadable {
        /// The file, as it was given.
        file: String,
        /// What was found.
        what: String,
    },
    /// No channels, or more than [`MAX_CHANNELS`].
    #[error("{file}: has {channels} channels where 1 to 8 are handled")]
    Channels {
        /// The file, as it was given.
        file: String,
        /// Channel count found or asked for.
        channels: usize,
    },
    /// A file that is not whole, where only whole ones are accepted.
    #[error("{file}: {lack}; get a whole copy")]
    Lacking {
        /// The file, as it was given.
        file: String,
        /// What is missing.
        lack: Lack,
    },
    /// The data cannot be decoded, or is not what its checksum or frame count says.
    #[error("{file}: is corrupt{}: {what}; get a whole copy", after(*at))]
    Corrupt {
        /// The file, as it was given.
        file: String,
        /// Seconds read before the fault was seen; none where it was seen before anything was read.
        at: Option<f64>,
        /// What was found.
        what: String,
    },
    /// Something is there already.
    #[error("{file}: exists; give another name, or --force to replace it")]
    Exists {
        /// The file, as it was given.
        file: String,
    },
    /// What would be written is what is read, by this name or by another.
    #[error("{file}: is an input itself, which is never replaced; give another name")]
    IsInput {
        /// The file, as it was given.
        file: String,
    },
    /// An output that cannot be made as asked: kind, depth, rate or channels.
    #[error("{file}: cannot be written: {what}")]
    Output {
        /// The file, as it was given.
        file: String,
        /// What was asked for and what can be done instead.
        what: String,
    },
    /// A call after an earlier call on the same file had failed.
    #[error("{file}: an earlier read or write failed, so it cannot be gone on with; start again")]
    Failed {
        /// The file, as it was given.
        file: String,
    },
}

impl FileError {
    /// The message without the file, for where that is named already.
    pub fn reason(&self) -> String {
        let (FileError::Io { file, .. }
        | FileError::NotAudio { file }
        | FileError::NotAFile { file, .. }
        | FileError::Unreadable { file, .. }
        | FileError::Channels { file, .. }
        | FileError::Lacking { file, .. }
        | FileError::Corrupt { file, .. }
        | FileError::Exists { file }
        | FileError::IsInput { file }
        | FileError::Output { file, .. }
        | FileError::Failed { file }) = self;
        let text = self.to_string();
        text.strip_prefix(&format!("{file}: ")).map(str::to_owned).unwrap_or(text)
    }
}

/// What makes that a file is not whole. Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Lack {
    /// Fewer frames than the file promises.
    #[error("ends after {found:.1} s of {promised:.1} s ({missing} frames are missing)")]
    Short {
        /// Seconds that are there.
        found: f64,
        /// Seconds the file promises.
        promised: f64,
        /// Promised frames that are not there.
        missing: u64,
    },
    /// The file stops in the middle of its data and does not say how long it should be.
    #[error("is cut off after {found:.1} s")]
    Cut {
        /// Seconds that could be read.
        found: f64,
    },
    /// The recorder wrote to a pipe, or did not come to its end.
    #[error("its length was never written, so its end may be missing")]
    Unclosed,
    /// What stands behind the last whole frame of a WAV is no whole frame.
    #[error("its data ends within a frame ({bytes} of {frame} bytes are there)")]
    PartialFrame {
        /// Bytes that are there.
        bytes: u64,
        /// Bytes of a frame.
        frame: u64,
    },
}

impl Lack {
    /// Whether all whole frames that the file promises are there all the same.
    fn has_all_frames(self) -> bool {
        matches!(self, Lack::Unclosed | Lack::PartialFrame { .. })
    }
}

/// The name a file has in messages: as it was given.
fn name(path: &Path) -> String {
    shown(path)
}

/// Where a file is corrupt.
fn after(at: Option<f64>) -> String {
    at.map(|at| format!(" after {at:.1} s")).unwrap_or_default()
}

/// Frames as seconds.
fn seconds(frames: u64, rate: u32) -> f64 {
    frames as f64 / f64::from(rate.max(1))
}
