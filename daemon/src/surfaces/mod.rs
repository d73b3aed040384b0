//! The threads and tasks of the surfaces: each turns bytes of the outside world into requests, and updates into bytes.

pub mod mdns;
pub mod midi;
pub mod net;
pub mod osc;
pub mod signals;
pub mod terminal;
pub mod watcher;
