//! The wakers by which the clients of a jackd wake each other: a piece of shared memory each.
//!
//! libjack does not hear of a client that leaves while another one is being opened: the new one keeps the waker of the one
//! that left, and would wake that, in vain, in place of the next client which takes its place. That client would never
//! run. PipeWire's clients wake each other by other means.

use std::fs;

/// What jackd calls a waker, in the system's own words for a file that no longer is.
const WAKER: &str = "/jack_sem.";
const GONE: &str = " (deleted)";

/// Whether this process holds the waker of a client that has left.
pub fn are_stale() -> bool {
    // Where the system does not tell, there is nothing to go by.
    let held = fs::read_to_string("/proc/self/maps").unwrap_or_default();
    held.lines().any(|line| line.contains(WAKER) && line.ends_with(GONE))
}
