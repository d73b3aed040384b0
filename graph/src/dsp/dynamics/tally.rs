//! How much there was in the last second.

/// Slices of a second.
const SLICES: usize = 8;

/// Sums of a sliding second, in slices.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    slices: [u32; SLICES],
    at: usize,
    frames: usize,
}

impl Tally {
    /// Adds `count`.
    pub fn add(&mut self, count: usize) {
        self.slices[self.at] += count as u32;
    }

    /// Goes on by `frames` of `rate` a second.
    pub fn advance(&mut self, frames: usize, rate: f64) {
        self.frames += frames;
        let slice = rate as usize / SLICES;
        if self.frames >= slice {
            self.frames -= slice;
            self.at = (self.at + 1) % SLICES;
            self.slices[self.at] = 0;
        }
    }

    /// The sum of the last second, to an eighth.
    pub fn sum(&self) -> f64 {
        f64::from(self.slices.iter().sum::<u32>())
    }
}
