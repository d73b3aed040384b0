//! Harmonic: whether a phasor is hum's, and how far it can be trusted.
//!
//! Its direction is held against what it was half a second before, which tells it from notes; and its value against its own
//! mean, which tells it from what plays on top of it.

use std::f64::consts::TAU;

/// Control steps in a second.
pub const STEPS: f64 = 40.0;
/// Steps from a phasor to the one that it is held against: half a second.
pub const APART: usize = 20;
/// Steps over which steadiness is averaged.
pub const AVERAGE: f64 = 60.0;
/// A harmonic is hum from this steadiness on; below the other one it is no longer, after so many steps.
pub const STEADY: [f64; 2] = [0.85, 0.3];
const UNSTEADY: u32 = 400;
/// Steps for which it must not have been far below its average power.
const EVEN: u32 = 40;
/// Steps over which unit phasors are averaged, and the mean from which on a harmonic of the mains that are heard is hum.
pub const LONG: f64 = 160.0;
const FIT: f64 = 0.35;
/// So many steps after it is less than this share of its mean, it has gone.
const GONE: u32 = 20;
const FAINT: f64 = 0.25;
/// Fastest turn of the first harmonic's phasor that is still the hum, in Hz.
const LOCKED: f64 = 0.1;
/// Lowest amplitude of a harmonic that counts: -100 dBFS.
pub const LEAST: f64 = 1e-5;
/// Squared distance from its mean, as a share of the mean's power, at which a phasor is half trusted; the steps over which
/// it is averaged; and the one at which it is no longer steady.
const UNREST: f64 = 0.02;
const CALM: f64 = 80.0;
const ASTRAY: f64 = 0.5;

/// What is known of a harmonic, in all channels together.
#[derive(Clone, Copy, Debug, Default)]
pub struct Tone {
    /// Average of how the phasor's direction stands to what it was.
    pub likeness: [f64; 2],
    /// Average power.
    pub power: f64,
    /// Average of its reciprocal amplitude.
    pub inverse: f64,
    /// Average of its squared distance from the mean, as a share of that.
    pub unrest: f64,
    /// How far its phasor is to be trusted.
    pub trust: f64,
    /// Whether it is hum.
    pub is_hum: bool,
    /// Steps for which it has been unsteady, and faint; and even.
    doubt: [u32; 2],
    even: u32,
    /// How much of it is taken away.
    pub gate: f64,
}

impl Tone {
    /// Averages what is seen.
    pub fn average(&mut self, seen: &Seen) {
        let likeness = seen.since_long.map(|sum| sum / (seen.power * seen.before).sqrt().max(LEAST.powi(4)));
        self.likeness = between(self.likeness, likeness, 1.0 / AVERAGE);
        self.power += (seen.power - self.power) / AVERAGE;
        self.even = if seen.power < FAINT * self.power { 0 } else { self.even + 1 };
        self.inverse += (seen.inverse() - self.inverse) / LONG;
        let gap = seen.gap / seen.usual.max(LEAST * LEAST);
        self.unrest = if self.is_hum { self.unrest + (gap - self.unrest) / CALM } else { 0.0 };
        self.trust = 1.0 / (1.0 + (gap.max(self.unrest) / UNREST).powi(2));
    }

    /// How far its direction has lately stayed what it was, 0..1.
    pub fn steadiness(&self) -> f64 {
        size(self.likeness)
    }

    /// Whether it has lately not been far below what it is on average, as what beats is.
    pub fn is_even(&self) -> bool {
        self.even > EVEN
    }

    /// Decides whether it is hum, and says whether it has become so under programme.
    pub fn judge(&mut self, seen: &Seen, harmonic: f64, is_inside: bool, fit: Option<f64>) -> bool {
        if !self.is_hum {
            let turn = self.likeness[1].atan2(self.likeness[0]) * STEPS / (TAU * APART as f64);
            let is_locked = is_inside && turn.abs() < LOCKED * harmonic;
            let is_steady = self.steadiness() > STEADY[0] && is_locked && self.is_even();
            let is_fit = fit.is_some_and(|fit| fit > FIT);
            self.doubt = [0; 2];
            self.is_hum = self.power > LEAST * LEAST && (is_steady || is_fit);
            return self.is_hum && !is_steady;
        }
        let is_unsteady = fit.is_none() && (self.steadiness() < STEADY[1] || self.unrest > ASTRAY);
        let is_faint = seen.power < FAINT * FAINT * seen.usual;
        for (doubt, is_due) in self.doubt.iter_mut().zip([is_unsteady, is_faint]) {
            *doubt = if is_due { *doubt + 1 } else { 0 };
        }
        self.is_hum = self.doubt[0] < UNSTEADY && self.doubt[1] < GONE;
        false
    }
}

/// What all channels show of a harmonic in a step.
#[derive(Clone, Copy, Debug, Default)]
pub struct Seen {
    /// How it has turned since the last step.
    pub since_last: [f64; 2],
    /// How it has turned since the oldest step.
    pub since_long: [f64; 2],
    /// How it is turned against its mean.
    pub aside: [f64; 2],
    /// Its power.
    pub power: f64,
    /// Its power at the oldest step.
    pub before: f64,
    /// The power of its mean.
    pub usual: f64,
    /// Its squared distance from its mean.
    pub gap: f64,
}

impl Seen {
    /// Its reciprocal amplitude.
    pub fn inverse(&self) -> f64 {
        1.0 / self.power.sqrt().max(LEAST)
    }
}

/// What the harmonics say together of the first one.
#[derive(Clone, Copy, Debug, Default)]
pub struct Votes {
    /// How far it has turned in a step, in rad, times `all`.
    pub turn: f64,
    /// How far it is turned against its mean, in rad, times `all`.
    pub aside: f64,
    /// Weight that is trusted.
    pub trust: f64,
    /// All weight.
    pub all: f64,
}

impl Votes {
    /// Counts a harmonic, `trust` of its `weight`.
    pub fn add(&mut self, seen: &Seen, harmonic: f64, weight: f64, trust: f64) {
        let sure = weight * trust * harmonic;
        self.turn += sure * seen.since_last[1].atan2(seen.since_last[0]);
        self.aside += sure * seen.aside[1].atan2(seen.aside[0]);
        self.trust += sure * harmonic;
        self.all += weight * harmonic * harmonic;
    }
}

/// a times the conjugate of b.
pub fn turned([a, b]: [f64; 2], [c, d]: [f64; 2]) -> [f64; 2] {
    [a * c + b * d, b * c - a * d]
}

/// Its length.
pub fn size([re, im]: [f64; 2]) -> f64 {
    re.hypot(im)
}

/// Adds to a sum.
pub fn add(sum: &mut [f64; 2], [re, im]: [f64; 2]) {
    *sum = [sum[0] + re, sum[1] + im];
}

/// `from` and `share` of the way to `to`.
pub fn between(from: [f64; 2], to: [f64; 2], share: f64) -> [f64; 2] {
    [from[0] + share * (to[0] - from[0]), from[1] + share * (to[1] - from[1])]
}
