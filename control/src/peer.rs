//! Where a request comes from: a client, a controller, a file, or the station itself.

use std::fmt;
use std::net::SocketAddr;

/// Where a request comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    /// An OSC client, by its address.
    Osc(SocketAddr),
    /// An OSC client on a stream (TCP), by its address.
    Stream(SocketAddr),
    /// A client of the web port (OSCQuery), by its address.
    Web(SocketAddr),
    /// A MIDI controller, by its place in the station file.
    Midi(usize),
    /// The cue list, by its own clock.
    Cues,
    /// A signal to the process.
    Signal,
    /// A change of a file on disk.
    Files,
    /// The daemon itself.
    Station,
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Osc(address) => write!(f, "osc {address}"),
            Peer::Stream(address) => write!(f, "osc.tcp {address}"),
            Peer::Web(address) => write!(f, "web {address}"),
            // People count from 1.
            Peer::Midi(at) => write!(f, "midi {}", at + 1),
            Peer::Cues => write!(f, "cues"),
            Peer::Signal => write!(f, "signal"),
            Peer::Files => write!(f, "files"),
            Peer::Station => write!(f, "lacquer"),
        }
    }
}
