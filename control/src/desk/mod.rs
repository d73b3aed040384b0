//! The station's model: requests, events of the audio thread, results of tasks and time go in; effects come out.
//!
//! The desk is plain data. It has no thread, file, socket or clock: [`Desk::handle`] is given the time as a number, and
//! what takes long (planning, building, reading files) is an [`Effect`] whose result comes back as an [`Input`] with the
//! same ticket. Between the two the desk may be asked anything; a result that nothing waits for any longer is dropped.

mod audit;
pub mod chains;
pub mod compare;
pub mod cues;
pub mod faults;
pub mod glide;
pub mod history;
pub mod kept;
mod moves;
pub mod on_air;
pub mod overload;
pub mod profiles;
pub mod readings;
mod reads;
mod recall;
mod reload;
pub mod scene;
pub mod settings;
mod swap;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests;
pub mod turn;
mod undo;
pub mod values;

use crate::desk::chains::{ChainError, Chains, ToPlan};
use crate::desk::compare::Compare;
use crate::desk::cues::{Cue, Cues};
use crate::desk::faults::AutoBypass;
use crate::desk::glide::Glide;
use crate::desk::history::History;
use crate::desk::on_air::{Goal, OnAir, Preparing};
use crate::desk::overload::OverloadControl;
use crate::desk::profiles::Learning;
use crate::desk::readings::NodeReadings;
use crate::desk::reload::{Loading, Planning};
use crate::desk::scene::Scenes;
use crate::desk::settings::Settings;
use crate::desk::turn::{About, Effect, Input, Level, Now, Ticket, Turn};
use crate::peer::Peer;
use crate::request::{CueRequest, Request, Step};
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use crate::value::ParamValue;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::run::engine::Event;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::time::Duration;

/// Most requests that wait until a chain is prepared.
const MOST_DEFERRED: usize = 1_024;
/// Time between two checks of the cues' times.
const CUE_PERIOD: Duration = Duration::from_millis(100);

/// The station's whole model.
#[derive(Clone, Debug)]
pub struct Desk {
    settings: Settings,
    chains: Chains,
    on_air: OnAir,
    history: History,
    scenes: Scenes,
    /// The scene that was recalled or saved last, while its values are unchanged.
    scene: Option<String>,
    glide: Option<Glide>,
    compare: Compare,
    bypass: bool,
    cues: Cues,
    overload: OverloadControl,
    /// The nodes in automatic bypass.
    auto_bypassed: Vec<AutoBypass>,
    learning: Learning,
    readings: NodeReadings,
    tasks: Tasks,
    session: SessionState,
}

/// Tasks whose results have not come yet, and what waits for them.
#[derive(Clone, Debug, Default)]
struct Tasks {
    last: Ticket,
    loading: Vec<Loading>,
    /// Chain files that changed on disk, and are read when fewer files are being read.
    changed: BTreeSet<PathBuf>,
    planning: Vec<Planning>,
    /// Whether a reload has changed values of the chain on air that neither the audio thread nor subscribers have yet.
    has_stale_values: bool,
    /// Requests of the peer that asked for the chain that is being prepared.
    deferred: VecDeque<(Peer, Request)>,
}

/// What the desk knows of the audio session, and of the rest of the machine.
#[derive(Clone, Debug, Default)]
struct SessionState {
    is_open: bool,
    /// Whether it runs free of any clock.
    is_free: bool,
    is_freewheeling: bool,
    /// The chain to start with, once a session is open.
    first_chain: String,
    /// The addresses of the status, which others than the desk know.
    status_addresses: Vec<String>,
    next_cue_check: Duration,
}

impl SessionState {
    /// Whether a callback can be late.
    fn has_deadlines(&self) -> bool {
        self.is_open && !self.is_free && !self.is_freewheeling
    }
}

impl Desk {
    /// A desk of these chains, with no chain on air. `first_chain` is the one to start with.
    pub fn new(settings: Settings, chains: Chains, cues: Vec<Cue>, first_chain: &str, now: Duration) -> Self {
        Self {
            settings,
            chains,
            on_air: OnAir::default(),
            history: History::default(),
            scenes: Scenes::default(),
            scene: None,
            glide: None,
            compare: Compare::new(now),
            bypass: false,
            cues: Cues::new(cues),
            overload: OverloadControl::new(now),
            auto_bypassed: Vec::new(),
            learning: Learning::default(),
            readings: NodeReadings::default(),
            tasks: Tasks::default(),
            session: SessionState { first_chain: first_chain.to_owned(), ..SessionState::default() },
        }
    }

    /// Handles one input at `now`; adds to `effects` what is to be done, in order.
    pub fn handle(&mut self, input: Input, now: Now, effects: &mut Vec<Effect>) {
        let turn = &mut Turn::new(now, effects);
        turn.by = self.cause(&input);
        match input {
            Input::Request { by, request } => self.receive(turn, by, request),
            Input::Engine(event) => self.engine(turn, event),
            Input::Panicked { generation, node, message } => self.panicked(turn, generation, node, &message),
            Input::Load(load) => self.overload.add_load(&load),
            Input::OwnMiss => self.overload.record_own_miss(),
            Input::Readings(lines) => self.receive_readings(turn, lines),
            Input::Opened { rate, is_free } => {
                (self.session.is_open, self.session.is_free) = (true, is_free);
                self.session.is_freewheeling = false;
                self.opened(turn, rate);
            }
            Input::Closed => {
                self.session.is_open = false;
                self.readings.clear(|_| true);
            }
            Input::Freewheel(is_on) => self.session.is_freewheeling = is_on,
            Input::FileChanged(path) => self.file_changed(turn, path),
            Input::Planned { ticket, plans } => self.planned(turn, ticket, plans),
            Input::Built { ticket, generation } => self.built(turn, ticket, generation),
            Input::Loaded { ticket, files } => drop(self.loaded(turn, ticket, files)),
            Input::Failed { ticket, why } => self.failed(turn, ticket, &why),
            Input::Time => {}
        }
        turn.by = Peer::Station;
        if !self.tasks.deferred.is_empty() {
            self.resume_deferred(turn);
        }
        self.tick_glide(turn);
        self.tick_cues(turn);
        self.tick_overload(turn);
        if let Some(ended) = self.history.close_expired(now.monotonic) {
            self.audit_gesture(turn, &ended);
        }
    }

    /// When [`Input::Time`] is due at the latest.
    pub fn next_deadline(&self) -> Duration {
        let glide = self.glide.as_ref().map(Glide::deadline);
        let cues = self.cues.has_times().then_some(self.session.next_cue_check);
        let times = [glide, cues, self.history.deadline()];
        times.into_iter().flatten().fold(self.overload.deadline(), Duration::min)
    }

    /// The chains of the station.
    pub fn chains(&self) -> &Chains {
        &self.chains
    }

    /// The chains on the audio thread.
    pub fn running(&self) -> &OnAir {
        &self.on_air
    }

    /// The readings of the nodes on air.
    pub fn readings_mut(&mut self) -> &mut NodeReadings {
        &mut self.readings
    }

    /// The settings of the station file.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Sets the times of a swap: warm-up and crossfade, in ms.
    pub fn set_swap_ms(&mut self, warmup_ms: f64, fade_ms: f64) {
        (self.settings.warmup_ms, self.settings.fade_ms) = (warmup_ms, fade_ms);
    }

    /// Stores values in a chain, by their paths: those that it has, in its ranges.
    pub fn store_values(&mut self, chain: &str, values: &BTreeMap<String, ParamValue>) {
        self.chains.store(chain, values);
    }

    /// Sets the addresses of the status, which the conductor knows.
    pub fn set_status_addresses(&mut self, addresses: Vec<String>) {
        self.session.status_addresses = addresses;
    }

    /// Checks the chains that have restored values by `plan`. A chain that cannot be planned with them takes the texts of
    /// its file, or all values of its file.
    pub fn check_restored(
        &mut self,
        turn: &mut Turn<'_>,
        plan: impl Fn(ToPlan, &Io, f64) -> Result<Plan, ChainError>,
    ) {
        let names: Vec<String> = self.chains.names().map(str::to_owned).collect();
        let is_moved =
            |name: &&String| self.chains.values(name).is_some_and(|values| values.changed().next().is_some());
        let moved: Vec<String> = names.iter().filter(is_moved).cloned().collect();
        let planned = |chains: &Chains, name: &str| {
            chains.to_plan(name).and_then(|chain| plan(chain, chains.io(), chains.rate()))
        };
        for name in &moved {
            let latency = planned(&self.chains, name).ok().map(|plan| plan.latency);
            self.chains.set_own_latency(name, latency);
        }
        self.chains.align();
        for (name, texts_only) in moved.iter().flat_map(|name| [(name, true), (name, false)]) {
            let fits = planned(&self.chains, name).and_then(|plan| self.chains.padded(&plan));
            if let Err(why) = fits {
                let what = if texts_only { "texts" } else { "values" };
                let text =
                    format!("chain \"{name}\": saved {what} do not fit: {why}; using those of its file");
                turn.log(Level::Warn, About::Station, text);
                self.chains.reset_values(name, texts_only);
                // Until now its latency was unknown.
                let latency = planned(&self.chains, name).ok().map(|plan| plan.latency);
                self.chains.set_own_latency(name, latency);
                self.chains.align();
            }
        }
    }

    /// The client behind an input. The result of a task belongs to the client that asked for the task, and the end of a swap
    /// to the client that asked for the swap.
    fn cause(&self, input: &Input) -> Peer {
        match input {
            Input::Request { by, .. } => *by,
            Input::FileChanged(_) => Peer::Files,
            Input::Engine(Event::OnAir { .. }) => self.on_air.swapped_by.unwrap_or(Peer::Station),
            Input::Planned { ticket, .. }
            | Input::Built { ticket, .. }
            | Input::Loaded { ticket, .. }
            | Input::Failed { ticket, .. } => self.asked_by(*ticket),
            _ => Peer::Station,
        }
    }

    /// Who asked for a task.
    fn asked_by(&self, ticket: Ticket) -> Peer {
        let preparing = self.on_air.preparing.as_ref().filter(|preparing| preparing.ticket == ticket);
        let loading = self.tasks.loading.iter().find(|loading| loading.ticket == ticket);
        let planning = self.tasks.planning.iter().find(|planning| planning.ticket == ticket);
        let by = preparing.map(|preparing| preparing.wanted.by).or(loading.map(|loading| loading.by));
        by.or(planning.and_then(Planning::by)).unwrap_or(Peer::Station)
    }

    fn next_ticket(&mut self) -> Ticket {
        self.tasks.last += 1;
        self.tasks.last
    }

    /// Handles a request, or defers it: what a peer sets after it has asked for a chain, or for a reload, is meant for
    /// what comes of that.
    fn receive(&mut self, turn: &mut Turn<'_>, by: Peer, request: Request) {
        let is_urgent = matches!(request, Request::Bypass(_) | Request::Swap(_));
        let follows = request == Request::Sync || !request.is_read() && !is_urgent;
        let has_earlier = self.tasks.deferred.iter().any(|(earlier, _)| *earlier == by);
        let waits = follows && (has_earlier || self.waits(by, &request));
        if !waits && (!self.is_starting() || request == Request::Ping) {
            return self.request(turn, by, request);
        }
        if self.tasks.deferred.len() < MOST_DEFERRED {
            self.tasks.deferred.push_back((by, request));
        } else {
            let why = "too many messages wait until a chain is prepared; message discarded";
            turn.error(by, "/", why);
        }
    }

    /// Whether the first chain is being prepared: nothing can be asked yet.
    pub fn is_starting(&self) -> bool {
        let is_start = |preparing: &Preparing| matches!(preparing.wanted.goal, Goal::Start);
        self.on_air.newest().is_none() && self.on_air.preparing.as_ref().is_some_and(is_start)
    }

    /// Whether a task runs that this peer waits for.
    fn is_awaited_by(&self, by: Peer) -> bool {
        self.is_starting()
            || self.on_air.wanted().any(|wanted| wanted.is_awaited_by(by))
            || self.tasks.loading.iter().any(|loading| loading.by == by)
            || self
                .tasks
                .planning
                .iter()
                .any(|planning| planning.by() == Some(by) && !planning.is_shown_to(by))
    }

    /// Whether a request of this peer waits for a task. What `/plan` shows changes nothing, so only `/sync` waits for that.
    fn waits(&self, by: Peer, request: &Request) -> bool {
        self.is_awaited_by(by)
            || *request == Request::Sync
                && self.tasks.planning.iter().any(|planning| planning.is_shown_to(by))
    }

    /// Handles the requests that no longer wait for a task.
    fn resume_deferred(&mut self, turn: &mut Turn<'_>) {
        // A request that asks for a task again makes those behind it wait on.
        let mut waiting: Vec<Peer> = Vec::new();
        for (by, request) in std::mem::take(&mut self.tasks.deferred) {
            if waiting.contains(&by) || self.waits(by, &request) {
                waiting.push(by);
                self.tasks.deferred.push_back((by, request));
            } else {
                turn.by = by;
                self.request(turn, by, request);
            }
        }
        turn.by = Peer::Station;
    }

    fn request(&mut self, turn: &mut Turn<'_>, by: Peer, request: Request) {
        match request {
            Request::Set { address, value } => self.set(turn, by, &address, &value),
            Request::Nudge { address, by: step } => self.nudge(turn, by, &address, step),
            Request::Learn { address } => self.learn(turn, by, address),
            Request::Learned { to, address, what, is_bound } => {
                self.audit(turn, by, "", "learn", "", &format!("{address}: {what}"));
                let outcome = if is_bound { "bound" } else { "failed" };
                let line = Update::words("/event/learn", &[&address, &what, outcome]);
                turn.update(Recipients::One(to), vec![line]);
            }
            Request::Get { address } => self.get(turn, by, &address),
            Request::Swap(name) => self.request_swap(turn, by, &name),
            Request::ChainNumber(number) => self.request_swap_to_number(turn, by, number),
            Request::Who { address } => self.send_author(turn, by, &address),
            Request::Plan(name) => self.show_plan(turn, by, name),
            Request::Undo(scope) => self.step_history(turn, by, Step::Undo, scope),
            Request::Redo(scope) => self.step_history(turn, by, Step::Redo, scope),
            Request::Scene(request) => self.scene(turn, by, request),
            Request::Cue(request) => self.cue(turn, by, request),
            Request::Compare(request) => self.compare(turn, by, request),
            Request::Bypass(on) => self.set_bypass(turn, by, on),
            Request::BypassMatched(on) => self.match_bypass(turn, by, on),
            Request::Subscribe(subscription) => {
                let is_wanted = |line: &Update| subscription.has(line) && !line.is_none();
                let wanted = self.full_state().into_iter().filter(is_wanted).collect();
                turn.add(Effect::Surfaces(SurfaceMessage::Subscribe { peer: by, subscription }));
                turn.update(Recipients::One(by), wanted);
            }
            Request::Unsubscribe => {
                turn.add(Effect::Surfaces(SurfaceMessage::Unsubscribe { peer: by }));
            }
            Request::Ping => {
                turn.update(Recipients::One(by), vec![Update::new("/pong", Vec::new())]);
            }
            Request::Sync => turn.update(Recipients::One(by), vec![Update::new("/synced", Vec::new())]),
            Request::Reload { reset } => self.reload(turn, by, reset),
            Request::Wrong { address, why } => turn.error(by, &address, &why),
            // What the conductor does by itself, and a token, which is the matter of the UDP surface.
            Request::Token(_) | Request::Released | Request::Changed(_) | Request::Dump | Request::Quit => {}
        }
    }

    fn cue(&mut self, turn: &mut Turn<'_>, by: Peer, request: CueRequest) {
        if self.cues.is_empty() {
            let why = "the station has no cue list (cues: FILE in the station file)";
            return turn.error(by, "/cue", why);
        }
        let cue = match request {
            CueRequest::Go => self.cues.take_next(),
            CueRequest::Next | CueRequest::Previous => {
                self.cues.advance(if request == CueRequest::Next { 1 } else { -1 });
                None
            }
            CueRequest::Do(name) => match self.cues.take(&name) {
                Some(cue) => Some(cue),
                None => {
                    let why = format!("no cue \"{name}\"; there are {}", self.cues.names().join(", "));
                    return turn.error(by, "/cue", &why);
                }
            },
        };
        if let Some(cue) = cue {
            self.run_cue(turn, by, &cue);
        }
        turn.update(Recipients::All, self.cue_lines());
    }

    fn run_cue(&mut self, turn: &mut Turn<'_>, by: Peer, cue: &Cue) {
        turn.info(format!("cue \"{}\": running", cue.name));
        turn.event("cue", &[&cue.name]);
        let scene = cue.scene.as_deref().and_then(|name| self.scenes.find(name));
        let is_elsewhere = |chain: &str| {
            self.on_air.last_requested() != chain && scene.is_none_or(|scene| scene.chain != chain)
        };
        if let Some(chain) = cue.chain.as_deref().filter(|chain| is_elsewhere(chain)) {
            self.request_swap(turn, by, chain);
        }
        if let Some(scene) = &cue.scene
            && let Err(why) = self.recall(turn, by, scene, cue.morph_ms / 1_000.0)
        {
            turn.error(by, "/cue", &format!("cue \"{}\": {why}", cue.name));
        }
    }

    /// Runs the cues whose time of day has come.
    fn tick_cues(&mut self, turn: &mut Turn<'_>) {
        if !self.cues.has_times() || turn.now.monotonic < self.session.next_cue_check {
            return;
        }
        self.session.next_cue_check = turn.now.monotonic + CUE_PERIOD;
        for (name, late) in self.cues.due(turn.now.local_seconds(), turn.now.utc_offset) {
            if late > 1 {
                let text = format!(
                    "cue \"{name}\": {late} s late because the clock was set or the machine was suspended"
                );
                turn.log(Level::Warn, About::Station, text);
            }
            self.cue(turn, Peer::Cues, CueRequest::Do(name));
        }
    }

    /// The names of all cues, and the next cue.
    fn cue_list(&self) -> Vec<Update> {
        let mut lines = vec![Update::words("/cues", &self.cues.names())];
        lines.extend(self.cue_lines());
        lines
    }

    /// The next cue.
    fn cue_lines(&self) -> Vec<Update> {
        vec![Update::words("/cue/name", &[self.cues.next().map_or("", |cue| &cue.name)])]
    }
}
