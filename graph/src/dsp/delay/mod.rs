//! Delays, whole and fractional, and what changes places without a click.

pub mod fractional;
pub mod line;
pub mod slip;
pub mod tap;
