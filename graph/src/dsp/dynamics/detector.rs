//! The detector of one dynamic band: how far the level in a band is above a threshold, a few frames at a time.

use crate::dsp::dynamics::curve;
use crate::dsp::dynamics::follower::{Decoupled, Times};
use crate::dsp::filter::svf::{Coeffs, State};

/// Most channels that are heard.
const CHANNELS: usize = 8;
/// Below this the detector hears silence.
const SILENCE: f64 = 1e-10;
/// Steps in a dB that the amount moves in: fine enough not to be heard, coarse enough to come to rest.
const STEPS: f64 = 2048.0;

/// Which part of the spectrum is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Around the frequency.
    Band,
    /// Below it.
    Below,
    /// Above it.
    Above,
}

/// What the level does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Law {
    /// dBFS, peak.
    pub threshold: f64,
    /// 1 - 1/ratio.
    pub slope: f64,
    /// Most that the gain changes, in dB; below 0 it is lowered.
    pub range: f64,
    /// ms, 63.2 % of a step in dB.
    pub attack: f64,
    /// ms, likewise.
    pub release: f64,
}

/// A detector and its follower.
#[derive(Clone, Debug)]
pub struct BandDetector {
    rate: f64,
    /// Frames between two calls of [`Self::amount`].
    span: f64,
    filter: Coeffs,
    made_for: (Heard, f64, f64),
    states: [State; CHANNELS],
    peak: f64,
    reduction: Decoupled,
    times: ([f64; 2], Times),
}

impl BandDetector {
    /// `[control]` At `rate` Hz; its level is asked for every `span` frames.
    pub fn new(rate: f64, span: usize) -> Self {
        Self {
            rate,
            span: span as f64,
            filter: Coeffs::WIRE,
            made_for: (Heard::Band, 0.0, 0.0),
            states: [State::default(); CHANNELS],
            peak: 0.0,
            reduction: Decoupled::default(),
            times: ([0.0; 2], Times::default()),
        }
    }

    /// `[audio]` Hears around, below or above `freq` Hz from now on.
    pub fn tune(&mut self, heard: Heard, freq: f64, q: f64) {
        if self.made_for != (heard, freq, q) {
            self.made_for = (heard, freq, q);
            self.filter = match heard {
                Heard::Band => Coeffs::bandpass(self.rate, freq, q),
                Heard::Below => Coeffs::lowpass(self.rate, freq, std::f64::consts::FRAC_1_SQRT_2),
                Heard::Above => Coeffs::highpass(self.rate, freq, std::f64::consts::FRAC_1_SQRT_2),
            };
        }
    }

    /// `[audio]` Hears a sample of channel `channel`.
    #[inline]
    pub fn hear(&mut self, channel: usize, sample: f64) {
        self.peak = self.peak.max(self.filter.tick(&mut self.states[channel], sample).abs());
    }

    /// `[audio]` The change of gain, in dB, after what was heard since the last time.
    pub fn amount(&mut self, law: &Law) -> f64 {
        let times = [law.attack, law.release];
        if self.times.0 != times {
            self.times = (times, Times::new(law.attack, law.release, self.rate / self.span));
        }
        let level = 20.0 * std::mem::take(&mut self.peak).max(SILENCE).log10();
        let wanted = curve::reduction(level - law.threshold, law.slope, 0.0).min(law.range.abs());
        // A range that is drawn in takes along what is still being let go.
        let amount = self.reduction.tick(wanted, &self.times.1).min(law.range.abs());
        (amount * STEPS).round() / STEPS * law.range.signum()
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        self.states = [State::default(); CHANNELS];
        self.peak = 0.0;
        self.reduction = Decoupled::default();
    }
}
