//! The kernel's id of an audio thread, which the thread records for the control side.

use rustix::process::Pid;
use rustix::thread::gettid;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

/// Stack that is touched before the first block, in bytes: more than the callback uses, less than any host's thread
/// has.
const STACK: usize = 128 << 10;

/// Holds the id of one audio thread, once it runs. Clones share the same id.
///
/// [`crate::audio::callback::Callback`] records the thread that it runs on. A second audio thread (the input stream of
/// a device) has an id of its own from [`super::Scheduling::add_thread`], and begins its callback with
/// [`record`](Self::record).
#[derive(Clone, Debug, Default)]
pub struct ThreadId(Arc<AtomicI32>);

impl ThreadId {
    /// `[audio]` Records the id of the calling thread, and touches its stack so that no page fault comes later. From
    /// the second call on this only reads an atomic.
    #[inline]
    pub fn record(&self) {
        if self.0.load(Ordering::Relaxed) == 0 {
            self.record_first();
        }
    }

    #[cold]
    fn record_first(&self) {
        touch_stack();
        self.0.store(gettid().as_raw_pid(), Ordering::Relaxed);
    }

    /// `[control]` The id, if the thread has run.
    pub fn get(&self) -> Option<Pid> {
        Pid::from_raw(self.0.load(Ordering::Relaxed))
    }
}

#[inline(never)]
fn touch_stack() {
    black_box(&mut [0_u8; STACK]);
}
