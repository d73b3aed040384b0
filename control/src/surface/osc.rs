//! OSC 1.0 over UDP: one socket for both directions; answers go to where the question came from.
//!
//! Source: M. Wright, *The Open Sound Control 1.0 Specification*, 2002.

use crate::intent::{Asked, Intent, Peer, Value};
use crate::notice::{Line, Notice, To};
use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType, encoder};
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant, SystemTime};

/// Seconds that a subscription lasts unless it is renewed.
pub const SUBSCRIPTION_SECONDS: u32 = 10;
/// Most subscribers at once.
const MOST_SUBSCRIBERS: usize = 64;
/// Largest datagram that is sent, in bytes: it passes any network in one piece.
const DATAGRAM: usize = 1400;
/// Most nested bundles and arrays that are read; a decoder must not be led down without end.
const MOST_NESTED: usize = 64;

/// 1970 in the seconds of OSC, which begin in 1900.
const UNIX_EPOCH: u32 = 2_208_988_800;

/// What a datagram from `from` asks for: all that is due at one time together. Arbitrary bytes are an [`Intent::Wrong`] at
/// worst.
pub fn decode(datagram: &[u8], from: SocketAddr) -> Vec<Asked> {
    let by = Peer::Osc(from);
    let wrong = |why: String| {
        vec![Asked { by, intents: vec![Intent::Wrong { address: "/".to_owned(), why }], due: None }]
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
        Ok(_) => wrong("not OSC: bytes are left over behind the packet".to_owned()),
        Err(error) => wrong(format!("not OSC: {error}")),
    }
}

fn collect(packet: OscPacket, by: Peer, due: Option<SystemTime>, asked: &mut Vec<Asked>) {
    match packet {
        OscPacket::Message(message) => match asked.last_mut().filter(|last| last.due == due) {
            Some(last) => last.intents.push(intent(message)),
            None => asked.push(Asked { by, intents: vec![intent(message)], due }),
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

fn intent(message: OscMessage) -> Intent {
    let address = message.addr;
    let mut values = Vec::new();
    for arg in &message.args {
        match value(arg) {
            Some(value) => values.push(value),
            None => return wrong(&address, "takes numbers, switches and texts, not blobs, times or arrays"),
        }
    }
    if address.starts_with("/node/") || address.starts_with("/norm/") {
        return match values.len() {
            0 => Intent::Get { address },
            1 => Intent::Set { address, value: values.remove(0) },
            _ => wrong(&address, "takes one value, or none to ask for it"),
        };
    }
    match (address.as_str(), values.as_slice()) {
        ("/swap", []) => Intent::Running,
        ("/swap", [Value::Text(name)]) => Intent::Swap(name.clone()),
        ("/swap", _) => wrong(&address, "takes the name of a chain, or nothing to ask for it"),
        ("/chains", []) => Intent::Chains,
        ("/bypass", []) => Intent::Bypassed,
        ("/bypass", [value]) => match switch(value) {
            Some(on) => Intent::Bypass(on),
            None => wrong(&address, "takes true or false, or nothing to ask for it"),
        },
        ("/subscribe", []) => Intent::Subscribe { seconds: SUBSCRIPTION_SECONDS },
        ("/subscribe", [Value::Number(seconds)]) if (1.0..=86_400.0).contains(seconds) => {
            Intent::Subscribe { seconds: *seconds as u32 }
        }
        ("/subscribe", _) => wrong(&address, "takes a number of seconds, 1 to 86400, or nothing for 10"),
        ("/unsubscribe", []) => Intent::Unsubscribe,
        ("/ping", _) => Intent::Ping,
        ("/status", []) => Intent::Status,
        ("/reload", []) => Intent::Reload { reset: false },
        ("/reload", [value]) => match switch(value) {
            Some(reset) => Intent::Reload { reset },
            None => wrong(&address, "takes true to take all values from the files, or nothing"),
        },
        ("/chains" | "/unsubscribe" | "/status", _) => wrong(&address, "takes no values"),
        _ => wrong(
            &address,
            "no such address; there are /node/ID/PARAMETER, /norm/..., /swap, /chains, /bypass, /status, \
             /reload, /subscribe, /unsubscribe, /ping",
        ),
    }
}

fn wrong(address: &str, why: &str) -> Intent {
    Intent::Wrong { address: address.to_owned(), why: why.to_owned() }
}

fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Switch(on) => Some(*on),
        Value::Number(number) => Some(*number >= 0.5),
        Value::Text(_) => None,
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
    subscribers: Vec<(SocketAddr, Instant)>,
}

impl Outlet {
    /// The outlet of a bound socket.
    pub fn new(socket: UdpSocket) -> Self {
        Self { socket, subscribers: Vec::new() }
    }

    /// Acts on a notice at the time `now`. What the network refuses is lost, as datagrams are.
    pub fn take(&mut self, notice: Notice, now: Instant) {
        self.subscribers.retain(|(_, until)| *until > now);
        match notice {
            Notice::Tell { to, lines } => self.tell(to, &lines),
            Notice::Subscribe { peer: Peer::Osc(peer), seconds } => {
                let until = now + Duration::from_secs(u64::from(seconds));
                let has_room = self.subscribers.len() < MOST_SUBSCRIBERS;
                match self.subscribers.iter_mut().find(|(known, _)| *known == peer) {
                    Some((_, lapse)) => *lapse = until,
                    None if has_room => self.subscribers.push((peer, until)),
                    None => {
                        let why = format!("{MOST_SUBSCRIBERS} clients have subscribed already");
                        self.tell(To::One(Peer::Osc(peer)), &[Line::words("/error", &["/subscribe", &why])]);
                    }
                }
            }
            Notice::Unsubscribe { peer: Peer::Osc(peer) } => {
                self.subscribers.retain(|(known, _)| *known != peer);
            }
            Notice::Subscribe { .. } | Notice::Unsubscribe { .. } | Notice::Learn { .. } | Notice::End => {}
        }
    }

    fn tell(&self, to: To, lines: &[Line]) {
        let all = self.subscribers.iter().map(|(peer, _)| *peer);
        let peers: Vec<SocketAddr> = match to {
            To::One(Peer::Osc(peer)) => vec![peer],
            To::One(_) => Vec::new(),
            To::All => all.collect(),
            To::Others(by) => all.filter(|peer| Peer::Osc(*peer) != by).collect(),
        };
        if peers.is_empty() {
            return;
        }
        for datagram in datagrams(lines) {
            for peer in &peers {
                // A client that is gone shows as an error of some later call: it lapses by itself.
                self.socket.send_to(&datagram, peer).ok();
            }
        }
    }
}

/// Lines as OSC datagrams: one alone is a message, several are bundles that keep within a datagram.
pub fn datagrams(lines: &[Line]) -> Vec<Vec<u8>> {
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
    let socket = UdpSocket::bind(address)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    Ok(socket)
}
