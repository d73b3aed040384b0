//! What a person asked for, in their units, before it is an order.

use crate::peer::Peer;
use crate::value::Value;
use std::path::PathBuf;
use std::time::SystemTime;

/// One thing asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Set the value that the address stands for, or all values and switches that a pattern means.
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
    /// A control was bound to an address.
    Learned {
        /// Who wanted it.
        to: Peer,
        /// The address.
        address: String,
        /// What was bound, or why it was not.
        what: String,
    },
    /// Tell what holds at an address, or at all that a pattern means. It changes nothing.
    Get {
        /// The address or pattern.
        address: String,
    },
    /// Tell who moved the value behind an address last.
    Who {
        /// The address.
        address: String,
    },
    /// Take back the last move, or what was moved last.
    Undo,
    /// Do again what was taken back.
    Redo,
    /// Something with scenes.
    Scene(SceneRequest),
    /// Something with the cue list.
    Cue(CueRequest),
    /// Something with the two states that are compared.
    Compare(CompareRequest),
    /// Swap to the chain of this number, as a program change counts: from 1.
    ChainNumber(usize),
    /// Swap to this chain.
    Swap(String),
    /// Take the whole chain into bypass or out of it.
    Bypass(bool),
    /// Whether bypass is made as loud as the chain is.
    BypassMatched(bool),
    /// Send every change and the meters for some time.
    Subscribe(Subscription),
    /// Stop doing so.
    Unsubscribe,
    /// A button was let go that does something only when it is pressed.
    Released,
    /// Say that you are there.
    Ping,
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

/// Something with scenes. They go by name, or by the number of their slot.
#[derive(Clone, Debug, PartialEq)]
pub enum SceneRequest {
    /// Keep the values of the chain on air, or of some of its nodes.
    Save {
        /// The name.
        name: String,
        /// The nodes; all where there are none.
        nodes: Vec<String>,
    },
    /// Bring its values back, gliding for so many seconds.
    Recall {
        /// The name.
        name: String,
        /// Seconds.
        morph: f64,
    },
    /// Take it away.
    Delete(String),
}

/// Something with the cue list.
#[derive(Clone, Debug, PartialEq)]
pub enum CueRequest {
    /// Do the next one, and go on to the one behind it.
    Go,
    /// Go on to the one behind the next, without doing anything.
    Next,
    /// Go back by one, without doing anything.
    Previous,
    /// Do this one.
    Do(String),
}

/// Something with the two states, A and B, that are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum CompareRequest {
    /// Hear A, or B where set.
    Hear(bool),
    /// Make the one that is not heard the same as the one that is.
    Copy,
    /// Make the one that is not heard this chain, as it was left.
    Chain(String),
    /// Whether the louder one is turned down to the other.
    Match(bool),
}

impl Request {
    /// Whether it only wants to know something.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Request::Get { .. }
                | Request::Who { .. }
                | Request::Subscribe(_)
                | Request::Unsubscribe
                | Request::Released
                | Request::Ping
                | Request::Wrong { .. }
        )
    }
}

/// What one peer asked in one go: it happens together, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBundle {
    /// Who.
    pub by: Peer,
    /// What.
    pub requests: Vec<Request>,
    /// When it is to happen; at once where that is past, or not said.
    pub due: Option<SystemTime>,
}

/// What a subscriber wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// For so many seconds, unless it is renewed.
    pub seconds: u32,
    /// How often the meters are told, a second; never for 0.
    pub meters_hz: f64,
    /// Whether values are told as text too, under `/text`.
    pub text: bool,
    /// Whether readings that are arrays are sent too.
    pub arrays: bool,
    /// Whether its own moves come back to it at once.
    pub echo: bool,
    /// The port at which it listens, where that is not the one it sends from.
    pub port: Option<u16>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self { seconds: 10, meters_hz: 20.0, text: false, arrays: false, echo: false, port: None }
    }
}
