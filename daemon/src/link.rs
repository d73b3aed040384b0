//! The link between the conductor and the audio thread: backend, wire, taps. It is made anew when a server
//! comes back or changes its rate; chains and values stay with the conductor.

use crate::backend::{BackendError, Happening, jack, null};
use crate::midi::{Entry, Port, port};
use crate::station::{Audio, Backend};
use crate::taps;
use crate::threads::audio::Callback;
use crate::threads::taps::spawn;
use crossbeam_channel::{Receiver, Sender, bounded};
use lacquer_control::notice::Line;
use lacquer_control::wire::{ControlEnd, wire};
use lacquer_graph::Seat;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Happenings and measurements that may wait for the conductor.
const WAITING: usize = 256;

/// Between two attempts to connect controllers.
const TRY: Duration = Duration::from_millis(100);

/// A running link.
pub struct Link {
    /// The conductor's end of the wire.
    pub wire: ControlEnd,
    /// What happens to the backend.
    pub happenings: Receiver<Happening>,
    /// What the meters show.
    pub measured: Receiver<Vec<Line>>,
    /// Hz.
    pub rate: f64,
    /// Frames in the host's blocks.
    pub block: usize,
    /// What went wrong without being in the way: connections that could not be made.
    pub failures: Vec<String>,
    running: Running,
    /// How often ports had come or gone when controllers were connected last.
    ports_seen: u64,
    next_try: Instant,
    taps: (Sender<()>, JoinHandle<()>),
}

/// The MIDI controllers of a station, and where the ports of a new link go.
#[derive(Default)]
pub struct Midi {
    /// The controllers.
    pub entries: Vec<Entry>,
    /// Takes the ports, in the order of the controllers that are on JACK.
    pub ports: Option<Sender<Vec<Port>>>,
}

impl Midi {
    /// The controllers that are reached through JACK.
    fn on_jack(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.is_jack)
    }
}

enum Running {
    Jack(jack::Running),
    Null(null::Running),
}

impl Link {
    /// Opens the backend and starts the callback, silent until it is told to start a chain.
    pub fn open(audio: &Audio, midi: &Midi) -> Result<Self, BackendError> {
        let (told, happenings) = bounded(WAITING);
        let (measures, measured) = bounded(WAITING);
        let (control, audio_end) = wire();
        let prepare = |rate: f64| {
            let first =
                |groups: &[lacquer_graph::plan::Group]| groups.first().map_or(1, |group| group.channels);
            let (before, input) = taps::tap("input", first(&audio.io.inputs), rate);
            let (after, output) = taps::tap("output", first(&audio.io.outputs), rate);
            let seat = Seat::new(&audio.io, rate);
            (Callback::new(audio_end, seat, rate, Some((before, after))), vec![input, output])
        };
        let (rate, block, running, taps, failures) = match &audio.backend {
            Backend::Jack { client, connect } => {
                let names: Vec<String> = midi.on_jack().map(Entry::port_name).collect();
                let opened = jack::open(client, &audio.io, connect, &names)?;
                let (rate, block) = (opened.rate(), opened.block());
                let (callback, taps) = prepare(rate);
                let connections = Arc::new(AtomicU64::new(0));
                let (ports, ends) = names.iter().map(|_| port(&connections)).unzip();
                let (running, failures) = opened.start(callback, told, ends, &connections)?;
                if let Some(to) = &midi.ports {
                    to.try_send(ports).ok();
                }
                (rate, block, Running::Jack(running), taps, failures)
            }
            Backend::Null(config) => {
                let (callback, taps) = prepare(config.rate);
                let running = null::start(*config, audio.io.input_channels(), callback)?;
                (config.rate, config.block, Running::Null(running), taps, Vec::new())
            }
        };
        let (end, ended) = bounded(0);
        let taps = (end, spawn(taps, measures, ended)?);
        Ok(Self {
            wire: control,
            happenings,
            measured,
            rate,
            block,
            failures,
            running,
            ports_seen: 0,
            next_try: Instant::now(),
            taps,
        })
    }

    /// Tells the host how many frames lie between inputs and outputs.
    pub fn set_latency(&self, frames: usize) {
        if let Running::Jack(running) = &self.running {
            running.set_latency(frames);
        }
    }

    /// Connects MIDI controllers that have come on the server.
    pub fn connect_midi(&mut self, midi: &Midi) {
        let Running::Jack(running) = &self.running else { return };
        let (changed, now) = (running.ports_changed(), Instant::now());
        let entries: Vec<&Entry> = midi.on_jack().collect();
        if changed != self.ports_seen && now >= self.next_try && !entries.is_empty() {
            let fits = |at: usize, name: &str| entries.get(at).is_some_and(|entry| entry.fits(name));
            if running.connect_midi(fits) {
                self.ports_seen = changed;
            }
            self.next_try = now + TRY;
        }
    }

    /// Deadlines missed since the link was opened.
    pub fn missed(&self) -> u64 {
        match &self.running {
            Running::Jack(running) => running.missed(),
            Running::Null(running) => running.missed(),
        }
    }

    /// Whether the host is gone.
    pub fn is_gone(&self) -> bool {
        match &self.running {
            Running::Jack(running) => running.is_gone(),
            Running::Null(_) => false,
        }
    }

    /// Ends the callback and the taps.
    pub fn close(self) {
        match self.running {
            Running::Jack(running) => running.stop(),
            Running::Null(running) => running.stop(),
        }
        let (end, thread) = self.taps;
        drop(end);
        thread.join().ok();
    }
}
