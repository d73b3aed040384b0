//! The host's buffers, as the callback reads and writes them.

/// `[audio]` The host's buffers for one block: all channels of all groups in a row.
pub trait Ports {
    /// Copies samples of an input channel, from frame `from` of the block on.
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]);
    /// Takes samples of an output channel, from frame `from` of the block on.
    fn write(&mut self, channel: usize, from: usize, samples: &[f64]);
}
