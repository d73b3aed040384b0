//! Backends: who calls the callback.

pub mod clocks;
pub(crate) mod connections;
pub(crate) mod cpal;
pub mod demo_signal;
pub mod file;
pub(crate) mod jack;
pub(crate) mod null;

use thiserror::Error;

/// What happens to a backend while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum BackendEvent {
    /// The host's blocks have this many frames from now on.
    BlockSize(usize),
    /// The host runs at this rate from now on, in Hz.
    SampleRate(f64),
    /// The host runs as fast as it can, or no longer.
    Freewheel(bool),
}

impl BackendError {
    /// Whether waiting may mend it.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(self, BackendError::NoServer { .. } | BackendError::Device { passes: true, .. })
    }
}

/// Why a backend does not start.
#[derive(Debug, Error)]
pub enum BackendError {
    /// No JACK server answers.
    #[error("no {server}: {why}; {mend}")]
    NoServer {
        /// What does not answer.
        server: &'static str,
        /// What the library says.
        why: String,
        /// What to do.
        mend: String,
    },
    /// There is no libjack, or not the one that is wanted.
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
    /// A sound device is not there, or refuses.
    #[error("{device}: {why}")]
    Device {
        /// Its name, or the pattern that was to find it.
        device: String,
        /// What is wrong.
        why: String,
        /// Whether waiting may mend it.
        passes: bool,
    },
    /// The system refuses.
    #[error("{0}")]
    System(#[from] std::io::Error),
}
