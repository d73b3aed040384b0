//! OSCQuery over HTTP, and its websocket: LISTEN and IGNORE, values as OSC packets.

use super::Net;
use axum::Router;
use axum::body::Body;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use lacquer_control::intent::{Asked, Intent, Peer};
use lacquer_control::mailbox::Mailbox;
use lacquer_control::notice::{Line, To, Wish};
use lacquer_control::surface::osc::{datagrams, decode};
use lacquer_control::surface::query::Query;
use serde_json::{Value as Json, json};
use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::warn;

/// Most addresses that one client listens to.
const MOST: usize = 16_384;
/// Largest message of a client, in bytes.
const LARGEST: usize = 65_536;

/// Serves clients for ever.
pub async fn serve(socket: TcpListener, net: Arc<Net>) {
    let service =
        Router::new().fallback(answer).with_state(net).into_make_service_with_connect_info::<SocketAddr>();
    if let Err(error) = axum::serve(socket, service).await {
        warn!("web: {error}");
    }
}

async fn answer(
    State(net): State<Arc<Net>>,
    ConnectInfo(from): ConnectInfo<SocketAddr>,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    if !net.web.lets_in(from.ip()) || is_foreign(&headers) {
        return StatusCode::FORBIDDEN.into_response();
    }
    if let Ok(upgrade) = upgrade {
        return upgrade.max_message_size(LARGEST).on_upgrade(move |socket| client(socket, from, net));
    }
    let path = percent_encoding::percent_decode_str(uri.path()).decode_utf8_lossy().into_owned();
    // `?VALUE` and `?VALUE=` mean the same.
    let attribute = uri.query().map(|query| query.split(['=', '&']).next().unwrap_or_default());
    let attribute = attribute.filter(|name| !name.is_empty());
    if attribute == Some("HOST_INFO") {
        return json(&Query::host_info(&net.host));
    }
    let answer = net.clients().query.answer(&path, attribute);
    match answer {
        Ok(tree) => json(&tree),
        Err(no) => StatusCode::from_u16(no as u16).unwrap_or(StatusCode::NOT_FOUND).into_response(),
    }
}

fn json(tree: &Json) -> Response {
    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CACHE_CONTROL, "no-store")];
    (headers, Body::from(tree.to_string())).into_response()
}

/// Whether a page of another host asks: a browser must not be led to a mixing desk by any page it looks at.
fn is_foreign(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = text(header::ORIGIN).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    match (origin, text(header::HOST)) {
        (Some(origin), Some(host)) => origin != host,
        (origin, _) => origin.is_some() || headers.get(header::ORIGIN).is_some(),
    }
}

/// A websocket client and what it listens to.
pub struct Listener {
    addresses: HashSet<String>,
    wish: Wish,
    mail: Mailbox,
    out: mpsc::Sender<Message>,
    is_open: bool,
}

impl Listener {
    fn new(out: mpsc::Sender<Message>) -> Self {
        let wish = Wish { text: true, ..Wish::default() };
        Self { addresses: HashSet::new(), wish, mail: Mailbox::default(), out, is_open: true }
    }

    fn send(&mut self, message: Message) {
        self.is_open &= self.out.try_send(message).is_ok();
    }

    /// Takes what is told, as far as it listens to it.
    pub fn take(&mut self, peer: Peer, to: To, lines: &[Line], now: Instant) {
        let is_answer = to == To::One(peer);
        if matches!(to, To::One(_)) && !is_answer {
            return;
        }
        let is_wanted = |line: &&Line| is_answer || self.addresses.contains(&line.address);
        let wanted: Vec<Line> = lines.iter().filter(is_wanted).cloned().collect();
        if wanted.is_empty() {
            return;
        }
        if is_answer {
            return self.tell(&wanted);
        }
        if to == To::Others(peer) {
            return self.mail.own(wanted, &self.wish, now);
        }
        let at_once = self.mail.put(wanted, &self.wish, now);
        self.tell(&at_once);
    }

    fn tell(&mut self, lines: &[Line]) {
        for packet in datagrams(lines) {
            self.send(Message::Binary(packet.into()));
        }
    }

    /// Sends what is due; false where the client has gone or does not keep up.
    pub fn tick(&mut self, now: Instant) -> bool {
        // One packet a value: not every client takes bundles apart.
        for line in self.mail.due(&self.wish, now) {
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

async fn client(mut socket: WebSocket, from: SocketAddr, net: Arc<Net>) {
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
                        asked.intents.retain(|intent| !matches!(intent, Intent::Subscribe(_)));
                        net.ask(Asked { by: peer, ..asked }, from.ip()).await;
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
    let now = clients.query.value(path).map(|values| Line::new(path, values.to_vec()));
    let Some(listener) = clients.listeners.get_mut(&peer) else { return };
    match command {
        "LISTEN" if listener.addresses.len() < MOST => {
            listener.addresses.insert(path.to_owned());
            listener.tell(now.as_slice());
        }
        "IGNORE" => _ = listener.addresses.remove(path),
        _ => {}
    }
}
