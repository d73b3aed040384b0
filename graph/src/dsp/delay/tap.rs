//! A delay with variable time. A new time is reached by a short crossfade, so the pitch does not change.

use crate::dsp::fade::Fade;

/// A delay line of one channel with a movable tap.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    ring: Box<[f64]>,
    at: usize,
    /// Delays in frames: the current one, and the one that is faded in.
    from: usize,
    to: usize,
    fade: Fade,
}

impl Tap {
    /// `[control]` A delay of up to `most` frames. The crossfade to a new time takes `fade_frames`.
    pub(crate) fn new(most: usize, fade_frames: u32) -> Self {
        let ring = vec![0.0; most + 1].into_boxed_slice();
        Self { ring, at: 0, from: 0, to: 0, fade: Fade::new(fade_frames, true) }
    }

    /// `[audio]` Sets the delay to `frames` without a crossfade.
    pub(crate) fn set(&mut self, frames: usize) {
        self.to = frames.min(self.ring.len() - 1);
        self.from = self.to;
    }

    /// `[audio]` Writes a sample and returns the one of `frames` before. A new time waits for the end of a running crossfade.
    #[inline]
    pub(crate) fn tick(&mut self, sample: f64, frames: usize) -> f64 {
        self.ring[self.at] = sample;
        if self.fade.steady() == Some(1.0) {
            let target = frames.min(self.ring.len() - 1);
            if target == self.to {
                let delayed = self.read_back(self.to);
                self.step();
                return delayed;
            }
            (self.from, self.to) = (self.to, target);
            self.fade = Fade::new(self.fade.frames(), false);
            self.fade.set_target(true);
        }
        let (from, to) = (self.read_back(self.from), self.read_back(self.to));
        self.step();
        from + self.fade.tick() * (to - from)
    }

    fn step(&mut self) {
        self.at = if self.at + 1 == self.ring.len() { 0 } else { self.at + 1 };
    }

    fn read_back(&self, frames: usize) -> f64 {
        let size = self.ring.len();
        self.ring[if self.at >= frames { self.at - frames } else { self.at + size - frames }]
    }

    /// `[audio]` Fills it with silence.
    pub(crate) fn reset(&mut self) {
        self.ring.fill(0.0);
        self.at = 0;
        self.fade = Fade::new(self.fade.frames(), true);
    }

    /// Number of newest samples that are in use, as long as the time does not change.
    pub(crate) fn reach(&self) -> usize {
        self.from.max(self.to) + 1
    }

    /// `[audio]` Copies the newest `most` samples of another one, and its time. This one must be new.
    pub(crate) fn adopt(&mut self, old: &Self, most: usize) {
        let (mine, theirs) = (self.ring.len(), old.ring.len());
        let count = mine.min(theirs).min(most);
        let (_, newest) = self.ring.split_at_mut(mine - count);
        // The newest samples lie before `at`, the older ones at the end of the ring.
        let late = old.at.min(count);
        let (early, newest) = newest.split_at_mut(count - late);
        early.copy_from_slice(&old.ring[theirs - early.len()..]);
        newest.copy_from_slice(&old.ring[old.at - late..old.at]);
        self.at = 0;
        (self.from, self.to, self.fade) = (old.from.min(mine - 1), old.to.min(mine - 1), old.fade);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tap_delays_exactly_and_moves_without_a_step() {
        let mut tap = Tap::new(100, 50);
        tap.set(7);
        let out: Vec<f64> = (0..20).map(|n| tap.tick(f64::from(n), 7)).collect();
        assert_eq!(out[10..], [3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        let moved: Vec<f64> = (20..120).map(|n| tap.tick(f64::from(n), 30)).collect();
        assert_eq!(moved[99], 119.0 - 30.0);
        assert!(moved.windows(2).all(|pair| (pair[1] - pair[0]).abs() < 2.0), "no step during the move");
    }

    #[test]
    fn a_tap_adopts_another() {
        let (mut old, mut new) = (Tap::new(40, 10), Tap::new(60, 10));
        old.set(25);
        (0..100).for_each(|n| _ = old.tick(f64::from(n), 25));
        new.adopt(&old, 1_000);
        for n in 100..200 {
            assert_eq!(new.tick(f64::from(n), 25), old.tick(f64::from(n), 25));
        }
    }
}
