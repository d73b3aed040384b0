//! A client that floods the station fills neither the log nor the audit log, and hides nobody else's lines.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::surface::osc::datagrams;
use lacquer_control::surface::stream::Framing;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, eventually, text};
use lacquer_tests::sockets::{closed, connect_from};
use lacquer_tests::state::kept;
use lacquer_tests::studio::{Studio, number};
use std::fs;
use std::io::Write;
use std::net::UdpSocket;
use tungstenite::Message;

const GAIN: &str = "/node/tone/band/1/gain";
const RATIO: &str = "/node/glue/ratio";

/// More lines than one client may cause here, even where a busy machine takes minutes.
const FEW: usize = 150;

fn packets(address: &str, value: Value) -> Vec<Vec<u8>> {
    datagrams(&[Update::new(address, vec![value])])
}

/// Two faders that are moved by turns, and a switch: each message is a change of its own. The last value of the first fader
/// is `last`.
fn flood(last: f64, mut send: impl FnMut(Vec<u8>)) {
    for n in 0..300 {
        let (value, is_on) = (3.0 + f64::from(n % 2), n % 2 == 0);
        let each =
            [(GAIN, Value::Number(value)), (RATIO, Value::Number(value)), ("/bypass", Value::Switch(is_on))];
        each.into_iter().flat_map(|(address, value)| packets(address, value)).for_each(&mut send);
    }
    packets(GAIN, Value::Number(last)).into_iter().for_each(send);
}

#[test]
fn a_flood_over_udp_tcp_and_a_websocket_is_merged_in_the_audit_log_and_counted_in_both() {
    let (studio, web) = Studio::with_web("flood", "");
    let control = format!(
        "osc: {{listen: \"127.0.0.1:{}\", tcp: true}}, web: {{listen: \"127.0.0.1:{web}\"}}",
        studio.port
    );
    studio.write_control("[a.yaml, b.yaml]", &control, "");
    let mut daemon = studio.start();
    let calm = daemon.client();
    let arrives = |last: f64| {
        eventually("the last value", || (number(&calm.ask(GAIN, vec![])) == last).then_some(()));
    };
    calm.say("/scene/save", vec![text("before")]);
    calm.ask("/scenes", vec![]);

    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    udp.connect(daemon.address).unwrap();
    flood(5.0, |packet| _ = udp.send(&packet).unwrap());
    arrives(5.0);
    let mut tcp = connect_from(1, studio.port);
    flood(6.0, |packet| tcp.write_all(&Framing::Size.wrap(&packet)).unwrap());
    arrives(6.0);
    let (mut socket, _) =
        tungstenite::client::client(format!("ws://127.0.0.1:{web}/"), connect_from(1, web)).unwrap();
    flood(7.0, |packet| socket.send(Message::Binary(packet.into())).unwrap());
    arrives(7.0);

    calm.say("/scene/save", vec![text("after")]);
    calm.ask("/scenes", vec![]);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));

    let log = daemon.log();
    let count = |part: &str| log.lines().filter(|line| line.contains(part)).count();
    assert!((50..=3 * FEW).contains(&count(" bypass o")), "{log}");
    assert!(count(" more lines of this client left out in the last ") >= 3, "{log}");
    assert_eq!((count("scene \"before\" saved"), count("scene \"after\" saved")), (1, 1), "{log}");

    let audit = fs::read_to_string(kept(&studio.station, ".audit.log").unwrap()).unwrap();
    let lines: Vec<Vec<&str>> = audit.lines().map(|line| line.split('\t').collect()).collect();
    for (surface, last) in [("osc 127", "5 dB"), ("osc.tcp 127", "6 dB"), ("web 127", "7 dB")] {
        let own: Vec<_> = lines
            .iter()
            .filter(|line| line[1].starts_with(surface) && !line[3].starts_with("scene"))
            .collect();
        let (notes, changes): (Vec<_>, Vec<_>) = own.iter().partition(|line| line[3] == "left out");
        assert!((20..=FEW).contains(&changes.len()), "{surface}: {} lines:\n{audit}", changes.len());
        // Every change is counted, and so is every line that is not there.
        let stands_for = |line: &&&Vec<&str>| match line.get(6) {
            None => 1,
            Some(changes) => changes.strip_suffix(" changes").unwrap().parse::<usize>().unwrap(),
        };
        assert_eq!(changes.iter().map(stands_for).sum::<usize>(), 901, "{surface}:\n{audit}");
        let left_out = |line: &&&Vec<&str>| {
            let (count, rest) = line[5].split_once(' ').unwrap();
            assert!(rest.starts_with("more lines of this client left out in the last "), "{rest}");
            count.parse::<usize>().unwrap()
        };
        assert_eq!(notes.iter().map(left_out).sum::<usize>(), 901 - changes.len(), "{surface}:\n{audit}");
        assert_eq!(changes.iter().rfind(|line| line[3] == GAIN).unwrap()[5], last, "{surface}:\n{audit}");
        // Each line of a value goes on where the one before ended.
        let way: Vec<_> = changes.iter().filter(|line| line[3] == RATIO).collect();
        assert!(way.windows(2).all(|pair| pair[0][5] == pair[1][4]), "{surface}:\n{audit}");
    }
    for scene in ["scene before", "scene after"] {
        assert!(lines.iter().any(|line| line[3] == scene && line[5] == "saved"), "{audit}");
    }
}

#[test]
fn clients_that_are_refused_again_and_again_are_counted_and_hide_nobody() {
    let (studio, web) = Studio::with_web("refused", ", allow: [127.0.0.1]");
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("LACQUER_LOG", "debug");
    });
    let client = daemon.client();
    client.say("/scene/save", vec![text("before")]);
    daemon.logged("scene \"before\" saved");
    // Each is a new client, from the address of the first one: this machine.
    for _ in 0..300 {
        let mut stream = connect_from(2, web);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").ok();
        closed(&stream);
    }
    client.say("/scene/save", vec![text("after")]);
    daemon.logged("scene \"after\" saved");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    let log = daemon.log();
    let refused = log.matches("refused: this address is not in \"allow\"").count();
    assert!((20..=FEW).contains(&refused), "{refused} lines:\n{log}");
    let left_out = |line: &str| {
        let (count, _) =
            line.split_once(" more lines of new clients of this address left out in the last ")?;
        count.rsplit(' ').next()?.parse::<usize>().ok()
    };
    assert_eq!(log.lines().filter_map(left_out).sum::<usize>() + refused, 300, "{log}");
}
