//! What a station keeps: the state file, restored at the next start, and the audit log.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, eventually, text};
use lacquer_tests::random::Random;
use lacquer_tests::state;
use lacquer_tests::studio::{Studio, number};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

const GAIN: &str = "/node/tone/band/1/gain";

/// A station that goes on where it ended.
fn studio(name: &str) -> Studio {
    let studio = Studio::new(name);
    studio.write("[a.yaml, b.yaml]", "start: last");
    studio
}

fn kept(studio: &Studio, part: &str) -> Option<PathBuf> {
    state::kept(&studio.station, part)
}

fn state(studio: &Studio) -> serde_json::Value {
    let path = kept(studio, ".state.json").expect("there is a state file");
    serde_json::from_slice(&fs::read(path).unwrap()).expect("the state file is whole")
}

fn end(mut daemon: Daemon) {
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_station_goes_on_where_it_ended() {
    let studio = studio("last");
    let daemon = studio.start();
    let client = daemon.client();
    let set = |address: &str, value: f64| client.say(address, vec![Value::Number(value)]);
    set(GAIN, -7.25);
    client.say("/node/glue/enabled", vec![Value::Switch(false)]);
    client.say("/scene/save", vec![text("mine")]);
    client.say("/swap", vec![text("b")]);
    client.ask_for("/status", "/status/chain");
    eventually("b is on air", || {
        (client.ask_for("/status", "/status/chain").values == [text("b")]).then_some(())
    });
    set("/node/level/gain", -11.5);
    client.say("/bypass", vec![Value::Switch(true)]);
    client.ask("/bypass", vec![]);
    end(daemon);

    let daemon = studio.start();
    let client = daemon.client();
    assert_eq!(client.ask("/swap", vec![]).values, [text("b")]);
    assert_eq!(number(&client.ask("/node/level/gain", vec![])), -11.5);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(true)]);
    assert_eq!(client.ask("/scenes", vec![]).values, [text("mine")]);
    client.say("/swap", vec![text("a")]);
    eventually("a's values as they were left", || {
        let line = client.ask(GAIN, vec![]);
        (line.address == GAIN && number(&line) == -7.25).then_some(())
    });
    assert_eq!(client.ask("/node/glue/enabled", vec![]).values, [Value::Switch(false)]);
    end(daemon);

    // What the file says anew holds.
    let file = fs::read_to_string(studio.folder.at("b.yaml")).unwrap().replace("gain: -3 dB", "gain: -4 dB");
    studio.folder.write("b.yaml", &file);
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/swap", vec![text("b")]);
    eventually("the file's value", || {
        let line = client.ask("/node/level/gain", vec![]);
        (line.address == "/node/level/gain" && number(&line) == -4.0).then_some(())
    });
    end(daemon);

    // Without `start: last` only the scenes are left.
    studio.write("[a.yaml, b.yaml]", "");
    let daemon = studio.start();
    let client = daemon.client();
    assert_eq!(client.ask("/swap", vec![]).values, [text("a")]);
    assert_eq!(number(&client.ask(GAIN, vec![])), 2.0);
    assert_eq!(client.ask("/scenes", vec![]).values, [text("mine")]);
}

#[test]
fn a_state_that_cannot_be_read_is_kept_aside() {
    let studio = studio("unreadable");
    let daemon = studio.start();
    daemon.client().say(GAIN, vec![Value::Number(-3.0)]);
    end(daemon);
    let path = kept(&studio, ".state.json").unwrap();
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink(&path, &path).unwrap();
    let daemon = studio.start();
    daemon.logged("renamed to");
    end(daemon);
    assert!(kept(&studio, ".damaged-").is_some(), "what a person may need is still there");
    assert_eq!(state(&studio)["lacquer"], 1);
}

#[test]
fn a_state_that_cannot_be_renamed_is_not_replaced_and_changes_are_still_audited() {
    let studio = studio("unmovable");
    // With this name there is a state file, but a longer name is more than a file system takes.
    let station = studio.folder.at(&format!("{}.yaml", "s".repeat(230)));
    fs::copy(&studio.station, &station).unwrap();
    end(Daemon::start(&station, studio.port));
    let path = kept(&studio, ".state.json").unwrap();
    fs::write(&path, "{").unwrap();
    let daemon = Daemon::start(&station, studio.port);
    daemon.logged("starting without saved state, which is not saved");
    let client = daemon.client();
    client.say(GAIN, vec![Value::Number(-3.0)]);
    client.ask(GAIN, vec![]);
    end(daemon);
    assert_eq!(fs::read_to_string(&path).unwrap(), "{", "what a person may need is still there");
    let audit = fs::read_to_string(kept(&studio, ".audit.log").unwrap()).unwrap();
    assert!(audit.contains(GAIN), "{audit}");
}

#[test]
fn a_damaged_or_foreign_state_file_is_set_aside_and_said() {
    let studio = studio("damaged");
    let daemon = studio.start();
    daemon.client().ask("/chains", vec![]);
    end(daemon);
    let path = kept(&studio, ".state.json").unwrap();
    let whole = fs::read(&path).unwrap();
    let foreign = String::from_utf8(whole.clone()).unwrap().replace("\"lacquer\":1", "\"lacquer\":99");
    let mut random = Random::new(7);
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"{".to_vec(),
        whole[..whole.len() / 2].to_vec(),
        foreign.into_bytes(),
        b"[1, 2, 3]".to_vec(),
        b"[".repeat(100_000),
    ];
    cases.extend((0..20).map(|_| {
        let mut bytes = whole.clone();
        for _ in 0..1 + random.below(8) {
            let at = random.below(bytes.len());
            bytes[at] = random.bits() as u8;
        }
        bytes
    }));
    for (case, bytes) in cases.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        let mut daemon = studio.start();
        let client = daemon.client();
        assert!(
            matches!(&client.ask("/swap", vec![]).values[..], [Value::Text(name)] if name == "a" || name == "b")
        );
        if case < 6 {
            daemon.logged("renamed to");
            assert!(kept(&studio, ".damaged-").is_some());
        }
        assert!(daemon.is_running());
    }
}

#[test]
fn every_change_has_a_line_of_who_what_from_and_to() {
    let studio = studio("audit");
    let daemon = studio.start();
    let client = daemon.client();
    for value in [1.0, 2.0, 3.0] {
        client.say(GAIN, vec![Value::Number(value)]);
    }
    client.say("/node/glue/threshold", vec![text("-33 dB")]);
    client.say("/swap", vec![text("b")]);
    client.say("/bypass", vec![Value::Switch(true)]);
    client.ask("/bypass", vec![]);
    end(daemon);
    let log = fs::read_to_string(kept(&studio, "audit.log").unwrap()).unwrap();
    let lines: Vec<Vec<&str>> = log.lines().map(|line| line.split('\t').collect()).collect();
    let has = |chain: &str, what: &str, from: &str, to: &str| {
        lines.iter().any(|line| line[1].starts_with("osc 127.0.0.1:") && line[2..] == [chain, what, from, to])
    };
    assert!(has("a", GAIN, "2 dB", "3 dB"), "one line a gesture: {log}");
    assert!(has("a", "/node/glue/threshold", "-20 dBFS", "-33 dBFS"), "{log}");
    assert!(has("b", "swap", "a", "b"), "{log}");
    assert!(has("b", "bypass", "off", "on"), "{log}");
    let year = lines[0][0].split('-').next().unwrap();
    assert!(lines.iter().all(|line| line.len() == 6 && line[0].starts_with(year)), "{log}");
}

#[test]
fn a_full_disk_is_said_and_the_programme_plays_on() {
    let studio = studio("fulldisk");
    // A folder in the place of the file: nothing can be written there.
    let daemon = studio.start();
    end(daemon);
    let path = kept(&studio, ".state.json").unwrap();
    fs::remove_file(&path).unwrap();
    fs::create_dir_all(path.join("in the way")).unwrap();
    let mut daemon = studio.start();
    let client = daemon.client();
    client.say(GAIN, vec![Value::Number(1.0)]);
    daemon.logged("state not saved");
    assert_eq!(number(&client.ask(GAIN, vec![])), 1.0);
    assert!(daemon.is_running());
}

#[test]
fn a_fifo_in_place_of_the_state_and_the_audit_log_is_reported_and_nothing_waits_for_it() {
    let studio = studio("fifos");
    let daemon = studio.start();
    let client = daemon.client();
    client.say(GAIN, vec![Value::Number(1.0)]);
    eventually("the change is audited", || kept(&studio, ".audit.log"));
    end(daemon);
    for ending in [".state.json", ".audit.log"] {
        let path = kept(&studio, ending).unwrap();
        fs::remove_file(&path).unwrap();
        mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    }
    let daemon = studio.start();
    daemon.logged("a FIFO, not a file; starting without saved state");
    let client = daemon.client();
    client.say(GAIN, vec![Value::Number(3.0)]);
    daemon.logged("audit lines lost");
    assert_eq!(number(&client.ask(GAIN, vec![])), 3.0);
    end(daemon);
    assert_eq!(state(&studio)["lacquer"], 1, "the state takes the FIFO's place");
}

/// Kills a daemon `times` times while a value climbs, at any moment, or once the newest is kept. Each time the state must
/// be whole, and hold what was sent since it was last seen; what was seen kept is not lost.
fn kill(name: &str, times: usize, seed: u64) {
    let studio = studio(name);
    let _memory = studio.keep_in_memory();
    let mut random = Random::new(seed);
    let mut held = 2.0;
    for time in 0..times {
        let daemon = studio.start();
        let client = daemon.client();
        assert_eq!(number(&client.ask(GAIN, vec![])), held, "start {time}");
        let mut sent = vec![held];
        for _ in 0..1 + random.below(300) {
            let last = sent[sent.len() - 1];
            sent.push(if last > 17.0 { -17.0 } else { last + 0.0625 });
            client.say(GAIN, vec![Value::Number(sent[sent.len() - 1])]);
            std::thread::park_timeout(Duration::from_millis(3));
        }
        if time % 2 == 1 {
            // It is written by itself, while the station plays on.
            let newest = sent.split_off(sent.len() - 1);
            eventually("the newest is kept", || {
                client.say(GAIN, vec![Value::Number(newest[0])]);
                (state_held(&studio) == newest[0]).then_some(())
            });
            sent = newest;
        }
        drop(daemon);
        held = state_held(&studio);
        assert!(sent.contains(&held), "kill {time}: {held} was not sent since");
    }
}

/// The value that the state file holds: it keeps none that is the chain file's.
fn state_held(studio: &Studio) -> f64 {
    let state = kept(studio, ".state.json").map(|_| state(studio)).unwrap_or_default();
    let values = state["values"]["a"].as_array().map_or(&[][..], Vec::as_slice);
    let entry = values.iter().find(|entry| entry[0] == "/tone/band/1/gain");
    entry.and_then(|entry| entry[1].as_f64()).unwrap_or(2.0)
}

#[test]
fn killed_two_hundred_times_the_state_is_whole_and_nothing_that_was_kept_is_lost() {
    std::thread::scope(|scope| {
        for n in 0..8 {
            scope.spawn(move || kill(&format!("kill{n}"), 25, n));
        }
    });
}
