//! Who is sent updates, and which: subscriptions, what waits for each subscriber, and who may connect.

pub mod access;
pub mod hosts;
pub mod outbox;
pub mod subscribers;
pub mod subscription;

use crate::address::Place;
use crate::peer::Peer;
use crate::request::Subscription;
use crate::update::Update;
use std::sync::Arc;

/// Who is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// This peer alone, subscribed or not.
    One(Peer),
    /// All who have subscribed.
    All,
    /// All who have subscribed; the one who caused it knows it already.
    Others(Peer),
}

/// What a surface is told.
#[derive(Clone, Debug, PartialEq)]
pub enum SurfaceMessage {
    /// Tell these lines.
    Tell {
        /// Whom.
        to: Recipients,
        /// What.
        lines: Vec<Update>,
    },
    /// The addresses of the chain that is answered from now on.
    Places(Arc<Vec<Place>>),
    /// From now on, for some time, this peer is one of all.
    Subscribe {
        /// Who.
        peer: Peer,
        /// What it wants to hear.
        wish: Subscription,
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
