//! FIR filters: linear phase, convolution, oversampling, interpolation.

pub mod band_split;
pub mod convolution;
pub mod impulse_resampler;
pub mod linear;
pub mod oversampler;
pub mod true_peak;
