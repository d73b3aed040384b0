//! The worker: a thread that does what may take long (read, parse, plan, build, free), so that no other thread waits for a
//! disk or for memory. Its tasks are closures; they run one after another, in the order given.
//!
//! A thread that hangs cannot be stopped. A task past its limit is abandoned: its thread is left alone, what it returns
//! later is dropped, and a replacement goes on with the queue. While [`MAX_ABANDONED`] threads are abandoned there is no
//! replacement: tasks that wait and new ones are refused, until one of these threads comes back.
//!
//! The watcher of [`supervise`] counts a worker as waiting while a task runs, because the task's own limit is watched
//! here: a long task is no fault, and one that hangs is reported once, by the name of the task.

mod queue;
#[cfg(test)]
mod tests;

use crate::process::os_error::plain;
use crate::process::supervise;
use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use queue::{Job, Queues, Slot, run};
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use thiserror::Error;

/// Most tasks that wait, and most results.
const MAX_TASKS: usize = 64;
/// Most values that wait to be freed.
const MAX_FREED: usize = 256;
/// Most threads that are abandoned at a time.
pub(crate) const MAX_ABANDONED: usize = 4;
/// Most of the time between two checks that counts: if the checking thread was not scheduled (suspend, overload), the
/// worker may not have been either.
const MAX_STEP: Duration = Duration::from_millis(50);

/// A task that gives no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{what}: {why}")]
pub(crate) struct Failed {
    /// Its ticket.
    pub ticket: u64,
    /// What it was to do.
    pub what: String,
    /// Why there is no result.
    pub why: Reason,
}

/// Why a task gives no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum Reason {
    /// It was abandoned.
    #[error("not done after {} s, abandoned; the disk may not answer, or the files are too large", limit.as_secs_f64())]
    TooLong {
        /// The limit of its running time.
        limit: Duration,
    },
    /// It panicked, with this message.
    #[error("failed by a fault in this program: {0}")]
    Panicked(String),
    /// [`MAX_ABANDONED`] threads are abandoned.
    #[error(
        "refused, because {MAX_ABANDONED} earlier tasks are still not done; try again when the disk answers, or restart the station"
    )]
    TooManyAbandoned,
    /// The queue is full.
    #[error("refused, because {MAX_TASKS} tasks wait already; try again later")]
    QueueFull,
    /// The system cannot start a replacement for an abandoned thread.
    #[error("refused, because no thread can be started: {0}")]
    NoThread(String),
}

/// Runs tasks on a thread of its own; its results are `R`.
pub(crate) struct Worker<R> {
    tasks: Sender<Job<R>>,
    queues: Queues<R>,
    results: Receiver<(u64, Result<R, Failed>)>,
    last_ticket: u64,
    /// Why tasks are refused, if they are.
    refuses: Option<Reason>,
    /// The tasks refused since the last check.
    refused: Vec<Failed>,
    /// The thread that takes tasks. None while too many are abandoned.
    active: Option<Thread>,
    abandoned: Vec<Thread>,
    last_check: Instant,
}

struct Thread {
    slot: Arc<Slot>,
    handle: JoinHandle<()>,
}

impl<R: Send + 'static> Worker<R> {
    /// Starts the thread.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn new() -> io::Result<Self> {
        let (tasks, waiting) = bounded(MAX_TASKS);
        let (done, results) = bounded(MAX_TASKS);
        let queues = Queues::new(waiting, MAX_FREED, done);
        let active = Some(start(&queues)?);
        Ok(Self {
            tasks,
            queues,
            results,
            last_ticket: 0,
            refuses: None,
            refused: Vec::new(),
            active,
            abandoned: Vec::new(),
            last_check: Instant::now(),
        })
    }

    /// Puts a task into the queue; never waits. `limit` is the time that it may run; waiting in the queue does not count.
    /// Gives its ticket: later ones are larger. What it returns, or its panic, comes by [`results`](Self::results); if it
    /// is refused or abandoned, the next [`check`](Self::check) says so. Each ticket comes back exactly once.
    pub(crate) fn run(
        &mut self,
        what: String,
        limit: Duration,
        task: impl FnOnce() -> R + Send + 'static,
    ) -> u64 {
        self.last_ticket += 1;
        let job = Job { ticket: self.last_ticket, what, limit, task: Box::new(task) };
        let refused = match &self.refuses {
            Some(why) => Some((job, why.clone())),
            None => match self.tasks.try_send(job) {
                Ok(()) => None,
                Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                    Some((job, Reason::QueueFull))
                }
            },
        };
        if let Some((Job { ticket, what, .. }, why)) = refused {
            self.refused.push(Failed { ticket, what, why });
        }
        self.last_ticket
    }

    /// Tickets with what their tasks returned, or with their panics, for a `select!`. Nothing of a task that was
    /// abandoned comes here.
    pub(crate) fn results(&self) -> &Receiver<(u64, Result<R, Failed>)> {
        &self.results
    }

    /// Frees a value on the worker, when no task waits. Never waits; if the queue is full, the value is freed at once.
    pub(crate) fn free(&self, value: impl Send + 'static) {
        self.queues.free(Box::new(value));
    }

    /// Calls `work` on the worker about so often, between tasks, until the worker is dropped: never two at a time, though
    /// not always on the same thread. A call that does not end is abandoned like a task, and `work` with it, until the
    /// call returns.
    pub(crate) fn every(&self, period: Duration, what: &'static str, work: impl FnMut() + Send + 'static) {
        self.queues.every(period, what, Box::new(work));
    }

    /// Abandons the task that is past its limit, and replaces its thread. Gives the tasks that were abandoned or refused
    /// since the last call. Call this at least every [`MAX_STEP`].
    pub(crate) fn check(&mut self, now: Instant) -> Vec<Failed> {
        let before = std::mem::replace(&mut self.last_check, now);
        self.abandoned.retain(|thread| !thread.handle.is_finished());
        let mut failed = Vec::new();
        if let Some(active) = self.active.take() {
            match active.slot.check(before, now, MAX_STEP) {
                None => self.active = Some(active),
                Some(task) => {
                    failed.extend(task);
                    self.abandoned.push(active);
                }
            }
        }
        if self.active.is_none() && self.abandoned.len() < MAX_ABANDONED {
            match start(&self.queues) {
                Ok(thread) => (self.active, self.refuses) = (Some(thread), None),
                Err(error) => self.refuses = Some(Reason::NoThread(plain(&error))),
            }
        } else if self.active.is_none() {
            self.refuses = Some(Reason::TooManyAbandoned);
        }
        if let Some(why) = &self.refuses {
            let waiting = self.queues.drain();
            failed.extend(waiting.map(|Job { ticket, what, .. }| Failed { ticket, what, why: why.clone() }));
        }
        failed.append(&mut self.refused);
        failed
    }
}

/// Starts a thread that takes tasks.
fn start<R: Send + 'static>(queues: &Queues<R>) -> io::Result<Thread> {
    let slot = Arc::<Slot>::default();
    let (queues, own) = (queues.clone(), Arc::clone(&slot));
    let handle = supervise::keep_running("worker", move |pulse| {
        run(&queues, &own, pulse);
        Ok(())
    })?;
    Ok(Thread { slot, handle })
}
