//! The process: threads, log, systemd, restarts, state file and audit log.

pub(crate) mod client_log;
pub(crate) mod log;
pub(crate) mod log_writer;
pub(crate) mod named;
pub(crate) mod os_error;
pub mod panics;
pub(crate) mod replacement;
pub(crate) mod restart;
pub(crate) mod state_file;
pub(crate) mod state_saver;
pub(crate) mod state_writer;
pub(crate) mod supervise;
pub(crate) mod systemd;
pub(crate) mod worker;
