//! What works on files, off the air.

pub mod plot;
