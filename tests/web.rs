//! Who reaches the ports that are listened on over TCP, by which name, with what, and how much of it.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::commands::{Bare, COMMANDS};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, eventually, text};
use lacquer_tests::rights::{NO_BUS, through};
use lacquer_tests::sockets::{closed, connect_from, limit_open_files, pong, request, websocket};
use lacquer_tests::studio::{Studio, number};
use serde_json::json;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

const THRESHOLD: &str = "/node/glue/threshold";

fn chain(daemon: &Daemon) -> Value {
    daemon.client().ask("/swap", vec![]).values[0].clone()
}

/// Waits until the tree is there: asked by an address, it always is.
fn whole_tree(web: u16) {
    let host = "Host: 127.0.0.1\r\n";
    eventually("the tree", || request(web, "GET /node", host).1.contains("threshold").then_some(()));
}

#[test]
fn every_command_is_in_the_tree_with_what_it_does_and_is_answered_over_http() {
    let (studio, web) = Studio::with_web("commands", "");
    let _daemon = studio.start();
    let host = "Host: 127.0.0.1\r\n";
    whole_tree(web);
    let node = |address: &str| -> serde_json::Value {
        let (status, answer) = request(web, &format!("GET {address}"), host);
        assert_eq!(status, 200, "{address}");
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    };
    for command in &COMMANDS {
        let address = command.address.replace("/NAME", "/b").replace("/N", "/100").replace("/KEY", "/chain");
        let (node, told) = (node(&address), |what: &str| format!("{address}: {what}"));
        assert_eq!(node["FULL_PATH"], address.as_str());
        assert_eq!(node["DESCRIPTION"], command.help, "{}", told("what it does"));
        let access = node["ACCESS"].as_u64().unwrap();
        let is_read = command.nature.bare() == Bare::Reads && address != "/ping";
        assert_eq!(access & 1 != 0, is_read, "{}", told("whether it is read"));
        let is_sent = command.nature.is_set() || !command.arguments.is_empty();
        assert_eq!(access & 2 != 0, is_sent, "{}", told("whether it is sent"));
        assert!(is_read || node.get("VALUE").is_none(), "{}", told("no value"));
    }
    for (address, attribute, value) in [
        ("/swap", "VALUE", json!(["a"])),
        ("/ab", "RANGE", json!([{"VALS": ["a", "b"]}])),
        ("/norm/bypass", "RANGE", json!([{"MIN": 0.0, "MAX": 1.0}])),
        ("/program/chain", "RANGE", json!([{"MIN": 1.0}])),
        ("/scene/recall", "TYPE", json!("sf")),
        ("/scene/recall", "RANGE", json!([null, {"MIN": 0.0, "MAX": 3600.0}])),
        ("/who", "ACCESS", json!(2)),
        ("/undo", "TYPE", json!("N")),
    ] {
        assert_eq!(node(address)[attribute], value, "{address}");
    }
    // The tree of a client that reads all of it has them too, slot by slot.
    let tree = node("/");
    for address in ["program/chain", "who", "status", "chains", "ping", "cues", "scene/1/save", "chain/b"] {
        let path = format!("/CONTENTS/{}", address.replace('/', "/CONTENTS/"));
        assert!(tree.pointer(&path).is_some_and(|node| node["DESCRIPTION"].is_string()), "{address}");
    }
    for nothing in [
        "/status/nonsense",
        "/status/devices",
        "/status/chain/x",
        "/chain/c",
        "/scene/129",
        "/scene/1/nothing",
        "/cue/nothing",
        "/scene/N",
        "/chain/NAME",
    ] {
        assert_eq!(request(web, &format!("GET {nothing}"), host).0, 404, "{nothing}");
    }
}

#[test]
fn only_the_names_of_the_station_are_answered_and_nothing_is_read_of_the_rest() {
    let (studio, web) = Studio::with_web("names", ", names: [studio.lan]");
    let daemon = studio.start();
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let machine = machine.trim().split('.').next().unwrap();
    let own = [
        "localhost".to_owned(),
        format!("127.0.0.1:{web}"),
        format!("[::1]:{web}"),
        machine.to_uppercase(),
        format!("{machine}.local:{web}"),
        format!("lacquer-{machine}.local."),
        "studio.lan:443".to_owned(),
    ];
    for host in &own {
        let host = format!("Host: {host}\r\n");
        for path in ["/?HOST_INFO", THRESHOLD] {
            assert_eq!(request(web, &format!("GET {path}"), &host).0, 200, "{host}");
        }
        assert_eq!(websocket(web, &host), 101, "{host}");
    }
    for host in ["evil.example", "localhost.evil.example", "192.0.2.1", "rebound.example:1"] {
        let host = format!("Host: {host}\r\n");
        for path in ["/?HOST_INFO", THRESHOLD, "/node/nobody", "/?NONSENSE"] {
            let (status, answer) = request(web, &format!("GET {path}"), &host);
            assert_eq!(status, 403, "{host}{answer}");
            assert!(answer.contains("is no name of this station"), "{answer}");
            assert!(answer.contains("control: {web: {names: [...]}}"), "{answer}");
        }
        assert_eq!(request(web, "DELETE /", &host).0, 403, "not even the method");
        assert_eq!(websocket(web, &host), 403, "{host}");
    }
    for unclear in ["", "Host:\r\n", "Host: localhost\r\nHost: localhost\r\n", "Host: a@localhost\r\n"] {
        assert_eq!(request(web, "GET /", unclear).0, 400, "{unclear:?}");
    }
    // The whole address in the first line counts as well.
    let fine = "Host: localhost\r\n";
    assert_eq!(request(web, "GET http://localhost/node", fine).0, 200);
    assert_eq!(request(web, "GET http://evil.example/node", fine).0, 403);
    let (_, answer) = request(web, "GET /", &format!("Host: {}.example\r\n", "x".repeat(200)));
    assert!(!answer.contains(&"x".repeat(65)), "{answer}");
    let said = daemon.log().matches("\"evil.example\" is no name of this station").count();
    assert_eq!(said, 1, "each name is said once:\n{}", daemon.log());
}

#[test]
fn only_pages_of_the_station_are_answered() {
    let (studio, web) = Studio::with_web("origins", ", names: [studio.lan]");
    let _daemon = studio.start();
    let both = |host: &str, origin: &str| {
        let headers = format!("Host: {host}\r\nOrigin: {origin}\r\n");
        let (tree, socket) = (request(web, "GET /", &headers).0, websocket(web, &headers));
        assert_eq!(tree == 403, socket == 403, "{headers}");
        tree == 200
    };
    let here = format!("localhost:{web}");
    assert!(both(&here, &format!("http://localhost:{web}")));
    assert!(both("studio.lan", "https://studio.lan"));
    assert!(both("127.0.0.1", "https://studio.lan"), "a proxy asks by another name");
    for origin in
        ["http://evil.example", "null", "http://localhost:1", "file://", "http://localhost.evil.example"]
    {
        assert!(!both(&here, origin), "{origin}");
    }
    assert!(!both(&format!("evil.example:{web}"), &format!("http://evil.example:{web}")), "rebound");
}

#[test]
fn only_get_and_head_are_answered() {
    let (studio, web) = Studio::with_web("methods", "");
    let daemon = studio.start();
    let host = "Host: localhost\r\n";
    for method in ["POST", "DELETE", "PUT", "PATCH", "OPTIONS", "TRACE", "SWAP"] {
        for path in ["/", "/undo", "/scene/save", "/?HOST_INFO", "/node/nobody"] {
            let (status, answer) = request(web, &format!("{method} {path}"), host);
            assert_eq!(status, 405, "{method} {path}");
            assert!(answer.to_lowercase().contains("\r\nallow: get, head\r\n"), "{answer}");
        }
    }
    let (status, answer) = request(web, "HEAD /", host);
    assert!(status == 200 && answer.ends_with("\r\n\r\n"), "{answer}");
    // Nor does a page that sends HTTP to the port of OSC, with packets in its body.
    let packet = "\u{0}".repeat(2);
    let swap = [b"/swap\0\0\0,s\0\0b\0\0\0".as_slice(), &[0xC0]].concat();
    let mut stream = connect_from(1, studio.port);
    write!(stream, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n\r\n{packet}").unwrap();
    stream.write_all(&[0xC0]).ok();
    stream.write_all(&swap).ok();
    assert_eq!(closed(&stream), "");
    assert_eq!(chain(&daemon), text("a"));
}

#[test]
fn no_client_keeps_the_others_out_and_who_is_not_allowed_is_closed_at_once() {
    let (studio, web) = Studio::with_web("crowd", ", allow: [127.0.0.1]");
    let daemon = studio.start();
    whole_tree(web);
    // None of them sends anything: each is answered and closed without, or closed alone where too many come.
    let refused: Vec<String> = (0..300).map(|_| closed(&connect_from(2, web))).collect();
    assert!(refused[0].starts_with("HTTP/1.1 403 ") && refused[0].contains("is not in \"allow\""));
    assert!(refused.iter().all(|answer| *answer == refused[0] || answer.is_empty()));
    let crowd: Vec<TcpStream> = (0..300).map(|_| connect_from(1, web)).collect();
    daemon.logged("web: 127.0.0.1");
    let refusals = daemon.log().matches(" connections from its address are open").count();
    assert!((1..=100).contains(&refusals), "{refusals} lines of two hundred refusals:\n{}", daemon.log());
    let streams: Vec<TcpStream> = (0..300).map(|_| connect_from(1, studio.port)).collect();
    daemon.logged("osc.tcp: 127.0.0.1");
    // OSC over UDP has no connections.
    daemon.client().ask(THRESHOLD, vec![]);
    drop(crowd);
    eventually("who goes makes room at the web port", || {
        let mut stream = connect_from(1, web);
        write!(stream, "GET /?HOST_INFO HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").ok()?;
        closed(&stream).contains("OSC_PORT").then_some(())
    });
    drop(streams);
    eventually("and on streams", || {
        let mut stream = connect_from(1, studio.port);
        stream.write_all(b"\0\0\0\x0c/ping\0\0\0,\0\0\0").ok()?;
        stream.read_exact(&mut [0; 4]).ok()
    });
}

#[test]
fn clients_that_send_nothing_or_read_nothing_are_closed_and_websockets_that_listen_are_not() {
    let (studio, web) = Studio::with_web("slow", "");
    let daemon = studio.start();
    whole_tree(web);
    let listener = {
        let mut stream = connect_from(1, web);
        let key = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
        write!(stream, "GET / HTTP/1.1\r\nHost: localhost\r\n{upgrade}{key}\r\n").unwrap();
        stream.read_exact(&mut [0; 12]).unwrap();
        stream
    };
    let silent = connect_from(1, web);
    let mut slow = connect_from(1, web);
    slow.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    let mut idle = connect_from(1, web);
    idle.write_all(b"GET /?HOST_INFO HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    // One that asks and asks, and reads nothing.
    let mut deaf = Greedy::new(web);
    eventually("who reads nothing is closed", || (!deaf.asks()).then_some(()));
    assert!(closed(&idle).contains("OSC_PORT"));
    closed(&silent);
    closed(&slow);
    // What it is told at last shows that it is still there.
    listener.set_nonblocking(false).unwrap();
    daemon.client().say("/swap", vec![text("b")]);
    let mut heard = Vec::new();
    let mut bytes = [0; 4_096];
    while !String::from_utf8_lossy(&heard).contains("PATH_CHANGED") {
        let length = (&listener).read(&mut bytes).expect("a websocket that is told nothing is kept");
        assert_ne!(length, 0, "a websocket that is told nothing is kept");
        heard.extend(&bytes[..length]);
    }
}

#[test]
fn a_daemon_without_files_to_open_goes_on_and_accepts_again_once_it_has_some() {
    let (studio, web) = Studio::with_web("files", "");
    let daemon = studio.start();
    let (stream, client) = (connect_from(1, studio.port), daemon.client());
    pong(&stream);
    client.ask(THRESHOLD, vec![]);
    let before = limit_open_files(daemon.pid(), Some(3));
    // They wait in the system's queue, and are served from there.
    let mut asks = connect_from(1, web);
    asks.write_all(b"GET /?HOST_INFO HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let pings = connect_from(1, studio.port);
    for port in ["web", "osc.tcp"] {
        daemon.logged(&format!("{port}: cannot accept connections"));
    }
    // Whoever is there already notices nothing.
    pong(&stream);
    client.ask(THRESHOLD, vec![]);
    client.say("/swap", vec![text("b")]);
    eventually("a swap", || (chain(&daemon) == text("b")).then_some(()));
    limit_open_files(daemon.pid(), before);
    assert!(closed(&asks).contains("OSC_PORT"));
    pong(&pings);
    for port in ["web", "osc.tcp"] {
        daemon.logged(&format!("{port}: connections are accepted again"));
        let said = daemon.log().matches(&format!("{port}: cannot accept connections")).count();
        assert_eq!(said, 1, "it is said once:\n{}", daemon.log());
    }
}

#[test]
fn as_many_files_may_be_open_as_the_system_lets() {
    let studio = Studio::new("limit");
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        through(command, "prlimit", &["--nofile=256:2048", "--"], NO_BUS);
    });
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    assert!(line.split_whitespace().skip(3).take(2).eq(["2048"; 2]), "{line}");
}

const ASK: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A client that asks for the whole tree again and again, without waiting for answers.
struct Greedy {
    stream: TcpStream,
    /// How much of a request is sent of which the rest is not.
    sent: usize,
}

impl Greedy {
    fn new(web: u16) -> Self {
        let stream = connect_from(1, web);
        stream.set_nonblocking(true).unwrap();
        Self { stream, sent: 0 }
    }

    /// Asks as often as the system takes it; false where the connection is closed.
    fn asks(&mut self) -> bool {
        match self.stream.write(&ASK.repeat(50).as_bytes()[self.sent..]) {
            Ok(length) => self.sent = (self.sent + length) % ASK.len(),
            Err(error) => return error.kind() == ErrorKind::WouldBlock,
        }
        true
    }

    /// Reads what there is; gives how many answers begin in it.
    fn reads(&mut self) -> usize {
        let mut bytes = [0; 1 << 16];
        let mut answers = 0;
        while let Ok(length @ 1..) = self.stream.read(&mut bytes) {
            answers += bytes[..length].windows(8).filter(|window| window == b"HTTP/1.1").count();
        }
        answers
    }
}

/// Ends a flood with its test.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn fifty_clients_that_ask_for_the_whole_tree_again_and_again_delay_nobody_else() {
    for reads in [false, true] {
        let (studio, web) = Studio::with_web(if reads { "greedy" } else { "deaf" }, "");
        let daemon = studio.start();
        whole_tree(web);
        let stream = connect_from(1, studio.port);
        let mut greedy: Vec<Greedy> = (0..50).map(|_| Greedy::new(web)).collect();
        let (answers, is_over) = (AtomicUsize::new(0), AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    for client in &mut greedy {
                        client.asks();
                        answers.fetch_add(if reads { client.reads() } else { 0 }, Ordering::Relaxed);
                    }
                    std::thread::park_timeout(std::time::Duration::from_millis(1));
                }
            });
            let _over = Over(&is_over);
            if reads {
                eventually("the flood", || (answers.load(Ordering::Relaxed) > 0).then_some(()));
            }
            let mut between = Vec::new();
            for value in 1..=10 {
                let before = answers.load(Ordering::Relaxed);
                pong(&stream);
                between.push(answers.load(Ordering::Relaxed) - before);
                let client = daemon.client();
                client.say(THRESHOLD, vec![Value::Number(-f64::from(value))]);
                assert_eq!(number(&client.ask(THRESHOLD, vec![])), -f64::from(value));
            }
            let least = between.iter().min().unwrap();
            println!("trees that were written out while a stream waited: {between:?}");
            assert!(*least < 25, "a stream waits for half of them at least: {between:?}");
        });
    }
}
