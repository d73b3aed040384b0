//! Real clients against the daemon: liblo, npm `osc` and `oscquery`, python-osc, zeroconf, Chromium.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::surface::stream::Framing;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::browser::Browser;
use lacquer_tests::daemon::{Daemon, PATIENCE, eventually, free_port, pass, root, text};
use lacquer_tests::flood::Flood;
use lacquer_tests::random::Random;
use lacquer_tests::sockets::connect_from;
use lacquer_tests::studio::{Studio, number};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

const THRESHOLD: &str = "/node/glue/threshold";
const GAIN: &str = "/node/tone/band/1/gain";
const RATIO: &str = "/node/glue/ratio";

/// A script of `tests/clients`, with what `make test` has put under `target/clients`.
fn script(name: &str, args: &[&str]) -> Command {
    let clients = root().join("target/clients");
    let path = root().join("tests/clients").join(name);
    let mut command = match name.ends_with(".py") {
        true => Command::new(clients.join("venv/bin/python")),
        false => Command::new("node"),
    };
    command.arg(path).args(args).env("NODE_PATH", clients.join("node_modules"));
    command
}

fn run(name: &str, args: &[&str]) -> String {
    let Output { status, stdout, stderr } =
        script(name, args).output().expect("run tests/clients/setup, as make test does");
    assert!(status.success(), "{name}: {}", String::from_utf8_lossy(&stderr));
    String::from_utf8(stdout).unwrap()
}

/// A process that ends with its test.
struct Reaped(Child);

impl Drop for Reaped {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

fn threshold(daemon: &Daemon) -> f64 {
    number(&daemon.client().ask(THRESHOLD, vec![]))
}

#[test]
fn liblo_is_understood_over_tcp_with_the_size_before_each_packet() {
    let studio = Studio::new("lotcp");
    let daemon = studio.start();
    let url = format!("osc.tcp://127.0.0.1:{}/", studio.port);
    let sent = Command::new("oscsend").args([&url, THRESHOLD, "f", "-31.5"]).status();
    assert!(sent.expect("oscsend: install liblo-tools, as make test does").success());
    eventually("the value that liblo sent", || (threshold(&daemon) == -31.5).then_some(()));
}

#[test]
fn liblo_hears_changes_and_meters_over_udp() {
    let studio = Studio::new("lodump");
    let daemon = studio.start();
    let port = free_port();
    let dump = Command::new("oscdump").args(["-L", &port.to_string()]).stdout(Stdio::piped()).spawn();
    let mut dump = Reaped(dump.unwrap());
    let lines = BufReader::new(dump.0.stdout.take().unwrap()).lines();
    let client = daemon.client();
    let wish = format!("port {port}");
    // oscdump says nothing when it is ready: ask until it hears.
    let (told, heard) = std::sync::mpsc::channel();
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(|line| _ = told.send(line)));
    let mut all = Vec::new();
    eventually("oscdump hears the change and the meters", || {
        client.say("/subscribe", vec![Value::Number(5.0), Value::Text(wish.clone())]);
        daemon.client().say(THRESHOLD, vec![Value::Number(-27.0)]);
        all.extend(heard.recv_timeout(Duration::from_millis(200)));
        all.extend(heard.try_iter());
        ["/node/glue/threshold f -27.0", "/meter/output/peak f"]
            .iter()
            .all(|what| all.iter().any(|line: &String| line.contains(what)))
            .then_some(())
    });
}

#[test]
fn npm_osc_is_understood_over_tcp_with_slip() {
    let studio = Studio::new("slip");
    let daemon = studio.start();
    let heard = run("slip.js", &[&studio.port.to_string(), THRESHOLD, "-12.25"]);
    assert_eq!(heard.trim(), "[\"/node/glue/threshold\",[-12.25]]");
    assert_eq!(threshold(&daemon), -12.25);
}

#[test]
fn python_osc_is_understood_over_udp_and_tcp_in_both_framings() {
    let studio = Studio::new("pyosc");
    let daemon = studio.start();
    let heard = run("pyosc.py", &[&studio.port.to_string(), THRESHOLD]);
    let lines: Vec<&str> = heard.lines().collect();
    assert_eq!(lines, ["udp [-21.5]", "tcp 1.0 [-22.5]", "tcp 1.1 [-23.5]"]);
    assert_eq!(threshold(&daemon), -23.5);
}

#[test]
fn npm_oscquery_finds_every_value_with_its_range() {
    let (studio, web) = Studio::with_web("oscquery", "");
    let daemon = studio.start();
    daemon.client().say(THRESHOLD, vec![Value::Number(-33.0)]);
    assert_eq!(threshold(&daemon), -33.0);
    let found = eventually("the new value", || {
        let found = run("query.js", &[&web.to_string()]);
        found.contains("\"value\":-33").then_some(found)
    });
    let nodes: Vec<serde_json::Value> =
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let node = |path: &str| nodes.iter().find(|node| node[0] == path).unwrap_or_else(|| panic!("no {path}"));
    let argument = &node(THRESHOLD)[3][0];
    assert_eq!(argument["value"].as_f64(), Some(-33.0), "{argument}");
    assert_eq!(
        (&argument["type"], argument["range"]["min"].as_f64()),
        (&"f".into(), Some(-60.0)),
        "{argument}"
    );
    for path in [
        "/norm/glue/threshold",
        "/text/glue/threshold",
        "/node/tone/band/1/gain",
        "/swap",
        "/bypass",
        "/undo",
    ] {
        node(path);
    }
}

/// Asks by HTTP: the status and the body.
fn get(port: u16, path: &str, headers: &str) -> (u16, String) {
    let answer = try_get(port, path, headers).unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status, body.to_owned())
}

/// Asks by HTTP: the whole answer. The port closes what comes while it has too many connections.
fn try_get(port: u16, path: &str, headers: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n{headers}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

#[test]
fn oscquery_answers_as_its_proposal_says() {
    let (studio, web) = Studio::with_web("proposal", "");
    let daemon = studio.start();
    let client = daemon.client();
    client.ask(THRESHOLD, vec![]);
    let json = |path: &str| -> serde_json::Value {
        let (status, body) = get(web, path, "");
        assert_eq!(status, 200, "{path}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    };
    let info = json("/?HOST_INFO");
    assert_eq!(info["NAME"], "Test");
    assert_eq!(info["OSC_PORT"], studio.port);
    assert_eq!(info["EXTENSIONS"]["LISTEN"], true);
    let ceiling = eventually("a value", || {
        let node = json("/node/ceiling/ceiling");
        (node["VALUE"] == serde_json::json!([-1.0])).then_some(node)
    });
    assert_eq!(ceiling["FULL_PATH"], "/node/ceiling/ceiling");
    assert_eq!(ceiling["TYPE"], "f");
    assert_eq!(ceiling["ACCESS"], 3);
    assert_eq!(ceiling["RANGE"][0]["MAX"], 0.0);
    assert_eq!(ceiling["UNIT"][0], "gain.db-raw");
    assert!(ceiling["DESCRIPTION"].as_str().is_some_and(|text| !text.is_empty()));
    assert_eq!(json("/node/ceiling/ceiling?VALUE"), serde_json::json!({"VALUE": [-1.0]}));
    assert_eq!(json("/node/glue/enabled")["TYPE"], "T");
    assert!(json("/node/tone/band/1/shape")["RANGE"][0]["VALS"].as_array().unwrap().contains(&"bell".into()));
    assert_eq!(json("/node?TYPE"), serde_json::json!({}));
    assert_eq!(json("/node/glue")["CONTENTS"]["ratio"]["FULL_PATH"], "/node/glue/ratio");
    assert_eq!(json("/")["ACCESS"], 0);
    assert_eq!(get(web, "/node/nobody", "").0, 404);
    assert_eq!(get(web, "/node/glue/ratio?NONSENSE", "").0, 400);
    assert_eq!(get(web, "/undo?VALUE", "").0, 204);
    // A page of another host must not get at the desk through a browser.
    assert_eq!(get(web, "/", "Origin: http://evil.example\r\n").0, 403);
    assert_eq!(get(web, "/", &format!("Origin: http://127.0.0.1:{web}\r\n")).0, 200);
}

#[test]
fn a_websocket_client_hears_what_it_listens_to_and_can_set() {
    let (studio, web) = Studio::with_web("listen", "");
    let daemon = studio.start();
    let client = daemon.client();
    client.ask(THRESHOLD, vec![]);
    let listener = script("listen.js", &[&web.to_string(), THRESHOLD, "3"]).stdout(Stdio::piped()).spawn();
    let mut listener = Reaped(listener.unwrap());
    let mut lines = BufReader::new(listener.0.stdout.take().unwrap()).lines().map_while(Result::ok);
    assert_eq!(lines.next().unwrap(), "[\"/node/glue/threshold\",[-20]]");
    eventually("what it set", || (number(&client.ask("/node/glue/ratio", vec![])) == 3.5).then_some(()));
    client.say("/node/glue/attack", vec![Value::Number(12.0)]);
    for chain in ["b", "a"] {
        client.say("/swap", vec![Value::Text(chain.to_owned())]);
        assert!(lines.any(|line| line == "{\"COMMAND\":\"PATH_CHANGED\",\"DATA\":\"/\"}"));
    }
    client.say(THRESHOLD, vec![Value::Number(-44.0)]);
    assert!(lines.any(|line| line == "[\"/node/glue/threshold\",[-44]]"));
}

#[test]
fn the_station_is_found_on_the_network() {
    let (studio, web) = (Studio::new("mdns"), free_port());
    let name = format!("Lacquer {}", std::process::id());
    let control = format!("osc: {{listen: \"0.0.0.0:{}\"}}, web: {{listen: \"0.0.0.0:{web}\"}}", studio.port);
    studio.write_control("[a.yaml]", &control, "");
    let station =
        std::fs::read_to_string(&studio.station).unwrap().replace("name: Test", &format!("name: {name}"));
    std::fs::write(&studio.station, station).unwrap();
    let daemon = studio.start();
    daemon.logged("announced as");
    let found = run("browse.py", &[&name, "_osc._udp.local.", "_osc._tcp.local.", "_oscjson._tcp.local."]);
    let wanted =
        format!("_osc._udp.local. {0}\n_osc._tcp.local. {0}\n_oscjson._tcp.local. {web}\n", studio.port);
    assert_eq!(found, wanted);
}

#[test]
fn who_is_not_let_in_is_told_once_and_not_heard_and_who_may_only_look_may_look() {
    let studio = Studio::new("rules");
    let listen = format!("listen: \"127.0.0.1:{}\"", studio.port);
    studio.write_control("[a.yaml]", &format!("osc: {{{listen}, read_only: [127.0.0.0/8]}}"), "");
    let daemon = studio.start();
    let client = daemon.client();
    let error = client.ask(THRESHOLD, vec![Value::Number(-50.0)]);
    assert!(matches!(&error.values[1], Value::Text(why) if why.contains("is read-only")), "{error:?}");
    assert_eq!(threshold(&daemon), -20.0);
    drop(daemon);
    studio.write_control("[a.yaml]", &format!("osc: {{{listen}, allow: [127.0.0.1]}}"), "");
    let daemon = studio.start();
    let stranger = UdpSocket::bind("127.0.0.2:0").unwrap();
    stranger.set_read_timeout(Some(PATIENCE)).unwrap();
    let (ping, swap) = (b"/ping\0\0\0,\0\0\0", b"/swap\0\0\0,s\0\0b\0\0\0");
    let subscribe = b"/subscribe\0\0,\0\0\0";
    for _ in 0..5 {
        for packet in [&ping[..], swap, subscribe] {
            stranger.send_to(packet, daemon.address).unwrap();
        }
    }
    let mut bytes = [0; 2_000];
    let length = stranger.recv(&mut bytes).unwrap();
    let error = b"/error\0\0,ss\0/\0\0\0this address is not in \"allow\"\0\0";
    assert_eq!(&bytes[..length], error);
    // Who asks after it is answered after it.
    assert_eq!(threshold(&daemon), -20.0, "others are answered");
    assert_eq!(daemon.client().ask("/swap", vec![]).values, [text("a")]);
    stranger.set_nonblocking(true).unwrap();
    assert!(stranger.recv(&mut bytes).is_err(), "a stranger is told once");
    // Over TCP in the framing that it uses.
    let framed = |packet: &[u8], framing: Framing| -> Vec<u8> {
        let mut stream = connect_from(2, studio.port);
        stream.write_all(&framing.wrap(packet)).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    };
    for framing in [Framing::Size, Framing::Slip] {
        assert_eq!(framed(swap, framing), framing.wrap(error), "{framing:?}");
    }
    assert_eq!(daemon.client().ask("/swap", vec![]).values, [text("a")]);
}

#[test]
fn a_subscription_ends_when_the_port_is_closed() {
    let studio = Studio::new("closed");
    let daemon = studio.start();
    let stays = daemon.client();
    stays.say("/subscribe", vec![Value::Number(600.0)]);
    let listener = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    listener.send_to(b"/subscribe\0\0,i\0\0\0\0\x02\x58", daemon.address).unwrap();
    let mut bytes = [0; 2_000];
    for _ in 0..20 {
        listener.recv(&mut bytes).unwrap();
    }
    drop(listener);
    // Meters come 20 times a second: the first one finds the port closed.
    eventually("a new socket at the port is sent nothing", || {
        pass(Duration::from_millis(200));
        let listener = UdpSocket::bind(port).ok()?;
        listener.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        listener.recv(&mut bytes).is_err().then_some(())
    });
    stays.hear_for(Duration::from_millis(1));
    eventually("others are sent their meters", || {
        let heard = stays.hear_for(Duration::from_millis(100));
        heard.iter().any(|line| line.address.starts_with("/meter/")).then_some(())
    });
}

#[test]
fn for_a_65th_subscriber_the_one_that_renewed_least_recently_goes_and_a_long_lease_is_shortened() {
    let studio = Studio::new("places");
    let daemon = studio.start();
    let words = || vec![Value::Number(600.0), text("meters 0")];
    let clients: Vec<_> = (0..65).map(|_| daemon.client()).collect();
    for (number, client) in clients.iter().enumerate() {
        client.say("/subscribe", words());
        client.hear("the full state", |line| line.address == "/swap");
        // The first one renews, so the second one is the least recently renewed.
        if number == 1 {
            clients[0].say("/subscribe", words());
            clients[0].hear("the full state again", |line| line.address == "/swap");
        }
    }
    let notice = clients[1].hear("the notice", |line| line.address == "/error");
    assert_eq!(notice.values[0], text("/subscribe"));
    clients[0].hear_for(Duration::from_millis(1));
    daemon.client().say(THRESHOLD, vec![Value::Number(-33.0)]);
    for number in [0, 2, 64] {
        clients[number].hear("the change", |line| line.address == THRESHOLD && number_is(line, -33.0));
    }
    let heard = clients[1].hear_for(Duration::from_millis(50));
    assert!(!heard.iter().any(|line| line.address == THRESHOLD && number_is(line, -33.0)), "{heard:?}");
    let reply = clients[0].ask("/subscribe", vec![Value::Number(86_400.0), text("meters 0")]);
    assert_eq!((reply.address.as_str(), &reply.values[0]), ("/subscribe", &Value::Number(600.0)));
}

fn number_is(line: &Update, wanted: f64) -> bool {
    line.values == [Value::Number(wanted)]
}

#[test]
fn no_error_repeats_a_long_argument() {
    let studio = Studio::new("quotes");
    let daemon = studio.start();
    let client = daemon.client();
    let long = "x".repeat(20_000);
    let addresses =
        ["/swap", "/scene/recall", "/scene/delete", "/cue", "/subscribe", "/who", "/learn", "/token"];
    let mut asked: Vec<(String, Vec<Value>)> =
        addresses.into_iter().map(|address| (address.to_owned(), vec![text(&long)])).collect();
    for tree in ["", "/node", "/norm", "/text", "/chain", "/status"] {
        asked.push((format!("{tree}/{long}"), vec![]));
        asked.push((format!("{tree}/{long}*"), vec![Value::Number(1.0)]));
    }
    asked.push((format!("/{{{long}"), vec![]));
    asked.push(("/node/glue/detection".to_owned(), vec![text(&long)]));
    asked.push((THRESHOLD.to_owned(), vec![text(&long)]));
    for (address, values) in asked {
        client.say(&address, values);
        client.say("/ping", vec![]);
        let mut heard = Vec::new();
        client.hear("all answers", |line| {
            heard.push(line.clone());
            line.address == "/pong"
        });
        for line in heard {
            let texts = line.values.iter().filter_map(|value| match value {
                Value::Text(text) => Some(text.as_str()),
                _ => None,
            });
            for text in texts.chain([line.address.as_str()]) {
                let start: String = address.chars().take(30).collect();
                assert!(!text.contains(&"x".repeat(65)), "{start}: {} bytes", text.len());
            }
        }
    }
}

#[test]
fn arbitrary_streams_and_requests_harm_nothing() {
    let (studio, web) = Studio::with_web("streams", "");
    let mut daemon = studio.start();
    let mut random = Random::new(3);
    for round in 0..300 {
        let bytes: Vec<u8> = (0..random.below(3_000)).map(|_| random.bits() as u8).collect();
        let start: &[u8] = match round % 6 {
            0 => &[0xC0],
            1 => &[0, 0, 0, 16],
            2 => b"GET /node/",
            3 => b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nHost: localhost\r\n\r\n",
            4 => &[0, 255, 255, 255],
            _ => b"#bundle\0",
        };
        let port = if round % 2 == 0 { web } else { studio.port };
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(start).ok();
        stream.write_all(&bytes).ok();
    }
    // The streams are closed here, and count until the station has noticed.
    eventually("the web port has room again", || {
        try_get(web, "/", "").ok().filter(|answer| !answer.is_empty())
    });
    for path in ["/%00", "/%ff%fe", "/node/../..", "//", "/node//", "/?", "/?&=", "/node/glue?VALUE&TYPE"] {
        assert!(get(web, path, "").0 < 500, "{path}");
    }
    assert_eq!(threshold(&daemon), -20.0);
    assert!(daemon.is_running());
}

/// What a page in Chromium does that has come from `host` at the station's own port, before the station was there: once it
/// is, the page reads its tree, opens a websocket, and has it swap the chain; so it does by the port of OSC.
fn done_by_a_page_of(host: &str) -> (String, Value) {
    let (studio, web) = Studio::with_web(host, "");
    let browser = Browser::open(host, web, &[("OSC", studio.port)], "rebound.html");
    let daemon = studio.start();
    let done = browser.told();
    (done, daemon.client().ask("/swap", vec![]).values[0].clone())
}

#[test]
fn a_page_in_chromium_whose_name_was_rebound_to_this_machine_gets_nothing_and_changes_nothing() {
    assert_eq!(done_by_a_page_of("evil.example"), ("no tree, no websocket".to_owned(), text("a")));
    // The same page is the station's own where its name is.
    assert_eq!(done_by_a_page_of("localhost"), ("tree, websocket".to_owned(), text("b")));
}

#[test]
fn a_flood_from_one_peer_leaves_the_others_answered_and_its_last_value_arrives() {
    let studio = Studio::new("flood");
    let daemon = studio.start();
    let client = daemon.client();
    let flood = Flood::start(daemon.address);
    // How long it takes is the matter of tests/benches/live.rs; what a full socket loses is asked for again.
    for ratio in 0..20 {
        let ratio = 2.0 + f64::from(ratio) / 100.0;
        eventually("it is set and answered", || {
            client.say(RATIO, vec![Value::Number(ratio)]);
            client.say(RATIO, vec![]);
            let lines = client.hear_for(Duration::from_millis(20));
            lines
                .iter()
                .any(|line| line.address == RATIO && (number(line) - ratio).abs() < 1e-6)
                .then_some(())
        });
    }
    let (_, last, again) = flood.stop();
    // Its last value arrives, whatever was left out before it.
    eventually("the last value of the flood", || {
        again();
        client.say(GAIN, vec![]);
        let lines = client.hear_for(Duration::from_millis(20));
        let is_last = |line: &Update| line.address == GAIN && (number(line) - f64::from(last)).abs() < 1e-4;
        lines.iter().any(is_last).then_some(())
    });
}
