//! The allocation guard of development builds and tests, which lets a panic on the audio thread allocate its message.

#[cfg(debug_assertions)]
use std::alloc::{GlobalAlloc, Layout, System};

/// The allocator of development builds and tests: it ends the process if memory is allocated or freed inside
/// [`crate::audio::realtime::guarded`]. A thread that panics may allocate, for the panic's message.
#[cfg(debug_assertions)]
pub struct Guard;

// SAFETY: each call goes unchanged to an allocator that upholds the contract; both of them are `System`, so memory may
// come from the one and go to the other.
#[cfg(debug_assertions)]
unsafe impl GlobalAlloc for Guard {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe {
            if std::thread::panicking() {
                System.alloc(layout)
            } else {
                assert_no_alloc::AllocDisabler.alloc(layout)
            }
        }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the caller upholds the contract of `GlobalAlloc`.
        unsafe {
            if std::thread::panicking() {
                System.dealloc(memory, layout);
            } else {
                assert_no_alloc::AllocDisabler.dealloc(memory, layout);
            }
        }
    }
}
