//! Readings: the values that a node reports, such as gain reduction.

use crate::param::Unit;
use crate::param::text::{PROFILE_BANDS, Profile};

/// Largest number of readings of a node type.
pub const MAX_READINGS: usize = 8;
/// Largest number of profile bands in one report of a node, so that the queue does not fill up.
const BANDS_A_REPORT: usize = 20;

/// One row of a node type's table of readings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// Its name in addresses.
    pub name: &'static str,
    /// Its unit; a `Gain` is reported as a linear factor.
    pub unit: Unit,
    /// Help text: one sentence.
    pub help: &'static str,
}

/// Gain reduction: the reading of most dynamics processors.
pub const REDUCTION: Reading =
    Reading { name: "reduction", unit: Unit::Gain, help: "Largest gain reduction since the last report." };

/// `[audio]` Collects the readings of a node between two reports.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    values: [f64; MAX_READINGS],
    learned: Learned,
}

/// A learned profile, and the part of it that is already reported.
#[derive(Clone, Copy, Debug)]
struct Learned {
    /// Levels of the bands, in dBFS; NaN where there is none.
    levels: [f64; PROFILE_BANDS],
    /// The first band that is not reported yet; [`PROFILE_BANDS`] when all are.
    next: usize,
}

/// One item of a report.
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
    /// `[audio]` Records a value of reading `slot`. The lowest value since the last report is reported.
    #[inline]
    pub fn low(&mut self, slot: usize, value: f64) {
        self.values[slot] = self.values[slot].min(value);
    }

    /// `[audio]` Records a value of reading `slot`. The newest value is reported.
    #[inline]
    pub fn now(&mut self, slot: usize, value: f64) {
        self.values[slot] = value;
    }

    /// `[audio]` Records the learned level of band `band` of the node's profile, in dBFS. When all bands are recorded,
    /// in one call of `process` or in several, they become the text of the node's profile; the chain is not rebuilt.
    /// Returns the level rounded as in the text. A node that uses it sounds the same as one built from the text.
    pub fn learned(&mut self, band: usize, level: f64) -> f64 {
        let level = Profile::level(level);
        if let Some(noted) = self.learned.levels.get_mut(band) {
            *noted = level;
            self.learned.next = self.learned.next.min(band);
        }
        level
    }

    /// `[audio]` Passes every recorded value to the caller and starts the next report.
    pub(crate) fn take(&mut self, mut emit: impl FnMut(Report)) {
        for (slot, value) in self.values.iter_mut().enumerate() {
            let value = std::mem::replace(value, f64::INFINITY);
            if value.is_finite() {
                emit(Report::Reading(slot, value));
            }
        }
        let from = self.learned.next;
        self.learned.next = (from + BANDS_A_REPORT).min(PROFILE_BANDS);
        for band in from..self.learned.next {
            let level = self.learned.levels[band];
            if level.is_finite() {
                emit(Report::Learned(band, level));
            }
        }
    }
}
