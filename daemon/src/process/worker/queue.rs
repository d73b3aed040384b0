//! A thread of the worker: what it takes next, and what it works on.

use super::{Failed, Reason};
use crate::process::supervise::{Pulse, panic_message};
use crossbeam_channel::{Receiver, Sender, bounded, select_biased};
use std::any::Any;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing::error;

/// Limit of the running time of what has no caller: freeing, and what is repeated.
const OWN_LIMIT: Duration = Duration::from_secs(30);
/// Shortest time between two calls of what is repeated.
const MIN_PERIOD: Duration = Duration::from_millis(1);
/// Time between two looks for something to repeat, if there is nothing.
const IDLE: Duration = Duration::from_secs(3_600);

/// A task.
pub(super) struct Job<R> {
    pub ticket: u64,
    pub what: String,
    pub limit: Duration,
    pub task: Box<dyn FnOnce() -> R + Send>,
}

/// Work that is repeated.
struct Repeated {
    what: &'static str,
    period: Duration,
    due: Instant,
    work: Box<dyn FnMut() + Send>,
}

/// What all threads of a worker share.
pub(super) struct Queues<R> {
    tasks: Receiver<Job<R>>,
    to_free: Sender<Box<dyn Any + Send>>,
    freed: Receiver<Box<dyn Any + Send>>,
    /// The thread that runs one takes it out meanwhile.
    repeated: Arc<Mutex<Vec<Repeated>>>,
    results: Sender<(u64, Result<R, Failed>)>,
}

impl<R> Clone for Queues<R> {
    fn clone(&self) -> Self {
        Self {
            tasks: self.tasks.clone(),
            to_free: self.to_free.clone(),
            freed: self.freed.clone(),
            repeated: Arc::clone(&self.repeated),
            results: self.results.clone(),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while these locks are held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<R> Queues<R> {
    pub(super) fn new(
        tasks: Receiver<Job<R>>,
        max_freed: usize,
        results: Sender<(u64, Result<R, Failed>)>,
    ) -> Self {
        let (to_free, freed) = bounded(max_freed);
        Self { tasks, to_free, freed, repeated: Arc::default(), results }
    }

    pub(super) fn free(&self, value: Box<dyn Any + Send>) {
        // What finds no room is dropped here.
        self.to_free.try_send(value).ok();
    }

    pub(super) fn every(&self, period: Duration, what: &'static str, work: Box<dyn FnMut() + Send>) {
        // There is always time for a task in between.
        let period = period.max(MIN_PERIOD);
        lock(&self.repeated).push(Repeated { what, period, due: Instant::now(), work });
        // Wakes the thread. If there is no room, it is awake.
        self.free(Box::new(()));
    }

    /// The tasks that wait.
    pub(super) fn drain(&self) -> impl Iterator<Item = Job<R>> + '_ {
        self.tasks.try_iter()
    }

    /// Takes out something that is to be repeated now.
    fn take_due(&self) -> Option<Repeated> {
        let (mut repeated, now) = (lock(&self.repeated), Instant::now());
        let at = repeated.iter().position(|repeated| repeated.due <= now)?;
        Some(repeated.swap_remove(at))
    }

    /// Time until something is to be repeated.
    fn time_to_due(&self) -> Duration {
        let next = lock(&self.repeated).iter().map(|repeated| repeated.due).min();
        next.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()))
    }
}

/// What a thread works on.
#[derive(Default)]
enum State {
    #[default]
    Idle,
    Busy(Running),
    /// It worked too long: it ends when it comes back.
    Abandoned,
}

struct Running {
    /// None for what has no caller.
    ticket: Option<u64>,
    what: String,
    limit: Duration,
    since: Instant,
    /// How long it has run, as far as it was checked.
    ran: Duration,
}

/// What one thread works on, shared with the checks.
#[derive(Default)]
pub(super) struct Slot(Mutex<State>);

impl Slot {
    fn begin(&self, ticket: Option<u64>, what: String, limit: Duration) {
        let running = Running { ticket, what, limit, since: Instant::now(), ran: Duration::ZERO };
        *lock(&self.0) = State::Busy(running);
    }

    /// The work is done. `Break` if the thread was abandoned meanwhile.
    fn end(&self) -> ControlFlow<()> {
        let mut state = lock(&self.0);
        match *state {
            State::Abandoned => ControlFlow::Break(()),
            _ => {
                *state = State::Idle;
                ControlFlow::Continue(())
            }
        }
    }

    /// Abandons what is past its limit: `None` if nothing is; else what its caller is told, if it has one. Of the time
    /// since the check `before`, at most `step` counts.
    pub(super) fn check(&self, before: Instant, now: Instant, step: Duration) -> Option<Option<Failed>> {
        let mut state = lock(&self.0);
        let State::Busy(running) = &mut *state else { return None };
        running.ran += now.saturating_duration_since(before.max(running.since)).min(step);
        if running.ran < running.limit {
            return None;
        }
        let State::Busy(Running { ticket, what, limit, .. }) =
            std::mem::replace(&mut *state, State::Abandoned)
        else {
            return None;
        };
        let why = Reason::TooLong { limit };
        if ticket.is_none() {
            error!("{what}: {why}");
        }
        Some(ticket.map(|ticket| Failed { ticket, what, why }))
    }
}

/// Works until the worker is dropped, or this thread has been abandoned.
pub(super) fn run<R>(queues: &Queues<R>, slot: &Slot, pulse: &Pulse) {
    // It may have panicked while it dropped what it returned too late.
    if slot.end().is_break() {
        return;
    }
    loop {
        pulse.beat();
        // What it does has limits of its own.
        pulse.set_waiting();
        let done = match queues.take_due() {
            Some(repeated) => repeat(queues, slot, repeated),
            None => select_biased! {
                recv(queues.tasks) -> job => match job {
                    Ok(job) => work(queues, slot, job),
                    // The worker was dropped.
                    Err(_) => return,
                },
                recv(queues.freed) -> value => value.map_or(ControlFlow::Break(()), |value| free(slot, value)),
                default(queues.time_to_due()) => ControlFlow::Continue(()),
            },
        };
        if done.is_break() {
            return;
        }
    }
}

fn work<R>(queues: &Queues<R>, slot: &Slot, job: Job<R>) -> ControlFlow<()> {
    let Job { ticket, what, limit, task } = job;
    slot.begin(Some(ticket), what.clone(), limit);
    let result = catch_unwind(AssertUnwindSafe(task)).map_err(|thrown| {
        let why = Reason::Panicked(panic_message(&*thrown).to_owned());
        Failed { ticket, what, why }
    });
    slot.end()?;
    // Waits while nobody reads the results; it ends when the worker is dropped.
    match queues.results.send((ticket, result)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    }
}

fn free(slot: &Slot, value: Box<dyn Any + Send>) -> ControlFlow<()> {
    slot.begin(None, "freeing memory".to_owned(), OWN_LIMIT);
    attempt("freeing memory", move || drop(value));
    slot.end()
}

fn repeat<R>(queues: &Queues<R>, slot: &Slot, mut repeated: Repeated) -> ControlFlow<()> {
    slot.begin(None, repeated.what.to_owned(), OWN_LIMIT);
    attempt(repeated.what, &mut repeated.work);
    repeated.due = Instant::now() + repeated.period;
    // Before the thread ends, if it has been abandoned.
    lock(&queues.repeated).push(repeated);
    let done = slot.end();
    if done.is_break() {
        // Another thread may wait without knowing of it.
        queues.free(Box::new(()));
    }
    done
}

/// Does what has no caller; a panic is logged.
fn attempt(what: &str, work: impl FnOnce()) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(work)) {
        error!("{what}: {}", Reason::Panicked(panic_message(&*thrown).to_owned()));
    }
}
