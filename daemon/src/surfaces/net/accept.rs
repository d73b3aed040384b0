//! Which clients may connect over TCP: checked at accept, before anything is read. A client that may not is sent one error.
//! No client can keep others out, and the limits leave enough open files for audio, state and everything else.

use crate::process::client_log::log_of;
use crate::process::os_error::plain;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::access::Rules;
use rustix::net::sockopt;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{info, warn};

/// A client that reads nothing of what it is sent for this long is disconnected.
pub(super) const STALLED: Duration = Duration::from_secs(10);
/// Bytes that the system buffers for one client.
const UNSENT: usize = 128 << 10;
/// Pause after the system has refused a new connection.
const BACK_OFF: Duration = Duration::from_millis(250);

/// How long a refused client is listened to, and how many of them at once: others are closed without an answer.
const REFUSED: Duration = Duration::from_secs(1);
const MOST_REFUSALS: usize = 16;

/// Why a client is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Refusal {
    /// Its address has no access.
    #[error("this address is not in \"allow\"")]
    NotAllowed,
    /// There is no room for another connection, or for another one of its address.
    #[error("too many connections are open")]
    Full,
}

/// The error for a refused client. Where its form depends on the client's first bytes, there is none without them.
pub(super) type Refuse = fn(Refusal, Option<&[u8]>) -> Option<Vec<u8>>;

/// A listening port and its connections.
pub(super) struct Port {
    name: &'static str,
    /// A client of this port.
    peer: fn(SocketAddr) -> Peer,
    refuse: Refuse,
    refusals: Arc<Semaphore>,
    rules: Rules,
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    each: HashMap<IpAddr, usize>,
}

/// A connection; it counts until it is dropped.
pub(super) struct Connection {
    /// The client's address.
    pub from: SocketAddr,
    port: Arc<Port>,
}

impl Port {
    /// A port that admits clients by the `rules`, and at most `most` connections at once: a quarter of them from one
    /// address, half of them from this machine, where a proxy may serve many clients.
    pub(super) fn new(
        name: &'static str,
        peer: fn(SocketAddr) -> Peer,
        rules: Rules,
        most: usize,
        refuse: Refuse,
    ) -> Arc<Self> {
        let refusals = Arc::new(Semaphore::new(MOST_REFUSALS));
        Arc::new(Self { name, peer, refuse, refusals, rules, most: most.max(4), open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Admits a client, or returns why not.
    fn admit(self: &Arc<Self>, from: SocketAddr) -> Result<Connection, Refusal> {
        if !self.rules.allows(from.ip()) {
            return Err(Refusal::NotAllowed);
        }
        let client = client_of(from.ip());
        let most = if client.is_loopback() { self.most / 2 } else { self.most / 4 };
        let mut open = self.open();
        let count = open.each.get(&client).copied().unwrap_or_default();
        if open.all >= self.most || count >= most {
            let (Self { name, most, .. }, all) = (self.as_ref(), open.all);
            drop(open);
            log_of!(
                (self.peer)(from),
                WARN,
                "{name}: {from} refused: {count} connections from its address are open, {all} in all (at most {most})"
            );
            return Err(Refusal::Full);
        }
        open.all += 1;
        *open.each.entry(client).or_default() += 1;
        drop(open);
        Ok(Connection { from, port: Arc::clone(self) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.port.open();
        open.all -= 1;
        let client = client_of(self.from.ip());
        if let Some(count) = open.each.get_mut(&client) {
            *count -= 1;
            if *count == 0 {
                open.each.remove(&client);
            }
        }
    }
}

/// The address that identifies a client: all addresses of this machine count as one.
fn client_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        address => address,
    }
}

/// Accepts clients for ever, each on a task of its own.
pub(super) async fn accept<F>(
    socket: TcpListener,
    port: Arc<Port>,
    serve: impl Fn(TcpStream, Connection) -> F,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let mut is_refused = false;
    loop {
        match socket.accept().await {
            Ok((stream, from)) => {
                if std::mem::take(&mut is_refused) {
                    info!("{}: connections are accepted again", port.name);
                }
                match port.admit(from) {
                    Ok(connection) => {
                        prepare(&stream);
                        tokio::spawn(serve(stream, connection));
                    }
                    Err(why) => {
                        log_of!((port.peer)(from), DEBUG, "{}: {from} refused: {why}", port.name);
                        if let Ok(place) = Arc::clone(&port.refusals).try_acquire_owned() {
                            let refuse = port.refuse;
                            tokio::spawn(async move {
                                timeout(REFUSED, answer_refused(stream, refuse, why)).await.ok();
                                drop(place);
                            });
                        }
                    }
                }
            }
            // The client closed before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Too many open files, or no memory: waiting clients are accepted once others have closed.
                if !std::mem::replace(&mut is_refused, true) {
                    warn!("{}: cannot accept connections: {}; retrying", port.name, plain(&error));
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// Sends a refused client its error and closes the connection. What the client sends is read until then: the system would
/// discard the error otherwise.
async fn answer_refused(mut stream: TcpStream, refuse: Refuse, why: Refusal) {
    let mut bytes = [0; 1_024];
    let mut answer = refuse(why, None);
    if answer.is_none() {
        let length = timeout(REFUSED / 2, stream.read(&mut bytes)).await.map_or(0, |read| read.unwrap_or(0));
        answer = refuse(why, Some(&bytes[..length]));
    }
    let Some(answer) = answer else { return };
    if stream.write_all(&answer).await.is_ok() && stream.shutdown().await.is_ok() {
        while stream.read(&mut bytes).await.is_ok_and(|length| length > 0) {}
    }
}

/// Sends without delay, limits the buffer for a client that does not read, and detects within a minute that a client's
/// machine has disappeared: a client may be silent for hours.
fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).ok();
    sockopt::set_socket_send_buffer_size(stream, UNSENT).ok();
    sockopt::set_socket_keepalive(stream, true).ok();
    sockopt::set_tcp_keepidle(stream, Duration::from_secs(30)).ok();
    sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10)).ok();
    sockopt::set_tcp_keepcnt(stream, 3).ok();
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use lacquer_control::subscribe::access::Net;

    fn admit(port: &Arc<Port>, from: &str, times: usize) -> Vec<Connection> {
        (0..times).filter_map(|_| port.admit(format!("{from}:1").parse().unwrap()).ok()).collect()
    }

    #[test]
    fn no_address_keeps_others_out_and_a_closed_connection_makes_room() {
        let port = Port::new("web", Peer::Web, Rules::default(), 16, |_, _| None);
        let one = admit(&port, "10.0.0.1", 100);
        assert_eq!(one.len(), 4);
        let (here, there) = (admit(&port, "127.0.0.1", 5), admit(&port, "127.0.0.2", 100));
        assert_eq!((here.len(), there.len()), (5, 3), "this machine is one client");
        assert_eq!(admit(&port, "[::ffff:10.0.0.1]", 1).len(), 0, "the same address");
        let others: Vec<_> = (2..30).flat_map(|last| admit(&port, &format!("10.0.0.{last}"), 1)).collect();
        assert_eq!(others.len(), 4, "in all");
        drop((one, here, there, others));
        assert_eq!(admit(&port, "10.0.0.1", 100).len(), 4);
        assert!(port.open().each.is_empty() && port.open().all == 0);
    }

    #[test]
    fn a_client_that_is_not_allowed_does_not_count() {
        let rules = Rules { allow: vec![Net::parse("10.0.0.0/24").unwrap()], ..Rules::default() };
        let port = Port::new("web", Peer::Web, rules, 16, |_, _| None);
        assert!(admit(&port, "127.0.0.1", 100).is_empty());
        assert_eq!(port.open().all, 0);
        assert_eq!(admit(&port, "10.0.0.1", 1).len(), 1);
    }
}
