//! What an audio thread leaves behind for the control side: its id at the kernel.

use rustix::process::Pid;
use rustix::thread::gettid;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Stack that is touched before the first sound, in bytes: more than the callback uses, less than any host's thread has.
const STACK: usize = 128 << 10;

/// A place where one audio thread leaves its id. Clones are the same place.
///
/// [`crate::audio::callback::Callback`] leaves that of the thread it runs on. A thread that handles sound beside it (the
/// input of a device with two streams) takes a mark of its own from [`super::Scheduling::mark`], and begins its
/// callback with `mark.here()`.
#[derive(Clone, Debug, Default)]
pub struct Mark(Arc<AtomicI32>);

impl Mark {
    /// `[audio]` Leaves this thread's id, and touches its stack so that no page of it is missing later. From the second
    /// call on it only looks that this is done.
    #[inline]
    pub fn here(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.leave();
        }
    }

    #[cold]
    fn leave(&self) {
        touch_stack();
        self.0.store(gettid().as_raw_pid(), Ordering::Relaxed);
    }

    /// `[control]` The thread that was here.
    pub fn thread(&self) -> Option<Pid> {
        Pid::from_raw(self.0.load(Ordering::Relaxed))
    }
}

#[inline(never)]
fn touch_stack() {
    black_box(&mut [0_u8; STACK]);
}
