//! The detector of a dynamic equaliser band: gain change from the level in the band, updated every few frames.

use crate::dsp::decibel::gain_to_db;
use crate::dsp::dynamics::curve as static_curve;
use crate::dsp::dynamics::envelope::SILENCE;
use crate::dsp::dynamics::follower::{Decoupled, Times};
use crate::dsp::filter::svf::{Coeffs, State};

/// Largest number of detector channels.
const CHANNELS: usize = 8;
/// Steps of the gain change per dB: too fine to be audible, coarse enough for the gain to come to rest.
const STEPS: f64 = 2048.0;

/// The part of the spectrum that the detector measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Region {
    /// Around the frequency.
    Band,
    /// Below the frequency.
    Below,
    /// Above the frequency.
    Above,
}

/// Static curve and times of the dynamic gain.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Curve {
    /// Threshold in dBFS, peak.
    pub threshold: f64,
    /// 1 - 1/ratio.
    pub slope: f64,
    /// Largest gain change in dB; negative reduces gain.
    pub range: f64,
    /// Attack time in ms: 63.2 % of a step in dB.
    pub attack: f64,
    /// Release time in ms: 63.2 % of a step in dB.
    pub release: f64,
}

/// A detector and its attack and release smoothing.
#[derive(Clone, Debug)]
pub(crate) struct BandDetector {
    rate: f64,
    /// Frames between two calls of [`Self::gain_change`].
    span: f64,
    filter: Coeffs,
    tuned_to: (Region, f64, f64),
    states: [State; CHANNELS],
    peak: f64,
    reduction: Decoupled,
    times: ([f64; 2], Times),
}

impl BandDetector {
    /// `[control]` At `rate` Hz; [`Self::gain_change`] is called every `span` frames.
    pub(crate) fn new(rate: f64, span: usize) -> Self {
        Self {
            rate,
            span: span as f64,
            filter: Coeffs::IDENTITY,
            tuned_to: (Region::Band, 0.0, 0.0),
            states: [State::default(); CHANNELS],
            peak: 0.0,
            reduction: Decoupled::default(),
            times: ([0.0; 2], Times::default()),
        }
    }

    /// `[audio]` Sets the measured region: around, below or above `freq` Hz. `q` applies to a band.
    pub(crate) fn tune(&mut self, region: Region, freq: f64, q: f64) {
        if self.tuned_to != (region, freq, q) {
            self.tuned_to = (region, freq, q);
            self.filter = match region {
                Region::Band => Coeffs::bandpass(self.rate, freq, q),
                Region::Below => Coeffs::lowpass(self.rate, freq, std::f64::consts::FRAC_1_SQRT_2),
                Region::Above => Coeffs::highpass(self.rate, freq, std::f64::consts::FRAC_1_SQRT_2),
            };
        }
    }

    /// `[audio]` Adds a sample of channel `channel`.
    #[inline]
    pub(crate) fn push(&mut self, channel: usize, sample: f64) {
        self.peak = self.peak.max(self.filter.tick(&mut self.states[channel], sample).abs());
    }

    /// `[audio]` The gain change in dB, from the samples since the last call.
    pub(crate) fn gain_change(&mut self, curve: &Curve) -> f64 {
        let times = [curve.attack, curve.release];
        if self.times.0 != times {
            self.times = (times, Times::new(curve.attack, curve.release, self.rate / self.span));
        }
        let level = gain_to_db(std::mem::take(&mut self.peak).max(SILENCE));
        let target =
            static_curve::reduction(level - curve.threshold, curve.slope, 0.0).min(curve.range.abs());
        // A smaller range also limits a reduction that is being released.
        let amount = self.reduction.tick(target, &self.times.1).min(curve.range.abs());
        (amount * STEPS).round() / STEPS * curve.range.signum()
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.states = [State::default(); CHANNELS];
        self.peak = 0.0;
        self.reduction = Decoupled::default();
    }
}
