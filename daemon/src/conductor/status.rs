//! What the conductor tells of the station: state, status, meters.

use super::Conductor;
use crate::audio::session::Session;
use crate::audio::taps::meters::{FLOOR, text};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::param::Unit;
use lacquer_graph::plan::PlanNode;
use lacquer_graph::reading::Reading;
use std::sync::Arc;

impl Conductor {
    /// Which chain's addresses are answered, as one name and as a light for each chain.
    pub(super) fn running_lines(&self) -> Vec<Update> {
        let Some(running) = self.air.newest().map(|airing| airing.name.as_str()) else { return Vec::new() };
        let mut lines = vec![Update::words("/swap", &[running])];
        lines.extend(self.air.shelf.names().map(|name| self.chain_line(name)));
        lines
    }

    /// Whether this is the chain whose addresses are answered.
    pub(super) fn chain_line(&self, name: &str) -> Update {
        let is_running = self.air.newest().is_some_and(|airing| airing.name == name);
        Update::number(format!("/chain/{name}"), f64::from(u8::from(is_running)))
    }

    /// The full state, for one who has just subscribed.
    pub(super) fn everything(&self) -> Vec<Update> {
        let mut lines = self.running_lines();
        lines.extend(self.bypass_lines());
        lines.extend(self.compare_lines());
        lines.extend(self.scene_lines());
        lines.extend(self.cue_lines());
        let places = self.air.newest().map_or(&[][..], |airing| airing.addresses.all());
        for place in places {
            if let Some(value) = self.air.value(place) {
                lines.extend(place.lines(&value));
            }
        }
        lines.extend(self.quiet_readings());
        lines
    }

    /// What the nodes' readings are while they have nothing to tell: an EQ that is not dynamic never has.
    fn quiet_readings(&self) -> Vec<Update> {
        let nodes = self.air.newest().map_or(&[][..], |airing| &airing.plan.nodes);
        let readings =
            nodes.iter().flat_map(|node| node.node_type.readings.iter().map(move |reading| (node, reading)));
        let quiet = |(node, reading): (&PlanNode, &Reading)| {
            let value = if reading.unit == Unit::Lufs { FLOOR } else { 0.0 };
            reading_lines((format!("/meter/node/{}/{}", node.id, reading.name), value))
        };
        readings.flat_map(quiet).collect()
    }

    /// Tells all surfaces which addresses there are now, and everything that holds.
    pub(super) fn introduce(&self) {
        self.introduction().iter().for_each(|notice| self.note_all(notice));
    }

    pub(super) fn introduction(&self) -> [SurfaceMessage; 2] {
        let places = self.air.newest().map_or_else(Vec::new, |airing| airing.addresses.all().to_vec());
        [
            SurfaceMessage::Places(Arc::new(places)),
            SurfaceMessage::Updates { to: Recipients::All, updates: self.everything() },
        ]
    }

    pub(super) fn status(&self) -> Vec<Update> {
        let shelf = &self.air.shelf;
        let name = |airing: Option<&crate::conductor::on_air::Airing>| {
            airing.map_or("", |airing| &airing.name).to_owned()
        };
        let words = |key: &str, text: &str| Update::words(format!("/status/{key}"), &[text]);
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let audio = if self.link.is_some() { "running" } else { "waiting for the server" };
        let mut lines = vec![
            words("station", &self.station.name),
            words("chain", &name(self.air.heard())),
            words("swapping_to", &name(self.air.newest().filter(|_| self.air.is_swapping()))),
            words("backend", self.station.audio.backend.name()),
            words("audio", audio),
            words("realtime", &self.link.as_ref().map_or_else(String::new, Session::realtime)),
            number("rate_hz", shelf.rate()),
            number("block_frames", self.link.as_ref().map_or(0, |link| link.block) as f64),
            number("latency_frames", shelf.latency() as f64),
            number("latency_ms", shelf.latency() as f64 * 1000.0 / shelf.rate()),
            Update::new("/status/bypass", vec![Value::Switch(self.bypass)]),
        ];
        if let Some(told) = self.link.as_ref().and_then(Session::told) {
            lines.push(words("devices", told));
        }
        if let Some(join) = self.link.as_ref().and_then(Session::joined) {
            let state = if join.is_running { "running" } else { "waiting for the input" };
            lines.extend([words("join", state), number("join_slips", join.slips as f64)]);
        }
        lines.extend(
            self.join_lines().into_iter().map(|line| Update {
                address: line.address.replace("/meter/join/", "/status/join_"),
                ..line
            }),
        );
        lines.extend(self.health.lines());
        let threads = match self.threads.late() {
            late if late.is_empty() => "running".to_owned(),
            late => format!("without progress: {}", late.join(", ")),
        };
        lines.push(words("threads", &threads));
        lines.push(number("thread_restarts", self.threads.restarts() as f64));
        let out: Vec<&str> = self.out.iter().map(|out| out.id.as_str()).collect();
        lines.push(Update::words("/status/out", &out));
        lines.push(Update::words("/status/overload", &self.strain.names()));
        lines
    }

    /// How the input device is joined to the output device.
    fn join_lines(&self) -> Vec<Update> {
        let Some(join) = self.link.as_ref().and_then(Session::joined) else { return Vec::new() };
        let line = |name: &str, value: f64, digits: f64| {
            Update::number(format!("/meter/join/{name}"), (value * digits).round() / digits)
        };
        vec![
            line("fill_ms", join.fill_ms, 1e3),
            line("drift_ppm", join.drift_ppm, 10.0),
            line("ratio", join.ratio, 1e7),
            line("nonfinite", join.nonfinite as f64, 1.0),
        ]
    }

    pub(super) fn tell_meters(&mut self) {
        let readings = std::mem::take(&mut self.readings);
        let mut lines: Vec<Update> = readings.into_iter().flat_map(reading_lines).collect();
        let load = self.health.fresh();
        if !load.is_empty() {
            lines.extend(self.join_lines());
        }
        lines.extend(load);
        self.tell(Recipients::All, lines);
    }
}

/// A node's reading as a number and as text.
fn reading_lines((path, value): (String, f64)) -> [Update; 2] {
    let unit = if path.ends_with("/loudness") { "LUFS" } else { "dB" };
    [Update::words(format!("/text{path}"), &[&text(value, unit)]), Update::number(path, value)]
}
