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
use faults::{Out, Watch};
use lacquer_control::desk::history::History;
use lacquer_control::desk::scene::Scenes;
use lacquer_control::message::ToAudio;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::update::Update;
use overload::Strain;
use persist::Keeper;
use profiles::Learning;
use scenes::Morph;
use session::Search;
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
pub struct Desk {
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
    air: OnAir,
    link: Option<Session>,
    search: Search,
    /// When this thread looked round last.
    ticked: Instant,
    /// The chain to start with, once there is audio.
    first: String,
    collector: Collector,
    asked: Receiver<RequestBundle>,
    asks: Sender<RequestBundle>,
    surfaces: Vec<SurfaceSender>,
    watched: Option<Watched>,
    /// Files that changed, and when they may be read.
    changed: BTreeMap<PathBuf, Instant>,
    /// What is asked for a later time.
    held: BTreeMap<SystemTime, Vec<RequestBundle>>,
    bypass: bool,
    history: History,
    scenes: Scenes,
    /// The scene that was recalled or saved last, while its values hold.
    scene: Option<String>,
    morph: Option<Morph>,
    compare: Compare,
    cues: Cues,
    keeper: Keeper,
    port_setup: PortSetup,
    health: Health,
    /// What hung before.
    note: Option<HangRecord>,
    watch: Watch,
    /// What the house has taken out.
    out: Vec<Out>,
    strain: Strain,
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
    pub fn new(air: OnAir, link: Option<Session>, collector: Collector, desk: Desk) -> Self {
        let now = Instant::now();
        let Desk { path, station, asks, asked, surfaces, cues, keeps, kept, note, port_setup, opening } =
            desk;
        let mut conductor = Self {
            path,
            station,
            air,
            link,
            first: String::new(),
            search: Search::new(now, opening),
            ticked: now,
            collector,
            asked,
            asks,
            surfaces: surfaces.into_iter().map(SurfaceSender::new).collect(),
            watched: None,
            changed: BTreeMap::new(),
            held: BTreeMap::new(),
            bypass: false,
            history: History::default(),
            scenes: Scenes::default(),
            scene: None,
            morph: None,
            compare: Compare::new(now),
            cues: Cues::new(cues),
            keeper: Keeper::new(keeps, now),
            port_setup,
            health: Health::new(now),
            note,
            watch: Watch::new(now),
            out: Vec::new(),
            strain: Strain::new(now),
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
        start.clone_into(&mut self.first);
        match self.link {
            Some(_) => self.start(start),
            None => self.wait_for_audio(),
        }
        let pulse = Pulse::new("conductor");
        while !self.ended {
            // A mistake of ours in what one client asks for must not end the programme.
            if pulse.catch_panic(|| self.turn(&pulse)).is_none() {
                std::thread::sleep(TICK);
            }
        }
        self.end_keeper();
        self.close();
        self.air.forget();
        // Chains still under way come home with the rings; what is left is freed here.
        self.collector.collect();
    }

    /// Waits for something to do, and does it.
    fn turn(&mut self, pulse: &Pulse) {
        pulse.beat();
        let (measured, happenings) = match &self.link {
            Some(link) => (link.meters.clone(), link.events.clone()),
            None => (never(), never()),
        };
        select! {
            recv(self.asked) -> asked => asked.into_iter().for_each(|asked| self.take(asked)),
            recv(measured) -> lines => lines.into_iter().for_each(|lines| self.measured(lines)),
            recv(happenings) -> what => what.into_iter().for_each(|what| self.happened(what)),
            default(self.patience()) => {}
        }
        self.tick();
    }

    /// Reports what has happened to the threads. What one held that was started again it is given anew.
    fn look_after_threads(&mut self, now: Instant) {
        for Report { thread, text, is_restart } in self.threads.check(now) {
            self.tell_event("fault", &[&format!("thread {thread}"), &text]);
            if is_restart {
                self.surfaces.iter().for_each(SurfaceSender::mark_missed);
                self.keeper.touch();
            }
        }
    }

    /// How long nothing need be looked at.
    fn patience(&self) -> Duration {
        let next =
            self.held.keys().next().map(|due| due.duration_since(SystemTime::now()).unwrap_or_default());
        next.map_or(TICK, |next| next.min(TICK))
    }

    fn tick(&mut self) {
        let now = Instant::now();
        self.listen(now);
        if let Some(link) = &mut self.link {
            link.queues.flush();
            if link.update(now) {
                self.keeper.touch();
            }
            let (missed, gone, silent) = (link.missed(), link.failure(), link.input_silence_changed(now));
            self.count_missed(missed, now);
            self.input_fell_silent(silent);
            if let Some(why) = gone {
                self.lost(&why);
            }
        }
        self.look_for_hang(now);
        self.look_for_standstill();
        self.feed_watchdog(now);
        self.take_due();
        self.tick_morph(now);
        self.tick_cues();
        self.tick_overload(now);
        self.tick_keeper(now);
        self.look_after_threads(now);
        self.catch_up();
        self.collector.collect();
        if now >= self.next_meters {
            self.next_meters = now + METERS;
            self.tell_meters();
        }
        while let Some(path) = self.changed.iter().find(|(_, due)| **due <= now).map(|(path, _)| path.clone())
        {
            self.changed.remove(&path);
            self.reload_chain(&path);
        }
        if self.link.is_none() && self.ending.is_none() {
            self.reopen(now);
        }
        if self.ending.is_some_and(|since| since.elapsed() > END) {
            warn!("the output did not fade out in time");
            self.ended = true;
        }
    }

    fn order(&mut self, order: ToAudio) {
        if let Some(link) = &mut self.link {
            link.queues.enqueue(order);
        }
    }

    /// Tells everything to surfaces that have missed something.
    fn catch_up(&self) {
        for surface in self.surfaces.iter().filter(|surface| surface.take_missed()) {
            self.introduction().iter().for_each(|notice| surface.send(notice));
        }
    }

    fn tell(&self, to: Recipients, lines: Vec<Update>) {
        if lines.is_empty() {
            return;
        }
        self.note_all(&SurfaceMessage::Updates { to, updates: lines });
    }

    fn tell_event(&self, kind: &str, words: &[&str]) {
        self.tell(Recipients::All, vec![Update::words(format!("/event/{kind}"), words)]);
    }

    fn refuse(&self, by: Peer, address: &str, why: &str) {
        match by {
            Peer::Signal | Peer::Files | Peer::Station | Peer::Cues => error!("{address}: {why}"),
            _ => self.tell(Recipients::One(by), vec![Update::words("/error", &[address, why])]),
        }
    }

    // What is asked ------------------------------------------------------------------------------------

    /// Does what has come due.
    fn take_due(&mut self) {
        while let Some(first) = self.held.first_entry().filter(|first| *first.key() <= SystemTime::now()) {
            first.remove().into_iter().for_each(|asked| self.take(asked));
        }
    }

    /// Keeps what is for later, and gives back what is for now.
    fn hold(&mut self, asked: RequestBundle) -> Option<RequestBundle> {
        let now = SystemTime::now();
        let Some(due) = asked.due.filter(|due| *due > now) else { return Some(asked) };
        let why = if due > now + FARTHEST {
            "a bundle's time lies more than an hour ahead; it was not kept"
        } else if self.held.values().map(Vec::len).sum::<usize>() >= MOST_HELD {
            "too many bundles wait for their time; this one was not kept"
        } else {
            self.held.entry(due).or_default().push(asked);
            return None;
        };
        self.refuse(asked.by, "/", why);
        None
    }

    fn take(&mut self, asked: RequestBundle) {
        let Some(asked) = self.hold(asked) else { return };
        for request in asked.requests {
            self.handle(asked.by, request);
        }
        // All that was asked together is heard together.
        if let Some(link) = &mut self.link {
            link.queues.flush();
        }
    }

    fn handle(&mut self, by: Peer, request: Request) {
        match request {
            Request::Set { address, value } => self.set(by, &address, &value),
            Request::Nudge { address, by: way } => self.nudge(by, &address, way),
            Request::Learn { address } => self.learn(by, address),
            Request::Learned { to, address, what } => {
                self.audit(by, "", "learn", "", &format!("{address}: {what}"));
                self.tell(Recipients::One(to), vec![Update::words("/event/learn", &[&address, &what])]);
            }
            Request::Get { address } => self.get(by, &address),
            Request::Swap(name) => self.swap_asked(by, &name),
            Request::Who { address } => self.who(by, &address),
            Request::Undo => self.undo(by),
            Request::Redo => self.redo(by),
            Request::Scene(ask) => self.scene(by, ask),
            Request::Cue(ask) => self.cue(by, ask),
            Request::Compare(ask) => self.compare(by, ask),
            Request::ChainNumber(number) => {
                let name = self.air.shelf.names().nth(number.wrapping_sub(1)).map(str::to_owned);
                match name {
                    Some(name) => self.swap_asked(by, &name),
                    None => self.refuse(by, "/program/chain", &format!("there is no chain number {number}")),
                }
            }
            Request::Bypass(on) => self.set_bypass(by, on),
            Request::BypassMatched(on) => self.match_bypass(by, on),
            Request::Subscribe(subscription) => {
                let lines = self.everything();
                let is_wanted = |line: &Update| subscription.has(line) && !line.is_none();
                let wanted = lines.into_iter().filter(is_wanted).collect();
                self.note_all(&SurfaceMessage::Subscribe { peer: by, subscription });
                self.tell(Recipients::One(by), wanted);
            }
            Request::Unsubscribe => self.note_all(&SurfaceMessage::Unsubscribe { peer: by }),
            Request::Released => {}
            Request::Ping => self.tell(Recipients::One(by), vec![Update::new("/pong", Vec::new())]),
            Request::Reload { reset } => self.reload(by, reset),
            Request::Changed(path) => {
                let due = Instant::now() + SETTLED;
                self.changed.extend(self.air.shelf.readers_of(&path).into_iter().map(|file| (file, due)));
            }
            Request::Dump => {
                for line in self.status() {
                    info!("{}", lacquer_control::surface::client::format_update(&line));
                }
            }
            Request::Quit => self.quit(),
            Request::Wrong { address, why } => self.refuse(by, &address, &why),
        }
    }

    fn note_all(&self, notice: &SurfaceMessage) {
        self.surfaces.iter().for_each(|surface| surface.send(notice));
    }

    /// A chain that somebody asked for: other values than the ones that were compared are heard then.
    fn swap_asked(&mut self, by: Peer, name: &str) {
        let before = self.air.next();
        self.morph = None;
        self.end_gesture();
        self.swap(by, name);
        if self.air.next() != before {
            self.compare.unknown();
            self.audit(by, name, "swap", &before, name);
            self.scene_left();
        }
    }

    fn swap(&mut self, by: Peer, name: &str) {
        if let Err(why) = self.air.shelf.check(name) {
            return self.refuse(by, "/swap", &why.to_string());
        }
        if !self.air.is_swapping() {
            self.tell_event("swap", &["loading", name]);
        }
        match self.air.swap(name) {
            Ok(Some(order)) => {
                self.order(order);
                self.compare.changed();
                self.trim();
                self.keeper.touch();
                self.watch_all();
                info!(chain = name, "swap to {name}: warming up");
                self.tell_event("swap", &["warming", name]);
                // The newcomer's addresses are answered from now on.
                self.introduce();
            }
            Ok(None) => info!(chain = name, "swap to {name} waits for the one that runs"),
            Err(why) => {
                let why = why.to_string();
                error!(chain = name, "swap to {name} failed: {why}; what is on air plays on");
                self.tell_event("swap", &["failed", name, &why]);
                self.refuse(by, "/swap", &why);
            }
        }
    }
}
