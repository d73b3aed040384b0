//! Meters of a tap: the readings of `graph/src/metering`, as updates for the surfaces.

use crate::audio::taps::Tap;
use lacquer_control::update::Update;
pub use lacquer_graph::metering::FLOOR;
use lacquer_graph::metering::{self, Measurement};

/// A reading as text. A level at the floor is shown as minus infinity.
pub fn text(value: f64, unit: &str) -> String {
    if value <= FLOOR && unit.starts_with(['d', 'L']) {
        return "\u{2212}\u{221e}".to_owned();
    }
    let number = if unit.is_empty() { format!("{value:.2}") } else { format!("{value:.1}") };
    let number = if number.trim_start_matches('-').chars().all(|digit| matches!(digit, '0' | '.')) {
        number.trim_start_matches('-').to_owned()
    } else {
        number
    };
    format!("{number} {unit}").trim_end().to_owned()
}

/// The meters of one tap.
pub struct Meters<'a> {
    tap: &'a mut Tap,
    meters: metering::Meters,
}

impl<'a> Meters<'a> {
    /// The meters of `tap`.
    pub fn new(tap: &'a mut Tap) -> Self {
        let meters = metering::Meters::new(tap.rate, tap.channels);
        Self { tap, meters }
    }

    /// Measures the audio since the last call, and returns the readings.
    pub fn look(&mut self) -> Measurement {
        let Self { tap, meters } = self;
        tap.drain(|samples| meters.add_interleaved(samples.iter().map(|sample| f64::from(*sample))));
        meters.look()
    }

    /// The readings as updates under `/meter/TAP`.
    pub fn lines(&self, reading: &Measurement) -> Vec<Update> {
        let lines = |(name, value, unit): (&str, f64, &str)| {
            let path = format!("/meter/{}/{name}", self.tap.name);
            [Update::words(format!("/text{path}"), &[&text(value, unit)]), Update::number(path, value)]
        };
        reading.all().into_iter().flat_map(lines).collect()
    }
}
