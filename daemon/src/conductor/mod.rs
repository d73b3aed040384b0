//! The conductor: the one thread that builds chains and sends commands to the audio thread. It receives requests from
//! every surface and events from the audio thread, and sends updates to the surfaces.

pub mod chains;
pub mod compare;
mod cues;
mod faults;
mod files;
mod moves;
pub mod on_air;
mod overload;
pub(crate) mod persist;
mod profiles;
mod readings;
mod reads;
pub mod report;
mod scenes;
pub(crate) mod session;
pub(crate) mod status;

use crate::audio::session::{Opening, PortSetup, Session};
use crate::conductor::on_air::OnAir;
use crate::conductor::readings::NodeReadings;
use crate::conductor::report::Health;
use crate::process::restart::HangRecord;
use crate::process::state_file::Kept;
use crate::process::state_writer::WriteRequest;
use crate::process::supervise::{Pulse, Report, Watcher};
use crate::process::systemd;
use crate::station::Station;
use crate::station::cues::Cue;
use crate::surfaces::osc::SurfaceSender;
use crate::surfaces::watcher::Watched;
use basedrop::Collector;
use compare::Compare;
use crossbeam_channel::{Receiver, Sender, never, select};
use cues::Cues;
use faults::{AutoBypass, HangWatch};
use lacquer_control::desk::history::History;
use lacquer_control::desk::scene::Scenes;
use lacquer_control::message::ToAudio;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::update::Update;
use overload::OverloadControl;
use persist::StateSaver;
use profiles::Learning;
use scenes::Morph;
use session::Reconnect;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};
use tracing::{error, info, warn};

/// Period in which events are received and memory is freed.
const TICK: Duration = Duration::from_millis(5);
/// Period in which readings of nodes are sent.
const METER_PERIOD: Duration = Duration::from_millis(50);
/// Time without changes before a file is read again: editors write in several steps.
const FILE_SETTLE: Duration = Duration::from_millis(100);
/// Time limit for the fade-out at the end.
const END_LIMIT: Duration = Duration::from_secs(2);
/// Largest time from now to the time tag of a bundle, and most bundles that wait.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);
const MAX_SCHEDULED: usize = 1_024;

/// Everything needed to start the conductor.
pub struct ConductorParts {
    /// The station file.
    pub path: PathBuf,
    /// The parsed station.
    pub station: Station,
    /// Sends requests to the conductor.
    pub request_sender: Sender<RequestBundle>,
    /// Receives the requests.
    pub requests: Receiver<RequestBundle>,
    /// The surfaces that receive updates.
    pub surfaces: Vec<Sender<SurfaceMessage>>,
    /// The cue list.
    pub cues: Vec<Cue>,
    /// Sends state and audit lines to the thread that writes them.
    pub writer: Option<Sender<WriteRequest>>,
    /// The state that was saved when the station ended.
    pub kept: Option<Kept>,
    /// What hung, if the process has executed itself again because of a hang.
    pub hang_record: Option<HangRecord>,
    /// The port connections to make.
    pub port_setup: PortSetup,
    /// The session that is still being opened.
    pub opening: Option<Opening>,
}

/// The conductor and everything it owns.
pub struct Conductor {
    path: PathBuf,
    station: Station,
    on_air: OnAir,
    session: Option<Session>,
    reconnect: Reconnect,
    /// Time of the last tick.
    last_tick: Instant,
    /// The chain to start with, once a session is open.
    first_chain: String,
    collector: Collector,
    requests: Receiver<RequestBundle>,
    request_sender: Sender<RequestBundle>,
    surfaces: Vec<SurfaceSender>,
    watched: Option<Watched>,
    /// Files that changed, and when to read them.
    changed: BTreeMap<PathBuf, Instant>,
    /// Requests for a later time.
    scheduled: BTreeMap<SystemTime, Vec<RequestBundle>>,
    bypass: bool,
    history: History,
    scenes: Scenes,
    /// The scene that was recalled or saved last, while its values are unchanged.
    scene: Option<String>,
    morph: Option<Morph>,
    compare: Compare,
    cues: Cues,
    state_saver: StateSaver,
    port_setup: PortSetup,
    health: Health,
    /// What hung before the process executed itself again.
    hang_record: Option<HangRecord>,
    hang_watch: HangWatch,
    /// The nodes in automatic bypass.
    auto_bypassed: Vec<AutoBypass>,
    overload: OverloadControl,
    learning: Learning,
    /// Period of the watchdog, and the next time to notify it.
    watchdog: Option<(Duration, Instant)>,
    threads: Watcher,
    readings: NodeReadings,
    next_meters: Instant,
    /// Since when the output fades out before the end.
    ending: Option<Instant>,
    ended: bool,
}

impl Conductor {
    /// A conductor for a station with an open `session`, or one that retries to open it.
    pub fn new(on_air: OnAir, session: Option<Session>, collector: Collector, parts: ConductorParts) -> Self {
        let now = Instant::now();
        let ConductorParts {
            path,
            station,
            request_sender,
            requests,
            surfaces,
            cues,
            writer,
            kept,
            hang_record,
            port_setup,
            opening,
        } = parts;
        let mut conductor = Self {
            path,
            station,
            on_air,
            session,
            first_chain: String::new(),
            reconnect: Reconnect::new(now, opening),
            last_tick: now,
            collector,
            requests,
            request_sender,
            surfaces: surfaces.into_iter().map(SurfaceSender::new).collect(),
            watched: None,
            changed: BTreeMap::new(),
            scheduled: BTreeMap::new(),
            bypass: false,
            history: History::default(),
            scenes: Scenes::default(),
            scene: None,
            morph: None,
            compare: Compare::new(now),
            cues: Cues::new(cues),
            state_saver: StateSaver::new(writer, now),
            port_setup,
            health: Health::new(now),
            hang_record,
            hang_watch: HangWatch::new(now),
            auto_bypassed: Vec::new(),
            overload: OverloadControl::new(now),
            learning: Learning::default(),
            watchdog: systemd::watchdog_interval().map(|every| (every, now)),
            threads: Watcher::new(now),
            readings: NodeReadings::default(),
            next_meters: now,
            ending: None,
            ended: false,
        };
        conductor.watch();
        if let Some(kept) = kept {
            let all = conductor.hang_record.is_some() || conductor.station.starts_where_it_ended();
            conductor.restore(kept, all);
        }
        if let Some(record) = conductor.hang_record.clone() {
            conductor.resume(&record);
        }
        conductor
    }

    /// Runs until a request to quit. `start` is the chain to start with.
    pub fn run(mut self, start: &str) {
        start.clone_into(&mut self.first_chain);
        match self.session {
            Some(_) => self.start(start),
            None => self.wait_for_audio(),
        }
        let pulse = Pulse::new("conductor");
        while !self.ended {
            // A panic in the handling of one request must not end the programme.
            if pulse.catch_panic(|| self.run_once(&pulse)).is_none() {
                std::thread::sleep(TICK);
            }
        }
        self.end_writer();
        self.close();
        self.on_air.clear();
        // Chains that were still in the queues are freed here.
        self.collector.collect();
    }

    /// Waits for a request or an event, and handles it.
    fn run_once(&mut self, pulse: &Pulse) {
        pulse.beat();
        let (meters, events) = match &self.session {
            Some(session) => (session.meters.clone(), session.events.clone()),
            None => (never(), never()),
        };
        select! {
            recv(self.requests) -> bundle => bundle.into_iter().for_each(|bundle| self.receive(bundle)),
            recv(meters) -> lines => lines.into_iter().for_each(|lines| self.handle_meter_updates(lines)),
            recv(events) -> event => event.into_iter().for_each(|event| self.handle_backend_event(event)),
            default(self.time_to_next()) => {}
        }
        self.tick();
    }

    /// Reports threads that panicked or make no progress. A thread that was started again receives the full state.
    fn report_threads(&mut self, now: Instant) {
        for Report { thread, text, is_restart } in self.threads.check(now) {
            self.send_event("fault", &[&format!("thread {thread}"), &text]);
            if is_restart {
                self.surfaces.iter().for_each(SurfaceSender::mark_missed);
                self.state_saver.touch();
            }
        }
    }

    /// Time until the next tick.
    fn time_to_next(&self) -> Duration {
        let next =
            self.scheduled.keys().next().map(|due| due.duration_since(SystemTime::now()).unwrap_or_default());
        next.map_or(TICK, |next| next.min(TICK))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.receive_events(now);
        if let Some(session) = &mut self.session {
            session.queues.flush();
            if session.update(now) {
                self.state_saver.touch();
            }
            let (missed, gone, silent) =
                (session.missed(), session.failure(), session.input_silence_changed(now));
            self.count_missed(missed, now);
            self.report_input_silence(silent);
            if let Some(why) = gone {
                self.session_lost(&why);
            }
        }
        self.check_for_hang(now);
        self.check_for_standstill();
        self.feed_watchdog(now);
        self.run_scheduled();
        self.tick_morph(now);
        self.tick_cues();
        self.tick_overload(now);
        self.tick_writer(now);
        self.report_threads(now);
        self.resend_to_surfaces();
        self.collector.collect();
        if now >= self.next_meters {
            self.next_meters = now + METER_PERIOD;
            self.send_meters();
        }
        while let Some(path) = self.changed.iter().find(|(_, due)| **due <= now).map(|(path, _)| path.clone())
        {
            self.changed.remove(&path);
            self.reload_chain(&path);
        }
        if self.session.is_none() && self.ending.is_none() {
            self.reopen(now);
        }
        if self.ending.is_some_and(|since| since.elapsed() > END_LIMIT) {
            warn!("output did not fade out within {} s: ending anyway", END_LIMIT.as_secs());
            self.ended = true;
        }
    }

    fn send_command(&mut self, command: ToAudio) {
        if let Some(session) = &mut self.session {
            session.queues.enqueue(command);
        }
    }

    /// Sends the full state to surfaces that have missed updates.
    fn resend_to_surfaces(&self) {
        for surface in self.surfaces.iter().filter(|surface| surface.take_missed()) {
            self.full_state_messages().iter().for_each(|message| surface.send(message));
        }
    }

    fn send_updates(&self, to: Recipients, lines: Vec<Update>) {
        if lines.is_empty() {
            return;
        }
        self.send_to_surfaces(&SurfaceMessage::Updates { to, updates: lines.into() });
    }

    fn send_event(&self, kind: &str, words: &[&str]) {
        self.send_updates(Recipients::All, vec![Update::words(format!("/event/{kind}"), words)]);
    }

    fn send_error(&self, by: Peer, address: &str, why: &str) {
        match by {
            Peer::Signal | Peer::Files | Peer::Station | Peer::Cues => error!("{address}: {why}"),
            _ => self.send_updates(Recipients::One(by), vec![Update::words("/error", &[address, why])]),
        }
    }

    // Requests ----------------------------------------------------------------------------------------

    /// Handles the scheduled bundles that are due.
    fn run_scheduled(&mut self) {
        while let Some(first) = self.scheduled.first_entry().filter(|first| *first.key() <= SystemTime::now())
        {
            first.remove().into_iter().for_each(|bundle| self.receive(bundle));
        }
    }

    /// Stores a bundle for its time; returns it if it is due now.
    fn schedule(&mut self, bundle: RequestBundle) -> Option<RequestBundle> {
        let now = SystemTime::now();
        let Some(due) = bundle.due.filter(|due| *due > now) else { return Some(bundle) };
        let why = if due > now + MAX_AHEAD {
            "the time tag of the bundle is more than an hour ahead; bundle discarded"
        } else if self.scheduled.values().map(Vec::len).sum::<usize>() >= MAX_SCHEDULED {
            "too many bundles wait for their time; bundle discarded"
        } else {
            self.scheduled.entry(due).or_default().push(bundle);
            return None;
        };
        self.send_error(bundle.by, "/", why);
        None
    }

    fn receive(&mut self, bundle: RequestBundle) {
        let Some(bundle) = self.schedule(bundle) else { return };
        for request in bundle.requests {
            self.handle(bundle.by, request);
        }
        // The requests of a bundle take effect together.
        if let Some(session) = &mut self.session {
            session.queues.flush();
        }
    }

    fn handle(&mut self, by: Peer, request: Request) {
        match request {
            Request::Set { address, value } => self.set(by, &address, &value),
            Request::Nudge { address, by: step } => self.nudge(by, &address, step),
            Request::Learn { address } => self.learn(by, address),
            Request::Learned { to, address, what } => {
                self.audit(by, "", "learn", "", &format!("{address}: {what}"));
                self.send_updates(
                    Recipients::One(to),
                    vec![Update::words("/event/learn", &[&address, &what])],
                );
            }
            Request::Get { address } => self.get(by, &address),
            Request::Swap(name) => self.request_swap(by, &name),
            Request::Who { address } => self.send_author(by, &address),
            Request::Undo => self.undo(by),
            Request::Redo => self.redo(by),
            Request::Scene(request) => self.scene(by, request),
            Request::Cue(request) => self.cue(by, request),
            Request::Compare(request) => self.compare(by, request),
            Request::ChainNumber(number) => {
                let name = self.on_air.chains.names().nth(number.wrapping_sub(1)).map(str::to_owned);
                match name {
                    Some(name) => self.request_swap(by, &name),
                    None => {
                        self.send_error(by, "/program/chain", &format!("there is no chain number {number}"))
                    }
                }
            }
            Request::Bypass(on) => self.set_bypass(by, on),
            Request::BypassMatched(on) => self.match_bypass(by, on),
            Request::Subscribe(subscription) => {
                let lines = self.full_state();
                let is_wanted = |line: &Update| subscription.has(line) && !line.is_none();
                let wanted = lines.into_iter().filter(is_wanted).collect();
                self.send_to_surfaces(&SurfaceMessage::Subscribe { peer: by, subscription });
                self.send_updates(Recipients::One(by), wanted);
            }
            Request::Unsubscribe => self.send_to_surfaces(&SurfaceMessage::Unsubscribe { peer: by }),
            // A token is the matter of the UDP surface; elsewhere it proves nothing.
            Request::Released | Request::Token(_) => {}
            Request::Ping => self.send_updates(Recipients::One(by), vec![Update::new("/pong", Vec::new())]),
            Request::Reload { reset } => self.reload(by, reset),
            Request::Changed(path) => {
                let due = Instant::now() + FILE_SETTLE;
                self.changed.extend(self.on_air.chains.readers_of(&path).into_iter().map(|file| (file, due)));
            }
            Request::Dump => {
                for line in self.status() {
                    info!("{}", lacquer_control::surface::client::format_update(&line));
                }
            }
            Request::Quit => self.quit(),
            Request::Wrong { address, why } => self.send_error(by, &address, &why),
        }
    }

    fn send_to_surfaces(&self, message: &SurfaceMessage) {
        self.surfaces.iter().for_each(|surface| surface.send(message));
    }

    /// Swaps to a chain that a user requested. It is a new state for the A/B comparison.
    fn request_swap(&mut self, by: Peer, name: &str) {
        let before = self.on_air.last_requested();
        self.morph = None;
        self.end_gesture();
        self.swap(by, name);
        if self.on_air.last_requested() != before {
            self.compare.forget_loudness();
            self.audit(by, name, "swap", &before, name);
            self.clear_scene();
        }
    }

    fn swap(&mut self, by: Peer, name: &str) {
        if let Err(why) = self.on_air.chains.check_name(name) {
            return self.send_error(by, "/swap", &why.to_string());
        }
        if !self.on_air.is_swapping() {
            self.send_event("swap", &["loading", name]);
        }
        match self.on_air.swap(name) {
            Ok(Some(command)) => {
                self.send_command(command);
                self.compare.restart_measurement();
                self.update_trims();
                self.state_saver.touch();
                self.watch_all();
                info!(chain = name, "swap to chain \"{name}\": warming up");
                self.send_event("swap", &["warming", name]);
                // From now on the addresses are those of the new chain.
                self.send_full_state();
            }
            Ok(None) => {
                info!(chain = name, "swap to chain \"{name}\": queued until the running swap is done")
            }
            Err(why) => {
                let why = why.to_string();
                error!(chain = name, "swap to chain \"{name}\" failed: {why}; running chain unchanged");
                self.send_event("swap", &["failed", name, &why]);
                self.send_error(by, "/swap", &why);
            }
        }
    }
}
