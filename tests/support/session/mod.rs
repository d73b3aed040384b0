//! Recorded sessions: what clients ask of a station, and every reply and event that comes of it, as a text that a
//! person reads and reviews as a diff.
//!
//! ```text
//! # A comment. The station is a folder below tests/sessions/stations; $OSC and $WEB in its files become ports.
//! station plain
//! udp desk /subscribe 600 "meters 0"
//!     desk /swap "a"
//! udp tablet /node/glue/threshold -12
//!     desk /node/glue/threshold -12
//! ```
//!
//! A line without indentation is a request:
//!
//! | request | what it does |
//! | --- | --- |
//! | `udp NAME ADDRESS VALUES` | an OSC message; `tcp` with the size before it, `slip` in SLIP |
//! | `udp NAME bundle ADDRESS VALUES ; ... ; [ in 200ms ... ]` | a bundle; brackets nest one; due at once, or in a time |
//! | `http METHOD PATH` | a request to the web port |
//! | `ws NAME LISTEN PATH`, `IGNORE PATH`, `osc ADDRESS VALUES` | over the websocket |
//! | `midi plug NAME`, `midi B0 07 40` | a controller comes; it sends bytes |
//! | `ctl ARGUMENTS` | the command line |
//! | `file NAME <<` up to `>>` | writes a file in the station's folder; `show NAME` reads it |
//! | `signal HUP`, `stop` | a signal; SIGTERM, and the wait for the end |
//! | `audit` | reads the audit log |
//!
//! Numbers are floats; `3i`, `3h` and `3d` are the other types. `wait CLIENT ADDRESS VALUES` below a request is what
//! a recording waits for before it goes on.
//!
//! The indented lines are all that comes of it: sorted by client and address, in order for each address. Left out are
//! meters and xruns, and that a node is once more no number. `*` stands for what differs each time: clock times, ports, folders, counts of callbacks.
//! `glides to` stands for any number of values on the way to the one behind it.
//!
//! Nothing waits for a fixed time to see what comes: a step is over when all of its lines have come. A line that is not the next one that
//! was recorded of its client and address fails at once. `LACQUER_APPROVE=1` records anew.

mod clients;
mod judge;
mod osc;
mod script;
mod words;

use crate::daemon::{Daemon, Folder, PATIENCE, eventually, free_port, root};
use clients::{Clients, web_is_ready};
use judge::Judge;
use script::Script;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// So long nothing must have come until a step that is recorded is over; shorter where it was waited for its end.
const QUIET: Duration = Duration::from_millis(700);
const QUIET_AFTER_WAIT: Duration = Duration::from_millis(150);

/// A line that came: from which client, at which address, and what.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    pub client: String,
    pub address: String,
    pub rest: String,
}

impl Line {
    pub fn new(client: &str, address: &str, rest: &str) -> Self {
        Self { client: client.to_owned(), address: address.to_owned(), rest: rest.trim_end().to_owned() }
    }

    fn key(&self) -> (String, String) {
        (self.client.clone(), self.address.clone())
    }
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(format!("{} {} {}", self.client, self.address, self.rest).trim_end())
    }
}

/// Where a station's folder is, and its ports.
pub struct Place {
    pub folder: Folder,
    pub osc: u16,
    pub web: u16,
}

impl Place {
    /// Copies the folder of a station, with ports of its own.
    pub fn of(station: &Path, name: &str) -> Self {
        let place = Self { folder: Folder::new(name), osc: free_port(), web: free_port() };
        for entry in fs::read_dir(station).unwrap_or_else(|error| panic!("{}: {error}", station.display())) {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            place.folder.write(path.file_name().unwrap().to_str().unwrap(), &place.filled(&text));
        }
        place
    }

    fn filled(&self, text: &str) -> String {
        text.replace("$OSC", &self.osc.to_string()).replace("$WEB", &self.web.to_string())
    }

    pub fn start(&self) -> Daemon {
        Daemon::start(&self.folder.at("station.yaml"), self.osc)
    }
}

/// Plays the session of this name again, or records it anew where `LACQUER_APPROVE` is set.
pub fn session(name: &str) {
    let folder = root().join("tests/sessions");
    let path = folder.join(format!("{name}.session"));
    let file = format!("tests/sessions/{name}.session");
    let mut script = Script::parse(&file, &fs::read_to_string(&path).unwrap());
    let place = Place::of(&folder.join("stations").join(&script.station), &format!("session-{name}"));
    let daemon = place.start();
    if fs::read_to_string(place.folder.at("station.yaml")).unwrap().contains("web:") {
        eventually("the web port knows the values", || web_is_ready(place.web).then_some(()));
    }
    let mut clients = Clients::new(place, daemon);
    if std::env::var_os("LACQUER_APPROVE").is_some() {
        record(&mut script, &mut clients);
        fs::write(&path, script.text()).unwrap();
    } else {
        replay(&file, &script, &mut clients);
    }
}

fn replay(file: &str, script: &Script, clients: &mut Clients) {
    let mut judge = Judge::new(file, script);
    for (at, step) in script.steps.iter().enumerate() {
        judge.begin(at);
        let answers = clients.ask(&step.words, step.body.as_deref());
        answers.into_iter().for_each(|line| judge.heard(line));
        if let Some(name) = clients.may_be_synced(&step.words) {
            clients.sync(&name, |line| judge.heard(line));
        }
        let deadline = Instant::now() + PATIENCE;
        while !judge.has_all() {
            match clients.hear(deadline) {
                Some(line) => judge.heard(line),
                None => judge.in_vain(),
            }
        }
    }
    for name in clients.names() {
        clients.sync(&name, |line| judge.heard(line));
    }
    while let Some(line) = clients.hear(Instant::now()) {
        judge.heard(line);
    }
}

fn record(script: &mut Script, clients: &mut Clients) {
    for step in &mut script.steps {
        let mut lines = clients.ask(&step.words, step.body.as_deref());
        if let Some(name) = clients.may_be_synced(&step.words) {
            clients.sync(&name, |line| lines.push(line));
        }
        if let Some(wait) = &step.wait {
            let deadline = Instant::now() + PATIENCE;
            while !lines.contains(wait) {
                let line = clients.hear(deadline);
                lines.push(
                    line.unwrap_or_else(|| panic!("in vain: {wait} after {:?}: {lines:?}", step.words)),
                );
            }
        }
        let quiet = if step.wait.is_some() { QUIET_AFTER_WAIT } else { QUIET };
        while let Some(line) = clients.hear(Instant::now() + quiet) {
            lines.push(line);
        }
        step.expected = script::sorted(lines);
    }
}
