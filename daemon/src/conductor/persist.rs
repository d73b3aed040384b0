//! What the conductor saves: the state file, and an audit line for each change.

use super::Conductor;
use crate::audio::session::Session;
use crate::process::state_file::Kept;
use crate::process::state_writer::WriteRequest;
use crossbeam_channel::{Sender, TrySendError};
use lacquer_control::desk::history::Gesture;
use lacquer_control::peer::Peer;
use lacquer_control::value::ParamValue;
use lacquer_graph::file::error::printable;
use std::time::{Duration, Instant};
use tracing::warn;

/// Shortest time between two writes of the state file: a change is on disk within a second, slow disk included.
const WRITE_PERIOD: Duration = Duration::from_millis(300);
const _: () = assert!(2 * WRITE_PERIOD.as_millis() < 1_000);

/// Decides when the state is written.
pub struct StateSaver {
    writer: Option<Sender<WriteRequest>>,
    is_touched: bool,
    next: Instant,
    lost: u64,
}

impl StateSaver {
    /// Sends to `writer`; `None` where nothing is saved.
    pub fn new(writer: Option<Sender<WriteRequest>>, now: Instant) -> Self {
        Self { writer, is_touched: true, next: now, lost: 0 }
    }

    /// Marks the saved state as changed.
    pub fn touch(&mut self) {
        self.is_touched = true;
    }

    fn enqueue(&mut self, request: WriteRequest) -> bool {
        let Some(writer) = &self.writer else { return true };
        match writer.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(WriteRequest::Audit(_))) => {
                self.lost += 1;
                false
            }
            Err(_) => false,
        }
    }
}

impl Conductor {
    /// Writes the state if it has changed.
    pub(super) fn tick_writer(&mut self, now: Instant) {
        if let Some(ended) = self.history.close_expired(now) {
            self.audit_gesture(&ended);
        }
        if self.state_saver.is_touched && now >= self.state_saver.next && self.state_saver.writer.is_some() {
            let kept = self.saved_state();
            // If the queue is full, the next state is sent, which is newer.
            self.state_saver.is_touched = !self.state_saver.enqueue(WriteRequest::State(Box::new(kept)));
            self.state_saver.next = now + WRITE_PERIOD;
            let lost = std::mem::take(&mut self.state_saver.lost);
            if lost > 0 {
                warn!("audit file: {lost} lines lost because the disk is too slow");
            }
        }
    }

    /// Writes the last state, and ends the writer.
    pub(super) fn end_writer(&mut self) {
        self.end_gesture();
        let kept = self.saved_state();
        if let Some(writer) = self.state_saver.writer.take() {
            writer.send_timeout(WriteRequest::State(Box::new(kept)), Duration::from_secs(1)).ok();
        }
    }

    /// Sends to the thread that writes, if there is one.
    pub(super) fn writer(&self) -> Option<&Sender<WriteRequest>> {
        self.state_saver.writer.as_ref()
    }

    pub(super) fn saved_state(&self) -> Kept {
        let chains = &self.on_air.chains;
        let moved = |name: &str| {
            let mut values = chains.values(name)?.clone();
            // Automatic bypass is not saved.
            self.auto_bypassed
                .iter()
                .filter(|node| node.chain == name)
                .for_each(|node| values.enable(&node.id, true));
            Some(values.changed())
        };
        let chain = |name: &str| (name.to_owned(), moved(name).unwrap_or_default());
        Kept {
            lacquer: crate::process::state_file::FORMAT,
            station: self.station.name.clone(),
            chain: self.overload.replaced_chain().map_or_else(|| self.on_air.last_requested(), str::to_owned),
            scene: self.scene.clone(),
            bypass: self.bypass,
            bypass_matched: self.compare.bypass_matched,
            b: self.compare.b,
            matched: self.compare.matched,
            other: self.compare.other.clone(),
            cables: self
                .session
                .as_ref()
                .map_or(&self.port_setup.kept, Session::connections)
                .iter()
                .cloned()
                .collect(),
            scenes: self.scenes.all().to_vec(),
            values: chains.names().map(chain).filter(|(_, moved)| !moved.is_empty()).collect(),
        }
    }

    /// Restores the saved state: the scenes always, everything else if the station starts as it ended (`all`).
    pub(super) fn restore(&mut self, kept: Kept, all: bool) {
        for scene in kept.scenes {
            self.scenes.insert(scene);
        }
        if !all {
            return;
        }
        for (chain, moved) in &kept.values {
            if let Some(values) = self.on_air.chains.values_mut(chain) {
                for (path, live, file) in moved {
                    values.restore(path, live, file);
                }
            }
        }
        self.on_air.chains.drop_invalid_values();
        self.scene = kept.scene.filter(|name| self.scenes.find(name).is_some());
        self.bypass = kept.bypass;
        let compare = &mut self.compare;
        (compare.b, compare.matched, compare.bypass_matched) = (kept.b, kept.matched, kept.bypass_matched);
        compare.other = kept.other.filter(|state| self.on_air.chains.check_name(&state.chain).is_ok());
    }

    /// Writes an audit line: `by` changed `what` of a chain.
    pub(super) fn audit(&mut self, by: Peer, chain: &str, what: &str, from: &str, to: &str) {
        // Earlier moves come first in the file.
        self.end_gesture();
        self.write_audit_line(by, chain, what, from, to);
    }

    fn write_audit_line(&mut self, by: Peer, chain: &str, what: &str, from: &str, to: &str) {
        let when = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
        // A text must not contain line breaks or tabs, which separate lines and columns.
        let [chain, what, from, to] = [chain, what, from, to].map(printable);
        let line = format!("{when}\t{by}\t{chain}\t{what}\t{from}\t{to}\n");
        self.state_saver.enqueue(WriteRequest::Audit(line));
    }

    /// Ends the current gesture, and writes it to the audit file.
    pub(super) fn end_gesture(&mut self) {
        if let Some(ended) = self.history.close() {
            self.audit_gesture(&ended);
        }
    }

    pub(super) fn audit_gesture(&mut self, gesture: &Gesture) {
        let newest = self.on_air.newest().filter(|running| running.name == gesture.chain);
        let lines: Vec<(String, String, String)> = gesture
            .moves
            .iter()
            .map(|moved| {
                let place = newest.and_then(|running| running.addresses.at(&moved.path));
                let text = |value: &ParamValue| match (place, value) {
                    (Some(place), value) => place.text(value),
                    (None, ParamValue::Number(number)) => number.to_string(),
                    (None, ParamValue::Text(text)) => text.clone(),
                };
                (format!("/node{}", moved.path), text(&moved.from), text(&moved.to))
            })
            .collect();
        for (what, from, to) in lines {
            self.write_audit_line(gesture.by, &gesture.chain, &what, &from, &to);
        }
    }
}
