//! Audio: the callback, the session that runs it on a backend, real-time scheduling, taps.

pub mod backend;
pub mod callback;
pub mod load;
pub mod midi_ports;
pub mod panics;
pub mod ports;
pub mod realtime;
pub mod session;
pub mod taps;
pub mod xruns;
