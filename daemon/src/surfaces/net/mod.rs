//! The TCP surfaces: OSC on streams, and OSCQuery with its websocket. One thread and one runtime of their own, so a
//! slow client delays no other part of the daemon.

mod accept;
mod http;
mod out;
mod stream;

use crate::audio::realtime;
use crate::process::os_error::plain;
use crate::process::supervise::Pulse;
use crate::station::control::Control;
use crate::surfaces::mdns;
use accept::{Port, accept};
use crossbeam_channel::{Receiver, Sender, TrySendError};
use lacquer_control::peer::Peer;
use lacquer_control::request::RequestBundle;
use lacquer_control::subscribe::access::{Access, Rules};
use lacquer_control::subscribe::hosts::Names;
use lacquer_control::subscribe::subscribers::{Outgoing, Subscribers};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::surface::osc::datagrams;
use lacquer_control::surface::query::{Host, Query};
use out::{Out, Packet, Unsent};
use serde_json::json;
use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Time between two updates of the clients.
const UPDATE: Duration = Duration::from_millis(5);
/// Requests that exceeded the rate limit are passed on while fewer than this wait for the conductor.
const NOT_BUSY: usize = 1_024;
/// Most streams at once.
const STREAMS: usize = 64;
/// Most connections to the web port at once.
const WEB: usize = 128;
/// One in this many of the open files allowed is for the web port's clients, and half as many for streams.
const SHARE: usize = 8;
/// Refused names that are remembered, so that each is logged once; then all are forgotten.
const REFUSED: usize = 64;

/// What all connections share.
pub(crate) struct Net {
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
    stream_subscribers: Subscribers,
    web_subscribers: Subscribers,
    query: Query,
    /// What is to be sent to each client, on its way to the client's task.
    outs: HashMap<Peer, Out>,
    /// Delayed requests for which the conductor had no room yet.
    delayed: VecDeque<RequestBundle>,
    /// Names that were asked for and are not this station's.
    refused: HashSet<String>,
}

/// The sockets. They are bound before audio starts, so that an error is reported at once.
pub(crate) struct Bound {
    osc: Option<std::net::TcpListener>,
    web: Option<std::net::TcpListener>,
}

/// An address cannot be listened on.
#[derive(Debug, Error)]
#[error("{surface}: cannot listen on TCP {address}: {}", plain(source))]
pub(crate) struct BindError {
    surface: &'static str,
    address: SocketAddr,
    source: io::Error,
}

/// Binds what a station listens for.
///
/// # Errors
/// Which address cannot be had, and why.
pub(crate) fn bind(control: &Control) -> Result<Option<Bound>, BindError> {
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
pub(crate) fn run(
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
            let (port, net) = (
                Port::new("osc.tcp", Peer::Stream, osc, STREAMS.min(share / 2), stream::refusal),
                Arc::clone(&net),
            );
            let serve = move |stream, connection| stream::serve(stream, connection, Arc::clone(&net));
            serving.spawn(accept(TcpListener::from_std(socket.try_clone()?)?, port, serve));
        }
        if let Some(socket) = &bound.web {
            let (port, net) =
                (Port::new("web", Peer::Web, web, WEB.min(share), http::refusal), Arc::clone(&net));
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
                stream_subscribers: Subscribers::new(|peer| matches!(peer, Peer::Stream(_))),
                web_subscribers: Subscribers::new(|peer| matches!(peer, Peer::Web(_))),
                query: Query::default(),
                outs: HashMap::new(),
                delayed: VecDeque::new(),
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
            clients.update(&message, now);
            if now.elapsed() >= UPDATE {
                break;
            }
        }
        let due = [clients.stream_subscribers.drain_due(now), clients.web_subscribers.drain_due(now)];
        clients.send(due.concat());
        // Requests that had to wait are each the newest of their address, so they wait until the conductor has room.
        if clients.delayed.is_empty() && self.requests.len() < NOT_BUSY {
            let due = [clients.streams.drain_due(now), clients.webs.drain_due(now)];
            clients.delayed.extend(due.into_iter().flatten());
        }
        while let Some(bundle) = clients.delayed.pop_front() {
            if let Err(TrySendError::Full(bundle)) = self.requests.try_send(bundle) {
                clients.delayed.push_front(bundle);
                break;
            }
        }
        true
    }

    /// Sends a client's requests to the conductor, if they are admitted; waits while the channel is full.
    async fn enqueue(&self, bundle: RequestBundle, address: IpAddr) {
        let admitted = {
            let mut clients = self.clients();
            clients.web_subscribers.renew(bundle.by);
            let access =
                if matches!(bundle.by, Peer::Web(_)) { &mut clients.webs } else { &mut clients.streams };
            access.admit(bundle, address, Instant::now())
        };
        let Some(mut bundle) = admitted else { return };
        loop {
            // What the client sent before goes first.
            let is_next = !self.clients().delayed.iter().any(|delayed| delayed.by == bundle.by);
            if is_next {
                match self.requests.try_send(bundle) {
                    Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                    Err(TrySendError::Full(returned)) => bundle = returned,
                }
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// Adds a stream's client; what it is to be sent comes from the result.
    fn add_stream(&self, peer: Peer) -> Unsent {
        let (out, unsent) = out::channel();
        self.clients().outs.insert(peer, out);
        unsent
    }

    /// Adds a websocket client; the least recently active one goes if there are too many.
    fn add_socket(&self, peer: Peer) -> Unsent {
        let mut clients = self.clients();
        if let Some(gone) = clients.web_subscribers.connect(peer)
            && let Some(out) = clients.outs.remove(&gone)
        {
            out.send(Packet::Close("other clients have connected since; connect again to be sent updates"));
        }
        let (out, unsent) = out::channel();
        clients.outs.insert(peer, out);
        unsent
    }

    fn remove_client(&self, peer: Peer) {
        let mut clients = self.clients();
        clients.outs.remove(&peer);
        clients.stream_subscribers.remove(peer);
        clients.web_subscribers.remove(peer);
    }
}

impl Clients {
    /// Remembers a name that was refused. True the first time.
    fn remember_refused(&mut self, name: &str) -> bool {
        if self.refused.len() >= REFUSED && !self.refused.contains(name) {
            self.refused.clear();
        }
        self.refused.insert(name.to_owned())
    }

    /// Updates the clients with a message from the conductor.
    fn update(&mut self, message: &SurfaceMessage, now: Instant) {
        match message {
            SurfaceMessage::Places(places) => {
                self.query.set_places(Arc::clone(places));
                // Another chain has other addresses.
                let changed = json!({"COMMAND": "PATH_CHANGED", "DATA": "/"}).to_string();
                let is_lost = |peer: &Peer, out: &Out| {
                    matches!(peer, Peer::Web(_)) && !out.send(Packet::Text(changed.clone()))
                };
                self.outs.retain(|peer, out| !is_lost(peer, out));
            }
            SurfaceMessage::Status(addresses) => self.query.set_status(Arc::clone(addresses)),
            SurfaceMessage::Updates { to, updates } if !matches!(to, Recipients::One(_)) => {
                self.query.receive(updates);
            }
            _ => {}
        }
        let ready =
            [self.stream_subscribers.receive(message, now), self.web_subscribers.receive(message, now)];
        self.send(ready.concat());
    }

    /// Sends to clients. One that does not keep up is disconnected; it receives everything when it connects again.
    fn send(&mut self, outgoing: Outgoing) {
        for batch in outgoing {
            let Some(out) = self.outs.get(&batch.to) else { continue };
            let packets = match batch.to {
                // One packet a value: not every client of the web port reads bundles.
                Peer::Web(_) => batch.updates.chunks(1).flat_map(datagrams).collect(),
                _ => datagrams(&batch.updates),
            };
            if !packets.into_iter().all(|packet| out.send(Packet::Osc(packet))) {
                self.outs.remove(&batch.to);
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;
    use lacquer_control::request::Request;
    use lacquer_control::update::Update;
    use lacquer_control::value::Value;

    #[test]
    fn a_delayed_value_waits_for_room_and_is_not_overtaken() {
        const GAIN: &str = "/node/level/gain";
        let set = |value: f64| Request::Set { address: GAIN.to_owned(), value: Value::Number(value) };
        let by = Peer::Web(([10, 0, 0, 1], 9_000).into());
        let bundle = |requests| RequestBundle { by, requests, due: None };
        let (asks, asked) = bounded(1);
        let rules = Rules { rate: 10.0, ..Rules::default() };
        let net = Net::new(asks.clone(), Host { name: String::new(), osc: None }, &[], &rules, &rules);
        let (_tell, told) = bounded(1);
        let admit = |requests| {
            net.clients().webs.admit(bundle(requests), IpAddr::from([10, 0, 0, 1]), Instant::now())
        };
        assert!(admit(vec![Request::Ping; 20]).is_some(), "the whole burst");
        assert_eq!(admit(vec![set(1.0)]), None, "delayed");
        asks.send(bundle(vec![Request::Ping])).unwrap();
        while net.clients().delayed.is_empty() {
            assert!(net.update(&told));
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let newer = net.enqueue(bundle(vec![set(2.0)]), IpAddr::from([10, 0, 0, 1]));
            let conductor = async {
                let mut got = Vec::new();
                while got.last() != Some(&set(2.0)) {
                    assert!(net.update(&told));
                    got.extend(asked.try_iter().flat_map(|bundle| bundle.requests));
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                got
            };
            let ((), got) = tokio::join!(newer, conductor);
            assert_eq!(got, [Request::Ping, set(1.0), set(2.0)]);
        });
    }

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
        let lines: Arc<[Update]> =
            (0..50).map(|at| Update::number(format!("/node/n{at}/gain"), 1.0)).collect();
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
        assert_eq!(net.clients().query.value("/node/n49/gain"), Some(&[Value::Number(1.0)][..]));
    }
}
