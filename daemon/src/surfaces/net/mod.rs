//! What is listened for over TCP: OSC on streams, and OSCQuery with its websocket. One thread, one runtime; whatever
//! is slow here waits for itself.

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
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

/// Between two looks at what is to be told.
const LOOK: Duration = Duration::from_millis(5);
/// Packets that may wait for one client.
const WAITING: usize = 1_024;
/// With fewer intents than this before it the conductor has room for what had to wait.
const LATE: usize = 1_024;
/// Most streams at once.
const STREAMS: usize = 64;
/// Most connections to the web port at once, and most of them that are websockets.
const WEB: usize = 128;
const SOCKETS: usize = 64;
/// Of the files that may be open at once this share is for the web port's clients, and half as many for streams.
const SHARE: usize = 8;
/// Refused names that are remembered, so that each is said once.
const REFUSED: usize = 64;

/// What all connections share.
pub struct Net {
    asks: Sender<RequestBundle>,
    /// Who the host is.
    host: Host,
    /// By which names it is reached.
    names: Names,
    /// Whose turn it is to have a part of the tree written out.
    turns: Arc<Semaphore>,
    clients: Mutex<Clients>,
}

/// What changes while it runs.
struct Clients {
    streams: Access,
    webs: Access,
    audience: Subscribers,
    query: Query,
    /// Where the packets of each stream go.
    outs: HashMap<Peer, mpsc::Sender<Vec<Update>>>,
    listeners: HashMap<Peer, Listener>,
    /// What was asked for and is not ours.
    refused: HashSet<String>,
}

/// The sockets, bound before anything plays, so that what is wrong with them is said at once.
pub struct Bound {
    osc: Option<std::net::TcpListener>,
    web: Option<std::net::TcpListener>,
}

/// Binds what a station listens for.
///
/// # Errors
/// Which address cannot be had, and why.
pub fn bind(control: &Control) -> Result<Option<Bound>, String> {
    let bind = |what: &str, address: SocketAddr| -> Result<std::net::TcpListener, String> {
        let bound = std::net::TcpListener::bind(address).and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok(socket)
        });
        bound.map_err(|error| format!("{what}: cannot listen on TCP {address}: {error}"))
    };
    let osc = control.osc.as_ref().filter(|osc| osc.tcp);
    let osc = osc.map(|osc| bind("osc", osc.listen)).transpose()?;
    let web = control.web.as_ref().map(|web| bind("web", web.listen)).transpose()?;
    Ok((osc.is_some() || web.is_some()).then_some(Bound { osc, web }))
}

/// Serves until the house closes.
///
/// # Errors
/// What the system refuses.
pub fn run(
    bound: &Bound,
    name: &str,
    control: &Control,
    asks: Sender<RequestBundle>,
    told: &Receiver<SurfaceMessage>,
    pulse: &Pulse,
) -> io::Result<()> {
    let rules = |rules: Option<&Rules>| rules.cloned().unwrap_or_default();
    let osc = rules(control.osc.as_ref().map(|osc| &osc.rules));
    let web = rules(control.web.as_ref().map(|web| &web.rules));
    let added = control.web.as_ref().map_or(&[][..], |web| &web.names);
    let host = Host { name: name.to_owned(), osc: control.osc.as_ref().map(|osc| osc.listen) };
    let net = Arc::new(Net::new(asks, host, added, &osc, &web));
    let share = realtime::raise_open_files() / SHARE;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The sockets themselves outlive a restart: clients that come meanwhile are taken afterwards.
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
        let mut looks = tokio::time::interval(LOOK);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            pulse.beat();
            if let Some(ended) = serving.try_join_next() {
                let why = ended.map_or_else(|error| error.to_string(), |()| "it returned".to_owned());
                return Err(io::Error::other(format!("a listener ended: {why}")));
            }
            if !net.look(told) {
                return Ok(());
            }
        }
    })
}

impl Net {
    /// Nobody is connected yet. `added` are names by which the host is reached besides its own.
    fn new(asks: Sender<RequestBundle>, host: Host, added: &[String], osc: &Rules, web: &Rules) -> Self {
        Self {
            asks,
            host,
            names: Names::new(mdns::names(), added),
            turns: Arc::new(Semaphore::new(1)),
            clients: Mutex::new(Clients {
                streams: Access::new(osc.clone()),
                webs: Access::new(web.clone()),
                audience: Subscribers::new(|peer| matches!(peer, Peer::Stream(_))),
                query: Query::default(),
                outs: HashMap::new(),
                listeners: HashMap::new(),
                refused: HashSet::new(),
            }),
        }
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        // What a panic left behind is still the truth about who is connected.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what is to be told, for as long as it has until the next look, and asks what had to wait: with many clients
    /// to tell it to, more may come meanwhile, and all else on this thread has its turn. False where the house closes.
    fn look(&self, told: &Receiver<SurfaceMessage>) -> bool {
        let now = Instant::now();
        let mut clients = self.clients();
        for notice in told.try_iter() {
            if notice == SurfaceMessage::End {
                return false;
            }
            clients.take(notice, now);
            if now.elapsed() >= LOOK {
                break;
            }
        }
        let Clients { audience, outs, listeners, .. } = &mut *clients;
        for (peer, lines) in audience.drain_due(now) {
            send(outs, peer, lines);
        }
        listeners.retain(|_, listener| listener.tick(now));
        // What had to wait is the last of its value: it stays where it is until the conductor has room for all.
        if self.asks.len() < LATE {
            for asked in clients.streams.drain_due(now).into_iter().chain(clients.webs.drain_due(now)) {
                self.asks.try_send(asked).ok();
            }
        }
        true
    }

    /// Asks the conductor; waits where it has much to do.
    async fn ask(&self, asked: RequestBundle, address: IpAddr) {
        let admitted = {
            let mut clients = self.clients();
            let gate =
                if matches!(asked.by, Peer::Web(_)) { &mut clients.webs } else { &mut clients.streams };
            gate.admit(asked, address, Instant::now())
        };
        let Some(mut asked) = admitted else { return };
        loop {
            match self.asks.try_send(asked) {
                Ok(()) | Err(TrySendError::Disconnected(_)) => return,
                Err(TrySendError::Full(again)) => asked = again,
            }
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A client comes on a stream.
    fn join(&self, peer: Peer) -> mpsc::Receiver<Vec<Update>> {
        let (out, lines) = mpsc::channel(WAITING);
        self.clients().outs.insert(peer, out);
        lines
    }

    fn leave(&self, peer: Peer) {
        let mut clients = self.clients();
        clients.outs.remove(&peer);
        clients.listeners.remove(&peer);
        clients.audience.unsubscribe(peer);
    }
}

impl Clients {
    fn has_room(&self) -> bool {
        self.listeners.len() < SOCKETS
    }

    /// Whether this is asked for the first time, of what is no name of ours.
    fn is_news(&mut self, name: &str) -> bool {
        self.refused.len() < REFUSED && self.refused.insert(name.to_owned())
    }

    fn take(&mut self, notice: SurfaceMessage, now: Instant) {
        match &notice {
            SurfaceMessage::Places(places) => {
                self.query.set_places(Arc::clone(places));
                self.listeners.values_mut().for_each(Listener::path_changed);
            }
            SurfaceMessage::Updates { to, updates: lines } => {
                if !matches!(to, Recipients::One(_)) {
                    self.query.receive(lines);
                }
                for (peer, listener) in &mut self.listeners {
                    listener.take(*peer, *to, lines, now);
                }
            }
            _ => {}
        }
        for (peer, lines) in self.audience.receive(notice, now) {
            send(&mut self.outs, peer, lines);
        }
    }
}

/// A client that does not keep up is let go: it comes back, and has everything then.
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
        const NOTICES: usize = 4_096;
        let (asks, _asked) = bounded(1);
        let net = Net::new(
            asks,
            Host { name: String::new(), osc: None },
            &[],
            &Rules::default(),
            &Rules::default(),
        );
        let (tell, told) = bounded(NOTICES);
        let lines: Vec<_> = (0..50).map(|at| Update::number(format!("/node/n{at}/gain"), 1.0)).collect();
        for _ in 0..NOTICES {
            tell.send(SurfaceMessage::Updates { to: Recipients::All, updates: lines.clone() }).unwrap();
        }
        assert!(net.look(&told));
        assert!(!told.is_empty(), "one look took all");
        let mut left = told.len();
        while left > 0 {
            assert!(net.look(&told));
            assert!(told.len() < left, "each look takes some");
            left = told.len();
        }
        assert_eq!(
            net.clients().query.value("/node/n49/gain"),
            Some(&[lacquer_control::value::Value::Number(1.0)][..])
        );
    }
}
