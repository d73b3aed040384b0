//! What the conductor saves: the state file, and an audit line for each change.

use super::Conductor;
use crate::audio::session::Session;
use crate::process::state_writer::WriteRequest;
use crossbeam_channel::{Sender, TrySendError};
use lacquer_control::desk::Desk;
use lacquer_control::desk::kept::Kept;
use lacquer_control::desk::turn::AuditLine;
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
        self.turn(Desk::end_gesture);
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
        let cables = self.session.as_ref().map_or(&self.port_setup.kept, Session::connections);
        self.desk.kept(cables.iter().cloned().collect())
    }

    /// Writes an audit line.
    pub(super) fn write_audit_line(&mut self, line: &AuditLine) {
        let when = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
        // A text must not contain line breaks or tabs, which separate lines and columns.
        let [chain, what, from, to] =
            [&line.chain, &line.what, &line.from, &line.to].map(|text| printable(text));
        let by = line.by;
        let line = format!("{when}\t{by}\t{chain}\t{what}\t{from}\t{to}\n");
        self.state_saver.enqueue(WriteRequest::Audit(line));
    }
}
