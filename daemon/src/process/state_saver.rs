//! Decides when the state is written, and passes it and the audit lines to the thread that writes.

use crate::process::state_writer::{STAMP, WriteRequest, note};
use crossbeam_channel::{Sender, TrySendError, bounded};
use jiff::Zoned;
use lacquer_control::desk::kept::Kept;
use lacquer_control::desk::turn::AuditLine;
use lacquer_control::subscribe::quota::{LeftOut, Quota};
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
    /// The lines that each client may cause in the audit log, by the time since `start`.
    quota: Quota<AuditLine>,
    start: Instant,
    lost: usize,
}

impl StateSaver {
    /// Sends to `writer`; `None` where nothing is saved.
    pub(crate) fn new(writer: Option<Sender<WriteRequest>>, now: Instant) -> Self {
        Self { writer, is_touched: true, next: now, quota: Quota::default(), start: now, lost: 0 }
    }

    /// Marks the saved state as changed.
    pub(crate) fn touch(&mut self) {
        self.is_touched = true;
    }

    /// Writes the state, made by `kept`, if it has changed and it is time; and what was held back of the audit log.
    pub(crate) fn tick(&mut self, now: Instant, kept: impl FnOnce() -> Kept) {
        let left_out = self.quota.drain_due(now.saturating_duration_since(self.start));
        left_out.into_iter().for_each(|left| self.write_left_out(&left));
        if !self.is_touched || now < self.next || self.writer.is_none() {
            return;
        }
        // If the queue is full, the next state is sent, which is newer.
        self.is_touched = !self.enqueue(WriteRequest::State(Box::new(kept())));
        self.next = now + WRITE_PERIOD;
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            let why = format!("{lost} lines lost because the disk is too slow");
            warn!("audit file: {why}");
            self.enqueue(WriteRequest::Audit(note(&"lacquer", &why)));
        }
    }

    /// Writes an audit line, or holds it back if its client causes too many.
    pub(crate) fn audit(&mut self, line: AuditLine) {
        if let Some(line) = self.quota.admit(line.by, line, self.start.elapsed()) {
            self.enqueue(WriteRequest::Audit(written(&Zoned::now(), &line, 1)));
        }
    }

    /// Writes what was held back of the audit log: how many lines are left out, and the merged ones, each at the time of its
    /// last change.
    fn write_left_out(&mut self, left: &LeftOut<AuditLine>) {
        let (wall, now) = (Zoned::now(), self.start.elapsed());
        let count = left.count() - left.lines.len() as u64;
        let mut lines = if count == 0 { String::new() } else { note(&left.of, &left.text(count)) };
        for held in &left.lines {
            lines += &written(&(&wall - now.saturating_sub(held.last)), &held.line, held.count);
        }
        self.enqueue(WriteRequest::Audit(lines));
    }

    /// Writes everything that is held back of the audit log.
    fn write_all_left_out(&mut self) {
        let left_out = self.quota.drain_all(self.start.elapsed());
        left_out.iter().for_each(|left| self.write_left_out(left));
    }

    /// Writes the last state; waits for it, at most for `limit`.
    pub(crate) fn write_last(&mut self, kept: Kept, limit: Duration) {
        self.write_all_left_out();
        let (done, is_done) = bounded(1);
        let Some(writer) = &self.writer else { return };
        for request in [WriteRequest::State(Box::new(kept)), WriteRequest::Flush(done)] {
            writer.send_timeout(request, limit).ok();
        }
        is_done.recv_timeout(limit).ok();
    }

    /// Writes the last state, and ends the thread that writes.
    pub(crate) fn end(&mut self, kept: Kept) {
        self.write_all_left_out();
        if let Some(writer) = self.writer.take() {
            writer.send_timeout(WriteRequest::State(Box::new(kept)), Duration::from_secs(1)).ok();
        }
    }

    fn enqueue(&mut self, request: WriteRequest) -> bool {
        let Some(writer) = &self.writer else { return true };
        match writer.try_send(request) {
            Ok(()) => true,
            Err(TrySendError::Full(WriteRequest::Audit(lines))) => {
                self.lost += lines.lines().count();
                false
            }
            Err(_) => false,
        }
    }
}

/// A line of the audit log, with the number of its changes where several are merged.
fn written(when: &Zoned, line: &AuditLine, count: u64) -> String {
    let when = when.strftime(STAMP);
    // A text must not contain line breaks or tabs, which separate lines and columns.
    let [chain, what, from, to] = [&line.chain, &line.what, &line.from, &line.to].map(|text| printable(text));
    let merged = if count == 1 { String::new() } else { format!("\t{count} changes") };
    format!("{when}\t{}\t{chain}\t{what}\t{from}\t{to}{merged}\n", line.by)
}
