//! Counts the calls of our callbacks, so that a client is closed only while none of them runs.
//!
//! jackd's library cancels its threads wherever they are. A thread that is cancelled inside an allocation keeps the
//! allocator's lock for ever, and one that is cancelled inside our code ends the process. So a client is closed only
//! after its threads have been outside our code for a while. A running server takes care of its audio thread itself; a
//! server that ends does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// After this time without a call no more calls are expected: some blocks of usual size.
const QUIET: Duration = Duration::from_millis(30);
/// Time between two checks.
const CHECK: Duration = Duration::from_millis(1);
/// Time limit: a callback that hangs never ends.
const LONGEST: Duration = Duration::from_millis(500);

/// The calls of one thread.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// One call, until it is dropped. It never owns the last reference to its `Calls`, so dropping it frees nothing.
pub(super) struct Call(Arc<Calls>);

impl Calls {
    /// `[audio]` Counts the begin of a call.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.begun.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(self))
    }

    /// The number of calls; `None` while one runs.
    fn completed(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Acquire) == ended).then_some(ended)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// Waits until there was no call for a while.
pub(super) fn wait_until_quiet(all: &[Arc<Calls>]) {
    let count = || all.iter().map(|calls| calls.completed()).collect::<Option<Vec<u64>>>();
    let begin = Instant::now();
    let (mut seen, mut since) = (count(), begin);
    while since.elapsed() < QUIET && begin.elapsed() < LONGEST {
        thread::sleep(CHECK);
        let now = count();
        if now.is_none() || now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_running_call_is_waited_for() {
        let all = [Arc::new(Calls::default()), Arc::new(Calls::default())];
        let call = all[1].begin();
        let thread = thread::spawn(move || {
            thread::sleep(2 * QUIET);
            drop(call);
        });
        wait_until_quiet(&all);
        assert_eq!(all[1].completed(), Some(1));
        assert!(thread.join().is_ok());
    }

    #[test]
    fn a_call_that_hangs_is_waited_for_only_for_a_limited_time() {
        let all = [Arc::new(Calls::default())];
        let _call = all[0].begin();
        wait_until_quiet(&all);
        assert_eq!(all[0].completed(), None);
    }
}
