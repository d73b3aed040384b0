//! Who is inside one of our callbacks.
//!
//! jackd's library ends its threads by cancelling them wherever they are. One that is in the midst of an allocation keeps
//! its lock for ever, and one that is in our code ends the process with it. So a client is left only once its threads have
//! been out of our code for a while. A server that runs sees to that itself as far as audio goes; one that ends does not.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// So long nothing has been called before it is taken that nothing will be: some blocks of a usual size.
const QUIET: Duration = Duration::from_millis(30);
/// A look each.
const LOOK: Duration = Duration::from_millis(1);
/// Not longer than that: a callback that hangs never ends.
const MOST: Duration = Duration::from_millis(500);

/// Counts the calls of one thread.
#[derive(Debug, Default)]
pub(super) struct Calls {
    begun: AtomicU64,
    ended: AtomicU64,
}

/// A call, until it is dropped. Never the last to hold the count.
pub(super) struct Call(Arc<Calls>);

impl Calls {
    /// `[audio]` One has begun.
    pub(super) fn begin(self: &Arc<Self>) -> Call {
        self.begun.fetch_add(1, Ordering::AcqRel);
        Call(Arc::clone(self))
    }

    /// The number of calls, unless one is under way.
    fn done(&self) -> Option<u64> {
        let ended = self.ended.load(Ordering::Acquire);
        (self.begun.load(Ordering::Acquire) == ended).then_some(ended)
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.ended.fetch_add(1, Ordering::AcqRel);
    }
}

/// Waits until nobody has been inside for a while.
pub(super) fn wait(all: &[Arc<Calls>]) {
    let look = || all.iter().map(|calls| calls.done()).collect::<Option<Vec<u64>>>();
    let begin = Instant::now();
    let (mut seen, mut since) = (look(), begin);
    while since.elapsed() < QUIET && begin.elapsed() < MOST {
        thread::sleep(LOOK);
        let now = look();
        if now.is_none() || now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_that_is_under_way_is_waited_for() {
        let all = [Arc::new(Calls::default()), Arc::new(Calls::default())];
        let call = all[1].begin();
        let thread = thread::spawn(move || {
            thread::sleep(2 * QUIET);
            drop(call);
        });
        wait(&all);
        assert_eq!(all[1].done(), Some(1));
        assert!(thread.join().is_ok());
    }

    #[test]
    fn one_that_hangs_is_left_in_the_end() {
        let all = [Arc::new(Calls::default())];
        let _call = all[0].begin();
        wait(&all);
        assert_eq!(all[0].done(), None);
    }
}
