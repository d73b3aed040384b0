//! Who is sent updates, and which: subscriptions, what waits for each subscriber, and who may connect.

pub mod access;
pub mod hosts;
pub mod outbox;
pub mod recent;
pub mod subscribers;
pub mod wanted;

use crate::address::Place;
use crate::peer::Peer;
use crate::request::Subscription;
use crate::update::Update;
use std::sync::Arc;

/// Who is sent updates.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recipients {
    /// This peer alone, whether it has subscribed or not.
    One(Peer),
    /// All subscribers.
    All,
    /// All subscribers but this peer, which made the change.
    Others(Peer),
}

/// What the conductor sends to each surface.
#[derive(Clone, Debug, PartialEq)]
pub enum SurfaceMessage {
    /// Send updates to clients.
    Updates {
        /// Which clients.
        to: Recipients,
        /// The updates. All surfaces share them, and copy what they keep.
        updates: Arc<[Update]>,
    },
    /// The addresses of the chain on air have changed.
    Places(Arc<Vec<Place>>),
    /// Add a subscriber, or renew its subscription.
    Subscribe {
        /// The subscriber.
        peer: Peer,
        /// What it is sent.
        subscription: Subscription,
    },
    /// Remove a subscriber.
    Unsubscribe {
        /// The subscriber.
        peer: Peer,
    },
    /// Bind the MIDI control that is moved next to this address; an empty one cancels.
    Learn {
        /// The client that asked.
        by: Peer,
        /// The address.
        address: String,
    },
    /// The daemon ends: send what is left, then end.
    End,
}
