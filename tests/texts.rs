//! Text settings live: an impulse set over OSC, a profile that is learned; refused, kept, undone, heard by a swap.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::media::{Depth, Sink};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Listener, eventually, free_port, text};
use lacquer_tests::rig::Rig;
use lacquer_tests::signal::{db, noise, rms, silence};
use lacquer_tests::state::read_kept;
use lacquer_tests::studio::{Studio, why};
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::symlink;
use std::path::Path;

const IMPULSE: &str = "/node/room/impulse";
const PROFILE: &str = "/node/hiss/profile";

/// One sample of `gain`: a room that is nothing but its level.
fn write(path: &Path, gain: f64) {
    let mut sink = Sink::create(path, 44_100, 1, Depth::Float32).unwrap();
    sink.write(&[&[gain][..]]).unwrap();
    sink.finish().unwrap();
}

/// A station whose chain a has a room and a node that learns. It goes on where it ended.
fn studio(name: &str) -> Studio {
    let studio = Studio::new(name);
    fs::create_dir_all(studio.folder.at("rooms")).unwrap();
    for (name, gain) in [("full.wav", 1.0), ("rooms/half.wav", 0.5), ("rooms/tenth.wav", 0.1)] {
        write(&studio.folder.at(name), gain);
    }
    let chain = "nodes:\n  - convolver: {id: room, impulse: full.wav}\n  - denoise: {id: hiss}\n";
    studio.folder.write("a.yaml", chain);
    studio.write("[a.yaml, b.yaml]", "start: last");
    studio
}

fn end(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

fn words(client: &Listener, address: &str) -> String {
    match client.ask(address, vec![]).values.as_slice() {
        [Value::Text(text)] => text.clone(),
        other => panic!("{address}: {other:?}"),
    }
}

#[test]
fn an_impulse_is_set_refused_undone_and_kept() {
    let studio = studio("text-impulse");
    symlink("/etc/passwd", studio.folder.at("rooms/link.wav")).unwrap();
    studio.folder.write("secret.txt", "root:x:0:0:root\n");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![text("text")]);
    client.hear("the impulse with all else", |line| {
        line.address == IMPULSE && line.values == [text("full.wav")]
    });
    assert_eq!(words(&client, "/text/room/impulse"), "full.wav");
    let other = daemon.client();
    other.say(IMPULSE, vec![text("rooms/half.wav")]);
    client.hear("another's text", |line| line.address == IMPULSE && line.values == [text("rooms/half.wav")]);
    client.swap_phase("done", "a");
    assert_eq!(words(&client, IMPULSE), "rooms/half.wav");

    for (path, told) in [
        ("rooms/hulf.wav", "impulse = \"rooms/hulf.wav\": no such file, did you mean \"half.wav\"?"),
        ("../a.wav", "\"../a.wav\" lies outside the chain file's folder"),
        ("/etc/passwd", "\"/etc/passwd\" lies outside the chain file's folder"),
        ("rooms/../../x.wav", "lies outside the chain file's folder"),
        ("a.yaml", "not a supported audio file"),
        ("rooms", "a folder, not a file"),
        ("rooms/link.wav", "the path leads out of the chain file's folder"),
        ("secret.txt", "line 1: not a number"),
    ] {
        let refused = other.ask(IMPULSE, vec![text(path)]);
        assert!(why(&refused).contains(told), "{path}: {}", why(&refused));
        assert!(!why(&refused).contains("root:x:0"), "{path}: {}", why(&refused));
        assert_eq!(words(&other, IMPULSE), "rooms/half.wav");
    }
    assert!(why(&other.ask(IMPULSE, vec![Value::Number(1.0)])).contains("takes a text"));
    assert!(why(&other.ask("/norm/room/impulse", vec![Value::Number(0.5)])).contains("no such address"));
    assert!(why(&other.ask("/who", vec![text("/norm/room/impulse")])).contains("no such address"));
    assert_eq!(other.ask("/who", vec![text(IMPULSE)]).values[0], text(IMPULSE));

    other.say("/undo", vec![]);
    client.hear("what was before", |line| line.address == IMPULSE && line.values == [text("full.wav")]);
    other.say("/redo", vec![]);
    client.hear("what was set", |line| line.address == IMPULSE && line.values == [text("rooms/half.wav")]);
    let (code, out, _) = studio.ctl(&["get", IMPULSE]);
    assert_eq!((code, out.as_str()), (0, "/node/room/impulse rooms/half.wav"));
    assert_eq!(studio.ctl(&["set", IMPULSE, "rooms/tenth.wav"]).0, 0);
    client.hear("ctl's text", |line| line.address == IMPULSE && line.values == [text("rooms/tenth.wav")]);
    end(daemon);

    let read = |part: &str| read_kept(&studio.station, part).unwrap();
    assert!(
        read(".audit.log").contains("/node/room/impulse\tfull.wav\trooms/half.wav"),
        "{}",
        read(".audit.log")
    );
    assert!(read(".state.json").contains("[\"/room/impulse\",\"rooms/tenth.wav\",\"full.wav\"]"));

    let daemon = studio.start();
    assert_eq!(words(&daemon.client(), IMPULSE), "rooms/tenth.wav", "as it was left");
    end(daemon);
    // Without the file it was left with, the chain's own is heard, and all else stays.
    fs::remove_file(studio.folder.at("rooms/tenth.wav")).unwrap();
    let daemon = studio.start();
    assert_eq!(words(&daemon.client(), IMPULSE), "full.wav");
    daemon.logged("chain \"a\": saved texts do not fit");
}

#[test]
fn scenes_and_a_and_b_hold_texts() {
    let studio = studio("text-scenes");
    let daemon = studio.start();
    let client = daemon.client();
    let is = |path: &str| eventually(path, || (words(&client, IMPULSE) == path).then_some(()));
    client.say("/scene/save", vec![text("dry")]);
    client.say("/ab/copy", vec![]);
    client.say(IMPULSE, vec![text("rooms/half.wav")]);
    is("rooms/half.wav");
    client.say("/ab", vec![text("b")]);
    is("full.wav");
    client.say("/ab", vec![text("a")]);
    is("rooms/half.wav");
    client.say("/scene/recall", vec![text("dry"), Value::Number(1.0)]);
    is("full.wav");
}

#[test]
fn an_impulse_that_changes_on_disk_is_taken_over_and_a_bad_one_changes_nothing() {
    let studio = studio("text-disk");
    studio.write("[a.yaml, b.yaml]", "watch: true");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    client.say(IMPULSE, vec![text("rooms/half.wav")]);
    client.swap_phase("done", "a");
    write(&studio.folder.at("new.wav"), 0.25);
    fs::rename(studio.folder.at("new.wav"), studio.folder.at("rooms/half.wav")).unwrap();
    client.swap_phase("done", "a");
    assert_eq!(words(&client, IMPULSE), "rooms/half.wav");
    fs::write(studio.folder.at("rooms/half.wav"), "no audio at all").unwrap();
    client.hear("what is wrong", |line| {
        line.address == "/event/swap" && format!("{:?}", line.values).contains("not a supported audio file")
    });
    client.say("/ping", vec![]);
    client.hear("it plays on", |line| line.address == "/pong");
    assert_eq!(client.ask_for("/status", "/status/chain").values, [text("a")]);
    write(&studio.folder.at("rooms/half.wav"), 0.5);
    client.swap_phase("done", "a");
}

#[test]
fn oscquery_shows_a_text_as_a_text() {
    let studio = studio("text-query");
    let web = free_port();
    let control =
        format!("osc: {{listen: \"127.0.0.1:{}\"}}, web: {{listen: \"127.0.0.1:{web}\"}}", studio.port);
    studio.write_control("[a.yaml, b.yaml]", &control, "");
    let daemon = studio.start();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(("127.0.0.1", web)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    eventually("the text on the web port", || {
        let answer = get(IMPULSE);
        (answer.contains("\"TYPE\":\"s\"") && answer.contains("\"VALUE\":[\"full.wav\"]")).then_some(())
    });
    assert!(!get(IMPULSE).contains("RANGE"));
    assert!(get("/norm/room/impulse").starts_with("HTTP/1.1 404"));
    drop(daemon);
}

#[test]
fn a_profile_that_was_learned_is_kept_without_a_swap() {
    let studio = studio("text-profile");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    let learn = |on: bool| client.say("/node/hiss/learn", vec![Value::Switch(on)]);
    learn(true);
    // Twenty a second: it has heard enough by then.
    for _ in 0..10 {
        client.hear("a level", |line| line.address == "/meter/output/peak");
    }
    learn(false);
    let told = client.hear("the profile", |line| line.address == PROFILE && line.values != [text("")]);
    let [Value::Text(profile)] = told.values.as_slice() else { panic!("{told:?}") };
    let levels: Vec<f64> = profile.split(' ').map(|level| level.parse().unwrap()).collect();
    assert_eq!(levels.len(), 40);
    println!("learned: {profile}");
    assert!(levels.iter().any(|level| *level > -100.0), "it heard the programme: {profile}");
    assert!(!daemon.log().contains("swap to a"), "nothing is rebuilt for it");
    // It can be undone, which takes a swap; the button that learns cannot.
    client.say("/undo", vec![]);
    client.hear("no profile", |line| line.address == PROFILE && line.values == [text("")]);
    assert!(why(&client.ask("/undo", vec![])).contains("nothing to undo"));
    client.say("/redo", vec![]);
    client.hear("the profile again", |line| line.address == PROFILE && line.values == [text(profile)]);
    learn(true);
    client.ask("/node/hiss/learn", vec![]);
    end(daemon);

    let daemon = studio.start();
    let client = daemon.client();
    assert_eq!(words(&client, PROFILE), *profile);
    assert_eq!(client.ask("/node/hiss/learn", vec![]).values, [Value::Switch(false)], "a button is not kept");
    let short = client.ask(PROFILE, vec![text("-80 -81")]);
    assert!(why(&short).contains("2 levels; a profile has 40"), "{}", why(&short));
}

#[test]
fn a_new_impulse_fades_in_as_a_swap_does() {
    let mut rig = Rig::of("  - convolver: {id: room, impulse: golden/impulse.txt}\n");
    let input = noise(-20.0, 3, 2, 48_000);
    let first = rig.play(&input);
    rig.set_value("/node/room/impulse", &text(""));
    let out = rig.play(&input);
    assert_eq!(out[0][40_000..], input[0][40_000..], "without an impulse nothing is left of it");
    assert!(db(rms(&first[0][40_000..]) / rms(&input[0][40_000..])) < -1.0, "it was heard before");
    let steps = out[0].windows(2).map(|pair| (pair[1] - pair[0]).abs()).fold(0.0, f64::max);
    assert!(steps < 0.25, "no step is larger than the noise's own: {steps}");
    assert!(rig.try_set("/node/room/impulse", &text("golden/impulsse.txt")).is_err());
    rig.play(&silence(2, 640));
}
