//! Audio: the callback, the session that runs it on a backend, real-time scheduling, taps.

pub mod backend;
pub mod callback;
pub(crate) mod hang;
pub(crate) mod health;
pub(crate) mod link;
pub(crate) mod load;
pub(crate) mod midi_ports;
pub mod panics;
pub mod ports;
pub mod realtime;
pub(crate) mod session;
pub(crate) mod status;
pub mod taps;
pub(crate) mod xruns;
