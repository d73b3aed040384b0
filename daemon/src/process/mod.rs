//! The process: threads, log, systemd, restarts, state file and audit log.

pub mod log;
pub mod os_error;
pub mod panics;
pub mod restart;
pub mod state_file;
pub mod state_writer;
pub mod supervise;
pub mod systemd;
