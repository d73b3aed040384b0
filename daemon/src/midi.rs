//! MIDI controllers of a station: their maps, and their ports on JACK's audio thread.

use lacquer_control::surface::midi::map::{Map, fits};
use rtrb::{Consumer, Producer, RingBuffer};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages that may be under way each way.
const MESSAGES: usize = 1_024;
/// Longest message that passes, in bytes: the longest of a Mackie Control's displays and more.
pub const LONGEST: usize = 127;

/// A controller as the station has it.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its map file.
    pub path: PathBuf,
    /// What that says.
    pub map: Map,
    /// The pattern of its port's name, where it is not the map's.
    pub device: Option<String>,
    /// Whether it is reached through JACK's ports, or else through the ALSA sequencer.
    pub is_jack: bool,
}

impl Entry {
    /// Whether a port of this name is the controller's.
    pub fn fits(&self, port: &str) -> bool {
        self.patterns().iter().any(|pattern| fits(pattern, port))
    }

    /// The patterns of its port's name.
    pub fn patterns(&self) -> Vec<String> {
        self.device.as_ref().map_or_else(|| self.map.devices.clone(), |device| vec![device.clone()])
    }

    /// What its ports are named after: `x-touch_in`.
    pub fn port_name(&self) -> String {
        self.path.file_stem().map_or_else(|| "midi".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}

/// One message as it crosses to and from the audio thread.
#[derive(Clone, Copy)]
pub struct Raw {
    length: u8,
    bytes: [u8; LONGEST],
}

impl Raw {
    /// `[audio]` A message, if it is not too long.
    pub fn new(message: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..message.len())?.copy_from_slice(message);
        Some(Self { length: message.len() as u8, bytes })
    }

    /// `[audio]` Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The MIDI thread's end of a pair of ports.
pub struct Port {
    input: Consumer<Raw>,
    output: Producer<Raw>,
    connections: Arc<AtomicU64>,
}

/// The audio thread's end of a pair of ports.
pub struct PortEnd {
    /// What comes in.
    pub input: Producer<Raw>,
    /// What goes out.
    pub output: Consumer<Raw>,
}

/// A pair of ports. `connections` counts how often anything was connected.
pub fn port(connections: &Arc<AtomicU64>) -> (Port, PortEnd) {
    let (from_device, input) = RingBuffer::new(MESSAGES);
    let (output, to_device) = RingBuffer::new(MESSAGES);
    let port = Port { input, output, connections: Arc::clone(connections) };
    (port, PortEnd { input: from_device, output: to_device })
}

impl Port {
    /// The next message from the controller.
    pub fn hear(&mut self) -> Option<Vec<u8>> {
        self.input.pop().ok().map(|raw| raw.bytes().to_vec())
    }

    /// Sends a message to the controller; without room it is lost, as on a cable.
    pub fn say(&mut self, message: &[u8]) {
        if let Some(raw) = Raw::new(message) {
            self.output.push(raw).ok();
        }
    }

    /// How often anything was connected.
    pub fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
