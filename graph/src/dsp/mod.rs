//! Signal processing mathematics. It imports nothing of the project outside this folder.

pub(crate) mod bs1770;
pub(crate) mod decibel;
pub(crate) mod delay;
pub mod dither;
pub(crate) mod dynamics;
pub mod fade;
pub(crate) mod fft;
pub mod filter;
pub mod fir;
pub(crate) mod random;
pub(crate) mod restore;
pub(crate) mod simd;
pub mod speakers;
pub(crate) mod spectral;
pub(crate) mod window;
