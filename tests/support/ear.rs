//! The daemon on a JACK server, and clients that play to it and hear it.

use crate::daemon::{Daemon, Folder, eventually, free_port};
use jack::{AsyncClient, AudioIn, AudioOut, Client, ClientOptions, Control, Port, ProcessScope};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CHAINS: [(&str, &str); 3] = [
    (
        "a.yaml",
        "nodes:\n  - eq: {id: tone, bands: [{freq: 200 Hz, gain: 3 dB}]}\n  - limiter: {id: ceiling, lookahead: 2 ms}\n",
    ),
    (
        "b.yaml",
        "nodes:\n  - limiter: {id: ceiling, lookahead: 5 ms}\n  - stereo: {id: image, width: 120 %}\n",
    ),
    (
        "line.yaml",
        "nodes:\n  - gain: {id: g}\n  - tone: {id: line, level: -inf, freq: 440 Hz}\n  - mix: {in: [g, line]}\n",
    ),
];

pub fn daemon(folder: &Folder, start: &str, more: &str) -> Daemon {
    daemon_with(folder, "a.yaml, b.yaml, line.yaml", start, more)
}

pub fn daemon_with(folder: &Folder, chains: &str, start: &str, more: &str) -> Daemon {
    let (station, port) = station(folder, chains, start, more, "");
    Daemon::start(&station, port)
}

/// Writes a station with more keys for JACK and for its `control:`; gives its file, and its port.
pub fn station(folder: &Folder, chains: &str, start: &str, more: &str, control: &str) -> (PathBuf, u16) {
    for (name, chain) in CHAINS {
        folder.write(name, chain);
    }
    let port = free_port();
    let station = folder.write(
        "station.yaml",
        &format!(
            "audio:\n  backend: jack\n  jack: {{client: under-test{more}}}\nchains: [{chains}]\nstart: {start}\n\
             swap: {{warmup: 5 ms, fade: 5 ms}}\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}{control}}}\n"
        ),
    );
    (station, port)
}

/// A client that plays what it is told and remembers what it hears.
pub struct Ear {
    client: AsyncClient<Xruns, Hearing>,
    pub xruns: Arc<AtomicU64>,
    /// Frame of the first sample that was not zero since it was last asked, or 0.
    pub first: Arc<AtomicU32>,
    /// Frame of the next impulse that was sent.
    pub sent: Arc<AtomicU32>,
    pub send: Arc<AtomicU32>,
}

struct Xruns(Arc<AtomicU64>);

impl jack::NotificationHandler for Xruns {
    fn xrun(&mut self, _: &Client) -> Control {
        self.0.fetch_add(1, Ordering::Relaxed);
        Control::Continue
    }
}

struct Hearing {
    input: Port<AudioIn>,
    output: Port<AudioOut>,
    first: Arc<AtomicU32>,
    sent: Arc<AtomicU32>,
    send: Arc<AtomicU32>,
}

impl jack::ProcessHandler for Hearing {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let begin = scope.last_frame_time();
        if self.first.load(Ordering::Relaxed) == 0
            && let Some(at) = self.input.as_slice(scope).iter().position(|x| *x != 0.0)
        {
            self.first.store(begin + at as u32, Ordering::Relaxed);
        }
        let out = self.output.as_mut_slice(scope);
        out.fill(0.0);
        if self.send.swap(0, Ordering::Relaxed) == 1 {
            out[0] = 0.25;
            self.sent.store(begin, Ordering::Relaxed);
        }
        Control::Continue
    }
}

impl Ear {
    pub fn open() -> Self {
        let (client, _) = Client::new("ear", ClientOptions::NO_START_SERVER).unwrap();
        let input = client.register_port("in", AudioIn::default()).unwrap();
        let output = client.register_port("out", AudioOut::default()).unwrap();
        let [first, sent, send] = [(); 3].map(|()| Arc::new(AtomicU32::new(0)));
        let xruns = Arc::new(AtomicU64::new(0));
        let hearing = Hearing {
            input,
            output,
            first: Arc::clone(&first),
            sent: Arc::clone(&sent),
            send: Arc::clone(&send),
        };
        let client = client.activate_async(Xruns(Arc::clone(&xruns)), hearing).unwrap();
        Self { client, xruns, first, sent, send }
    }

    pub fn client(&self) -> &Client {
        self.client.as_client()
    }

    pub fn connect(&self, from: &str, to: &str) {
        eventually(&format!("{from} to {to}"), || {
            matches!(
                self.client().connect_ports_by_name(from, to),
                Ok(()) | Err(jack::Error::PortAlreadyConnected(..))
            )
            .then_some(())
        });
    }

    /// Waits until something is heard; gives its frame.
    pub fn heard(&self) -> u32 {
        eventually("something is heard", || {
            Some(self.first.load(Ordering::Relaxed)).filter(|frame| *frame != 0)
        })
    }

    /// Waits until nothing is heard for some blocks.
    pub fn silent(&self) {
        eventually("silence", || {
            self.listen();
            std::thread::park_timeout(Duration::from_millis(10));
            (!self.has_heard()).then_some(())
        });
    }

    pub fn has_heard(&self) -> bool {
        self.first.load(Ordering::Relaxed) != 0
    }

    pub fn listen(&self) {
        self.first.store(0, Ordering::Relaxed);
    }
}

/// What a port is connected with.
pub fn cables(client: &Client, port: &str) -> Vec<String> {
    client.port_by_name(port).map(|port| port.get_connections()).unwrap_or_default()
}

/// A sample for each frame of programme; no two among the first 2^24 are the same.
pub fn numbered(frame: u32) -> f32 {
    frame as f32 / NUMBERS
}

const NUMBERS: f32 = 33_554_432.0;

/// Noise that is the same each time.
pub fn noise(frame: u32) -> f32 {
    let bits = (u64::from(frame) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((bits ^ (bits >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as f32 / NUMBERS - 0.25
}

/// A client that plays `sample(n)` for frame `n`, from when it is told, so many frames.
pub struct Player {
    client: AsyncClient<(), Playing>,
    /// The frame that is next.
    pub at: Arc<AtomicU32>,
    /// The first frame that is not played.
    pub end: Arc<AtomicU32>,
}

struct Playing {
    output: Port<AudioOut>,
    sample: fn(u32) -> f32,
    at: Arc<AtomicU32>,
    end: Arc<AtomicU32>,
}

impl jack::ProcessHandler for Playing {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let (mut at, end) = (self.at.load(Ordering::Relaxed), self.end.load(Ordering::Relaxed));
        for out in self.output.as_mut_slice(scope) {
            *out = if at < end { (self.sample)(at) } else { 0.0 };
            at += u32::from(at < end);
        }
        self.at.store(at, Ordering::Relaxed);
        Control::Continue
    }
}

impl Player {
    pub fn open(sample: fn(u32) -> f32) -> Self {
        let (client, _) = Client::new("player", ClientOptions::NO_START_SERVER).unwrap();
        let output = client.register_port("out", AudioOut::default()).unwrap();
        let [at, end] = [(); 2].map(|()| Arc::new(AtomicU32::new(0)));
        let playing = Playing { output, sample, at: Arc::clone(&at), end: Arc::clone(&end) };
        Self { client: client.activate_async((), playing).unwrap(), at, end }
    }

    pub fn client(&self) -> &Client {
        self.client.as_client()
    }

    /// From frame 0 on, so many.
    pub fn play(&self, frames: u32) {
        self.at.store(0, Ordering::Relaxed);
        self.end.store(frames, Ordering::Relaxed);
    }
}

/// A client that keeps all it hears.
pub struct Recorder {
    client: AsyncClient<(), Recording>,
    heard: Arc<Mutex<Vec<f32>>>,
}

struct Recording {
    input: Port<AudioIn>,
    heard: Arc<Mutex<Vec<f32>>>,
}

impl jack::ProcessHandler for Recording {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        self.heard.lock().unwrap().extend_from_slice(self.input.as_slice(scope));
        Control::Continue
    }
}

impl Recorder {
    pub fn open() -> Self {
        let (client, _) = Client::new("recorder", ClientOptions::NO_START_SERVER).unwrap();
        let input = client.register_port("in", AudioIn::default()).unwrap();
        let heard = Arc::new(Mutex::new(Vec::with_capacity(1 << 24)));
        let recording = Recording { input, heard: Arc::clone(&heard) };
        Self { client: client.activate_async((), recording).unwrap(), heard }
    }

    pub fn client(&self) -> &Client {
        self.client.as_client()
    }

    /// Connects the player with the daemon, and the daemon with this.
    pub fn connect(&self, from: &str, to: &str) {
        eventually(&format!("{from} to {to}"), || {
            let done = self.client().connect_ports_by_name(from, to);
            matches!(done, Ok(()) | Err(jack::Error::PortAlreadyConnected(..))).then_some(())
        });
    }

    /// All that was heard since it was last asked.
    pub fn take(&self) -> Vec<f32> {
        self.heard.lock().unwrap().split_off(0)
    }

    /// The newest sample.
    pub fn last(&self) -> f32 {
        self.heard.lock().unwrap().last().copied().unwrap_or(0.0)
    }

    /// How many frames were heard.
    pub fn len(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Where numbered samples do not follow each other: the place in `heard`, how many frames of silence stand there, and how
/// many numbers are missing.
#[derive(Debug, PartialEq, Eq)]
pub struct Hole {
    pub at: usize,
    pub silent: usize,
    pub missing: i64,
}

/// The holes in what was heard of numbered samples, from the first whole number on.
pub fn holes(heard: &[f32]) -> Vec<Hole> {
    let number = |sample: f32| (sample * NUMBERS) as i64;
    let mut holes = Vec::new();
    let mut last: Option<(usize, i64)> = None;
    for (at, sample) in heard.iter().enumerate().filter(|(_, sample)| **sample != 0.0) {
        let found = number(*sample);
        if let Some((before, known)) = last
            && (found != known + 1 || at != before + 1)
        {
            holes.push(Hole { at: before + 1, silent: at - before - 1, missing: found - known - 1 });
        }
        last = Some((at, found));
    }
    holes
}
