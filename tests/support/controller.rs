//! A MIDI controller on a JACK server, and what the shipped maps are tried with.

use crate::daemon::eventually;
use jack::{AsyncClient, Client, ClientOptions, Control, MidiIn, MidiOut, Port, ProcessScope, RawMidi};
use std::sync::{Arc, Mutex};

/// A chain with all that the shipped maps bind.
pub const CHAIN: &str = "nodes:
  - eq: {id: tone, bands: [{freq: 100 Hz}, {freq: 400 Hz}, {freq: 2 kHz}, {freq: 8 kHz}]}
  - compressor: {id: glue}
  - stereo: {id: image}
  - gain: {id: level}
  - limiter: {id: ceiling}
";

pub const MAPS: [&str; 7] =
    ["nanokontrol2", "x-touch-mini", "x-touch", "bcf2000", "midimix", "launch-control-xl", "generic"];

/// A controller on the JACK server: what it is to send, and what it was sent.
pub struct Controller {
    _client: AsyncClient<(), Handler>,
    sends: crossbeam_channel::Sender<Vec<u8>>,
    pub shown: Arc<Mutex<Vec<Vec<u8>>>>,
}

struct Handler {
    output: Port<MidiOut>,
    input: Port<MidiIn>,
    sends: crossbeam_channel::Receiver<Vec<u8>>,
    shown: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl jack::ProcessHandler for Handler {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let mut writer = self.output.writer(scope);
        for bytes in self.sends.try_iter().take(20) {
            writer.write(&RawMidi { time: 0, bytes: &bytes }).unwrap();
        }
        self.shown.lock().unwrap().extend(self.input.iter(scope).map(|message| message.bytes.to_vec()));
        Control::Continue
    }
}

impl Controller {
    pub fn plug(name: &str) -> Self {
        let (client, _) = Client::new(name, ClientOptions::NO_START_SERVER).unwrap();
        let output = client.register_port("MIDI 1", MidiOut::default()).unwrap();
        let input = client.register_port("MIDI 1 in", MidiIn::default()).unwrap();
        let (sends, receives) = crossbeam_channel::unbounded();
        let shown = Arc::new(Mutex::new(Vec::new()));
        let handler = Handler { output, input, sends: receives, shown: Arc::clone(&shown) };
        let client = client.activate_async((), handler).unwrap();
        for port in client.as_client().ports(Some(&format!("^{name}:")), None, jack::PortFlags::empty()) {
            let is_connected =
                || client.as_client().port_by_name(&port)?.connected_count().ok().filter(|n| *n > 0);
            eventually(&format!("{port} is connected"), is_connected);
        }
        Self { _client: client, sends, shown }
    }

    pub fn send(&self, bytes: &[u8]) {
        self.sends.send(bytes.to_vec()).unwrap();
    }

    pub fn was_shown(&self, message: &[u8]) -> bool {
        self.shown.lock().unwrap().iter().any(|shown| shown == message)
    }

    pub fn wait_for(&self, what: &str, message: &[u8]) {
        eventually(&format!("{what}: {message:02X?}"), || self.was_shown(message).then_some(()));
    }
}
