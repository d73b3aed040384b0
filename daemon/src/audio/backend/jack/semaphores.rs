//! The semaphores by which the clients of a jackd wake each other, in shared memory.
//!
//! libjack does not hear of a client that leaves while another one is being opened: the new one keeps the semaphore of the
//! one that left, and would signal that, in vain, in place of the next client which takes its number. That client would
//! never run. PipeWire's clients wake each other by other means.

use std::fs;

/// What the name of one contains, and what the system adds to that of a file that no longer is.
const SEMAPHORE: &str = "/jack_sem.";
const GONE: &str = " (deleted)";

/// Whether this process holds the semaphore of a client that has left.
pub(super) fn are_stale() -> bool {
    // Where the system does not tell, there is nothing to go by.
    let held = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    held.lines().any(|line| line.contains(SEMAPHORE) && line.ends_with(GONE))
}
