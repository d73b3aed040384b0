//! Faults that a JACK server has, or whoever runs it: what comes back, how fast, and what was lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{AudioIn, AudioOut, Client, ClientOptions, Control, Port, ProcessScope};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, pass, text};
use lacquer_tests::ear::{
    Ear, Player, Recorder, cables, daemon, daemon_with, holes, noise, numbered, station,
};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::rights::{NO_BUS, through};
use lacquer_tests::sockets::{crowd, raise_open_files};
use lacquer_tests::studio::number;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

fn is_long() -> bool {
    std::env::var_os("LACQUER_LONG").is_some()
}

/// A player and a recorder on the daemon's left channel, once sound comes through at full level.
fn wired(sample: fn(u32) -> f32) -> (Player, Recorder) {
    let (player, recorder) = (Player::open(sample), Recorder::open());
    recorder.connect("player:out", "under-test:programme_1");
    recorder.connect("under-test:master_1", "recorder:in");
    player.play(u32::MAX);
    eventually("sound at full level", || {
        recorder.take();
        hear(&recorder, 9_600);
        let heard = recorder.take();
        (heard[0] != 0.0 && holes(&heard).is_empty()).then_some(())
    });
    (player, recorder)
}

/// Waits until so many more frames are heard.
fn hear(recorder: &Recorder, frames: usize) {
    let from = recorder.len();
    eventually("more sound", || (recorder.len() >= from + frames).then_some(()));
}

fn status(daemon: &Daemon, key: &str) -> f64 {
    number(&daemon.client().ask_for("/status", &format!("/status/{key}")))
}

fn freewheel(on: &str) {
    assert!(Command::new("jack_freewheel").arg(on).output().unwrap().status.success());
}

#[test]
fn a_block_size_that_changes_costs_no_sample_of_ours() {
    if !alone("a_block_size_that_changes_costs_no_sample_of_ours") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-bufsize");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (_player, recorder) = wired(numbered);
    let mut changes = 0;
    for block in [256, 1024, 32, 480, 64] {
        // On a busy machine the server itself may miss a block meanwhile; what the daemon did would come each time.
        eventually(&format!("a change to {block} frames without a hole"), || {
            changes += 1;
            assert!(Command::new("jack_bufsize").arg("128").output().unwrap().status.success());
            eventually("the block before", || (status(&daemon, "block_frames") == 128.0).then_some(()));
            recorder.take();
            hear(&recorder, 2_000);
            assert!(Command::new("jack_bufsize").arg(block.to_string()).output().unwrap().status.success());
            eventually("the block is told", || {
                (status(&daemon, "block_frames") == f64::from(block)).then_some(())
            });
            hear(&recorder, 4_000);
            let holes = holes(&recorder.take());
            println!(
                "from 128 to {block} frames: {} samples lost",
                holes.iter().map(|hole| hole.missing).sum::<i64>()
            );
            holes.is_empty().then_some(())
        });
    }
    assert!(daemon.log().matches("server changed its block size to").count() >= changes, "each is told");
}

#[test]
fn a_daemon_that_is_stopped_for_seconds_goes_on() {
    // jackd 1.9.21 may leave its other clients waiting for minutes after one that stood still: tests/faults.rs has the same
    // without it.
    if !is_long() || !alone("a_daemon_that_is_stopped_for_seconds_goes_on") {
        return;
    }
    let _server = Server::start(128);
    let folder = Folder::new("jack-stop");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (_player, recorder) = wired(numbered);
    let client = daemon.client();
    client.say("/node/line/freq", vec![Value::Number(333.0)]);
    assert_eq!(number(&client.ask("/node/line/freq", vec![])), 333.0);
    let xruns = status(&daemon, "xruns");
    recorder.take();
    daemon.signal("STOP");
    pass(Duration::from_secs(4));
    let begin = Instant::now();
    daemon.signal("CONT");
    let client = daemon.client();
    eventually("it answers", || {
        client.say("/ping", vec![]);
        client.hear_for(Duration::from_millis(50)).iter().any(|line| line.address == "/pong").then_some(())
    });
    hear(&recorder, 48_000);
    let heard = recorder.take();
    let holes = holes(&heard);
    let lost: i64 = holes.iter().map(|hole| hole.missing).sum();
    println!(
        "stopped for 4 s: answers after {:?}, {lost} frames lost in {} holes",
        begin.elapsed(),
        holes.len()
    );
    assert!(lost > 3 * 48_000, "it was stopped");
    // All that is heard is programme as it was played: later, never louder.
    assert!(heard.iter().all(|sample| (0.0..0.5).contains(sample)));
    assert!(holes.iter().all(|hole| hole.missing >= 0), "{holes:?}");
    eventually("what was lost is counted", || (status(&daemon, "xruns") > xruns).then_some(()));
    assert_eq!(number(&client.ask("/node/line/freq", vec![])), 333.0);
    assert!(
        !daemon.log().contains("session closed, retrying"),
        "the server was there all the time:\n{}",
        daemon.log()
    );
}

#[test]
fn a_server_that_is_stopped_for_seconds_is_left_and_found_again_while_the_desk_answers() {
    if !alone("a_server_that_is_stopped_for_seconds_is_left_and_found_again_while_the_desk_answers") {
        return;
    }
    let server = Server::start(128);
    let folder = Folder::new("jack-frozen");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (_player, recorder) = wired(numbered);
    let client = daemon.client();
    let frozen = server.frozen();
    daemon.logged("no callback for 3 s");
    // The desk works on, however long it takes.
    for step in 0..200 {
        let value = 100.0 + f64::from(step);
        client.say("/node/line/freq", vec![Value::Number(value)]);
        assert_eq!(number(&client.ask("/node/line/freq", vec![])), value);
        std::thread::park_timeout(Duration::from_millis(20));
    }
    client.say("/node/line/freq", vec![Value::Number(333.0)]);
    recorder.take();
    let back = Instant::now();
    drop(frozen);
    daemon.logged("jack: session open");
    let found = back.elapsed();
    eventually("sound", || (recorder.last() != 0.0).then_some(()));
    println!("found after {found:?}, heard after {:?}", back.elapsed());
    hear(&recorder, 48_000);
    let heard = recorder.take();
    let from = heard.iter().rposition(|sample| *sample == 0.0).unwrap_or(0) + 1;
    assert!(heard[from] < 0.01, "it comes up from silence: {}", heard[from]);
    assert!(heard.iter().all(|sample| (0.0..0.5).contains(sample)));
    assert_eq!(number(&client.ask("/node/line/freq", vec![])), 333.0);
}

#[test]
fn a_library_that_does_not_let_go_is_left_with_the_process_which_goes_on_where_it_was() {
    if !alone("a_library_that_does_not_let_go_is_left_with_the_process_which_goes_on_where_it_was") {
        return;
    }
    let server = Server::start(128);
    let folder = Folder::new("jack-held");
    let mut daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (player, recorder) = wired(numbered);
    let client = daemon.client();
    client.say("/node/line/freq", vec![Value::Number(333.0)]);
    assert_eq!(number(&client.ask("/node/line/freq", vec![])), 333.0);
    let frozen = server.frozen();
    daemon.logged("libjack did not close the client within 10 s: restarting the process");
    daemon.logged("process restarted because libjack did not close the client");
    assert!(daemon.is_running(), "to whoever started it, it is the same process");
    // The desk answers while the server still stands.
    assert_eq!(daemon.client().ask_for("/status", "/status/audio").values, [text("waiting for the server")]);
    let back = Instant::now();
    drop(frozen);
    eventually("it is on air again", || (daemon.log().matches("line is on air").count() >= 2).then_some(()));
    recorder.take();
    eventually("what was connected by hand sounds again", || (recorder.last() != 0.0).then_some(()));
    println!("a library that held on: heard {:?} after the server went on", back.elapsed());
    assert_eq!(number(&daemon.client().ask("/node/line/freq", vec![])), 333.0);
    drop(player);
}

#[test]
fn a_server_that_ends_or_is_killed_again_and_again_is_found_each_time() {
    if !alone("a_server_that_ends_or_is_killed_again_and_again_is_found_each_time") {
        return;
    }
    let mut server = Server::start(128);
    let folder = Folder::new("jack-again");
    let mut daemon = daemon(&folder, "line", ", connect: {master: [\"system:playback_*\"]}");
    daemon.client().say("/node/line/level", vec![Value::Number(-20.0)]);
    daemon.logged("line is on air");
    let rounds = if is_long() { 50 } else { 6 };
    let (mut found, mut silent) = (Vec::new(), Vec::new());
    for round in 1..=rounds {
        let (before, gone) = (daemon.log().matches("line is on air").count(), Instant::now());
        // The last one ends in order, and leaves nothing behind.
        if round % 2 == 1 {
            server.kill()
        } else {
            server.stop()
        }
        server = Server::start(128);
        let there = Instant::now();
        eventually("it plays again", || {
            (daemon.log().matches("line is on air").count() > before).then_some(())
        });
        found.push(there.elapsed());
        let ear = Ear::open();
        ear.connect("under-test:master_1", "ear:in");
        ear.heard();
        // With the ear there are three.
        eventually("it is connected", || {
            (cables(ear.client(), "under-test:master_1").len() == 3).then_some(())
        });
        silent.push(gone.elapsed());
    }
    found.sort();
    silent.sort();
    println!(
        "{rounds} restarts, every other by SIGKILL: on air {:?} after the server answers (at most {:?}); heard again {:?} after \
         it went (at most {:?}): {:.0} frames lost, {:.0} at most",
        found[rounds / 2],
        found[rounds - 1],
        silent[rounds / 2],
        silent[rounds - 1],
        silent[rounds / 2].as_secs_f64() * 48_000.0,
        silent[rounds - 1].as_secs_f64() * 48_000.0
    );
    assert_eq!(number(&daemon.client().ask("/node/line/level", vec![])), -20.0);
    assert!(daemon.is_running());
}

#[test]
fn a_crowd_of_idle_connections_does_not_keep_a_station_off_air() {
    if !alone("a_crowd_of_idle_connections_does_not_keep_a_station_off_air") {
        return;
    }
    raise_open_files(4_096);
    let mut server = Server::start(128);
    let (folder, web) = (Folder::new("jack-crowd"), free_port());
    let control = format!(", web: {{listen: \"127.0.0.1:{web}\", allow: [127.0.0.1]}}");
    let connect = ", connect: {master: [\"system:playback_*\"]}";
    let (station, port) = station(&folder, "line.yaml", "line", connect, &control);
    let daemon = Daemon::start_with(&station, port, |command| {
        // As many as a process has by default, and not to be raised.
        through(command, "prlimit", &["--nofile=1024:1024", "--"], NO_BUS);
    });
    daemon.logged("line is on air");
    // Half of them from an address that is not allowed, and as many again on the streams of OSC.
    let _crowds = [crowd(web, 1_100), crowd(port, 1_100)];
    server.kill();
    server = Server::start(128);
    eventually("it plays again", || (daemon.log().matches("line is on air").count() == 2).then_some(()));
    let ear = Ear::open();
    ear.connect("under-test:master_1", "ear:in");
    daemon.client().say("/node/line/level", vec![Value::Number(-20.0)]);
    ear.heard();
    drop(server);
}

/// A client that takes its time, once.
struct Slow {
    input: Port<AudioIn>,
    output: Port<AudioOut>,
    sleeps: Arc<AtomicBool>,
}

impl jack::ProcessHandler for Slow {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        self.output.as_mut_slice(scope).copy_from_slice(self.input.as_slice(scope));
        if self.sleeps.swap(false, Ordering::Relaxed) {
            std::thread::sleep(Duration::from_secs(5));
        }
        Control::Continue
    }
}

#[test]
fn freewheeling_is_no_standstill_and_no_other_sound() {
    if !alone("freewheeling_is_no_standstill_and_no_other_sound") {
        return;
    }
    let _server = Server::start(128);
    let folder = Folder::new("jack-freewheel");
    let daemon = daemon_with(&folder, "a.yaml", "a", "");
    let (player, recorder) = (Player::open(noise), Recorder::open());
    recorder.connect("player:out", "under-test:programme_1");
    recorder.connect("under-test:master_1", "recorder:in");
    player.play(96_000);
    eventually("it is heard", || (recorder.last() != 0.0).then_some(()));
    // What is played in the chain's rest: silence first, as fast as it comes.
    const LENGTH: u32 = 48_000;
    let take = |rest: usize| {
        player.play(0);
        hear(&recorder, rest);
        recorder.take();
        player.play(LENGTH);
        hear(&recorder, LENGTH as usize + 48_000);
        let heard = recorder.take();
        let from = heard.iter().position(|sample| *sample != 0.0).unwrap();
        heard[from..from + LENGTH as usize].to_vec()
    };
    let (slow, _) = Client::new("slow", ClientOptions::NO_START_SERVER).unwrap();
    let sleeps = Arc::new(AtomicBool::new(false));
    let handler = Slow {
        input: slow.register_port("in", AudioIn::default()).unwrap(),
        output: slow.register_port("out", AudioOut::default()).unwrap(),
        sleeps: Arc::clone(&sleeps),
    };
    let _slow = slow.activate_async((), handler).unwrap();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(600.0)]);
    freewheel("y");
    client.hear("freewheel", |line| {
        line.address == "/event/connection" && line.values == [text("freewheel"), text("on")]
    });
    let free = take(10_000_000);
    let xruns = status(&daemon, "xruns");
    // A client of an export writes to a slow disk: all wait for it.
    sleeps.store(true, Ordering::Relaxed);
    pass(Duration::from_secs(5));
    hear(&recorder, 48_000);
    let load = status(&daemon, "load_percent");
    assert!((0.0..100.0).contains(&load), "{load} % of a deadline in real time");
    assert_eq!(status(&daemon, "xruns"), xruns, "there are no deadlines");
    freewheel("n");
    daemon.logged("freewheel off");
    // In real time a server leaves out blocks where the machine is busy: one of some takes is whole.
    let is_the_same = |real: Vec<f32>| real.iter().zip(&free).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!((0..5).any(|_| is_the_same(take(240_000))), "another sound");
    assert!(!daemon.log().contains("no callback for"), "{}", daemon.log());
}

#[test]
fn twenty_minutes_at_64_frames_beside_an_idle_client() {
    if !is_long() || !alone("twenty_minutes_at_64_frames_beside_an_idle_client") {
        return;
    }
    let minutes =
        std::env::var("LACQUER_MINUTES").ok().and_then(|minutes| minutes.parse().ok()).unwrap_or(20.0);
    let _server = Server::start(64);
    let folder = Folder::new("jack-long");
    let mut daemon = daemon(&folder, "a", ", connect: {master: [\"system:playback_*\"]}");
    daemon.logged("a is on air");
    let player = Player::open(noise);
    let ear = Ear::open();
    ear.connect("player:out", "under-test:programme_1");
    player.play(u32::MAX);
    let (idle, own, resident) =
        (ear.xruns.load(Ordering::Relaxed), status(&daemon, "xruns"), daemon.resident());
    let begin = Instant::now();
    while begin.elapsed().as_secs_f64() < minutes * 60.0 {
        assert!(daemon.is_running(), "{}", daemon.log());
        std::thread::park_timeout(Duration::from_secs(1));
    }
    let (idle, own) = (ear.xruns.load(Ordering::Relaxed) - idle, status(&daemon, "xruns") - own);
    let histogram = daemon.client().ask_for("/status", "/status/load_histogram").values;
    println!(
        "{minutes} minutes at 64 frames: {own} xruns told to the daemon, {idle} to an idle client; load {:.2} %, callbacks by \
         tenths of their deadline {histogram:?}, memory {:+} KiB",
        status(&daemon, "load_percent"),
        daemon.resident() as i64 - resident as i64
    );
    assert!(!daemon.log().contains("session closed, retrying"), "{}", daemon.log());
    // The server tells all its clients of each; what the daemon itself is late for is in the histogram's last bar.
}
