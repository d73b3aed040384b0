//! The JACK backend: real ports, connected as the station says; also PipeWire through its JACK library.

use crate::backend::patch::{Cable, Other, Own, Patch};
use crate::backend::{BackendError, Happening, Ports};
use crate::midi::{PortEnd, Raw};
use crate::realtime::guarded;
use crate::threads::audio::Callback;
use crossbeam_channel::Sender;
use jack::{
    AsyncClient, AudioIn, AudioOut, Client, ClientOptions, ClientStatus, Control, Frames, LatencyType,
    MidiIn, MidiOut, NotificationHandler, Port, PortFlags, PortId, ProcessHandler, ProcessScope, RawMidi,
    Unowned,
};
use lacquer_graph::plan::{Group, Io};
use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// A client with its ports, not yet running.
pub struct Opened {
    client: Client,
    inputs: Vec<Port<AudioIn>>,
    outputs: Vec<Port<AudioOut>>,
    midi: Vec<(Port<MidiIn>, Port<MidiOut>)>,
    own: Vec<Own>,
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
}

/// Opens a client named `name` and registers a port for every channel, `GROUP_N`, and two for every MIDI controller,
/// `NAME_in` and `NAME_out`.
pub fn open(
    name: &str,
    io: &Io,
    connect: &[(String, Vec<String>)],
    midi: &[(String, Vec<String>)],
) -> Result<Opened, BackendError> {
    // libjack writes to stderr on its own; what matters comes back as errors.
    jack::set_logger(jack::LoggerType::None);
    let (client, _) = Client::new(name, ClientOptions::NO_START_SERVER).map_err(|error| match error {
        jack::Error::LibraryError(why) => BackendError::NoLibrary(why),
        error => BackendError::NoServer(format!("{error:?}")),
    })?;
    let named = |groups: &[Group], is_input: bool| -> Vec<Own> {
        let channels = groups.iter().flat_map(|group| (0..group.channels).map(move |at| (group, at)));
        let own = |(group, at): (&Group, usize)| {
            let told = connect.iter().find(|(name, _)| *name == group.name);
            let patterns = told.and_then(|(_, ports)| ports.get(at)).cloned().into_iter().collect();
            Own { name: format!("{}_{}", group.name, at + 1), is_midi: false, is_input, patterns }
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
    for (name, patterns) in midi {
        let end = |ending: &str, is_input| Own {
            name: format!("{name}_{ending}"),
            is_midi: true,
            is_input,
            patterns: patterns.clone(),
        };
        let (input, output) = (end("in", true), end("out", false));
        let both = (
            client.register_port(&input.name, MidiIn::default()).map_err(register)?,
            client.register_port(&output.name, MidiOut::default()).map_err(register)?,
        );
        pairs.push(both);
        own.extend([input, output]);
    }
    Ok(Opened { client, inputs, outputs, midi: pairs, own })
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

    /// The client's name, which the server may have made unique.
    pub fn name(&self) -> String {
        self.client.name().to_owned()
    }

    /// Starts to call `callback`. Nothing is connected yet: see [`Running::look`].
    pub fn start(
        self,
        callback: Callback,
        happenings: Sender<Happening>,
        ends: Vec<PortEnd>,
        connections: &Arc<AtomicU64>,
    ) -> Result<Running, BackendError> {
        let latency = Arc::new(Latency {
            inputs: self.inputs.iter().map(Port::clone_unowned).collect(),
            outputs: self.outputs.iter().map(Port::clone_unowned).collect(),
            frames: AtomicU32::new(0),
        });
        listen(&self.client, &latency)?;
        let (gone, missed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        // The ports that are there already count as one change.
        let ports = Arc::new(AtomicU64::new(1));
        let come = Arc::new(Mutex::new(Vec::new()));
        let rate = self.client.sample_rate();
        let notifications = Notifications {
            happenings: happenings.clone(),
            gone: Arc::clone(&gone),
            missed: Arc::clone(&missed),
            rate,
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
        let process = Process {
            midi: midi.collect(),
            inputs: self.inputs.into_boxed_slice(),
            outputs: self.outputs.into_boxed_slice(),
            callback,
            happenings,
            block: self.client.buffer_size(),
        };
        let client = self
            .client
            .activate_async(notifications, process)
            .map_err(|error| failed("activating", error))?;
        Ok(Running { client, own: self.own, ports, come, latency, gone, missed })
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
        recompute(self.client.as_client());
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
        // Without a server there is nothing left to leave.
        self.client.deactivate().ok();
    }
}

struct Process {
    inputs: Box<[Port<AudioIn>]>,
    outputs: Box<[Port<AudioOut>]>,
    callback: Callback,
    happenings: Sender<Happening>,
    block: Frames,
    midi: Box<[Wires]>,
}

/// A pair of MIDI ports, and the rings behind them.
struct Wires {
    input: Port<MidiIn>,
    output: Port<MidiOut>,
    end: PortEnd,
}

impl Wires {
    /// `[audio]` Copies bytes from and to the ports; what they mean is not looked at here.
    fn pass(&mut self, scope: &ProcessScope) {
        for message in self.input.iter(scope) {
            if let Some(raw) = Raw::new(message.bytes) {
                // Without room it is lost: the MIDI thread has stood still for a thousand messages.
                self.end.input.push(raw).ok();
            }
        }
        // The writer clears what was written in the last cycle.
        let mut writer = self.output.writer(scope);
        while let Ok(raw) = self.end.output.peek() {
            if writer.write(&RawMidi { time: 0, bytes: raw.bytes() }).is_err() {
                break;
            }
            self.end.output.pop().ok();
        }
    }
}

struct Cycle<'a> {
    inputs: &'a [Port<AudioIn>],
    outputs: &'a mut [Port<AudioOut>],
    scope: &'a ProcessScope,
}

impl Ports for Cycle<'_> {
    fn read(&mut self, channel: usize, from: usize, into: &mut [f64]) {
        let samples = &self.inputs[channel].as_slice(self.scope)[from..];
        into.iter_mut().zip(samples).for_each(|(into, sample)| *into = f64::from(*sample));
    }

    fn write(&mut self, channel: usize, from: usize, samples: &[f64]) {
        let port = &mut self.outputs[channel].as_mut_slice(self.scope)[from..];
        port.iter_mut().zip(samples).for_each(|(port, sample)| *port = *sample as f32);
    }
}

impl ProcessHandler for Process {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let mut cycle = Cycle { inputs: &self.inputs, outputs: &mut self.outputs, scope };
        self.callback.block(scope.n_frames() as usize, &mut cycle);
        guarded(|| self.midi.iter_mut().for_each(|wires| wires.pass(scope)));
        Control::Continue
    }

    fn buffer_size(&mut self, _: &Client, size: Frames) -> Control {
        if std::mem::replace(&mut self.block, size) != size {
            self.happenings.try_send(Happening::BlockSize(size as usize)).ok();
        }
        Control::Continue
    }
}

struct Notifications {
    happenings: Sender<Happening>,
    gone: Arc<AtomicBool>,
    missed: Arc<AtomicU64>,
    rate: Frames,
    ports: Arc<AtomicU64>,
    come: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicU64>,
    /// The full names of the MIDI ports.
    midi: Vec<String>,
}

impl NotificationHandler for Notifications {
    unsafe fn shutdown(&mut self, _status: ClientStatus, _reason: &str) {
        // It may run as a signal handler does: a flag is all that is safe.
        self.gone.store(true, Ordering::Relaxed);
    }

    fn sample_rate(&mut self, _: &Client, rate: Frames) -> Control {
        if std::mem::replace(&mut self.rate, rate) != rate {
            self.happenings.try_send(Happening::SampleRate(f64::from(rate))).ok();
        }
        Control::Continue
    }

    fn port_registration(&mut self, client: &Client, port: PortId, is_there: bool) {
        let name = client.port_by_id(port).filter(|_| is_there).and_then(|port| port.name().ok());
        self.come.lock().unwrap_or_else(PoisonError::into_inner).extend(name);
        self.ports.fetch_add(1, Ordering::Relaxed);
    }

    fn ports_connected(&mut self, client: &Client, a: PortId, b: PortId, are_connected: bool) {
        let name = |port| client.port_by_id(port).and_then(|port| port.name().ok());
        let is_midi = [a, b].into_iter().filter_map(name).any(|name| self.midi.contains(&name));
        self.connections.fetch_add(u64::from(are_connected && is_midi), Ordering::Relaxed);
    }

    fn freewheel(&mut self, _: &Client, is_on: bool) {
        self.happenings.try_send(Happening::Freewheel(is_on)).ok();
    }

    fn xrun(&mut self, _: &Client) -> Control {
        self.missed.fetch_add(1, Ordering::Relaxed);
        Control::Continue
    }
}

/// What the latency callback knows.
struct Latency {
    inputs: Vec<Port<Unowned>>,
    outputs: Vec<Port<Unowned>>,
    frames: AtomicU32,
}

impl Latency {
    /// Sound that is captured is this much older at our outputs; sound that is to be played is this much
    /// longer under way from our inputs.
    fn tell(&self, mode: LatencyType) {
        let (from, to) = match mode {
            LatencyType::Capture => (&self.inputs, &self.outputs),
            LatencyType::Playback => (&self.outputs, &self.inputs),
        };
        let ranges = from.iter().map(|port| port.get_latency_range(mode));
        let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
        let frames = self.frames.load(Ordering::Relaxed);
        to.iter().for_each(|port| port.set_latency_range(mode, (range.0 + frames, range.1 + frames)));
    }
}

extern "C" fn on_latency(mode: jack::jack_sys::jack_latency_callback_mode_t, latency: *mut c_void) {
    let mode =
        if mode == jack::jack_sys::JackCaptureLatency { LatencyType::Capture } else { LatencyType::Playback };
    // SAFETY: the pointer is the one that `listen` registered, made of an `Arc` that is never given back, so
    // what it points to outlives every call; it is only ever shared.
    let latency = unsafe { &*latency.cast::<Latency>() };
    latency.tell(mode);
}

/// Registers the latency callback, which the `jack` crate has no word for. Must come before activation.
fn listen(client: &Client, latency: &Arc<Latency>) -> Result<(), BackendError> {
    let pointer = Arc::into_raw(Arc::clone(latency)).cast_mut().cast();
    // SAFETY: the client is open and not active, and the pointer stays valid for ever: its count is leaked,
    // some hundred bytes for each connection to a server.
    let refused =
        unsafe { jack::jack_sys::jack_set_latency_callback(client.raw(), Some(on_latency), pointer) };
    if refused == 0 {
        Ok(())
    } else {
        Err(BackendError::Jack { doing: "setting the latency callback".to_owned(), why: refused.to_string() })
    }
}

fn recompute(client: &Client) {
    // SAFETY: the client is open: it is borrowed from an `AsyncClient`, which closes it only when dropped.
    unsafe { jack::jack_sys::jack_recompute_total_latencies(client.raw()) };
}
