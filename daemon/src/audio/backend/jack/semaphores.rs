//! The semaphores by which the clients of a jackd wake each other, in shared memory.
//!
//! While a client is being opened, libjack is not notified of clients that close. The new client then keeps the
//! semaphore of a closed one, and signals it instead of that of the next client with the same number, which would never
//! run. PipeWire's clients wake each other by other means.

use std::fs;

/// Part of a semaphore's file name, and what the system appends to the name of a deleted file.
const SEMAPHORE: &str = "/jack_sem.";
const DELETED: &str = " (deleted)";

/// Whether this process holds the semaphore of a closed client.
pub(super) fn are_stale() -> bool {
    // Without /proc there is no answer: none counts as stale.
    let held = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    held.lines().any(|line| line.contains(SEMAPHORE) && line.ends_with(DELETED))
}
