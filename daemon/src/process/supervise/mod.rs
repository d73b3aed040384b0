//! Every thread of the daemon is started here. It has a name; if it ends by a fault, that is reported and it is
//! restarted; if it makes no progress, that is reported.
//!
//! A restarted thread stays the same thread of the system: its work is called again, with the same channels and
//! sockets. What the work itself owned (meters, subscribers) is lost.

mod doing;
mod faults;

use crate::process::os_error::plain;
use crossbeam_channel::bounded;
use faults::InjectedFaults;
pub(crate) use faults::read_faults_from_stdin;
use rustix::thread::{Pid, gettid};
use std::any::Any;
use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, Builder, JoinHandle};
use std::time::{Duration, Instant};
use tracing::{error, info};

/// The pause before a restart: the first, and the longest. It doubles each time.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// After running this long the pause is the first one again.
const RECOVERED: Duration = Duration::from_secs(60);
/// A thread without progress for this long is reported.
const LATE: Duration = Duration::from_secs(10);
/// Most of the time between two checks that counts. If the checking thread was not scheduled (suspend, overload), the
/// others may not have been either.
const LONGEST_STEP: Duration = Duration::from_millis(200);
/// Most reports of one thread that wait to be read.
const REPORTS: usize = 8;

/// The state of one thread, shared with the watcher.
struct Record {
    name: &'static str,
    /// Which one of the system it is, once it has made progress.
    id: OnceLock<Pid>,
    progress: AtomicU64,
    /// Whether it waits for work, without a time limit.
    is_waiting: AtomicBool,
    reports: Mutex<VecDeque<Report>>,
    faults: InjectedFaults,
}

/// Something that happened to a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// Its name.
    pub thread: &'static str,
    /// What happened, why, and what follows.
    pub text: String,
    /// Whether it was restarted, and so has lost what it owned.
    pub is_restart: bool,
}

/// All threads that run, and those that ended since the watcher's last check.
static THREADS: Mutex<Vec<Arc<Record>>> = Mutex::new(Vec::new());
/// Most threads in the list, in case there is no watcher.
const MOST_THREADS: usize = 256;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A panic while the lock was held leaves the list usable.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A thread's sign of life: it shows that the thread makes progress.
#[derive(Clone)]
pub(crate) struct Pulse(Arc<Record>);

impl Pulse {
    /// The pulse of a thread that is not started here.
    pub(crate) fn new(name: &'static str) -> Self {
        let record = Arc::new(Record {
            name,
            id: OnceLock::new(),
            progress: AtomicU64::new(0),
            is_waiting: AtomicBool::new(false),
            reports: Mutex::default(),
            faults: InjectedFaults::default(),
        });
        let mut threads = lock(&THREADS);
        if threads.len() == MOST_THREADS {
            threads.remove(0);
        }
        threads.push(Arc::clone(&record));
        Self(record)
    }

    /// The thread makes progress. Call this at least once a second.
    pub(crate) fn beat(&self) {
        self.0.is_waiting.store(false, Ordering::Relaxed);
        self.0.progress.fetch_add(1, Ordering::Relaxed);
        self.0.id.get_or_init(gettid);
        self.0.faults.inject(self.0.name);
    }

    /// The thread waits for work, with no time limit: it is not late until the next [`beat`](Self::beat).
    pub(crate) fn set_waiting(&self) {
        self.0.is_waiting.store(true, Ordering::Relaxed);
    }

    /// Runs `work`. A panic in it is reported, and the result is `None`; the thread continues.
    pub(crate) fn catch_panic<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        // The caller discards what the work left incomplete.
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|thrown| {
                self.report(&format!("panicked: {}; it continues", panic_message(&*thrown)), true)
            })
            .ok()
    }

    fn report(&self, text: &str, is_restart: bool) {
        let Record { name, .. } = *self.0;
        error!("thread {name} {text}");
        let mut reports = lock(&self.0.reports);
        if reports.len() == REPORTS {
            reports.pop_front();
        }
        reports.push_back(Report { thread: name, text: text.to_owned(), is_restart });
    }
}

/// The message of a panic.
pub(crate) fn panic_message(thrown: &(dyn Any + Send)) -> &str {
    let text = thrown.downcast_ref::<&str>().copied();
    text.or_else(|| thrown.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// What comes of `work` within a limit. Work that takes longer is abandoned with its thread, as is work whose thread the
/// system cannot start.
pub(crate) fn within<T: Send + 'static>(
    name: &'static str,
    limit: Duration,
    work: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (done, result) = bounded(1);
    run_once(name, move || _ = done.try_send(work())).ok()?;
    result.recv_timeout(limit).ok()
}

/// Waits for the end of a thread, at most for `limit`: one that hangs must not keep the process. Whether it has ended.
pub(crate) fn join_within(thread: JoinHandle<()>, limit: Duration) -> bool {
    let begin = Instant::now();
    while !thread.is_finished() && begin.elapsed() < limit {
        thread::sleep(Duration::from_millis(1));
    }
    thread.is_finished() && thread.join().is_ok()
}

/// Starts a thread that calls `work` until it returns `Ok`, which means that the thread is to end. After a panic or an
/// `Err` (which says why), that is reported, and `work` is called again after a pause.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn keep_running(
    name: &'static str,
    mut work: impl FnMut(&Pulse) -> io::Result<()> + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let pulse = Pulse::new(name);
    Builder::new().name(name.to_owned()).spawn(move || {
        let mut pause = PAUSE;
        loop {
            let begin = Instant::now();
            let why = match catch_unwind(AssertUnwindSafe(|| work(&pulse))) {
                Ok(Ok(())) => return,
                Ok(Err(why)) => format!("ended: {}", plain(&why)),
                Err(thrown) => format!("panicked: {}", panic_message(&*thrown)),
            };
            if begin.elapsed() > RECOVERED {
                pause = PAUSE;
            }
            pulse.report(&format!("{why}; restarting"), true);
            thread::sleep(pause);
            pause = (2 * pause).min(LONGEST_PAUSE);
        }
    })
}

/// Starts a thread that does one thing and ends. A panic is reported; the thread's channel closes without a result.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn run_once(
    name: &'static str,
    work: impl FnOnce() + Send + 'static,
) -> io::Result<JoinHandle<()>> {
    let pulse = Pulse::new(name);
    pulse.set_waiting();
    Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(work)) {
            pulse.report(&format!("panicked: {}; not restarted", panic_message(&*thrown)), false);
        }
    })
}

/// Checks all threads, for the conductor, which notifies the surfaces.
pub(crate) struct Watcher {
    last_check: Instant,
    watched: Vec<Watched>,
    restarts: u64,
}

/// One thread, as of the last check.
struct Watched {
    thread: Arc<Record>,
    progress: u64,
    /// Time without progress.
    stalled: Duration,
    /// How long it had run when it had been stalled for half of [`LATE`].
    ran: Option<doing::Seen>,
    is_late: bool,
}

impl Watcher {
    /// A watcher before its first check.
    pub(crate) fn new(now: Instant) -> Self {
        Self { last_check: now, watched: Vec::new(), restarts: 0 }
    }

    /// How often threads were restarted.
    pub(crate) fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The names of the threads without progress.
    pub(crate) fn late(&self) -> Vec<&'static str> {
        self.watched.iter().filter(|watched| watched.is_late).map(|watched| watched.thread.name).collect()
    }

    /// Reads the reports since the last check, and looks for threads without progress.
    pub(crate) fn check(&mut self, now: Instant) -> Vec<Report> {
        let passed = now.duration_since(std::mem::replace(&mut self.last_check, now)).min(LONGEST_STEP);
        let mut reports = Vec::new();
        let mut threads = lock(&THREADS);
        for thread in threads.iter() {
            if !self.watched.iter().any(|watched| Arc::ptr_eq(&watched.thread, thread)) {
                let thread = Arc::clone(thread);
                self.watched.push(Watched {
                    thread,
                    progress: 0,
                    stalled: Duration::ZERO,
                    ran: None,
                    is_late: false,
                });
            }
        }
        self.watched.retain_mut(|watched| {
            // Only the list and the watcher own the record: the thread has ended and reports no more.
            let has_ended = Arc::strong_count(&watched.thread) == 2;
            reports.extend(lock(&watched.thread.reports).drain(..));
            if has_ended {
                threads.retain(|thread| !Arc::ptr_eq(thread, &watched.thread));
            } else {
                reports.extend(watched.check_progress(passed));
            }
            !has_ended
        });
        drop(threads);
        self.restarts += reports.iter().filter(|report| report.is_restart).count() as u64;
        reports
    }
}

impl Watched {
    /// Adds the time that `passed`; gives a report when the thread becomes late, and when it is no longer.
    fn check_progress(&mut self, passed: Duration) -> Option<Report> {
        let name = self.thread.name;
        let report = |text: String| Report { thread: name, text, is_restart: false };
        let progress = self.thread.progress.load(Ordering::Relaxed);
        if self.thread.is_waiting.load(Ordering::Relaxed) || progress != self.progress {
            (self.progress, self.stalled, self.ran) = (progress, Duration::ZERO, None);
            let was_late = std::mem::take(&mut self.is_late);
            return was_late.then(|| {
                info!("thread {name} makes progress again");
                report("makes progress again".to_owned())
            });
        }
        self.stalled += passed;
        let id = self.thread.id.get().copied();
        if self.ran.is_none() && self.stalled >= LATE / 2 {
            self.ran = doing::read(id);
        }
        if self.is_late || self.stalled < LATE {
            return None;
        }
        self.is_late = true;
        let text = format!("has made no progress for {} s; what it shows may be out of date", LATE.as_secs());
        error!("thread {name} {text}{}", doing::since(self.ran, id));
        Some(report(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// There is one list of threads for the whole process, so these tests run one after another.
    static ALONE: Mutex<()> = Mutex::new(());

    /// The reports about one thread in so many checks.
    fn reports(watcher: &mut Watcher, name: &str, checks: u32) -> Vec<Report> {
        let mut now = Instant::now();
        let mut all = Vec::new();
        for _ in 0..checks {
            now += Duration::from_secs(1);
            all.extend(watcher.check(now).into_iter().filter(|report| report.thread == name));
        }
        all
    }

    #[test]
    fn work_that_panics_or_fails_is_called_again_until_it_returns_ok() {
        let _alone = lock(&ALONE);
        let mut watcher = Watcher::new(Instant::now());
        let mut calls = 0;
        let thread = keep_running("test-again", move |_| {
            calls += 1;
            match calls {
                1 => panic!("once"),
                2 => Err(io::Error::other("twice")),
                _ => Ok(()),
            }
        });
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
        let all = reports(&mut watcher, "test-again", 1);
        let texts: Vec<&str> = all.iter().map(|report| report.text.as_str()).collect();
        assert_eq!(texts, ["panicked: once; restarting", "ended: twice; restarting"]);
        assert!(reports(&mut watcher, "test-again", 100).is_empty(), "it has ended, and is not late");
    }

    #[test]
    fn a_thread_without_progress_is_reported_once_and_when_it_goes_on() {
        let _alone = lock(&ALONE);
        let mut watcher = Watcher::new(Instant::now());
        let (go, goes) = bounded::<()>(0);
        let (begin, begun) = bounded::<()>(1);
        let thread = keep_running("test-late", move |pulse| {
            pulse.beat();
            begin.send(()).ok();
            goes.recv().ok();
            pulse.beat();
            goes.recv().ok();
            pulse.set_waiting();
            goes.recv().ok();
            Ok(())
        });
        assert!(begun.recv().is_ok());
        let late = "has made no progress for 10 s; what it shows may be out of date";
        let texts = |reports: Vec<Report>| reports.into_iter().map(|report| report.text).collect::<Vec<_>>();
        assert_eq!(texts(reports(&mut watcher, "test-late", 100)), [late]);
        assert_eq!(watcher.late(), ["test-late"]);
        assert!(go.send(()).is_ok());
        let mut again = Vec::new();
        while again.is_empty() {
            again = reports(&mut watcher, "test-late", 1);
        }
        assert_eq!(texts(again), ["makes progress again"]);
        // One that waits for work is never late.
        assert!(go.send(()).is_ok());
        let is_waiting =
            |thread: &Record| thread.name == "test-late" && thread.is_waiting.load(Ordering::Relaxed);
        while !watcher.watched.iter().any(|watched| is_waiting(&watched.thread)) {
            thread::yield_now();
        }
        assert!(reports(&mut watcher, "test-late", 100).is_empty());
        drop(go);
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
    }

    #[test]
    fn a_thread_that_does_one_thing_is_not_restarted() {
        let _alone = lock(&ALONE);
        let mut watcher = Watcher::new(Instant::now());
        let pulse = Pulse::new("test-guard");
        assert_eq!(pulse.catch_panic(|| 1), Some(1));
        assert_eq!(
            pulse.catch_panic(|| if true {
                panic!("within")
            }),
            None
        );
        let (go, goes) = bounded::<()>(0);
        let thread = run_once("test-once", move || {
            goes.recv().ok();
            panic!("gone");
        });
        let guarded = reports(&mut watcher, "test-guard", 1);
        assert_eq!(guarded[0].text, "panicked: within; it continues");
        drop(go);
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
        let once = reports(&mut watcher, "test-once", 1);
        assert_eq!((once[0].text.as_str(), once[0].is_restart), ("panicked: gone; not restarted", false));
    }
}
