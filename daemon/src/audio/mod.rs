//! Audio: the callback, the session that a backend runs it in, real-time scheduling, taps.

pub mod backend;
pub mod callback;
pub(crate) mod load;
pub(crate) mod midi_ports;
pub mod panics;
pub mod ports;
pub mod realtime;
pub(crate) mod session;
pub mod taps;
pub(crate) mod xruns;
