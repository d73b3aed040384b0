//! `[control]` The scheduling of the audio threads of a link: given where it is ours to give, watched, and told.

use super::mark::Mark;
use super::rtkit::RtkitError;
use super::sched::TakeError;
use super::{rtkit, sched};
use crate::process::supervise;
use crate::station::realtime::Realtime;
use crossbeam_channel::{Receiver, TryRecvError, bounded};
use rustix::process::Pid;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// So long a server may take to give its thread real time; PipeWire asks somebody else for it first.
const SERVER: Duration = Duration::from_secs(2);
/// Between two looks whether a thread still has it.
const LOOK: Duration = Duration::from_secs(1);

/// Who gives real time to the threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Giver {
    /// This process: they are its own.
    Us,
    /// The audio server's library.
    Server,
    /// Nobody, and why.
    Nobody(&'static str),
}

/// The audio threads of a link, and how they are scheduled.
pub struct Scheduling {
    wish: Realtime,
    giver: Giver,
    threads: Vec<Thread>,
    looked: Option<Instant>,
}

struct Thread {
    mark: Mark,
    state: State,
    /// Where it is kept to some processors: which.
    place: String,
}

enum State {
    /// It has not run yet.
    Awaited,
    /// Its server has not given it real time yet.
    OfServer { since: Instant },
    /// rtkit is being asked; why it has to be.
    Asked { answer: Receiver<Result<(), RtkitError>>, why: TakeError },
    /// It is to share time with all else, and why.
    NotWanted(&'static str),
    /// It has real time, and from whom; or why it has none.
    Settled(Result<&'static str, String>),
}

impl Scheduling {
    /// For threads that are still to come.
    pub fn new(wish: &Realtime, giver: Giver) -> Self {
        Self { wish: wish.clone(), giver, threads: Vec::new(), looked: None }
    }

    /// Somebody else gives it, as is known only now.
    pub fn set_giver(&mut self, giver: Giver) {
        self.giver = giver;
    }

    /// A mark for one more thread.
    pub fn mark(&mut self) -> Mark {
        let mark = Mark::default();
        self.threads.push(Thread { mark: mark.clone(), state: State::Awaited, place: String::new() });
        mark
    }

    /// How long the thread of the callback has run.
    pub fn ran(&self) -> Option<Duration> {
        sched::ran(self.threads.first()?.mark.thread()?)
    }

    /// Gives real time to the threads that have begun, and looks whether the others still have it. Does not block.
    pub fn look(&mut self, now: Instant) {
        let is_due = self.looked.is_none_or(|looked| now >= looked + LOOK);
        let has_overrun = is_due && sched::has_overrun();
        for thread in &mut self.threads {
            let Some(id) = thread.mark.thread() else { continue };
            match &thread.state {
                State::Settled(_) | State::NotWanted(_) if !is_due => continue,
                State::Awaited => thread.place = pin(id, &self.wish.cpus),
                _ => {}
            }
            thread.advance(id, now, &self.wish, self.giver, has_overrun);
        }
        if is_due {
            self.looked = Some(now);
        }
    }

    /// How they are scheduled, as of now: "SCHED_FIFO 70", or "none" or "not wanted" and why.
    pub fn text(&self) -> String {
        let mut texts: Vec<String> = self.threads.iter().map(Thread::text).collect();
        texts.dedup();
        texts.join("; ")
    }
}

impl Drop for Scheduling {
    fn drop(&mut self) {
        self.threads.iter().filter_map(|thread| thread.mark.thread()).for_each(sched::unbound);
    }
}

impl Thread {
    fn advance(&mut self, id: Pid, now: Instant, wish: &Realtime, giver: Giver, has_overrun: bool) {
        let is_real_time = sched::policy(id).is_ok_and(sched::Policy::is_real_time);
        match &self.state {
            State::Awaited => match giver {
                Giver::Us if wish.priority == 0 => {
                    self.state = State::NotWanted("the station says priority: off");
                }
                Giver::Us => match sched::take(id, wish.priority) {
                    Ok(()) => {
                        sched::bound(id);
                        self.settle(Ok(""));
                    }
                    Err(why) => self.ask_rtkit(id, wish.priority, why),
                },
                Giver::Server => self.state = State::OfServer { since: now },
                Giver::Nobody(why) => self.state = State::NotWanted(why),
            },
            State::OfServer { .. } if is_real_time => self.settle(Ok(" by the server")),
            State::OfServer { since } if now >= *since + SERVER => {
                self.settle(Err("the audio server runs without it".to_owned()));
            }
            State::OfServer { .. } => {}
            State::Asked { answer, why } => match answer.try_recv() {
                Ok(Ok(())) => self.settle(Ok(" by rtkit")),
                Ok(Err(refused)) => {
                    let why = format!("{why}; rtkit: {refused}");
                    self.settle(Err(why));
                }
                Err(TryRecvError::Empty) => {}
                Err(TryRecvError::Disconnected) => {
                    let why = format!("{why}; rtkit could not be asked");
                    self.settle(Err(why));
                }
            },
            // A server takes it away itself while it runs as fast as it can.
            State::Settled(Ok(_)) if giver == Giver::Us && !is_real_time => {
                let why = match has_overrun {
                    true => "a block took longer than RLIMIT_RTTIME lets one take",
                    false => "it was taken away (by rtkit, where the machine no longer answered, or by hand)",
                };
                self.settle(Err(why.to_owned()));
            }
            State::Settled(_) | State::NotWanted(_) => {}
        }
    }

    /// In a thread of its own: the bus may take its time.
    fn ask_rtkit(&mut self, id: Pid, priority: u32, why: TakeError) {
        // It takes effect with the answer at the earliest.
        sched::bound(id);
        let (tell, answer) = bounded(1);
        match supervise::run_once("rtkit", move || _ = tell.send(rtkit::ask(id, priority))) {
            Ok(_) => self.state = State::Asked { answer, why },
            Err(error) => self.settle(Err(format!("{why}; threads: {error}"))),
        }
    }

    fn settle(&mut self, what: Result<&'static str, String>) {
        self.state = State::Settled(what);
        match &self.state {
            State::Settled(Err(why)) => {
                warn!(
                    "no real time for the audio thread: {why}; it is late where others keep the machine busy: see lacquer doctor"
                );
            }
            _ => info!("audio thread: {}", self.text()),
        }
    }

    fn text(&self) -> String {
        let policy = self.mark.thread().and_then(|id| sched::policy(id).ok());
        let place = &self.place;
        match (policy.filter(|policy| policy.is_real_time()), &self.state) {
            (Some(policy), State::Settled(Ok(giver))) => format!("{policy}{giver}{place}"),
            (Some(policy), _) => format!("{policy}{place}"),
            (None, State::NotWanted(why)) => format!("not wanted: {why}{place}"),
            (None, State::Settled(Err(why))) => format!("none: {why}{place}"),
            (None, State::Settled(Ok(_))) => format!("none: it was taken away{place}"),
            (None, State::Awaited) => "none: no block has been played yet".to_owned(),
            (None, State::OfServer { .. } | State::Asked { .. }) => {
                format!("none: it has been asked for{place}")
            }
        }
    }
}

/// Keeps a thread to the processors that are wanted. Gives what to tell of it.
fn pin(id: Pid, cpus: &[usize]) -> String {
    if cpus.is_empty() {
        return String::new();
    }
    let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    match sched::pin(id, cpus) {
        Ok(got) => {
            let missing: Vec<usize> = cpus.iter().copied().filter(|cpu| !got.contains(cpu)).collect();
            if !missing.is_empty() {
                warn!("audio.realtime.cpus: this process has no processor {}", list(&missing));
            }
            format!(" on CPU {}", list(&got))
        }
        Err(error) => {
            warn!(
                "audio.realtime.cpus: the audio thread cannot be kept to {}: {error}; see lacquer doctor",
                list(cpus)
            );
            String::new()
        }
    }
}
