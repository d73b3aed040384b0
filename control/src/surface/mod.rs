//! Surfaces: bytes in, intents out; notices in, bytes out.

pub mod client;
pub mod midi;
pub mod osc;
pub mod query;
pub mod stream;
pub mod touchosc;
