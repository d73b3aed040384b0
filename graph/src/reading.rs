//! What a node may report of itself.

use crate::param::Unit;
use crate::param::text::{PROFILE_BANDS, Profile};

/// Most readings of one kind.
pub(crate) const MAX_READINGS: usize = 8;
/// Most bands of a profile that one node tells in one report, so that no ring is flooded.
const BANDS_A_REPORT: usize = 20;

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
pub(crate) const REDUCTION: Reading =
    Reading { name: "reduction", unit: Unit::Gain, help: "Largest gain reduction since the last report." };

/// `[audio]` What a node has to say since the last report.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    values: [f64; MAX_READINGS],
    learned: Learned,
}

/// What a node has learned, and how much of it is told.
#[derive(Clone, Copy, Debug)]
struct Learned {
    /// Levels of the bands, in dBFS; NaN where there is none to tell.
    levels: [f64; PROFILE_BANDS],
    /// The first band that is not told yet; none is left at [`PROFILE_BANDS`].
    next: usize,
}

/// What a node reports.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Report {
    /// The value of a reading.
    Reading(usize, f64),
    /// The level of a band that was learned, in dBFS.
    Learned(usize, f64),
}

impl Default for Readings {
    fn default() -> Self {
        let learned = Learned { levels: [f64::NAN; PROFILE_BANDS], next: PROFILE_BANDS };
        Self { values: [f64::INFINITY; MAX_READINGS], learned }
    }
}

impl Readings {
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

    /// Notes what was learned of band `band` of the node's profile: `level` in dBFS. Once all bands were noted, in
    /// one call of `process` or in several, they become the text of the node's profile, without the chain being
    /// rebuilt. Gives the level as it is kept, rounded: with that, the node sounds as it will when it is built
    /// from the text.
    pub fn learned(&mut self, band: usize, level: f64) -> f64 {
        let level = Profile::level(level);
        if let Some(noted) = self.learned.levels.get_mut(band) {
            *noted = level;
            self.learned.next = self.learned.next.min(band);
        }
        level
    }

    /// Takes what is to be told.
    pub(crate) fn take(&mut self, mut tell: impl FnMut(Report)) {
        for (slot, value) in self.values.iter_mut().enumerate() {
            let value = std::mem::replace(value, f64::INFINITY);
            if value.is_finite() {
                tell(Report::Reading(slot, value));
            }
        }
        let from = self.learned.next;
        self.learned.next = (from + BANDS_A_REPORT).min(PROFILE_BANDS);
        for band in from..self.learned.next {
            let level = self.learned.levels[band];
            if level.is_finite() {
                tell(Report::Learned(band, level));
            }
        }
    }
}
