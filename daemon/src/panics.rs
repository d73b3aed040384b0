//! Panics on the audio thread: what the graph catches must neither print there nor end the process.

#[cfg(debug_assertions)]
use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::panic::{set_hook, take_hook};

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs the callback; a panic in it prints nothing. Panics of this thread print again once it has returned or unwound.
pub fn quietly<T>(callback: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_QUIET.set(self.0);
        }
    }
    let _restore = Restore(IS_QUIET.replace(true));
    callback()
}

/// Makes the hook that prints panics look whether it may: to print takes a lock, memory and a system call.
pub fn install() {
    let print = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_QUIET.get() {
            print(panic);
        }
    }));
}

/// The allocator of development builds and tests: where [`crate::realtime::guarded`] forbids memory, it ends the
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_thread_is_quiet_only_while_it_is_asked_to_be() {
        let unwound = catch_unwind(|| quietly(|| quietly(|| std::panic::resume_unwind(Box::new("thrown")))));
        assert!(unwound.is_err() && !IS_QUIET.get());
        quietly(|| {
            quietly(|| {});
            assert!(IS_QUIET.get());
        });
        assert!(!IS_QUIET.get());
    }
}
