//! What the tests stand on: the real callback driven from memory, signals, measures, a daemon to talk to.
//!
//! Linking this crate puts every test under the allocation guard: a callback that touches the allocator
//! ends the process.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]
#![allow(missing_docs, reason = "tests read their support, nobody else does")]

pub mod browser;
pub mod catalogue;
pub mod controller;
pub mod daemon;
pub mod ear;
pub mod flood;
pub mod golden;
pub mod jackd;
pub mod json_schema;
pub mod material;
pub mod pipewire;
pub mod random;
pub mod rig;
pub mod rights;
pub mod session;
pub mod signal;
pub mod sockets;
pub mod state;
pub mod studio;
pub mod tosc;

// As in the daemon, release builds have nothing of it.
#[cfg(debug_assertions)]
#[global_allocator]
static GUARD: lacquer::audio::panics::Guard = lacquer::audio::panics::Guard;
