//! The subscribers of one surface: their leases, their subscriptions, and what is sent to each of them when. UDP, TCP
//! and the websocket use it alike; the limits are in the table of [`crate::subscribe`].

use crate::peer::Peer;
use crate::request::Subscription;
use crate::subscribe::outbox::Outbox;
use crate::subscribe::quote::shortened;
use crate::subscribe::wanted::Wanted;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use crate::value::Value;
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
    /// The least recently renewed first.
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
                let answer = || self.batch(*peer, updates.iter().map(shortened).collect());
                is_served.then(answer).into_iter().collect()
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
            | SurfaceMessage::Status(_)
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
            if !at_once.is_empty() {
                outgoing.push(member.batch_of(at_once));
            }
        }
        outgoing.extend(self.drain_due(now));
        outgoing
    }

    fn subscribe(&mut self, peer: Peer, options: Subscription, now: Instant) -> Outgoing {
        let seconds = options.seconds.min(Subscription::LONGEST);
        let is_shortened = seconds < options.seconds;
        let until = Some(now + Duration::from_secs(u64::from(seconds)));
        let gone = self.add(peer, Wanted::all(options), until);
        let why =
            format!("{MOST} clients have subscribed or renewed since; subscribe again to be sent updates");
        let gone = gone.map(|gone| gone.batch_of(vec![Update::words("/error", &["/subscribe", &why])]));
        let shortened = is_shortened.then(|| {
            let why = format!("a subscription lasts {seconds} s at most: renew it by then");
            let values = vec![Value::Number(f64::from(seconds)), Value::Text(why)];
            self.batch(peer, vec![Update::new("/subscribe", values)])
        });
        gone.into_iter().chain(shortened).collect()
    }

    /// Adds a client that stays until it is removed, and is sent the addresses that it names. Returns the client that
    /// went for it.
    pub fn connect(&mut self, peer: Peer) -> Option<Peer> {
        let options = Subscription { text: true, arrays: true, ..Subscription::default() };
        self.add(peer, Wanted::named(options), None).map(|gone| gone.peer)
    }

    /// A connected client is active: its place counts as renewed.
    pub fn renew(&mut self, peer: Peer) {
        if let Some(at) = self.members.iter().position(|member| member.peer == peer) {
            self.members[at..].rotate_left(1);
        }
    }

    /// Adds a client or renews it; returns the one that went for it.
    fn add(&mut self, peer: Peer, wanted: Wanted, until: Option<Instant>) -> Option<Subscriber> {
        let known = self.members.iter().position(|member| member.peer == peer);
        let outbox = known.map(|at| self.members.remove(at).outbox).unwrap_or_default();
        let gone = (self.members.len() >= MOST).then(|| self.members.remove(0));
        self.members.push(Subscriber { peer, wanted, until, outbox });
        gone
    }

    /// Sends a connected client this address from now on, or no longer. False where it has no room for it.
    pub fn listen(&mut self, peer: Peer, address: &str, is_on: bool) -> bool {
        self.renew(peer);
        let Some(member) = self.find(peer) else { return false };
        if !is_on {
            member.wanted.remove(address);
            return true;
        }
        member.wanted.add(address)
    }

    /// Removes the subscribers that `is_gone` finds by their addresses and ports. True if there were any.
    pub(crate) fn remove_where(&mut self, is_gone: impl Fn(Peer, Option<u16>) -> bool) -> bool {
        let before = self.members.len();
        self.members.retain(|member| !is_gone(member.peer, member.wanted.options.port));
        self.members.len() < before
    }

    /// Removes a subscriber.
    pub fn remove(&mut self, peer: Peer) {
        self.members.retain(|member| member.peer != peer);
    }

    /// Removes the updates that are due by now, and returns them.
    pub fn drain_due(&mut self, now: Instant) -> Outgoing {
        self.end_leases(now);
        let drain = |member: &mut Subscriber| {
            let due = member.outbox.drain_due(&member.wanted, now);
            (!due.is_empty()).then(|| member.batch_of(due))
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
    fn batch_of(&self, updates: Vec<Update>) -> Batch {
        Batch { to: self.peer, port: self.wanted.options.port, updates }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    const GAIN: &str = "/node/level/gain";

    fn subscribers() -> Subscribers {
        Subscribers::new(|peer| matches!(peer, Peer::Osc(_) | Peer::Web(_)))
    }

    fn client(number: usize) -> Peer {
        Peer::Osc(([10, 0, 0, 1], 1_000 + number as u16).into())
    }

    fn subscribe(subscribers: &mut Subscribers, peer: Peer, seconds: u32, now: Instant) -> Outgoing {
        let subscription = Subscription { seconds, ..Subscription::default() };
        subscribers.receive(&SurfaceMessage::Subscribe { peer, subscription }, now)
    }

    /// Who is sent a change at this time.
    fn sent(subscribers: &mut Subscribers, now: Instant) -> Vec<Peer> {
        let updates = vec![Update::number(GAIN, 1.0)].into();
        let message = SurfaceMessage::Updates { to: Recipients::All, updates };
        let outgoing = subscribers.receive(&message, now);
        outgoing.into_iter().filter(|batch| batch.updates[0].address == GAIN).map(|batch| batch.to).collect()
    }

    #[test]
    fn for_a_new_client_the_least_recently_renewed_goes_and_is_notified() {
        let (mut all, start) = (subscribers(), Instant::now());
        for number in 0..MOST {
            assert_eq!(subscribe(&mut all, client(number), 60, start), []);
        }
        assert_eq!(subscribe(&mut all, client(0), 60, start), [], "renewed");
        let subscription = Subscription { port: Some(9_001), ..Subscription::default() };
        all.receive(&SurfaceMessage::Subscribe { peer: client(1), subscription }, start);
        for (new, gone) in [(100, 2), (101, 3)] {
            let [notice] = &subscribe(&mut all, client(new), 60, start)[..] else { panic!("one notice") };
            assert_eq!(notice.to, client(gone));
            assert_eq!(notice.updates[0].address, "/error");
        }
        let served = sent(&mut all, start);
        assert_eq!(served.len(), MOST);
        assert!([0, 1, 100, 101].iter().all(|number| served.contains(&client(*number))));
        assert!(![2, 3].iter().any(|number| served.contains(&client(*number))));
        // One that receives at another port is notified there.
        let notices: Outgoing =
            (200..200 + MOST).flat_map(|number| subscribe(&mut all, client(number), 60, start)).collect();
        let notice = notices.iter().find(|notice| notice.to == client(1)).unwrap();
        assert_eq!(notice.port, Some(9_001));
    }

    #[test]
    fn for_a_new_websocket_the_least_recently_active_one_goes() {
        let (mut all, page) = (subscribers(), |at: u16| Peer::Web(([10, 0, 0, 1], at).into()));
        for at in 0..MOST as u16 {
            assert_eq!(all.connect(page(at)), None);
        }
        all.renew(page(0));
        all.listen(page(1), GAIN, true);
        assert_eq!(all.connect(page(1_000)), Some(page(2)));
        all.remove(page(3));
        assert_eq!(all.connect(page(1_001)), None, "there is room again");
    }

    #[test]
    fn a_subscription_lasts_ten_minutes_at_most_and_the_reply_says_so() {
        let (mut all, start) = (subscribers(), Instant::now());
        assert_eq!(subscribe(&mut all, client(1), 600, start), []);
        let [reply] = &subscribe(&mut all, client(2), 86_400, start)[..] else { panic!("one reply") };
        assert_eq!((reply.to, reply.updates[0].address.as_str()), (client(2), "/subscribe"));
        assert_eq!(reply.updates[0].values[0], Value::Number(600.0));
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(sent(&mut all, at(599)), [client(1), client(2)]);
        subscribe(&mut all, client(1), 600, at(599));
        assert_eq!(sent(&mut all, at(601)), [client(1)]);
        assert_eq!(sent(&mut all, at(1_200)), []);
    }

    #[test]
    fn a_lease_ends_with_what_still_waits() {
        let (mut all, start) = (subscribers(), Instant::now());
        subscribe(&mut all, client(1), 1, start);
        sent(&mut all, start);
        sent(&mut all, start);
        assert!(all.next_due().is_some());
        assert_eq!(all.drain_due(start + Duration::from_secs(2)), []);
        assert_eq!(all.next_due(), None);
    }

    #[test]
    fn a_client_that_names_addresses_is_sent_these_alone() {
        let (mut all, now, page) = (subscribers(), Instant::now(), Peer::Web(([10, 0, 0, 1], 1).into()));
        assert_eq!(all.connect(page), None);
        assert_eq!(sent(&mut all, now), []);
        assert!(all.listen(page, GAIN, true));
        assert_eq!(sent(&mut all, now), [page]);
        let others = vec![Update::number("/node/level/balance", 1.0)].into();
        assert_eq!(all.receive(&SurfaceMessage::Updates { to: Recipients::All, updates: others }, now), []);
        assert!(all.listen(page, GAIN, false));
        assert_eq!(sent(&mut all, now + Duration::from_secs(1)), []);
        assert!(!all.listen(page, &"x".repeat(1_000), true), "longer than any address");
        let taken = (0..100_000).take_while(|at| all.listen(page, &format!("/{at}"), true)).count();
        assert_eq!(taken, crate::subscribe::wanted::MOST_NAMED);
    }
}
