//! The client side of OSC: how `lacquer ctl` talks to a running daemon.

use crate::address::commands::known;
use crate::surface::osc::datagrams;
use crate::update::Update;
use crate::value::Value;
use rosc::{OscMessage, OscPacket, OscType};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

const PING: &str = known("/ping");
const TOKEN: &str = known("/token");

/// A connection to a running daemon.
pub struct Client {
    socket: UdpSocket,
}

impl Client {
    /// Opens a socket towards the daemon that listens at `daemon`.
    pub fn connect(daemon: SocketAddr) -> io::Result<Self> {
        let local: SocketAddr = match daemon {
            SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(local)?;
        socket.connect(daemon)?;
        Ok(Self { socket })
    }

    /// Sends messages, together if they fit into one datagram.
    pub fn send(&self, lines: &[Update]) -> io::Result<()> {
        datagrams(lines).iter().try_for_each(|datagram| self.socket.send(datagram).map(drop))
    }

    /// Proves to a daemon that may be far where this client is: asks for a token and returns it. A daemon that needs no
    /// proof sends none.
    ///
    /// # Errors
    /// The system cannot send or receive.
    pub fn prove(&self, deadline: Instant) -> io::Result<()> {
        self.send(&[Update::new(TOKEN, Vec::new())])?;
        self.send(&[Update::new(PING, Vec::new())])?;
        while let Some(lines) = self.receive(deadline)? {
            for line in lines {
                match line.address.as_str() {
                    TOKEN => self.send(&[line])?,
                    "/pong" => return Ok(()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Receives the messages of the next datagram; `None` if there is none until `deadline`.
    pub fn receive(&self, deadline: Instant) -> io::Result<Option<Vec<Update>>> {
        let mut bytes = vec![0; 65_536];
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(None);
            }
            self.socket.set_read_timeout(Some(left.max(Duration::from_millis(1))))?;
            match self.socket.recv(&mut bytes) {
                Ok(length) => {
                    let mut lines = Vec::new();
                    if let Ok((_, packet)) = rosc::decoder::decode_udp(&bytes[..length]) {
                        collect(packet, &mut lines);
                    }
                    return Ok(Some(lines));
                }
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                }
                Err(error) => return Err(error),
            }
        }
    }
}

impl AsFd for Client {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn collect(packet: OscPacket, lines: &mut Vec<Update>) {
    match packet {
        OscPacket::Message(OscMessage { addr, args }) => {
            lines.push(Update::new(addr, args.iter().map(value).collect()))
        }
        OscPacket::Bundle(bundle) => bundle.content.into_iter().for_each(|packet| collect(packet, lines)),
    }
}

fn value(arg: &OscType) -> Value {
    match arg {
        OscType::Int(n) => Value::Number(f64::from(*n)),
        OscType::Float(n) => Value::Number(n.to_string().parse().unwrap_or(f64::from(*n))),
        OscType::Double(n) => Value::Number(*n),
        OscType::Bool(on) => Value::Switch(*on),
        OscType::String(text) => Value::Text(text.clone()),
        other => Value::Text(format!("{other:?}")),
    }
}

/// Reads a value of a command line: a number, true or false, or a text.
pub fn parse_value(text: &str) -> Value {
    match (text, text.parse::<f64>()) {
        ("true", _) => Value::Switch(true),
        ("false", _) => Value::Switch(false),
        (_, Ok(number)) => Value::Number(number),
        _ => Value::Text(text.to_owned()),
    }
}

/// A message as it is printed: the address, then its values.
pub fn format_update(line: &Update) -> String {
    let mut text = line.address.clone();
    for value in &line.values {
        text += " ";
        text += &match value {
            Value::Number(number) => number.to_string(),
            Value::Switch(on) => on.to_string(),
            Value::Text(text) => text.clone(),
        };
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::peer::Peer;
    use crate::request::Request;
    use crate::surface::osc::decode;

    #[test]
    fn a_client_returns_the_token_that_it_is_sent() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let limit = Duration::from_secs(60);
        daemon.set_read_timeout(Some(limit)).unwrap();
        let client = Client::connect(daemon.local_addr().unwrap()).unwrap();
        let proving = std::thread::spawn(move || client.prove(Instant::now() + limit));
        let next = || {
            let mut bytes = [0; 1_000];
            let (length, from) = daemon.recv_from(&mut bytes).unwrap();
            (decode(&bytes[..length], Peer::Station).remove(0).requests.remove(0), from)
        };
        let (request, from) = next();
        assert_eq!(request, Request::Token(String::new()));
        assert_eq!(next().0, Request::Ping);
        for line in [Update::words(TOKEN, &["9001-0123"]), Update::new("/pong", vec![])] {
            daemon.send_to(&datagrams(&[line])[0], from).unwrap();
        }
        assert_eq!(next().0, Request::Token("9001-0123".to_owned()));
        proving.join().unwrap().unwrap();
    }
}
