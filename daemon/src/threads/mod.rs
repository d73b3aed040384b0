//! One file a thread.

pub mod audio;
pub mod conductor;
pub mod keeper;
pub mod midi;
pub mod signals;
pub mod supervise;
pub mod surfaces;
pub mod taps;
pub mod watch;
