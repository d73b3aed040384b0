//! Mathematics: samples in, samples out. Imports nothing of ours but each other.

pub mod band;
pub mod boxes;
pub mod cascade;
pub mod clip;
pub mod crossover;
pub mod curve;
pub mod delay;
pub mod detector;
pub mod dither;
pub mod dynamics;
pub mod envelope;
pub mod fade;
pub mod flow;
pub mod follower;
pub mod fraction;
pub mod kaiser;
pub mod kweight;
pub mod lanes;
pub mod loudness;
pub mod lowest;
pub mod matched;
pub mod oversample;
pub mod resample;
pub mod svf;
pub mod tap;
pub mod vectors;
