//! What goes into the desk, what comes out of it, and one turn of it.

use crate::desk::chains::{ChainError, ChainFile, ToPlan};
use crate::desk::cues::Cue;
use crate::desk::settings::Settings;
use crate::message::{Load, Row};
use crate::peer::Peer;
use crate::request::Request;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::run::engine::Event;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The time of a turn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Now {
    /// Time since the start; never goes back.
    pub monotonic: Duration,
    /// Time of day, which may be set.
    pub wall: SystemTime,
    /// Offset of the local time from UTC, in seconds.
    pub utc_offset: i32,
}

impl Now {
    /// The local time, in seconds since some midnight.
    pub(crate) fn local_seconds(&self) -> i64 {
        let since = self.wall.duration_since(SystemTime::UNIX_EPOCH);
        let seconds = since
            .map_or_else(|before| -(before.duration().as_secs() as i64) - 1, |since| since.as_secs() as i64);
        seconds + i64::from(self.utc_offset)
    }
}

/// Number of a task that the desk has asked for. Its result carries the same number.
pub type Ticket = u64;

/// What goes into the desk.
#[derive(Clone, Debug)]
pub enum Input {
    /// A request of a peer.
    Request {
        /// The peer.
        by: Peer,
        /// The request.
        request: Request,
    },
    /// An event of the engine.
    Engine(Event),
    /// A node or a chain panicked on the audio thread, and is bypassed.
    Panicked {
        /// Of which chain.
        generation: u64,
        /// Which of its nodes; `None` for the chain itself.
        node: Option<usize>,
        /// The panic's message.
        message: String,
    },
    /// The load of the audio thread.
    Load(Load),
    /// A callback took longer than its block lasts.
    OwnMiss,
    /// Readings of the taps.
    Readings(Vec<Update>),
    /// An audio session is open, or its sample rate has changed: the chain starts from silence.
    Opened {
        /// Its sample rate in Hz.
        rate: f64,
        /// Whether it runs free of any clock, so that it has no deadlines.
        is_free: bool,
    },
    /// There is no audio session.
    Closed,
    /// The server begins or ends freewheeling.
    Freewheel(bool),
    /// A chain file, or an impulse of it, has changed on disk.
    FileChanged(PathBuf),
    /// The plans of [`Effect::Plan`], in its order.
    Planned {
        /// Of which task.
        ticket: Ticket,
        /// Each a plan, or why there is none.
        plans: Vec<Result<Arc<Plan>, ChainError>>,
    },
    /// The chain of [`Effect::Build`] is built.
    Built {
        /// Of which task.
        ticket: Ticket,
        /// Which chain.
        generation: u64,
    },
    /// The files of [`Effect::Load`].
    Loaded {
        /// Of which task.
        ticket: Ticket,
        /// The files, or all their mistakes.
        files: Result<Box<Files>, String>,
    },
    /// A task came to no end.
    Failed {
        /// Which.
        ticket: Ticket,
        /// Why.
        why: String,
    },
    /// Time has passed.
    Time,
}

/// The files of the station, read and checked.
#[derive(Clone, Debug)]
pub struct Files {
    /// The settings of the station file; `None` where only a chain file was read.
    pub station: Option<(Settings, Vec<Cue>)>,
    /// The chain files, each with its plan at the sample rate that was asked for.
    pub chains: Vec<(ChainFile, Arc<Plan>)>,
    /// The chain to start with, as the station file says.
    pub start: String,
    /// Changes that need a restart, in words.
    pub fixed: Vec<String>,
}

/// What is to be loaded.
#[derive(Clone, Debug, PartialEq)]
pub enum ToLoad {
    /// The station and all its chains.
    Station,
    /// One chain file.
    Chain(PathBuf),
}

/// A command for the audio thread. A chain is meant by its generation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Command {
    /// Start the chain from silence.
    Start {
        /// Which.
        generation: u64,
    },
    /// Swap to the chain.
    Swap {
        /// Which.
        generation: u64,
        /// Frames of warm-up.
        warmup: u32,
        /// Frames of crossfade.
        fade: u32,
    },
    /// Set a row of a node to an audio value.
    Set {
        /// The row.
        target: Row,
        /// The audio value.
        value: f64,
    },
    /// End the bypass of a node, or bypass it.
    Enable {
        /// Which chain.
        generation: u64,
        /// Which node.
        node: u32,
        /// Whether the node processes.
        on: bool,
    },
    /// Set the gains of a chain's output and of the dry signal.
    Trim {
        /// Which chain.
        generation: u64,
        /// The gain of the chain's output, linear.
        chain: f64,
        /// The gain of the dry signal, linear.
        dry: f64,
    },
    /// Bypass the whole chain, or end the bypass.
    Bypass(bool),
}

/// How important a line of the log is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A fault.
    Error,
    /// Something that a person should look at.
    Warn,
    /// What happened.
    Info,
}

/// What a line of the log is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum About {
    /// Nothing in particular.
    Station,
    /// A chain, by its name.
    Chain(String),
    /// A node, by its id.
    Node(String),
}

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditLine {
    /// Who changed it.
    pub by: Peer,
    /// The chain, or nothing.
    pub chain: String,
    /// What changed.
    pub what: String,
    /// Its value before, or nothing.
    pub from: String,
    /// Its value after, or nothing.
    pub to: String,
}

/// What comes out of the desk, to be carried out in this order.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Send a command to the audio thread.
    Send(Command),
    /// Send a message to every surface.
    Surfaces(SurfaceMessage),
    /// Answer with the status of the station, where the addresses match.
    Status {
        /// The peer that asked.
        by: Peer,
        /// The address or pattern that it asked for.
        address: String,
        /// The updates that go before it.
        before: Vec<Update>,
    },
    /// Write a line to the audit log.
    Audit(AuditLine),
    /// Write a line to the log.
    Log {
        /// Who caused it.
        by: Peer,
        /// How important it is.
        level: Level,
        /// What it is about.
        about: About,
        /// The line.
        text: String,
    },
    /// Save the state soon.
    Save,
    /// Plan chains: [`Input::Planned`] follows.
    Plan {
        /// Number of the task.
        ticket: Ticket,
        /// The chains.
        chains: Vec<ToPlan>,
        /// The groups of the station.
        io: Io,
        /// The sample rate in Hz.
        rate: f64,
        /// Whether a file that cannot be read now may be taken from the cache.
        is_cache_allowed: bool,
    },
    /// Build a chain, and keep it until it is sent: [`Input::Built`] follows.
    Build {
        /// Number of the task.
        ticket: Ticket,
        /// The number of the chain.
        generation: u64,
        /// Its plan.
        plan: Arc<Plan>,
        /// What differs from the chain whose states it takes over; nothing for a start from silence.
        diff: Option<Diff>,
    },
    /// Free a chain that was built and is not needed.
    Discard {
        /// Which.
        generation: u64,
    },
    /// Read files: [`Input::Loaded`] follows.
    Load {
        /// Number of the task.
        ticket: Ticket,
        /// Which files.
        what: ToLoad,
        /// The groups that a chain file is checked against.
        io: Io,
        /// The sample rate at which they are checked, in Hz.
        rate: f64,
    },
    /// A reload begins, or ends with this outcome.
    Reload {
        /// Who asked.
        by: Peer,
        /// The outcome in a few words; `None` at the begin.
        outcome: Option<String>,
    },
    /// The files in use have changed.
    Watch,
    /// The latency of the station has changed, in frames.
    Latency(usize),
    /// Another chain is on air.
    OnAir,
}

/// One turn of the desk: the time, and the effects so far.
#[derive(Debug)]
pub struct Turn<'a> {
    /// The time.
    pub now: Now,
    /// Who causes what is logged.
    pub(super) by: Peer,
    effects: &'a mut Vec<Effect>,
}

impl<'a> Turn<'a> {
    /// A turn at `now`; effects are added to `effects`.
    pub fn new(now: Now, effects: &'a mut Vec<Effect>) -> Self {
        Self { now, by: Peer::Station, effects }
    }

    /// Adds an effect.
    pub fn add(&mut self, effect: Effect) {
        self.effects.push(effect);
    }

    /// Sends a command to the audio thread.
    pub fn send(&mut self, command: Command) {
        self.add(Effect::Send(command));
    }

    /// Sends updates to subscribers.
    pub fn update(&mut self, to: Recipients, updates: Vec<Update>) {
        if !updates.is_empty() {
            self.add(Effect::Surfaces(SurfaceMessage::Updates { to, updates: updates.into() }));
        }
    }

    /// Sends an event to all subscribers.
    pub fn event(&mut self, kind: &str, words: &[&str]) {
        self.update(Recipients::All, vec![Update::words(format!("/event/{kind}"), words)]);
    }

    /// Answers a request with an error; one of the station itself is written to the log.
    pub fn error(&mut self, by: Peer, address: &str, why: &str) {
        match by {
            Peer::Signal | Peer::Files | Peer::Station | Peer::Cues => {
                self.log(Level::Error, About::Station, format!("{address}: {why}"));
            }
            _ => self.update(Recipients::One(by), vec![Update::words("/error", &[address, why])]),
        }
    }

    /// Writes a line to the log.
    pub fn log(&mut self, level: Level, about: About, text: impl Into<String>) {
        self.add(Effect::Log { by: self.by, level, about, text: text.into() });
    }

    /// Writes a line about the station to the log.
    pub fn info(&mut self, text: impl Into<String>) {
        self.log(Level::Info, About::Station, text);
    }

    /// Saves the state soon.
    pub fn save(&mut self) {
        if !matches!(self.effects.last(), Some(Effect::Save)) {
            self.add(Effect::Save);
        }
    }

    /// Writes a line to the audit log.
    pub fn audit(&mut self, by: Peer, chain: &str, what: &str, from: &str, to: &str) {
        let [chain, what, from, to] = [chain, what, from, to].map(str::to_owned);
        self.add(Effect::Audit(AuditLine { by, chain, what, from, to }));
    }
}
