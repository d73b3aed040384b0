//! The MIDI ports that JACK plays in its callback: raw bytes cross on two rings a controller.

use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages that may be under way each way.
const MESSAGES: usize = 1_024;
/// Longest message that passes, in bytes: the longest of a Mackie Control's displays and more.
pub const LONGEST: usize = 127;

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
