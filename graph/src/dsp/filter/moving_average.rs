//! Two moving averages in series, without cumulative rounding errors.
//!
//! The sums are integers in units of 2^-36 (−217 dB), so they do not drift in months of running, and a constant input
//! of 1 gives exactly 1.

const ONE: f64 = (1_u64 << 36) as f64;
/// Lowest value that is smoothed as exactly as a limiter needs it: a sixteenth of it is a step.
pub(crate) const LEAST: f64 = 16.0 / ONE;
/// Below this, -96 dB, a value is rounded down: a step is no longer little beside it, and a gain must not come out too high.
const SMALL: f64 = (1_u64 << 20) as f64;

/// A smoother with a triangular (or trapezoidal) impulse response, for values in 0..=1.
#[derive(Clone, Debug)]
pub(crate) struct MovingAverages {
    first: Ring,
    second: Ring,
    scale: f64,
}

#[derive(Clone, Debug)]
struct Ring {
    held: Box<[u64]>,
    at: usize,
    sum: u64,
}

impl Ring {
    fn new(frames: usize, value: u64) -> Self {
        Self { held: vec![value; frames].into_boxed_slice(), at: 0, sum: value * frames as u64 }
    }

    #[inline]
    fn tick(&mut self, value: u64) -> u64 {
        let old = std::mem::replace(&mut self.held[self.at], value);
        self.at = if self.at + 1 == self.held.len() { 0 } else { self.at + 1 };
        self.sum = self.sum + value - old;
        self.sum
    }

    fn fill(&mut self, value: u64) {
        self.held.fill(value);
        self.sum = value * self.held.len() as u64;
    }

    fn adopt(&mut self, old: &Ring) {
        if self.held.len() == old.held.len() {
            self.held.copy_from_slice(&old.held);
            (self.at, self.sum) = (old.at, old.sum);
        }
    }
}

impl MovingAverages {
    /// `[control]` Smooths over `frames` values (1 to 16384) in total; at rest at 1.
    pub(crate) fn new(frames: usize) -> Self {
        let frames = frames.clamp(1, 16_384);
        let first = frames.div_ceil(2);
        let second = frames + 1 - first;
        let one = ONE as u64;
        Self {
            first: Ring::new(first, one),
            second: Ring::new(second, one * first as u64),
            scale: ONE * first as f64 * second as f64,
        }
    }

    /// `[audio]` Adds a value (0..=1) and returns the smoothed one.
    #[inline]
    pub(crate) fn tick(&mut self, value: f64) -> f64 {
        let value = value.clamp(0.0, 1.0) * ONE;
        let value = if value < SMALL { value } else { value.round() } as u64;
        self.second.tick(self.first.tick(value)) as f64 / self.scale
    }

    /// `[audio]` Returns to rest at 1.
    pub(crate) fn reset(&mut self) {
        let one = ONE as u64;
        self.first.fill(one);
        self.second.fill(one * self.first.held.len() as u64);
    }

    /// `[audio]` Adopts the state of another one of the same length.
    pub(crate) fn adopt(&mut self, old: &MovingAverages) {
        self.first.adopt(&old.first);
        self.second.adopt(&old.second);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_takes_exactly_the_given_frames_and_rest_is_exact() {
        for frames in [1, 2, 3, 72, 241] {
            let mut averages = MovingAverages::new(frames);
            let path: Vec<f64> = (0..frames).map(|_| averages.tick(0.25)).collect();
            assert_eq!(path[frames - 1], 0.25);
            assert!(frames == 1 || path[frames - 2] > 0.25);
            (0..100_000_u64).for_each(|i| _ = averages.tick(((i * 7919) % 1000) as f64 / 1000.0));
            (0..frames).for_each(|_| _ = averages.tick(1.0));
            assert_eq!(averages.tick(1.0), 1.0);
        }
    }
}
