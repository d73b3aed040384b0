//! What the audio thread needs of the machine: real time, processors of its own, memory that stays, and no denormals.
//!
//! The audio thread only leaves its [`Mark`]; all else is done from the control side, by [`Scheduling`].

pub(crate) mod mark;
mod rtkit;
pub(crate) mod sched;
pub(crate) mod scheduling;

pub use mark::Mark;
pub use scheduling::{Giver, Scheduling};

use crate::process::panics::quietly;
use no_denormals::no_denormals;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_current_timer_slack};
use std::num::NonZeroU64;

/// Keeps the process's memory from being swapped out, each page once it is used. Only where the limits let all of it:
/// with less, what is wanted later could not be had. Gives what to tell of it.
pub(crate) fn lock_memory() -> String {
    let may = has(CapabilitySet::IPC_LOCK);
    match most(Resource::Memlock).filter(|_| !may) {
        Some(most) => format!("memory is not locked: only {} MiB may be (see lacquer doctor)", most >> 20),
        None => match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
            Ok(()) => "memory is locked".to_owned(),
            Err(error) => format!("memory is not locked: {error}"),
        },
    }
}

/// Whether the process has a capability.
fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// The most that a limit lets, after it was raised as far as it goes; `None` is without limit.
fn most(resource: Resource) -> Option<u64> {
    let limit = getrlimit(resource);
    if limit.current != limit.maximum {
        // What is refused stays as it was, and counts.
        setrlimit(resource, Rlimit { current: limit.maximum, ..limit }).ok();
    }
    getrlimit(resource).current
}

/// How many files, sockets and devices may be open at once, after that was raised as far as it goes: what begins with a
/// soft limit of 1024 has room for all that plays beside all that is connected.
pub fn raise_open_files() -> usize {
    most(Resource::Nofile).map_or(usize::MAX, |most| most as usize)
}

/// How far real-time priority and locked memory, in bytes, may be raised for this process; `None` is without limit.
pub fn limits() -> (Option<u64>, Option<u64>) {
    let limit = |resource, capability| getrlimit(resource).maximum.filter(|_| !has(capability));
    (limit(Resource::Rtprio, CapabilitySet::SYS_NICE), limit(Resource::Memlock, CapabilitySet::IPC_LOCK))
}

/// Lets this thread wake when it wants to, not up to 50 µs later: for a thread that a timer drives.
pub(crate) fn wake_exactly() {
    // Without it blocks come a little late, and no less well.
    set_current_timer_slack(NonZeroU64::new(1)).ok();
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
