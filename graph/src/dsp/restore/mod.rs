//! Restoration: clicks, clipping and mains hum.

pub mod autoregression;
pub mod clicks;
pub mod clip_level;
pub mod harmonic;
pub mod hum;
pub mod mains;
pub mod repair_line;
