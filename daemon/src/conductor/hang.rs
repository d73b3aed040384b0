//! A callback that hangs: the process executes itself again, with what hung bypassed.

use super::Conductor;
use crate::process::restart::{self, HangRecord, Hung};
use crate::process::state_writer::WriteRequest;
use crate::process::systemd;
use crossbeam_channel::bounded;
use lacquer_control::desk::Desk;
use std::time::{Duration, Instant};
use tracing::error;

/// A callback that runs longer than this, plus [`HANG_BLOCKS`], hangs.
const HANG_TIME: Duration = Duration::from_millis(500);
/// Blocks added to [`HANG_TIME`]: a callback that is only slow is an overload.
const HANG_BLOCKS: f64 = 8.0;
/// Largest time between two checks that counts: if this thread was not scheduled, the audio thread may not have been
/// scheduled either.
const MAX_STEP: Duration = Duration::from_millis(50);
/// Time limit for writing the last state.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// Time limit for all surfaces to send the last updates.
const NOTIFY_LIMIT: Duration = Duration::from_millis(200);

/// Measures how long the running callback takes.
pub struct HangWatch {
    callback: Option<u64>,
    /// Time since this callback was first seen, and the CPU time of its thread at that moment.
    stuck: Duration,
    ran: Option<Duration>,
    last_check: Instant,
}

impl HangWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self { callback: None, stuck: Duration::ZERO, ran: None, last_check: now }
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

impl Conductor {
    /// Checks whether the callback hangs.
    pub(super) fn check_for_hang(&mut self, now: Instant) {
        let Some(session) = &self.session else { return };
        let blocks = Duration::from_secs_f64(HANG_BLOCKS * session.block as f64 / session.rate);
        if self.hang_watch.time_in_callback(session.trace.callback(), || session.run_time(), now)
            >= HANG_TIME + blocks
        {
            self.handle_hang();
        }
    }

    /// The callback hangs: the process executes itself again with the hung node or chain bypassed.
    fn handle_hang(&mut self) {
        let on_air = self.desk.running();
        let place = self.session.as_ref().and_then(|session| session.trace.place());
        let node = place.and_then(|(generation, node)| on_air.node(generation, node));
        let node = node.map(|node| node.id.clone());
        let chain = place.and_then(|(generation, _)| on_air.chain(generation));
        let chain = chain.map_or_else(|| on_air.last_requested(), |chain| chain.name.clone());
        let what = match &node {
            Some(id) => format!("node \"{id}\" of chain \"{chain}\" hangs"),
            None => format!("chain \"{chain}\" hangs"),
        };
        error!("{what}: restarting the process with it bypassed");
        self.send_event("fault", &[node.as_deref().unwrap_or("chain"), "hangs; restarting the process"]);
        systemd::set_status(&format!("{what}: restarting the process with it bypassed"));
        let hung = node.map_or(Hung::Chain, Hung::Node);
        match HangRecord::next(self.hang_record.as_ref(), &chain, hung) {
            Some(record) => self.restart_process(&record),
            None => error!("{what} again after every restart: the process ends with exit code 3"),
        }
        // The service manager starts the process again.
        restart::exit(3);
    }

    /// libjack does not close its client, so this process cannot open another one: it executes itself again.
    pub(super) fn restart_for_libjack(&mut self) {
        let what = "libjack did not close the client within 10 s";
        let Some(record) =
            HangRecord::next(self.hang_record.as_ref(), &self.desk.running().last_requested(), Hung::Server)
        else {
            return error!("{what}, after every restart: not restarting again");
        };
        error!("{what}: restarting the process");
        self.send_event("connection", &["held", &format!("{what}; restarting the process")]);
        self.restart_process(&record);
        restart::exit(3);
    }

    /// Writes the state, ends the surfaces, and executes the process again. Returns only if that fails.
    fn restart_process(&mut self, record: &HangRecord) {
        self.write_last();
        let until = Instant::now() + NOTIFY_LIMIT;
        self.surfaces.iter().for_each(|surface| surface.end(until));
        if self.ending.is_some() {
            restart::exit(0);
        }
        error!("{}", restart::execute_again(record));
    }

    /// Writes the last state, and waits at most [`WRITE_LIMIT`] for it.
    fn write_last(&mut self) {
        self.turn(Desk::end_gesture);
        let state = self.saved_state();
        let (done, is_done) = bounded(1);
        let Some(writer) = self.writer() else { return };
        for request in [WriteRequest::State(Box::new(state)), WriteRequest::Flush(done)] {
            writer.send_timeout(request, WRITE_LIMIT).ok();
        }
        is_done.recv_timeout(WRITE_LIMIT).ok();
    }

    /// Bypasses what hung before the process executed itself again.
    pub(super) fn resume(&mut self, record: &HangRecord) {
        let chain = record.chain.as_str();
        let node = match &record.what {
            Hung::Server => {
                return error!("process restarted because libjack did not close the client");
            }
            Hung::Node(id) => Some(id.as_str()),
            Hung::Chain => None,
        };
        self.turn(|desk, turn| desk.bypass_hung(turn, chain, node));
        match node {
            Some(id) => error!(
                "process restarted because node \"{id}\" of chain \"{chain}\" hung; bypassed until enabled"
            ),
            None => error!(
                "process restarted because chain \"{chain}\" hung; the chain and all its nodes are bypassed"
            ),
        }
    }
}
