//! Fourier transforms whose work is split into small pieces, so that no callback takes long.

pub mod split_inverse;
pub(crate) mod split_real;
