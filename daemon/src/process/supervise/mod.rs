//! Every thread of the daemon is started here: it has a name, one that ends unasked is started again and reported, and
//! one that stops making progress is reported.
//!
//! A thread that is to be restarted stays the same thread of the system: its work is called again, with the channels
//! and sockets that it had. What the work itself held (meters, subscribers) begins anew.

mod doing;
mod faults;

use faults::Wanted;
pub use faults::obey_stdin;
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

/// Before a thread is started again: the first pause, and the longest. It doubles.
const PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A thread that has run this long has recovered from what ended it before.
const RECOVERED: Duration = Duration::from_secs(60);
/// A thread that has made no progress for so long is reported.
const LATE: Duration = Duration::from_secs(10);
/// Most of the time between two looks that counts: where the watching thread did not run, others may not have either.
const COUNTS: Duration = Duration::from_millis(200);
/// Reports of one thread that wait to be read.
const REPORTS: usize = 8;

/// What is known of one thread.
struct Record {
    name: &'static str,
    /// Which one of the system it is, once it has made progress.
    id: OnceLock<Pid>,
    progress: AtomicU64,
    /// Whether it waits for work without a limit of time.
    waits: AtomicBool,
    reports: Mutex<VecDeque<Report>>,
    wanted: Wanted,
}

/// Something that happened to a thread.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub thread: &'static str,
    /// What happened, and what follows.
    pub text: String,
    /// Whether it was started again, and so has lost what it held.
    pub is_restart: bool,
}

/// All that run, and those that have ended until the watcher has seen that.
static THREADS: Mutex<Vec<Arc<Record>>> = Mutex::new(Vec::new());
/// Most that are known, should nobody look.
const MOST: usize = 256;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A list that a panic interrupted is still a list.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How a thread shows that it makes progress.
#[derive(Clone)]
pub struct Pulse(Arc<Record>);

impl Pulse {
    /// A pulse for a thread that is not started here, under a name.
    pub fn new(name: &'static str) -> Self {
        let record = Arc::new(Record {
            name,
            id: OnceLock::new(),
            progress: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            reports: Mutex::default(),
            wanted: Wanted::default(),
        });
        let mut threads = lock(&THREADS);
        if threads.len() == MOST {
            threads.remove(0);
        }
        threads.push(Arc::clone(&record));
        Self(record)
    }

    /// The thread makes progress. To be called at least once a second.
    pub fn beat(&self) {
        self.0.waits.store(false, Ordering::Relaxed);
        self.0.progress.fetch_add(1, Ordering::Relaxed);
        self.0.id.get_or_init(gettid);
        self.0.wanted.obey(self.0.name);
    }

    /// The thread waits for work, which may take for ever; until the next [`beat`](Self::beat) it is not late.
    pub fn waits(&self) {
        self.0.waits.store(true, Ordering::Relaxed);
    }

    /// Runs `work`; a panic in it is reported as one after which the thread goes on, and gives `None`.
    pub fn guard<T>(&self, work: impl FnOnce() -> T) -> Option<T> {
        // What is half done is given up by whoever calls this.
        catch_unwind(AssertUnwindSafe(work))
            .map_err(|thrown| self.report(&format!("panicked: {}; it goes on", message(&*thrown)), true))
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

/// What was thrown, in words.
fn message(thrown: &(dyn Any + Send)) -> &str {
    let text = thrown.downcast_ref::<&str>().copied();
    text.or_else(|| thrown.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

/// Starts a thread that calls `work` until that returns `Ok`, which it does only where it was asked to end. After a panic
/// or an `Err`, which says why, that is reported and it is called again after a pause.
///
/// # Errors
/// The system has no thread left.
pub fn keep_running(
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
                Ok(Err(why)) => format!("ended: {why}"),
                Err(thrown) => format!("panicked: {}", message(&*thrown)),
            };
            pause = if begin.elapsed() > RECOVERED { PAUSE } else { (2 * pause).min(LONGEST_PAUSE) };
            pulse.report(&format!("{why}; it is started again"), true);
            thread::sleep(pause);
        }
    })
}

/// Starts a thread that does one thing and ends. A panic is reported; whoever waits for its result sees that none comes.
///
/// # Errors
/// The system has no thread left.
pub fn run_once(name: &'static str, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let pulse = Pulse::new(name);
    pulse.waits();
    Builder::new().name(name.to_owned()).spawn(move || {
        if let Err(thrown) = catch_unwind(AssertUnwindSafe(work)) {
            pulse.report(&format!("panicked: {}; it has ended", message(&*thrown)), false);
        }
    })
}

/// Looks after all threads, for the one that notifies the surfaces.
pub struct Watcher {
    looked: Instant,
    seen: Vec<Seen>,
    restarts: u64,
}

struct Seen {
    thread: Arc<Record>,
    progress: u64,
    still: Duration,
    /// How much it had run when it had been still for half of [`LATE`].
    ran: Option<doing::Seen>,
    is_late: bool,
}

impl Watcher {
    /// A watcher that has seen nothing yet.
    pub fn new(now: Instant) -> Self {
        Self { looked: now, seen: Vec::new(), restarts: 0 }
    }

    /// How often a thread was started again.
    pub fn restarts(&self) -> u64 {
        self.restarts
    }

    /// The names of the threads that make no progress.
    pub fn late(&self) -> Vec<&'static str> {
        self.seen.iter().filter(|seen| seen.is_late).map(|seen| seen.thread.name).collect()
    }

    /// What has happened since the last look.
    pub fn look(&mut self, now: Instant) -> Vec<Report> {
        let passed = now.duration_since(std::mem::replace(&mut self.looked, now)).min(COUNTS);
        let mut reports = Vec::new();
        let mut threads = lock(&THREADS);
        for thread in threads.iter() {
            if !self.seen.iter().any(|seen| Arc::ptr_eq(&seen.thread, thread)) {
                let thread = Arc::clone(thread);
                self.seen.push(Seen {
                    thread,
                    progress: 0,
                    still: Duration::ZERO,
                    ran: None,
                    is_late: false,
                });
            }
        }
        self.seen.retain_mut(|seen| {
            // The list's and this one's: the thread has ended, and reports nothing from now on.
            let has_ended = Arc::strong_count(&seen.thread) == 2;
            reports.extend(lock(&seen.thread.reports).drain(..));
            if has_ended {
                threads.retain(|thread| !Arc::ptr_eq(thread, &seen.thread));
            } else {
                reports.extend(seen.lateness(passed));
            }
            !has_ended
        });
        drop(threads);
        self.restarts += reports.iter().filter(|report| report.is_restart).count() as u64;
        reports
    }
}

impl Seen {
    fn lateness(&mut self, passed: Duration) -> Option<Report> {
        let name = self.thread.name;
        let report = |text: String| Report { thread: name, text, is_restart: false };
        let progress = self.thread.progress.load(Ordering::Relaxed);
        if self.thread.waits.load(Ordering::Relaxed) || progress != self.progress {
            (self.progress, self.still, self.ran) = (progress, Duration::ZERO, None);
            let was_late = std::mem::take(&mut self.is_late);
            return was_late.then(|| {
                info!("thread {name} makes progress again");
                report("makes progress again".to_owned())
            });
        }
        self.still += passed;
        let id = self.thread.id.get().copied();
        if self.ran.is_none() && self.still >= LATE / 2 {
            self.ran = doing::look(id);
        }
        if self.is_late || self.still < LATE {
            return None;
        }
        self.is_late = true;
        let text =
            format!("has made no progress for {} s; what it shows or does is out of date", LATE.as_secs());
        error!("thread {name} {text}{}", doing::since(self.ran, id));
        Some(report(text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::bounded;

    /// There is one list of threads, so one watcher looks at a time.
    static ALONE: Mutex<()> = Mutex::new(());

    /// The reports about one thread that come within so many looks.
    fn reports(watcher: &mut Watcher, name: &str, looks: u32) -> Vec<Report> {
        let mut now = Instant::now();
        let mut all = Vec::new();
        for _ in 0..looks {
            now += Duration::from_secs(1);
            all.extend(watcher.look(now).into_iter().filter(|report| report.thread == name));
        }
        all
    }

    #[test]
    fn work_that_panics_or_fails_is_called_again_until_it_is_asked_to_end() {
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
        assert_eq!(texts, ["panicked: once; it is started again", "ended: twice; it is started again"]);
        assert!(reports(&mut watcher, "test-again", 100).is_empty(), "it has ended, and is not late");
    }

    #[test]
    fn a_thread_without_progress_is_reported_once_and_when_it_goes_on() {
        let _alone = lock(&ALONE);
        let mut watcher = Watcher::new(Instant::now());
        let (go, goes) = bounded::<()>(0);
        let thread = keep_running("test-late", move |pulse| {
            pulse.beat();
            goes.recv().ok();
            pulse.beat();
            goes.recv().ok();
            pulse.waits();
            goes.recv().ok();
            Ok(())
        });
        let late = "has made no progress for 10 s; what it shows or does is out of date";
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
        while !watcher.seen.iter().any(|seen| seen.thread.waits.load(Ordering::Relaxed)) {
            thread::yield_now();
        }
        assert!(reports(&mut watcher, "test-late", 100).is_empty());
        drop(go);
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
    }

    #[test]
    fn what_does_one_thing_is_not_started_again() {
        let _alone = lock(&ALONE);
        let mut watcher = Watcher::new(Instant::now());
        let pulse = Pulse::new("test-guard");
        assert_eq!(pulse.guard(|| 1), Some(1));
        assert_eq!(
            pulse.guard(|| if true {
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
        assert_eq!(guarded[0].text, "panicked: within; it goes on");
        drop(go);
        assert!(thread.is_ok_and(|thread| thread.join().is_ok()));
        let once = reports(&mut watcher, "test-once", 1);
        assert_eq!((once[0].text.as_str(), once[0].is_restart), ("panicked: gone; it has ended", false));
    }
}
