//! What a person asked for, in their units, before it is an order.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::SystemTime;

/// Who asked.
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
    House,
}

/// A value as a surface gives and takes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, in the unit of its address.
    Number(f64),
    /// On or off.
    Switch(bool),
    /// A word, or a number with its unit.
    Text(String),
}

/// One thing asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Intent {
    /// Set what the address (or pattern) under `/node` or `/norm` stands for.
    Set {
        /// The address or pattern.
        address: String,
        /// The value.
        value: Value,
    },
    /// Move what the address stands for by a part of its taper, from wherever it is.
    Nudge {
        /// The address, under `/node` or `/norm`.
        address: String,
        /// How far, in parts of the whole way.
        by: f64,
    },
    /// Bind the MIDI control that is moved next to this address; an empty one calls that off.
    Learn {
        /// The address.
        address: String,
    },
    /// Tell the value behind an address or pattern.
    Get {
        /// The address or pattern.
        address: String,
    },
    /// Swap to this chain.
    Swap(String),
    /// Tell which chain is on air.
    Running,
    /// Tell the names of the chains.
    Chains,
    /// Take the whole chain into bypass or out of it.
    Bypass(bool),
    /// Tell whether the whole chain is in bypass.
    Bypassed,
    /// Send every change and the meters for so many seconds.
    Subscribe {
        /// Seconds.
        seconds: u32,
    },
    /// Stop doing so.
    Unsubscribe,
    /// Say that you are there.
    Ping,
    /// Tell how the station is.
    Status,
    /// Read station and chains again; `reset` takes all values from the files.
    Reload {
        /// Whether live values are given up.
        reset: bool,
    },
    /// A file changed on disk.
    Changed(PathBuf),
    /// Write the status to the log.
    Dump,
    /// Fade out and end.
    Quit,
    /// Something that cannot be done, to be answered with why.
    Wrong {
        /// The address it came to.
        address: String,
        /// Why.
        why: String,
    },
}

/// What one peer asked in one go: it happens together, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// Who.
    pub by: Peer,
    /// What.
    pub intents: Vec<Intent>,
    /// When it is to happen; at once where that is past, or not said.
    pub due: Option<SystemTime>,
}
