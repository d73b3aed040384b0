//! The clients of a session: sockets, the web port, the websocket, a controller, the command line, a hand on files.

use super::osc::{packet, told, unwrapped, wrapped};
use super::words::{json, masked, plain, quoted};
use super::{Line, Place};
use crate::controller::Controller;
use crate::daemon::{Daemon, PATIENCE, eventually, lacquer};
use crate::state::read_kept;
use serde_json::Value as Json;
use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};
use tungstenite::protocol::Role;
use tungstenite::{Message, WebSocket};

/// How often those who only listen look whether the session is over.
const LOOK: Duration = Duration::from_millis(50);

/// A value is told to one client at most every 20 ms, and what comes between is left out. What is asked so long after
/// the last line came is told for itself, however slow the machine is.
const PACE: Duration = Duration::from_millis(25);

/// All clients, and what they hear.
pub(super) struct Clients {
    daemon: Daemon,
    place: Place,
    open: BTreeMap<String, Open>,
    controller: Option<Arc<Controller>>,
    tell: Sender<Line>,
    heard: Receiver<Line>,
    last: Instant,
    is_over: Arc<AtomicBool>,
}

/// The end of a connection that is written to.
enum Open {
    Udp(UdpSocket),
    Stream { stream: TcpStream, is_slip: bool },
    Web(Box<WebSocket<TcpStream>>),
}

impl Open {
    fn send(&mut self, packet: Vec<u8>) {
        match self {
            Open::Udp(socket) => _ = socket.send(&packet).unwrap(),
            Open::Stream { stream, is_slip } => stream.write_all(&wrapped(&packet, *is_slip)).unwrap(),
            Open::Web(socket) => socket.send(Message::Binary(packet.into())).unwrap(),
        }
    }
}

/// What one client hears, on its way to the session.
struct Mouth {
    name: String,
    tell: Sender<Line>,
    folder: String,
    faults: RefCell<BTreeSet<String>>,
}

impl Mouth {
    fn packet(&self, packet: &[u8]) {
        told(packet, &self.folder).iter().for_each(|(address, rest)| self.line(address, rest));
    }

    fn line(&self, address: &str, rest: &str) {
        // A node that is no number rests and tries again: how often it has is a matter of time.
        let is_nan = address == "/event/fault" && rest.contains("not a number");
        if is_nan && !self.faults.borrow_mut().insert(rest.to_owned()) {
            return;
        }
        // The session may be over.
        self.tell.send(Line::new(&self.name, address, rest)).ok();
    }
}

/// A request by HTTP: the whole answer.
fn http(port: u16, method: &str, path: &str) -> Option<(u16, String, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    write!(stream, "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let kind = head.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("content-type").then(|| value.to_owned())
    });
    Some((head.split(' ').nth(1)?.parse().ok()?, kind.unwrap_or_default(), body.to_owned()))
}

/// Whether the web port has been told the values of the chain.
pub(super) fn web_is_ready(port: u16) -> bool {
    http(port, "GET", "/swap?VALUE").is_some_and(|(status, ..)| status == 200)
}

impl Clients {
    pub(super) fn new(place: Place, daemon: Daemon) -> Self {
        let (tell, heard) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        Self {
            daemon,
            place,
            open: BTreeMap::new(),
            controller: None,
            tell,
            heard,
            last: Instant::now(),
            is_over,
        }
    }

    /// The next line that comes until then.
    pub(super) fn hear(&mut self, deadline: Instant) -> Option<Line> {
        let line = self.heard.recv_timeout(deadline.saturating_duration_since(Instant::now())).ok()?;
        self.last = Instant::now();
        Some(line)
    }

    /// The clients that can be synced.
    pub(super) fn names(&self) -> Vec<String> {
        self.open.keys().cloned().collect()
    }

    /// The client of a request, where a ping behind it would not be taken for one of its own.
    pub(super) fn may_be_synced(&self, words: &[String]) -> Option<String> {
        let name = words.get(1).filter(|name| self.open.contains_key(*name))?;
        let is_client = ["udp", "tcp", "slip", "ws"].contains(&words[0].as_str());
        (is_client && !words.iter().any(|word| word == "/ping")).then(|| name.clone())
    }

    /// Waits until the station has done all that a client has asked, and has told it what it tells at once.
    pub(super) fn sync(&mut self, name: &str, mut other: impl FnMut(Line)) {
        let open = self.open.get_mut(name).expect("a client that has asked");
        open.send(packet(&["/ping".to_owned()]));
        let deadline = Instant::now() + PATIENCE;
        loop {
            let line = self.hear(deadline).unwrap_or_else(|| panic!("{name}: a ping was not answered"));
            if line.client == name && line.address == "/pong" {
                return;
            }
            other(line);
        }
    }

    /// Does what a request asks for. Gives what came of it by itself.
    pub(super) fn ask(&mut self, words: &[String], body: Option<&str>) -> Vec<Line> {
        std::thread::sleep((self.last + PACE).saturating_duration_since(Instant::now()));
        let all: Vec<&str> = words.iter().map(String::as_str).collect();
        let folder = self.place.folder.0.display().to_string();
        match all[..] {
            [kind @ ("udp" | "tcp" | "slip"), name, ..] => {
                let packet = packet(&words[2..]);
                self.opened(kind, name).send(packet);
            }
            ["ws", name, "osc", ..] => {
                let packet = packet(&words[3..]);
                self.opened("ws", name).send(packet);
            }
            ["ws", name, command, path] => {
                let text = serde_json::json!({"COMMAND": command, "DATA": path}).to_string();
                let Open::Web(socket) = self.opened("ws", name) else { panic!("{name} is no websocket") };
                socket.send(Message::Text(text.into())).unwrap();
            }
            ["http", method, path] => {
                let (status, kind, body) = http(self.place.web, method, path).expect("an answer by HTTP");
                let mut lines = vec![Line::new("http", &status.to_string(), &kind)];
                if let Ok(mut tree) = serde_json::from_str::<Json>(&body) {
                    tree.as_object_mut().and_then(|tree| tree.get_mut("OSC_PORT")).into_iter().for_each(
                        |port| {
                            *port = "*".into();
                        },
                    );
                    lines.extend(block("http", &json(&tree, 0)));
                } else {
                    lines.extend(block("http", &body));
                }
                return lines;
            }
            ["midi", "plug", name] => self.plug(&plain(name)),
            ["midi", ..] => {
                let byte = |word: &&str| u8::from_str_radix(word, 16).expect("bytes as 7F");
                let bytes: Vec<u8> = all[1..].iter().map(byte).collect();
                self.controller.as_ref().expect("midi plug NAME comes first").send(&bytes);
            }
            ["ctl", ref args @ ..] => return self.ctl(args, &folder),
            ["file", name] => {
                // As editors do: whoever looks sees the old file or the new one, whole.
                let body = self.place.filled(body.unwrap_or_default());
                let path = self.place.folder.write(&format!(".{name}.new"), &body);
                fs::rename(path, self.place.folder.at(name)).unwrap();
            }
            ["show", name] => {
                return block(name, &fs::read_to_string(self.place.folder.at(name)).unwrap());
            }
            ["signal", name] => self.daemon.signal(name),
            ["stop"] => {
                self.daemon.signal("TERM");
                let code = self.daemon.ended().code();
                self.open.clear();
                return vec![Line::new(
                    "daemon",
                    "exit",
                    &code.map_or("none".to_owned(), |code| code.to_string()),
                )];
            }
            ["audit"] => {
                let text = masked(&audit(&self.place), &folder);
                // When, behind which stands what.
                let line = |line: &str| line.split('\t').skip(1).collect::<Vec<_>>().join("; ");
                return block("audit", &text.lines().map(line).collect::<Vec<_>>().join("\n"));
            }
            _ => panic!("\"{}\" is no request", words.join(" ")),
        }
        Vec::new()
    }

    fn ctl(&self, args: &[&str], folder: &str) -> Vec<Line> {
        let to = format!("127.0.0.1:{}", self.place.osc);
        let args: Vec<String> = args.iter().map(|arg| plain(arg)).collect();
        let args: Vec<&str> =
            ["ctl", "--to", &to].into_iter().chain(args.iter().map(String::as_str)).collect();
        let out = lacquer(&args);
        let mut lines = vec![Line::new("ctl", "exit", &out.status.code().unwrap_or(-1).to_string())];
        for (stream, bytes) in [("stdout", out.stdout), ("stderr", out.stderr)] {
            for line in masked(&String::from_utf8(bytes).unwrap(), folder).lines() {
                // How long ago.
                let line = match line
                    .rsplit_once(' ')
                    .filter(|(who, _)| who.starts_with("/who ") && who.contains(" osc "))
                {
                    Some((who, _)) => format!("{who} *"),
                    None => line.to_owned(),
                };
                lines.push(Line::new("ctl", stream, &line));
            }
        }
        lines
    }

    /// The client of this name; the first time it is opened.
    fn opened(&mut self, kind: &str, name: &str) -> &mut Open {
        if !self.open.contains_key(name) {
            let open = self.connect(kind, name);
            self.open.insert(name.to_owned(), open);
        }
        self.open.get_mut(name).expect("it was opened")
    }

    fn connect(&self, kind: &str, name: &str) -> Open {
        let port = if kind == "ws" { self.place.web } else { self.place.osc };
        let folder = self.place.folder.0.display().to_string();
        let mouth =
            Mouth { name: name.to_owned(), tell: self.tell.clone(), folder, faults: RefCell::default() };
        let is_over = Arc::clone(&self.is_over);
        let is_on = move || !is_over.load(Ordering::Relaxed);
        if kind == "udp" {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            socket.connect(("127.0.0.1", port)).unwrap();
            socket.set_read_timeout(Some(LOOK)).unwrap();
            let ear = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                let mut bytes = vec![0; 65_536];
                while is_on() {
                    // What fails is a time-out, or a port that is closed by now.
                    if let Ok(length) = ear.recv(&mut bytes) {
                        mouth.packet(&bytes[..length]);
                    }
                }
            });
            return Open::Udp(socket);
        }
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_nodelay(true).unwrap();
        if kind == "ws" {
            return self.websocket(stream, mouth, is_on);
        }
        let (is_slip, mut ear) = (kind == "slip", stream.try_clone().unwrap());
        ear.set_read_timeout(Some(LOOK)).unwrap();
        std::thread::spawn(move || {
            let (mut bytes, mut come) = (vec![0; 16_384], Vec::new());
            while is_on() {
                match ear.read(&mut bytes) {
                    Ok(0) => return,
                    Ok(length) => come.extend(&bytes[..length]),
                    Err(error) if is_time_out(&error) => {}
                    Err(_) => return,
                }
                while let Some(packet) = unwrapped(&mut come, is_slip) {
                    mouth.packet(&packet);
                }
            }
        });
        Open::Stream { stream, is_slip }
    }

    fn websocket(&self, stream: TcpStream, mouth: Mouth, is_on: impl Fn() -> bool + Send + 'static) -> Open {
        let port = self.place.web;
        let ear = stream.try_clone().unwrap();
        let (mut ear, _) = tungstenite::client::client(format!("ws://127.0.0.1:{port}/"), ear).unwrap();
        ear.get_ref().set_read_timeout(Some(LOOK)).unwrap();
        std::thread::spawn(move || {
            while is_on() {
                match ear.read() {
                    Ok(Message::Binary(packet)) => mouth.packet(&packet),
                    Ok(Message::Text(text)) => {
                        let command: Json = serde_json::from_str(&text).unwrap();
                        let [name, data] =
                            ["COMMAND", "DATA"].map(|key| command[key].as_str().unwrap_or("?"));
                        mouth.line(name, &quoted(data));
                    }
                    Ok(_) => {}
                    Err(tungstenite::Error::Io(error)) if is_time_out(&error) => {}
                    Err(_) => return,
                }
            }
        });
        Open::Web(Box::new(WebSocket::from_raw_socket(stream, Role::Client, None)))
    }

    /// A controller comes. What it is shown once more is no news: each time that a port of it is connected, it is told
    /// everything.
    fn plug(&mut self, name: &str) {
        let controller = Arc::new(Controller::plug(name));
        self.controller = Some(Arc::clone(&controller));
        let (tell, is_over) = (self.tell.clone(), Arc::clone(&self.is_over));
        std::thread::spawn(move || {
            let mut shown = BTreeMap::new();
            let mut at = 0;
            while !is_over.load(Ordering::Relaxed) {
                let new = controller.shown.lock().unwrap()[at..].to_vec();
                at += new.len();
                for message in new {
                    let words: Vec<String> = message.iter().map(|byte| format!("{byte:02X}")).collect();
                    let (address, rest) =
                        words.split_at(words.len().min(if message[0] >= 0xE0 { 1 } else { 2 }));
                    let line = Line::new("midi", &address.join("-"), &rest.join(" "));
                    if shown.insert(line.address.clone(), line.rest.clone()).as_ref() != Some(&line.rest) {
                        tell.send(line).ok();
                    }
                }
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
    }
}

impl Drop for Clients {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
    }
}

fn is_time_out(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A text, line by line.
fn block(client: &str, text: &str) -> Vec<Line> {
    text.lines().map(|line| Line::new(client, "|", line)).collect()
}

/// The audit log of a station.
fn audit(place: &Place) -> String {
    eventually("the audit log", || read_kept(&place.folder.at("station.yaml"), ".audit.log"))
}
