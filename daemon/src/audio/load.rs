//! Load: how much of its deadline the callback takes.

use lacquer_control::message::{LOAD_BARS, Load, Missed};
use std::time::{Duration, Instant};

/// How often the load is reported, a second.
const REPORTS: f64 = 4.0;

/// `[audio]` Adds up the time of callbacks.
pub struct LoadMeter {
    rate: f64,
    now: Load,
    sum: f64,
    frames: usize,
    /// When the next callback has to begin.
    due: Option<Instant>,
}

impl LoadMeter {
    /// A meter at `rate` Hz.
    pub fn new(rate: f64) -> Self {
        // The first callback is told at once: sound flows.
        Self { rate, now: Load::default(), sum: 0.0, frames: (rate / REPORTS) as usize, due: None }
    }

    /// Looks whether a callback of `frames` missed its deadline. One that is late because the one before it was too
    /// long does not count as late.
    pub fn missed(&mut self, begin: Instant, spent: Duration, frames: usize) -> Option<Missed> {
        let block = Duration::from_secs_f64(frames as f64 / self.rate);
        let late = self.due.is_some_and(|due| begin > due + block).then_some(Missed::Late);
        let own = (spent > block).then_some(Missed::Own);
        self.due = own.is_none().then(|| begin + block);
        own.or(late)
    }

    /// Notes a callback of `frames` that took `spent`; gives the load when a report is due.
    pub fn note(&mut self, spent: Duration, frames: usize) -> Option<Load> {
        let share = spent.as_secs_f64() * self.rate / frames.max(1) as f64;
        self.now.callbacks += 1;
        self.sum += share;
        self.now.peak = self.now.peak.max(share as f32);
        let bar = (share * (LOAD_BARS - 1) as f64) as usize;
        self.now.histogram[bar.min(LOAD_BARS - 1)] += 1;
        self.frames += frames;
        if (self.frames as f64) < self.rate / REPORTS {
            return None;
        }
        let mean = (self.sum / f64::from(self.now.callbacks)) as f32;
        (self.sum, self.frames) = (0.0, 0);
        Some(Load { mean, ..std::mem::take(&mut self.now) })
    }
}
