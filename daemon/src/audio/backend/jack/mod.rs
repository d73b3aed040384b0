//! The JACK backend: a client of a JACK server, its ports connected as the station says; also of PipeWire, through its
//! JACK library.

mod calls;
mod library;
mod names;
mod notifications;
mod process;
mod raw;
mod reason;
mod semaphores;
mod wiring;

use crate::audio::backend::connections::{Connection, Connections, OwnPort};
use crate::audio::backend::{BackendError, BackendEvent};
use crate::audio::callback::Callback;
use crate::audio::midi_ports::PortEnd;
use crate::station::jack::Jack;
use calls::Calls;
use crossbeam_channel::Sender;
use jack::{AsyncClient, AudioIn, AudioOut, Client, ClientOptions, MidiIn, MidiOut, Port};
use lacquer_graph::plan::{Group, Io};
use notifications::Notifications;
use process::{MidiPorts, Process};
use raw::{Latency, register};
use reason::reason;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use tracing::warn;
use wiring::{Ports, Wiring, full};

/// The client to open.
pub(crate) struct ClientConfig<'a> {
    /// The station's `audio.jack`.
    pub jack: &'a Jack,
    /// The station's name.
    pub station: &'a str,
    /// The client name to ask for.
    pub client: &'a str,
    /// The groups of channels: each has a port, `GROUP_N`.
    pub io: &'a Io,
    /// The MIDI controllers: each has two ports, `NAME_in` and `NAME_out`.
    pub midi: &'a [Controller],
}

/// A MIDI controller that is connected through JACK ports.
pub(crate) struct Controller {
    /// The stem of its ports' names.
    pub port: String,
    /// Its name for people.
    pub name: String,
    /// Patterns for the names of its device's ports.
    pub patterns: Vec<String>,
}

/// How long to wait for a server to free the name of an old client.
const NAME_TIMEOUT: Duration = Duration::from_millis(500);

/// How often a client is opened again because another one closed meanwhile.
const TRIES: u32 = 10;

/// A client with its ports, not yet running.
pub(crate) struct Opened {
    client: Client,
    inputs: Vec<Port<AudioIn>>,
    outputs: Vec<Port<AudioOut>>,
    midi: Vec<(Port<MidiIn>, Port<MidiOut>)>,
    own: Vec<OwnPort>,
    station: String,
    is_pipewire: bool,
}

/// A running client.
pub(crate) struct Running {
    client: Arc<AsyncClient<Notifications, Process>>,
    wiring: Wiring,
    is_shut_down: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    /// Calls of the notifications, and of the process callback.
    calls: [Arc<Calls>; 2],
    /// Callbacks on their way to the audio thread, and back.
    next: Producer<Box<Callback>>,
    old: Consumer<Box<Callback>>,
}

/// Callbacks that each of these queues has room for.
const CALLBACKS: usize = 4;

/// After the daemon has executed itself again: waits, for a limited time, until the server has removed the old client,
/// so that its name is free.
pub(crate) fn wait_for_name(jack: &Jack) {
    if library::load(&jack.library).is_err() {
        return;
    }
    jack::set_logger(jack::LoggerType::None);
    let exact = || ClientOptions::NO_START_SERVER | ClientOptions::USE_EXACT_NAME;
    let begin = Instant::now();
    while Client::new(&jack.client, exact()).is_err() && begin.elapsed() < NAME_TIMEOUT {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Opens a client and registers its ports.
pub(crate) fn open(config: &ClientConfig<'_>) -> Result<Opened, BackendError> {
    for _ in 0..TRIES {
        let opened = open_once(config)?;
        // The server has answered requests since then, so it has removed all clients that were closing.
        if !semaphores::are_stale() {
            return Ok(opened);
        }
    }
    open_once(config)
}
fn open_once(config: &ClientConfig<'_>) -> Result<Opened, BackendError> {
    let ClientConfig { jack, station, client: name, io, midi } = config;
    let library = library::load(&jack.library)?;
    // libjack would print to stderr; its functions return the errors that matter.
    jack::set_logger(jack::LoggerType::None);
    let (client, _) = Client::new(name, ClientOptions::NO_START_SERVER).map_err(|error| match error {
        jack::Error::LibraryError(why) => BackendError::NoLibrary(why),
        error => library.no_server(reason(&error)),
    })?;
    if client.name() != *name {
        let is = client.name();
        warn!(
            "client name {name} is used by another client; this one is called {is}; give each station its own `jack: {{client: ...}}`"
        );
    }
    let named = |groups: &[Group], is_input: bool| -> Vec<OwnPort> {
        let channels = groups.iter().flat_map(|group| (0..group.channels).map(move |at| (group, at)));
        let own = |(group, at): (&Group, usize)| {
            let entry = jack.connect.iter().find(|(name, _)| *name == group.name);
            let patterns = entry.and_then(|(_, ports)| ports.get(at)).cloned().into_iter().collect();
            let (name, pretty) = (format!("{}_{}", group.name, at + 1), format!("{} {}", group.name, at + 1));
            OwnPort { name, pretty: self::pretty(station, &pretty), is_midi: false, is_input, patterns }
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
        let end = |ending: &str, is_input| OwnPort {
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

/// A port's name for people.
fn pretty(station: &str, port: &str) -> String {
    if station.is_empty() { port.to_owned() } else { format!("{station}: {port}") }
}

fn failed(doing: &str, error: jack::Error) -> BackendError {
    BackendError::Jack { doing: doing.to_owned(), why: reason(&error) }
}

impl Opened {
    /// The server's sample rate, in Hz.
    pub(crate) fn rate(&self) -> f64 {
        f64::from(self.client.sample_rate())
    }

    /// The server's block size, in frames.
    pub(crate) fn block(&self) -> usize {
        self.client.buffer_size() as usize
    }

    /// Activates the client, which calls `callback` from now on, and makes the connections `stored`. Also returns those
    /// that failed, and why.
    pub(crate) fn start(
        self,
        callback: Callback,
        events: Sender<BackendEvent>,
        ends: Vec<PortEnd>,
        connections: &Arc<AtomicU64>,
        mut stored: Connections,
    ) -> Result<(Running, Vec<String>), BackendError> {
        let latency = Arc::new(Latency {
            inputs: self.inputs.iter().map(Port::clone_unowned).collect(),
            outputs: self.outputs.iter().map(Port::clone_unowned).collect(),
            frames: AtomicU32::new(0),
            is_deferred: self.is_pipewire,
            is_due: AtomicBool::new(false),
        });
        register(&self.client, &latency)?;
        let (is_shut_down, missed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // The ports that exist already count as one change.
        let port_changes = Arc::new(AtomicU64::new(1));
        let added = Arc::new(Mutex::new(Vec::new()));
        let rate = self.client.sample_rate();
        let calls = [(); 2].map(|()| Arc::new(Calls::default()));
        let notifications = Notifications {
            calls: Arc::clone(&calls[0]),
            events: events.clone(),
            is_shut_down: Arc::clone(&is_shut_down),
            missed: Arc::clone(&missed),
            rate,
            is_free: false,
            port_changes: Arc::clone(&port_changes),
            added: Arc::clone(&added),
            connections: Arc::clone(connections),
            midi: self
                .own
                .iter()
                .filter(|own| own.is_midi)
                .map(|own| full(&self.client, &own.name))
                .collect(),
        };
        let midi =
            self.midi.into_iter().zip(ends).map(|((input, output), end)| MidiPorts { input, output, end });
        let (next, next_end) = RingBuffer::new(CALLBACKS);
        let (old_end, old) = RingBuffer::new(CALLBACKS);
        let process = Process {
            calls: Arc::clone(&calls[1]),
            midi: midi.collect(),
            inputs: self.inputs.into_boxed_slice(),
            outputs: self.outputs.into_boxed_slice(),
            callback: Box::new(callback),
            next: next_end,
            old: old_end,
            events,
            block: self.client.buffer_size(),
        };
        let client = self
            .client
            .activate_async(notifications, process)
            .map_err(|error| failed("activating", error))?;
        names::set(client.as_client(), &self.station, &self.own);
        let client = Arc::new(client);
        let ports =
            Ports { client: Arc::clone(&client), own: self.own, changes: port_changes, added, latency };
        let mut failures = ports.connect(&mut stored);
        failures.extend(ports.missing(&stored));
        let wiring = Wiring::start(ports, stored)?;
        Ok((Running { client, wiring, is_shut_down, missed, calls, next, old }, failures))
    }
}

impl Running {
    /// Reports the latency between inputs and outputs to the server, in frames.
    pub(crate) fn set_latency(&self, frames: usize) {
        self.wiring.set_latency(frames as u32);
    }

    /// Replaces the callback from the next block on. False if the audio thread has not yet received the last ones.
    pub(crate) fn replace_callback(&mut self, callback: Callback) -> bool {
        self.maintain();
        self.next.push(Box::new(callback)).is_ok()
    }

    /// Frees the callbacks that were replaced.
    pub(crate) fn maintain(&mut self) {
        while self.old.pop().is_ok() {}
    }

    /// The client's name, which the server may have made unique.
    pub(crate) fn name(&self) -> &str {
        self.client.as_client().name()
    }

    /// The connections, also those whose other port is not there at the moment.
    pub(crate) fn connections(&self) -> BTreeSet<Connection> {
        self.wiring.kept()
    }

    /// Whether the connections have changed since the last call.
    pub(crate) fn has_new_connections(&self) -> bool {
        self.wiring.has_changed()
    }

    /// The server's count of missed deadlines.
    pub(crate) fn missed(&self) -> u64 {
        self.missed.load(Ordering::Relaxed)
    }

    /// Whether the server has shut down.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.is_shut_down.load(Ordering::Relaxed)
    }

    /// Closes the client.
    pub(crate) fn stop(self) {
        self.wiring.stop();
        let Some(client) = Arc::into_inner(self.client) else { return };
        // A running server lets the audio thread finish its call.
        let count = if self.is_shut_down.load(Ordering::Relaxed) { 2 } else { 1 };
        calls::wait_until_quiet(&self.calls[..count]);
        // This fails if the server has shut down, which does not matter.
        client.deactivate().ok();
    }
}
