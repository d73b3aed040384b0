//! The threads and tasks of the surfaces: each decodes bytes into requests for the conductor, and encodes updates into
//! bytes.

pub mod mdns;
pub mod midi;
pub mod net;
pub mod osc;
pub mod signals;
pub mod terminal;
mod unreachable;
pub mod watcher;
