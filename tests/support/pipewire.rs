//! A real PipeWire with WirePlumber, in a session of the test's own.

use crate::daemon::{Folder, eventually};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::{env, fs};

/// A session of its own for the test `name`: it runs again under a message bus of its own, with a runtime folder of its own
/// and with PipeWire's JACK library. True in there.
pub fn alone(name: &str) -> bool {
    if env::var_os("LACQUER_TEST_CHILD").is_some() {
        return true;
    }
    let runtime = Folder::new(&format!("{name}-run"));
    fs::set_permissions(&runtime.0, fs::Permissions::from_mode(0o700)).unwrap();
    let status = Command::new("dbus-run-session")
        .arg("--")
        .arg(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("LACQUER_TEST_CHILD", "1")
        .env("XDG_RUNTIME_DIR", &runtime.0)
        .env("LD_LIBRARY_PATH", library())
        .status()
        .expect("dbus-run-session: install dbus, as make test does");
    assert!(status.success(), "{name} failed in its own session");
    false
}

/// PipeWire, WirePlumber and a sink that leads nowhere.
pub struct Server {
    processes: Vec<Child>,
    runtime: PathBuf,
}

impl Server {
    pub fn start() -> Self {
        let runtime = PathBuf::from(env::var_os("XDG_RUNTIME_DIR").unwrap());
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

    fn spawn(&mut self, name: &str) {
        let mut command = Command::new(name);
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.processes.push(child.unwrap_or_else(|_| panic!("{name}: install it, as make test does")));
    }

    /// Starts PipeWire's server in the place of PulseAudio's. False where it is not installed, since PulseAudio itself is.
    pub fn start_pulse(&mut self) -> bool {
        if Command::new("pipewire-pulse").arg("--version").output().is_err() {
            eprintln!("skipped: pipewire-pulse is not installed");
            return false;
        }
        self.spawn("pipewire-pulse");
        let socket = self.runtime.join("pulse/native");
        eventually("PipeWire answers as PulseAudio does", || socket.exists().then_some(()));
        true
    }

    pub fn tool(&self, name: &str, args: &[&str]) -> Output {
        Command::new(name).args(args).output().unwrap()
    }

    /// All ports, each with what it is linked to below it.
    pub fn links(&self) -> String {
        let ports = self.tool("pw-link", &["-iol"]).stdout;
        String::from_utf8_lossy(&ports).into_owned()
    }
}

impl Server {
    /// Ends it, without a word to its clients.
    pub fn stop(&mut self) {
        // Once only: afterwards the socket may be another server's.
        if self.processes.is_empty() {
            return;
        }
        for mut child in self.processes.drain(..) {
            child.kill().ok();
            child.wait().ok();
        }
        fs::remove_file(self.runtime.join("pipewire-0")).ok();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Where PipeWire has its JACK library.
pub fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").unwrap().map(|entry| entry.unwrap().path());
    let found = folders.map(|folder| folder.join("pipewire-0.3/jack")).find(|folder| Path::is_dir(folder));
    found.expect("install pipewire-jack, as make test does")
}
