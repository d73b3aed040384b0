//! Steers how fast the input is drawn, so that always as much of it lies waiting as there should.
//!
//! A proportional and integral controller behind a low-pass. It begins quick, to find the drift, and ends so slow that
//! nothing of it can be heard: with blocks told up to 1 ms late the pitch wanders by a hundredth of a cent.

use std::f64::consts::TAU;

/// The loop's natural frequency at first and in the end, in Hz.
const QUICK: f64 = 0.3;
const SLOW: f64 = 0.02;
/// It is as slow as can be after this many seconds.
const SETTLED: f64 = 15.0;
/// The low-pass lies this far above the loop.
const ABOVE: f64 = 8.0;
/// An error above this, in seconds, makes the loop quick again.
const FAR: f64 = 0.001;
/// Farthest from the nominal speed.
const FARTHEST: f64 = 0.001;

/// `[audio]` The controller.
#[derive(Clone, Copy, Debug)]
pub struct Steer {
    /// Frames a second.
    rate: f64,
    smoothed: f64,
    /// The drift found so far.
    drift: f64,
    age: f64,
}

impl Steer {
    /// Nothing is known of the drift of an input of `rate` Hz.
    pub fn new(rate: f64) -> Self {
        Self { rate, smoothed: 0.0, drift: 0.0, age: 0.0 }
    }

    /// `[audio]` So many frames more than there should be lie waiting, and `spent` seconds have passed since it was asked last.
    /// Gives the speed at which the input is to be drawn: 1 is nominal.
    pub fn turn(&mut self, excess: f64, spent: f64) -> f64 {
        self.age = if self.smoothed.abs() > FAR * self.rate { 0.0 } else { self.age + spent };
        let nearness = (self.age / SETTLED).min(1.0);
        let w = TAU * QUICK * (SLOW / QUICK).powf(nearness);
        self.smoothed += (excess - self.smoothed) * (ABOVE * w * spent).min(0.5);
        self.drift += w * w * self.smoothed / self.rate * spent;
        self.drift = self.drift.clamp(-FARTHEST, FARTHEST);
        let now = self.drift + 2.0 * w * self.smoothed / self.rate;
        1.0 + now.clamp(-FARTHEST, FARTHEST)
    }

    /// `[audio]` The waiting input was set to what it should be: the drift is what it was.
    pub fn begin_again(&mut self) {
        (self.smoothed, self.age) = (0.0, 0.0);
    }
}
