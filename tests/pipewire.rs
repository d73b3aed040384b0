//! The daemon on a real PipeWire with WirePlumber, through PipeWire's JACK library.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::intent::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, text};
use lacquer_tests::pipewire::{Server, alone, library};
use lacquer_tests::studio::number;

/// Whether the station's output goes to the sink.
fn is_linked(server: &Server) -> bool {
    let links = server.links();
    let mut lines = links.lines();
    lines.any(|line| line == "lacquer-pw:master_1")
        && lines.next().is_some_and(|line| line.trim() == "|-> sink:playback_FL")
}

#[test]
fn pipewire_is_waited_for_followed_and_found_again() {
    if !alone("pipewire_is_waited_for_followed_and_found_again") {
        return;
    }
    let folder = Folder::new("pipewire");
    folder.write("a.yaml", "nodes: [{gain: {id: g}}, {limiter: {id: ceiling}}]");
    let port = free_port();
    let station = folder.write(
        "station.yaml",
        &format!(
            "audio: {{backend: jack, jack: {{client: lacquer-pw, connect: {{master: [\"sink:playback_FL\", \"sink:playback_FR\"]}}}}}}\n\
             chains: [a.yaml]\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}}}\n"
        ),
    );
    let runtime = folder.at("run");
    let daemon = Daemon::start_with(&station, port, |command| {
        command.env("LD_LIBRARY_PATH", library()).env("XDG_RUNTIME_DIR", &runtime);
    });
    daemon.logged("it is looked for");
    let server = Server::start(&folder);
    daemon.logged("a is on air");
    eventually("it is linked as the station says", || is_linked(&server).then_some(()));
    let client = daemon.client();
    client.say("/node/g/gain", vec![Value::Number(-7.0)]);
    let status = |key: &str| client.ask_for("/status", &format!("/status/{key}"));
    assert_eq!(number(&status("rate_hz")), 48_000.0);
    server.tool("pw-metadata", &["-n", "settings", "0", "clock.force-quantum", "256"]);
    eventually("another quantum is followed", || (number(&status("block_frames")) == 256.0).then_some(()));
    drop(server);
    // PipeWire goes without a word.
    daemon.logged("no sound has been processed for 3 s");
    let server = Server::start(&folder);
    eventually("it runs again", || (status("audio").values == [text("running")]).then_some(()));
    eventually("it is linked again", || is_linked(&server).then_some(()));
    assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0);
}
