//! What runs on the audio thread: a node in its slot, the chain of them, and the engine that plays a chain and swaps it.

pub mod chain;
pub mod engine;
pub(crate) mod node_slot;
pub(crate) mod swap;
pub(crate) mod trace;
