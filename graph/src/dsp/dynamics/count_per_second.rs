//! A count over the last second, such as repaired clicks.

/// Slices per second.
const SLICES: usize = 8;

/// A count over a sliding window of one second, in slices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CountPerSecond {
    slices: [u32; SLICES],
    at: usize,
    frames: usize,
}

impl CountPerSecond {
    /// `[audio]` Adds `count` events.
    pub(crate) fn add(&mut self, count: usize) {
        self.slices[self.at] += count as u32;
    }

    /// `[audio]` Advances the window by `frames`, at `rate` Hz.
    pub(crate) fn advance(&mut self, frames: usize, rate: f64) {
        self.frames += frames;
        let slice = rate as usize / SLICES;
        if self.frames >= slice {
            self.frames -= slice;
            self.at = (self.at + 1) % SLICES;
            self.slices[self.at] = 0;
        }
    }

    /// The count of the last second; the window is accurate to an eighth of a second.
    pub(crate) fn sum(&self) -> f64 {
        f64::from(self.slices.iter().sum::<u32>())
    }
}
