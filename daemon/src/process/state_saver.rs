//! Decides when the state is written, and passes it and the audit lines to the thread that writes.

use crate::process::state_writer::WriteRequest;
use crossbeam_channel::{Sender, TrySendError, bounded};
use lacquer_control::desk::kept::Kept;
use lacquer_control::desk::turn::AuditLine;
use lacquer_graph::file::error::printable;
use std::time::{Duration, Instant};
use tracing::warn;

/// Shortest time between two writes of the state file: a change is on disk within a second, slow disk included.
const WRITE_PERIOD: Duration = Duration::from_millis(300);
const _: () = assert!(2 * WRITE_PERIOD.as_millis() < 1_000);

/// Decides when the state is written.
pub(crate) struct StateSaver {
    writer: Option<Sender<WriteRequest>>,
    is_touched: bool,
    next: Instant,
    lost: u64,
}

impl StateSaver {
    /// Sends to `writer`; `None` where nothing is saved.
    pub(crate) fn new(writer: Option<Sender<WriteRequest>>, now: Instant) -> Self {
        Self { writer, is_touched: true, next: now, lost: 0 }
    }

    /// Marks the saved state as changed.
    pub(crate) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Writes the state, made by `kept`, if it has changed and it is time.
    pub(crate) fn tick(&mut self, now: Instant, kept: impl FnOnce() -> Kept) {
        if !self.is_touched || now < self.next || self.writer.is_none() {
            return;
        }
        // If the queue is full, the next state is sent, which is newer.
        self.is_touched = !self.enqueue(WriteRequest::State(Box::new(kept())));
        self.next = now + WRITE_PERIOD;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            warn!("audit file: {lost} lines lost because the disk is too slow");
        }
    }

    /// Writes an audit line.
    pub(crate) fn audit(&mut self, line: &AuditLine) {
        let when = jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%.3f%:z");
        // A text must not contain line breaks or tabs, which separate lines and columns.
        let [chain, what, from, to] =
            [&line.chain, &line.what, &line.from, &line.to].map(|text| printable(text));
        let by = line.by;
        let line = format!("{when}\t{by}\t{chain}\t{what}\t{from}\t{to}\n");
        self.enqueue(WriteRequest::Audit(line));
    }

    /// Writes the last state; waits for it, at most for `limit`.
    pub(crate) fn write_last(&mut self, kept: Kept, limit: Duration) {
        let (done, is_done) = bounded(1);
        let Some(writer) = &self.writer else { return };
        for request in [WriteRequest::State(Box::new(kept)), WriteRequest::Flush(done)] {
            writer.send_timeout(request, limit).ok();
        }
        is_done.recv_timeout(limit).ok();
    }

    /// Writes the last state, and ends the thread that writes.
    pub(crate) fn end(&mut self, kept: Kept) {
        if let Some(writer) = self.writer.take() {
            writer.send_timeout(WriteRequest::State(Box::new(kept)), Duration::from_secs(1)).ok();
        }
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
