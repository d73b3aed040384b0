//! Names on a JACK server: what people read in a patch bay, aliases, and several daemons that want one name.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{AudioIn, AudioOut, Client, ClientOptions};
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, binary, eventually, free_port, root};
use lacquer_tests::ear::{cables, daemon};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::state::read_kept;
use lacquer_tests::studio::number;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;

fn probe() -> Client {
    Client::new("probe", ClientOptions::NO_START_SERVER).unwrap().0
}

/// What the server's metadata says, by whom it is about and by the end of its key.
fn metadata() -> BTreeMap<(u64, String), String> {
    let all = probe().property_get_all().into_iter();
    all.flat_map(|(uuid, map)| {
        map.into_iter().map(move |(key, property)| {
            ((uuid, key.rsplit('/').next().unwrap().to_owned()), property.value().to_owned())
        })
    })
    .collect()
}

/// The number of a port, as the tool that comes with JACK says it.
fn uuid(port: &str) -> u64 {
    let out = Command::new("jack_lsp").args(["-U", port]).output().unwrap();
    let text = String::from_utf8(out.stdout).unwrap();
    text.split("uuid: ").nth(1).unwrap().trim().parse().unwrap()
}

/// A station with a name, in a folder of its own.
fn station(folder: &Folder, name: &str, port: u16, jack: &str, midi: &str) -> PathBuf {
    folder.write("line.yaml", "nodes: [gain: {id: g}]");
    folder.write(
        "station.yaml",
        &format!(
            "name: {name}\naudio: {{backend: jack, jack: {jack}}}\nchains: [line.yaml]\n\
             control: {{osc: {{listen: \"127.0.0.1:{port}\"}}, midi: [{midi}]}}\n"
        ),
    )
}

#[test]
fn ports_have_names_for_people_and_an_order() {
    if !alone("ports_have_names_for_people_and_an_order") {
        return;
    }
    let mut server = Server::start(256);
    let (folder, port) = (Folder::new("jack-pretty"), free_port());
    let map = root().join("configs/midi/x-touch-mini.yaml").display().to_string();
    let station = station(&folder, "Studio A", port, "{client: under-test}", &map);
    let daemon = Daemon::start(&station, port);
    let check = || {
        let pretty = |port: &str| (uuid(&format!("under-test:{port}")), "pretty-name".to_owned());
        eventually("pretty names", || {
            (metadata().get(&pretty("x-touch-mini_out"))? == "Studio A: X-Touch Mini out").then_some(())
        });
        let all = metadata();
        assert_eq!(all[&pretty("programme_2")], "Studio A: programme 2");
        assert_eq!(all[&pretty("master_1")], "Studio A: master 1");
        assert_eq!(all[&(uuid("under-test:master_1"), "order".to_owned())], "2");
        let aliases = probe().port_by_name("under-test:master_1").unwrap().aliases().unwrap();
        assert_eq!(aliases, ["Studio A:master_1"]);
        let client: u64 = probe().uuid_of_client_by_name("under-test").unwrap();
        assert_eq!(all[&(client, "pretty-name".to_owned())], "Studio A");
    };
    check();
    server.stop();
    daemon.logged("session closed, retrying");
    let _server = Server::start(256);
    daemon.logged("jack: session open");
    check();
    daemon.signal("TERM");
    eventually("nothing is left of them", || metadata().is_empty().then_some(()));
}

#[test]
fn a_port_is_connected_by_its_alias() {
    if !alone("a_port_is_connected_by_its_alias") {
        return;
    }
    let _server = Server::start(256);
    let folder = Folder::new("jack-alias");
    // The dummy driver's own aliases; a pattern of an alias; one that is given later.
    let connect = ", connect: {programme: [\"dummy_pcm:dummy:out2\", \"*:desk left\"], master: [\"dummy_pcm:*:in*\", \"late speaker\"]}";
    let daemon = daemon(&folder, "line", connect);
    daemon.logged("line is on air");
    let probe = probe();
    let is = |port: &str, all: &[&str]| {
        eventually(&format!("{port} with {all:?}"), || {
            (cables(&probe, &format!("under-test:{port}")) == all).then_some(())
        });
    };
    is("programme_1", &["system:capture_2"]);
    is("master_1", &["system:playback_1", "system:playback_2"]);
    daemon.logged("under-test:master_2 with late speaker: no such port");
    assert!(!daemon.log().contains("dummy_pcm"), "what an alias fits is not missing");
    let other = Client::new("other", ClientOptions::NO_START_SERVER).unwrap().0;
    let mut desk = other.register_port("a", AudioOut::default()).unwrap();
    other.register_port("b", AudioIn::default()).unwrap();
    let other = other.activate_async((), ()).unwrap();
    is("master_2", &[]);
    desk.set_alias("usb:desk left").unwrap();
    is("programme_2", &["other:a"]);
    assert!(Command::new("jack_alias").args(["other:b", "late speaker"]).status().unwrap().success());
    is("master_2", &["other:b"]);
    drop(other);
}

#[test]
fn two_daemons_of_one_name_keep_apart_over_a_restart() {
    if !alone("two_daemons_of_one_name_keep_apart_over_a_restart") {
        return;
    }
    let mut server = Server::start(256);
    let folders = [Folder::new("jack-one"), Folder::new("jack-two")];
    let start = |at: usize, connect: &str| {
        let port = free_port();
        let jack = format!("{{client: same, connect: {{{connect}}}}}");
        let daemon = Daemon::start(&station(&folders[at], ["One", "Two"][at], port, &jack, ""), port);
        daemon.logged("line is on air");
        daemon.client().say("/node/g/gain", vec![Value::Number(-1.0 - at as f64)]);
        daemon
    };
    let one = start(0, "master: [\"system:playback_1\"]");
    let two = start(1, "master: [\"system:playback_1\"]");
    two.logged("client name same is used by another client; this one is called same-01");
    assert!(!one.log().contains("another client"));
    let wanted = [
        ("same:master_1", "system:playback_1"),
        ("same:programme_1", "system:capture_1"),
        ("same-01:programme_2", "system:capture_2"),
        ("same-01:master_1", "system:playback_1"),
        ("same-01:programme_1", "same:master_2"),
        ("same-01:master_2", "system:playback_2"),
    ];
    let are_there = |probe: &Client| {
        let ports = ["same:master_1", "same:master_2", "same:programme_1", "same:programme_2"].into_iter();
        let ports = ports.chain([
            "same-01:master_1",
            "same-01:master_2",
            "same-01:programme_1",
            "same-01:programme_2",
        ]);
        let found: usize = ports.map(|port| cables(probe, port).len()).sum();
        // The one between the two counts at both its ends.
        found == wanted.len() + 1
            && wanted.iter().all(|(ours, theirs)| cables(probe, ours).contains(&(*theirs).to_owned()))
    };
    let hand = probe();
    for (from, to) in [
        ("system:capture_1", "same:programme_1"),
        ("same:master_2", "same-01:programme_1"),
        ("same-01:master_2", "system:playback_2"),
        ("system:capture_2", "same-01:programme_2"),
    ] {
        hand.connect_ports_by_name(from, to).unwrap();
    }
    assert!(are_there(&hand));
    drop(hand);
    let kept = [["system:capture_1", "same-01:programme_1"], ["system:capture_2", "system:playback_2"]];
    for (folder, kept) in folders.iter().zip(kept) {
        eventually("what was connected by hand is kept", || {
            let state = read_kept(&folder.at("station.yaml"), ".state.json")?;
            kept.iter().all(|port| state.contains(port)).then_some(())
        });
    }
    for _ in 0..5 {
        // A server that a busy machine holds up may be left and found again besides.
        let found = |daemon: &Daemon| daemon.log().matches("jack: session open").count();
        let before = [found(&one), found(&two)];
        server.stop();
        server = Server::start(256);
        for (daemon, before) in [&one, &two].into_iter().zip(before) {
            eventually("it is back", || (found(daemon) > before).then_some(()));
        }
        let probe = probe();
        eventually("each has its own", || are_there(&probe).then_some(()));
    }
    assert_eq!(number(&one.client().ask("/node/g/gain", vec![])), -1.0);
    assert_eq!(number(&two.client().ask("/node/g/gain", vec![])), -2.0);
}

#[test]
fn a_library_that_is_none_is_refused_and_none_is_taken_in_its_place() {
    let folder = Folder::new("jack-library");
    let run = |library: &str| {
        let station = station(&folder, "X", free_port(), &format!("{{library: {library}}}"), "");
        let out = Command::new(binary()).arg("run").arg(station).output().unwrap();
        (out.status.code().unwrap(), String::from_utf8(out.stderr).unwrap())
    };
    let (code, said) = run("/nowhere/libjack.so.0");
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("no JACK library: /nowhere/libjack.so.0"), "{said}");
    assert!(said.contains("library: pipewire"), "{said}");
    // A library, but no JACK library.
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let libc = maps.lines().find_map(|line| line.split_whitespace().find(|word| word.ends_with("libc.so.6")));
    let (code, said) = run(libc.unwrap());
    assert_eq!(code, 3, "{said}");
    assert!(said.contains("cannot serve as libjack.so.0"), "{said}");
    let (code, said) = run("pipewir");
    assert_eq!(code, 78, "{said}");
    assert!(said.contains("pipewire"), "{said}");
}
