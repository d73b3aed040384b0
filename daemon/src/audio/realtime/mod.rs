//! What the audio thread needs from the machine: real-time priority, processors of its own, locked memory, and
//! denormals flushed to zero.
//!
//! The audio thread only records its [`ThreadId`]; everything else is done on the control side, by [`Scheduling`].

mod rtkit;
pub(crate) mod sched;
pub(crate) mod scheduling;
pub mod thread_id;

pub use scheduling::{RealtimeBy, Scheduling};
pub use thread_id::ThreadId;

use crate::process::os_error::plain;
use crate::process::panics::quietly;
use no_denormals::no_denormals;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CapabilitySet, capabilities, set_current_timer_slack};
use std::num::NonZeroU64;

/// Locks the process's memory, each page once it is used, so that none is swapped out. Only if the limit allows all of
/// it: with a lower limit, later allocations would fail. Returns a line for the log.
pub(crate) fn lock_memory() -> String {
    let may = has(CapabilitySet::IPC_LOCK);
    match most(Resource::Memlock).filter(|_| !may) {
        Some(most) => format!(
            "memory not locked (RLIMIT_MEMLOCK is {} MiB); it may be swapped out; run `lacquer doctor`",
            most >> 20
        ),
        None => match mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT) {
            Ok(()) => "memory locked".to_owned(),
            Err(error) => format!("memory not locked ({}); it may be swapped out", plain(&error.into())),
        },
    }
}

/// Whether the process has a capability.
fn has(capability: CapabilitySet) -> bool {
    capabilities(None).is_ok_and(|sets| sets.effective.contains(capability))
}

/// Raises a limit to its maximum and returns it; `None` is unlimited.
fn most(resource: Resource) -> Option<u64> {
    let limit = getrlimit(resource);
    if limit.current != limit.maximum {
        // If that is refused, the old limit stays.
        setrlimit(resource, Rlimit { current: limit.maximum, ..limit }).ok();
    }
    getrlimit(resource).current
}

/// Raises the limit of open files, sockets and devices to its maximum and returns it: the usual soft limit of 1024 may
/// be too low for audio, state and many clients.
pub fn raise_open_files() -> usize {
    most(Resource::Nofile).map_or(usize::MAX, |most| most as usize)
}

/// The highest real-time priority, and the most locked memory in bytes, that this process may have; `None` is
/// unlimited.
pub fn limits() -> (Option<u64>, Option<u64>) {
    let limit = |resource, capability| getrlimit(resource).maximum.filter(|_| !has(capability));
    (limit(Resource::Rtprio, CapabilitySet::SYS_NICE), limit(Resource::Memlock, CapabilitySet::IPC_LOCK))
}

/// Sets this thread's timer slack from 50 µs to 1 ns: for a thread that a timer drives.
pub fn minimise_timer_slack() {
    // If that fails, blocks come up to 50 µs later, which is harmless.
    set_current_timer_slack(NonZeroU64::new(1)).ok();
}

/// Runs the callback with denormals flushed to zero. In development builds and tests the process ends if memory is
/// allocated or freed in it.
pub fn guarded<T>(callback: impl FnOnce() -> T) -> T {
    assert_no_alloc::assert_no_alloc(|| {
        // SAFETY: the flags are changed for this call only, and only flush subnormal results to zero, which the
        // callback treats like zero; the guard inside restores them on return.
        unsafe { no_denormals(|| quietly(callback)) }
    })
}
