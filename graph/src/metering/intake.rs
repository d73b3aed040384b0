//! What meters take in: every sample that can be measured, and silence in place of what cannot.
//!
//! A NaN or an infinity has no level: it counts as 0, so that no filter remembers it and no peak is made of it. A square of
//! what lies beyond [`HIGHEST`] is near the end of f64: such a sample counts as +-[`HIGHEST`]. Both are counted. What a chain
//! is given is taken in the same way, with a limit of its own.

use crate::block::HIGHEST;
use std::borrow::Cow;

/// The sample as meters take it.
pub(crate) fn measurable(sample: f64) -> f64 {
    within(sample, HIGHEST)
}

fn within(sample: f64, most: f64) -> f64 {
    if sample.is_finite() { sample.clamp(-most, most) } else { 0.0 }
}

/// Counts what could not be taken as it came.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intake {
    /// Frames so far.
    pub frames: u64,
    /// NaNs and infinities so far, in all channels.
    pub nonfinite: u64,
    /// The first of them: its frame and its channel, counted from 0.
    pub first: Option<(u64, usize)>,
    /// Finite samples beyond the limit so far, in all channels.
    pub beyond: u64,
    most: f64,
}

impl Default for Intake {
    fn default() -> Self {
        Self::up_to(HIGHEST)
    }
}

impl Intake {
    /// One that takes samples up to `most` as they come.
    pub fn up_to(most: f64) -> Self {
        Self { frames: 0, nonfinite: 0, first: None, beyond: 0, most }
    }

    /// The limit.
    pub fn most(&self) -> f64 {
        self.most
    }

    /// Takes frames, one plane a channel: as they came, or made measurable.
    pub fn take<'a>(&mut self, planes: &'a [Vec<f64>]) -> Cow<'a, [Vec<f64>]> {
        let (begin, most) = (self.frames, self.most);
        self.frames += planes.first().map_or(0, Vec::len) as u64;
        // Without a branch for each sample, so that it is quick; it is false for NaN.
        let is_fit = |plane: &Vec<f64>| plane.iter().fold(true, |ok, sample| ok & (sample.abs() <= most));
        if planes.iter().all(is_fit) {
            return Cow::Borrowed(planes);
        }
        for (channel, plane) in planes.iter().enumerate() {
            let bad = plane.iter().enumerate().filter(|(_, sample)| !sample.is_finite());
            self.nonfinite += bad.clone().count() as u64;
            let first = bad.map(|(frame, _)| (begin + frame as u64, channel)).next();
            if self.first.is_none_or(|(frame, _)| frame >= begin) {
                self.first = self.first.into_iter().chain(first).min();
            }
            let is_beyond = |sample: &&f64| sample.is_finite() && sample.abs() > most;
            self.beyond += plane.iter().filter(is_beyond).count() as u64;
        }
        let fit = |plane: &Vec<f64>| plane.iter().map(|sample| within(*sample, most)).collect();
        Cow::Owned(planes.iter().map(fit).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_measured_is_counted_and_its_first_is_known() {
        let mut intake = Intake::default();
        let good = [vec![0.5, -HIGHEST], vec![f64::MIN_POSITIVE / 2.0, 0.0]];
        assert!(matches!(intake.take(&good), Cow::Borrowed(_)));
        let bad = [vec![0.5, 1.0, f64::NAN], vec![1e300, f64::NEG_INFINITY, f64::INFINITY]];
        let taken = intake.take(&bad).into_owned();
        assert_eq!(taken, [vec![0.5, 1.0, 0.0], vec![HIGHEST, 0.0, 0.0]]);
        intake.take(&[vec![f64::NAN], vec![f64::NAN]]);
        assert_eq!((intake.frames, intake.nonfinite, intake.first, intake.beyond), (6, 5, Some((3, 1)), 1));
    }
}
