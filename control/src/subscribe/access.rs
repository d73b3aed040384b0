//! Access of clients: the networks that are allowed, those that are read-only, and a rate limit for each peer.
//!
//! Beyond the rate, values and states (bypass, the chain on air) are delayed and not lost: of each address the newest value
//! waits, so the last one arrives as long as there is room for it. They keep their order: several addresses and patterns may
//! stand for one value, and the last of them counts.

use crate::peer::Peer;
use crate::request::{Request, RequestBundle};
use crate::subscribe::recent::Recent;
use ipnet::IpNet;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Messages a second that one peer may send, where the station file sets no other rate.
pub const RATE: f64 = 2_000.0;
/// Most delayed values of one peer, most bytes of them, and most bytes of those of all peers.
const MOST_WAITING: usize = 4_096;
const MOST_BYTES: usize = 512 << 10;
const MOST_BYTES_OF_ALL: usize = 16 << 20;
/// Bytes that a delayed value takes beside its texts, about.
const EACH: usize = 128;
/// Most peers that are remembered. For a new one the least recently seen goes; its delayed values are passed on.
pub(crate) const MOST_PEERS: usize = 1_024;
/// Time between two errors to one peer about its rate.
const ERROR_INTERVAL: Duration = Duration::from_secs(1);

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

/// Which clients have access.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// The networks that are allowed; all where none is named.
    pub allow: Vec<Net>,
    /// The networks that may read and not change anything.
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
    /// Whether a client of this address needs no proof that it is there: one of this machine, one in `allow`, and without
    /// `allow` one of a private or link-local network.
    pub fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_near = match address {
            IpAddr::V4(address) => address.is_private() || address.is_link_local(),
            IpAddr::V6(address) => address.is_unique_local() || address.is_unicast_link_local(),
        };
        let is_allowed = if self.allow.is_empty() { is_near } else { self.allows(address) };
        address.is_loopback() || is_allowed
    }

    /// Whether a client of this address has access.
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|net| net.has(address))
    }
}

/// The access control of one surface.
pub struct Access {
    rules: Rules,
    peers: Recent<Peer, Client>,
    /// The delayed values of peers that are no longer remembered.
    left: Vec<RequestBundle>,
    /// The bytes of all delayed values.
    bytes: usize,
}

struct Client {
    tokens: f64,
    seen: Instant,
    last_error: Option<Instant>,
    waiting: Waiting,
}

/// Delayed values, in the order in which they were set.
#[derive(Default)]
struct Waiting {
    values: BTreeMap<u64, (String, Request)>,
    places: HashMap<String, u64>,
    next: u64,
    bytes: usize,
}

/// The bytes that a delayed value takes. Its address is kept twice.
fn cost(address: &str, request: &Request) -> usize {
    EACH + 2 * address.len() + request.text_bytes()
}

impl Waiting {
    /// Adds a value, in place of an older one of its address; false where it is none, or has no room in so many more bytes.
    fn enqueue(&mut self, request: Request, room: usize) -> bool {
        let Some(address) = request.sets().map(Cow::into_owned) else { return false };
        let before = self.places.get(&address).and_then(|place| self.values.get(place));
        let freed = before.map_or(0, |(address, request)| cost(address, request));
        let bytes = self.bytes - freed + cost(&address, &request);
        if bytes > MOST_BYTES.min(self.bytes + room)
            || (before.is_none() && self.values.len() >= MOST_WAITING)
        {
            return false;
        }
        if let Some(before) = self.places.insert(address.clone(), self.next) {
            self.values.remove(&before);
        }
        self.values.insert(self.next, (address, request));
        self.next += 1;
        self.bytes = bytes;
        true
    }

    fn pop_oldest(&mut self) -> Option<Request> {
        let (_, (address, request)) = self.values.pop_first()?;
        self.places.remove(&address);
        self.bytes -= cost(&address, &request);
        Some(request)
    }

    /// Removes at most so many, the oldest first.
    fn drain(&mut self, most: usize) -> Vec<Request> {
        std::iter::from_fn(|| self.pop_oldest()).take(most).collect()
    }

    fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

impl Access {
    /// No client yet, and these rules.
    pub fn new(rules: Rules) -> Self {
        Self { rules, peers: Recent::new(MOST_PEERS), left: Vec::new(), bytes: 0 }
    }

    /// Returns the requests that a peer is allowed now.
    pub fn admit(
        &mut self,
        mut bundle: RequestBundle,
        address: IpAddr,
        now: Instant,
    ) -> Option<RequestBundle> {
        if !self.rules.allows(address) {
            return None;
        }
        if self.rules.read_only.iter().any(|net| net.has(address)) {
            bundle.requests.iter_mut().for_each(refuse_changes);
        }
        let rate = self.rules.rate;
        let new = || Client { tokens: 2.0 * rate, seen: now, last_error: None, waiting: Waiting::default() };
        let (client, gone) = self.peers.use_or_insert(bundle.by, new);
        if let Some((by, mut gone)) = gone.filter(|(_, gone)| !gone.waiting.is_empty()) {
            // Its bytes are counted until it is passed on.
            self.left.push(RequestBundle { by, requests: gone.waiting.drain(usize::MAX), due: None });
        }
        client.refill(rate, now);
        let cost = bundle.requests.len() as f64;
        // Delayed values go first; the requests of a bundle are executed together or delayed together.
        if client.tokens >= cost && client.waiting.is_empty() {
            client.tokens -= cost;
            return Some(bundle);
        }
        let mut lost = 0;
        for request in bundle.requests.drain(..) {
            let before = client.waiting.bytes;
            let waits = client.waiting.enqueue(request, MOST_BYTES_OF_ALL.saturating_sub(self.bytes));
            self.bytes = self.bytes + client.waiting.bytes - before;
            lost += usize::from(!waits);
        }
        let may_report = client.last_error.is_none_or(|before| now >= before + ERROR_INTERVAL);
        if lost == 0 || !may_report {
            return None;
        }
        client.last_error = Some(now);
        let why = format!(
            "more than {rate} messages a second: of each address the newest value is delayed, everything else is dropped"
        );
        bundle.requests.push(Request::Wrong { address: "/".to_owned(), why });
        Some(bundle)
    }

    /// Removes the delayed values that the rate allows now, and returns them.
    pub fn drain_due(&mut self, now: Instant) -> Vec<RequestBundle> {
        let rate = self.rules.rate;
        let mut due = std::mem::take(&mut self.left);
        for (peer, client) in self.peers.iter_mut().filter(|(_, client)| !client.waiting.is_empty()) {
            client.refill(rate, now);
            let count = client.tokens as usize;
            if count == 0 {
                continue;
            }
            let requests = client.waiting.drain(count);
            client.tokens -= requests.len() as f64;
            due.push(RequestBundle { by: *peer, requests, due: None });
        }
        if !due.is_empty() {
            self.bytes = self.peers.iter_mut().map(|(_, client)| client.waiting.bytes).sum();
        }
        due
    }

    /// Whether a value is delayed.
    pub fn is_waiting(&self) -> bool {
        self.bytes > 0
    }
}

impl Client {
    fn refill(&mut self, rate: f64, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.tokens = (self.tokens + passed * rate).min(2.0 * rate);
        self.seen = self.seen.max(now);
    }
}

fn refuse_changes(request: &mut Request) {
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
        why: "this client is read-only (read_only in the station file)".to_owned(),
    };
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::request::{CompareRequest, SceneRequest};
    use crate::value::Value;
    use std::collections::HashSet;
    use std::net::Ipv4Addr;

    const HERE: Peer = Peer::Station;

    fn bundle(requests: Vec<Request>) -> RequestBundle {
        RequestBundle { by: HERE, requests, due: None }
    }

    fn set(value: f64) -> Request {
        Request::Set { address: "/node/a/b".to_owned(), value: Value::Number(value) }
    }

    #[test]
    fn networks_are_distinguished() {
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
    fn values_beyond_the_rate_are_delayed_and_the_last_one_arrives() {
        let mut access = Access::new(Rules { rate: 100.0, ..Rules::default() });
        let (start, here) = (Instant::now(), "127.0.0.1".parse().unwrap());
        let mut got = Vec::new();
        for n in 0..10_000 {
            let now = start + Duration::from_micros(100 * n);
            let through = access.admit(bundle(vec![set(n as f64)]), here, now);
            got.extend(through.into_iter().flat_map(|bundle| bundle.requests));
            got.extend(access.drain_due(now).into_iter().flat_map(|bundle| bundle.requests));
        }
        let late = access.drain_due(start + Duration::from_secs(2));
        got.extend(late.into_iter().flat_map(|bundle| bundle.requests));
        assert!((290..=310).contains(&got.len()), "{} in a second and a burst of two", got.len());
        assert_eq!(got.last(), Some(&set(9_999.0)));
        assert!(!access.is_waiting());
    }

    #[test]
    fn delayed_values_keep_their_order_for_addresses_may_mean_the_same_value() {
        let set = |address: &str, value: f64| Request::Set {
            address: address.to_owned(),
            value: Value::Number(value),
        };
        let mut access = Access::new(Rules { rate: 10.0, ..Rules::default() });
        let (start, here) = (Instant::now(), "127.0.0.1".parse().unwrap());
        let mut requests = vec![Request::Ping; 21];
        requests.push(set("/node/a/gain", 1.0));
        requests.extend((0..50).map(|node| set(&format!("/node/n{node}/gain"), 1.0)));
        requests.push(set("/node/*/gain", 2.0));
        requests.push(set("/norm/a/gain", 0.5));
        requests.push(set("/node/a/gain", 3.0));
        access.admit(bundle(requests), here, start);
        let mut got = Vec::new();
        for turn in 1..20 {
            let due = access.drain_due(start + Duration::from_secs(turn));
            got.extend(due.into_iter().flat_map(|bundle| bundle.requests));
        }
        let last = [set("/node/*/gain", 2.0), set("/norm/a/gain", 0.5), set("/node/a/gain", 3.0)];
        assert_eq!(got.len(), 53);
        assert_eq!(got[50..], last);
        assert!(!access.is_waiting());
    }

    #[test]
    fn of_a_switch_and_of_the_chain_the_last_one_arrives_as_well() {
        let mut access = Access::new(Rules { rate: 10.0, ..Rules::default() });
        let (start, here) = (Instant::now(), "127.0.0.1".parse().unwrap());
        let states = |on: bool, chain: &str| {
            let scene = SceneRequest::Recall { name: chain.to_owned(), morph: 0.0 };
            let compare = [CompareRequest::Select(on), CompareRequest::Match(on)].map(Request::Compare);
            let [side, matched] = compare;
            let bypass = [Request::Bypass(on), Request::BypassMatched(on)];
            [vec![Request::Swap(chain.to_owned()), side, matched, Request::Scene(scene)], bypass.to_vec()]
                .concat()
        };
        access.admit(bundle(vec![Request::Ping; 20]), here, start);
        for n in 0..100 {
            access.admit(bundle(states(n % 2 == 0, ["b", "a"][n % 2])), here, start);
        }
        // A message that acts, or steps a value, cannot be delayed: it is dropped, with an error to the client.
        let refused =
            access.admit(bundle(vec![Request::Nudge { address: String::new(), by: 0.1 }]), here, start);
        assert!(matches!(refused.unwrap().requests[..], [Request::Wrong { .. }]));
        let due = access.drain_due(start + Duration::from_secs(60));
        let mut got: Vec<_> = due.into_iter().flat_map(|bundle| bundle.requests).collect();
        let other_scene = Request::Scene(SceneRequest::Recall { name: "b".to_owned(), morph: 0.0 });
        got.retain(|request| *request != other_scene);
        assert_eq!(got, states(false, "a"));
        assert!(!access.is_waiting());
    }

    fn peer(number: usize) -> Peer {
        Peer::Osc((Ipv4Addr::from(number as u32), 9_000).into())
    }

    /// A peer that sends `Set` beyond its rate: the last one of them waits.
    fn busy(access: &mut Access, by: Peer, value: f64, now: Instant) {
        let requests = vec![Request::Ping; 20];
        access.admit(RequestBundle { by, requests, due: None }, Ipv4Addr::LOCALHOST.into(), now);
        let requests = vec![set(value)];
        access.admit(RequestBundle { by, requests, due: None }, Ipv4Addr::LOCALHOST.into(), now);
    }

    #[test]
    fn among_more_busy_peers_than_are_remembered_each_ones_last_value_arrives() {
        let mut access = Access::new(Rules { rate: 10.0, ..Rules::default() });
        let start = Instant::now();
        let many = MOST_PEERS + 500;
        for number in 0..many {
            busy(&mut access, peer(number), number as f64, start);
        }
        let mut arrived: Vec<Peer> = access.drain_due(start).iter().map(|bundle| bundle.by).collect();
        assert_eq!(arrived.len(), 500, "of those that are no longer remembered");
        assert!(access.is_waiting());
        arrived.extend(access.drain_due(start + Duration::from_secs(1)).iter().map(|bundle| bundle.by));
        let all: HashSet<Peer> = arrived.iter().copied().collect();
        assert_eq!((arrived.len(), all.len()), (many, many));
        assert!(!access.is_waiting());
    }

    #[test]
    fn what_waits_takes_bounded_memory_of_each_peer_and_of_all() {
        let mut access = Access::new(Rules { rate: 10.0, ..Rules::default() });
        let (start, here) = (Instant::now(), Ipv4Addr::LOCALHOST.into());
        let mut reported = 0;
        for number in 0..100 {
            let by = peer(number);
            busy(&mut access, by, 0.0, start);
            for long in 0..20 {
                let address = format!("/{long}/{}", "x".repeat(60_000));
                let requests = vec![Request::Set { address, value: Value::Number(1.0) }];
                let report = access.admit(RequestBundle { by, requests, due: None }, here, start);
                reported += report.map_or(0, |report| report.requests.len());
            }
            assert!(access.peers.get(&by).unwrap().waiting.bytes <= MOST_BYTES);
        }
        assert!(access.bytes <= MOST_BYTES_OF_ALL);
        assert_eq!(reported, 100, "each peer is told once");
        access.drain_due(start + Duration::from_secs(3_600));
        access.drain_due(start + Duration::from_secs(7_200));
        assert!(!access.is_waiting());
    }

    #[test]
    fn a_read_only_client_changes_nothing_and_one_without_access_is_ignored() {
        let net = |text| vec![Net::parse(text).unwrap()];
        let rules = Rules { allow: net("10.0.0.0/8"), read_only: net("10.1.0.0/16"), rate: RATE };
        let mut access = Access::new(rules);
        let mut at = |address: &str, request| {
            let through = access.admit(bundle(vec![request]), address.parse().unwrap(), Instant::now());
            through.map(|bundle| bundle.requests)
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
