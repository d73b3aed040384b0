//! The worker (stand-in until the real one is merged).

use crate::process::supervise;
use crossbeam_channel::{Receiver, Sender, bounded};
use std::io;
use std::time::{Duration, Instant};

type Task<R> = Box<dyn FnOnce() -> R + Send>;

/// A thread that runs tasks in order.
pub struct Worker<R> {
    tasks: Sender<(u64, Task<R>)>,
    results: Receiver<(u64, R)>,
    last: u64,
}

/// A task that came to no end.
pub struct Abandoned {
    /// Which.
    pub ticket: u64,
    /// Why.
    pub why: String,
}

impl<R: Send + 'static> Worker<R> {
    /// Starts it.
    pub fn new() -> io::Result<Self> {
        let (tasks, queue) = bounded::<(u64, Task<R>)>(1_024);
        let (done, results) = bounded(1_024);
        supervise::keep_running("worker", move |pulse| {
            loop {
                pulse.set_waiting();
                let Ok((ticket, task)) = queue.recv() else { return Ok(()) };
                pulse.beat();
                done.send((ticket, task())).ok();
            }
        })?;
        Ok(Self { tasks, results, last: 0 })
    }

    /// Runs a task.
    pub fn run(&mut self, _what: String, _limit: Duration, task: impl FnOnce() -> R + Send + 'static) -> u64 {
        self.last += 1;
        self.tasks.try_send((self.last, Box::new(task))).ok();
        self.last
    }

    /// The results.
    pub fn results(&self) -> &Receiver<(u64, R)> {
        &self.results
    }

    /// The tasks that came to no end.
    pub fn check(&mut self, _now: Instant) -> Vec<Abandoned> {
        Vec::new()
    }
}
