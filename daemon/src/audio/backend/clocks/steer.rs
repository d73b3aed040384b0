//! Controls the speed at which the input is read, so that the ring's fill stays at its target.
//!
//! A PI controller behind a low-pass. It begins fast, to find the drift, and becomes so slow that it is inaudible: with
//! blocks reported up to 1 ms late the pitch varies by a hundredth of a cent.

use std::f64::consts::TAU;

/// The loop's natural frequency at first, and when settled, in Hz.
const FAST: f64 = 0.3;
const SLOW: f64 = 0.02;
/// The loop is at its slowest after this many seconds.
const SETTLED: f64 = 15.0;
/// The low-pass frequency, as a multiple of the loop's.
const ABOVE: f64 = 8.0;
/// An error above this, in seconds, makes the loop fast again.
const FAR: f64 = 0.001;
/// Largest deviation from the nominal speed, as a factor.
const FARTHEST: f64 = 0.001;

/// `[audio]` The controller.
#[derive(Clone, Copy, Debug)]
pub(super) struct Steer {
    /// Frames a second.
    rate: f64,
    smoothed: f64,
    /// The drift found so far.
    drift: f64,
    age: f64,
}

impl Steer {
    /// For an input of `rate` Hz, of which the drift is unknown.
    pub(super) fn new(rate: f64) -> Self {
        Self { rate, smoothed: 0.0, drift: 0.0, age: 0.0 }
    }

    /// `[audio]` The ring holds `excess` frames more than its target, `spent` seconds after the last update. Returns
    /// the speed at which the input is to be read: 1 is nominal.
    pub(super) fn update(&mut self, excess: f64, spent: f64) -> f64 {
        self.age = if self.smoothed.abs() > FAR * self.rate { 0.0 } else { self.age + spent };
        let nearness = (self.age / SETTLED).min(1.0);
        let w = TAU * FAST * (SLOW / FAST).powf(nearness);
        self.smoothed += (excess - self.smoothed) * (ABOVE * w * spent).min(0.5);
        self.drift += w * w * self.smoothed / self.rate * spent;
        self.drift = self.drift.clamp(-FARTHEST, FARTHEST);
        let now = self.drift + 2.0 * w * self.smoothed / self.rate;
        1.0 + now.clamp(-FARTHEST, FARTHEST)
    }

    /// `[audio]` The ring's fill was set to its target: only the drift is kept.
    pub(super) fn reset(&mut self) {
        (self.smoothed, self.age) = (0.0, 0.0);
    }
}
