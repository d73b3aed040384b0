//! Backends: a JACK server, sound devices, a timer or a file, which call the callback.

pub mod clocks;
pub(crate) mod connections;
pub(crate) mod cpal;
pub mod demo_signal;
pub mod file;
pub(crate) mod jack;
pub(crate) mod null;

use thiserror::Error;

/// What changes in a backend while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BackendEvent {
    /// From now on the host's blocks have this many frames.
    BlockSize(usize),
    /// From now on the host runs at this rate, in Hz.
    SampleRate(f64),
    /// Freewheel begins (the host runs as fast as it can) or ends.
    Freewheel(bool),
}

impl BackendError {
    /// Whether it may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, BackendError::NoServer { .. } | BackendError::Device { is_transient: true, .. })
    }
}

/// Why a backend does not start.
#[derive(Debug, Error)]
pub enum BackendError {
    /// No JACK server answers.
    #[error("no {server}: {why}; {fix}")]
    NoServer {
        /// What does not answer.
        server: &'static str,
        /// What the library says.
        why: String,
        /// What to do.
        fix: String,
    },
    /// There is no libjack, or not the one that the station names.
    #[error("no JACK library: {0}")]
    NoLibrary(String),
    /// The server refuses.
    #[error("JACK: {doing}: {why}")]
    Jack {
        /// What was being done.
        doing: String,
        /// The server's answer.
        why: String,
    },
    /// A sound device does not exist, or refuses.
    #[error("{device}: {why}")]
    Device {
        /// Its name, or the pattern that the station has for it.
        device: String,
        /// What is wrong.
        why: String,
        /// Whether it may succeed later.
        is_transient: bool,
    },
    /// The system refuses.
    #[error("{0}")]
    System(#[from] std::io::Error),
}
