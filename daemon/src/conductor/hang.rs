//! A callback that hangs: the process executes itself again, with what hung bypassed.

use super::{Conductor, End};
use crate::process::restart::{self, HangRecord, Hung};
use crate::process::systemd;
use lacquer_control::desk::Desk;
use std::time::{Duration, Instant};
use tracing::error;

/// Time limit for writing the last state.
const WRITE_LIMIT: Duration = Duration::from_secs(1);
/// Time limit for all surfaces to send the last updates.
const NOTIFY_LIMIT: Duration = Duration::from_millis(200);

impl Conductor {
    /// Checks whether the callback hangs.
    pub(super) fn check_for_hang(&mut self, now: Instant) {
        let link = &mut self.link;
        if link.session.as_ref().is_some_and(|session| link.hang_watch.hangs(session, now)) {
            self.handle_hang();
        }
    }

    /// The callback hangs: the process executes itself again with the hung node or chain bypassed.
    fn handle_hang(&mut self) {
        let on_air = self.desk.running();
        let place = self.link.session.as_ref().and_then(|session| session.trace.place());
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
        match HangRecord::next(self.watch.hang_record.as_ref(), &chain, hung) {
            Some(record) => self.restart_process(&record),
            None => error!("{what} again after every restart: the process ends with exit code 3"),
        }
        // The service manager starts the process again.
        restart::exit(3);
    }

    /// libjack does not close its client, so this process cannot open another one: it executes itself again.
    pub(super) fn restart_for_libjack(&mut self) {
        let what = "libjack did not close the client within 10 s";
        let Some(record) = HangRecord::next(
            self.watch.hang_record.as_ref(),
            &self.desk.running().last_requested(),
            Hung::Server,
        ) else {
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
        if self.end != End::No {
            restart::exit(0);
        }
        error!("{}", restart::execute_again(record));
    }

    /// Writes the last state, and waits at most [`WRITE_LIMIT`] for it.
    fn write_last(&mut self) {
        self.turn(Desk::end_gesture);
        self.saver.write_last(super::saved_state(&self.desk, &self.link), WRITE_LIMIT);
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
