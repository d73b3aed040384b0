//! What a person or a program asks for, in their units.

use crate::peer::Peer;
use crate::update::Update;
use crate::value::Value;
use std::borrow::Cow;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

/// One request.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Set the value at an address, or all values and switches that a pattern matches.
    Set {
        /// The address or pattern.
        address: String,
        /// The value.
        value: Value,
    },
    /// Change the value at an address by a part of its taper.
    Nudge {
        /// The address, under `/node` or `/norm`.
        address: String,
        /// By how much; 1 is the whole range.
        by: f64,
    },
    /// Bind the MIDI control that is moved next to this address; an empty one cancels.
    Learn {
        /// The address.
        address: String,
    },
    /// A control was bound to an address.
    Learned {
        /// The client that asked.
        to: Peer,
        /// The address.
        address: String,
        /// The control that was bound, or why none was.
        what: String,
        /// Whether one was bound.
        is_bound: bool,
    },
    /// Read the value at an address, or all that a pattern matches.
    Get {
        /// The address or pattern.
        address: String,
    },
    /// Answer who changed the value at an address last.
    Who {
        /// The address.
        address: String,
    },
    /// Answer what a swap to this chain would do.
    Plan(String),
    /// Undo a change.
    Undo(Scope),
    /// Redo a change that was undone.
    Redo(Scope),
    /// Save, recall or delete a scene.
    Scene(SceneRequest),
    /// Run or select a cue.
    Cue(CueRequest),
    /// Change the states A and B.
    Compare(CompareRequest),
    /// Swap to the chain of this number, counted from 1.
    ChainNumber(usize),
    /// Swap to this chain.
    Swap(String),
    /// Bypass the whole chain, or end the bypass.
    Bypass(bool),
    /// Match the loudness of the bypass to the chain, or stop doing so.
    BypassMatched(bool),
    /// Send every change and the meters for some time.
    Subscribe(Subscription),
    /// End the subscription.
    Unsubscribe,
    /// Return the token that the station sent: proof that the client receives at its address. An empty one asks for it.
    Token(String),
    /// A button was released that acts only when it is pressed.
    Released,
    /// Answer `/pong`.
    Ping,
    /// Answer `/synced` when all is done that the peer asked for before.
    Sync,
    /// Read the station and its chains again.
    Reload {
        /// Whether all values are reset to those of the files.
        reset: bool,
    },
    /// Watched files changed on disk.
    Changed(Vec<PathBuf>),
    /// Write the status to the log.
    Dump,
    /// Fade out and end the daemon.
    Quit,
    /// A message that is no valid request, to be answered with the reason.
    Wrong {
        /// The address it came to.
        address: String,
        /// Why.
        why: String,
    },
}

/// Most scenes of a station: as many as there are MIDI programs.
pub(crate) const MOST_SCENES: usize = 128;

/// What to do with a scene. A scene is named by its name, or by the number of its slot.
#[derive(Clone, Debug, PartialEq)]
pub enum SceneRequest {
    /// Save the values of the chain on air, or of some of its nodes.
    Save {
        /// The name.
        name: String,
        /// The nodes; all where none is named.
        nodes: Vec<String>,
    },
    /// Restore its values.
    Recall {
        /// The name.
        name: String,
        /// The seconds in which the values glide.
        morph: f64,
    },
    /// Delete it.
    Delete(String),
}

/// Which change is undone or redone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// The last one of the peer that asks.
    Own,
    /// The last one of anybody.
    All,
    /// The last swap to another chain.
    Swap,
}

/// A step in the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Back.
    Undo,
    /// Forth.
    Redo,
}

impl Step {
    /// Its word: `undo`, `redo`.
    pub fn word(self) -> &'static str {
        if self == Step::Undo { "undo" } else { "redo" }
    }
}

/// What to do with the cue list.
#[derive(Clone, Debug, PartialEq)]
pub enum CueRequest {
    /// Run the next cue, and advance.
    Go,
    /// Advance without running a cue.
    Next,
    /// Go back by one without running a cue.
    Previous,
    /// Run this cue.
    Do(String),
}

/// What to do with the two full states, A and B, that are compared.
#[derive(Clone, Debug, PartialEq)]
pub enum CompareRequest {
    /// Make A active, or B where set.
    Select(bool),
    /// Copy the active one to the other.
    Copy,
    /// Give the other one this chain, with its current values.
    Chain(String),
    /// Turn the louder one down to the other, or stop doing so.
    Match(bool),
}

impl Request {
    /// The answer to a message that is no valid request.
    pub fn wrong(address: &str, why: impl Into<String>) -> Self {
        Request::Wrong { address: address.to_owned(), why: why.into() }
    }

    /// The address of the value or state that it sets, where only the last one counts; `None` for what acts, steps or reads.
    pub(crate) fn sets(&self) -> Option<Cow<'_, str>> {
        let address = match self {
            Request::Set { address, .. } => address,
            Request::Swap(_) | Request::ChainNumber(_) => "/swap",
            Request::Bypass(_) => "/bypass",
            Request::BypassMatched(_) => "/bypass/match",
            Request::Compare(CompareRequest::Select(_)) => "/ab",
            Request::Compare(CompareRequest::Match(_)) => "/ab/match",
            Request::Compare(CompareRequest::Chain(_)) => "/ab/chain",
            // A scene may have the values of some nodes only: another scene does not take its place.
            Request::Scene(SceneRequest::Recall { name, .. }) => {
                return Some(format!("/scene/recall {name}").into());
            }
            _ => return None,
        };
        Some(address.into())
    }

    /// The bytes of its texts.
    pub(crate) fn text_bytes(&self) -> usize {
        match self {
            Request::Set { address, value: Value::Text(text) } => address.len() + text.len(),
            Request::Set { address: text, .. }
            | Request::Swap(text)
            | Request::Compare(CompareRequest::Chain(text))
            | Request::Scene(SceneRequest::Recall { name: text, .. }) => text.len(),
            _ => 0,
        }
    }

    /// Whether it changes nothing of the station.
    pub fn is_read(&self) -> bool {
        matches!(
            self,
            Request::Get { .. }
                | Request::Who { .. }
                | Request::Plan(_)
                | Request::Subscribe(_)
                | Request::Unsubscribe
                | Request::Token(_)
                | Request::Released
                | Request::Ping
                | Request::Sync
                | Request::Wrong { .. }
        )
    }
}

/// Requests of one peer that are executed together, in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct RequestBundle {
    /// The peer.
    pub by: Peer,
    /// The requests.
    pub requests: Vec<Request>,
    /// When they are executed; at once where this is past or absent.
    pub due: Option<SystemTime>,
}

/// What a subscriber is sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Subscription {
    /// For so many seconds, unless it is renewed.
    pub seconds: u32,
    /// How often meters are sent, a second; never for 0.
    pub meters_hz: f64,
    /// Whether the tree `/text` is sent too.
    pub text: bool,
    /// Whether readings that are arrays are sent too.
    pub arrays: bool,
    /// Whether its own moves come back to it at once.
    pub echo: bool,
    /// The port that it receives at, where that is not the one it sends from.
    pub port: Option<u16>,
}

impl Default for Subscription {
    fn default() -> Self {
        Self { seconds: 10, meters_hz: 20.0, text: false, arrays: false, echo: false, port: None }
    }
}

impl Subscription {
    /// The longest that a subscription lasts, in seconds; a longer one is shortened to this.
    pub const LONGEST: u32 = 600;

    /// Whether an update is wanted.
    pub fn has(&self, update: &Update) -> bool {
        (self.text || !update.address.starts_with("/text/"))
            && (self.meters_hz > 0.0 || !update.is_meter())
            && (self.arrays || !update.is_array())
    }

    /// Time between two updates of the meters.
    pub(crate) fn meters_every(&self) -> Option<Duration> {
        (self.meters_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / self.meters_hz))
    }
}
