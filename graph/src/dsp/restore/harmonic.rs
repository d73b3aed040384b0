//! A harmonic of the mains: whether its phasor is hum, and with which confidence.
//!
//! The phasor's direction is compared with that of half a second before, which distinguishes hum from notes; its value
//! is compared with its own mean, which distinguishes hum from programme at the same frequency.

use std::f64::consts::TAU;

/// Control steps per second.
pub(crate) const STEPS: f64 = 40.0;
/// Steps between the two phasors that are compared: half a second.
pub(crate) const APART: usize = 20;
/// Averaging of the steadiness, in steps.
pub(crate) const AVERAGE: f64 = 60.0;
/// Steadiness from which a harmonic is hum; and below which it no longer is, after `UNSTEADY_STEPS` steps.
pub(crate) const STEADY: [f64; 2] = [0.85, 0.3];
const UNSTEADY_STEPS: u32 = 400;
/// Steps for which its power must not have been far below the average.
const EVEN: u32 = 40;
/// Averaging of the unit phasors, in steps; and the mean from which a harmonic of the detected mains is hum.
pub(crate) const LONG: f64 = 160.0;
const FIT: f64 = 0.35;
/// It is no longer hum after this number of steps below this share of its mean.
const FAINT_STEPS: u32 = 20;
const FAINT: f64 = 0.25;
/// Fastest rotation of the first harmonic's phasor that is still hum, in Hz.
const LOCKED: f64 = 0.1;
/// Lowest amplitude of a harmonic: -100 dBFS.
pub(crate) const LEAST: f64 = 1e-5;
/// Squared distance from the mean, relative to the mean's power, at which the confidence is 1/2; its averaging in
/// steps; and the value from which the phasor is no longer steady.
const DEVIATION: f64 = 0.02;
const DEVIATION_STEPS: f64 = 80.0;
const UNSTABLE: f64 = 0.5;

/// State of a harmonic, for all channels together.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Harmonic {
    /// Average of the phasor's direction relative to half a second before.
    pub coherence: [f64; 2],
    /// Average power.
    pub power: f64,
    /// Average of the reciprocal amplitude.
    pub inverse: f64,
    /// Average of the squared distance from the mean, relative to the mean's power.
    pub deviation: f64,
    /// Confidence in its phasor, 0..1.
    pub confidence: f64,
    /// Whether it is hum.
    pub is_hum: bool,
    /// Steps for which it has been unsteady, and faint; and steps for which it has been even.
    pending_steps: [u32; 2],
    even: u32,
    /// Share of it that is subtracted.
    pub gate: f64,
}

impl Harmonic {
    /// Updates the averages.
    pub(crate) fn average(&mut self, observed: &Observation) {
        let coherence =
            observed.since_long.map(|sum| sum / (observed.power * observed.before).sqrt().max(LEAST.powi(4)));
        self.coherence = between(self.coherence, coherence, 1.0 / AVERAGE);
        self.power += (observed.power - self.power) / AVERAGE;
        self.even = if observed.power < FAINT * self.power { 0 } else { self.even + 1 };
        self.inverse += (observed.inverse() - self.inverse) / LONG;
        let gap = observed.gap / observed.usual.max(LEAST * LEAST);
        self.deviation =
            if self.is_hum { self.deviation + (gap - self.deviation) / DEVIATION_STEPS } else { 0.0 };
        self.confidence = 1.0 / (1.0 + (gap.max(self.deviation) / DEVIATION).powi(2));
    }

    /// How constant its direction has been, 0..1.
    pub(crate) fn steadiness(&self) -> f64 {
        size(self.coherence)
    }

    /// Whether its power has not been far below the average recently. That of beating tones is.
    pub(crate) fn is_even(&self) -> bool {
        self.even > EVEN
    }

    /// Decides whether it is hum. Returns true if it has become hum under programme.
    pub(crate) fn classify(
        &mut self,
        observed: &Observation,
        harmonic: f64,
        is_inside: bool,
        fit: Option<f64>,
    ) -> bool {
        if !self.is_hum {
            let turn = self.coherence[1].atan2(self.coherence[0]) * STEPS / (TAU * APART as f64);
            let is_locked = is_inside && turn.abs() < LOCKED * harmonic;
            let is_steady = self.steadiness() > STEADY[0] && is_locked && self.is_even();
            let is_fit = fit.is_some_and(|fit| fit > FIT);
            self.pending_steps = [0; 2];
            self.is_hum = self.power > LEAST * LEAST && (is_steady || is_fit);
            return self.is_hum && !is_steady;
        }
        let is_unsteady = fit.is_none() && (self.steadiness() < STEADY[1] || self.deviation > UNSTABLE);
        let is_faint = observed.power < FAINT * FAINT * observed.usual;
        for (pending_steps, is_due) in self.pending_steps.iter_mut().zip([is_unsteady, is_faint]) {
            *pending_steps = if is_due { *pending_steps + 1 } else { 0 };
        }
        self.is_hum = self.pending_steps[0] < UNSTEADY_STEPS && self.pending_steps[1] < FAINT_STEPS;
        false
    }
}

/// Phasors of a harmonic in a step, summed over all channels.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Observation {
    /// Rotation since the last step.
    pub since_last: [f64; 2],
    /// Rotation since the oldest step.
    pub since_long: [f64; 2],
    /// Rotation relative to its mean.
    pub aside: [f64; 2],
    /// Power.
    pub power: f64,
    /// Power at the oldest step.
    pub before: f64,
    /// Power of its mean.
    pub usual: f64,
    /// Squared distance from its mean.
    pub gap: f64,
}

impl Observation {
    /// Reciprocal amplitude.
    pub(crate) fn inverse(&self) -> f64 {
        1.0 / self.power.sqrt().max(LEAST)
    }
}

/// Frequency and phase error of the first harmonic, averaged over all harmonics.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct FrequencyError {
    /// Rotation in a step, in rad, times `all`.
    pub turn: f64,
    /// Rotation relative to the mean, in rad, times `all`.
    pub aside: f64,
    /// Sum of the weights times their confidence.
    pub confidence: f64,
    /// Sum of the weights.
    pub all: f64,
}

impl FrequencyError {
    /// Adds a harmonic with its weight and confidence.
    pub(crate) fn add(&mut self, observed: &Observation, harmonic: f64, weight: f64, confidence: f64) {
        let sure = weight * confidence * harmonic;
        self.turn += sure * observed.since_last[1].atan2(observed.since_last[0]);
        self.aside += sure * observed.aside[1].atan2(observed.aside[0]);
        self.confidence += sure * harmonic;
        self.all += weight * harmonic * harmonic;
    }
}

/// a times the conjugate of b.
pub(crate) fn turned([a, b]: [f64; 2], [c, d]: [f64; 2]) -> [f64; 2] {
    [a * c + b * d, b * c - a * d]
}

/// The magnitude.
pub(crate) fn size([re, im]: [f64; 2]) -> f64 {
    re.hypot(im)
}

/// Adds to a sum.
pub(crate) fn add(sum: &mut [f64; 2], [re, im]: [f64; 2]) {
    *sum = [sum[0] + re, sum[1] + im];
}

/// Linear interpolation: `from`, and `share` of the way to `to`.
pub(crate) fn between(from: [f64; 2], to: [f64; 2], share: f64) -> [f64; 2] {
    [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]
}
