//! OSC 1.0 over UDP: one socket for both directions; answers go to where the question came from.
//!
//! Source: M. Wright, *The Open Sound Control 1.0 Specification*, 2002.

use crate::address::router;
use crate::peer::Peer;
use crate::request::{Request, RequestBundle};
use crate::subscribe::SurfaceMessage;
use crate::subscribe::subscribers::{Post, Subscribers};
use crate::update::Update;
use crate::value::Value;
use rosc::{OscBundle, OscError, OscMessage, OscPacket, OscTime, OscType, encoder};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Instant, SystemTime};

/// Largest datagram that is sent, in bytes: it passes any network in one piece.
const DATAGRAM: usize = 1400;
/// Most nested bundles and arrays that are read; a decoder must not be led down without end.
const MOST_NESTED: usize = 64;

const BAD_ADDRESS: &str = "not OSC: an address begins with \"/\"";
/// How the decoder says that a packet begins with neither a `/` nor `#bundle`.
const NO_ADDRESS: &str = "Invalid message address or bundle tag";

/// 1970 in the seconds of OSC, which begin in 1900.
const UNIX_EPOCH: u32 = 2_208_988_800;

/// What a packet from `by` asks for: all that is due at one time together. Arbitrary bytes are an [`Request::Wrong`] at
/// worst.
pub fn decode(datagram: &[u8], by: Peer) -> Vec<RequestBundle> {
    let wrong = |why: String| {
        vec![RequestBundle { by, requests: vec![Request::Wrong { address: "/".to_owned(), why }], due: None }]
    };
    let bundles = datagram.windows(8).filter(|bytes| bytes == b"#bundle\0").count();
    let arrays = datagram.iter().filter(|byte| **byte == b'[').count();
    if bundles.max(arrays) > MOST_NESTED {
        return wrong(format!("more than {MOST_NESTED} bundles or brackets in one datagram"));
    }
    match rosc::decoder::decode_udp(datagram) {
        Ok(([], packet)) => {
            let mut asked = Vec::new();
            collect(packet, by, None, &mut asked);
            asked
        }
        // The first packet of the bundle that is none stands behind its size.
        Ok((rest, _))
            if datagram.first() == Some(&b'#') && rest.get(4).is_some_and(|sign| !b"/#".contains(sign)) =>
        {
            wrong(BAD_ADDRESS.to_owned())
        }
        Ok(_) => wrong("not OSC: bytes are left over behind the packet".to_owned()),
        Err(OscError::BadPacket(NO_ADDRESS)) => wrong(BAD_ADDRESS.to_owned()),
        Err(error) => wrong(format!("not OSC: {error}")),
    }
}

fn collect(packet: OscPacket, by: Peer, due: Option<SystemTime>, asked: &mut Vec<RequestBundle>) {
    match packet {
        OscPacket::Message(message) => match asked.last_mut().filter(|last| last.due == due) {
            Some(last) => last.requests.push(request_for(message)),
            None => asked.push(RequestBundle { by, requests: vec![request_for(message)], due }),
        },
        OscPacket::Bundle(OscBundle { timetag, content }) => {
            // "Immediately" is written as a time long ago, and what is long ago has no place in the system's time. A
            // bundle within another is never due before it.
            let own = (timetag.seconds > UNIX_EPOCH).then(|| SystemTime::from(timetag));
            let due = due.max(own);
            content.into_iter().for_each(|packet| collect(packet, by, due, asked));
        }
    }
}

fn request_for(message: OscMessage) -> Request {
    match message.args.iter().map(value).collect() {
        Some(values) => router::request_for(&message.addr, values),
        None => router::wrong(&message.addr, "takes numbers, switches and texts, not blobs, times or arrays"),
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

/// The double that a person meant by a float: −0.1 stays −0.1, not −0.10000000149.
fn decimal(value: f32) -> f64 {
    value.to_string().parse().unwrap_or(f64::from(value))
}

/// The way out: who has subscribed, and how lines become datagrams. It belongs to one thread.
pub struct Outlet {
    socket: UdpSocket,
    audience: Subscribers,
    reply_port: Option<u16>,
}

impl Outlet {
    /// The outlet of a bound socket. Answers go to `reply_port` of who asked, or to where the question came from.
    pub fn new(socket: UdpSocket, reply_port: Option<u16>) -> Self {
        Self { socket, audience: Subscribers::new(|peer| matches!(peer, Peer::Osc(_))), reply_port }
    }

    /// Acts on a notice at the time `now`.
    pub fn take(&mut self, notice: SurfaceMessage, now: Instant) {
        let post = self.audience.take(notice, now);
        self.send(post);
    }

    /// Tells what is due by `now`; gives when something is due next.
    pub fn tick(&mut self, now: Instant) -> Option<Instant> {
        let post = self.audience.due(now);
        self.send(post);
        self.audience.next()
    }

    fn send(&self, post: Post) {
        for (peer, lines) in post {
            let Peer::Osc(mut to) = peer else { continue };
            if let Some(port) = self.audience.port(peer).or(self.reply_port) {
                to.set_port(port);
            }
            for datagram in datagrams(&lines) {
                // What the network refuses is lost, as datagrams are; a client that is gone lapses by itself.
                self.socket.send_to(&datagram, to).ok();
            }
        }
    }
}

/// Lines as OSC datagrams: one alone is a message, several are bundles that keep within a datagram.
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
        // Floats are what every client understands.
        Value::Number(number) => OscType::Float(*number as f32),
        Value::Switch(on) => OscType::Bool(*on),
        Value::Text(text) => OscType::String(text.replace('\0', " ")),
    }
}

/// Binds the socket that both directions share.
pub fn bind(address: SocketAddr) -> io::Result<UdpSocket> {
    UdpSocket::bind(address)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn a_packet_without_an_address_is_told_what_one_begins_with() {
        let line = |address: &str| Update::new(address, Vec::new());
        for lines in [vec![line("undo")], vec![line("/ping"), line("node/a/b")]] {
            let [packet] = &datagrams(&lines)[..] else { panic!("one datagram") };
            let asked = decode(packet, Peer::Station);
            let [Request::Wrong { why, .. }] = &asked[0].requests[..] else { panic!("{asked:?}") };
            assert_eq!(why, "not OSC: an address begins with \"/\"");
        }
    }
}
