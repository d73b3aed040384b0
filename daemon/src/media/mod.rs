//! Audio files: read as streams of f64, written completely or not at all.
//!
//! [`Source`] reads WAV, AIFF, FLAC, MP3, Ogg Vorbis and AAC; [`Sink`] writes WAV and FLAC.
//! Samples are planar f64 with full scale at 1.0. A corrupt file is an error wherever the
//! format allows detecting it. A truncated file is an error too, unless the caller accepts it, with a warning; nothing is
//! skipped or concealed.

mod aiff;
mod coded;
mod depth;
mod fault;
mod flac;
mod limited;
mod mp4;
mod nothing;
mod ogg;
mod place;
mod read;
mod trail;
mod wav;
mod write;

use crate::process::os_error::plain;
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

/// An error with a file. Every message starts with the file, as it was given, and says what was found and what to do.
#[derive(Debug, Error)]
pub enum FileError {
    /// The system refused to open, read, write or rename the file.
    #[error("{file}: cannot be {doing}: {}", plain(source))]
    Io {
        /// The file, as it was given.
        file: String,
        /// Past participle: `opened`, `read`, `written`.
        doing: &'static str,
        /// The system's reason.
        source: io::Error,
    },
    /// No known audio format was found in the file.
    #[error("{file}: not a supported audio file (wav, aiff, flac, mp3, ogg vorbis, aac)")]
    NotAudio {
        /// The file, as it was given.
        file: String,
    },
    /// A folder, a FIFO or a device: its length is unknown, and it may never end.
    #[error("{file}: {what}; give the name of an audio file")]
    NotAFile {
        /// The file, as it was given.
        file: String,
        /// What it is instead.
        what: NotAFile,
    },
    /// An audio file of an unsupported variant, or with a broken header.
    #[error("{file}: cannot be read: {what}; convert it to wav or flac, or get a complete copy")]
    Unreadable {
        /// The file, as it was given.
        file: String,
        /// What was found.
        what: String,
    },
    /// No channels, or more than [`MAX_CHANNELS`].
    #[error("{file}: {channels} channels; 1 to 8 are supported")]
    Channels {
        /// The file, as it was given.
        file: String,
        /// Channel count found or requested.
        channels: usize,
    },
    /// An incomplete file where only complete ones are accepted.
    #[error("{file}: {lack}; get a complete copy")]
    Lacking {
        /// The file, as it was given.
        file: String,
        /// What is missing.
        lack: Lack,
    },
    /// The data cannot be decoded, or does not match its checksum or frame count.
    #[error("{file}: corrupt{}: {what}; get a complete copy", after(*at))]
    Corrupt {
        /// The file, as it was given.
        file: String,
        /// Seconds read before the fault; `None` if nothing was read.
        at: Option<f64>,
        /// What was found.
        what: String,
    },
    /// The output exists already.
    #[error("{file}: exists; give another name, or use --force to replace it")]
    Exists {
        /// The file, as it was given.
        file: String,
    },
    /// The output is also an input, by this name or another one.
    #[error("{file}: the output is also an input, which is never replaced; give another name")]
    IsInput {
        /// The file, as it was given.
        file: String,
    },
    /// An unsupported output: file type, depth, sample rate or channels.
    #[error("{file}: cannot be written: {what}")]
    Output {
        /// The file, as it was given.
        file: String,
        /// What was requested and what can be done instead.
        what: String,
    },
    /// A call after an earlier call on the same file had failed.
    #[error("{file}: cannot continue after an earlier read or write error; start again")]
    Failed {
        /// The file, as it was given.
        file: String,
    },
}

impl FileError {
    /// The message without the file name.
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

/// Why a file is incomplete. Times in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Error)]
pub enum Lack {
    /// Fewer frames than the header states.
    #[error("ends after {found:.1} s of {promised:.1} s ({missing} frames are missing)")]
    Short {
        /// Seconds present.
        found: f64,
        /// Seconds stated.
        promised: f64,
        /// Frames missing.
        missing: u64,
    },
    /// The data stops in the middle, and the header states no length.
    #[error("truncated after {found:.1} s")]
    Cut {
        /// Seconds that could be read.
        found: f64,
    },
    /// The recorder wrote to a pipe, or was interrupted.
    #[error("its length was never written, so its end may be missing")]
    Unclosed,
    /// The last frame of a WAV is incomplete.
    #[error("the data ends within a frame ({bytes} of {frame} bytes present)")]
    PartialFrame {
        /// Bytes present.
        bytes: u64,
        /// Bytes of a frame.
        frame: u64,
    },
}

impl Lack {
    /// Whether all complete frames stated in the header are present.
    fn has_all_frames(self) -> bool {
        matches!(self, Lack::Unclosed | Lack::PartialFrame { .. })
    }
}

/// The name of a file in messages: as it was given.
fn name(path: &Path) -> String {
    shown(path)
}

/// The position of a corruption, as text.
fn after(at: Option<f64>) -> String {
    at.map(|at| format!(" after {at:.1} s")).unwrap_or_default()
}

/// Frames as seconds.
fn seconds(frames: u64, rate: u32) -> f64 {
    frames as f64 / f64::from(rate.max(1))
}
