//! Delays of whole and fractional frames, and click-free switching.

pub mod fractional;
pub mod line;
pub mod splice;
pub mod tap;
