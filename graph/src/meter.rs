//! What a node may report of itself.

use crate::param::Unit;

/// Most readings of one kind.
pub const MAX_READINGS: usize = 8;

/// One row of a kind's readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its name in addresses.
    pub name: &'static str,
    /// What it measures; a `Gain` is reported as a linear factor.
    pub unit: Unit,
    /// One sentence for people.
    pub help: &'static str,
}

/// Gain reduction: what most dynamics report.
pub const REDUCTION: Reading =
    Reading { name: "reduction", unit: Unit::Gain, help: "Largest gain reduction since the last report." };

/// `[audio]` What a node has to say since the last report.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    values: [f64; MAX_READINGS],
}

impl Default for Meter {
    fn default() -> Self {
        Self { values: [f64::INFINITY; MAX_READINGS] }
    }
}

impl Meter {
    /// Notes a value of reading `slot` of which the lowest is to be told.
    #[inline]
    pub fn low(&mut self, slot: usize, value: f64) {
        self.values[slot] = self.values[slot].min(value);
    }

    /// Notes a value of reading `slot` of which the newest is to be told.
    #[inline]
    pub fn now(&mut self, slot: usize, value: f64) {
        self.values[slot] = value;
    }

    /// Takes what was noted of reading `slot`; `None` where nothing was.
    pub fn take(&mut self, slot: usize) -> Option<f64> {
        let value = std::mem::replace(&mut self.values[slot], f64::INFINITY);
        value.is_finite().then_some(value)
    }
}
