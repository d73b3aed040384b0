//! Missed deadlines (xruns) and their reasons, as far as known.

use lacquer_control::message::Missed;
use std::time::{Duration, Instant};

/// The reasons as events and status name them: `own`, the callback took longer than its block; `late`, the machine or
/// the server called it late; `other`, neither, so another client or the server.
pub(crate) const REASONS: [&str; 3] = ["own", "late", "other"];
/// The reasons for the log.
const PLAIN: [&str; 3] = ["took longer than their block", "began late", "another client or the server"];

/// The callback's report and the backend's report of one missed deadline are at most this far apart.
const NEAR: Duration = Duration::from_millis(100);

/// Deadlines missed since the start.
#[derive(Default)]
pub(crate) struct Xruns {
    /// How many, by reason.
    counts: [u64; 3],
    /// How many the backend of the current session has counted.
    of_session: u64,
    /// How many wait for a reason, and since when.
    waiting: Option<(u64, Instant)>,
    /// When the callback last reported that it took too long, and that it was called late.
    reported: [Option<Instant>; 2],
    /// Whether the backend runs without deadlines (freewheel): nothing counts then.
    pub is_free: bool,
}

impl Xruns {
    /// The backend of a new session counts from 0.
    pub(crate) fn start_session(&mut self, is_free: bool) {
        (self.of_session, self.is_free) = (0, is_free);
    }

    /// Records that the callback reported a missed deadline.
    pub(crate) fn record_reason(&mut self, why: Missed, now: Instant) {
        self.reported[why as usize] = Some(now);
    }

    /// Records the backend's count of missed deadlines since the session was opened.
    pub(crate) fn record_count(&mut self, count: u64, now: Instant) {
        let more = count.saturating_sub(std::mem::replace(&mut self.of_session, count));
        if more > 0 && !self.is_free {
            let (before, since) = self.waiting.unwrap_or((0, now));
            self.waiting = Some((before + more, since));
        }
    }

    /// The index of the reason in [`REASONS`], once it is known, for the deadlines that were missed.
    pub(crate) fn take_reason(&mut self, now: Instant) -> Option<usize> {
        let (count, since) = self.waiting?;
        let is_near = |at: &Option<Instant>| at.is_some_and(|at| now.saturating_duration_since(at) < NEAR);
        let why = self.reported.iter().position(is_near);
        let why = why.or_else(|| (now.saturating_duration_since(since) >= NEAR).then_some(2))?;
        self.waiting = None;
        self.counts[why] += count;
        Some(why)
    }

    /// How many in all.
    pub(crate) fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many for each of [`REASONS`].
    pub(crate) fn by_reason(&self) -> [(&'static str, u64); 3] {
        [0, 1, 2].map(|why| (REASONS[why], self.counts[why]))
    }

    /// The counts in words, for the log.
    pub(crate) fn summary(&self) -> String {
        let parts = PLAIN.iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts.map(|(why, count)| format!("{count} {why}")).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_deadline_has_the_reason_that_was_reported_near_it() {
        let (mut xruns, start) = (Xruns::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        xruns.record_reason(Missed::Own, at(0));
        xruns.record_count(1, at(5));
        assert_eq!(xruns.take_reason(at(5)), Some(0));
        xruns.record_count(3, at(500));
        assert_eq!(xruns.take_reason(at(505)), None, "the callback may still run");
        xruns.record_reason(Missed::Late, at(510));
        assert_eq!(xruns.take_reason(at(510)), Some(1));
        xruns.record_count(4, at(1000));
        assert_eq!((xruns.take_reason(at(1050)), xruns.take_reason(at(1100))), (None, Some(2)));
        assert_eq!(xruns.by_reason(), [("own", 1), ("late", 2), ("other", 1)]);
        xruns.start_session(true);
        xruns.record_count(9, at(2000));
        assert_eq!((xruns.take_reason(at(2200)), xruns.sum()), (None, 4));
        assert_eq!(
            xruns.summary(),
            "1 took longer than their block, 2 began late, 1 another client or the server"
        );
    }
}
