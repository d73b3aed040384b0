//! The conductor and what the audio thread and its backend tell.

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

/// What the nodes on air have measured, by `node/ID/NAME`.
#[derive(Default)]
pub(super) struct NodeReadings {
    /// The newest value of each reading that there is.
    latest: BTreeMap<String, (&'static Reading, f64)>,
    /// What has changed since it was last sent; `None` where there is no longer a reading.
    changed: BTreeMap<String, (&'static Reading, Option<f64>)>,
}

impl NodeReadings {
    /// Takes what a node reported, in the row's unit.
    fn note(&mut self, path: String, row: &'static Reading, value: Option<f64>) {
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

    /// Nothing is measured yet. Those that had a value are sent as having none, if they `stay`.
    pub fn clear(&mut self, stays: impl Fn(&str) -> bool) {
        let had = std::mem::take(&mut self.latest).into_iter().filter(|(path, _)| stays(path));
        self.changed = had.map(|(path, (row, _))| (path, (row, None))).collect();
    }

    /// The newest value, if there is one.
    pub fn latest(&self, path: &str) -> Option<f64> {
        self.latest.get(path).map(|(_, value)| *value)
    }

    /// What has changed since this was last asked.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (String, (&'static Reading, Option<f64>))> {
        std::mem::take(&mut self.changed).into_iter()
    }
}

impl Conductor {
    /// The readings of the nodes whose addresses are answered.
    pub(super) fn node_rows(&self) -> impl Iterator<Item = (String, &'static Reading)> {
        let nodes = self.on_air.newest().map_or(&[][..], |running| &running.plan.nodes);
        let path = |id: &str, row: &Reading| format!("node/{id}/{}", row.name);
        nodes
            .iter()
            .flat_map(move |node| node.node_type.readings.iter().map(move |row| (path(&node.id, row), row)))
    }

    /// Takes all that the audio thread has told.
    pub(super) fn receive_events(&mut self, now: Instant) {
        while let Some(reading) = self.session.as_mut().and_then(|session| session.queues.next_event()) {
            match reading {
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
        // What was thrown is freed here.
        while let Some(panicked) = self.session.as_mut().and_then(|session| session.queues.next_panic()) {
            self.panicked(&panicked);
        }
    }

    /// Counts the deadlines that were missed since the link was opened.
    pub(super) fn count_missed(&mut self, missed: u64, now: Instant) {
        self.health.xruns.record_count(missed, now);
        let Some(why) = self.health.xruns.take_reason(now) else { return };
        let xruns = self.health.xruns.sum();
        if self.health.should_log_xruns(now) {
            warn!(xruns, "{xruns} xruns so far: {}", self.health.xruns.summary());
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
                // What the nodes of the chain before measured does not hold for this one's.
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
                error!(
                    node = id,
                    "node {id} made something that is no number: it rests, its input is heard instead"
                );
                self.send_event("fault", &[&id, "not a number; dry signal"]);
            }
            Event::InputFault => {
                if self.health.input_fault(Instant::now()) {
                    error!("the input holds something that is no number; silence is heard instead");
                    self.send_event("fault", &["input", "not a number; silence"]);
                }
            }
            Event::Meter { generation, node, reading, value } => {
                if let Some(node) = self.on_air.node(generation, node)
                    && let Some(row) = node.node_type.readings.get(reading)
                {
                    let path = format!("node/{}/{}", node.id, row.name);
                    self.readings.note(path, row, value.map(|value| row.in_unit(value)));
                }
            }
            Event::Learned { generation, node, band, level } => self.learned((generation, node), band, level),
            Event::Muted => self.ended = self.ending.is_some(),
        }
    }

    pub(super) fn handle_backend_event(&mut self, happening: BackendEvent) {
        match happening {
            BackendEvent::BlockSize(frames) => {
                info!("the server's blocks have {frames} frames from now on");
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
