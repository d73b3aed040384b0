//! What the audio thread needs of the machine. The only unsafe code besides JACK's latency callback.

use crate::panics::quietly;
use no_denormals::no_denormals;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};

/// Keeps the process's memory from being swapped out, each page once it is used. Only where the limits let all of it:
/// with less, what is wanted later could not be had. Gives what to tell of it.
pub fn lock_memory() -> String {
    match getrlimit(Resource::Memlock).current {
        Some(most) => format!("memory is not locked: only {} MiB may be (see lacquer doctor)", most >> 20),
        None => match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
            Ok(()) => "memory is locked".to_owned(),
            Err(error) => format!("memory is not locked: {error}"),
        },
    }
}

/// Runs the callback: denormals count as zero, and in development builds and tests the process stops where
/// memory is allocated or freed.
pub fn guarded<T>(callback: impl FnOnce() -> T) -> T {
    assert_no_alloc::assert_no_alloc(|| {
        // SAFETY: the flags are changed for this call alone and only move subnormal results to zero, which
        // no code in the callback tells from a result of zero; the guard inside restores them on return.
        unsafe { no_denormals(|| quietly(callback)) }
    })
}
