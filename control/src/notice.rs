//! What the conductor tells the surfaces: lines of address and values, which each surface writes its own way.

use crate::address::Place;
use crate::intent::{Peer, Value};
use crate::mailbox::is_meter;
use std::sync::Arc;
use std::time::Duration;

/// One line: an address and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The address, as under `/node`, `/meter`, `/event`.
    pub address: String,
    /// Its values.
    pub values: Vec<Value>,
}

impl Line {
    /// A line.
    pub fn new(address: impl Into<String>, values: Vec<Value>) -> Self {
        Self { address: address.into(), values }
    }

    /// A line with one number.
    pub fn number(address: impl Into<String>, value: f64) -> Self {
        Self::new(address, vec![Value::Number(value)])
    }

    /// A line of words.
    pub fn words(address: impl Into<String>, words: &[&str]) -> Self {
        Self::new(address, words.iter().map(|word| Value::Text((*word).to_owned())).collect())
    }
}

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// This peer alone, subscribed or not.
    One(Peer),
    /// All who have subscribed.
    All,
    /// All who have subscribed; the one who caused it knows it already.
    Others(Peer),
}

/// What a subscriber wants to hear.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// For so many seconds, unless it is renewed.
    pub seconds: u32,
    /// How often the meters are told, a second; never for 0.
    pub meters_hz: f64,
    /// Whether values are told as text too, under `/text`.
    pub text: bool,
    /// Whether its own moves come back to it at once.
    pub echo: bool,
    /// The port at which it listens, where that is not the one it sends from.
    pub port: Option<u16>,
}

impl Default for Wish {
    fn default() -> Self {
        Self { seconds: 10, meters_hz: 20.0, text: false, echo: false, port: None }
    }
}

impl Wish {
    /// Whether lines of this address are wanted.
    pub fn has(&self, address: &str) -> bool {
        (self.text || !address.starts_with("/text/")) && (self.meters_hz > 0.0 || !is_meter(address))
    }

    /// Time between two tellings of the meters.
    pub fn meters_every(&self) -> Option<Duration> {
        (self.meters_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / self.meters_hz))
    }
}

/// What a surface is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Tell these lines.
    Tell {
        /// Whom.
        to: To,
        /// What.
        lines: Vec<Line>,
    },
    /// The addresses of the chain that is answered from now on.
    Places(Arc<Vec<Place>>),
    /// From now on, for some time, this peer is one of all.
    Subscribe {
        /// Who.
        peer: Peer,
        /// What it wants to hear.
        wish: Wish,
    },
    /// No longer.
    Unsubscribe {
        /// Who.
        peer: Peer,
    },
    /// Bind the control that is moved next to this address; an empty one calls that off.
    Learn {
        /// Who wants it.
        by: Peer,
        /// The address.
        address: String,
    },
    /// The house closes: tell what is left, then end.
    End,
}
