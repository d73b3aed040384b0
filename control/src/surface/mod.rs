//! Surfaces: bytes in, requests out; updates in, bytes out.

pub mod client;
pub mod midi;
pub mod osc;
pub mod proof;
pub mod query;
pub mod stream;
pub mod touchosc;
