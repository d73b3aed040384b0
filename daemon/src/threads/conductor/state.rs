//! What the conductor tells of the station: state, status, meters.

use super::{Conductor, both_lines};
use crate::air::Change;
use lacquer_control::intent::Value;
use lacquer_control::notice::{Line, To};

impl Conductor {
    pub(super) fn running_lines(&self) -> Vec<Line> {
        self.air.newest().map(|airing| Line::words("/swap", &[&airing.name])).into_iter().collect()
    }

    pub(super) fn bypass_line(&self) -> Line {
        Line::new("/bypass", vec![Value::Switch(self.bypass)])
    }

    /// The full state, for one who has just subscribed.
    pub(super) fn everything(&self) -> Vec<Line> {
        let mut lines = self.running_lines();
        lines.push(self.bypass_line());
        let places = self.air.newest().map_or(&[][..], |airing| airing.addresses.all());
        for place in places {
            if let Some(value) = self.air.value(place) {
                lines.extend(both_lines(&Change { place: place.clone(), value }));
            }
        }
        lines
    }

    pub(super) fn status(&self) -> Vec<Line> {
        let shelf = &self.air.shelf;
        let name = |airing: Option<&crate::air::Airing>| airing.map_or("", |airing| &airing.name).to_owned();
        let words = |key: &str, text: &str| Line::words(format!("/status/{key}"), &[text]);
        let number = |key: &str, value: f64| Line::number(format!("/status/{key}"), value);
        let audio = if self.link.is_some() { "running" } else { "waiting for the server" };
        let mut lines = vec![
            words("station", &self.station.name),
            words("chain", &name(self.air.heard())),
            words("swapping_to", &name(self.air.newest().filter(|_| self.air.is_swapping()))),
            words("backend", self.station.audio.backend.name()),
            words("audio", audio),
            number("rate_hz", shelf.rate()),
            number("block_frames", self.link.as_ref().map_or(0, |link| link.block) as f64),
            number("latency_frames", shelf.latency() as f64),
            number("latency_ms", shelf.latency() as f64 * 1000.0 / shelf.rate()),
            Line::new("/status/bypass", vec![Value::Switch(self.bypass)]),
        ];
        lines.extend(self.health.lines());
        lines
    }

    pub(super) fn tell_meters(&mut self) {
        let readings = std::mem::take(&mut self.readings);
        let mut lines: Vec<Line> =
            readings.into_iter().map(|(path, value)| Line::number(path, value)).collect();
        lines.extend(self.health.fresh());
        self.tell(To::All, lines);
    }

    pub(super) fn measured(&self, lines: Vec<Line>) {
        self.tell(To::All, lines);
    }
}
