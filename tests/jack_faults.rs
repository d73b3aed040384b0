//! Faults that a JACK server has, or whoever runs it: what comes back, how fast, and what was lost.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{Client, ClientOptions, NotificationHandler};
use lacquer_control::intent::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, text};
use lacquer_tests::ear::{Ear, Player, Recorder, cables, daemon, daemon_with, holes, noise, numbered};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::studio::number;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

fn is_long() -> bool {
    std::env::var_os("LACQUER_LONG").is_some()
}

/// A player and a recorder on the daemon's left channel, once sound comes through at full level.
fn wired(player: Player) -> (Player, Recorder) {
    let recorder = Recorder::open();
    recorder.connect("player:out", "under-test:programme_1");
    recorder.connect("under-test:master_1", "recorder:in");
    player.play(u32::MAX >> 8);
    eventually("sound at full level", || {
        recorder.take();
        std::thread::park_timeout(Duration::from_millis(300));
        let heard = recorder.take();
        (heard.len() > 1_000 && heard[0] != 0.0 && holes(&heard).is_empty()).then_some(())
    });
    (player, recorder)
}

/// Waits until so many more frames are heard.
fn hear(recorder: &Recorder, frames: usize) {
    let from = recorder.len();
    eventually("more sound", || (recorder.len() >= from + frames).then_some(()));
}

#[test]
fn a_block_size_that_changes_costs_no_sample_of_ours() {
    if !alone("a_block_size_that_changes_costs_no_sample_of_ours") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("jack-bufsize");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (_player, recorder) = wired(Player::open(numbered));
    for block in [256, 1024, 32, 480, 64] {
        recorder.take();
        hear(&recorder, 4_000);
        let status = Command::new("jack_bufsize").arg(block.to_string()).output().unwrap();
        assert!(status.status.success(), "{status:?}");
        daemon.logged(&format!("blocks have {block} frames"));
        hear(&recorder, 8_000);
        let holes = holes(&recorder.take());
        println!("to {block}: {holes:?}");
    }
}

#[test]
fn a_daemon_that_is_stopped_for_seconds_goes_on() {
    if !alone("a_daemon_that_is_stopped_for_seconds_goes_on") {
        return;
    }
    let server = Server::start(128);
    let folder = Folder::new("jack-stop");
    let daemon = daemon_with(&folder, "line.yaml", "line", "");
    let (_player, recorder) = wired(Player::open(numbered));
    for who in ["daemon", "jackd"] {
        recorder.take();
        let signal = |name: &str| if who == "daemon" { daemon.signal(name) } else { server.signal(name) };
        signal("STOP");
        std::thread::sleep(Duration::from_secs(5));
        signal("CONT");
        std::thread::sleep(Duration::from_secs(4));
        let heard = recorder.take();
        println!(
            "{who}: {} {:?}\n{}",
            heard.len(),
            holes(&heard).iter().take(10).collect::<Vec<_>>(),
            daemon.log()
        );
    }
}
