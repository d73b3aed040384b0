//! Mathematics: samples in, samples out. Imports nothing of ours.

pub mod boxes;
pub mod delay;
pub mod fade;
pub mod follower;
pub mod lowest;
pub mod oversample;
pub mod svf;
