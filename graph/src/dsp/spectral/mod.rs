//! Short-time spectra: noise estimation, noise profiles, noise suppression, voice isolation.

pub mod noise_floor;
pub mod noise_profile;
pub mod noise_suppression;
pub mod stft;
pub mod voice;
