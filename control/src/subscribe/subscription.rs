//! Which updates a subscriber wants.

use crate::request::Subscription;
use crate::update::Update;
use lacquer_graph::reading::Shape;
use std::time::Duration;

/// Whether an address is that of a reading.
pub fn is_meter(address: &str) -> bool {
    address.starts_with("/meter/") || address.starts_with("/text/meter/")
}

impl Subscription {
    /// Whether the line is wanted.
    pub fn has(&self, line: &Update) -> bool {
        let is_array = line.measured.is_some_and(|measured| matches!(measured.row.shape, Shape::Array(_)));
        (self.text || !line.address.starts_with("/text/"))
            && (self.meters_hz > 0.0 || !is_meter(&line.address))
            && (self.arrays || !is_array)
    }

    /// Time between two updates of the meters.
    pub fn meters_every(&self) -> Option<Duration> {
        (self.meters_hz > 0.0).then(|| Duration::from_secs_f64(1.0 / self.meters_hz))
    }
}
