//! Surfaces: bytes in, intents out; notices in, bytes out.

pub mod audience;
pub mod ctl;
pub mod gate;
pub mod midi;
pub mod names;
pub mod osc;
pub mod query;
pub mod stream;
pub mod words;
