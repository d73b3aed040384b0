//! FIR filters: linear phase, convolution, oversampling, interpolation.

pub(crate) mod band_split;
pub mod convolution;
pub mod impulse_resampler;
pub(crate) mod linear;
pub(crate) mod oversampler;
pub(crate) mod true_peak;
