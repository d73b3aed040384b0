//! Surfaces: bytes in, intents out; notices in, bytes out.

pub mod ctl;
pub mod osc;
