//! Notices a callback that does not return.

use crate::audio::session::Session;
use std::time::{Duration, Instant};

/// A callback that runs longer than this, plus [`HANG_BLOCKS`], hangs.
const HANG_TIME: Duration = Duration::from_millis(500);
/// Blocks added to [`HANG_TIME`]: a callback that is only slow is an overload.
const HANG_BLOCKS: f64 = 8.0;
/// Largest time between two checks that counts: if this thread was not scheduled, the audio thread may not have been
/// scheduled either.
const MAX_STEP: Duration = Duration::from_millis(50);
/// Measures how long the running callback takes.
pub(crate) struct HangWatch {
    callback: Option<u64>,
    /// Time since this callback was first seen, and the CPU time of its thread at that moment.
    stuck: Duration,
    ran: Option<Duration>,
    last_check: Instant,
}

impl HangWatch {
    /// No callback runs yet.
    pub(crate) fn new(now: Instant) -> Self {
        Self { callback: None, stuck: Duration::ZERO, ran: None, last_check: now }
    }

    /// Whether the callback of a session hangs.
    pub(crate) fn hangs(&mut self, session: &Session, now: Instant) -> bool {
        let blocks = Duration::from_secs_f64(HANG_BLOCKS * session.block as f64 / session.rate);
        self.time_in_callback(session.trace.callback(), || session.run_time(), now) >= HANG_TIME + blocks
    }

    /// Returns how long the running callback has taken. The CPU time of its thread (`run`) counts as well: a loop at
    /// real-time priority may leave this thread little time to check.
    fn time_in_callback(
        &mut self,
        callback: Option<u64>,
        run: impl FnOnce() -> Option<Duration>,
        now: Instant,
    ) -> Duration {
        let passed = now.duration_since(std::mem::replace(&mut self.last_check, now)).min(MAX_STEP);
        if callback.is_none() || callback != self.callback {
            (self.callback, self.stuck, self.ran) = (callback, Duration::ZERO, None);
            return self.stuck;
        }
        self.stuck += passed;
        let run = run();
        let first = *self.ran.get_or_insert(run.unwrap_or_default());
        self.stuck.max(run.unwrap_or_default().saturating_sub(first))
    }
}
