//! Short-time spectra: noise estimation, noise profiles, noise suppression, voice isolation.

pub(crate) mod noise_floor;
pub(crate) mod noise_profile;
pub(crate) mod noise_suppression;
pub(crate) mod stft;
pub(crate) mod voice;
