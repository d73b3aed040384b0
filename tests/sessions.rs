//! Recorded sessions: what a station tells its clients is what it told them when `tests/sessions/*.session` were
//! recorded. How they are written: `tests/support/session/mod.rs`. `make golden` records them anew.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::daemon::root;
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::session::session;

#[test]
fn osc_over_udp() {
    session("osc-udp");
}

#[test]
fn osc_patterns_and_bundles() {
    session("osc-patterns");
}

#[test]
fn osc_over_tcp_in_both_framings() {
    session("osc-streams");
}

#[test]
fn oscquery_over_http() {
    session("oscquery");
}

#[test]
fn oscquery_over_the_websocket() {
    session("websocket");
}

#[test]
fn a_midi_controller_over_jack() {
    if alone("a_midi_controller_over_jack") {
        let _server = Server::start(1_024);
        session("midi");
    }
}

#[test]
fn the_command_line() {
    session("ctl");
}

#[test]
fn scenes_glides_a_and_b_undo_and_cues() {
    session("scenes");
}

#[test]
fn files_read_again() {
    session("reload");
}

/// Only development builds have the node that goes wrong.
#[cfg(debug_assertions)]
#[test]
fn nodes_that_go_wrong() {
    session("faults");
}

#[test]
fn every_session_is_played() {
    let tests = std::fs::read_to_string(root().join("tests/sessions.rs")).unwrap();
    for entry in std::fs::read_dir(root().join("tests/sessions")).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        let played = name.strip_suffix(".session").map(|name| format!("session(\"{name}\")"));
        assert!(played.is_none_or(|played| tests.contains(&played)), "{name} is played by no test");
    }
}
