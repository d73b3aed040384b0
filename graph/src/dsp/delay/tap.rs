//! A delay with variable time. A new time is reached by a short crossfade, so the pitch does not change.

use crate::dsp::fade::Fade;

/// Samples that are copied per frame, in all channels.
const SHARE: usize = 64;
/// Frames to report while the copy is not complete: more than the next block.
const AT_LEAST: usize = 65;

/// A delay line of one channel with a movable tap.
#[derive(Clone, Debug)]
pub(crate) struct Tap {
    ring: Box<[f64]>,
    at: usize,
    /// Delays in frames: the current one, and the one that is faded in.
    from: usize,
    to: usize,
    fade: Fade,
    /// Number of newest samples that are those of the tap that it adopted; only read during the adoption.
    adopted: usize,
}

impl Tap {
    /// `[control]` A delay of up to `most` frames. The crossfade to a new time takes `fade_frames`.
    pub(crate) fn new(most: usize, fade_frames: u32) -> Self {
        let ring = vec![0.0; most + 1].into_boxed_slice();
        Self { ring, at: 0, from: 0, to: 0, fade: Fade::new(fade_frames, true), adopted: 0 }
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

    /// `[audio]` Copies the newest `most` samples of another one, and its time. This one must be new.
    /// [`Self::adopt_more`] copies the others.
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
        self.adopted = count;
    }

    /// `[audio]` Copies at most `most` older samples, after both have played `frames` more. Returns how many are missing.
    pub(crate) fn adopt_more(&mut self, old: &Self, frames: usize, most: usize) -> usize {
        let (mine, theirs) = (self.ring.len(), old.ring.len());
        let all = mine.min(theirs);
        let known = (self.adopted + frames).min(all);
        self.adopted = all.min(known + most);
        for age in known + 1..=self.adopted {
            let back = |at: usize, size: usize| if at >= age { at - age } else { at + size - age };
            self.ring[back(self.at, mine)] = old.ring[back(old.at, theirs)];
        }
        all - self.adopted
    }

    /// `[audio]` The same for the taps of several channels, at [`SHARE`] samples per frame. Returns the least number of
    /// frames until nothing is missing.
    pub(crate) fn adopt_more_of(taps: &mut [Self], old: &[Self], frames: usize) -> usize {
        let most = frames * SHARE / taps.len().max(1);
        let missing = taps.iter_mut().zip(old).map(|(tap, old)| tap.adopt_more(old, frames, most));
        let missing = missing.max().unwrap_or(0);
        // Each frame makes one more sample known by itself.
        if missing == 0 { 0 } else { AT_LEAST.min(missing) }
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
    fn a_tap_adopts_another_at_once_or_in_pieces() {
        for (most, size) in [(1_000, 60), (7, 60), (7, 40), (0, 33)] {
            let (mut old, mut new) = (Tap::new(40, 10), Tap::new(size, 10));
            old.set(25);
            (0..100).for_each(|n| _ = old.tick(f64::from(n), 25));
            new.adopt(&old, most);
            let mut n = 100;
            let mut frames = 0;
            while new.adopt_more(&old, frames, 3) > 0 {
                frames = 2;
                for _ in 0..frames {
                    [&mut old, &mut new].into_iter().for_each(|tap| _ = tap.tick(f64::from(n), 25));
                    n += 1;
                }
            }
            assert!(n < 117, "complete before the tap would have filled by itself: {n}");
            for n in n..n + 100 {
                // A longer time reaches samples that were not in use.
                assert_eq!(new.tick(f64::from(n), 32), old.tick(f64::from(n), 32), "{most} of {size}");
            }
        }
    }
}
