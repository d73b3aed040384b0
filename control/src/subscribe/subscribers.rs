//! The subscribers of one surface: their leases, their subscriptions, and what is sent to each of them when. UDP, TCP
//! and the websocket use it alike; the limits are in the table of [`crate::subscribe`].

use crate::peer::Peer;
use crate::request::Subscription;
use crate::subscribe::outbox::Outbox;
use crate::subscribe::wanted::Wanted;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use std::time::{Duration, Instant};

/// Most subscribers of a surface at once.
pub const MOST: usize = 64;

/// Updates for one client, to be sent in this order.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The client.
    pub to: Peer,
    /// The port that it receives at, where that is not the one it sends from.
    pub port: Option<u16>,
    /// The updates.
    pub updates: Vec<Update>,
}

/// Updates to be sent, each batch with its recipient.
pub type Outgoing = Vec<Batch>;

/// The subscribers of one surface.
pub struct Subscribers {
    is_served: fn(Peer) -> bool,
    members: Vec<Subscriber>,
}

struct Subscriber {
    peer: Peer,
    wanted: Wanted,
    /// When the subscription ends unless it is renewed; never for a client that stays connected.
    until: Option<Instant>,
    outbox: Outbox,
}

impl Subscribers {
    /// No subscribers yet, of the peers that `is_served` knows as this surface's.
    pub fn new(is_served: fn(Peer) -> bool) -> Self {
        Self { is_served, members: Vec::new() }
    }

    /// Acts on a message; returns what is to be sent at once.
    pub fn receive(&mut self, message: &SurfaceMessage, now: Instant) -> Outgoing {
        self.end_leases(now);
        match message {
            SurfaceMessage::Updates { to: Recipients::One(peer), updates } => {
                let is_served = (self.is_served)(*peer) && !updates.is_empty();
                is_served.then(|| self.batch(*peer, updates.to_vec())).into_iter().collect()
            }
            SurfaceMessage::Updates { to: Recipients::All, updates } => self.send(None, updates, now),
            SurfaceMessage::Updates { to: Recipients::Others(by), updates } => {
                self.send(Some(*by), updates, now)
            }
            SurfaceMessage::Subscribe { peer, subscription } if (self.is_served)(*peer) => {
                self.subscribe(*peer, subscription.clone(), now)
            }
            SurfaceMessage::Unsubscribe { peer } => {
                self.remove(*peer);
                Vec::new()
            }
            SurfaceMessage::Subscribe { .. }
            | SurfaceMessage::Places(_)
            | SurfaceMessage::Learn { .. }
            | SurfaceMessage::End => Vec::new(),
        }
    }

    /// Sends updates to all; `by` made the change, and is not sent it back unless it wants to be.
    fn send(&mut self, by: Option<Peer>, updates: &[Update], now: Instant) -> Outgoing {
        let mut outgoing = Vec::new();
        for member in &mut self.members {
            if by == Some(member.peer) && !member.wanted.options.echo {
                member.outbox.record_own_change(updates, &member.wanted, now);
                continue;
            }
            let at_once = member.outbox.enqueue(updates, &member.wanted, now);
            outgoing.extend(member.batch(at_once));
        }
        outgoing.extend(self.drain_due(now));
        outgoing
    }

    fn subscribe(&mut self, peer: Peer, options: Subscription, now: Instant) -> Outgoing {
        let until = Some(now + Duration::from_secs(u64::from(options.seconds)));
        let has_room = self.has_room();
        let wanted = Wanted::all(options);
        match self.find(peer) {
            Some(member) => (member.wanted, member.until) = (wanted, until),
            None if has_room => {
                self.members.push(Subscriber { peer, wanted, until, outbox: Outbox::default() });
            }
            None => {
                let why = format!("{MOST} clients have subscribed already");
                return vec![self.batch(peer, vec![Update::words("/error", &["/subscribe", &why])])];
            }
        }
        Vec::new()
    }

    /// Whether one more can be added.
    pub fn has_room(&self) -> bool {
        self.members.len() < MOST
    }

    /// Adds a client that stays until it is removed, and is sent the addresses that it names.
    pub fn connect(&mut self, peer: Peer) -> bool {
        if !self.has_room() {
            return false;
        }
        let wanted = Wanted::named(Subscription { text: true, arrays: true, ..Subscription::default() });
        self.members.push(Subscriber { peer, wanted, until: None, outbox: Outbox::default() });
        true
    }

    /// Sends a connected client this address from now on, or no longer. False where it has no room for it.
    pub fn listen(&mut self, peer: Peer, address: &str, is_on: bool) -> bool {
        let Some(member) = self.find(peer) else { return false };
        if !is_on {
            member.wanted.remove(address);
            return true;
        }
        member.wanted.add(address)
    }

    /// Removes a subscriber.
    pub fn remove(&mut self, peer: Peer) {
        self.members.retain(|member| member.peer != peer);
    }

    /// Removes the updates that are due by now, and returns them.
    pub fn drain_due(&mut self, now: Instant) -> Outgoing {
        let drain = |member: &mut Subscriber| {
            let due = member.outbox.drain_due(&member.wanted, now);
            member.batch(due)
        };
        self.members.iter_mut().filter_map(drain).collect()
    }

    /// When the next update is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.outbox.next_due()).min()
    }

    fn end_leases(&mut self, now: Instant) {
        self.members.retain(|member| member.until.is_none_or(|until| until > now));
    }

    fn find(&mut self, peer: Peer) -> Option<&mut Subscriber> {
        self.members.iter_mut().find(|member| member.peer == peer)
    }

    /// Updates for a client, whether it has subscribed or not.
    fn batch(&self, to: Peer, updates: Vec<Update>) -> Batch {
        let member = self.members.iter().find(|member| member.peer == to);
        Batch { to, port: member.and_then(|member| member.wanted.options.port), updates }
    }
}

impl Subscriber {
    fn batch(&self, updates: Vec<Update>) -> Option<Batch> {
        (!updates.is_empty()).then(|| Batch { to: self.peer, port: self.wanted.options.port, updates })
    }
}
