//! The subscribers of one surface: their subscriptions, and what is sent to each of them when.

use crate::peer::Peer;
use crate::request::Subscription;
use crate::subscribe::outbox::Outbox;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use std::time::{Duration, Instant};

/// Most subscribers at once.
const MOST: usize = 64;

/// Updates to be sent, each batch with its recipient.
pub type Outgoing = Vec<(Peer, Vec<Update>)>;

/// The subscribers of one surface.
pub struct Subscribers {
    is_served: fn(Peer) -> bool,
    members: Vec<Subscriber>,
}

struct Subscriber {
    peer: Peer,
    subscription: Subscription,
    until: Instant,
    outbox: Outbox,
}

impl Subscribers {
    /// No subscribers yet, of the peers that `is_served` knows as this surface's.
    pub fn new(is_served: fn(Peer) -> bool) -> Self {
        Self { is_served, members: Vec::new() }
    }

    /// Acts on a message; returns what is to be sent at once.
    pub fn receive(&mut self, message: SurfaceMessage, now: Instant) -> Outgoing {
        self.members.retain(|member| member.until > now);
        match message {
            SurfaceMessage::Updates { to: Recipients::One(peer), updates } => {
                match (self.is_served)(peer) && !updates.is_empty() {
                    true => vec![(peer, updates)],
                    false => Vec::new(),
                }
            }
            SurfaceMessage::Updates { to: Recipients::All, updates } => self.send(None, &updates, now),
            SurfaceMessage::Updates { to: Recipients::Others(by), updates } => {
                self.send(Some(by), &updates, now)
            }
            SurfaceMessage::Subscribe { peer, subscription } if (self.is_served)(peer) => {
                self.subscribe(peer, subscription, now)
            }
            SurfaceMessage::Unsubscribe { peer } => {
                self.unsubscribe(peer);
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
            if by == Some(member.peer) && !member.subscription.echo {
                member.outbox.record_own_change(updates.to_vec(), &member.subscription, now);
                continue;
            }
            let at_once = member.outbox.enqueue(updates.to_vec(), &member.subscription, now);
            if !at_once.is_empty() {
                outgoing.push((member.peer, at_once));
            }
        }
        outgoing.extend(self.drain_due(now));
        outgoing
    }

    fn subscribe(&mut self, peer: Peer, subscription: Subscription, now: Instant) -> Outgoing {
        let until = now + Duration::from_secs(u64::from(subscription.seconds));
        let has_room = self.members.len() < MOST;
        match self.members.iter_mut().find(|member| member.peer == peer) {
            Some(member) => (member.subscription, member.until) = (subscription, until),
            None if has_room => {
                self.members.push(Subscriber { peer, subscription, until, outbox: Outbox::default() });
            }
            None => {
                let why = format!("{MOST} clients have subscribed already");
                return vec![(peer, vec![Update::words("/error", &["/subscribe", &why])])];
            }
        }
        Vec::new()
    }

    /// Removes a subscriber.
    pub fn unsubscribe(&mut self, peer: Peer) {
        self.members.retain(|member| member.peer != peer);
    }

    /// Removes the updates that are due by now, and returns them.
    pub fn drain_due(&mut self, now: Instant) -> Outgoing {
        let mut outgoing = Vec::new();
        for member in &mut self.members {
            let updates = member.outbox.drain_due(&member.subscription, now);
            if !updates.is_empty() {
                outgoing.push((member.peer, updates));
            }
        }
        outgoing
    }

    /// When the next update is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.members.iter().filter_map(|member| member.outbox.next_due()).min()
    }

    /// The port that a subscriber receives at, where that is not the one it sends from.
    pub fn reply_port(&self, peer: Peer) -> Option<u16> {
        self.members.iter().find(|member| member.peer == peer)?.subscription.port
    }
}
