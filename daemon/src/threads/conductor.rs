//! The conductor: the one thread that builds chains and writes orders. It takes intents from every
//! listener, readings from the audio thread, and tells the surfaces what became of both.

mod files;
mod link;
mod state;

use crate::air::{Air, Change};
use crate::backend::Happening;
use crate::link::Link;
use crate::report::Health;
use crate::service;
use crate::station::Station;
use basedrop::Collector;
use crossbeam_channel::{Receiver, Sender, never, select};
use lacquer_control::intent::{Asked, Intent, Peer, Value};
use lacquer_control::message::{Order, Reading};
use lacquer_control::notice::{Line, Notice, To};
use lacquer_graph::chain::reduction_db;
use lacquer_graph::param::Unit;
use lacquer_graph::seat::Event;
use notify::RecommendedWatcher;
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
/// Time between two attempts to find the audio again.
const RETRY: Duration = Duration::from_secs(1);

/// The conductor and all that it owns.
pub struct Conductor {
    path: PathBuf,
    station: Station,
    air: Air,
    link: Option<Link>,
    retry: Instant,
    collector: Collector,
    asked: Receiver<Asked>,
    asks: Sender<Asked>,
    surfaces: Vec<Sender<Notice>>,
    watcher: Option<RecommendedWatcher>,
    /// Files that changed, and when they may be read.
    changed: BTreeMap<PathBuf, Instant>,
    /// What is asked for a later time.
    held: BTreeMap<SystemTime, Vec<Asked>>,
    bypass: bool,
    health: Health,
    /// What the nodes have said since it was last told, as it will be told: the lowest of a gain, in dB; the
    /// newest of all else.
    readings: BTreeMap<String, f64>,
    next_meters: Instant,
    /// Since when the output fades out for the end.
    ending: Option<Instant>,
    ended: bool,
}

impl Conductor {
    /// A conductor for a station that plays over `link`, with `surfaces` to tell.
    pub fn new(
        path: PathBuf,
        station: Station,
        air: Air,
        link: Link,
        collector: Collector,
        (asks, asked): (Sender<Asked>, Receiver<Asked>),
        surfaces: Vec<Sender<Notice>>,
    ) -> Self {
        let now = Instant::now();
        let mut conductor = Self {
            path,
            station,
            air,
            link: Some(link),
            retry: now,
            collector,
            asked,
            asks,
            surfaces,
            watcher: None,
            changed: BTreeMap::new(),
            held: BTreeMap::new(),
            bypass: false,
            health: Health::new(now),
            readings: BTreeMap::new(),
            next_meters: now,
            ending: None,
            ended: false,
        };
        conductor.watch();
        conductor
    }

    /// Plays until it is asked to end. `start` is the chain to start with.
    pub fn run(mut self, start: &str) {
        self.start(start);
        while !self.ended {
            let (measured, happenings) = match &self.link {
                Some(link) => (link.measured.clone(), link.happenings.clone()),
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
        self.close();
        self.air.forget();
        // Chains still under way come home with the rings; what is left is freed here.
        self.collector.collect();
    }

    /// How long nothing need be looked at.
    fn patience(&self) -> Duration {
        let next =
            self.held.keys().next().map(|due| due.duration_since(SystemTime::now()).unwrap_or_default());
        next.map_or(TICK, |next| next.min(TICK))
    }

    fn tick(&mut self) {
        while let Some(reading) = self.link.as_mut().and_then(|link| link.wire.reading()) {
            match reading {
                Reading::Seat(event) => self.event(event),
                Reading::Load(load) => {
                    if self.health.note(load) {
                        service::ready();
                    }
                }
            }
        }
        let now = Instant::now();
        if let Some(link) = &mut self.link {
            link.wire.flush();
            let (missed, is_gone) = (link.missed(), link.is_gone());
            if let Some(xruns) = self.health.missed(missed) {
                if self.health.speaks_of_xruns(now) {
                    warn!("{xruns} xruns so far");
                }
                self.tell(To::All, vec![Line::number("/event/xrun", xruns as f64)]);
            }
            if is_gone {
                self.lost("the server has shut down");
            }
        }
        self.take_due();
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
        if self.link.is_none() && self.ending.is_none() && now >= self.retry {
            self.reopen();
        }
        if self.ending.is_some_and(|since| since.elapsed() > END) {
            warn!("the output did not fade out in time");
            self.ended = true;
        }
    }

    fn order(&mut self, order: Order) {
        if let Some(link) = &mut self.link {
            link.wire.stage(order);
        }
    }

    fn tell(&self, to: To, lines: Vec<Line>) {
        if lines.is_empty() {
            return;
        }
        for surface in &self.surfaces {
            // A surface that cannot keep up loses what it is told, as a datagram would be lost.
            surface.try_send(Notice::Tell { to, lines: lines.clone() }).ok();
        }
    }

    fn tell_event(&self, kind: &str, words: &[&str]) {
        self.tell(To::All, vec![Line::words(format!("/event/{kind}"), words)]);
    }

    fn refuse(&self, by: Peer, address: &str, why: &str) {
        match by {
            Peer::Signal | Peer::Files | Peer::House | Peer::Cues => error!("{address}: {why}"),
            _ => self.tell(To::One(by), vec![Line::words("/error", &[address, why])]),
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
    fn hold(&mut self, asked: Asked) -> Option<Asked> {
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

    fn take(&mut self, asked: Asked) {
        let Some(asked) = self.hold(asked) else { return };
        for intent in asked.intents {
            self.intent(asked.by, intent);
        }
        // All that was asked together is heard together.
        if let Some(link) = &mut self.link {
            link.wire.flush();
        }
    }

    fn intent(&mut self, by: Peer, intent: Intent) {
        match intent {
            Intent::Set { address, value } => self.set(by, &address, &value),
            Intent::Nudge { address, by: way } => self.nudge(by, &address, way),
            Intent::Learn { address } => self.note_all(&Notice::Learn { by, address }),
            Intent::Get { address } => self.get(by, &address),
            Intent::Swap(name) => self.swap(by, &name),
            Intent::Running => self.tell(To::One(by), self.running_lines()),
            Intent::Chains => {
                let names: Vec<_> = self.air.shelf.names().collect();
                self.tell(To::One(by), vec![Line::words("/chains", &names)]);
            }
            Intent::Bypass(on) => {
                self.bypass = on;
                self.order(Order::Bypass(on));
                info!("bypass {}", if on { "on" } else { "off" });
                self.tell(To::Others(by), vec![self.bypass_line()]);
            }
            Intent::Bypassed => self.tell(To::One(by), vec![self.bypass_line()]),
            Intent::Subscribe { seconds } => {
                self.note_all(&Notice::Subscribe { peer: by, seconds });
                self.tell(To::One(by), self.everything());
            }
            Intent::Unsubscribe => self.note_all(&Notice::Unsubscribe { peer: by }),
            Intent::Ping => self.tell(To::One(by), vec![Line::new("/pong", Vec::new())]),
            Intent::Status => self.tell(To::One(by), self.status()),
            Intent::Reload { reset } => self.reload(by, reset),
            Intent::Changed(path) => {
                if let Some(known) = self.air.shelf.path_of(&path) {
                    self.changed.insert(known, Instant::now() + SETTLED);
                }
            }
            Intent::Dump => {
                for line in self.status() {
                    info!("{}", lacquer_control::surface::ctl::print(&line));
                }
            }
            Intent::Quit => self.quit(),
            Intent::Wrong { address, why } => self.refuse(by, &address, &why),
        }
    }

    fn note_all(&self, notice: &Notice) {
        for surface in &self.surfaces {
            surface.try_send(notice.clone()).ok();
        }
    }

    fn set(&mut self, by: Peer, address: &str, value: &Value) {
        match self.air.set(address, value) {
            Ok(done) => {
                done.orders.into_iter().for_each(|order| self.order(order));
                let lines = |changes: &[Change]| changes.iter().flat_map(both_lines).collect();
                self.tell(To::Others(by), lines(&done.changes));
                // Who asked for something else than what there is now has to know.
                let clipped = done.changes.iter().filter(|change| !is_as_asked(change, value, address));
                self.tell(To::One(by), clipped.flat_map(both_lines).collect());
                if done.rebuild
                    && let Some(name) = self.air.newest().map(|airing| airing.name.clone())
                {
                    self.swap(by, &name);
                }
            }
            Err(error) => self.refuse(by, address, &error.to_string()),
        }
    }

    /// Moves a value from wherever it is; whoever asked is told as well where it went.
    fn nudge(&mut self, by: Peer, address: &str, way: f64) {
        match self.air.nudged(address, way) {
            Ok((place, value)) => {
                self.set(by, &place.address(), &Value::Number(value));
                let line = both_lines(&Change { place, value });
                self.tell(To::One(by), line.into());
            }
            Err(error) => self.refuse(by, address, &error.to_string()),
        }
    }

    fn get(&self, by: Peer, address: &str) {
        let Some(newest) = self.air.newest() else { return self.refuse(by, address, "no chain is on air") };
        match newest.addresses.find(address) {
            Ok((places, is_norm)) => {
                let line = |place: &lacquer_control::address::Place| {
                    let value = self.air.value(place)?;
                    Some(if is_norm {
                        Line::number(place.norm_address(), place.row.to_norm(value))
                    } else {
                        Line::new(place.address(), vec![place.value(value)])
                    })
                };
                self.tell(To::One(by), places.into_iter().filter_map(line).collect());
            }
            Err(error) => self.refuse(by, address, &error.to_string()),
        }
    }

    fn swap(&mut self, by: Peer, name: &str) {
        if let Err(why) = self.air.shelf.check(name) {
            return self.refuse(by, "/swap", &why);
        }
        if !self.air.is_swapping() {
            self.tell_event("swap", &["loading", name]);
        }
        match self.air.swap(name) {
            Ok(Some(order)) => {
                self.order(order);
                info!("swap to {name}: warming up");
                self.tell_event("swap", &["warming", name]);
                // The newcomer's addresses are answered from now on.
                self.tell(To::All, self.everything());
            }
            Ok(None) => info!("swap to {name} waits for the one that runs"),
            Err(why) => {
                error!("swap to {name} failed: {why}; what is on air plays on");
                self.tell_event("swap", &["failed", name, &why]);
                self.refuse(by, "/swap", &why);
            }
        }
    }

    // What the audio thread tells ----------------------------------------------------------------------

    fn event(&mut self, event: Event) {
        match event {
            Event::Fading { generation } => {
                if let Some(airing) = self.air.newest().filter(|airing| airing.generation == generation) {
                    self.tell_event("swap", &["fading", &airing.name]);
                }
            }
            Event::OnAir { generation } => {
                let next = self.air.arrived(generation);
                // What the old chain's nodes last did is told no more.
                self.readings.clear();
                let name = self.air.heard().map(|airing| airing.name.clone()).unwrap_or_default();
                info!("{name} is on air");
                service::status(&format!("on air: {name}"));
                self.tell_event("swap", &["done", &name]);
                if let Some(next) = next {
                    self.swap(Peer::House, &next);
                }
            }
            Event::Fault { generation, node } => {
                let id = self.air.node(generation, node).map_or("?", |node| &node.id).to_owned();
                self.health.faults += 1;
                error!("node {id} made something that is no number: it rests, its input is heard instead");
                self.tell_event("fault", &[&id, "not a number; dry signal"]);
            }
            Event::InputFault => {
                if self.health.input_fault(Instant::now()) {
                    error!("the input holds something that is no number; silence is heard instead");
                    self.tell_event("fault", &["input", "not a number; silence"]);
                }
            }
            Event::Meter { generation, node, reading, value } => {
                if let Some(node) = self.air.node(generation, node)
                    && let Some(reading) = node.kind.readings.get(reading)
                {
                    let path = format!("/meter/node/{}/{}", node.id, reading.name);
                    let is_gain = reading.unit == Unit::Gain;
                    let value = if is_gain { reduction_db(value) } else { value };
                    let kept = self.readings.entry(path).or_insert(value);
                    *kept = if is_gain { kept.min(value) } else { value };
                }
            }
            Event::Muted => self.ended = self.ending.is_some(),
        }
    }

    fn happened(&mut self, happening: Happening) {
        match happening {
            Happening::BlockSize(frames) => {
                info!("the server's blocks have {frames} frames from now on");
                self.tell_event("connection", &["block size", &frames.to_string()]);
                if let Some(link) = &mut self.link {
                    link.block = frames;
                }
            }
            Happening::SampleRate(rate) => {
                info!("the server runs at {rate} Hz from now on");
                self.tell_event("connection", &["sample rate", &rate.to_string()]);
                // Everything between the ports is made for one rate: it is made anew, with all values.
                self.close();
            }
        }
    }
}

/// A change in both of its trees.
fn both_lines(change: &Change) -> [Line; 2] {
    let Change { place, value } = change;
    [
        Line::new(place.address(), vec![place.value(*value)]),
        Line::number(place.norm_address(), place.row.to_norm(*value)),
    ]
}

/// Whether a change came out as the asker's own number says.
fn is_as_asked(change: &Change, asked: &Value, address: &str) -> bool {
    let Value::Number(asked) = asked else { return true };
    let is = if address.starts_with("/norm") { change.place.row.to_norm(change.value) } else { change.value };
    // Numbers came as floats.
    (is - asked).abs() <= 1e-6 * asked.abs().max(1.0)
}
