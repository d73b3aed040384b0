//! A delay line of fixed length, one channel.

/// Holds the last `frames` samples.
#[derive(Clone, Debug)]
pub(crate) struct Delay {
    ring: Box<[f64]>,
    at: usize,
}

impl Delay {
    /// `[control]` A delay of `frames`, filled with silence. 0 frames: the signal passes unchanged.
    pub(crate) fn new(frames: usize) -> Self {
        Self { ring: vec![0.0; frames].into_boxed_slice(), at: 0 }
    }

    /// Puts a sample in and gives the one that is due.
    #[inline]
    pub(crate) fn tick(&mut self, sample: f64) -> f64 {
        let Some(place) = self.ring.get_mut(self.at) else { return sample };
        let due = std::mem::replace(place, sample);
        self.at += 1;
        if self.at == self.ring.len() {
            self.at = 0;
        }
        due
    }

    /// `[audio]` Delays `samples` in place.
    pub(crate) fn process(&mut self, samples: &mut [f64]) {
        if !self.ring.is_empty() {
            samples.iter_mut().for_each(|sample| *sample = self.tick(*sample));
        }
    }

    /// `[audio]` Fills it with silence.
    pub(crate) fn reset(&mut self) {
        self.ring.fill(0.0);
    }

    /// `[audio]` Copies the newest samples of another delay of any length. Where that one is shorter, older samples are 0.
    pub(crate) fn adopt(&mut self, old: &Delay) {
        let (mine, theirs) = (self.ring.len(), old.ring.len());
        if mine == theirs {
            self.ring.copy_from_slice(&old.ring);
            self.at = old.at;
            return;
        }
        self.ring.fill(0.0);
        let count = mine.min(theirs);
        for age in 1..=count {
            self.ring[mine - age] = old.ring[(old.at + theirs - age) % theirs];
        }
        self.at = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_adopts_a_shorter_and_a_longer_one() {
        for (old_frames, new_frames) in [(5, 5), (5, 3), (5, 9), (0, 4), (4, 0)] {
            let mut old = Delay::new(old_frames);
            let mut new = Delay::new(new_frames);
            (1..=7).for_each(|i| _ = old.tick(f64::from(i)));
            new.adopt(&old);
            for i in 8..30 {
                let known = i - new_frames as i32 > 7 - old_frames as i32;
                let due = if known { f64::from(i - new_frames as i32) } else { 0.0 };
                assert_eq!(new.tick(f64::from(i)), due, "{old_frames} to {new_frames}, sample {i}");
            }
        }
    }
}
