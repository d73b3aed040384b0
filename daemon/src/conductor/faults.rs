//! Faults of a chain: nodes that panic or hang. They are bypassed, and every surface shows it.

use super::Conductor;
use crate::process::restart::{self, HangRecord, Hung};
use crate::process::state_writer::WriteRequest;
use crate::process::systemd;
use crossbeam_channel::bounded;
use lacquer_control::address::Target;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::value::ParamValue;
use lacquer_graph::run::engine::Panicked;
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};
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

/// A node in automatic bypass (fault, overload). It is not saved and not stored in scenes.
pub struct AutoBypass {
    /// The chain of the node.
    pub chain: String,
    /// The id of the node.
    pub id: String,
    /// Generation of the chain in which it panicked: it runs again only in a chain built anew.
    broken: Option<u64>,
}

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
    /// The live values of a chain as users set them: nodes in automatic bypass count as enabled.
    pub(super) fn user_values(&self, chain: &str) -> BTreeMap<String, ParamValue> {
        let mut values = self.on_air.values_of(chain);
        let bypassed = self.auto_bypassed.iter().filter(|node| node.chain == chain);
        values.extend(bypassed.map(|node| (format!("/{}/enabled", node.id), true.into())));
        values
    }

    /// Bypasses or enables a node of the newest chain automatically; false if it is so already.
    pub(super) fn set_auto_bypass(&mut self, id: &str, on: bool) -> bool {
        let path = format!("/{id}/enabled");
        let changes = self.on_air.changes([(path.as_str(), on.into())]);
        if changes.iter().all(|change| !change.is_move()) {
            return false;
        }
        self.stop_morphing(&changes);
        let chain = self.on_air.newest().map_or_else(String::new, |running| running.name.clone());
        if self.apply_changes(Peer::Station, Recipients::All, changes).is_err() {
            return false;
        }
        let [from, to] = if on { ["false", "true"] } else { ["true", "false"] };
        self.audit(Peer::Station, &chain, &format!("/node{path}"), from, to);
        if !on {
            self.auto_bypassed.push(AutoBypass { chain, id: id.to_owned(), broken: None });
        }
        true
    }

    /// Removes the nodes that `changes` enable from automatic bypass. True if one of them has panicked, so that the
    /// chain must be rebuilt.
    pub(super) fn clear_auto_bypass(
        &mut self,
        chain: &str,
        changes: &[crate::conductor::on_air::Change],
    ) -> bool {
        let generation = self.on_air.newest().map(|running| running.generation);
        let is_enabled = |node: &AutoBypass| {
            let path = format!("/{}/enabled", node.id);
            let enables = |change: &crate::conductor::on_air::Change| {
                matches!(change.place.target, Target::Enabled { .. })
                    && change.place.path == path
                    && change.value == true.into()
            };
            node.chain == chain && changes.iter().any(enables)
        };
        let mut rebuild = false;
        self.auto_bypassed.retain(|node| {
            let is_enabled = is_enabled(node);
            rebuild |= is_enabled && node.broken.is_some() && node.broken == generation;
            !is_enabled
        });
        rebuild
    }

    /// A node or a chain panicked on the audio thread and is bypassed.
    pub(super) fn panicked(&mut self, panicked: &Panicked) {
        self.health.faults += 1;
        let message = panicked.message();
        let generation = panicked.generation;
        let Some(node) = panicked.node.and_then(|node| self.on_air.node(generation, node)) else {
            error!("chain panicked: {message}; bypassed until the next swap");
            return self.send_event("fault", &["chain", &format!("panicked: {message}; bypassed")]);
        };
        let id = node.id.clone();
        error!(node = id, "node \"{id}\" panicked: {message}; bypassed until enabled");
        self.send_event("fault", &[&id, &format!("panicked: {message}; bypassed")]);
        // The previous chain of a swap ends soon, and its nodes with it.
        if self.on_air.newest().is_some_and(|running| running.generation == generation)
            && self.set_auto_bypass(&id, false)
            && let Some(node) = self.auto_bypassed.last_mut()
        {
            node.broken = Some(generation);
        }
    }

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
        let place = self.session.as_ref().and_then(|session| session.trace.place());
        let node = place.and_then(|(generation, node)| self.on_air.node(generation, node));
        let node = node.map(|node| node.id.clone());
        let of = |generation: u64| self.on_air.name(generation).map(str::to_owned);
        let chain =
            place.and_then(|(generation, _)| of(generation)).unwrap_or_else(|| self.on_air.last_requested());
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
        std::process::exit(3);
    }

    /// libjack does not close its client, so this process cannot open another one: it executes itself again.
    pub(super) fn restart_for_libjack(&mut self) {
        let what = "libjack did not close the client within 10 s";
        let Some(record) =
            HangRecord::next(self.hang_record.as_ref(), &self.on_air.last_requested(), Hung::Server)
        else {
            return error!("{what}, after every restart: not restarting again");
        };
        error!("{what}: restarting the process");
        self.send_event("connection", &["held", &format!("{what}; restarting the process")]);
        self.restart_process(&record);
        std::process::exit(3);
    }

    /// Writes the state, ends the surfaces, and executes the process again. Returns only if that fails.
    fn restart_process(&mut self, record: &HangRecord) {
        self.write_last();
        let until = Instant::now() + NOTIFY_LIMIT;
        self.surfaces.iter().for_each(|surface| surface.end(until));
        if self.ending.is_some() {
            std::process::exit(0);
        }
        error!("{}", restart::execute_again(record));
    }

    /// Writes the last state, and waits at most [`WRITE_LIMIT`] for it.
    fn write_last(&mut self) {
        self.end_gesture();
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
        let ids = match (&record.what, self.on_air.chains.plan(chain)) {
            (Hung::Node(id), _) => vec![id.clone()],
            (Hung::Chain, Ok(plan)) => plan.nodes.iter().map(|node| node.id.clone()).collect(),
            (Hung::Chain, Err(_)) | (Hung::Server, _) => Vec::new(),
        };
        self.bypass |= record.what == Hung::Chain;
        for id in &ids {
            let path = format!("/{id}/enabled");
            let Some(values) = self.on_air.chains.values_mut(chain) else { continue };
            if values.enabled(id) == Some(true) {
                values.enable(id, false);
                values.record_author(&path, Peer::Station, SystemTime::now());
                self.audit(Peer::Station, chain, &format!("/node{path}"), "true", "false");
            }
        }
        match &record.what {
            Hung::Server => error!("process restarted because libjack did not close the client"),
            Hung::Node(id) => {
                error!(
                    "process restarted because node \"{id}\" of chain \"{chain}\" hung; bypassed until enabled"
                )
            }
            Hung::Chain => {
                error!(
                    "process restarted because chain \"{chain}\" hung; the chain and all its nodes are bypassed"
                )
            }
        }
    }
}
