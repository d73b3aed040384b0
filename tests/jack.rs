//! The daemon on a real jackd with its dummy driver, heard by a second client.
//!
//! Each test runs in a process of its own, with a server of its own name, so that a server that runs on the
//! machine is left alone. They run one after the other: two servers at 64 frames disturb each other.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{AudioIn, Client, ClientOptions, LatencyType};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Folder, eventually, text};
use lacquer_tests::ear::{Ear, cables, daemon, daemon_with};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::random::Random;
use lacquer_tests::state::read_kept;
use std::sync::atomic::Ordering;
use std::time::Duration;

#[test]
fn ports_have_sensible_names_and_are_connected_as_the_station_says() {
    if !alone("ports_have_sensible_names_and_are_connected_as_the_station_says") {
        return;
    }
    let _server = Server::start(256);
    let folder = Folder::new("jack-ports");
    let connect = ", connect: {programme: [\"system:capture_1\", \"system:capture_2\"], master: [\"system:playback_1\", \"nowhere:2\"]}";
    let daemon = daemon(&folder, "a", connect);
    let ear = Ear::open();
    let ports = ear.client().ports(Some("under-test"), None, jack::PortFlags::empty());
    let names =
        ["programme_1", "programme_2", "master_1", "master_2"].map(|name| format!("under-test:{name}"));
    assert_eq!(ports, names);
    let connected = |port: &str| ear.client().port_by_name(port).unwrap().get_connections();
    eventually("the connections", || (connected(&names[0]) == ["system:capture_1"]).then_some(()));
    assert_eq!(connected(&names[1]), ["system:capture_2"]);
    assert_eq!(connected(&names[2]), ["system:playback_1"]);
    // What cannot be connected is said, and is no reason not to play.
    daemon.logged("not connected: under-test:master_2 with nowhere:2");
}

#[test]
fn the_latency_that_jack_is_told_is_the_one_that_is_heard() {
    if !alone("the_latency_that_jack_is_told_is_the_one_that_is_heard") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-latency");
    let daemon = daemon(&folder, "a", "");
    let ear = Ear::open();
    ear.connect("ear:out", "under-test:programme_1");
    ear.connect("under-test:master_1", "ear:in");
    let status = daemon.client();
    status.say("/status", vec![]);
    let line = status.hear("the latency", |line| line.address == "/status/latency_frames");
    // The longest of the three chains: 5 ms of look-ahead and the detector's 132 frames.
    assert_eq!(line.values, [Value::Number(372.0)]);
    let told = |port: &str, mode| ear.client().port_by_name(port).unwrap().get_latency_range(mode);
    eventually("the latency reaches the ports", || {
        let (capture, at) = (
            told("under-test:master_1", LatencyType::Capture),
            told("under-test:programme_1", LatencyType::Capture),
        );
        (capture.1 - at.1 == 372).then_some(())
    });
    // Muted at the start: an impulse must be sent until one is heard.
    // The loop from this client to itself costs one block of the server's. Where the server misses a block meanwhile, it
    // costs more; a latency that is another one would be so each time.
    eventually("an impulse comes through after 372 + 64 frames", || {
        ear.listen();
        ear.send.store(1, Ordering::Relaxed);
        std::thread::park_timeout(Duration::from_millis(30));
        let (first, sent) = (ear.first.load(Ordering::Relaxed), ear.sent.load(Ordering::Relaxed));
        (first != 0 && first.wrapping_sub(sent) == 372 + 64).then_some(())
    });
}

#[test]
fn a_block_size_that_changes_while_it_plays_is_followed() {
    if !alone("a_block_size_that_changes_while_it_plays_is_followed") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-block");
    let daemon = daemon(&folder, "line", "");
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    let client = daemon.client();
    client.say("/node/line/level", vec![Value::Number(-20.0)]);
    ear.heard();
    for block in [256, 1024, 32, 480] {
        ear.client().set_buffer_size(block).unwrap();
        daemon.logged(&format!("changed its block size to {block} frames"));
        ear.listen();
        ear.heard();
        let status = daemon.client();
        status.say("/status", vec![]);
        let line = status.hear("the block size", |line| line.address == "/status/block_frames");
        assert_eq!(line.values, [Value::Number(f64::from(block))]);
    }
}

#[test]
fn a_server_that_goes_is_reported_and_found_again_with_all_values() {
    if !alone("a_server_that_goes_is_reported_and_found_again_with_all_values") {
        return;
    }
    let mut server = Server::start(128);
    let folder = Folder::new("jack-gone");
    let mut daemon = daemon(&folder, "line", "");
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    client.say("/node/line/level", vec![Value::Number(-20.0)]);
    daemon.logged("line is on air");
    let level = || client.ask("/node/line/level", vec![]).values;
    eventually("it is told", || (level() == [Value::Number(-20.0)]).then_some(()));
    server.stop();
    client.hear("the loss", |line| line.address == "/event/connection" && line.values[0] == text("lost"));
    daemon.logged("the server has shut down");
    assert!(daemon.is_running());
    // It comes back at another rate and block size: all is planned anew.
    let _server = Server::at(44_100, 256);
    client.hear("the return", |line| line.address == "/event/connection" && line.values[0] == text("back"));
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    ear.heard();
    assert_eq!(client.ask("/node/line/level", vec![]).values, [Value::Number(-20.0)]);
    client.say("/status", vec![]);
    for (address, value) in [
        ("/status/rate_hz", 44_100.0),
        ("/status/block_frames", 256.0),
        ("/status/latency_frames", 221.0 + 132.0),
    ] {
        client.hear(address, |line| line.address == address && line.values == [Value::Number(value)]);
    }
}

#[test]
fn without_a_server_it_says_what_to_do_and_plays_once_there_is_one() {
    if !alone("without_a_server_it_says_what_to_do_and_plays_once_there_is_one") {
        return;
    }
    let folder = Folder::new("jack-none");
    let daemon = daemon(&folder, "line", ", connect: {master: [\"system:playback_*\", \"late:in\"]}");
    daemon.logged("no JACK server");
    assert!(daemon.log().contains("jackd -d alsa"), "and how one is started");
    let client = daemon.client();
    assert_eq!(client.ask_for("/status", "/status/audio").values, [text("waiting for the server")]);
    let _server = Server::start(128);
    daemon.logged("line is on air");
    daemon.logged("late:in: no such port; will be connected when it appears");
    // A pattern means all that fit; what comes later is connected when it comes.
    let probe = Client::new("probe", ClientOptions::NO_START_SERVER).unwrap().0;
    assert_eq!(cables(&probe, "under-test:master_1"), ["system:playback_1", "system:playback_2"]);
    let late = Client::new("late", ClientOptions::NO_START_SERVER).unwrap().0;
    late.register_port("in", AudioIn::default()).unwrap();
    let late = late.activate_async((), ()).unwrap();
    eventually("the late port is connected", || {
        (cables(late.as_client(), "under-test:master_2") == ["late:in"]).then_some(())
    });
}

#[test]
fn what_was_connected_by_hand_comes_back_with_the_server_and_with_its_port() {
    if !alone("what_was_connected_by_hand_comes_back_with_the_server_and_with_its_port") {
        return;
    }
    let mut server = Server::start(128);
    let folder = Folder::new("jack-hand");
    let daemon = daemon(&folder, "line", ", connect: {master: [\"system:playback_1\"]}");
    daemon.logged("line is on air");
    daemon.client().say("/node/line/level", vec![Value::Number(-20.0)]);
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    ear.connect("under-test:master_2", "system:playback_2");
    // What the station says is taken apart by hand, and stays so.
    ear.client().disconnect_ports_by_name("under-test:master_1", "system:playback_1").unwrap();
    eventually("both are noted", || {
        let state = read_kept(&folder.at("station.yaml"), ".state.json")?;
        (state.contains("system:playback_2") && !state.contains("system:playback_1")).then_some(())
    });
    drop(ear);
    server.stop();
    daemon.logged("session closed, retrying");
    let _server = Server::start(128);
    daemon.logged("jack: session open");
    let probe = Client::new("probe", ClientOptions::NO_START_SERVER).unwrap().0;
    eventually("the connection by hand", || {
        (cables(&probe, "under-test:master_2") == ["system:playback_2"]).then_some(())
    });
    let ear = Ear::open();
    eventually("the port that came back", || {
        cables(ear.client(), "under-test:master_1").contains(&"ear:in".to_owned()).then_some(())
    });
    ear.heard();
}

#[test]
fn each_control_message_is_heard() {
    if !alone("each_control_message_is_heard") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-control");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    let client = daemon.client();
    // After how many blocks is measured by tests/benches/live.rs.
    for _ in 0..50 {
        client.say("/node/line/level", vec![Value::Number(-20.0)]);
        ear.listen();
        ear.heard();
        client.say("/node/line/level", vec![text("-inf")]);
        ear.silent();
    }
}

#[test]
fn a_thousand_swaps_while_values_move_cost_no_memory() {
    if !alone("a_thousand_swaps_while_values_move_cost_no_memory") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-swaps");
    let (mut daemon, mut random) = (daemon(&folder, "a", ""), Random::new(1));
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    client.hear("the state", |line| line.address == "/swap");
    let swap = |to: &str| {
        client.say("/swap", vec![text(to)]);
        client.swap_phase("done", to);
    };
    // What is filled only once is filled now.
    (0..50).for_each(|i| swap(["b", "a"][i % 2]));
    let before = daemon.resident();
    for i in 0..1_000 {
        client.say("/node/ceiling/ceiling", vec![Value::Number(-12.0 * random.unit())]);
        client.say("/node/*/band/*/gain", vec![Value::Number(12.0 * random.unit() - 6.0)]);
        swap(["b", "a"][i % 2]);
    }
    let grown = daemon.resident() as i64 - before as i64;
    // The debug build's allocation guard ends the daemon where the audio thread touches the allocator.
    assert!(daemon.is_running());
    assert!(grown < 4_096, "memory grew by {grown} KiB");
}
