//! A session: an open backend, the queues between the conductor and the audio thread, taps. It is opened again when a
//! server returns, and rebuilt when the server changes its rate; chains and values stay with the conductor.

use crate::audio::backend::clocks::State;
use crate::audio::backend::connections::{Connection, Connections};
use crate::audio::backend::{BackendError, BackendEvent, cpal, jack, null};
use crate::audio::callback::Callback;
use crate::audio::midi_ports::{Port, port};
use crate::audio::realtime::{RealtimeBy, Scheduling, ThreadId};
use crate::audio::taps::thread::spawn;
use crate::audio::taps::{self, Tap};
use crate::process::supervise;
use crate::station::midi::Controller;
use crate::station::{Audio, Backend};
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_control::update::Update;
use lacquer_graph::plan::Group;
use lacquer_graph::{Engine, Trace};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Backend events and meter updates that the conductor's channels have room for.
const WAITING: usize = 256;

/// An input device that delivers nothing for this long is reported.
const SILENT: Duration = Duration::from_secs(1);

/// A running session.
pub(crate) struct Session {
    /// The conductor's end of the queues.
    pub queues: ControlEnd,
    /// Events of the backend.
    pub events: Receiver<BackendEvent>,
    /// Keeps the channel of events connected: not every backend sends any, and the conductor waits on it.
    _event_sender: Sender<BackendEvent>,
    /// The taps' meters.
    pub meters: Receiver<Vec<Update>>,
    meter_sender: Sender<Vec<Update>>,
    /// Hz.
    pub rate: f64,
    /// Frames in a block of the host.
    pub block: usize,
    /// Shows which node the callback is in.
    pub trace: Arc<Trace>,
    /// Connections that could not be made; the session runs without them.
    pub failures: Vec<String>,
    running: Running,
    scheduling: Scheduling,
    thread: ThreadId,
    /// Since when the input device has delivered nothing, and whether that was reported.
    silent: Option<(Instant, bool)>,
    /// The ports of the MIDI controllers, until the MIDI thread has room for them.
    midi_ports: Option<(Sender<Vec<Port>>, Vec<Port>)>,
    taps: (Sender<()>, JoinHandle<()>),
}

/// What a new session needs for its ports: the station's MIDI controllers, who receives their ports, and the
/// connections of the session before.
#[derive(Clone, Default)]
pub(crate) struct PortSetup {
    /// The controllers.
    pub entries: Vec<Controller>,
    /// Receives the ports, in the order of the controllers that are on JACK.
    pub ports: Option<Sender<Vec<Port>>>,
    /// The connections of the session before.
    pub kept: BTreeSet<Connection>,
    /// The name of the station.
    pub station: String,
    /// The client name that the first session had on the server. Several clients may want one name: if each asks for
    /// the name that it had, connections by name stay valid.
    pub client: Option<String>,
}

impl PortSetup {
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

/// The parts of a session that are made for one rate.
struct RateParts {
    queues: ControlEnd,
    trace: Arc<Trace>,
    taps: Vec<Tap>,
}

impl RateParts {
    /// The parts, and the callback that belongs to them, which records its thread in `thread`.
    fn new(audio: &Audio, rate: f64, thread: &ThreadId) -> (Callback, Self) {
        let first = |groups: &[Group]| groups.first().map_or(1, |group| group.channels);
        let (before, input) = taps::tap(taps::TAPS[0], first(&audio.io.inputs), rate);
        let (after, output) = taps::tap(taps::TAPS[1], first(&audio.io.outputs), rate);
        let (queues, end) = queues();
        let engine = Engine::new(&audio.io, rate);
        let trace = Arc::clone(engine.trace());
        let callback = Callback::new(end, engine, rate, Some((before, after))).with_thread(thread.clone());
        (callback, Self { queues, trace, taps: vec![input, output] })
    }
}

/// A session that is being opened.
pub(crate) type Opening = Receiver<Result<Session, BackendError>>;

/// Opens a session on a thread of its own: a server that hangs may never answer. After the daemon has executed itself
/// again (`is_restart`), the server may first have to remove the old client.
pub(crate) fn open_in_background(
    audio: &Audio,
    setup: &PortSetup,
    is_restart: bool,
) -> std::io::Result<Opening> {
    let (audio, setup) = (audio.clone(), setup.clone());
    let (opened, opening) = bounded(1);
    let open = move || {
        if let (true, Backend::Jack(jack)) = (is_restart, &audio.backend) {
            jack::wait_for_name(jack);
        }
        opened.send(Session::open(&audio, &setup)).ok();
    };
    supervise::run_once("opening", open)?;
    Ok(opening)
}

impl Session {
    /// Opens the backend and starts the callback. It plays silence until it receives `ToAudio::Start`.
    pub(crate) fn open(audio: &Audio, setup: &PortSetup) -> Result<Self, BackendError> {
        let (event_sender, events) = bounded(WAITING);
        let (meter_sender, meters) = bounded(WAITING);
        let by = match &audio.backend {
            Backend::Jack { .. } => RealtimeBy::Server,
            Backend::Null(null) if null.free => {
                RealtimeBy::Nobody("a free-running clock would leave no time for other programs")
            }
            Backend::Cpal(_) | Backend::Null(_) => RealtimeBy::Daemon,
        };
        let mut scheduling = Scheduling::new(&audio.realtime, by);
        let thread = scheduling.add_thread();
        let mut midi_ports = None;
        let (rate, block, running, parts, failures) = match &audio.backend {
            Backend::Jack(config) => {
                let controller = |entry: &Controller| jack::Controller {
                    port: entry.port_name(),
                    name: entry.map.name.clone(),
                    patterns: entry.patterns(),
                };
                let controllers: Vec<_> = setup.on_jack().map(controller).collect();
                let opened = jack::open(&jack::ClientConfig {
                    jack: config,
                    station: &setup.station,
                    client: setup.client.as_ref().unwrap_or(&config.client),
                    io: &audio.io,
                    midi: &controllers,
                })?;
                let (rate, block) = (opened.rate(), opened.block());
                let (callback, parts) = RateParts::new(audio, rate, &thread);
                let midi_connections = Arc::new(AtomicU64::new(0));
                let (ports, ends) = controllers.iter().map(|_| port(&midi_connections)).unzip();
                let stored = Connections::new(setup.kept.clone());
                let (running, failures) =
                    opened.start(callback, event_sender.clone(), ends, &midi_connections, stored)?;
                midi_ports = setup.ports.clone().map(|to| (to, ports));
                (rate, block, Running::Jack(running), parts, failures)
            }
            Backend::Cpal(config) => {
                let opened = cpal::open(config)?;
                if !opened.are_cards() {
                    let why =
                        "the device is a server's, which a real-time thread here would keep from running";
                    scheduling.set_by(RealtimeBy::Nobody(why));
                }
                let rate = opened.rate();
                let (callback, parts) = RateParts::new(audio, rate, &thread);
                let running = opened.start(callback, scheduling.add_thread())?;
                (rate, running.block, Running::Cpal(running), parts, Vec::new())
            }
            Backend::Null(config) => {
                let (callback, parts) = RateParts::new(audio, config.rate, &thread);
                let running = null::start(*config, audio.io.input_channels(), callback)?;
                (config.rate, config.block, Running::Null(running), parts, Vec::new())
            }
        };
        let (end, ended) = bounded(0);
        let taps = (end, spawn(parts.taps, meter_sender.clone(), ended)?);
        Ok(Self {
            queues: parts.queues,
            events,
            _event_sender: event_sender,
            meters,
            meter_sender,
            rate,
            block,
            trace: parts.trace,
            failures,
            running,
            scheduling,
            thread,
            silent: None,
            midi_ports,
            taps,
        })
    }

    /// Rebuilds everything that depends on the rate; the JACK client stays, with its ports and connections. Silent
    /// until it receives `ToAudio::Start`. If this returns false, the session must be closed and opened again.
    pub(crate) fn change_rate(&mut self, audio: &Audio, rate: f64) -> bool {
        let Running::Jack(running) = &mut self.running else { return false };
        let (callback, parts) = RateParts::new(audio, rate, &self.thread);
        let (end, ended) = bounded(0);
        let Ok(thread) = spawn(parts.taps, self.meter_sender.clone(), ended) else { return false };
        if !running.replace_callback(callback) {
            return false;
        }
        (self.rate, self.queues, self.trace) = (rate, parts.queues, parts.trace);
        // This closes the channel of the old taps' thread, which then ends.
        self.taps = (end, thread);
        true
    }

    /// Reports the latency between inputs and outputs to the server, in frames.
    pub(crate) fn set_latency(&self, frames: usize) {
        if let Running::Jack(running) = &self.running {
            running.set_latency(frames);
        }
    }

    /// Regular work: updates the audio threads' scheduling, frees what was replaced. True if the connections on the server
    /// have changed.
    pub(crate) fn update(&mut self, now: Instant) -> bool {
        self.scheduling.update(now);
        self.send_midi_ports();
        let Running::Jack(running) = &mut self.running else { return false };
        running.maintain();
        running.has_new_connections()
    }

    /// Sends the ports of the MIDI controllers to the MIDI thread, once it has room for them.
    fn send_midi_ports(&mut self) {
        let Some((to, ports)) = self.midi_ports.take() else { return };
        if let Err(TrySendError::Full(ports)) = to.try_send(ports) {
            self.midi_ports = Some((to, ports));
        }
    }

    /// Logs that a chain starts, and what the session runs on.
    pub(crate) fn log_start(&mut self, chain: &str, latency: usize) {
        std::mem::take(&mut self.failures).iter().for_each(|failure| warn!("not connected: {failure}"));
        self.devices().iter().for_each(|devices| info!("{devices}"));
        let (rate, block) = (self.rate, self.block);
        let ms = latency as f64 * 1000.0 / rate;
        info!(
            chain,
            latency, "{chain} is on air: {rate} Hz, blocks of {block}, latency {latency} frames = {ms:.2} ms"
        );
    }

    /// How long the audio thread has run, by the kernel's count.
    pub(crate) fn run_time(&self) -> Option<Duration> {
        self.scheduling.run_time()
    }

    /// `Some(true)` when the input device has stopped to deliver audio, `Some(false)` when it delivers again, each
    /// once.
    pub(crate) fn input_silence_changed(&mut self, now: Instant) -> Option<bool> {
        let is_silent = self.join_state().is_some_and(|join| !join.is_running);
        let since = self.silent.get_or_insert((now, false));
        if is_silent {
            let is_news = !since.1 && now.duration_since(since.0) > SILENT;
            since.1 |= is_news;
            return is_news.then_some(true);
        }
        self.silent.take().filter(|(_, is_reported)| *is_reported).map(|_| false)
    }

    /// How the audio thread is scheduled: "SCHED_FIFO 70", or "none" or "not wanted" and why.
    pub(crate) fn realtime_status(&self) -> String {
        self.scheduling.text()
    }

    /// The connections on the server, also those whose other port is not there at the moment; none where there is no
    /// server.
    pub(crate) fn connections(&self) -> Option<BTreeSet<Connection>> {
        match &self.running {
            Running::Jack(running) => Some(running.connections()),
            Running::Cpal(_) | Running::Null(_) => None,
        }
    }

    /// Stores this session's connections and client name for the next session.
    pub(crate) fn store_ports(&self, setup: &mut PortSetup) {
        if let Running::Jack(running) = &self.running {
            setup.kept = running.connections();
            setup.client.get_or_insert_with(|| running.name().to_owned());
        }
    }

    /// Deadlines missed since the session was opened.
    pub(crate) fn missed(&self) -> u64 {
        match &self.running {
            Running::Jack(running) => running.missed(),
            Running::Cpal(running) => running.missed(),
            Running::Null(running) => running.missed(),
        }
    }

    /// Why the session cannot continue, if its server or a device has disappeared.
    pub(crate) fn failure(&self) -> Option<String> {
        match &self.running {
            Running::Jack(running) => running.is_shut_down().then(|| "the server has shut down".to_owned()),
            Running::Cpal(running) => {
                running.lost_device().map(|device| format!("device {device} was removed"))
            }
            Running::Null(_) => None,
        }
    }

    /// The devices in use, in words, for a backend that has devices.
    pub(crate) fn devices(&self) -> Option<&str> {
        match &self.running {
            Running::Cpal(running) => Some(&running.devices),
            Running::Jack(_) | Running::Null(_) => None,
        }
    }

    /// The clock join between input and output device, if there is one.
    pub(crate) fn join_state(&self) -> Option<State> {
        match &self.running {
            Running::Cpal(running) => running.join_state(),
            Running::Jack(_) | Running::Null(_) => None,
        }
    }

    /// Ends the callback and the taps.
    pub(crate) fn close(self) {
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
