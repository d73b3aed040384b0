//! The process: its threads, its log, systemd, restarts, and the files it keeps.

pub(crate) mod log;
pub(crate) mod named;
pub(crate) mod os_error;
pub mod panics;
pub(crate) mod replacement;
pub(crate) mod restart;
pub(crate) mod state_file;
pub(crate) mod state_writer;
pub(crate) mod supervise;
pub(crate) mod systemd;
