//! A station to test with, and its answers.

use crate::daemon::{Daemon, Folder, free_port, lacquer, state_home};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

pub const A: &str = "
description: the first
nodes:
  - eq: {id: tone, bands: [{shape: bell, freq: 1 kHz, gain: 2 dB}, {shape: highshelf, freq: 8 kHz}]}
  - compressor: {id: glue, threshold: -20 dB}
  - limiter: {id: ceiling}
";
pub const B: &str = "
nodes:
  - gain: {id: level, gain: -3 dB}
  - limiter: {id: ceiling, ceiling: -2 dBTP}
";

/// A station on the null backend with two chains, on a port of its own.
pub struct Studio {
    pub folder: Folder,
    pub station: PathBuf,
    pub port: u16,
}

impl Studio {
    /// Keeps its state in memory while the folder lives: a disk that has gigabytes to write, as after a build, would keep
    /// the state waiting for seconds.
    pub fn keep_in_memory(&self) -> Folder {
        let memory = Folder(Path::new("/dev/shm").join(self.folder.0.file_name().unwrap()));
        fs::create_dir_all(&memory.0).unwrap();
        symlink(&memory.0, state_home(&self.station)).unwrap();
        memory
    }

    pub fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("a.yaml", A);
        folder.write("b.yaml", B);
        let port = free_port();
        let station = folder.write("station.yaml", "");
        let studio = Self { folder, station, port };
        studio.write("[a.yaml, b.yaml]", "");
        studio
    }

    /// One with a web port as well, on 127.0.0.1, with more keys for it.
    pub fn with_web(name: &str, more: &str) -> (Self, u16) {
        let (studio, web) = (Self::new(name), free_port());
        let osc = format!("osc: {{listen: \"127.0.0.1:{}\"}}", studio.port);
        let control = format!("{osc}, web: {{listen: \"127.0.0.1:{web}\"{more}}}");
        studio.write_control("[a.yaml, b.yaml]", &control, "");
        (studio, web)
    }

    /// Writes the station file with these chains and more lines.
    pub fn write(&self, chains: &str, more: &str) {
        let listen = format!("osc: {{listen: \"127.0.0.1:{}\"}}", self.port);
        self.write_control(chains, &listen, more);
    }

    /// The same, with the `control:` section written out.
    pub fn write_control(&self, chains: &str, control: &str, more: &str) {
        let yaml = format!(
            "name: Test\naudio: {{backend: none, none: {{block: 64, source: programme}}}}\nchains: {chains}\n\
             swap: {{warmup: 20 ms, fade: 20 ms}}\ncontrol: {{{control}}}\n{more}"
        );
        fs::write(&self.station, yaml).unwrap();
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(&self.station, self.port)
    }

    pub fn ctl(&self, args: &[&str]) -> (i32, String, String) {
        let to = format!("127.0.0.1:{}", self.port);
        let out = lacquer(&[&["ctl", "--to", &to], args].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
    }
}

pub fn number(line: &Update) -> f64 {
    match line.values.as_slice() {
        [Value::Number(number)] => *number,
        other => panic!("{other:?} at {}", line.address),
    }
}

pub fn why(line: &Update) -> &str {
    match (line.address.as_str(), line.values.as_slice()) {
        ("/error", [Value::Text(_), Value::Text(why)]) => why,
        _ => panic!("{line:?} is no error"),
    }
}
