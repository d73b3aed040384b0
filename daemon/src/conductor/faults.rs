//! The conductor and what goes wrong in a chain: nodes that panic or do not come back. The dry signal is heard, and
//! every surface shows what is out.

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

/// A callback that takes longer than this and some blocks does not come back.
const HANGS: Duration = Duration::from_millis(500);
/// So many blocks it may take besides: one that is only slow is an overload.
const BLOCKS: f64 = 8.0;
/// Most of the time between two looks that counts: where this thread did not run, the other one may not have either.
const COUNTS: Duration = Duration::from_millis(50);
/// How long the keeper may take to write the last state.
const LAST: Duration = Duration::from_secs(1);
/// How long all surfaces may take to tell the last.
const TOLD: Duration = Duration::from_millis(200);

/// A node that the house has taken out: nobody wished for it, so it is not kept.
pub struct AutoBypass {
    /// Its chain.
    pub chain: String,
    /// Its name.
    pub id: String,
    /// The chain as built in which it panicked: it plays again only in another one.
    broken: Option<u64>,
}

/// What is known of a callback that runs.
pub struct Watch {
    callback: Option<u64>,
    /// For how long it has been seen, and how long its thread had run when it was seen first.
    stuck: Duration,
    ran: Option<Duration>,
    looked: Instant,
}

impl Watch {
    pub(super) fn new(now: Instant) -> Self {
        Self { callback: None, stuck: Duration::ZERO, ran: None, looked: now }
    }

    /// Notes which callback runs, and gives for how long it has been seen to. What its thread has `run` since is certain:
    /// one that loops at real-time priority may leave this thread little time to look.
    fn look(
        &mut self,
        callback: Option<u64>,
        run: impl FnOnce() -> Option<Duration>,
        now: Instant,
    ) -> Duration {
        let passed = now.duration_since(std::mem::replace(&mut self.looked, now)).min(COUNTS);
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
    /// The live values of a chain, as people wished them: what the house has taken out is on.
    pub(super) fn user_values(&self, chain: &str) -> BTreeMap<String, ParamValue> {
        let mut values = self.on_air.values_of(chain);
        let out = self.auto_bypassed.iter().filter(|out| out.chain == chain);
        values.extend(out.map(|out| (format!("/{}/enabled", out.id), true.into())));
        values
    }

    /// Takes a node of the newest chain out, or back in, on behalf of the house; false where it is so already.
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

    /// Nodes that come back are out no longer. True where one of them can come back only in a chain built anew.
    pub(super) fn clear_auto_bypass(
        &mut self,
        chain: &str,
        changes: &[crate::conductor::on_air::Change],
    ) -> bool {
        let generation = self.on_air.newest().map(|running| running.generation);
        let is_back = |out: &AutoBypass| {
            let path = format!("/{}/enabled", out.id);
            let comes = |change: &crate::conductor::on_air::Change| {
                matches!(change.place.target, Target::Enabled { .. })
                    && change.place.path == path
                    && change.value == true.into()
            };
            out.chain == chain && changes.iter().any(comes)
        };
        let mut rebuild = false;
        self.auto_bypassed.retain(|out| {
            let is_back = is_back(out);
            rebuild |= is_back && out.broken.is_some() && out.broken == generation;
            !is_back
        });
        rebuild
    }

    /// Something has panicked on the audio thread: its input is heard.
    pub(super) fn panicked(&mut self, panicked: &Panicked) {
        self.health.faults += 1;
        let message = panicked.message();
        let generation = panicked.generation;
        let Some(node) = panicked.node.and_then(|node| self.on_air.node(generation, node)) else {
            error!("the chain panicked: {message}; its dry signal is heard until it is swapped in again");
            return self.send_event("fault", &["chain", &format!("panicked: {message}; dry signal")]);
        };
        let id = node.id.clone();
        error!(node = id, "node {id} panicked: {message}; it is out, its input is heard instead");
        self.send_event("fault", &[&id, &format!("panicked: {message}; dry signal")]);
        // In a chain that is leaving it is gone with it.
        if self.on_air.newest().is_some_and(|running| running.generation == generation)
            && self.set_auto_bypass(&id, false)
            && let Some(out) = self.auto_bypassed.last_mut()
        {
            out.broken = Some(generation);
        }
    }

    /// Looks whether the callback comes back.
    pub(super) fn check_for_hang(&mut self, now: Instant) {
        let Some(session) = &self.session else { return };
        let blocks = Duration::from_secs_f64(BLOCKS * session.block as f64 / session.rate);
        if self.hang_watch.look(session.trace.callback(), || session.run_time(), now) >= HANGS + blocks {
            self.handle_hang();
        }
    }

    /// The callback does not come back: this process ends, and takes its own place without what hung.
    fn handle_hang(&mut self) {
        let place = self.session.as_ref().and_then(|session| session.trace.place());
        let node = place.and_then(|(generation, node)| self.on_air.node(generation, node));
        let node = node.map(|node| node.id.clone());
        let of = |generation: u64| self.on_air.name(generation).map(str::to_owned);
        let chain = place.and_then(|(generation, _)| of(generation)).unwrap_or_else(|| self.on_air.next());
        let what = match &node {
            Some(id) => format!("node {id} of chain {chain} does not come back"),
            None => format!("chain {chain} does not come back"),
        };
        error!("{what}: starting again without it");
        self.send_event("fault", &[node.as_deref().unwrap_or("chain"), "does not come back; starting again"]);
        systemd::set_status(&format!("{what}: starting again without it"));
        let hung = node.map_or(Hung::Chain, Hung::Node);
        match HangRecord::next(self.note.as_ref(), &chain, hung) {
            Some(note) => self.restart_process(&note),
            None => error!("{what}, however often it is started"),
        }
        // Whoever watches the process starts it again.
        std::process::exit(3);
    }

    /// The library of the audio server does not let this process go, so it cannot be used again: only a process anew can.
    pub(super) fn restart_for_libjack(&mut self) {
        let what = "the library of the audio server does not let go";
        let Some(note) = HangRecord::next(self.note.as_ref(), &self.on_air.next(), Hung::Server) else {
            return error!("{what}, however often this is started");
        };
        error!("{what}: starting again");
        self.send_event(
            "connection",
            &["held", "the library of the audio server does not let go; starting again"],
        );
        self.restart_process(&note);
        std::process::exit(3);
    }

    /// Has all written and told, and takes the place of this process. Comes back where that fails.
    fn restart_process(&mut self, note: &HangRecord) {
        self.write_last();
        let until = Instant::now() + TOLD;
        self.surfaces.iter().for_each(|surface| surface.end(until));
        if self.ending.is_some() {
            std::process::exit(0);
        }
        error!("{}", restart::execute_again(note));
    }

    /// Has the last state written, and waits for it a little.
    fn write_last(&mut self) {
        self.end_gesture();
        let kept = self.kept();
        let (done, is_done) = bounded(1);
        let Some(keeps) = self.keeps() else { return };
        for keep in [WriteRequest::State(Box::new(kept)), WriteRequest::Flush(done)] {
            keeps.send_timeout(keep, LAST).ok();
        }
        is_done.recv_timeout(LAST).ok();
    }

    /// Takes out what hung in the process before this one.
    pub(super) fn resume(&mut self, note: &HangRecord) {
        let chain = note.chain.as_str();
        let ids = match (&note.what, self.on_air.chains.plan(chain)) {
            (Hung::Node(id), _) => vec![id.clone()],
            (Hung::Chain, Ok(plan)) => plan.nodes.iter().map(|node| node.id.clone()).collect(),
            (Hung::Chain, Err(_)) | (Hung::Server, _) => Vec::new(),
        };
        self.bypass |= note.what == Hung::Chain;
        for id in &ids {
            let path = format!("/{id}/enabled");
            let Some(values) = self.on_air.chains.values_mut(chain) else { continue };
            if values.enabled(id) == Some(true) {
                values.enable(id, false);
                values.sign(&path, Peer::Station, SystemTime::now());
                self.audit(Peer::Station, chain, &format!("/node{path}"), "true", "false");
            }
        }
        match &note.what {
            Hung::Server => error!("started again: the library of the audio server did not let go"),
            Hung::Node(id) => {
                error!("started again: node {id} of chain {chain} did not come back; it is out until enabled")
            }
            Hung::Chain => {
                error!("started again: chain {chain} did not come back; in bypass, with all its nodes out")
            }
        }
    }
}
