//! The process: its threads, its log, systemd, restarts, and the files it keeps.

pub mod log;
pub mod os_error;
pub mod panics;
pub mod replacement;
pub mod restart;
pub mod state_file;
pub mod state_writer;
pub mod supervise;
pub mod systemd;
