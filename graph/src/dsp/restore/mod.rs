//! Restoration: clicks, clipping and mains hum.

pub(crate) mod autoregression;
pub(crate) mod clicks;
pub(crate) mod clip_level;
pub(crate) mod harmonic;
pub(crate) mod hum;
pub(crate) mod mains;
pub(crate) mod repair_line;
