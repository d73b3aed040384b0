//! The threads and tasks of the surfaces: each decodes bytes into requests for the conductor, and encodes updates into
//! bytes.

pub(crate) mod mdns;
pub(crate) mod midi;
pub(crate) mod net;
pub(crate) mod osc;
pub(crate) mod signals;
pub(crate) mod terminal;
mod unreachable;
pub(crate) mod watcher;
