//! Proof that a UDP client is where its messages say it is.
//!
//! The sender of a datagram can be forged, and what is sent to a forged one hits somebody else. So a client that is not
//! near ([`Rules::trusts`]) is sent at most three times the bytes that came from its address, until it returns a token
//! that was sent to it. So is the other port at which it wants to receive. A token has no memory here: it is a keyed
//! hash of address and port.

use crate::address::commands::known;
use crate::peer::Peer;
use crate::request::{Request, RequestBundle};
use crate::subscribe::access::{MOST_PEERS, Rules};
use crate::subscribe::recent::Recent;
use crate::surface::osc::{Datagram, datagrams, receiver};
use crate::update::Update;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

/// Bytes that are sent to an address without proof for each byte that came from it.
pub(crate) const AMPLIFICATION: usize = 3;
/// Most bytes that an address without proof has left to be sent.
const MOST_CREDIT: usize = 16_384;
/// Most ports that are proven.
const MOST_PROVEN: usize = 256;
/// How long a proof holds, and how long before its end a new token is sent.
const PROOF: Duration = Duration::from_secs(600);
const RENEWAL: Duration = Duration::from_secs(300);
/// Least time between two tokens to one port.
const BETWEEN_TOKENS: Duration = Duration::from_secs(1);

const TOKEN: &str = known("/token");

/// An address and a port of it. An IPv4 address that came over an IPv6 socket is the IPv4 address.
type Place = (IpAddr, u16);

fn place(address: SocketAddr) -> Place {
    (address.ip().to_canonical(), address.port())
}

/// Which clients have proven where they are.
pub struct Proofs {
    rules: Rules,
    reply_port: Option<u16>,
    key: RandomState,
    /// Bytes that each address may still be sent without proof.
    credit: Recent<IpAddr, usize>,
    /// Until when each proof holds.
    proven: Recent<Place, Instant>,
    asked: Recent<Place, Asked>,
    /// Clients that were refused, and told so.
    refused: Recent<Place, bool>,
}

/// A port that a token was sent to.
#[derive(Default)]
struct Asked {
    last: Option<Instant>,
    /// The subscription that begins with the proof.
    held: Option<RequestBundle>,
}

impl Proofs {
    /// No proof yet. Answers go to `reply_port` of each client, if it is set.
    pub fn new(rules: Rules, reply_port: Option<u16>) -> Self {
        Self {
            rules,
            reply_port,
            key: RandomState::new(),
            credit: Recent::new(MOST_PEERS),
            proven: Recent::new(MOST_PROVEN),
            asked: Recent::new(MOST_PEERS),
            refused: Recent::new(MOST_PEERS),
        }
    }

    /// Counts a datagram that came from an address. True if the address has access; else `refusal` has the one answer.
    pub fn receive(&mut self, from: SocketAddr, bytes: usize) -> bool {
        let ip = from.ip().to_canonical();
        if !self.rules.trusts(ip) {
            let (credit, _) = self.credit.use_or_insert(ip, || 0);
            *credit = credit.saturating_add(AMPLIFICATION * bytes).min(MOST_CREDIT);
        }
        self.rules.allows(ip)
    }

    /// The one error for a client that has no access; nothing once it was sent.
    pub fn refusal(&mut self, from: SocketAddr) -> Option<Datagram> {
        let to = receiver(from, self.reply_port);
        let error = Update::words("/error", &["/", "this address is not in \"allow\""]);
        let bytes = datagrams(&[error]).pop()?;
        let is_told = *self.refused.use_or_insert(place(from), || false).0;
        if is_told || !self.spend(to.ip(), bytes.len()) {
            return None;
        }
        *self.refused.use_or_insert(place(from), || true).0 = true;
        Some(Datagram { to, bytes })
    }

    /// What of a client's requests is executed now, and what the client is sent for the rest: a subscription waits for the
    /// proof, so no forged one takes a place.
    pub fn admit(&mut self, bundle: RequestBundle, now: Instant) -> (Vec<RequestBundle>, Vec<Datagram>) {
        let Peer::Osc(from) = bundle.by else { return (vec![bundle], Vec::new()) };
        if self.rules.trusts(from.ip()) {
            return (vec![bundle], Vec::new());
        }
        let RequestBundle { by, requests, due } = bundle;
        let (mut admitted, mut to_send, mut left) = (Vec::new(), Vec::new(), Vec::new());
        for request in requests {
            match request {
                Request::Token(token) if token.is_empty() => {
                    to_send.extend(self.token_for(receiver(from, self.reply_port), now));
                }
                Request::Token(token) => match self.prove(from.ip(), &token, now) {
                    Ok(held) => admitted.extend(held),
                    Err(why) => left.push(Request::wrong(TOKEN, why)),
                },
                Request::Subscribe(options) => {
                    let to = receiver(from, options.port.or(self.reply_port));
                    if self.is_proven(to, now) {
                        left.push(Request::Subscribe(options));
                        continue;
                    }
                    let held = RequestBundle { by, requests: vec![Request::Subscribe(options)], due };
                    self.asked.use_or_insert(place(to), Asked::default).0.held = Some(held);
                    to_send.extend(self.token_for(to, now));
                }
                other => left.push(other),
            }
        }
        if !left.is_empty() {
            admitted.push(RequestBundle { by, requests: left, due });
        }
        (admitted, to_send)
    }

    /// What is sent instead of a datagram: the same, unless it is too much for a client without proof; and a token, where
    /// the client needs one.
    pub fn screen(&mut self, datagram: Datagram, now: Instant) -> Vec<Datagram> {
        let to = datagram.to;
        if self.rules.trusts(to.ip()) {
            return vec![datagram];
        }
        let proof = self.proven.get(&place(to)).copied().filter(|until| now < *until);
        if let Some(until) = proof {
            let token = if now + RENEWAL >= until { self.token_for(to, now) } else { None };
            return [datagram].into_iter().chain(token).collect();
        }
        match self.spend(to.ip(), datagram.bytes.len()) {
            true => vec![datagram],
            false => self.token_for(to, now).into_iter().collect(),
        }
    }

    /// Nobody is at this port any more.
    pub fn forget(&mut self, at: SocketAddr) {
        self.proven.remove(&place(at));
        self.asked.remove(&place(at));
    }

    fn is_proven(&self, at: SocketAddr, now: Instant) -> bool {
        self.rules.trusts(at.ip()) || self.proven.get(&place(at)).is_some_and(|until| now < *until)
    }

    /// Takes bytes from what an address may be sent. False where it is too little.
    fn spend(&mut self, ip: IpAddr, bytes: usize) -> bool {
        let ip = ip.to_canonical();
        if self.rules.trusts(ip) {
            return true;
        }
        let (credit, _) = self.credit.use_or_insert(ip, || 0);
        match credit.checked_sub(bytes) {
            Some(left) => *credit = left,
            None => return false,
        }
        true
    }

    /// The token for a port, unless one was just sent or it is too much.
    fn token_for(&mut self, to: SocketAddr, now: Instant) -> Option<Datagram> {
        let bytes = datagrams(&[Update::words(TOKEN, &[&self.token(place(to))])]).pop()?;
        let asked = self.asked.get(&place(to)).and_then(|asked| asked.last);
        if asked.is_some_and(|last| now < last + BETWEEN_TOKENS) {
            return None;
        }
        if !self.is_proven(to, now) && !self.spend(to.ip(), bytes.len()) {
            return None;
        }
        self.asked.use_or_insert(place(to), Asked::default).0.last = Some(now);
        Some(Datagram { to, bytes })
    }

    fn token(&self, place: Place) -> String {
        format!("{}-{:016x}", place.1, self.key.hash_one(place))
    }

    /// A client of this address returns a token: returns the subscription that waited for it.
    fn prove(
        &mut self,
        ip: IpAddr,
        token: &str,
        now: Instant,
    ) -> Result<Option<RequestBundle>, &'static str> {
        let port = token.split('-').next().and_then(|port| port.parse().ok());
        let proven = port.map(|port| (ip.to_canonical(), port)).filter(|place| self.token(*place) == token);
        let place = proven.ok_or("is not the token that was sent to this client")?;
        *self.proven.use_or_insert(place, || now).0 = now + PROOF;
        Ok(self.asked.remove(&place).and_then(|asked| asked.held))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::request::Subscription;
    use crate::subscribe::access::Net;
    use crate::surface::osc::decode;
    use crate::value::Value;

    const FAR: &str = "203.0.113.7:5000";

    fn address(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn large(to: SocketAddr) -> Datagram {
        Datagram { to, bytes: vec![0; 1_400] }
    }

    /// A client asks, as the receiving thread does it: what is executed, and what it is sent.
    fn ask(
        proofs: &mut Proofs,
        from: SocketAddr,
        packet: &[u8],
        now: Instant,
    ) -> (Vec<RequestBundle>, Vec<Datagram>) {
        assert!(proofs.receive(from, packet.len()));
        let (mut admitted, mut sent) = (Vec::new(), Vec::new());
        for bundle in decode(packet, Peer::Osc(from)) {
            let (some, answers) = proofs.admit(bundle, now);
            admitted.extend(some);
            sent.extend(answers);
        }
        (admitted, sent)
    }

    fn packet(address: &str, words: &[&str]) -> Vec<u8> {
        datagrams(&[Update::words(address, words)]).remove(0)
    }

    /// The token in a datagram.
    fn token(datagram: &Datagram) -> String {
        let requests = decode(&datagram.bytes, Peer::Station).remove(0).requests;
        let [Request::Token(token)] = &requests[..] else { panic!("{requests:?}") };
        token.clone()
    }

    #[test]
    fn without_a_token_three_times_the_bytes_and_no_more() {
        let (mut proofs, now, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
        let mut came = 0;
        let mut sent = 0;
        for round in 0..200 {
            let request = if round % 3 == 0 { packet("/subscribe", &[]) } else { packet("/status", &[]) };
            came += request.len();
            let (_, answers) = ask(&mut proofs, far, &request, now + Duration::from_secs(round));
            sent += answers.iter().map(|answer| answer.bytes.len()).sum::<usize>();
            for size in [1_400, 40, 12, 600] {
                let datagram = Datagram { to: far, bytes: vec![0; size] };
                let passed = proofs.screen(datagram, now + Duration::from_secs(round));
                sent += passed.iter().map(|answer| answer.bytes.len()).sum::<usize>();
            }
            assert!(sent <= 3 * came, "{sent} bytes for {came}");
        }
        assert!(sent > came, "what is little is answered");
    }

    #[test]
    fn a_subscription_waits_for_the_token_and_then_everything_is_sent() {
        let (mut proofs, now, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
        let (admitted, sent) = ask(&mut proofs, far, &packet("/subscribe", &[]), now);
        assert_eq!(admitted, [], "a forged subscription takes no place");
        let [question] = &sent[..] else { panic!("one token, in what the shortest request allows") };
        assert_eq!(question.to, far);
        let (other, _) =
            ask(&mut proofs, address("203.0.113.8:5000"), &packet("/token", &[&token(question)]), now);
        assert!(matches!(other[0].requests[..], [Request::Wrong { .. }]), "from elsewhere it proves nothing");
        assert_eq!(proofs.screen(large(far), now), []);
        let (admitted, _) = ask(&mut proofs, far, &packet("/token", &[&token(question)]), now);
        let subscribe = vec![Request::Subscribe(Subscription::default())];
        assert_eq!(admitted, [RequestBundle { by: Peer::Osc(far), requests: subscribe.clone(), due: None }]);
        for _ in 0..100 {
            assert_eq!(proofs.screen(large(far), now), [large(far)]);
        }
        let (admitted, sent) = ask(&mut proofs, far, &packet("/subscribe", &[]), now);
        assert_eq!((&admitted[0].requests, sent), (&subscribe, vec![]), "renewed without another token");
    }

    #[test]
    fn a_proof_is_renewed_before_it_ends_and_ends_without() {
        let (mut proofs, start, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
        let (_, sent) = ask(&mut proofs, far, &packet("/subscribe", &[]), start);
        ask(&mut proofs, far, &packet("/token", &[&token(&sent[0])]), start);
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(proofs.screen(large(far), at(299)).len(), 1);
        let passed = proofs.screen(large(far), at(301));
        assert_eq!(passed[0], large(far));
        ask(&mut proofs, far, &packet("/token", &[&token(&passed[1])]), at(301));
        assert_eq!(proofs.screen(large(far), at(600)), [large(far)], "renewed");
        assert!(!proofs.screen(large(far), at(902)).contains(&large(far)), "not renewed");
        ask(&mut proofs, far, &packet("/token", &[&token(&passed[1])]), at(902));
        proofs.forget(far);
        assert!(!proofs.screen(large(far), at(903)).contains(&large(far)), "nobody is there");
    }

    #[test]
    fn another_port_needs_a_token_of_its_own_which_is_returned_from_either() {
        for from in [FAR, "203.0.113.7:9001"] {
            let (mut proofs, now, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
            let (_, sent) = ask(&mut proofs, far, &packet("/subscribe", &[]), now);
            ask(&mut proofs, far, &packet("/token", &[&token(&sent[0])]), now);
            let other = address("203.0.113.7:9001");
            let (admitted, sent) = ask(&mut proofs, far, &packet("/subscribe", &["port 9001"]), now);
            assert_eq!(admitted, []);
            assert_eq!(sent[0].to, other);
            assert!(!proofs.screen(large(other), now).contains(&large(other)));
            let (admitted, _) = ask(&mut proofs, address(from), &packet("/token", &[&token(&sent[0])]), now);
            let options = Subscription { port: Some(9_001), ..Subscription::default() };
            assert_eq!(admitted[0].requests, [Request::Subscribe(options)]);
            assert_eq!(proofs.screen(large(other), now), [large(other)]);
        }
    }

    #[test]
    fn who_is_near_or_allowed_needs_no_proof() {
        let allow = |nets: &[&str]| Rules {
            allow: nets.iter().map(|net| Net::parse(net).unwrap()).collect(),
            ..Rules::default()
        };
        let near = [
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "::ffff:127.0.0.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.7.7",
            "169.254.1.1",
            "fe80::1",
            "fd12::1",
            "::ffff:192.168.7.7",
        ];
        for ip in near {
            assert!(Rules::default().trusts(ip.parse().unwrap()), "{ip}");
        }
        for ip in ["203.0.113.7", "8.8.8.8", "172.32.0.1", "2001:db8::1", "::ffff:8.8.8.8"] {
            assert!(!Rules::default().trusts(ip.parse().unwrap()), "{ip}");
        }
        let rules = allow(&["203.0.113.0/24"]);
        for (ip, is_trusted) in
            [("127.0.0.1", true), ("203.0.113.7", true), ("192.168.7.7", false), ("8.8.8.8", false)]
        {
            assert_eq!(rules.trusts(ip.parse().unwrap()), is_trusted, "{ip}");
        }
        let (mut proofs, now, near) = (Proofs::new(rules, None), Instant::now(), address(FAR));
        let (admitted, sent) = ask(&mut proofs, near, &packet("/subscribe", &["port 9001"]), now);
        assert_eq!((admitted.len(), sent), (1, vec![]));
        assert_eq!(proofs.screen(large(near), now), [large(near)]);
    }

    #[test]
    fn a_refused_client_gets_one_error_and_nothing_else() {
        let rules = Rules { allow: vec![Net::parse("10.0.0.0/8").unwrap()], ..Rules::default() };
        let mut proofs = Proofs::new(rules, None);
        for (from, needed) in [("127.0.0.1:5000", 12), (FAR, 16)] {
            let from = address(from);
            let mut refusals = Vec::new();
            for _ in 0..100 {
                assert!(!proofs.receive(from, needed));
                refusals.extend(proofs.refusal(from));
            }
            let [refusal] = &refusals[..] else { panic!("{} refusals", refusals.len()) };
            assert_eq!(refusal.to, from);
            assert!(refusal.bytes.len() <= 3 * 16);
            assert!(refusal.bytes.starts_with(b"/error\0\0,ss\0/\0\0\0this address is not in"));
        }
        // Of a very short datagram, the error would be more than three times as much.
        let short = address("203.0.113.9:5000");
        proofs.receive(short, 12);
        assert_eq!(proofs.refusal(short), None);
        proofs.receive(short, 12);
        assert!(proofs.refusal(short).is_some());
    }

    #[test]
    fn a_client_may_ask_for_its_token() {
        let (mut proofs, now, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
        let (admitted, sent) = ask(&mut proofs, far, &packet("/token", &[]), now);
        assert_eq!(admitted, []);
        ask(&mut proofs, far, &packet("/token", &[&token(&sent[0])]), now);
        assert_eq!(proofs.screen(large(far), now), [large(far)]);
    }

    #[test]
    fn a_value_is_set_without_a_proof() {
        let (mut proofs, now, far) = (Proofs::new(Rules::default(), None), Instant::now(), address(FAR));
        let line = Update::number("/node/level/gain", -3.0);
        let (admitted, sent) = ask(&mut proofs, far, &datagrams(&[line])[0], now);
        let set = Request::Set { address: "/node/level/gain".to_owned(), value: Value::Number(-3.0) };
        assert_eq!((&admitted[0].requests[..], sent), (&[set][..], vec![]));
    }
}
