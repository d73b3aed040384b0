//! Recursive filters: second-order sections, cascades, crossovers, K-weighting.

pub mod band_shape;
pub mod cascade;
pub mod crossover;
pub mod k_weighting;
pub mod matched;
pub mod moving_average;
pub mod svf;
pub mod wavefront_section;
