//! The file backend: the same callback, driven block by block from memory.

use crate::audio::callback::Callback;
use crate::audio::ports::Ports;

/// One block in memory: planar, all channels of all groups in a row.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Input channels.
    pub inputs: Vec<Vec<f64>>,
    /// Output channels, as long as the inputs after [`Memory::run`].
    pub outputs: Vec<Vec<f64>>,
}

impl Ports for Memory {
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]) {
        into.copy_from_slice(&self.inputs[channel][from..from + into.len()]);
    }

    fn write(&mut self, channel: usize, from: usize, samples: &[f64]) {
        self.outputs[channel][from..from + samples.len()].copy_from_slice(samples);
    }
}

impl Memory {
    /// Silence: so many channels in and out.
    pub fn new(inputs: usize, outputs: usize) -> Self {
        Self { inputs: vec![Vec::new(); inputs], outputs: vec![Vec::new(); outputs] }
    }

    /// Runs the callback over all of the input as one block.
    pub fn run(&mut self, callback: &mut Callback) {
        let frames = self.inputs.first().map_or(0, Vec::len);
        self.outputs.iter_mut().for_each(|channel| channel.resize(frames, 0.0));
        callback.block(frames, self);
    }
}
