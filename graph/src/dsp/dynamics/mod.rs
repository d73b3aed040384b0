//! Dynamics: detectors, static curves, gain smoothing, and programme loudness.

pub mod clip;
pub mod count_per_second;
pub mod curve;
pub mod detector;
pub mod envelope;
pub(crate) mod eq_band;
pub mod follower;
pub mod programme_loudness;
pub mod side_chain;
pub mod sliding_minimum;
