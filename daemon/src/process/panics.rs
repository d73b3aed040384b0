//! Panics that are caught, and must not be printed: printing takes a lock, memory and a system call.

use crate::process::log_writer::log_panic;
use std::cell::Cell;
use std::panic::{set_hook, take_hook};

thread_local! {
    static IS_QUIET: Cell<bool> = const { Cell::new(false) };
}

/// Runs the callback. A panic in it is not printed; later panics of this thread are.
pub(crate) fn quietly<T>(callback: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            IS_QUIET.set(self.0);
        }
    }
    let _restore = Restore(IS_QUIET.replace(true));
    callback()
}

/// Installs a panic hook that prints nothing while [`quietly`] runs, and that never waits once there is a log.
pub fn install() {
    let print = take_hook();
    set_hook(Box::new(move |panic| {
        if !IS_QUIET.get() && !log_panic(panic) {
            print(panic);
        }
    }));
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
