//! The conductor: the one thread that builds chains and writes orders. It takes intents from every
//! listener, readings from the audio thread, and tells the surfaces what became of both.

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
use faults::{AutoBypass, Watch};
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

/// How often readings are fetched and memory is freed.
const TICK: Duration = Duration::from_millis(5);
/// How often node meters are told.
const METERS: Duration = Duration::from_millis(50);
/// How long a file must have been left alone before it is read again: editors write in several steps.
const SETTLED: Duration = Duration::from_millis(100);
/// How long the end may take.
const END: Duration = Duration::from_secs(2);
/// Farthest that a bundle's time may lie ahead, and most bundles that wait for theirs.
const FARTHEST: Duration = Duration::from_secs(3_600);
const MOST_HELD: usize = 1_024;

/// What a conductor has before it: the station, who asks, who is told, what was kept.
pub struct ConductorParts {
    /// The station file.
    pub path: PathBuf,
    /// What it says.
    pub station: Station,
    /// Where anybody asks.
    pub asks: Sender<RequestBundle>,
    /// Where the conductor hears it.
    pub asked: Receiver<RequestBundle>,
    /// Who is told.
    pub surfaces: Vec<Sender<SurfaceMessage>>,
    /// The cue list.
    pub cues: Vec<Cue>,
    /// Where what is to be kept goes.
    pub keeps: Option<Sender<WriteRequest>>,
    /// What was kept when the station ended.
    pub kept: Option<Kept>,
    /// What hung, where this process takes the place of one that did.
    pub note: Option<HangRecord>,
    /// What the audio is to be connected with.
    pub port_setup: PortSetup,
    /// The link that is still being opened.
    pub opening: Option<Opening>,
}

/// The conductor and all that it owns.
pub struct Conductor {
    path: PathBuf,
    station: Station,
    on_air: OnAir,
    session: Option<Session>,
    reconnect: Reconnect,
    /// When this thread looked round last.
    last_tick: Instant,
    /// The chain to start with, once there is audio.
    first_chain: String,
    collector: Collector,
    asked: Receiver<RequestBundle>,
    request_sender: Sender<RequestBundle>,
    surfaces: Vec<SurfaceSender>,
    watched: Option<Watched>,
    /// Files that changed, and when they may be read.
    changed: BTreeMap<PathBuf, Instant>,
    /// What is asked for a later time.
    scheduled: BTreeMap<SystemTime, Vec<RequestBundle>>,
    bypass: bool,
    history: History,
    scenes: Scenes,
    /// The scene that was recalled or saved last, while its values hold.
    scene: Option<String>,
    morph: Option<Morph>,
    compare: Compare,
    cues: Cues,
    state_saver: StateSaver,
    port_setup: PortSetup,
    health: Health,
    /// What hung before.
    note: Option<HangRecord>,
    hang_watch: Watch,
    /// What the house has taken out.
    auto_bypassed: Vec<AutoBypass>,
    overload: OverloadControl,
    learning: Learning,
    /// How often the watchdog is fed, and when next.
    watchdog: Option<(Duration, Instant)>,
    threads: Watcher,
    readings: NodeReadings,
    next_meters: Instant,
    /// Since when the output fades out for the end.
    ending: Option<Instant>,
    ended: bool,
}

impl Conductor {
    /// A conductor for a station that plays over `link`, or looks for one.
    pub fn new(on_air: OnAir, session: Option<Session>, collector: Collector, desk: ConductorParts) -> Self {
        let now = Instant::now();
        let ConductorParts {
            path,
            station,
            asks,
            asked,
            surfaces,
            cues,
            keeps,
            kept,
            note,
            port_setup,
            opening,
        } = desk;
        let mut conductor = Self {
            path,
            station,
            on_air,
            session,
            first_chain: String::new(),
            reconnect: Reconnect::new(now, opening),
            last_tick: now,
            collector,
            asked,
            request_sender: asks,
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
            state_saver: StateSaver::new(keeps, now),
            port_setup,
            health: Health::new(now),
            note,
            hang_watch: Watch::new(now),
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
            let all = conductor.note.is_some() || conductor.station.starts_where_it_ended();
            conductor.restore(kept, all);
        }
        if let Some(note) = conductor.note.clone() {
            conductor.resume(&note);
        }
        conductor
    }

    /// Plays until it is asked to end. `start` is the chain to start with.
    pub fn run(mut self, start: &str) {
        start.clone_into(&mut self.first_chain);
        match self.session {
            Some(_) => self.start(start),
            None => self.wait_for_audio(),
        }
        let pulse = Pulse::new("conductor");
        while !self.ended {
            // A mistake of ours in what one client asks for must not end the programme.
            if pulse.catch_panic(|| self.run_once(&pulse)).is_none() {
                std::thread::sleep(TICK);
            }
        }
        self.end_writer();
        self.close();
        self.on_air.forget();
        // Chains still under way come home with the rings; what is left is freed here.
        self.collector.collect();
    }

    /// Waits for something to do, and does it.
    fn run_once(&mut self, pulse: &Pulse) {
        pulse.beat();
        let (measured, happenings) = match &self.session {
            Some(session) => (session.meters.clone(), session.events.clone()),
            None => (never(), never()),
        };
        select! {
            recv(self.asked) -> asked => asked.into_iter().for_each(|asked| self.receive(asked)),
            recv(measured) -> lines => lines.into_iter().for_each(|lines| self.handle_meter_updates(lines)),
            recv(happenings) -> what => what.into_iter().for_each(|what| self.handle_backend_event(what)),
            default(self.time_to_next()) => {}
        }
        self.tick();
    }

    /// Reports what has happened to the threads. What one held that was started again it is given anew.
    fn report_threads(&mut self, now: Instant) {
        for Report { thread, text, is_restart } in self.threads.check(now) {
            self.send_event("fault", &[&format!("thread {thread}"), &text]);
            if is_restart {
                self.surfaces.iter().for_each(SurfaceSender::mark_missed);
                self.state_saver.touch();
            }
        }
    }

    /// How long nothing need be looked at.
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
            self.input_fell_silent(silent);
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
            self.next_meters = now + METERS;
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
        if self.ending.is_some_and(|since| since.elapsed() > END) {
            warn!("the output did not fade out in time");
            self.ended = true;
        }
    }

    fn send_command(&mut self, command: ToAudio) {
        if let Some(session) = &mut self.session {
            session.queues.enqueue(command);
        }
    }

    /// Tells everything to surfaces that have missed something.
    fn resend_to_surfaces(&self) {
        for surface in self.surfaces.iter().filter(|surface| surface.take_missed()) {
            self.full_state_messages().iter().for_each(|notice| surface.send(notice));
        }
    }

    fn send_updates(&self, to: Recipients, lines: Vec<Update>) {
        if lines.is_empty() {
            return;
        }
        self.send_to_surfaces(&SurfaceMessage::Tell { to, lines });
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

    // What is asked ------------------------------------------------------------------------------------

    /// Does what has come due.
    fn run_scheduled(&mut self) {
        while let Some(first) = self.scheduled.first_entry().filter(|first| *first.key() <= SystemTime::now())
        {
            first.remove().into_iter().for_each(|asked| self.receive(asked));
        }
    }

    /// Keeps what is for later, and gives back what is for now.
    fn schedule(&mut self, asked: RequestBundle) -> Option<RequestBundle> {
        let now = SystemTime::now();
        let Some(due) = asked.due.filter(|due| *due > now) else { return Some(asked) };
        let why = if due > now + FARTHEST {
            "a bundle's time lies more than an hour ahead; it was not kept"
        } else if self.scheduled.values().map(Vec::len).sum::<usize>() >= MOST_HELD {
            "too many bundles wait for their time; this one was not kept"
        } else {
            self.scheduled.entry(due).or_default().push(asked);
            return None;
        };
        self.send_error(asked.by, "/", why);
        None
    }

    fn receive(&mut self, asked: RequestBundle) {
        let Some(asked) = self.schedule(asked) else { return };
        for request in asked.requests {
            self.handle(asked.by, request);
        }
        // All that was asked together is heard together.
        if let Some(session) = &mut self.session {
            session.queues.flush();
        }
    }

    fn handle(&mut self, by: Peer, request: Request) {
        match request {
            Request::Set { address, value } => self.set(by, &address, &value),
            Request::Nudge { address, by: way } => self.nudge(by, &address, way),
            Request::Learn { address } => self.learn(by, address),
            Request::Learned { to, address, what } => {
                self.audit(by, "", "learn", "", &format!("{address}: {what}"));
                self.send_updates(
                    Recipients::One(to),
                    vec![Update::words("/event/learn", &[&address, &what])],
                );
            }
            Request::Get { address } => self.get(by, &address),
            Request::Swap(name) => self.swap_asked(by, &name),
            Request::Who { address } => self.send_author(by, &address),
            Request::Undo => self.undo(by),
            Request::Redo => self.redo(by),
            Request::Scene(ask) => self.scene(by, ask),
            Request::Cue(ask) => self.cue(by, ask),
            Request::Compare(ask) => self.compare(by, ask),
            Request::ChainNumber(number) => {
                let name = self.on_air.chains.names().nth(number.wrapping_sub(1)).map(str::to_owned);
                match name {
                    Some(name) => self.swap_asked(by, &name),
                    None => {
                        self.send_error(by, "/program/chain", &format!("there is no chain number {number}"))
                    }
                }
            }
            Request::Bypass(on) => self.set_bypass(by, on),
            Request::BypassMatched(on) => self.match_bypass(by, on),
            Request::Subscribe(wish) => {
                let lines = self.full_state();
                let is_wanted = |line: &Update| wish.has(line) && !line.is_none();
                let wanted = lines.into_iter().filter(is_wanted).collect();
                self.send_to_surfaces(&SurfaceMessage::Subscribe { peer: by, wish });
                self.send_updates(Recipients::One(by), wanted);
            }
            Request::Unsubscribe => self.send_to_surfaces(&SurfaceMessage::Unsubscribe { peer: by }),
            Request::Released => {}
            Request::Ping => self.send_updates(Recipients::One(by), vec![Update::new("/pong", Vec::new())]),
            Request::Reload { reset } => self.reload(by, reset),
            Request::Changed(path) => {
                let due = Instant::now() + SETTLED;
                self.changed.extend(self.on_air.chains.readers_of(&path).into_iter().map(|file| (file, due)));
            }
            Request::Dump => {
                for line in self.status() {
                    info!("{}", lacquer_control::surface::client::print(&line));
                }
            }
            Request::Quit => self.quit(),
            Request::Wrong { address, why } => self.send_error(by, &address, &why),
        }
    }

    fn send_to_surfaces(&self, notice: &SurfaceMessage) {
        self.surfaces.iter().for_each(|surface| surface.send(notice));
    }

    /// A chain that somebody asked for: other values than the ones that were compared are heard then.
    fn swap_asked(&mut self, by: Peer, name: &str) {
        let before = self.on_air.next();
        self.morph = None;
        self.end_gesture();
        self.swap(by, name);
        if self.on_air.next() != before {
            self.compare.unknown();
            self.audit(by, name, "swap", &before, name);
            self.leave_scene();
        }
    }

    fn swap(&mut self, by: Peer, name: &str) {
        if let Err(why) = self.on_air.chains.check(name) {
            return self.send_error(by, "/swap", &why.to_string());
        }
        if !self.on_air.is_swapping() {
            self.send_event("swap", &["loading", name]);
        }
        match self.on_air.swap(name) {
            Ok(Some(command)) => {
                self.send_command(command);
                self.compare.changed();
                self.trim();
                self.state_saver.touch();
                self.watch_all();
                info!(chain = name, "swap to {name}: warming up");
                self.send_event("swap", &["warming", name]);
                // The newcomer's addresses are answered from now on.
                self.send_full_state();
            }
            Ok(None) => info!(chain = name, "swap to {name} waits for the one that runs"),
            Err(why) => {
                let why = why.to_string();
                error!(chain = name, "swap to {name} failed: {why}; what is on air plays on");
                self.send_event("swap", &["failed", name, &why]);
                self.send_error(by, "/swap", &why);
            }
        }
    }
}
