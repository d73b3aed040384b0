//! The daemon on a real PipeWire with WirePlumber, through PipeWire's JACK library.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::intent::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, text};
use lacquer_tests::studio::number;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::{env, fs};

/// A session of its own for the test `name`: it runs again under a message bus of its own. True in there.
fn alone(name: &str) -> bool {
    if env::var_os("LACQUER_TEST_CHILD").is_some() {
        return true;
    }
    let status = Command::new("dbus-run-session")
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("LACQUER_TEST_CHILD", "1")
        .status()
        .expect("dbus-run-session: install dbus, as make test does");
    assert!(status.success(), "{name} failed in its own session");
    false
}

/// PipeWire, WirePlumber and a sink that leads nowhere.
struct Server {
    processes: Vec<Child>,
    runtime: PathBuf,
}

impl Server {
    fn start(folder: &Folder) -> Self {
        let runtime = folder.at("run");
        fs::create_dir_all(&runtime).unwrap();
        fs::set_permissions(&runtime, fs::Permissions::from_mode(0o700)).unwrap();
        let mut server = Self { processes: Vec::new(), runtime };
        server.spawn("pipewire");
        let socket = server.runtime.join("pipewire-0");
        eventually("PipeWire answers", || socket.exists().then_some(()));
        server.spawn("wireplumber");
        let sink = "{ factory.name=support.null-audio-sink node.name=sink media.class=Audio/Sink object.linger=1 audio.position=[FL FR] }";
        assert!(server.tool("pw-cli", &["create-node", "adapter", sink]).status.success());
        eventually("the sink has ports", || server.links().contains("sink:playback_FL").then_some(()));
        server
    }

    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(name);
        command.env("XDG_RUNTIME_DIR", &self.runtime).stdin(Stdio::null());
        command
    }

    fn spawn(&mut self, name: &str) {
        let child = self.command(name).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.processes.push(child.unwrap_or_else(|_| panic!("{name}: install it, as make test does")));
    }

    fn tool(&self, name: &str, args: &[&str]) -> std::process::Output {
        self.command(name).args(args).output().unwrap()
    }

    /// All ports, each with what it is linked to below it.
    fn links(&self) -> String {
        let ports = self.tool("pw-link", &["-iol"]).stdout;
        String::from_utf8_lossy(&ports).into_owned()
    }

    fn is_linked(&self) -> bool {
        let links = self.links();
        let mut lines = links.lines();
        lines.any(|line| line == "lacquer-pw:master_1")
            && lines.next().is_some_and(|line| line.trim() == "|-> sink:playback_FL")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for child in &mut self.processes {
            child.kill().ok();
            child.wait().ok();
        }
        fs::remove_file(self.runtime.join("pipewire-0")).ok();
    }
}

/// Where PipeWire has its JACK library.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = folders.map(|folder| folder.join("pipewire-0.3/jack")).find(|folder| Path::is_dir(folder));
    found.expect("install pipewire-jack, as make test does")
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
    eventually("it is linked as the station says", || server.is_linked().then_some(()));
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
    eventually("it is linked again", || server.is_linked().then_some(()));
    assert_eq!(number(&client.ask("/node/g/gain", vec![])), -7.0);
}
