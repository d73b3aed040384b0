//! Fourier transforms whose work is split into small pieces, so that it can be spread over several callbacks.

pub(crate) mod split_real;
