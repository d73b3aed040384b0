//! The threads and tasks of the surfaces: each decodes bytes into requests for the conductor, and encodes updates into
//! bytes.

mod lookup;
pub(crate) mod mdns;
pub(crate) mod midi;
pub(crate) mod net;
pub(crate) mod osc;
pub(crate) mod signals;
pub(crate) mod terminal;
mod unreachable;
mod watch_inbox;
mod watched_files;
mod watched_folders;
pub(crate) mod watcher;
