//! Load: the share of its deadline that the callback uses.

use lacquer_control::message::{LOAD_BARS, Load, Missed};
use std::time::{Duration, Instant};

/// Reports a second.
const REPORTS: f64 = 4.0;

/// `[audio]` Measures the time of callbacks.
pub(crate) struct LoadMeter {
    rate: f64,
    current: Load,
    sum: f64,
    frames: usize,
    /// When the next callback has to begin.
    due: Option<Instant>,
}

impl LoadMeter {
    /// A meter at `rate` Hz.
    pub(crate) fn new(rate: f64) -> Self {
        // The first callback is reported at once: it shows that audio runs.
        Self { rate, current: Load::default(), sum: 0.0, frames: (rate / REPORTS) as usize, due: None }
    }

    /// Checks whether a callback of `frames` missed its deadline. One that began late because the one before took too
    /// long does not count as late.
    pub(crate) fn check_deadline(
        &mut self,
        begin: Instant,
        spent: Duration,
        frames: usize,
    ) -> Option<Missed> {
        let block = Duration::from_secs_f64(frames as f64 / self.rate);
        let late = self.due.is_some_and(|due| begin > due + block).then_some(Missed::Late);
        let own = (spent > block).then_some(Missed::Own);
        self.due = own.is_none().then(|| begin + block);
        own.or(late)
    }

    /// Records a callback of `frames` that took `spent`; returns the load when a report is due.
    pub(crate) fn record(&mut self, spent: Duration, frames: usize) -> Option<Load> {
        let share = spent.as_secs_f64() * self.rate / frames.max(1) as f64;
        self.current.callbacks += 1;
        self.sum += share;
        self.current.peak = self.current.peak.max(share as f32);
        let bar = (share * (LOAD_BARS - 1) as f64) as usize;
        self.current.histogram[bar.min(LOAD_BARS - 1)] += 1;
        self.frames += frames;
        if (self.frames as f64) < self.rate / REPORTS {
            return None;
        }
        let mean = (self.sum / f64::from(self.current.callbacks)) as f32;
        (self.sum, self.frames) = (0.0, 0);
        Some(Load { mean, ..std::mem::take(&mut self.current) })
    }
}
