//! The gain computer of a compressor: from the side-chain signal to a gain for each channel.
//!
//! Sources: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6), 2012 (static
//! curve, detector); the same, *Parameter Automation in a Dynamic Range Compressor*, JAES 61(10), 2013 (times that
//! follow the crest factor).

use crate::dsp::decibel::{db_to_gain_by_exp, gain_to_db_by_ln};
use crate::dsp::dynamics::curve;
use crate::dsp::dynamics::envelope::SILENCE;
use crate::dsp::dynamics::follower::{Decoupled, Times, one_pole};
use crate::dsp::filter::svf::{Coeffs, State};
use std::f64::consts::FRAC_1_SQRT_2;

/// Largest number of channels.
pub(crate) const CHANNELS: usize = 8;
/// Steepest slope of a feedback loop, that of the highest finite ratio: an infinite ratio would be unstable.
const STEEPEST_LOOP: f64 = 0.98;
/// Times of the automatic release in ms: of the fast stage; rise and fall of the slow stage.
const AUTO_RELEASE_MS: [f64; 3] = [60.0, 400.0, 1500.0];
/// Averaging time of the crest factor in ms, as in the paper.
const CREST_MS: f64 = 200.0;
/// Peak hold in ms: half a period of the lowest tone whose peaks read as a constant level.
const PEAK_HOLD_MS: f64 = 20.0;
/// Upward compression: below the first level in dBFS the boost decreases, below the second there is none; and the largest
/// boost in dB.
const QUIET: [f64; 2] = [-60.0, -80.0];
const MOST_RAISED: f64 = 24.0;

/// How the detector measures the level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Detector {
    /// The magnitude of each sample.
    #[default]
    Peak,
    /// The root mean square; a sine reads 3.01 dB below its peak.
    Rms,
    /// The magnitude, with attack and release that shorten as the crest factor grows; for a sine they are as set.
    Program,
}

/// Structure of a gain computer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// How the level is measured.
    pub detector: Detector,
    /// Whether it compresses upward: boosts below the threshold instead of reducing above it.
    pub upward: bool,
    /// Whether the side-chain signal is the output.
    pub feedback: bool,
}

/// Parameters, all as unit values.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// Threshold in dBFS.
    pub threshold: f64,
    /// 1 - 1/ratio.
    pub slope: f64,
    /// Width of the knee in dB.
    pub knee: f64,
    /// Largest gain change in dB.
    pub range: f64,
    /// Attack time in ms.
    pub attack: f64,
    /// Release time in ms; `None` is automatic.
    pub release: Option<f64>,
    /// Hold time in ms.
    pub hold: f64,
    /// Time constant of the RMS detector in ms.
    pub rms_window: f64,
    /// Channel link, 0..=1.
    pub link: f64,
    /// The filters of the side-chain.
    pub key: KeyValues,
}

/// The filters of the side-chain; `None` is off.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct KeyValues {
    /// Cutoff frequency of the high-pass in Hz.
    pub highpass: Option<f64>,
    /// Cutoff frequency of the low-pass in Hz.
    pub lowpass: Option<f64>,
    /// The bell: frequency in Hz, gain in dB, Q.
    pub bell: [f64; 3],
}

/// The gain computer of all channels of a compressor.
#[derive(Clone, Debug)]
pub(crate) struct GainComputer {
    rate: f64,
    shape: Shape,
    values: Values,
    /// Whether `values` have been set.
    is_set: bool,
    times: Times,
    filters: [Coeffs; 3],
    averaging: f64,
    crest: f64,
    /// Length of the peak hold in frames, and the pole of the decay after it.
    peak_hold: (u32, f64),
    channels: [Channel; CHANNELS],
}

/// The lowest and the highest gain of some frames.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GainRange([f64; 2]);

impl GainRange {
    /// Of no frame.
    pub(crate) const NONE: Self = Self([f64::INFINITY, 0.0]);

    /// `[audio]` Adds the gains of a frame.
    #[inline]
    pub(crate) fn add(&mut self, gains: &[f64]) {
        let [mut lowest, mut highest] = self.0;
        for gain in gains {
            // Without the care of `min` and `max` for NaN, which takes instructions.
            lowest = if *gain < lowest { *gain } else { lowest };
            highest = if *gain > highest { *gain } else { highest };
        }
        self.0 = [lowest, highest];
    }

    /// `[audio]` What is heard of them, if `wet` is the share of the compressed signal.
    pub(crate) fn heard(&self, wet: f64) -> [f64; 2] {
        self.0.map(|gain| 1.0 - wet + wet * gain)
    }
}

/// State of one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    key: [State; 3],
    mean_square: f64,
    peak_square: f64,
    /// The held peak, and the remaining frames of the hold.
    peak: f64,
    holding: u32,
    reduction: Decoupled,
}

impl Channel {
    /// The level with peak hold: it does not fall between two half-waves.
    fn hold_peak(&mut self, level: f64, (frames, decay): (u32, f64)) -> f64 {
        if level >= self.peak {
            (self.peak, self.holding) = (level, frames);
        } else if self.holding > 0 {
            self.holding -= 1;
        } else {
            self.peak = level + decay * (self.peak - level);
        }
        self.peak
    }
}

impl GainComputer {
    /// `[control]` At `rate` Hz.
    pub(crate) fn new(rate: f64, shape: Shape) -> Self {
        Self {
            rate,
            shape,
            values: Values::default(),
            is_set: false,
            times: Times::default(),
            filters: [Coeffs::IDENTITY; 3],
            averaging: 0.0,
            crest: one_pole(CREST_MS, rate),
            peak_hold: ((PEAK_HOLD_MS * rate / 1000.0) as u32, one_pole(PEAK_HOLD_MS / 2.0, rate)),
            channels: [Channel::default(); CHANNELS],
        }
    }

    /// `[audio]` Sets whether the side-chain signal is the output. To be called before [`Self::set`].
    pub(crate) fn set_feedback(&mut self, feedback: bool) {
        self.shape.feedback = feedback;
    }

    /// `[audio]` Sets the parameters.
    pub(crate) fn set(&mut self, values: &Values) {
        let before = std::mem::replace(&mut self.values, *values);
        let is_first = !std::mem::replace(&mut self.is_set, true);
        let is_new = |new: f64, old: f64| is_first || new != old;
        let has_times = before.release != values.release || is_new(values.hold, before.hold);
        if has_times || is_new(values.attack, before.attack) {
            let [fast, rise, fall] = AUTO_RELEASE_MS;
            self.times = Times::new(values.attack, values.release.unwrap_or(fast), self.rate);
            if values.release.is_none() {
                self.times.floor = Some([rise, fall].map(|ms| one_pole(ms, self.rate)));
            }
            self.times.hold = (values.hold * self.rate / 1000.0).round() as u32;
        }
        if is_new(values.rms_window, before.rms_window) {
            self.averaging = one_pole(values.rms_window, self.rate);
        }
        if is_first || values.key != before.key {
            let KeyValues { highpass, lowpass, bell: [freq, gain, q] } = values.key;
            let or_identity = |filter: Option<Coeffs>| filter.unwrap_or(Coeffs::IDENTITY);
            self.filters = [
                or_identity(highpass.map(|hz| Coeffs::highpass(self.rate, hz, FRAC_1_SQRT_2))),
                or_identity(lowpass.map(|hz| Coeffs::lowpass(self.rate, hz, FRAC_1_SQRT_2))),
                or_identity((gain != 0.0).then(|| Coeffs::bell(self.rate, freq, gain, q))),
            ];
        }
    }

    /// `[audio]` Advances by one frame: `key` is a frame of the side-chain signal; returns the gain of each of `width` channels.
    /// If the side-chain has another number of channels, all channels are linked.
    #[inline]
    pub(crate) fn tick(&mut self, key: &[f64], width: usize) -> [f64; CHANNELS] {
        let mut levels = [SILENCE; CHANNELS];
        let mut highest = SILENCE;
        let [highpass, lowpass, bell] = self.filters;
        for ((key, channel), level) in key.iter().zip(&mut self.channels).zip(&mut levels) {
            let mut key = *key;
            for (filter, state) in [highpass, lowpass, bell].iter().zip(&mut channel.key) {
                if !filter.is_identity() {
                    key = filter.tick(state, key);
                }
            }
            let square = key * key;
            match self.shape.detector {
                Detector::Peak if self.shape.upward => *level = channel.hold_peak(key.abs(), self.peak_hold),
                Detector::Peak => *level = key.abs(),
                Detector::Rms => {
                    channel.mean_square = square + self.averaging * (channel.mean_square - square);
                    *level = channel.mean_square.sqrt();
                }
                Detector::Program => {
                    *level = channel.hold_peak(key.abs(), self.peak_hold);
                    let mean = square + self.crest * (channel.mean_square - square);
                    let peak = square.max(square + self.crest * (channel.peak_square - square));
                    (channel.mean_square, channel.peak_square) = (mean, peak);
                }
            }
            *level = level.max(SILENCE);
            highest = highest.max(*level);
        }
        let link = if key.len() == width { self.values.link } else { 1.0 };
        let mut gains = [1.0; CHANNELS];
        let highest_db = gain_to_db_by_ln(highest);
        let linked = self.target_reduction(highest_db);
        let mut last = (f64::NAN, 1.0);
        for channel in 0..width {
            let target = if link == 1.0 {
                linked
            } else {
                let own = gain_to_db_by_ln(levels[channel]);
                self.target_reduction(own + link * (highest_db - own))
            };
            let times = self.times_of(channel);
            let reduction = self.channels[channel].reduction.tick(target, &times);
            if reduction != last.0 {
                last = (reduction, db_to_gain_by_exp(-reduction));
            }
            gains[channel] = last.1;
        }
        gains
    }

    /// The reduction of the static curve at `level` dBFS, in dB; negative for a boost.
    fn target_reduction(&self, level: f64) -> f64 {
        let Values { threshold, slope, knee, range, .. } = self.values;
        let over = level - threshold;
        if self.shape.upward {
            let [from, to] = QUIET;
            let share = ((level - to) / (from - to)).clamp(0.0, 1.0);
            return -share * curve::reduction(-over, slope, knee).min(range).min(MOST_RAISED);
        }
        let reduction = if self.shape.feedback {
            curve::reduction_by_output(over, slope.min(STEEPEST_LOOP), knee)
        } else {
            curve::reduction(over, slope, knee)
        };
        reduction.min(range)
    }

    fn times_of(&self, channel: usize) -> Times {
        if self.shape.detector != Detector::Program {
            return self.times;
        }
        let Channel { mean_square, peak_square, .. } = self.channels[channel];
        // The squared crest factor of a sine is 2.
        let crest = (peak_square / mean_square.max(SILENCE * SILENCE)).clamp(0.5, 100.0) / 2.0;
        // exp(-c x) from p = exp(-x): accurate for small x, stable for all.
        let faster = |pole: f64| 1.0 / (1.0 + crest * (1.0 / pole - 1.0));
        Times { attack: faster(self.times.attack), release: faster(self.times.release), ..self.times }
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.channels = [Channel::default(); CHANNELS];
    }

    /// `[audio]` Adopts the state of another one that measures the level and compresses in the same way. Whether the
    /// side-chain signal is the output makes no difference to the state.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if (self.shape.detector, self.shape.upward) == (old.shape.detector, old.shape.upward) {
            self.channels = old.channels;
        }
    }
}
