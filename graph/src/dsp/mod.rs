//! Signal processing mathematics. It imports nothing of the project outside this folder.

pub mod delay;
pub mod dither;
pub mod dynamics;
pub mod fade;
pub mod fft;
pub mod filter;
pub mod fir;
pub mod restore;
pub mod simd;
pub mod speakers;
pub mod spectral;
pub mod window;
