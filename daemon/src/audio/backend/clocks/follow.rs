//! Estimates a device's clock from the times of its blocks.
//!
//! A second-order delay-locked loop: jitter is averaged out, drift is followed.
//!
//! Source: F. Adriaensen, *Using a DLL to filter time*, Linux Audio Conference, 2005.

use std::f64::consts::{SQRT_2, TAU};

/// Bandwidth at first, and when settled, in Hz.
const WIDE: f64 = 1.0;
const NARROW: f64 = 0.05;
/// A larger error than this is not jitter, the device has stopped for a while; in seconds.
const LOST: f64 = 0.25;
/// Largest deviation of a device's rate from its nominal rate, as a factor.
const FARTHEST: f64 = 0.002;

/// `[audio]` A device's clock.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Seconds a frame: nominal, and as measured.
    nominal: f64,
    period: f64,
    /// The filtered time, in seconds, at which `frames` had passed.
    at: f64,
    frames: u64,
    /// For how long the clock has been followed, in seconds.
    age: f64,
    is_known: bool,
}

impl Clock {
    /// A clock of nominally `rate` Hz, before the first block.
    pub(super) fn new(rate: f64) -> Self {
        let nominal = 1.0 / rate;
        Self { nominal, period: nominal, at: 0.0, frames: 0, age: 0.0, is_known: false }
    }

    /// `[audio]` Records that at `at` seconds `frames` frames had passed in all.
    pub(super) fn record(&mut self, at: f64, frames: u64) {
        let step = frames.saturating_sub(self.frames) as f64;
        let spent = step * self.period;
        let error = at - (self.at + spent);
        if !self.is_known || error.abs() > LOST {
            // The estimated rate stays; only the position is set.
            (self.at, self.frames, self.is_known, self.age) = (at, frames, true, 0.0);
            return;
        }
        self.age += spent;
        let w = (TAU * (WIDE / (1.0 + self.age)).max(NARROW) * spent).min(0.5);
        self.at += spent + SQRT_2 * w * error;
        self.frames = frames;
        if step > 0.0 {
            let (least, most) = (self.nominal * (1.0 - FARTHEST), self.nominal * (1.0 + FARTHEST));
            self.period = (self.period + w * w * error / step).clamp(least, most);
        }
    }

    /// Whether there was a block yet.
    pub(super) fn is_known(&self) -> bool {
        self.is_known
    }

    /// The filtered time of the last record, in seconds.
    pub(super) fn at(&self) -> f64 {
        self.at
    }

    /// How many frames beyond `from` have passed at `at` seconds; a fraction.
    pub(super) fn since(&self, from: u64, at: f64) -> f64 {
        self.frames as i64 as f64 - from as i64 as f64 + (at - self.at) / self.period
    }

    /// The estimated rate, in Hz.
    pub(super) fn rate(&self) -> f64 {
        1.0 / self.period
    }
}
