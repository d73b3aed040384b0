//! Panics on the audio thread: what is thrown may take memory, nothing else there may.

#[cfg(debug_assertions)]
use std::alloc::{GlobalAlloc, Layout, System};

/// The allocator of development builds and tests: where [`crate::audio::realtime::guarded`] forbids memory, it ends the
/// process. While a thread panics it may have memory all the same, for what is thrown lies there.
#[cfg(debug_assertions)]
pub struct Guard;

// SAFETY: each call goes unchanged to an allocator that upholds the contract; both of them are `System`, so memory may
// come from the one and go to the other.
#[cfg(debug_assertions)]
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as the caller promised.
        unsafe {
            if std::thread::panicking() {
                System.alloc(layout)
            } else {
                assert_no_alloc::AllocDisabler.alloc(layout)
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe {
            if std::thread::panicking() {
                System.dealloc(memory, layout);
            } else {
                assert_no_alloc::AllocDisabler.dealloc(memory, layout);
            }
        }
    }
}
