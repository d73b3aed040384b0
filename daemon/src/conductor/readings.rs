//! Events of the audio thread and of the backend.

use super::Conductor;
use crate::audio::backend::BackendEvent;
use crate::audio::xruns::REASONS;
use crate::process::systemd;
use lacquer_control::message::{FromAudio, Missed};
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::reading::Reading;
use lacquer_graph::run::engine::Event;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;
use tracing::{error, info, warn};

/// Readings of the nodes on air, by `node/ID/NAME`.
#[derive(Default)]
pub(super) struct NodeReadings {
    /// The newest value of each reading that has one.
    latest: BTreeMap<String, (&'static Reading, f64)>,
    /// Readings changed since they were last sent; `None` if there is no longer a value.
    changed: BTreeMap<String, (&'static Reading, Option<f64>)>,
}

impl NodeReadings {
    /// Records the value of a reading, in the row's unit.
    fn record(&mut self, path: String, row: &'static Reading, value: Option<f64>) {
        let Some(value) = value else {
            if self.latest.remove(&path).is_some() {
                self.changed.insert(path, (row, None));
            }
            return;
        };
        let kept = match self.changed.get(&path) {
            Some((_, Some(before))) => row.combine.of(*before, value),
            _ => value,
        };
        self.latest.insert(path.clone(), (row, value));
        self.changed.insert(path, (row, Some(kept)));
    }

    /// Clears all values. Readings that had one, and for which `exists` holds, are sent as having none.
    pub fn clear(&mut self, exists: impl Fn(&str) -> bool) {
        // What is gone, but not yet sent as gone, stays among the changes.
        let cleared =
            std::mem::take(&mut self.latest).into_iter().map(|(path, (row, _))| (path, (row, None)));
        self.changed.extend(cleared);
        self.changed.retain(|path, _| exists(path));
    }

    /// The newest value, if there is one.
    pub fn latest(&self, path: &str) -> Option<f64> {
        self.latest.get(path).map(|(_, value)| *value)
    }

    /// The readings changed since the last call.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (String, (&'static Reading, Option<f64>))> {
        std::mem::take(&mut self.changed).into_iter()
    }
}

impl Conductor {
    /// The readings of the nodes of the newest chain.
    pub(super) fn node_rows(&self) -> impl Iterator<Item = (String, &'static Reading)> {
        let nodes = self.on_air.newest().map_or(&[][..], |running| &running.plan.nodes);
        let path = |id: &str, row: &Reading| format!("node/{id}/{}", row.name);
        nodes
            .iter()
            .flat_map(move |node| node.node_type.readings.iter().map(move |row| (path(&node.id, row), row)))
    }

    /// Receives all events of the audio thread.
    pub(super) fn receive_events(&mut self, now: Instant) {
        while let Some(event) = self.session.as_mut().and_then(|session| session.queues.next_event()) {
            match event {
                FromAudio::Engine(event) => self.event(event),
                FromAudio::Load(load) => {
                    self.overload.add_load(&load);
                    if self.health.record_load(load) {
                        systemd::ready();
                    }
                }
                FromAudio::Missed(why) => {
                    self.health.xruns.record_reason(why, now);
                    if why == Missed::Own {
                        self.overload.record_own_miss();
                    }
                }
            }
        }
        // The payload of a panic is freed here.
        while let Some(panicked) = self.session.as_mut().and_then(|session| session.queues.next_panic()) {
            self.panicked(&panicked);
        }
    }

    /// Counts the deadlines missed since the session was opened.
    pub(super) fn count_missed(&mut self, missed: u64, now: Instant) {
        self.health.xruns.record_count(missed, now);
        let Some(why) = self.health.xruns.take_reason(now) else { return };
        let xruns = self.health.xruns.sum();
        if self.health.should_log_xruns(now) {
            warn!(xruns, "{xruns} xruns since the start: {}", self.health.xruns.summary());
        }
        let values = vec![Value::Number(xruns as f64), Value::Text(REASONS[why].to_owned())];
        self.send_updates(Recipients::All, vec![Update::new("/event/xrun", values)]);
    }

    pub(super) fn event(&mut self, event: Event) {
        match event {
            Event::Fading { generation } => {
                if let Some(running) = self.on_air.newest().filter(|running| running.generation == generation)
                {
                    self.send_event("swap", &["fading", &running.name]);
                }
            }
            Event::OnAir { generation } => {
                let next = self.on_air.swap_done(generation);
                // Readings of the previous chain do not apply to this one.
                let known: BTreeSet<String> = self.node_rows().map(|(path, _)| path).collect();
                self.readings.clear(|path| known.contains(path));
                self.learning.only(generation);
                let name = self.on_air.active().map(|running| running.name.clone()).unwrap_or_default();
                info!(chain = name, "{name} is on air");
                systemd::set_status(&self.status_line());
                self.send_event("swap", &["done", &name]);
                if let Some(next) = next {
                    self.swap(Peer::Station, &next);
                }
            }
            Event::Fault { generation, node } => {
                let id = self.on_air.node(generation, node).map_or("?", |node| &node.id).to_owned();
                self.health.faults += 1;
                error!(node = id, "node \"{id}\" output NaN or infinite: bypassed for 250 ms or longer");
                self.send_event("fault", &[&id, "output NaN or infinite; bypassed"]);
            }
            Event::InputFault => {
                if self.health.input_fault(Instant::now()) {
                    error!("input NaN or infinite: replaced by silence");
                    self.send_event("fault", &["input", "NaN or infinite; replaced by silence"]);
                }
            }
            Event::Meter { generation, node, reading, value } => {
                if let Some(node) = self.on_air.node(generation, node)
                    && let Some(row) = node.node_type.readings.get(reading)
                {
                    let path = format!("node/{}/{}", node.id, row.name);
                    self.readings.record(path, row, value.map(|value| row.in_unit(value)));
                }
            }
            Event::Learned { generation, node, band, level } => self.learned((generation, node), band, level),
            Event::Muted => self.ended = self.ending.is_some(),
        }
    }

    pub(super) fn handle_backend_event(&mut self, event: BackendEvent) {
        match event {
            BackendEvent::BlockSize(frames) => {
                info!("server changed its block size to {frames} frames");
                self.send_event("connection", &["block size", &frames.to_string()]);
                if let Some(session) = &mut self.session {
                    session.block = frames;
                }
            }
            BackendEvent::Freewheel(is_on) => {
                let words = if is_on { "on" } else { "off" };
                self.health.freewheel(is_on);
                info!("freewheel {words}");
                self.send_event("connection", &["freewheel", words]);
            }
            BackendEvent::SampleRate(rate) => self.rate_changed(rate),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacquer_graph::reading::REDUCTION;

    #[test]
    fn a_reading_that_is_gone_is_sent_as_gone_also_when_all_are_cleared_before() {
        let mut readings = NodeReadings::default();
        for path in ["node/a/reduction", "node/b/reduction", "node/gone/reduction"] {
            readings.record(path.to_owned(), &REDUCTION, Some(-3.0));
        }
        readings.take_changed().count();
        readings.record("node/a/reduction".to_owned(), &REDUCTION, None);
        readings.clear(|path| !path.contains("gone"));
        let sent: Vec<_> = readings.take_changed().map(|(path, (_, value))| (path, value)).collect();
        assert_eq!(sent, [("node/a/reduction".to_owned(), None), ("node/b/reduction".to_owned(), None)]);
    }
}
