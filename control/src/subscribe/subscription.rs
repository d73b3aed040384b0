//! Which updates a subscriber wants.

use crate::request::Subscription;
use std::time::Duration;

/// Whether an address is that of a reading.
pub fn is_meter(address: &str) -> bool {
    address.starts_with("/meter/") || address.starts_with("/text/meter/")
}

impl Subscription {
    /// Whether lines of this address are wanted.
    pub fn has(&self, address: &str) -> bool {
        (self.text || !address.starts_with("/text/")) && (self.meters_hz > 0.0 || !is_meter(address))
    }

    /// Time between two updates of the meters.
    pub fn meters_every(&self) -> Option<Duration> {
        (self.meters_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / self.meters_hz))
    }
}
