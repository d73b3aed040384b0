//! The daemon on a real PipeWire with WirePlumber, through PipeWire's JACK library.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{Client, ClientOptions, LatencyType};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, text};
use lacquer_tests::ear::{Player, Recorder, holes, numbered};
use lacquer_tests::pipewire::{Server, alone, library};
use lacquer_tests::studio::number;
use std::time::{Duration, Instant};
use std::{env, fs};

/// Whether the station's output goes to the sink.
fn is_linked(server: &Server) -> bool {
    let links = server.links();
    let mut lines = links.lines().skip_while(|line| *line != "under-test:master_1").skip(1);
    lines.by_ref().take_while(|line| line.starts_with(' ')).any(|line| line.trim() == "|-> sink:playback_FL")
}

/// A daemon on PipeWire, as its user starts it: nothing but the station says where PipeWire's library is.
fn daemon(folder: &Folder) -> Daemon {
    folder.write("a.yaml", "nodes: [{gain: {id: g}}, {limiter: {id: ceiling, lookahead: 5 ms}}]");
    let port = free_port();
    let connect = "connect: {master: [\"sink:playback_FL\", \"sink:playback_FR\"]}";
    let station = folder.write(
        "station.yaml",
        &format!(
            "name: Studio A\naudio: {{backend: jack, jack: {{client: under-test, library: pipewire, {connect}}}}}\n\
             chains: [a.yaml]\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}}}\n"
        ),
    );
    Daemon::start_with(&station, port, |command| {
        command.env_remove("LD_LIBRARY_PATH");
    })
}

fn status(daemon: &Daemon, key: &str) -> Update {
    daemon.client().ask_for("/status", &format!("/status/{key}"))
}

#[test]
fn pipewire_is_waited_for_followed_and_found_again() {
    if !alone("pipewire_is_waited_for_followed_and_found_again") {
        return;
    }
    let folder = Folder::new("pipewire");
    let daemon = daemon(&folder);
    daemon.logged("no PipeWire");
    let maps = fs::read_to_string(format!("/proc/{}/maps", daemon.pid())).unwrap();
    let mut libraries: Vec<_> = maps
        .lines()
        .filter(|line| line.contains("/libjack.so"))
        .filter_map(|line| line.split_whitespace().last())
        .collect();
    libraries.dedup();
    assert_eq!(libraries, [fs::canonicalize(library().join("libjack.so.0")).unwrap().to_str().unwrap()]);
    assert!(daemon.log().contains(&format!("JACK library {}", libraries[0])), "{}", daemon.log());
    assert!(daemon.log().contains("using PipeWire"), "{}", daemon.log());
    let server = Server::start();
    daemon.logged("a is on air");
    eventually("it is linked as the station says", || is_linked(&server).then_some(()));
    eventually("its ports have names for people", || {
        let told = server.tool("pw-metadata", &[]).stdout;
        String::from_utf8_lossy(&told).contains("'Studio A: master 1'").then_some(())
    });
    let client = daemon.client();
    client.say("/node/g/gain", vec![Value::Number(-7.0)]);
    assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0);
    server.tool("pw-metadata", &["-n", "settings", "0", "clock.force-quantum", "256"]);
    eventually("another quantum is followed", || {
        (number(&status(&daemon, "block_frames")) == 256.0).then_some(())
    });
    let mut server = server;
    let (mut found, mut heard) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let (before, gone) = (daemon.log().matches("a is on air").count(), Instant::now());
        drop(server);
        server = Server::start();
        let there = Instant::now();
        eventually("it is on air again", || {
            (daemon.log().matches("a is on air").count() > before).then_some(())
        });
        found.push(there.elapsed());
        eventually("it is linked again", || is_linked(&server).then_some(()));
        heard.push(gone.elapsed());
    }
    println!(
        "PipeWire restarted: on air {found:?} after it answers; linked again {heard:?} after it was killed"
    );
    // It goes without a word.
    daemon.logged("no callback for 3 s");
    assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0);
}

/// Waits until numbered samples come through the daemon without a hole.
fn whole(ends: &mut Option<(Player, Recorder)>, what: &str) {
    for _ in 0..6 {
        let (_, recorder) = ends.get_or_insert_with(|| {
            let (player, recorder) = (Player::open(numbered), Recorder::open());
            recorder.connect("player:out", "under-test:programme_1");
            recorder.connect("under-test:master_1", "recorder:in");
            player.play(u32::MAX);
            (player, recorder)
        });
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(5) {
            if recorder.len() > 4_800 {
                let heard = recorder.take();
                if heard[0] != 0.0 && holes(&heard).is_empty() {
                    return;
                }
            }
            std::thread::park_timeout(Duration::from_millis(5));
        }
        println!("the ends of the line are made anew");
        *ends = None;
    }
    panic!("in vain: {what}");
}

#[test]
fn a_quantum_and_a_rate_that_change_under_play_are_followed() {
    if !alone("a_quantum_and_a_rate_that_change_under_play_are_followed") {
        return;
    }
    let folder = Folder::new("pipewire-rate");
    let server = Server::start();
    let daemon = daemon(&folder);
    daemon.logged("a is on air");
    eventually("it is linked as the station says", || is_linked(&server).then_some(()));
    let client = daemon.client();
    client.say("/node/g/gain", vec![Value::Number(0.0)]);
    // A machine that does much else leaves holes of its own.
    let is_long = env::var_os("LACQUER_LONG").is_some();
    let mut ends = None;
    if is_long {
        whole(&mut ends, "sound at full level");
    }
    let links = || daemon.log().matches("jack: session open").count();
    let links_before = links();
    let force = |what: &str, value: u32| {
        let set = server.tool("pw-metadata", &["-n", "settings", "0", what, &value.to_string()]);
        assert!(set.status.success());
    };
    for quantum in [256, 1024, 64] {
        force("clock.force-quantum", quantum);
        daemon.logged(&format!("server changed its block size to {quantum} frames"));
        if let Some((_, recorder)) = &ends {
            println!("quantum {quantum}: {:?}", holes(&recorder.take()));
        }
        assert_eq!(number(&status(&daemon, "block_frames")), f64::from(quantum));
        if is_long {
            whole(&mut ends, "sound at full level, without a hole");
        }
    }
    force("clock.force-quantum", 256);
    client.say("/node/g/gain", vec![Value::Number(-7.0)]);
    assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0);
    for rate in [44_100, 48_000, 96_000] {
        let asked = Instant::now();
        client.say("/node/g/gain", vec![Value::Number(-7.0)]);
        force("clock.force-rate", rate);
        eventually("the rate is told", || {
            (number(&status(&daemon, "rate_hz")) == f64::from(rate)).then_some(())
        });
        eventually("it runs", || (status(&daemon, "audio").values == [text("running")]).then_some(()));
        let took = asked.elapsed();
        assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0, "values are kept");
        let latency = number(&status(&daemon, "latency_frames"));
        assert!(latency > f64::from(rate) * 0.005, "{latency} frames for a look-ahead of 5 ms");
        eventually("the latency is told", || {
            // A client that is there for longer may go on seeing the ports that were.
            let (probe, _) = Client::new("probe", ClientOptions::NO_START_SERVER).ok()?;
            let told = |port: &str| {
                let port = probe.port_by_name(&format!("under-test:{port}"))?;
                Some(port.get_latency_range(LatencyType::Capture).1)
            };
            (told("master_1")? == told("programme_1")? + latency as u32).then_some(())
        });
        eventually("it is linked", || is_linked(&server).then_some(()));
        println!("{rate} Hz: on air after {took:?}");
        client.say("/node/g/gain", vec![Value::Number(0.0)]);
        if is_long {
            whole(&mut ends, "what was connected by hand sounds again, at full level");
            println!("{rate} Hz: at full level after {:?}", asked.elapsed());
        }
    }
    // Leaving PipeWire in the midst of a change may take for ever: the client stays.
    assert_eq!(links(), links_before, "{}", daemon.log());
}
