//! Mathematics: samples in, samples out. Imports nothing of ours but each other.

pub mod band;
pub mod boxes;
pub mod cascade;
pub mod delay;
pub mod envelope;
pub mod fade;
pub mod follower;
pub mod kweight;
pub mod loudness;
pub mod lowest;
pub mod oversample;
pub mod svf;
pub mod vectors;
