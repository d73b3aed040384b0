//! The JACK backend: real ports, connected as the station says; also PipeWire through its JACK library.

mod calls;
mod library;
mod names;
mod notifications;
mod process;
mod raw;
mod semaphores;

use crate::audio::backend::connections::{Cable, Other, Own, Patch};
use crate::audio::backend::{BackendError, BackendEvent};
use crate::audio::callback::Callback;
use crate::audio::midi_ports::PortEnd;
use crate::station::jack::Jack;
use calls::Calls;
use crossbeam_channel::Sender;
use jack::{AsyncClient, AudioIn, AudioOut, Client, ClientOptions, MidiIn, MidiOut, Port, PortFlags};
use lacquer_graph::plan::{Group, Io};
use notifications::Notifications;
use process::{Process, Wires};
use raw::{Latency, listen, recompute};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};
use tracing::warn;

/// What is wanted of a server.
pub struct Wanted<'a> {
    /// What the station says of JACK.
    pub jack: &'a Jack,
    /// The station's name.
    pub station: &'a str,
    /// The name to ask for.
    pub client: &'a str,
    /// The groups of channels: each has a port, `GROUP_N`.
    pub io: &'a Io,
    /// The MIDI controllers: each has two ports, `NAME_in` and `NAME_out`.
    pub midi: &'a [Controller],
}

/// A MIDI controller that is reached through ports.
pub struct Controller {
    /// What its ports are named after.
    pub port: String,
    /// What people call it.
    pub name: String,
    /// The patterns of its device's ports.
    pub patterns: Vec<String>,
}

/// How long a server may hold the name of a client that was.
const NAME: Duration = Duration::from_millis(500);

/// How often a client is opened anew because another one left in the midst of it.
const TRIES: u32 = 10;

/// A client with its ports, not yet running.
pub struct Opened {
    client: Client,
    inputs: Vec<Port<AudioIn>>,
    outputs: Vec<Port<AudioOut>>,
    midi: Vec<(Port<MidiIn>, Port<MidiOut>)>,
    own: Vec<Own>,
    station: String,
    is_pipewire: bool,
}

/// A running client.
pub struct Running {
    client: AsyncClient<Notifications, Process>,
    own: Vec<Own>,
    /// How often ports have come or gone.
    ports: Arc<AtomicU64>,
    /// The ports that have come since the last look.
    come: Arc<Mutex<Vec<String>>>,
    latency: Arc<Latency>,
    gone: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    /// What the server tells, and audio.
    calls: [Arc<Calls>; 2],
    /// Callbacks on their way to the audio thread, and from there.
    fresh: Producer<Box<Callback>>,
    old: Consumer<Box<Callback>>,
}

/// Callbacks that can be under way at once.
const CALLBACKS: usize = 4;

/// Waits until a server has forgotten the client of a process that took itself anew, so that its name can be had again. Not
/// for long.
pub fn wait_for_name(jack: &Jack) {
    if library::load(&jack.library).is_err() {
        return;
    }
    jack::set_logger(jack::LoggerType::None);
    let exact = || ClientOptions::NO_START_SERVER | ClientOptions::USE_EXACT_NAME;
    let begin = Instant::now();
    while Client::new(&jack.client, exact()).is_err() && begin.elapsed() < NAME {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Opens a client and registers its ports.
pub fn open(wanted: &Wanted<'_>) -> Result<Opened, BackendError> {
    for _ in 0..TRIES {
        let opened = open_once(wanted)?;
        // The server has answered since, so it has done with any client that was leaving.
        if !semaphores::are_stale() {
            return Ok(opened);
        }
    }
    open_once(wanted)
}

fn open_once(wanted: &Wanted<'_>) -> Result<Opened, BackendError> {
    let Wanted { jack, station, client: name, io, midi } = wanted;
    let library = library::load(&jack.library)?;
    // libjack writes to stderr on its own; what matters comes back as errors.
    jack::set_logger(jack::LoggerType::None);
    let (client, _) = Client::new(name, ClientOptions::NO_START_SERVER).map_err(|error| match error {
        jack::Error::LibraryError(why) => BackendError::NoLibrary(why),
        error => library.no_server(format!("{error:?}")),
    })?;
    if client.name() != *name {
        let is = client.name();
        warn!(
            "{name} is the name of another client: this one is {is}; give each station a client of its own"
        );
    }
    let named = |groups: &[Group], is_input: bool| -> Vec<Own> {
        let channels = groups.iter().flat_map(|group| (0..group.channels).map(move |at| (group, at)));
        let own = |(group, at): (&Group, usize)| {
            let told = jack.connect.iter().find(|(name, _)| *name == group.name);
            let patterns = told.and_then(|(_, ports)| ports.get(at)).cloned().into_iter().collect();
            let (name, pretty) = (format!("{}_{}", group.name, at + 1), format!("{} {}", group.name, at + 1));
            Own { name, pretty: self::pretty(station, &pretty), is_midi: false, is_input, patterns }
        };
        channels.map(own).collect()
    };
    let mut own = named(&io.inputs, true);
    let register = |error| failed("registering a port", error);
    let inputs = own.iter().map(|own| client.register_port(&own.name, AudioIn::default()));
    let inputs = inputs.collect::<Result<_, _>>().map_err(register)?;
    let outs = named(&io.outputs, false);
    let outputs = outs.iter().map(|own| client.register_port(&own.name, AudioOut::default()));
    let outputs = outputs.collect::<Result<_, _>>().map_err(register)?;
    own.extend(outs);
    let mut pairs = Vec::new();
    for controller in *midi {
        let end = |ending: &str, is_input| Own {
            name: format!("{}_{ending}", controller.port),
            pretty: pretty(station, &format!("{} {ending}", controller.name)),
            is_midi: true,
            is_input,
            patterns: controller.patterns.clone(),
        };
        let (input, output) = (end("in", true), end("out", false));
        let both = (
            client.register_port(&input.name, MidiIn::default()).map_err(register)?,
            client.register_port(&output.name, MidiOut::default()).map_err(register)?,
        );
        pairs.push(both);
        own.extend([input, output]);
    }
    let station = (*station).to_owned();
    let is_pipewire = library.is_pipewire();
    Ok(Opened { client, inputs, outputs, midi: pairs, own, station, is_pipewire })
}

/// What people call a port.
fn pretty(station: &str, port: &str) -> String {
    if station.is_empty() { port.to_owned() } else { format!("{station}: {port}") }
}

fn failed(doing: &str, error: jack::Error) -> BackendError {
    BackendError::Jack { doing: doing.to_owned(), why: format!("{error:?}") }
}

impl Opened {
    /// The server's sample rate, in Hz.
    pub fn rate(&self) -> f64 {
        f64::from(self.client.sample_rate())
    }

    /// The server's block size, in frames.
    pub fn block(&self) -> usize {
        self.client.buffer_size() as usize
    }

    /// Starts to call `callback`. Nothing is connected yet: see [`Running::look`].
    pub fn start(
        self,
        callback: Callback,
        happenings: Sender<BackendEvent>,
        ends: Vec<PortEnd>,
        connections: &Arc<AtomicU64>,
    ) -> Result<Running, BackendError> {
        let latency = Arc::new(Latency {
            inputs: self.inputs.iter().map(Port::clone_unowned).collect(),
            outputs: self.outputs.iter().map(Port::clone_unowned).collect(),
            frames: AtomicU32::new(0),
            is_later: self.is_pipewire,
            asked: AtomicBool::new(false),
        });
        listen(&self.client, &latency)?;
        let (gone, missed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // The ports that are there already count as one change.
        let ports = Arc::new(AtomicU64::new(1));
        let come = Arc::new(Mutex::new(Vec::new()));
        let rate = self.client.sample_rate();
        let calls = [(); 2].map(|()| Arc::new(Calls::default()));
        let notifications = Notifications {
            calls: Arc::clone(&calls[0]),
            happenings: happenings.clone(),
            gone: Arc::clone(&gone),
            missed: Arc::clone(&missed),
            rate,
            is_free: false,
            ports: Arc::clone(&ports),
            come: Arc::clone(&come),
            connections: Arc::clone(connections),
            midi: self
                .own
                .iter()
                .filter(|own| own.is_midi)
                .map(|own| full(&self.client, &own.name))
                .collect(),
        };
        let midi = self.midi.into_iter().zip(ends).map(|((input, output), end)| Wires { input, output, end });
        let (fresh, to_come) = RingBuffer::new(CALLBACKS);
        let (to_free, old) = RingBuffer::new(CALLBACKS);
        let process = Process {
            calls: Arc::clone(&calls[1]),
            midi: midi.collect(),
            inputs: self.inputs.into_boxed_slice(),
            outputs: self.outputs.into_boxed_slice(),
            callback: Box::new(callback),
            fresh: to_come,
            old: to_free,
            happenings,
            block: self.client.buffer_size(),
        };
        let client = self
            .client
            .activate_async(notifications, process)
            .map_err(|error| failed("activating", error))?;
        names::tell(client.as_client(), &self.station, &self.own);
        Ok(Running { client, own: self.own, ports, come, latency, gone, missed, calls, fresh, old })
    }
}

/// The full name of a port of ours.
fn full(client: &Client, name: &str) -> String {
    format!("{}:{name}", client.name())
}

impl Running {
    /// Tells the server how many frames lie between inputs and outputs.
    pub fn set_latency(&self, frames: usize) {
        self.latency.frames.store(frames as u32, Ordering::Relaxed);
        if self.latency.is_later {
            self.latency.asked.store(true, Ordering::Relaxed);
        } else {
            recompute(self.client.as_client());
        }
    }

    /// Calls `callback` from the next block on, in place of the one before. False where the audio thread has not taken
    /// the last ones.
    pub fn renew(&mut self, callback: Callback) -> bool {
        self.tend();
        self.fresh.push(Box::new(callback)).is_ok()
    }

    /// Frees what the audio thread has given back, and answers what the server has asked.
    pub fn tend(&mut self) {
        while self.old.pop().is_ok() {}
        self.latency.answer();
    }

    /// The client's name, which the server may have made unique.
    pub fn name(&self) -> &str {
        self.client.as_client().name()
    }

    /// How often ports have come or gone.
    pub fn ports_changed(&self) -> u64 {
        self.ports.load(Ordering::Relaxed)
    }

    /// Looks at the server's ports, and connects what `patch` says. Gives what could not be, and why.
    pub fn look(&self, patch: &mut Patch) -> Vec<String> {
        let client = self.client.as_client();
        let mine = format!("{}:", client.name());
        let mut others = Vec::new();
        for (kind, is_midi) in [("audio", false), ("midi", true)] {
            for (flag, is_input) in [(PortFlags::IS_INPUT, true), (PortFlags::IS_OUTPUT, false)] {
                let names =
                    client.ports(None, Some(kind), flag).into_iter().filter(|name| !name.starts_with(&mine));
                others.extend(names.map(|name| {
                    let port = client.port_by_name(&name);
                    let aliases = port.and_then(|port| port.aliases().ok()).unwrap_or_default();
                    Other { name, aliases, is_midi, is_input }
                }));
            }
        }
        let connections = |own: &Own| {
            let port = client.port_by_name(&full(client, &own.name));
            let theirs = port.map(|port| port.get_connections()).unwrap_or_default();
            theirs.into_iter().map(|theirs| (own.name.clone(), theirs)).collect::<Vec<Cable>>()
        };
        let connected = self.own.iter().flat_map(connections).collect();
        // One that went and came between two looks has come all the same.
        let come = std::mem::take(&mut *self.come.lock().unwrap_or_else(PoisonError::into_inner));
        come.iter().for_each(|port| patch.come(port));
        let mut failures = Vec::new();
        for cable in patch.look(&self.own, &others, &connected) {
            let Some(own) = self.own.iter().find(|own| own.name == cable.0) else { continue };
            let ours = full(client, &own.name);
            let (from, to) = if own.is_input { (&cable.1, &ours) } else { (&ours, &cable.1) };
            match client.connect_ports_by_name(from, to) {
                Ok(()) | Err(jack::Error::PortAlreadyConnected(..)) => {}
                Err(error) => {
                    // A client that has just come may not be active yet.
                    patch.again(&cable);
                    failures.push(format!("{ours} with {}: {error:?}", cable.1));
                }
            }
        }
        failures
    }

    /// The ports of the station that have nothing to be connected with yet.
    pub fn missing(&self, patch: &Patch) -> Vec<String> {
        let client = self.client.as_client();
        let missing = patch.missing(&self.own);
        let told = |(own, pattern): (&str, &str)| {
            format!("{} with {pattern}: no such port; it is connected when it comes", full(client, own))
        };
        missing.into_iter().map(told).collect()
    }

    /// Deadlines that the server says were missed.
    pub fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Whether the server is gone.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// Leaves the server.
    pub fn stop(self) {
        // A server that runs lets the audio thread end its call.
        calls::wait(if self.is_gone() { &self.calls } else { &self.calls[..1] });
        // Without a server there is nothing left to leave.
        self.client.deactivate().ok();
    }
}
