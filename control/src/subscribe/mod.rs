//! Who is sent updates, and which: subscriptions, what waits for each subscriber, and who may connect.
//!
//! UDP, TCP and the websocket have the same limits, where no other is named:
//!
//! | what | limit | beyond it |
//! | --- | --- | --- |
//! | subscribers of a surface | 64 ([`subscribers::MOST`]) | the least recently renewed goes, and is notified |
//! | a subscription without renewal | 600 s ([`Subscription::LONGEST`]); a websocket's, while it is open | it is shortened, and the reply says so |
//! | updates of one address to one subscriber | 50 a second; meters as often as it asks | the newest value waits, of peaks the highest |
//! | values that wait for one subscriber | 16,384 addresses ([`outbox::MOST_ADDRESSES`]) | they are sent at once |
//! | addresses that a websocket listens to | 16,384 of 256 bytes ([`wanted`]) | they are ignored |
//! | bytes on the way to one client (TCP, websocket) | 4 MiB | it is disconnected |
//! | a UDP port of a subscriber that is closed (ICMP) | | its subscription ends |
//! | bytes to a UDP client that is not near and has not returned its token | 3 for each that it sent | they are dropped |
//! | a proof by token | 600 s; a new token is sent before that | as without proof |
//! | errors to a client without access | 1 | nothing is sent |
//! | what an error quotes of what was sent | 64 characters ([`quote::MOST_QUOTED`]) | the rest is left out |
//! | clients whose rate is known | 1,024 ([`access::MOST_PEERS`]) | the least recently seen is forgotten, its delayed values are passed on |
//! | lines that a client causes in the log, and in the audit log | 50 at once, later 100, and one in 2 s ([`quota`]) | they are merged and counted |
//! | delayed values | 4,096 and 512 KiB of a client, 16 MiB of all ([`access`]) | they are dropped, with an error |

pub mod access;
pub mod hosts;
pub mod outbox;
pub mod quota;
pub mod quote;
pub mod recent;
pub mod subscribers;
pub mod wanted;

use crate::address::Addresses;
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
    Places(Arc<Addresses>),
    /// The addresses of the status: `/status/chain` and so on.
    Status(Arc<[String]>),
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
