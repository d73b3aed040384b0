//! A band of an equaliser while it plays: what its sections were made for, and the detector that changes its gain.

use crate::dsp::dynamics::detector::{BandDetector, Heard};
use crate::dsp::filter::band_shape::{Form, Made, Place, Shape};
use crate::dsp::filter::cascade::SIDES;
use crate::dsp::filter::k_weighting::PROBES;
use crate::dsp::filter::matched::Matcher;
use crate::dsp::filter::svf::Coeffs;
use crate::dsp::filter::wavefront_section::Flow;
use std::ops::Range;

/// One band while it plays.
pub struct Band {
    /// Its shape and order.
    pub form: Form,
    /// The channels that it works on.
    pub place: Place,
    /// Whether all of it is done by the cascade; else its changes with the level alone.
    pub is_minimum: bool,
    /// Its sections in the cascade.
    pub sections: Range<usize>,
    /// What they were made for.
    pub made_for: Made,
    /// What `powers` were measured for.
    pub measured_for: Made,
    /// Whether the level changes its gain.
    pub is_dynamic: bool,
    /// Finds that level.
    pub detector: BandDetector,
    /// Its squared magnitude at each of [`PROBES`].
    pub powers: [f64; PROBES.len()],
}

impl Band {
    /// What its sections in the cascade are to be made for, where the level adds `amount` dB to its gain.
    pub fn cascaded(&self, [freq, gain, q]: [f64; 3], amount: f64, is_on: bool) -> Made {
        if self.is_minimum {
            ([freq, gain + amount, q], is_on)
        } else {
            ([freq, amount, q], is_on && self.form.has_gain())
        }
    }

    /// Makes its sections in the cascade.
    pub fn make(&mut self, rate: f64, matcher: &Matcher, made: Made, targets: &mut [[Flow; SIDES]]) {
        self.made_for = made;
        let targets = &mut targets[self.sections.clone()];
        let place = self.place;
        let give = |section: usize, coeffs: Coeffs| targets[section] = place.flows(Flow::new(&coeffs));
        self.form.make(rate, matcher, made, give);
    }

    /// Measures what it does, apart from what it does with the level.
    pub fn measure(&mut self, made: Made) {
        if self.measured_for == made {
            return;
        }
        self.measured_for = made;
        self.powers = self.form.powers(made, &PROBES);
        if self.place != Place::Stereo {
            self.powers.iter_mut().for_each(|power| *power = 0.5 * (1.0 + *power));
        }
    }

    /// The part of the spectrum that its detector hears.
    pub fn part(&self) -> Heard {
        match self.form.shape {
            Shape::LowShelf => Heard::Below,
            Shape::HighShelf | Shape::Tilt => Heard::Above,
            _ => Heard::Band,
        }
    }

    /// Listens to `frames` of the side-chain.
    pub fn listen<const N: usize>(&mut self, heard: &[[f64; N]], frames: Range<usize>) {
        for frame in frames {
            match (self.place, heard) {
                (Place::Left, [left, ..]) => self.detector.hear(0, left[frame]),
                (Place::Right, [_, right, ..]) => self.detector.hear(0, right[frame]),
                (Place::Mid, [left, right, ..]) => self.detector.hear(0, 0.5 * (left[frame] + right[frame])),
                (Place::Side, [left, right, ..]) => self.detector.hear(0, 0.5 * (left[frame] - right[frame])),
                _ => heard.iter().enumerate().for_each(|(at, plane)| self.detector.hear(at, plane[frame])),
            }
        }
    }
}
