//! The input of the meters: samples that cannot be measured are replaced, and counted.
//!
//! NaN and infinity have no level: they are measured as 0, so that they do not stay in a filter or count as a peak. The
//! square of a sample beyond [`HIGHEST`] could overflow f64: it is measured as ±[`HIGHEST`]. Both are counted.

use crate::block::HIGHEST;
use std::borrow::Cow;

/// The sample as it is measured.
pub(crate) fn measurable(sample: f64) -> f64 {
    within(sample, HIGHEST)
}

fn within(sample: f64, most: f64) -> f64 {
    if sample.is_finite() { sample.clamp(-most, most) } else { 0.0 }
}

/// Counts the samples that cannot be taken unchanged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Intake {
    /// Number of frames so far.
    pub frames: u64,
    /// Number of NaN and infinite samples so far, in all channels.
    pub nonfinite: u64,
    /// Frame and channel of the first of them, counted from 0.
    pub first: Option<(u64, usize)>,
    /// Number of finite samples beyond [`HIGHEST`] so far, in all channels.
    pub beyond: u64,
    most: f64,
}

impl Default for Intake {
    fn default() -> Self {
        Self::up_to(HIGHEST)
    }
}

impl Intake {
    /// Samples up to `most` are taken unchanged.
    pub fn up_to(most: f64) -> Self {
        Self { frames: 0, nonfinite: 0, first: None, beyond: 0, most }
    }

    /// The limit.
    pub fn most(&self) -> f64 {
        self.most
    }

    /// Counts the samples of some frames, one plane per channel. Returns them as they are to be used.
    pub fn accept<'a>(&mut self, planes: &'a [Vec<f64>]) -> Cow<'a, [Vec<f64>]> {
        let (begin, most) = (self.frames, self.most);
        self.frames += planes.first().map_or(0, Vec::len) as u64;
        // No branch per sample, so it is fast; the comparison is false for NaN.
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
    fn samples_that_cannot_be_measured_are_counted_and_the_first_is_known() {
        let mut intake = Intake::default();
        let good = [vec![0.5, -HIGHEST], vec![f64::MIN_POSITIVE / 2.0, 0.0]];
        assert!(matches!(intake.accept(&good), Cow::Borrowed(_)));
        let bad = [vec![0.5, 1.0, f64::NAN], vec![1e300, f64::NEG_INFINITY, f64::INFINITY]];
        let accepted = intake.accept(&bad).into_owned();
        assert_eq!(accepted, [vec![0.5, 1.0, 0.0], vec![HIGHEST, 0.0, 0.0]]);
        intake.accept(&[vec![f64::NAN], vec![f64::NAN]]);
        assert_eq!((intake.frames, intake.nonfinite, intake.first, intake.beyond), (6, 5, Some((3, 1)), 1));
    }
}
