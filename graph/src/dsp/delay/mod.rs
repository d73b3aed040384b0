//! Delays of whole and fractional frames, and click-free switching.

pub(crate) mod fractional;
pub(crate) mod line;
pub(crate) mod splice;
pub(crate) mod tap;
