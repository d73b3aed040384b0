//! `[control]` The scheduling of a session's audio threads: set where it is the daemon's task, checked, and reported.

use super::rtkit::RtkitError;
use super::sched::TakeError;
use super::thread_id::ThreadId;
use super::{rtkit, sched};
use crate::process::os_error::plain;
use crate::process::supervise;
use crate::station::realtime::Realtime;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use rustix::process::Pid;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Time limit for a server to give its thread real-time priority; PipeWire itself asks another service first.
const SERVER_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two checks that a thread still has its priority.
const CHECK: Duration = Duration::from_secs(1);

/// Who gives the threads real-time priority.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealtimeBy {
    /// The daemon: they are its own threads.
    Daemon,
    /// The audio server's library.
    Server,
    /// Nobody, and why.
    Nobody(&'static str),
}

/// The audio threads of a session, and how they are scheduled.
pub struct Scheduling {
    config: Realtime,
    by: RealtimeBy,
    threads: Vec<Thread>,
    last_check: Option<Instant>,
}

struct Thread {
    id: ThreadId,
    state: State,
    /// The processors that it is restricted to, as text: " on CPU 2", or empty.
    cpus: String,
}

enum State {
    /// It has not run yet.
    NotStarted,
    /// The server is to give it real-time priority.
    WaitingForServer { since: Instant },
    /// rtkit was asked; `why` the daemon could not set the priority itself.
    WaitingForRtkit { answer: Receiver<Result<(), RtkitError>>, why: TakeError },
    /// It is to have no real-time priority, and why.
    NotWanted(&'static str),
    /// It has real-time priority, and by whom (" by rtkit"); or why it has none.
    Settled(Result<&'static str, String>),
}

impl Scheduling {
    /// No threads yet.
    pub fn new(config: &Realtime, by: RealtimeBy) -> Self {
        Self { config: config.clone(), by, threads: Vec::new(), last_check: None }
    }

    /// Changes who gives the priority: for a device that turns out to be a server's.
    pub fn set_by(&mut self, by: RealtimeBy) {
        self.by = by;
    }

    /// Adds a thread, which is to record its id in the result.
    pub fn add_thread(&mut self) -> ThreadId {
        let id = ThreadId::default();
        self.threads.push(Thread { id: id.clone(), state: State::NotStarted, cpus: String::new() });
        id
    }

    /// How long the callback's thread has run, by the kernel's count.
    pub fn run_time(&self) -> Option<Duration> {
        sched::run_time(self.threads.first()?.id.get()?)
    }

    /// Gives the threads that have started their priority, and checks that the others still have theirs. Does not
    /// block.
    pub fn update(&mut self, now: Instant) {
        let is_due = self.last_check.is_none_or(|last| now >= last + CHECK);
        let has_overrun = is_due && sched::take_overrun();
        for thread in &mut self.threads {
            let Some(id) = thread.id.get() else { continue };
            match &thread.state {
                State::Settled(_) | State::NotWanted(_) if !is_due => continue,
                State::NotStarted => thread.cpus = pin(id, &self.config.cpus),
                _ => {}
            }
            thread.advance(id, now, &self.config, self.by, has_overrun);
        }
        if is_due {
            self.last_check = Some(now);
        }
    }

    /// How they are scheduled now: "SCHED_FIFO 70", or "none" or "not wanted" and why.
    pub fn text(&self) -> String {
        let mut texts: Vec<String> = self.threads.iter().map(Thread::text).collect();
        texts.dedup();
        texts.join("; ")
    }
}

impl Drop for Scheduling {
    fn drop(&mut self) {
        self.threads.iter().filter_map(|thread| thread.id.get()).for_each(sched::forget);
    }
}

impl Thread {
    fn advance(&mut self, id: Pid, now: Instant, config: &Realtime, by: RealtimeBy, has_overrun: bool) {
        let is_real_time = sched::policy(id).is_ok_and(sched::Policy::is_real_time);
        match &self.state {
            State::NotStarted => match by {
                RealtimeBy::Daemon if config.priority == 0 => {
                    self.state = State::NotWanted("the station says priority: off");
                }
                RealtimeBy::Daemon => match sched::set_fifo(id, config.priority) {
                    Ok(()) => {
                        sched::demote_on_overrun(id);
                        self.settle(Ok(""));
                    }
                    Err(why) => self.ask_rtkit(id, config.priority, why),
                },
                RealtimeBy::Server => self.state = State::WaitingForServer { since: now },
                RealtimeBy::Nobody(why) => self.state = State::NotWanted(why),
            },
            State::WaitingForServer { .. } if is_real_time => self.settle(Ok(" by the server")),
            State::WaitingForServer { since } if now >= *since + SERVER_TIMEOUT => {
                self.settle(Err("the audio server itself runs without it".to_owned()));
            }
            State::WaitingForServer { .. } => {}
            State::WaitingForRtkit { answer, why } => match answer.try_recv() {
                Ok(Ok(())) => self.settle(Ok(" by rtkit")),
                Ok(Err(refused)) => {
                    let why = format!("{why}; rtkit: {refused}");
                    self.settle(Err(why));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    let why = format!("{why}; the request to rtkit failed");
                    self.settle(Err(why));
                }
            },
            // In freewheel a server removes the priority itself, which is no fault.
            State::Settled(Ok(_)) if by == RealtimeBy::Daemon && !is_real_time => {
                let why = match has_overrun {
                    true => "a block took longer than RLIMIT_RTTIME allows",
                    false => {
                        "it was removed (by rtkit, because the machine did not respond, or by an administrator)"
                    }
                };
                self.settle(Err(why.to_owned()));
            }
            State::Settled(_) | State::NotWanted(_) => {}
        }
    }

    /// On a thread of its own: the bus may take seconds to answer.
    fn ask_rtkit(&mut self, id: Pid, priority: u32, why: TakeError) {
        // Before rtkit can have given the priority.
        sched::demote_on_overrun(id);
        let (sender, answer) = bounded(1);
        match supervise::run_once("rtkit", move || _ = sender.send(rtkit::request_priority(id, priority))) {
            Ok(_) => self.state = State::WaitingForRtkit { answer, why },
            Err(error) => {
                self.settle(Err(format!("{why}; cannot start a thread to ask rtkit: {}", plain(&error))))
            }
        }
    }

    fn settle(&mut self, what: Result<&'static str, String>) {
        self.state = State::Settled(what);
        match &self.state {
            State::Settled(Err(why)) => {
                warn!(
                    "audio thread has no real-time priority ({why}); expect xruns under load; run `lacquer doctor`"
                );
            }
            _ => info!("audio thread: {}", self.text()),
        }
    }

    fn text(&self) -> String {
        let policy = self.id.get().and_then(|id| sched::policy(id).ok());
        let cpus = &self.cpus;
        match (policy.filter(|policy| policy.is_real_time()), &self.state) {
            (Some(policy), State::Settled(Ok(by))) => format!("{policy}{by}{cpus}"),
            (Some(policy), _) => format!("{policy}{cpus}"),
            (None, State::NotWanted(why)) => format!("not wanted: {why}{cpus}"),
            (None, State::Settled(Err(why))) => format!("none: {why}{cpus}"),
            (None, State::Settled(Ok(_))) => format!("none: it was removed{cpus}"),
            (None, State::NotStarted) => "none: no block has been processed yet".to_owned(),
            (None, State::WaitingForServer { .. } | State::WaitingForRtkit { .. }) => {
                format!("none: requested, not granted yet{cpus}")
            }
        }
    }
}

/// Restricts a thread to the processors of `audio.realtime.cpus`. Returns a text for the status.
fn pin(id: Pid, cpus: &[usize]) -> String {
    if cpus.is_empty() {
        return String::new();
    }
    let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    match sched::pin(id, cpus) {
        Ok(got) => {
            let missing: Vec<usize> = cpus.iter().copied().filter(|cpu| !got.contains(cpu)).collect();
            if !missing.is_empty() {
                warn!("audio.realtime.cpus: this process has no processor {}; ignored", list(&missing));
            }
            format!(" on CPU {}", list(&got))
        }
        Err(error) => {
            warn!(
                "audio.realtime.cpus: cannot restrict the audio thread to {}: {}; it may use all; run `lacquer doctor`",
                list(cpus),
                plain(&error.into())
            );
            String::new()
        }
    }
}
