//! A Fourier transform whose work is split into small pieces, so that no callback takes long.

pub(crate) mod split_real;
