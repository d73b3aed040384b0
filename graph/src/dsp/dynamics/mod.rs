//! Dynamics: detectors, curves, gain smoothing, and how loud a programme is.

pub mod clip;
pub mod curve;
pub mod detector;
pub mod envelope;
pub(crate) mod eq_band;
pub mod follower;
pub mod programme_loudness;
pub mod side_chain;
pub mod sliding_minimum;
pub mod tally;
