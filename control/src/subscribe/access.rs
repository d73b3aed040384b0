//! Who may ask what, and how much: the networks that are let in, those that may only look, and a rate for each peer.
//!
//! What comes faster than the rate is not lost where it counts: of values that are set too fast the newest waits for
//! its turn, so that the last one always arrives. They keep the order in which they came: one value may be meant by
//! several addresses and patterns, and the last of these holds.

use crate::peer::Peer;
use crate::request::{Request, RequestBundle};
use crate::value::Value;
use ipnet::IpNet;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Messages a second that one peer may send, where the station says nothing.
pub const RATE: f64 = 2_000.0;
/// Values of one peer that may wait for their turn.
const MOST_WAITING: usize = 4_096;
/// Peers that are remembered.
const MOST_PEERS: usize = 1_024;
/// Between two complaints to one peer.
const COMPLAIN: Duration = Duration::from_secs(1);

/// A network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Net(IpNet);

impl Net {
    /// Reads `192.168.1.0/24`, `10.0.0.7`, `fd00::/8`.
    pub fn parse(text: &str) -> Option<Self> {
        let net = text.parse().or_else(|_| text.parse().map(|address: IpAddr| address.into()));
        net.ok().map(Self)
    }

    /// Whether an address is in it. An IPv4 address that came over an IPv6 socket is the IPv4 address.
    pub fn has(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

/// Who is let in.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The networks that are let in; all where there are none.
    pub allow: Vec<Net>,
    /// The networks that may only look.
    pub read_only: Vec<Net>,
    /// Messages a second that one peer may send.
    pub rate: f64,
}

impl Default for Rules {
    fn default() -> Self {
        Self { allow: Vec::new(), read_only: Vec::new(), rate: RATE }
    }
}

impl Rules {
    /// Whether anything of this address is listened to.
    pub fn lets_in(&self, address: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|net| net.has(address))
    }
}

/// The gate of one surface.
pub struct Access {
    rules: Rules,
    peers: HashMap<Peer, Visitor>,
}

struct Visitor {
    tokens: f64,
    seen: Instant,
    complained: Option<Instant>,
    waiting: Waiting,
}

/// Values that wait for their turn, the one that was set first first.
#[derive(Default)]
struct Waiting {
    values: BTreeMap<u64, (String, Value)>,
    places: HashMap<String, u64>,
    next: u64,
}

impl Waiting {
    /// Takes a value, and forgets an older one of its address; false where there is no room.
    fn put(&mut self, address: String, value: Value) -> bool {
        match self.places.get(&address) {
            Some(before) => _ = self.values.remove(before),
            None if self.values.len() >= MOST_WAITING => return false,
            None => {}
        }
        self.places.insert(address.clone(), self.next);
        self.values.insert(self.next, (address, value));
        self.next += 1;
        true
    }

    fn take(&mut self) -> Option<(String, Value)> {
        let (_, (address, value)) = self.values.pop_first()?;
        self.places.remove(&address);
        Some((address, value))
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Access {
    /// A gate with these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules, peers: HashMap::new() }
    }

    /// Lets through what a peer may ask now.
    pub fn admit(
        &mut self,
        mut asked: RequestBundle,
        address: IpAddr,
        now: Instant,
    ) -> Option<RequestBundle> {
        if !self.rules.lets_in(address) {
            return None;
        }
        if self.rules.read_only.iter().any(|net| net.has(address)) {
            asked.requests.iter_mut().for_each(only_look);
        }
        let rate = self.rules.rate;
        let visitor = self.visitor(asked.by, now);
        visitor.refill(rate, now);
        let cost = asked.requests.len() as f64;
        // What waits already goes first; what is asked together is done together or waits together.
        if visitor.tokens >= cost && visitor.waiting.is_empty() {
            visitor.tokens -= cost;
            return Some(asked);
        }
        let mut lost = 0;
        for request in asked.requests.drain(..) {
            let waits = match request {
                Request::Set { address, value } => visitor.waiting.put(address, value),
                _ => false,
            };
            lost += usize::from(!waits);
        }
        let may_complain = visitor.complained.is_none_or(|before| now >= before + COMPLAIN);
        if lost == 0 || !may_complain {
            return None;
        }
        visitor.complained = Some(now);
        let why =
            format!("more than {rate} messages a second; of values the newest is kept, all else is not");
        asked.requests.push(Request::Wrong { address: "/".to_owned(), why });
        Some(asked)
    }

    /// What had to wait and has its turn now.
    pub fn due(&mut self, now: Instant) -> Vec<RequestBundle> {
        let rate = self.rules.rate;
        let mut due = Vec::new();
        for (peer, visitor) in self.peers.iter_mut().filter(|(_, visitor)| !visitor.waiting.is_empty()) {
            visitor.refill(rate, now);
            let count = visitor.tokens as usize;
            if count == 0 {
                continue;
            }
            let sets = std::iter::from_fn(|| visitor.waiting.take()).take(count);
            let requests: Vec<_> = sets.map(|(address, value)| Request::Set { address, value }).collect();
            visitor.tokens -= requests.len() as f64;
            due.push(RequestBundle { by: *peer, requests, due: None });
        }
        due
    }

    /// Whether anything waits for its turn.
    pub fn is_waiting(&self) -> bool {
        self.peers.values().any(|visitor| !visitor.waiting.is_empty())
    }

    fn visitor(&mut self, peer: Peer, now: Instant) -> &mut Visitor {
        if self.peers.len() >= MOST_PEERS && !self.peers.contains_key(&peer) {
            // Who has been quiet for a while begins anew.
            let quiet = |visitor: &Visitor| visitor.waiting.is_empty() && visitor.seen + COMPLAIN < now;
            self.peers.retain(|_, visitor| !quiet(visitor));
            if self.peers.len() >= MOST_PEERS {
                self.peers.clear();
            }
        }
        let tokens = 2.0 * self.rules.rate;
        let new = || Visitor { tokens, seen: now, complained: None, waiting: Waiting::default() };
        self.peers.entry(peer).or_insert_with(new)
    }
}

impl Visitor {
    fn refill(&mut self, rate: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(2.0 * rate);
        self.seen = self.seen.max(now);
    }
}

fn only_look(request: &mut Request) {
    if request.is_read() {
        return;
    }
    let address = match request {
        Request::Set { address, .. } | Request::Nudge { address, .. } | Request::Learn { address } => {
            address.clone()
        }
        _ => "/".to_owned(),
    };
    *request = Request::Wrong {
        address,
        why: "this client may only look (read_only in the station file)".to_owned(),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    const HERE: Peer = Peer::Station;

    fn ask(requests: Vec<Request>) -> RequestBundle {
        RequestBundle { by: HERE, requests, due: None }
    }

    fn set(value: f64) -> Request {
        Request::Set { address: "/node/a/b".to_owned(), value: Value::Number(value) }
    }

    #[test]
    fn networks_are_told_apart() {
        let has = |net: &str, address: &str| Net::parse(net).unwrap().has(address.parse().unwrap());
        assert!(has("192.168.1.0/24", "192.168.1.77") && !has("192.168.1.0/24", "192.168.2.77"));
        assert!(has("10.0.0.7", "10.0.0.7") && !has("10.0.0.7", "10.0.0.8"));
        assert!(has("0.0.0.0/0", "1.2.3.4") && has("10.0.0.0/8", "::ffff:10.9.8.7"));
        assert!(has("fd00::/8", "fd12::1") && !has("fd00::/8", "fe80::1") && !has("::/0", "1.2.3.4"));
        for bad in ["", "10.0.0.0/33", "10.0.0/8", "10.0.0.0/-1", "studio", "10.0.0.0/"] {
            assert_eq!(Net::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_set_too_fast_arrives_late_but_its_last_value_does() {
        let mut gate = Access::new(Rules { rate: 100.0, ..Rules::default() });
        let (start, here) = (Instant::now(), "127.0.0.1".parse().unwrap());
        let mut got = Vec::new();
        for n in 0..10_000 {
            let now = start + Duration::from_micros(100 * n);
            let through = gate.admit(ask(vec![set(n as f64)]), here, now);
            got.extend(through.into_iter().flat_map(|asked| asked.requests));
            got.extend(gate.due(now).into_iter().flat_map(|asked| asked.requests));
        }
        let late = gate.due(start + Duration::from_secs(2));
        got.extend(late.into_iter().flat_map(|asked| asked.requests));
        assert!((290..=310).contains(&got.len()), "{} in a second and a burst of two", got.len());
        assert_eq!(got.last(), Some(&set(9_999.0)));
        assert!(!gate.is_waiting());
    }

    #[test]
    fn what_waits_keeps_its_order_for_addresses_may_mean_the_same_value() {
        let set = |address: &str, value: f64| Request::Set {
            address: address.to_owned(),
            value: Value::Number(value),
        };
        let mut gate = Access::new(Rules { rate: 10.0, ..Rules::default() });
        let (start, here) = (Instant::now(), "127.0.0.1".parse().unwrap());
        let mut asked = vec![Request::Ping; 21];
        asked.push(set("/node/a/gain", 1.0));
        asked.extend((0..50).map(|node| set(&format!("/node/n{node}/gain"), 1.0)));
        asked.push(set("/node/*/gain", 2.0));
        asked.push(set("/norm/a/gain", 0.5));
        asked.push(set("/node/a/gain", 3.0));
        gate.admit(ask(asked), here, start);
        let mut got = Vec::new();
        for turn in 1..20 {
            let due = gate.due(start + Duration::from_secs(turn));
            got.extend(due.into_iter().flat_map(|asked| asked.requests));
        }
        let last = [set("/node/*/gain", 2.0), set("/norm/a/gain", 0.5), set("/node/a/gain", 3.0)];
        assert_eq!(got.len(), 53);
        assert_eq!(got[50..], last);
        assert!(!gate.is_waiting());
    }

    #[test]
    fn who_may_only_look_and_who_is_not_let_in() {
        let net = |text| vec![Net::parse(text).unwrap()];
        let rules = Rules { allow: net("10.0.0.0/8"), read_only: net("10.1.0.0/16"), rate: RATE };
        let mut gate = Access::new(rules);
        let mut at = |address: &str, request| {
            let through = gate.admit(ask(vec![request]), address.parse().unwrap(), Instant::now());
            through.map(|asked| asked.requests)
        };
        assert_eq!(at("192.168.0.1", set(1.0)), None);
        assert_eq!(at("10.0.0.1", set(1.0)), Some(vec![set(1.0)]));
        let get = || Request::Get { address: "/status".to_owned() };
        assert_eq!(at("10.1.0.1", get()), Some(vec![get()]));
        assert!(matches!(at("10.1.0.1", set(1.0)).unwrap()[..], [Request::Wrong { .. }]));
        assert!(matches!(
            at("10.1.0.1", Request::Swap("x".to_owned())).unwrap()[..],
            [Request::Wrong { .. }]
        ));
    }
}
