//! OSCQuery over HTTP, and its websocket: LISTEN and IGNORE, values as OSC packets.

use super::Net;
use super::accept::{Connection, STALLED};
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lacquer_control::peer::Peer;
use lacquer_control::request::{self, RequestBundle, Subscription};
use lacquer_control::subscribe::Recipients;
use lacquer_control::subscribe::hosts::Refusal;
use lacquer_control::subscribe::outbox::Outbox;
use lacquer_control::surface::osc::{datagrams, decode};
use lacquer_control::surface::query::{NoAnswer, Query};
use lacquer_control::update::Update;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_io_timeout::TimeoutStream;
use tracing::{debug, warn};

/// Most addresses that one client listens to.
const MOST: usize = 16_384;
/// Longest address that it may name, in bytes: all of ours are far shorter.
const LONGEST: usize = 256;
/// Largest message of a client, and most of its requests that is read ahead, in bytes.
const LARGEST: usize = 65_536;
/// How long the head of a request may take, and how long a connection is kept for the next one.
const QUIET: Duration = Duration::from_secs(5);
/// What takes longer than this to write out makes the next one wait as long.
const SHORT: Duration = Duration::from_millis(1);

/// A connection: shared by its requests, and by the websocket that it may become.
struct Visit {
    connection: Connection,
    /// The address of this machine at which it came.
    at: IpAddr,
}

/// Serves a client until one of both ends it.
pub async fn serve(stream: TcpStream, connection: Connection, net: Arc<Net>) {
    let Ok(at) = stream.local_addr() else { return };
    let from = connection.from;
    let visit = Arc::new(Visit { connection, at: at.ip() });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALLED));
    let service = service_fn(|request: Request<Incoming>| {
        let (visit, net) = (Arc::clone(&visit), Arc::clone(&net));
        async move { Ok::<_, Infallible>(answer(request.into_parts().0, visit, net).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(QUIET)
        .max_buf_size(LARGEST)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    if let Err(error) = served.await {
        debug!("web {from}: {error}");
    }
}

async fn answer(mut request: Parts, visit: Arc<Visit>, net: Arc<Net>) -> Response {
    if let Some(refused) = refuse(&request, &visit, &net) {
        return refused;
    }
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let why = "only GET and HEAD are answered; what sets values is the websocket\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], why).into_response();
    }
    if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut request, &()).await {
        if !net.clients().has_room() {
            return (StatusCode::SERVICE_UNAVAILABLE, "too many websockets are open\n").into_response();
        }
        return upgrade.max_message_size(LARGEST).on_upgrade(move |socket| client(socket, visit, net));
    }
    let uri = &request.uri;
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    // `?VALUE` and `?VALUE=` mean the same.
    let attribute = uri.query().map(|query| query.split(['=', '&']).next().unwrap_or_default());
    let attribute = attribute.filter(|name| !name.is_empty());
    if attribute == Some("HOST_INFO") {
        return json(Query::host_info(&net.host).to_string());
    }
    match net.tree(&path, attribute).await {
        Ok(tree) => json(tree),
        Err(no) => StatusCode::from_u16(no as u16).unwrap_or(StatusCode::NOT_FOUND).into_response(),
    }
}

fn json(tree: String) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from(tree)).into_response()
}

/// What a request is told that is not for this station: a browser must not be led to a mixing desk by any page.
fn refuse(request: &Parts, visit: &Visit, net: &Net) -> Option<Response> {
    let all = |name: HeaderName| request.headers.get_all(name).into_iter();
    // What is no text is no name either.
    let texts = |name| all(name).map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>();
    let (mut hosts, origins) = (texts(header::HOST), texts(header::ORIGIN));
    let refusal = match hosts.len() {
        1 => {
            hosts.extend(request.uri.authority().map(|authority| authority.as_str()));
            net.names.check(&hosts, &origins, visit.at)
        }
        _ => Err(Refusal::Unclear),
    };
    let add = "control: {web: {names: [...]}} in the station file adds a name";
    let (what, why) = match refusal.err()? {
        Refusal::Unclear => {
            let why = "Host must be given once, and be a name or an address, with a port or without\n";
            return Some((StatusCode::BAD_REQUEST, why).into_response());
        }
        Refusal::Name(name) => {
            let why =
                format!("\"{name}\" is no name of this station, and may be another site's: refused; {add}");
            (name, why)
        }
        Refusal::Page(page) => {
            let why = format!("a page of \"{page}\" is no page of this station: refused; {add}");
            (page, why)
        }
    };
    if net.clients().is_news(&what) {
        warn!("web {}: {why}", visit.connection.from);
    }
    Some((StatusCode::FORBIDDEN, why + "\n").into_response())
}

impl Net {
    /// A part of the tree, written out. That takes long for a large one, and all clients of this thread wait: so it is
    /// done for one client at a time, in the order in which they came, and at most half of the time.
    async fn tree(&self, path: &str, attribute: Option<&str>) -> Result<String, NoAnswer> {
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let begin = Instant::now();
        let answer = self.clients().query.answer(path, attribute).map(|tree| tree.to_string());
        let took = begin.elapsed();
        if took > SHORT {
            tokio::spawn(async move {
                tokio::time::sleep(took).await;
                drop(turn);
            });
        }
        answer
    }
}

/// A websocket client and what it listens to.
pub struct Listener {
    addresses: HashSet<String>,
    wish: Subscription,
    mail: Outbox,
    out: mpsc::Sender<Message>,
    is_open: bool,
}

impl Listener {
    fn new(out: mpsc::Sender<Message>) -> Self {
        let wish = Subscription { text: true, ..Subscription::default() };
        Self { addresses: HashSet::new(), wish, mail: Outbox::default(), out, is_open: true }
    }

    fn send(&mut self, message: Message) {
        self.is_open &= self.out.try_send(message).is_ok();
    }

    /// Takes what is told, as far as it listens to it.
    pub fn take(&mut self, peer: Peer, to: Recipients, lines: &[Update], now: Instant) {
        let is_answer = to == Recipients::One(peer);
        if matches!(to, Recipients::One(_)) && !is_answer {
            return;
        }
        let is_wanted = |line: &&Update| is_answer || self.addresses.contains(&line.address);
        let wanted: Vec<Update> = lines.iter().filter(is_wanted).cloned().collect();
        if wanted.is_empty() {
            return;
        }
        if is_answer {
            return self.tell(&wanted);
        }
        if to == Recipients::Others(peer) {
            return self.mail.record_own_change(wanted, &self.wish, now);
        }
        let at_once = self.mail.enqueue(wanted, &self.wish, now);
        self.tell(&at_once);
    }

    fn tell(&mut self, lines: &[Update]) {
        for packet in datagrams(lines) {
            self.send(Message::Binary(packet.into()));
        }
    }

    /// Sends what is due; false where the client has gone or does not keep up.
    pub fn tick(&mut self, now: Instant) -> bool {
        // One packet a value: not every client takes bundles apart.
        for line in self.mail.drain_due(&self.wish, now) {
            self.tell(std::slice::from_ref(&line));
        }
        self.is_open
    }

    /// Another chain has other addresses.
    pub fn path_changed(&mut self) {
        let changed = json!({"COMMAND": "PATH_CHANGED", "DATA": "/"});
        self.send(Message::Text(changed.to_string().into()));
    }
}

async fn client(mut socket: WebSocket, visit: Arc<Visit>, net: Arc<Net>) {
    let from = visit.connection.from;
    let peer = Peer::Web(from);
    let (out, mut told) = mpsc::channel(super::WAITING * 8);
    {
        let mut clients = net.clients();
        if !clients.has_room() {
            return;
        }
        clients.listeners.insert(peer, Listener::new(out));
    }
    loop {
        tokio::select! {
            heard = socket.recv() => match heard {
                Some(Ok(Message::Text(text))) => command(&net, peer, &text),
                Some(Ok(Message::Binary(packet))) => {
                    for mut asked in decode(&packet, peer) {
                        asked.requests.retain(|request| !matches!(request, request::Request::Subscribe(_)));
                        net.ask(RequestBundle { by: peer, ..asked }, from.ip()).await;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
            message = told.recv() => {
                let Some(message) = message else { break };
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
    net.leave(peer);
}

/// `{"COMMAND": "LISTEN", "DATA": "/node/ceiling/ceiling"}`: from now on its changes, and what it is now.
fn command(net: &Net, peer: Peer, text: &str) {
    let Ok(asked) = serde_json::from_str::<Json>(text) else { return };
    let (Some(command), Some(path)) = (asked["COMMAND"].as_str(), asked["DATA"].as_str()) else { return };
    let mut clients = net.clients();
    let now = clients.query.value(path).map(|values| Update::new(path, values.to_vec()));
    let Some(listener) = clients.listeners.get_mut(&peer) else { return };
    match command {
        "LISTEN" if listener.addresses.len() < MOST && path.len() <= LONGEST => {
            listener.addresses.insert(path.to_owned());
            listener.tell(now.as_slice());
        }
        "IGNORE" => _ = listener.addresses.remove(path),
        _ => {}
    }
}
