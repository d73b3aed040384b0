//! OSC 1.0 over UDP: one socket for both directions; answers go to the address that a request came from.
//!
//! Source: M. Wright, *The Open Sound Control 1.0 Specification*, 2002.

use crate::address::router;
use crate::peer::Peer;
use crate::request::{Request, RequestBundle};
use crate::subscribe::SurfaceMessage;
use crate::subscribe::subscribers::{Batch, Outgoing, Subscribers};
use crate::update::Update;
use crate::value::Value;
use rosc::{OscBundle, OscError, OscMessage, OscPacket, OscTime, OscType, encoder};
use std::net::SocketAddr;
use std::time::{Instant, SystemTime};

/// Largest datagram that is sent, in bytes: it passes any network in one piece.
const DATAGRAM: usize = 1400;
/// Most nested bundles and arrays that are read: the decoder is recursive.
const MOST_NESTED: usize = 64;

const BAD_ADDRESS: &str = "not OSC: an address begins with \"/\"";
/// The decoder's error for a packet that begins with neither a `/` nor `#bundle`.
const NO_ADDRESS: &str = "Invalid message address or bundle tag";

/// 1970 in the seconds of OSC, which begin in 1900.
const UNIX_EPOCH: u32 = 2_208_988_800;

/// The requests of a packet from `by`, those that are due at one time in one bundle. Bytes that are not OSC become a
/// [`Request::Wrong`].
pub fn decode(datagram: &[u8], by: Peer) -> Vec<RequestBundle> {
    let wrong = |why: String| {
        vec![RequestBundle { by, requests: vec![Request::Wrong { address: "/".to_owned(), why }], due: None }]
    };
    let nested = datagram.windows(8).filter(|bytes| bytes == b"#bundle\0").count();
    let arrays = datagram.iter().filter(|byte| **byte == b'[').count();
    if nested.max(arrays) > MOST_NESTED {
        return wrong(format!("more than {MOST_NESTED} bundles or brackets in one datagram"));
    }
    match rosc::decoder::decode_udp(datagram) {
        Ok(([], packet)) => {
            let mut bundles = Vec::new();
            collect(packet, by, None, &mut bundles);
            bundles
        }
        // The first invalid packet of the bundle follows its size.
        Ok((rest, _))
            if datagram.first() == Some(&b'#') && rest.get(4).is_some_and(|sign| !b"/#".contains(sign)) =>
        {
            wrong(BAD_ADDRESS.to_owned())
        }
        Ok(_) => wrong("not OSC: bytes follow the packet".to_owned()),
        Err(OscError::BadPacket(NO_ADDRESS)) => wrong(BAD_ADDRESS.to_owned()),
        Err(error) => wrong(format!("not OSC: {error}")),
    }
}

fn collect(packet: OscPacket, by: Peer, due: Option<SystemTime>, bundles: &mut Vec<RequestBundle>) {
    match packet {
        OscPacket::Message(message) => match bundles.last_mut().filter(|last| last.due == due) {
            Some(last) => last.requests.push(request_for(message)),
            None => bundles.push(RequestBundle { by, requests: vec![request_for(message)], due }),
        },
        OscPacket::Bundle(OscBundle { timetag, content }) => {
            // "Immediately" is a time before 1970, which the system's time cannot hold. A bundle within another is never
            // due before it.
            let own = (timetag.seconds > UNIX_EPOCH).then(|| SystemTime::from(timetag));
            let due = due.max(own);
            content.into_iter().for_each(|packet| collect(packet, by, due, bundles));
        }
    }
}

fn request_for(message: OscMessage) -> Request {
    match message.args.iter().map(value).collect() {
        Some(values) => router::request_for(&message.addr, values),
        None => {
            Request::wrong(&message.addr, "takes numbers, switches and texts, not blobs, times or arrays")
        }
    }
}

fn value(arg: &OscType) -> Option<Value> {
    Some(match arg {
        OscType::Int(n) => Value::Number(f64::from(*n)),
        OscType::Long(n) => Value::Number(*n as f64),
        OscType::Float(n) => Value::Number(decimal(*n)),
        OscType::Double(n) => Value::Number(*n),
        OscType::Bool(on) => Value::Switch(*on),
        OscType::String(text) => Value::Text(text.clone()),
        _ => return None,
    })
}

/// The double with the decimal digits of a float: −0.1 stays −0.1, not −0.10000000149.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// A datagram, and where it is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Datagram {
    /// The address.
    pub to: SocketAddr,
    /// What is sent.
    pub bytes: Vec<u8>,
}

/// The sending half over UDP: the subscribers, and how updates become datagrams.
pub struct Outlet {
    subscribers: Subscribers,
    reply_port: Option<u16>,
}

impl Outlet {
    /// Nobody has subscribed yet. Answers go to `reply_port` of the client, or to the port that it sent from.
    pub fn new(reply_port: Option<u16>) -> Self {
        Self { subscribers: Subscribers::new(|peer| matches!(peer, Peer::Osc(_))), reply_port }
    }

    /// Acts on a message at the time `now`; returns what is to be sent.
    pub fn receive(&mut self, message: &SurfaceMessage, now: Instant) -> Vec<Datagram> {
        let outgoing = self.subscribers.receive(message, now);
        self.datagrams(outgoing)
    }

    /// Returns what is due by `now`.
    pub fn drain_due(&mut self, now: Instant) -> Vec<Datagram> {
        let outgoing = self.subscribers.drain_due(now);
        self.datagrams(outgoing)
    }

    /// When something is due next.
    pub fn next_due(&self) -> Option<Instant> {
        self.subscribers.next_due()
    }

    /// Nobody is at this address and port any more: who subscribed for it is removed. True if somebody was.
    pub fn remove_unreachable(&mut self, at: SocketAddr) -> bool {
        let canonical = |address: SocketAddr| (address.ip().to_canonical(), address.port());
        let reply_port = self.reply_port;
        self.subscribers.remove_where(|peer, port| {
            let Peer::Osc(address) = peer else { return false };
            canonical(receiver(address, port.or(reply_port))) == canonical(at)
        })
    }

    fn datagrams(&self, outgoing: Outgoing) -> Vec<Datagram> {
        let mut ready = Vec::new();
        for Batch { to, port, updates } in outgoing {
            let Peer::Osc(from) = to else { continue };
            let to = receiver(from, port.or(self.reply_port));
            ready.extend(datagrams(&updates).into_iter().map(|bytes| Datagram { to, bytes }));
        }
        ready
    }
}

/// Where a client receives that sends from an address: there, or at another port of it.
pub(super) fn receiver(mut from: SocketAddr, port: Option<u16>) -> SocketAddr {
    from.set_port(port.unwrap_or(from.port()));
    from
}

/// Updates as OSC datagrams: one alone is a message, several are bundles of at most a datagram each.
pub fn datagrams(lines: &[Update]) -> Vec<Vec<u8>> {
    let mut packed = Vec::new();
    let mut bundle = Vec::new();
    let mut size = 16;
    for line in lines {
        let message = OscPacket::Message(OscMessage {
            addr: line.address.clone(),
            args: line.values.iter().map(arg).collect(),
        });
        let length = encoder::encode(&message).map_or(0, |bytes| bytes.len() + 4);
        if size + length > DATAGRAM && !bundle.is_empty() {
            packed.push(pack(std::mem::take(&mut bundle)));
            size = 16;
        }
        size += length;
        bundle.push(message);
    }
    if !bundle.is_empty() {
        packed.push(pack(bundle));
    }
    packed.into_iter().flatten().collect()
}

fn pack(mut content: Vec<OscPacket>) -> Option<Vec<u8>> {
    /// "Immediately", as the specification writes it.
    const NOW: OscTime = OscTime { seconds: 0, fractional: 1 };
    let packet = match content.len() {
        1 => content.remove(0),
        _ => OscPacket::Bundle(OscBundle { timetag: NOW, content }),
    };
    encoder::encode(&packet).ok()
}

fn arg(value: &Value) -> OscType {
    match value {
        // Every client understands floats.
        Value::Number(number) => OscType::Float(*number as f32),
        Value::Switch(on) => OscType::Bool(*on),
        Value::Text(text) => OscType::String(text.replace('\0', " ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_error_for_a_packet_without_an_address_says_how_one_begins() {
        let line = |address: &str| Update::new(address, Vec::new());
        for lines in [vec![line("undo")], vec![line("/ping"), line("node/a/b")]] {
            let [packet] = &datagrams(&lines)[..] else { panic!("one datagram") };
            let bundles = decode(packet, Peer::Station);
            let [Request::Wrong { why, .. }] = &bundles[0].requests[..] else { panic!("{bundles:?}") };
            assert_eq!(why, "not OSC: an address begins with \"/\"");
        }
    }
}
