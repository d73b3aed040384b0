//! The signal: chain files, plans, and the processing of sound.
//!
//! ```text
//!  yaml -> spec -> plan -> chain -> engine (swap)      chain: nodes/* on dsp/*
//!  [control side] .......| [audio side]
//! ```
//!
//! This crate has no thread, file, socket, clock or log. `[control]` in a doc means: called off the audio
//! thread; `[audio]`: called on it, and neither allocates, frees, locks nor waits.

pub mod block;
pub mod dsp;
pub mod file;
pub mod metering;
pub mod node;
pub mod nodes;
pub mod param;
pub mod plan;
pub mod reading;
pub mod run;

pub use block::{Block, MAX_CHANNELS, Plane, SUBBLOCK};
pub use file::spec::Spec;
pub use plan::{Io, Plan};
pub use run::chain::Chain;
pub use run::engine::Engine;
pub use run::trace::Trace;
