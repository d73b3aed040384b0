//! What earlier versions have kept is read by this one: `tests/golden/state/vN` was written by the version of that
//! format. A format that changes gets a folder of its own, and the old ones stay.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{AsyncClient, AudioIn, Client, ClientOptions, Port};
use lacquer_control::value::Value;
use lacquer_tests::controller::Controller;
use lacquer_tests::daemon::{Daemon, Listener, eventually, root, text};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::session::Place;
use lacquer_tests::state;
use lacquer_tests::studio::number;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// The format that is written today.
const NEWEST: &str = "v1";

const LEVEL: &str = "/node/level/gain";

fn fixture(version: &str) -> PathBuf {
    root().join("tests/golden/state").join(version)
}

fn end(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

/// The file of the station's state folder; its name begins with something of the station's path.
fn kept(place: &Place, part: &str) -> PathBuf {
    state::kept(&place.folder.at("station.yaml"), part).unwrap()
}

/// Waits until the daemon has `value` at `address`.
fn holds(client: &Listener, address: &str, value: &Value) {
    eventually(&format!("{address} is {value:?}"), || {
        client.say(address, vec![]);
        let lines = client.hear_for(Duration::from_millis(50));
        lines.iter().any(|line| line.address == address && line.values.first() == Some(value)).then_some(())
    });
}

/// A client of the JACK server with one input that may be connected.
fn ear() -> (AsyncClient<(), ()>, Port<jack::Unowned>) {
    let (ear, _) = Client::new("ear", ClientOptions::NO_START_SERVER).unwrap();
    ear.register_port("in", AudioIn::default()).unwrap();
    let ear = ear.activate_async((), ()).unwrap();
    let port = ear.as_client().port_by_name("ear:in").unwrap();
    (ear, port)
}

/// Plays a session with all that is kept, and copies what the daemon has written to the fixture of today's format.
#[test]
#[ignore = "writes the fixture: only for a new format"]
fn what_this_version_keeps_is_written_down() {
    if !alone("what_this_version_keeps_is_written_down") {
        return;
    }
    let _server = Server::start(1_024);
    let place = Place::of(&fixture(NEWEST), "state-written");
    let (ear, _) = ear();
    let daemon = place.start();
    let client = daemon.client();
    let say = |address: &str, values: Vec<Value>| client.say(address, values);
    say("/subscribe", vec![Value::Number(600.0), text("meters 0")]);

    // Chain a: numbers, a switch, a text; two scenes.
    say("/node/tone/band/1/gain", vec![Value::Number(-7.25)]);
    say("/node/tone/band/2/freq", vec![text("4.4 kHz")]);
    say("/node/glue/enabled", vec![Value::Switch(false)]);
    say("/node/room/impulse", vec![text("far.txt")]);
    client.swap_phase("done", "a");
    say("/scene/save", vec![text("evening")]);
    say("/node/glue/threshold", vec![Value::Number(-33.0)]);
    say("/scene/save", vec![text("glue only"), text("glue")]);

    // A control of the controller is learned.
    let controller = Controller::plug("box");
    say("/learn", vec![text("/node/glue/ratio")]);
    eventually("it is learned", || {
        (60..70).for_each(|value| controller.send(&[0xB0, 22, value]));
        client.hear_for(Duration::from_millis(50)).into_iter().find(|line| line.address == "/event/learn")
    });
    let map = fs::read_to_string(place.folder.at("box.yaml")).unwrap();

    // B is chain b, with a scene that is on.
    say("/ab/chain", vec![text("b")]);
    say("/ab", vec![text("b")]);
    client.swap_phase("done", "b");
    say(LEVEL, vec![Value::Number(-11.5)]);
    say("/scene/5/save", vec![Value::Number(1.0)]);
    say("/ab/match", vec![Value::Switch(true)]);
    say("/bypass/match", vec![Value::Switch(true)]);
    say("/bypass", vec![Value::Switch(true)]);
    holds(&client, "/bypass", &Value::Switch(true));

    // A cable.
    ear.as_client().connect_ports_by_name("under-test:master_1", "ear:in").unwrap();
    let state = kept(&place, ".state.json");
    eventually("the connection is kept", || {
        fs::read_to_string(&state).unwrap().contains("ear:in").then_some(())
    });
    end(daemon);
    // For people: one value a line. The daemon reads it however it is set.
    let json: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    let at = |name: &str| fixture(NEWEST).join(name);
    fs::write(at("state.json"), serde_json::to_string_pretty(&json).unwrap() + "\n").unwrap();
    fs::copy(kept(&place, ".audit.log"), at("audit.log")).unwrap();
    fs::write(at("box.yaml"), map).unwrap();
}

#[test]
fn what_version_1_kept_is_restored_whole() {
    if !alone("what_version_1_kept_is_restored_whole") {
        return;
    }
    let _server = Server::start(1_024);
    let place = Place::of(&fixture("v1"), "state-v1");
    // Begun once, so that the files are there under the names that they have for this path.
    end(place.start());
    let (state, log) = (kept(&place, ".state.json"), kept_or_beside(&place));
    fs::copy(fixture("v1").join("state.json"), &state).unwrap();
    fs::copy(fixture("v1").join("audit.log"), &log).unwrap();
    let (_ear, port) = ear();
    let daemon = place.start();
    let client = daemon.client();
    assert!(!daemon.log().contains("renamed to"), "{}", daemon.log());

    // What is on air, and what is compared with it.
    client.say("/subscribe", vec![Value::Number(600.0), text("meters 0")]);
    let has = |address: &str, value: Value| {
        let line = client.hear(address, |line| line.address == address);
        assert_eq!(line.values, [value], "{address}");
    };
    has("/swap", text("b"));
    has("/bypass", Value::Switch(true));
    has("/bypass/match", Value::Switch(true));
    has("/ab", text("b"));
    has("/ab/match", Value::Switch(true));
    has("/scene/1/name", text("evening"));
    has("/scene/2/name", text("glue only"));
    has("/scene/5", Value::Number(1.0));
    has("/scene/5/name", text("Scene 5"));
    has(LEVEL, Value::Number(-11.5));
    eventually("the cable is there again", || {
        port.is_connected_to("under-test:master_1").is_ok_and(|is| is).then_some(())
    });

    // A, and chain a as it was left.
    client.say("/ab", vec![text("a")]);
    client.swap_phase("done", "a");
    // Asked by one who is told nothing else.
    let other = daemon.client();
    let is =
        |address: &str, value: Value| assert_eq!(other.ask(address, vec![]).values, [value], "{address}");
    let chain_a = |threshold: f64| {
        is("/node/tone/band/1/gain", Value::Number(-7.25));
        is("/node/tone/band/2/freq", Value::Number(4_400.0));
        is("/node/glue/enabled", Value::Switch(false));
        is("/node/glue/threshold", Value::Number(threshold));
        is("/node/room/impulse", text("far.txt"));
    };
    chain_a(-33.0);

    // The scenes: all nodes, and one.
    client.say("/scene/recall", vec![text("evening")]);
    chain_a(-20.0);
    client.say("/scene/recall", vec![text("glue only")]);
    chain_a(-33.0);
    client.say("/scene/5", vec![Value::Number(1.0)]);
    client.swap_phase("done", "b");
    is(LEVEL, Value::Number(-11.5));

    // The map has the control that was learned, and the cue list its cues.
    assert_eq!(other.ask("/cues", vec![]).values, [text("opening"), text("news"), text("late")]);
    client.say("/cue", vec![text("opening")]);
    client.swap_phase("done", "a");
    let controller = Controller::plug("box");
    let norm = "/norm/glue/ratio";
    eventually("the learned control moves its value", || {
        (0..=127).rev().for_each(|value| controller.send(&[0xB0, 22, value]));
        (number(&other.ask(norm, vec![])) == 0.0).then_some(())
    });
    end(daemon);

    // The log goes on where it ended.
    let before = fs::read_to_string(fixture("v1").join("audit.log")).unwrap();
    let after = fs::read_to_string(&log).unwrap();
    let new =
        after.strip_prefix(&before).expect("what was in the log is there, and what is new stands behind it");
    for what in ["\tcompare\t\tA", "\tscene evening\t\trecalled", "\tmidi 1\ta\t/node/glue/ratio\t"] {
        assert!(new.contains(what), "{what:?} in {new}");
    }
    assert!(new.lines().all(|line| line.split('\t').count() == 6), "{new}");
}

/// The audit log of a station, or where it will be.
fn kept_or_beside(place: &Place) -> PathBuf {
    let state = kept(place, ".state.json");
    PathBuf::from(state.to_string_lossy().replace(".state.json", ".audit.log"))
}
