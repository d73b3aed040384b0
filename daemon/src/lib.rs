//! The machine: threads, devices, signals, files. The only place that spawns, reads clocks and holds unsafe.
//!
//! ```text
//!  cli -> station, reload -> threads/conductor ==wire==> threads/audio <- backend/{jack,null,file}
//!                             ^      |                        | taps
//!          threads/{surfaces,signals,watch}    notices  threads/taps
//! ```

pub mod again;
pub mod air;
pub mod backend;
pub mod cli;
pub mod cues;
pub mod doctor;
pub mod files;
pub mod impulses;
pub mod link;
pub mod load;
pub mod log;
pub mod midi;
pub mod named;
pub mod net;
pub mod panics;
pub mod plot;
pub mod realtime;
pub mod reload;
pub mod report;
pub mod schema;
pub mod screen;
pub mod service;
pub mod shelf;
pub mod state;
pub mod station;
pub mod taps;
pub mod threads;
pub mod touchosc;
pub mod xruns;
