//! Recursive filters: second-order sections, cascades, crossovers, K-weighting.

pub(crate) mod band_shape;
pub(crate) mod cascade;
pub(crate) mod crossover;
pub mod k_weighting;
pub(crate) mod matched;
pub(crate) mod moving_average;
pub(crate) mod svf;
pub(crate) mod wavefront_section;
