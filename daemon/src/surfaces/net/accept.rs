//! Who may connect over TCP: asked at accept, before anything is read. No client keeps the others out, and all of them
//! together leave files that can be opened to the audio, to what is kept, and to all else.

use lacquer_control::subscribe::access::Rules;
use rustix::net::sockopt;
use std::collections::HashMap;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::net::{TcpListener, TcpStream};
use tracing::{debug, info, warn};

/// How long a client may read nothing of what it is sent.
pub const STALLED: Duration = Duration::from_secs(10);
/// Bytes that the system keeps for one client that it has not taken yet.
const UNSENT: usize = 128 << 10;
/// How long it waits where the system refuses new connections.
const BACK_OFF: Duration = Duration::from_millis(250);
/// Between two complaints about too many connections.
const COMPLAIN: Duration = Duration::from_secs(60);

/// A port that is listened on, and who is connected there.
pub struct Port {
    name: &'static str,
    rules: Rules,
    most: usize,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    all: usize,
    each: HashMap<IpAddr, usize>,
    complained: Option<Instant>,
}

/// A connection; dropped, another may come.
pub struct Connection {
    /// Who is connected.
    pub from: SocketAddr,
    port: Arc<Port>,
}

impl Port {
    /// A port that lets in whom the `rules` do, and `most` connections at once: of each address a quarter of them, and
    /// half of them of this machine, where a proxy or a forwarded port may stand for many.
    pub fn new(name: &'static str, rules: Rules, most: usize) -> Arc<Self> {
        Arc::new(Self { name, rules, most: most.max(4), open: Mutex::default() })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets a client in, or says why not.
    fn admit(self: &Arc<Self>, from: SocketAddr) -> Result<Connection, &'static str> {
        if !self.rules.allows(from.ip()) {
            return Err("is not in \"allow\"");
        }
        let who = client(from.ip());
        let most = if who.is_loopback() { self.most / 2 } else { self.most / 4 };
        let mut open = self.open();
        let of_it = open.each.get(&who).copied().unwrap_or_default();
        if open.all >= self.most || of_it >= most {
            let now = Instant::now();
            if open.complained.is_none_or(|before| now >= before + COMPLAIN) {
                open.complained = Some(now);
                let Self { name, most, .. } = self.as_ref();
                warn!(
                    "{name}: {from} is refused: {of_it} connections from its address are open, {} in all (at most {most}); \
                     more of these may follow without a word",
                    open.all
                );
            }
            return Err("has too many connections");
        }
        open.all += 1;
        *open.each.entry(who).or_default() += 1;
        drop(open);
        Ok(Connection { from, port: Arc::clone(self) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.port.open();
        open.all -= 1;
        let who = client(self.from.ip());
        if let Some(count) = open.each.get_mut(&who) {
            *count -= 1;
            if *count == 0 {
                open.each.remove(&who);
            }
        }
    }
}

/// The address that counts; this machine has many, and is one.
fn client(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        address if address.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        address => address,
    }
}

/// Takes clients for ever, each with a task of its own.
pub async fn accept<F>(socket: TcpListener, port: Arc<Port>, serve: impl Fn(TcpStream, Connection) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut is_short = false;
    loop {
        match socket.accept().await {
            Ok((stream, from)) => {
                if std::mem::take(&mut is_short) {
                    info!("{}: connections are accepted again", port.name);
                }
                match port.admit(from) {
                    Ok(connection) => {
                        prepare(&stream);
                        tokio::spawn(serve(stream, connection));
                    }
                    Err(why) => debug!("{}: {from} {why}", port.name),
                }
            }
            // It went before it was accepted.
            Err(error) if error.kind() == ErrorKind::ConnectionAborted => {}
            Err(error) => {
                // Too many files are open, or there is no memory: what waits is accepted once others have closed.
                if !std::mem::replace(&mut is_short, true) {
                    warn!(
                        "{}: no connection can be accepted: {error}; trying again until one can",
                        port.name
                    );
                }
                tokio::time::sleep(BACK_OFF).await;
            }
        }
    }
}

/// What is sent goes out at once, and little of it waits where it is not taken. A client may have nothing to say for hours: one whose machine has gone is noticed by
/// the system, within a minute.
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
    fn no_address_keeps_the_others_out_and_who_goes_makes_room() {
        let port = Port::new("web", Rules::default(), 16);
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
    fn who_is_not_in_the_list_takes_no_room() {
        let rules = Rules { allow: vec![Net::parse("10.0.0.0/24").unwrap()], ..Rules::default() };
        let port = Port::new("web", rules, 16);
        assert!(admit(&port, "127.0.0.1", 100).is_empty());
        assert_eq!(port.open().all, 0);
        assert_eq!(admit(&port, "10.0.0.1", 1).len(), 1);
    }
}
