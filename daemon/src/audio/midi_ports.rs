//! JACK's MIDI ports, which are read and written in the audio callback: raw bytes cross to the MIDI thread on two rings
//! for each controller.

use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Messages that each ring has room for.
const MESSAGES: usize = 1_024;
/// Longest message, in bytes: longer than any display message of a Mackie Control.
pub(crate) const LONGEST: usize = 127;

/// One MIDI message, on its way to or from the audio thread.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    length: u8,
    bytes: [u8; LONGEST],
}

impl Raw {
    /// `[audio]` A message; `None` if it is longer than [`LONGEST`].
    pub(crate) fn new(message: &[u8]) -> Option<Self> {
        let mut bytes = [0; LONGEST];
        bytes.get_mut(..message.len())?.copy_from_slice(message);
        Some(Self { length: message.len() as u8, bytes })
    }

    /// `[audio]` Its bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.length)]
    }
}

/// The MIDI thread's end of a pair of ports.
pub(crate) struct Port {
    input: Consumer<Raw>,
    output: Producer<Raw>,
    connections: Arc<AtomicU64>,
}

/// The audio thread's end of a pair of ports.
pub(crate) struct PortEnd {
    /// Messages from the device.
    pub input: Producer<Raw>,
    /// Messages to the device.
    pub output: Consumer<Raw>,
}

/// Both ends of a pair of ports. `connections` counts how often another port was connected.
pub(crate) fn port(connections: &Arc<AtomicU64>) -> (Port, PortEnd) {
    let (from_device, input) = RingBuffer::new(MESSAGES);
    let (output, to_device) = RingBuffer::new(MESSAGES);
    let port = Port { input, output, connections: Arc::clone(connections) };
    (port, PortEnd { input: from_device, output: to_device })
}

impl Port {
    /// The next message from the controller.
    pub(crate) fn receive(&mut self) -> Option<Vec<u8>> {
        self.input.pop().ok().map(|raw| raw.bytes().to_vec())
    }

    /// Sends a message to the controller. If the ring is full, the message is lost.
    pub(crate) fn send(&mut self, message: &[u8]) {
        if let Some(raw) = Raw::new(message) {
            self.output.push(raw).ok();
        }
    }

    /// How often another port was connected.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}
