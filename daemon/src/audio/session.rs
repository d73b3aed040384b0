//! The link between the conductor and the audio thread: backend, wire, taps. It is made anew when a server
//! comes back or changes its rate; chains and values stay with the conductor.

use crate::audio::backend::clocks::State;
use crate::audio::backend::connections::{Cable, Patch};
use crate::audio::backend::{BackendError, BackendEvent, cpal, jack, null};
use crate::audio::callback::Callback;
use crate::audio::midi_ports::{Port, port};
use crate::audio::realtime::{Giver, Mark, Scheduling};
use crate::audio::taps::thread::spawn;
use crate::audio::taps::{self, Tap};
use crate::process::supervise;
use crate::station::midi::Controller;
use crate::station::{Audio, Backend};
use crossbeam_channel::{Receiver, Sender, bounded};
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_control::update::Update;
use lacquer_graph::plan::Group;
use lacquer_graph::{Engine, Trace};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Happenings and measurements that may wait for the conductor.
const WAITING: usize = 256;

/// Between two looks at the server's ports where some have come or gone, and else.
const TRY: Duration = Duration::from_millis(100);
const LOOK: Duration = Duration::from_secs(1);
/// So long an input device may give nothing before that is told.
const SILENT: Duration = Duration::from_secs(1);

/// A running link.
pub struct Session {
    /// The conductor's end of the wire.
    pub wire: ControlEnd,
    /// What happens to the backend.
    pub happenings: Receiver<BackendEvent>,
    /// What the meters show.
    pub measured: Receiver<Vec<Update>>,
    measures: Sender<Vec<Update>>,
    /// Hz.
    pub rate: f64,
    /// Frames in the host's blocks.
    pub block: usize,
    /// Where the callback is.
    pub trace: Arc<Trace>,
    /// What went wrong without being in the way: connections that could not be made.
    pub failures: Vec<String>,
    running: Running,
    scheduling: Scheduling,
    mark: Mark,
    /// How often ports had come or gone when all was connected last.
    ports_seen: u64,
    looked: Instant,
    /// Since when the input device has given nothing, and whether that was told.
    silent: Option<(Instant, bool)>,
    patch: Patch,
    taps: (Sender<()>, JoinHandle<()>),
}

/// What a new link is to be connected with: the MIDI controllers of a station and where their ports go, and what was
/// connected before.
#[derive(Clone, Default)]
pub struct Cabling {
    /// The controllers.
    pub entries: Vec<Controller>,
    /// Takes the ports, in the order of the controllers that are on JACK.
    pub ports: Option<Sender<Vec<Port>>>,
    /// The connections of the link before.
    pub kept: BTreeSet<Cable>,
    /// The name of the station.
    pub station: String,
    /// The name that the first link had on the server. Where several clients want one name, each asks for the one that it
    /// had: what others are connected with by name stays the same.
    pub client: Option<String>,
}

impl Cabling {
    /// The controllers that are reached through JACK.
    fn on_jack(&self) -> impl Iterator<Item = &Controller> {
        self.entries.iter().filter(|entry| entry.is_jack)
    }
}

enum Running {
    Jack(jack::Running),
    Cpal(cpal::Running),
    Null(null::Running),
}

/// What lies between the ports, made for one rate.
struct Inside {
    wire: ControlEnd,
    trace: Arc<Trace>,
    taps: Vec<Tap>,
}

impl Inside {
    /// With the callback that is its other half, which leaves its thread at `mark`.
    fn new(audio: &Audio, rate: f64, mark: &Mark) -> (Callback, Self) {
        let first = |groups: &[Group]| groups.first().map_or(1, |group| group.channels);
        let (before, input) = taps::tap(taps::TAPS[0], first(&audio.io.inputs), rate);
        let (after, output) = taps::tap(taps::TAPS[1], first(&audio.io.outputs), rate);
        let (wire, end) = queues();
        let seat = Engine::new(&audio.io, rate);
        let trace = Arc::clone(seat.trace());
        let callback = Callback::new(end, seat, rate, Some((before, after))).marked(mark.clone());
        (callback, Self { wire, trace, taps: vec![input, output] })
    }
}

/// A link that is being opened.
pub type Opening = Receiver<Result<Session, BackendError>>;

/// Opens a link on a thread of its own: a server that stands still may take for ever to answer. Where this process takes
/// the place of another one (`is_anew`), a server may have to forget that first.
pub fn opening(audio: &Audio, cabling: &Cabling, is_anew: bool) -> std::io::Result<Opening> {
    let (audio, cabling) = (audio.clone(), cabling.clone());
    let (opened, opening) = bounded(1);
    let open = move || {
        if let (true, Backend::Jack(jack)) = (is_anew, &audio.backend) {
            jack::wait_for_name(jack);
        }
        opened.send(Session::open(&audio, &cabling)).ok();
    };
    supervise::run_once("opening", open)?;
    Ok(opening)
}

impl Session {
    /// Opens the backend and starts the callback, silent until it is told to start a chain.
    pub fn open(audio: &Audio, cabling: &Cabling) -> Result<Self, BackendError> {
        let (told, happenings) = bounded(WAITING);
        let (measures, measured) = bounded(WAITING);
        let giver = match &audio.backend {
            Backend::Jack { .. } => Giver::Server,
            Backend::Null(null) if null.free => {
                Giver::Nobody("a clock that runs free would leave nothing for anybody else")
            }
            Backend::Cpal(_) | Backend::Null(_) => Giver::Us,
        };
        let mut scheduling = Scheduling::new(&audio.realtime, giver);
        let mark = scheduling.mark();
        let mut patch = Patch::new(cabling.kept.clone());
        let (rate, block, running, inside, failures) = match &audio.backend {
            Backend::Jack(config) => {
                let controller = |entry: &Controller| jack::Controller {
                    port: entry.port_name(),
                    name: entry.map.name.clone(),
                    patterns: entry.patterns(),
                };
                let controllers: Vec<_> = cabling.on_jack().map(controller).collect();
                let opened = jack::open(&jack::Wanted {
                    jack: config,
                    station: &cabling.station,
                    client: cabling.client.as_ref().unwrap_or(&config.client),
                    io: &audio.io,
                    midi: &controllers,
                })?;
                let (rate, block) = (opened.rate(), opened.block());
                let (callback, inside) = Inside::new(audio, rate, &mark);
                let connections = Arc::new(AtomicU64::new(0));
                let (ports, ends) = controllers.iter().map(|_| port(&connections)).unzip();
                let running = opened.start(callback, told, ends, &connections)?;
                let mut failures = running.look(&mut patch);
                failures.extend(running.missing(&patch));
                if let Some(to) = &cabling.ports {
                    to.try_send(ports).ok();
                }
                (rate, block, Running::Jack(running), inside, failures)
            }
            Backend::Cpal(config) => {
                let opened = cpal::open(config)?;
                if !opened.are_cards() {
                    let why = "a server plays behind the device, and this thread would keep it from running";
                    scheduling.set_giver(Giver::Nobody(why));
                }
                let rate = opened.rate();
                let (callback, inside) = Inside::new(audio, rate, &mark);
                let running = opened.start(callback, scheduling.mark())?;
                (rate, running.block, Running::Cpal(running), inside, Vec::new())
            }
            Backend::Null(config) => {
                let (callback, inside) = Inside::new(audio, config.rate, &mark);
                let running = null::start(*config, audio.io.input_channels(), callback)?;
                (config.rate, config.block, Running::Null(running), inside, Vec::new())
            }
        };
        let (end, ended) = bounded(0);
        let taps = (end, spawn(inside.taps, measures.clone(), ended)?);
        Ok(Self {
            wire: inside.wire,
            happenings,
            measured,
            measures,
            rate,
            block,
            trace: inside.trace,
            failures,
            running,
            scheduling,
            mark,
            ports_seen: 0,
            looked: Instant::now(),
            silent: None,
            patch,
            taps,
        })
    }

    /// Makes all between the ports anew for another rate; the client stays, with its ports and connections. Silent until it
    /// is told to start a chain. False where that cannot be: then the link is to be opened anew.
    pub fn renew(&mut self, audio: &Audio, rate: f64) -> bool {
        let Running::Jack(running) = &mut self.running else { return false };
        let (callback, inside) = Inside::new(audio, rate, &self.mark);
        let (end, ended) = bounded(0);
        let Ok(thread) = spawn(inside.taps, self.measures.clone(), ended) else { return false };
        if !running.renew(callback) {
            return false;
        }
        (self.rate, self.wire, self.trace) = (rate, inside.wire, inside.trace);
        // The thread before sees that its end is closed, and goes.
        self.taps = (end, thread);
        true
    }

    /// Tells the host how many frames lie between inputs and outputs.
    pub fn set_latency(&self, frames: usize) {
        if let Running::Jack(running) = &self.running {
            running.set_latency(frames);
        }
    }

    /// Connects what has come on the server, and notes what somebody has connected there: true where that is new. Gives
    /// the audio thread real time once it runs.
    pub fn look(&mut self, now: Instant) -> bool {
        self.scheduling.look(now);
        let Running::Jack(running) = &mut self.running else { return false };
        running.tend();
        let changed = running.ports_changed();
        let wait = if changed == self.ports_seen { LOOK } else { TRY };
        if now < self.looked + wait {
            return false;
        }
        self.looked = now;
        let before = self.patch.kept().clone();
        if running.look(&mut self.patch).is_empty() {
            self.ports_seen = changed;
        }
        before != *self.patch.kept()
    }

    /// How long the audio thread has run, waiting apart.
    pub fn ran(&self) -> Option<Duration> {
        self.scheduling.ran()
    }

    /// Whether the input device gives nothing any more, or again something; `None` where that is no news.
    pub fn input_fell_silent(&mut self, now: Instant) -> Option<bool> {
        let is_silent = self.joined().is_some_and(|join| !join.is_running);
        let since = self.silent.get_or_insert((now, false));
        if is_silent {
            let is_news = !since.1 && now.duration_since(since.0) > SILENT;
            since.1 |= is_news;
            return is_news.then_some(true);
        }
        self.silent.take().filter(|(_, is_told)| *is_told).map(|_| false)
    }

    /// How the audio thread is scheduled: "SCHED_FIFO 70", or "none" or "not wanted" and why.
    pub fn realtime(&self) -> String {
        self.scheduling.text()
    }

    /// What is connected, or will be when it comes back.
    pub fn cables(&self) -> &BTreeSet<Cable> {
        self.patch.kept()
    }

    /// Notes for the next link what this one has on the server.
    pub fn keep(&self, cabling: &mut Cabling) {
        cabling.kept.clone_from(self.cables());
        if let Running::Jack(running) = &self.running {
            cabling.client.get_or_insert_with(|| running.name().to_owned());
        }
    }

    /// Deadlines missed since the link was opened.
    pub fn missed(&self) -> u64 {
        match &self.running {
            Running::Jack(running) => running.missed(),
            Running::Cpal(running) => running.missed(),
            Running::Null(running) => running.missed(),
        }
    }

    /// What has gone, if the server or a device has.
    pub fn gone(&self) -> Option<String> {
        match &self.running {
            Running::Jack(running) => running.is_gone().then(|| "the server has shut down".to_owned()),
            Running::Cpal(running) => running.gone().map(|device| format!("{device} is gone")),
            Running::Null(_) => None,
        }
    }

    /// What it plays through, where there is more to say than the backend's name.
    pub fn told(&self) -> Option<&str> {
        match &self.running {
            Running::Cpal(running) => Some(&running.told),
            Running::Jack(_) | Running::Null(_) => None,
        }
    }

    /// How the input device is joined to the output device.
    pub fn joined(&self) -> Option<State> {
        match &self.running {
            Running::Cpal(running) => running.joined(),
            Running::Jack(_) | Running::Null(_) => None,
        }
    }

    /// Ends the callback and the taps.
    pub fn close(self) {
        match self.running {
            Running::Jack(running) => running.stop(),
            Running::Cpal(running) => running.stop(),
            Running::Null(running) => running.stop(),
        }
        let (end, thread) = self.taps;
        drop(end);
        thread.join().ok();
    }
}
