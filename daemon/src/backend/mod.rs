//! Backends: who calls the callback.

pub mod clocks;
pub mod cpal;
pub mod file;
pub mod jack;
pub mod null;
pub mod patch;
pub mod programme;

use thiserror::Error;

/// `[audio]` The host's buffers for one block: all channels of all groups in a row.
pub trait Ports {
    /// Copies samples of an input channel, from frame `from` of the block on.
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]);
    /// Takes samples of an output channel, from frame `from` of the block on.
    fn write(&mut self, channel: usize, from: usize, samples: &[f64]);
}

/// `[audio]` A sample for who takes 32-bit floats: the nearest of them, never an infinity for a number.
#[inline]
pub fn narrow(sample: f64) -> f32 {
    const MOST: f64 = f32::MAX as f64;
    // A NaN and an infinity stay what they are: they have been caught where they came from, or are to be counted.
    if sample.is_finite() { sample.clamp(-MOST, MOST) as f32 } else { sample as f32 }
}

/// What happens to a backend while it runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Happening {
    /// The host's blocks have this many frames from now on.
    BlockSize(usize),
    /// The host runs at this rate from now on, in Hz.
    SampleRate(f64),
    /// The host runs as fast as it can, or no longer.
    Freewheel(bool),
}

impl BackendError {
    /// Whether waiting may mend it.
    pub fn may_pass(&self) -> bool {
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
