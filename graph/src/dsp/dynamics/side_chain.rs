//! The heart of a compressor: from what the side-chain hears to a gain for each channel.
//!
//! Sources: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6), 2012 (static
//! curve, detector); the same, *Parameter Automation in a Dynamic Range Compressor*, JAES 61(10), 2013 (times that
//! follow the crest factor).

use crate::dsp::dynamics::curve;
use crate::dsp::dynamics::follower::{Decoupled, Times, one_pole};
use crate::dsp::filter::svf::{Coeffs, State};
use std::f64::consts::{FRAC_1_SQRT_2, LN_10};

/// Most channels.
pub const CHANNELS: usize = 8;
/// Below this the detector hears silence.
const SILENCE: f64 = 1e-10;
/// Slope of the highest finite ratio, where a loop must not have an infinite one.
const STEEPEST_LOOP: f64 = 0.98;
/// Release of single peaks, and rise and fall of the floor below dense passages, where it is automatic, in ms.
const AUTO_RELEASE_MS: [f64; 3] = [60.0, 400.0, 1500.0];
/// Averaging of the crest factor, in ms: the paper's.
const CREST_MS: f64 = 200.0;
/// Half a period of the lowest tone whose peaks count as one level, in ms.
const PEAK_HOLD_MS: f64 = 20.0;
/// Upward: what is below the first is raised ever less, what is below the second not at all, in dBFS; the most, in dB.
const QUIET: [f64; 2] = [-60.0, -80.0];
const MOST_RAISED: f64 = 24.0;

/// What of the side-chain counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detector {
    /// The magnitude of each sample.
    #[default]
    Peak,
    /// The root of the mean square; a sine reads 3.01 dB lower than its peak.
    Rms,
    /// The magnitude, with times that shorten as the crest factor grows; on a sine they are those that are set.
    Program,
}

/// How it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// What counts.
    pub detector: Detector,
    /// Whether what is below the threshold is raised, in place of what is above being lowered.
    pub upward: bool,
    /// Whether the side-chain hears the output.
    pub feedback: bool,
}

/// What can be turned, all in the units of files.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Values {
    /// dBFS.
    pub threshold: f64,
    /// 1 - 1/ratio.
    pub slope: f64,
    /// dB.
    pub knee: f64,
    /// Most change of gain, dB.
    pub range: f64,
    /// ms.
    pub attack: f64,
    /// ms; `None` is automatic.
    pub release: Option<f64>,
    /// ms.
    pub hold: f64,
    /// ms.
    pub rms_window: f64,
    /// 0..=1.
    pub link: f64,
    /// The side-chain's equaliser.
    pub key: KeyValues,
}

/// Corners of the side-chain's filters, and its bell: Hz, dB, q.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct KeyValues {
    /// Hz.
    pub highpass: Option<f64>,
    /// Hz.
    pub lowpass: Option<f64>,
    /// Hz, dB, q.
    pub bell: [f64; 3],
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Dynamics {
    rate: f64,
    shape: Shape,
    values: Values,
    /// Whether `values` were ever set.
    is_set: bool,
    times: Times,
    filters: [Coeffs; 3],
    averaging: f64,
    crest: f64,
    /// Frames of the hold, and the decay after it.
    peak_hold: (u32, f64),
    channels: [Channel; CHANNELS],
}

/// What a channel remembers.
#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    key: [State; 3],
    mean_square: f64,
    peak_square: f64,
    /// The last peak, and the frames that it is held.
    peak: f64,
    holding: u32,
    reduction: Decoupled,
}

impl Channel {
    /// The level of the last peak: between two half-waves nothing falls under a threshold from above.
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

impl Dynamics {
    /// `[control]` At `rate` Hz.
    pub fn new(rate: f64, shape: Shape) -> Self {
        Self {
            rate,
            shape,
            values: Values::default(),
            is_set: false,
            times: Times::default(),
            filters: [Coeffs::WIRE; 3],
            averaging: 0.0,
            crest: one_pole(CREST_MS, rate),
            peak_hold: ((PEAK_HOLD_MS * rate / 1000.0) as u32, one_pole(PEAK_HOLD_MS / 2.0, rate)),
            channels: [Channel::default(); CHANNELS],
        }
    }

    /// `[audio]` Whether the side-chain hears the output; said before [`Self::set`].
    pub fn hear_itself(&mut self, feedback: bool) {
        self.shape.feedback = feedback;
    }

    /// `[audio]` Works with `values` from now on.
    pub fn set(&mut self, values: &Values) {
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
            let or_wire = |filter: Option<Coeffs>| filter.unwrap_or(Coeffs::WIRE);
            self.filters = [
                or_wire(highpass.map(|hz| Coeffs::highpass(self.rate, hz, FRAC_1_SQRT_2))),
                or_wire(lowpass.map(|hz| Coeffs::lowpass(self.rate, hz, FRAC_1_SQRT_2))),
                or_wire((gain != 0.0).then(|| Coeffs::bell(self.rate, freq, gain, q))),
            ];
        }
    }

    /// `[audio]` Hears one frame of the side-chain and gives the gain of each of `width` channels. All of a side-chain of
    /// another width are heard together.
    #[inline]
    pub fn tick(&mut self, key: &[f64], width: usize) -> [f64; CHANNELS] {
        let mut levels = [SILENCE; CHANNELS];
        let mut highest = SILENCE;
        let [highpass, lowpass, bell] = self.filters;
        for ((key, channel), level) in key.iter().zip(&mut self.channels).zip(&mut levels) {
            let mut key = *key;
            for (filter, state) in [highpass, lowpass, bell].iter().zip(&mut channel.key) {
                if !filter.is_wire() {
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
        let highest_db = decibels(highest);
        let together = self.wanted(highest_db);
        let mut last = (f64::NAN, 1.0);
        for channel in 0..width {
            let wanted = if link == 1.0 {
                together
            } else {
                let own = decibels(levels[channel]);
                self.wanted(own + link * (highest_db - own))
            };
            let times = self.times_of(channel);
            let reduction = self.channels[channel].reduction.tick(wanted, &times);
            if reduction != last.0 {
                last = (reduction, (-reduction * (LN_10 / 20.0)).exp());
            }
            gains[channel] = last.1;
        }
        gains
    }

    /// The reduction that the static curve wants at `level` dBFS.
    fn wanted(&self, level: f64) -> f64 {
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
        // A sine has 2.
        let crest = (peak_square / mean_square.max(SILENCE * SILENCE)).clamp(0.5, 100.0) / 2.0;
        // exp(-c x), from p = exp(-x), near enough for small x, and stable for all.
        let faster = |pole: f64| 1.0 / (1.0 + crest * (1.0 / pole - 1.0));
        Times { attack: faster(self.times.attack), release: faster(self.times.release), ..self.times }
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        self.channels = [Channel::default(); CHANNELS];
    }

    /// `[audio]` Takes over the past of another of the same shape.
    pub fn adopt(&mut self, old: &Self) {
        if self.shape == old.shape {
            self.channels = old.channels;
        }
    }
}

fn decibels(level: f64) -> f64 {
    level.ln() * (20.0 / LN_10)
}
