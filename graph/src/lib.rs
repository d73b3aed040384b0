//! The signal: what a chain file means, and what it does to the sound.
//!
//! ```text
//!  yaml -> spec -> plan -> chain -> seat (swap)        chain: nodes/* on dsp/*
//!  [control side] ..........| [audio side]
//! ```
//!
//! This crate has no thread, file, socket, clock or log. `[control]` in a doc means: called off the audio
//! thread; `[audio]`: called on it, and neither allocates, frees, locks nor waits.

pub mod block;
pub mod chain;
pub mod dsp;
pub mod error;
#[cfg(debug_assertions)]
mod fault;
pub mod fields;
pub mod meter;
pub mod metering;
pub mod node;
pub mod nodes;
pub mod param;
pub mod plan;
mod planner;
pub mod ramp;
mod rows;
pub mod seat;
pub mod spec;
mod step;
pub mod swap;
pub mod text;
pub mod trace;
mod unit;
pub mod yaml;

pub use block::{Block, MAX_CHANNELS, Plane, QUANTUM};
pub use chain::Chain;
pub use plan::{Io, Plan};
pub use seat::Seat;
pub use spec::Spec;
pub use trace::Trace;
