//! Follows a device's clock by the times at which it says how far it has come.
//!
//! A second-order delay-locked loop: what is late or early by chance is averaged out, what is lasting is followed.
//!
//! Source: F. Adriaensen, *Using a DLL to filter time*, Linux Audio Conference, 2005.

use std::f64::consts::{SQRT_2, TAU};

/// Bandwidth at first and in the end, in Hz.
const WIDE: f64 = 1.0;
const NARROW: f64 = 0.05;
/// What is later or earlier than this is no jitter: the device has stood still, in seconds.
const LOST: f64 = 0.25;
/// Farthest that a device's rate may be from its nominal one.
const FARTHEST: f64 = 0.002;

/// `[audio]` A device's clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    /// Seconds a frame, by name and as heard.
    nominal: f64,
    period: f64,
    /// The filtered time, in seconds, at which `frames` had passed.
    at: f64,
    frames: u64,
    /// For how long it has been followed, in seconds.
    age: f64,
    is_known: bool,
}

impl Clock {
    /// Nothing is known yet of a clock of `rate` Hz.
    pub fn new(rate: f64) -> Self {
        let nominal = 1.0 / rate;
        Self { nominal, period: nominal, at: 0.0, frames: 0, age: 0.0, is_known: false }
    }

    /// `[audio]` The device says at `at` seconds that `frames` have passed in all.
    pub fn note(&mut self, at: f64, frames: u64) {
        let step = frames.saturating_sub(self.frames) as f64;
        let spent = step * self.period;
        let error = at - (self.at + spent);
        if !self.is_known || error.abs() > LOST {
            // Its rate is what it was; only its place is new.
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

    /// Whether the device has said anything yet.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The filtered time of what was noted last, in seconds.
    pub fn at(&self) -> f64 {
        self.at
    }

    /// How many frames more than `from` have passed at `at` seconds, in parts of frames.
    pub fn since(&self, from: u64, at: f64) -> f64 {
        self.frames as i64 as f64 - from as i64 as f64 + (at - self.at) / self.period
    }

    /// How many frames pass in a second.
    pub fn rate(&self) -> f64 {
        1.0 / self.period
    }
}
