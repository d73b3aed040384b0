//! Short-time spectra: noise, its profile, and voices.

pub mod noise_floor;
pub mod noise_profile;
pub mod noise_suppression;
pub mod stft;
pub mod voice;
