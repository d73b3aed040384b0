//! The signal: chain files, plans, and the processing of sound.
//!
//! ```text
//!  yaml -> spec -> plan -> chain -> engine (swap)      chain: nodes/* on dsp/*
//!  [control side] .......| [audio side]
//! ```
//!
//! From YAML text to samples:
//!
//! ```
//! use lacquer_graph::{Chain, Io, Plan, SUBBLOCK, Spec};
//!
//! let (spec, mistakes) = Spec::parse(b"nodes: [gain: {gain: -6.0206 dB}]");
//! assert!(mistakes.is_empty());
//! let plan = Plan::new(&spec, &Io::stereo(), 48_000.0).expect("the chain fits a stereo station");
//! let mut chain = Chain::new(&plan, 1);
//! let (input, mut output) = ([[1.0; SUBBLOCK]; 2], [[0.0; SUBBLOCK]; 2]);
//! chain.process(&input, &mut output, SUBBLOCK, None, |event| panic!("{event:?}"));
//! assert!(output.iter().flatten().all(|sample| (sample - 0.5).abs() < 1e-6));
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
