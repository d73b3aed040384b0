//! The TCP surfaces: OSC on streams, and OSCQuery with its websocket. One thread and one runtime of their own, so a
//! slow client delays no other part of the daemon.

mod accept;
mod http;
mod stream;

use crate::audio::realtime;
use crate::process::supervise::Pulse;
use crate::station::control::Control;
use crate::surfaces::mdns;
use accept::{Port, accept};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use http::Listener;
use lacquer_control::peer::Peer;
use lacquer_control::request::RequestBundle;
use lacquer_control::subscribe::access::{Access, Rules};
use lacquer_control::subscribe::hosts::Names;
use lacquer_control::subscribe::subscribers::Subscribers;
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::surface::query::{Host, Query};
use lacquer_control::update::Update;
use std::collections::{HashMap, HashSet};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Time between two updates of the clients.
const UPDATE: Duration = Duration::from_millis(5);
/// Packets that a client's channel has room for.
const WAITING: usize = 1_024;
/// Requests that exceeded the rate limit are passed on while fewer than this wait for the conductor.
const NOT_BUSY: usize = 1_024;
/// Most streams at once.
const STREAMS: usize = 64;
/// Most connections to the web port at once, and most of them that are websockets.
const WEB: usize = 128;
const SOCKETS: usize = 64;
/// One in this many of the open files allowed is for the web port's clients, and half as many for streams.
const SHARE: usize = 8;
/// Refused names that are remembered, so that each is logged once.
const REFUSED: usize = 64;

/// What all connections share.
pub struct Net {
    requests: Sender<RequestBundle>,
    /// Name and OSC port for OSCQuery's HOST_INFO.
    host: Host,
    /// The names of this station for the Host header.
    names: Names,
    /// Held by the client for which a part of the tree is being written.
    tree_turn: Arc<Semaphore>,
    clients: Mutex<Clients>,
}

/// The clients, and the values that they receive.
struct Clients {
    streams: Access,
    webs: Access,
    subscribers: Subscribers,
    query: Query,
    /// The channel to each stream's task.
    outs: HashMap<Peer, mpsc::Sender<Vec<Update>>>,
    listeners: HashMap<Peer, Listener>,
    /// Names that were asked for and are not this station's.
    refused: HashSet<String>,
}

/// The sockets. They are bound before audio starts, so that an error is reported at once.
pub struct Bound {
    osc: Option<std::net::TcpListener>,
    web: Option<std::net::TcpListener>,
}

/// An address cannot be listened on.
#[derive(Debug, Error)]
#[error("{surface}: cannot listen on TCP {address}: {source}")]
pub struct BindError {
    surface: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds what a station listens for.
///
/// # Errors
/// Which address cannot be had, and why.
pub fn bind(control: &Control) -> Result<Option<Bound>, BindError> {
    let bind = |surface: &'static str, address: SocketAddr| {
        let bound = std::net::TcpListener::bind(address).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        bound.map_err(|source| BindError { surface, address, source })
    };
    let osc = control.osc.as_ref().filter(|osc| osc.tcp);
    let osc = osc.map(|osc| bind("osc", osc.listen)).transpose()?;
    let web = control.web.as_ref().map(|web| bind("web", web.listen)).transpose()?;
    Ok((osc.is_some() || web.is_some()).then_some(Bound { osc, web }))
}

/// Serves until [`SurfaceMessage::End`] is received.
///
/// # Errors
/// The system refuses a runtime or a socket.
pub fn run(
    bound: &Bound,
    name: &str,
    control: &Control,
    requests: Sender<RequestBundle>,
    messages: &Receiver<SurfaceMessage>,
    pulse: &Pulse,
) -> io::Result<()> {
    let rules = |rules: Option<&Rules>| rules.cloned().unwrap_or_default();
    let osc = rules(control.osc.as_ref().map(|osc| &osc.rules));
    let web = rules(control.web.as_ref().map(|web| &web.rules));
    let added = control.web.as_ref().map_or(&[][..], |web| &web.names);
    let host = Host { name: name.to_owned(), osc: control.osc.as_ref().map(|osc| osc.listen) };
    let net = Arc::new(Net::new(requests, host, added, &osc, &web));
    let share = realtime::raise_open_files() / SHARE;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The sockets are kept when this thread is restarted: clients that connect meanwhile are accepted afterwards.
        let mut serving = JoinSet::new();
        if let Some(socket) = &bound.osc {
            let (port, net) = (Port::new("osc.tcp", osc, STREAMS.min(share / 2)), Arc::clone(&net));
            let serve = move |stream, connection| stream::serve(stream, connection, Arc::clone(&net));
            serving.spawn(accept(TcpListener::from_std(socket.try_clone()?)?, port, serve));
        }
        if let Some(socket) = &bound.web {
            let (port, net) = (Port::new("web", web, WEB.min(share)), Arc::clone(&net));
            let serve = move |stream, connection| http::serve(stream, connection, Arc::clone(&net));
            serving.spawn(accept(TcpListener::from_std(socket.try_clone()?)?, port, serve));
        }
        let mut ticks = tokio::time::interval(UPDATE);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            pulse.beat();
            if let Some(ended) = serving.try_join_next() {
                let why = ended.map_or_else(|error| error.to_string(), |()| "it returned".to_owned());
                return Err(io::Error::other(format!("a listener ended: {why}")));
            }
            if !net.update(messages) {
                return Ok(());
            }
        }
    })
}

impl Net {
    /// Nobody is connected yet. `added` are names by which the host is reached besides its own.
    fn new(requests: Sender<RequestBundle>, host: Host, added: &[String], osc: &Rules, web: &Rules) -> Self {
        Self {
            requests,
            host,
            names: Names::new(mdns::names(), added),
            tree_turn: Arc::new(Semaphore::new(1)),
            clients: Mutex::new(Clients {
                streams: Access::new(osc.clone()),
                webs: Access::new(web.clone()),
                subscribers: Subscribers::new(|peer| matches!(peer, Peer::Stream(_))),
                query: Query::default(),
                outs: HashMap::new(),
                listeners: HashMap::new(),
                refused: HashSet::new(),
            }),
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // A panic while the lock was held leaves the list of clients correct.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends what is due to the clients, and passes on requests that had to wait. False after [`SurfaceMessage::End`].
    fn update(&self, messages: &Receiver<SurfaceMessage>) -> bool {
        let now = Instant::now();
        let mut clients = self.clients();
        for message in messages.try_iter() {
            if message == SurfaceMessage::End {
                return false;
            }
            clients.update(message, now);
            if now.elapsed() >= UPDATE {
                break;
            }
        }
        let Clients { subscribers, outs, listeners, .. } = &mut *clients;
        for (peer, lines) in subscribers.drain_due(now) {
            send(outs, peer, lines);
        }
        listeners.retain(|_, listener| listener.tick(now));
        // Requests that had to wait are each the newest of their address, so they wait until the conductor has room.
        if self.requests.len() < NOT_BUSY {
            for bundle in clients.streams.drain_due(now).into_iter().chain(clients.webs.drain_due(now)) {
                self.requests.try_send(bundle).ok();
            }
        }
        true
    }

    /// Sends a client's requests to the conductor, if they are admitted; waits while the channel is full.
    async fn enqueue(&self, bundle: RequestBundle, address: IpAddr) {
        let admitted = {
            let mut clients = self.clients();
            let access =
                if matches!(bundle.by, Peer::Web(_)) { &mut clients.webs } else { &mut clients.streams };
            access.admit(bundle, address, Instant::now())
        };
        let Some(mut bundle) = admitted else { return };
        loop {
            match self.requests.try_send(bundle) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(returned)) => bundle = returned,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Adds a stream's client; its packets come from the result.
    fn add_stream(&self, peer: Peer) -> mpsc::Receiver<Vec<Update>> {
        let (out, lines) = mpsc::channel(WAITING);
        self.clients().outs.insert(peer, out);
        lines
    }

    fn remove_client(&self, peer: Peer) {
        let mut clients = self.clients();
        clients.outs.remove(&peer);
        clients.listeners.remove(&peer);
        clients.subscribers.unsubscribe(peer);
    }
}

impl Clients {
    fn has_room(&self) -> bool {
        self.listeners.len() < SOCKETS
    }

    /// Remembers a name that was refused. True the first time.
    fn remember_refused(&mut self, name: &str) -> bool {
        self.refused.len() < REFUSED && self.refused.insert(name.to_owned())
    }

    /// Updates the clients with a message from the conductor.
    fn update(&mut self, message: SurfaceMessage, now: Instant) {
        match &message {
            SurfaceMessage::Places(places) => {
                self.query.set_places(Arc::clone(places));
                self.listeners.values_mut().for_each(Listener::path_changed);
            }
            SurfaceMessage::Updates { to, updates: lines } => {
                if !matches!(to, Recipients::One(_)) {
                    self.query.receive(lines);
                }
                for (peer, listener) in &mut self.listeners {
                    listener.receive(*peer, *to, lines, now);
                }
            }
            _ => {}
        }
        for (peer, lines) in self.subscribers.receive(message, now) {
            send(&mut self.outs, peer, lines);
        }
    }
}

/// Sends to a stream's client. One that does not keep up is disconnected; it receives everything when it connects
/// again.
fn send(outs: &mut HashMap<Peer, mpsc::Sender<Vec<Update>>>, peer: Peer, lines: Vec<Update>) {
    if let Some(out) = outs.get(&peer)
        && out.try_send(lines).is_err()
    {
        outs.remove(&peer);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    #[test]
    fn much_that_is_to_be_told_leaves_turns_to_all_else() {
        const MESSAGES: usize = 4_096;
        let (asks, _asked) = bounded(1);
        let net = Net::new(
            asks,
            Host { name: String::new(), osc: None },
            &[],
            &Rules::default(),
            &Rules::default(),
        );
        let (tell, told) = bounded(MESSAGES);
        let lines: Vec<_> = (0..50).map(|at| Update::number(format!("/node/n{at}/gain"), 1.0)).collect();
        for _ in 0..MESSAGES {
            tell.send(SurfaceMessage::Updates { to: Recipients::All, updates: lines.clone() }).unwrap();
        }
        assert!(net.update(&told));
        assert!(!told.is_empty(), "one look took all");
        let mut left = told.len();
        while left > 0 {
            assert!(net.update(&told));
            assert!(told.len() < left, "each look takes some");
            left = told.len();
        }
        assert_eq!(
            net.clients().query.value("/node/n49/gain"),
            Some(&[lacquer_control::value::Value::Number(1.0)][..])
        );
    }
}
