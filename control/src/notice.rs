//! What the conductor tells the surfaces: lines of address and values, which each surface writes its own way.

use crate::intent::{Peer, Value};

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
    /// All who have subscribed, but for the one who caused it.
    Others(Peer),
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
    /// From now on, for so many seconds, this peer is one of all.
    Subscribe {
        /// Who.
        peer: Peer,
        /// Seconds.
        seconds: u32,
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
