//! Meters of a tap: what `graph/src/metering` measures, as lines for the surfaces.

use crate::taps::Tap;
use lacquer_control::notice::Line;
pub use lacquer_graph::metering::FLOOR;
use lacquer_graph::metering::{self, Reading};

/// The meters of one tap.
pub struct Meters {
    tap: Tap,
    meters: metering::Meters,
}

impl Meters {
    /// The meters of `tap`.
    pub fn new(tap: Tap) -> Self {
        let meters = metering::Meters::new(tap.rate, tap.channels);
        Self { tap, meters }
    }

    /// Takes what has come since the last look, and tells what it shows.
    pub fn look(&mut self) -> Reading {
        let Self { tap, meters } = self;
        tap.drain(|samples| meters.add_interleaved(samples.iter().map(|sample| f64::from(*sample))));
        meters.look()
    }

    /// What they show, as lines under `/meter/TAP`.
    pub fn lines(&self, reading: &Reading) -> Vec<Line> {
        let line = |(name, value, _): (&str, f64, &str)| {
            Line::number(format!("/meter/{}/{name}", self.tap.name), value)
        };
        reading.all().map(line).into()
    }
}
