//! A band of an equaliser while it plays: what its sections were made for, and the detector that changes its gain.

use crate::dsp::dynamics::detector::{BandDetector, Region};
use crate::dsp::filter::band_shape::{BandFilter, BandValues, Place, Shape};
use crate::dsp::filter::cascade::SIDES;
use crate::dsp::filter::k_weighting::PROBES;
use crate::dsp::filter::matched::Matcher;
use crate::dsp::filter::svf::Coeffs;
use crate::dsp::filter::wavefront_section::StateSpace;
use std::ops::Range;

/// One band while it plays.
pub(crate) struct Band {
    /// Its shape and order.
    pub filter: BandFilter,
    /// The channels that it works on.
    pub place: Place,
    /// Whether the cascade does all of it; else only the dynamic change.
    pub is_minimum: bool,
    /// Its sections in the cascade.
    pub sections: Range<usize>,
    /// What they were made for.
    pub designed_for: BandValues,
    /// What `powers` were measured for.
    pub measured_for: BandValues,
    /// Whether the level changes its gain.
    pub is_dynamic: bool,
    /// Finds that level.
    pub detector: BandDetector,
    /// Its squared magnitude at each of [`PROBES`].
    pub powers: [f64; PROBES.len()],
}

impl Band {
    /// The values of its sections in the cascade, if the level adds `dynamic_gain` dB to its gain.
    pub(crate) fn cascaded(&self, [freq, gain, q]: [f64; 3], amount: f64, is_on: bool) -> BandValues {
        if self.is_minimum {
            ([freq, gain + amount, q], is_on)
        } else {
            ([freq, amount, q], is_on && self.filter.has_gain())
        }
    }

    /// Makes its sections in the cascade.
    pub(crate) fn design(
        &mut self,
        rate: f64,
        matcher: &Matcher,
        made: BandValues,
        targets: &mut [[StateSpace; SIDES]],
    ) {
        self.designed_for = made;
        let targets = &mut targets[self.sections.clone()];
        let place = self.place;
        let give = |section: usize, coeffs: Coeffs| targets[section] = place.coeffs(StateSpace::new(&coeffs));
        self.filter.design(rate, matcher, made, give);
    }

    /// Updates its static response at [`PROBES`].
    pub(crate) fn measure(&mut self, made: BandValues) {
        if self.measured_for == made {
            return;
        }
        self.measured_for = made;
        self.powers = self.filter.powers(made, &PROBES);
        if self.place != Place::Stereo {
            self.powers.iter_mut().for_each(|power| *power = 0.5 * (1.0 + *power));
        }
    }

    /// The part of the spectrum that its detector measures.
    pub(crate) fn detector_region(&self) -> Region {
        match self.filter.shape {
            Shape::LowShelf => Region::Below,
            Shape::HighShelf | Shape::Tilt => Region::Above,
            _ => Region::Band,
        }
    }

    /// Passes `frames` of the side-chain signal to the detector.
    pub(crate) fn update_detector<const N: usize>(
        &mut self,
        detector_signal: &[[f64; N]],
        frames: Range<usize>,
    ) {
        for frame in frames {
            match (self.place, detector_signal) {
                (Place::Left, [left, ..]) => self.detector.push(0, left[frame]),
                (Place::Right, [_, right, ..]) => self.detector.push(0, right[frame]),
                (Place::Mid, [left, right, ..]) => self.detector.push(0, 0.5 * (left[frame] + right[frame])),
                (Place::Side, [left, right, ..]) => self.detector.push(0, 0.5 * (left[frame] - right[frame])),
                _ => detector_signal
                    .iter()
                    .enumerate()
                    .for_each(|(at, plane)| self.detector.push(at, plane[frame])),
            }
        }
    }
}
