//! The machine: threads, devices, signals, files. The only place that spawns, reads clocks and holds unsafe.
//!
//! ```text
//!  cli -> station -> conductor ==queues==> audio/callback <- audio/backend/{jack,cpal,null,file}
//!                    ^      |                        | audio/taps
//!                    surfaces                        conductor
//! ```
//!
//! In this order, each imports only those before it: process, media, station, audio, offline, surfaces, conductor;
//! doctor and cli.

pub mod audio;
pub mod cli;
mod conductor;
pub mod doctor;
pub mod media;
pub mod offline;
pub mod process;
pub mod station;
mod surfaces;
