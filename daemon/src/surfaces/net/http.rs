//! OSCQuery over HTTP, and its websocket: LISTEN and IGNORE, values as OSC packets.

use super::Net;
use super::accept::{self, Connection, STALLED};
use super::out::Packet;
use crate::process::client_log::log_of;
use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::http::request::Parts;
use axum::http::{HeaderName, Method, Request, StatusCode, header};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use lacquer_control::peer::Peer;
use lacquer_control::request::{self, RequestBundle};
use lacquer_control::subscribe::hosts::Refusal;
use lacquer_control::subscribe::quote::cut;
use lacquer_control::subscribe::subscribers::Batch;
use lacquer_control::surface::osc::decode;
use lacquer_control::surface::query::{NoAnswer, Query};
use lacquer_control::update::Update;
use serde_json::Value as Json;
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpStream;
use tokio_io_timeout::TimeoutStream;

/// Largest message of a client, and largest HTTP head, in bytes.
const LARGEST: usize = 65_536;
/// Time limit for the head of a request, and for the next request on a connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(5);
/// If writing a part of the tree takes longer than this, the next one waits for the same time.
const SHORT: Duration = Duration::from_millis(1);

/// An HTTP connection: shared by its requests, and by the websocket that it may become.
struct HttpConnection {
    connection: Connection,
    /// The address of this machine that the client connected to.
    at: IpAddr,
}

/// The answer to a client that is refused, whatever it asks for.
pub(super) fn refusal(why: accept::Refusal, _first: Option<&[u8]>) -> Option<Vec<u8>> {
    let status = match why {
        accept::Refusal::NotAllowed => "403 Forbidden",
        accept::Refusal::Full => "503 Service Unavailable",
    };
    let (body, more) = (format!("{why}\n"), "Content-Type: text/plain; charset=utf-8\r\nConnection: close");
    let length = body.len();
    Some(format!("HTTP/1.1 {status}\r\n{more}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes())
}

/// Serves a client until either side closes the connection.
pub(super) async fn serve(stream: TcpStream, connection: Connection, net: Arc<Net>) {
    let Ok(at) = stream.local_addr() else { return };
    let from = connection.from;
    let http = Arc::new(HttpConnection { connection, at: at.ip() });
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(STALLED));
    let service = service_fn(|request: Request<Incoming>| {
        let (http, net) = (Arc::clone(&http), Arc::clone(&net));
        async move { Ok::<_, Infallible>(answer(request.into_parts().0, http, net).await) }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(LARGEST)
        .serve_connection(TokioIo::new(Box::pin(stream)), service)
        .with_upgrades();
    if let Err(error) = served.await {
        log_of!(Peer::Web(from), DEBUG, "web {from}: {error}");
    }
}

async fn answer(mut request: Parts, http: Arc<HttpConnection>, net: Arc<Net>) -> Response {
    if let Some(refused) = refuse(&request, &http, &net) {
        return refused;
    }
    if ![Method::GET, Method::HEAD].contains(&request.method) {
        let why = "only GET and HEAD are allowed; use the websocket to set values\n";
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")], why).into_response();
    }
    if let Ok(upgrade) = WebSocketUpgrade::from_request_parts(&mut request, &()).await {
        return upgrade.max_message_size(LARGEST).on_upgrade(move |socket| client(socket, http, net));
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

/// The refusal of a request that is not for this station's names: another site's page in a browser must not reach the
/// station (DNS rebinding, cross-site requests).
fn refuse(request: &Parts, http: &HttpConnection, net: &Net) -> Option<Response> {
    let all = |name: HeaderName| request.headers.get_all(name).into_iter();
    // A value that is not text is no name either.
    let texts = |name| all(name).map(|value| value.to_str().unwrap_or_default()).collect::<Vec<_>>();
    let (mut hosts, origins) = (texts(header::HOST), texts(header::ORIGIN));
    let refusal = match hosts.len() {
        1 => {
            hosts.extend(request.uri.authority().map(|authority| authority.as_str()));
            net.names.check(&hosts, &origins, http.at)
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
            let why = format!("\"{}\" is no name of this station: refused; {add}", cut(&name));
            (name, why)
        }
        Refusal::Page(page) => {
            let why = format!("a page of \"{}\" may not use this station: refused; {add}", cut(&page));
            (page, why)
        }
    };
    if net.clients().remember_refused(&cut(&what)) {
        log_of!(Peer::Web(http.connection.from), WARN, "web {}: {why}", http.connection.from);
    }
    Some((StatusCode::FORBIDDEN, why + "\n").into_response())
}

impl Net {
    /// A part of the tree as JSON. A large one takes long to write, and all clients of this thread wait meanwhile: so
    /// it is done for one client at a time, in order, and for at most half of the time.
    async fn tree(&self, path: &str, attribute: Option<&str>) -> Result<String, NoAnswer> {
        let turn = Arc::clone(&self.tree_turn).acquire_owned().await;
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

async fn client(mut socket: WebSocket, http: Arc<HttpConnection>, net: Arc<Net>) {
    let from = http.connection.from;
    let peer = Peer::Web(from);
    let mut unsent = net.add_socket(peer);
    loop {
        tokio::select! {
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => command(&net, peer, &text),
                Some(Ok(Message::Binary(packet))) => {
                    for mut bundle in decode(&packet, peer) {
                        bundle.requests.retain(|request| !matches!(request, request::Request::Subscribe(_)));
                        net.enqueue(RequestBundle { by: peer, ..bundle }, from.ip()).await;
                    }
                }
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => break,
            },
            packet = unsent.recv() => {
                let message = match packet {
                    Some(Packet::Osc(packet)) => Message::Binary(packet.into()),
                    Some(Packet::Text(text)) => Message::Text(text.into()),
                    Some(Packet::Close(why)) => {
                        Message::Close(Some(CloseFrame { code: close_code::AGAIN, reason: why.into() }))
                    }
                    None => break,
                };
                if socket.send(message).await.is_err() {
                    break;
                }
            }
        }
    }
    net.remove_client(peer);
}

/// Executes LISTEN or IGNORE, as in `{"COMMAND": "LISTEN", "DATA": "/node/ceiling/ceiling"}`: the client receives the
/// current value, and then each change.
fn command(net: &Net, peer: Peer, text: &str) {
    let Ok(parsed) = serde_json::from_str::<Json>(text) else { return };
    let (Some(command), Some(path)) = (parsed["COMMAND"].as_str(), parsed["DATA"].as_str()) else { return };
    let mut clients = net.clients();
    let now = clients.query.value(path).map(|values| Update::new(path, values.to_vec()));
    match command {
        "LISTEN" if clients.web_subscribers.listen(peer, path, true) => {
            let updates = now.into_iter().collect();
            clients.send(vec![Batch { to: peer, port: None, updates }]);
        }
        "IGNORE" => _ = clients.web_subscribers.listen(peer, path, false),
        _ => {}
    }
}
