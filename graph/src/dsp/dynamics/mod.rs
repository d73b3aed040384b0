//! Dynamics: detectors, static curves, gain smoothing, and programme loudness.

pub(crate) mod clip;
pub(crate) mod count_per_second;
pub(crate) mod curve;
pub(crate) mod detector;
pub(crate) mod envelope;
pub(crate) mod eq_band;
pub(crate) mod follower;
pub(crate) mod programme_loudness;
pub(crate) mod side_chain;
pub(crate) mod sliding_minimum;
