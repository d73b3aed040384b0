//! What the conductor sends about the station: state, status, meters.

use super::Conductor;
use crate::audio::session::Session;
use crate::audio::taps::TAPS;
use crate::conductor::report::{JOIN, LOAD};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::metering::{HISTOGRAM, READINGS, SPECTRUM};
use lacquer_graph::reading::Reading;
use std::sync::Arc;

impl Conductor {
    /// The newest chain, as a name and as an on/off value for each chain.
    pub(super) fn running_lines(&self) -> Vec<Update> {
        let Some(running) = self.on_air.newest().map(|running| running.name.as_str()) else {
            return Vec::new();
        };
        let mut lines = vec![Update::words("/swap", &[running])];
        lines.extend(self.on_air.chains.names().map(|name| self.chain_line(name)));
        lines
    }

    /// Whether this is the newest chain.
    pub(super) fn chain_line(&self, name: &str) -> Update {
        let is_running = self.on_air.newest().is_some_and(|running| running.name == name);
        Update::number(format!("/chain/{name}"), f64::from(u8::from(is_running)))
    }

    /// The full state, for a new subscriber.
    pub(super) fn full_state(&self) -> Vec<Update> {
        let mut lines = self.running_lines();
        lines.extend(self.bypass_lines());
        lines.extend(self.compare_lines());
        lines.extend(self.scene_lines());
        lines.extend(self.cue_lines());
        let places = self.on_air.newest().map_or(&[][..], |running| running.addresses.all());
        for place in places {
            if let Some(value) = self.on_air.value(place) {
                lines.extend(place.lines(&value));
            }
        }
        lines.extend(
            self.node_rows().flat_map(|(path, row)| Update::reading(&path, row, self.readings.latest(&path))),
        );
        lines
    }

    /// Sends all surfaces the current addresses and the full state.
    pub(super) fn send_full_state(&self) {
        self.full_state_messages().iter().for_each(|notice| self.send_to_surfaces(notice));
    }

    pub(super) fn full_state_messages(&self) -> [SurfaceMessage; 2] {
        let places = self.on_air.newest().map_or_else(Vec::new, |running| running.addresses.all().to_vec());
        [
            SurfaceMessage::Places(Arc::new(places)),
            SurfaceMessage::Updates { to: Recipients::All, updates: self.full_state().into() },
        ]
    }

    pub(super) fn status(&self) -> Vec<Update> {
        let chains = &self.on_air.chains;
        let name = |running: Option<&crate::conductor::on_air::RunningChain>| {
            running.map_or("", |running| &running.name).to_owned()
        };
        let words = |key: &str, text: &str| Update::words(format!("/status/{key}"), &[text]);
        let number = |key: &str, value: f64| Update::number(format!("/status/{key}"), value);
        let audio = if self.session.is_some() { "running" } else { "waiting for the server" };
        let mut lines = vec![
            words("station", &self.station.name),
            words("chain", &name(self.on_air.active())),
            words("swapping_to", &name(self.on_air.newest().filter(|_| self.on_air.is_swapping()))),
            words("backend", self.station.audio.backend.name()),
            words("audio", audio),
            words("realtime", &self.session.as_ref().map_or_else(String::new, Session::realtime_status)),
            number("rate_hz", chains.rate()),
            number("block_frames", self.session.as_ref().map_or(0, |session| session.block) as f64),
            number("latency_frames", chains.latency() as f64),
            number("latency_ms", chains.latency() as f64 * 1000.0 / chains.rate()),
            Update::new("/status/bypass", vec![Value::Switch(self.bypass)]),
        ];
        if let Some(devices) = self.session.as_ref().and_then(Session::devices) {
            lines.push(words("devices", devices));
        }
        if let Some(join) = self.session.as_ref().and_then(Session::join_state) {
            let state = if join.is_running { "running" } else { "waiting for the input" };
            lines.extend([words("join", state), number("join_slips", join.slips as f64)]);
        }
        lines.extend(self.join().map(|(row, value)| number(&format!("join_{}", row.name), value)));
        lines.extend(self.health.lines());
        let threads = match self.threads.late() {
            late if late.is_empty() => "running".to_owned(),
            late => format!("without progress: {}", late.join(", ")),
        };
        lines.push(words("threads", &threads));
        lines.push(number("thread_restarts", self.threads.restarts() as f64));
        let bypassed: Vec<&str> = self.auto_bypassed.iter().map(|node| node.id.as_str()).collect();
        lines.push(Update::words("/status/out", &bypassed));
        lines.push(Update::words("/status/overload", &self.overload.names()));
        lines
    }

    /// Readings of the join between the input and the output device (resampler, clock drift).
    fn join(&self) -> impl Iterator<Item = (&'static Reading, f64)> {
        let join = self.session.as_ref().and_then(Session::join_state);
        let values =
            join.map(|join| [join.fill_ms, join.drift_ppm, join.ratio, join.nonfinite as f64]).into_iter();
        values.flat_map(|values| {
            JOIN.iter().zip(values).map(|(row, value)| {
                let digits = 10.0_f64.powi(i32::from(row.decimals));
                (row, (value * digits).round() / digits)
            })
        })
    }

    /// Clears all readings, because there is no session; returns the updates.
    pub(super) fn no_readings(&mut self) -> Vec<Update> {
        self.readings.clear(|_| true);
        let taps = TAPS.iter().flat_map(|tap| READINGS.iter().map(move |(row, _)| (*tap, row)));
        let rows = taps.chain(LOAD.iter().map(|row| ("load", row)));
        let rows = rows.chain(self.join().map(|(row, _)| ("join", row)));
        let numbers =
            rows.flat_map(|(place, row)| Update::reading(&format!("{place}/{}", row.name), row, None));
        let arrays = TAPS.iter().flat_map(|tap| {
            [&SPECTRUM, &HISTOGRAM].map(|row| Update::array(&format!("{tap}/{}", row.name), row, []))
        });
        numbers.chain(arrays).collect()
    }

    pub(super) fn send_meters(&mut self) {
        let changed = self.readings.take_changed();
        let mut lines: Vec<Update> =
            changed.flat_map(|(path, (row, value))| Update::reading(&path, row, value)).collect();
        if let Some(load) = self.health.take_load() {
            let join = |(row, value): (&'static Reading, f64)| {
                Update::reading(&format!("join/{}", row.name), row, Some(value))
            };
            lines.extend(self.join().flat_map(join));
            for (row, percent) in LOAD.iter().zip(load) {
                lines.extend(Update::reading(&format!("load/{}", row.name), row, Some(percent)));
            }
        }
        self.send_updates(Recipients::All, lines);
    }
}
