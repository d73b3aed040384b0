//! Readings: the values that a node reports, such as gain reduction.

use crate::param::text::{PROFILE_BANDS, Profile};
use crate::param::{Unit, gain_to_db};

/// What people read where a level is that of silence.
pub const SILENCE: &str = "\u{2212}\u{221e}";
/// Largest number of readings of a node type.
pub(crate) const MAX_READINGS: usize = 8;
/// Below this a level is sent as this, in dB: silence.
pub const FLOOR: f64 = -120.0;
/// What people read where there is no reading.
pub const NO_READING: &str = "-";
/// Most bands of a profile in one report of a node, so that no ring overflows.
const BANDS_A_REPORT: usize = 20;

/// One row of what is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Its name in addresses.
    pub name: &'static str,
    /// Its unit; a `Gain` is reported as a linear factor.
    pub unit: Unit,
    /// Help text: one sentence.
    pub help: &'static str,
    /// Decimals that people read.
    pub decimals: u8,
    /// One number, or several.
    pub shape: Shape,
    /// Which of several is kept, where only one is sent.
    pub combine: Combine,
    /// What a bar shows from empty to full, in its unit. Where the first is the greater, the bar grows downwards.
    pub scale: [f64; 2],
}

/// How many numbers a reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One.
    Number,
    /// At most so many.
    Array(usize),
}

/// Which of several values is kept, where only one is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// The newest.
    Newest,
    /// The highest, as of peaks.
    Highest,
    /// The lowest, as of gain reductions.
    Lowest,
    /// The one farthest from 0, as of gain changes in dB.
    Farthest,
}

impl Combine {
    /// What is kept of an earlier and a later value.
    pub fn of(self, earlier: f64, later: f64) -> f64 {
        match self {
            Combine::Newest => later,
            Combine::Highest => earlier.max(later),
            Combine::Lowest => earlier.min(later),
            Combine::Farthest => {
                if later.abs() > earlier.abs() {
                    later
                } else {
                    earlier
                }
            }
        }
    }
}

/// Gain reduction: the reading of most dynamics processors.
pub const REDUCTION: Reading =
    Reading::new("reduction", Unit::Gain, "Largest gain reduction since the last report.")
        .combine(Combine::Lowest)
        .scale(0.0, -24.0);

/// Gain change: the same of a dynamics processor that may boost.
pub const GAIN_CHANGE: Reading = Reading {
    help: "Largest gain change since the last report, make-up gain aside; above 0 dB: a boost.",
    combine: Combine::Farthest,
    ..REDUCTION
};

impl Reading {
    /// One number of which the newest is kept, with the decimals and the bar that are usual for its unit.
    pub const fn new(name: &'static str, unit: Unit, help: &'static str) -> Self {
        let decimals = match unit {
            Unit::Count | Unit::PerSecond => 0,
            Unit::Plain => 2,
            _ => 1,
        };
        let scale = match unit {
            Unit::Dbfs | Unit::Dbtp => [-60.0, 0.0],
            Unit::Lufs => [-41.0, -5.0],
            Unit::Gain | Unit::Db => [-12.0, 12.0],
            Unit::Lu => [0.0, 24.0],
            Unit::Plain => [0.0, 1.0],
            _ => [0.0, 100.0],
        };
        Self { name, unit, help, decimals, shape: Shape::Number, combine: Combine::Newest, scale }
    }

    /// Sets how many decimals people read.
    pub const fn decimals(mut self, decimals: u8) -> Self {
        self.decimals = decimals;
        self
    }

    /// Makes it an array of at most `most` numbers.
    pub const fn array(mut self, most: usize) -> Self {
        self.shape = Shape::Array(most);
        self
    }

    /// Sets which of several values is kept.
    pub const fn combine(mut self, combine: Combine) -> Self {
        self.combine = combine;
        self
    }

    /// Sets what a bar shows, from empty to full.
    pub const fn scale(mut self, empty: f64, full: f64) -> Self {
        self.scale = [empty, full];
        self
    }

    /// What a node reported, in the reading's unit.
    pub fn in_unit(&self, reported: f64) -> f64 {
        match self.unit {
            Unit::Gain => gain_to_db(reported).max(FLOOR),
            _ => reported,
        }
    }

    /// The value as people read it: `-3.2 dB`, `−∞` for silence, `-` where there is no reading.
    pub fn text(&self, value: Option<f64>) -> String {
        let Some(value) = value else { return NO_READING.to_owned() };
        if value <= FLOOR && self.is_level() {
            return SILENCE.to_owned();
        }
        let number = format!("{value:.*}", usize::from(self.decimals));
        let is_zero = !number.contains(|digit: char| ('1'..='9').contains(&digit));
        let number = if is_zero { number.trim_start_matches('-') } else { &number };
        format!("{number} {}", self.unit.symbol()).trim_end().to_owned()
    }

    /// Whether it is a level, of which [`FLOOR`] is silence.
    fn is_level(&self) -> bool {
        matches!(self.unit, Unit::Gain | Unit::Db | Unit::Dbfs | Unit::Dbtp | Unit::Lufs)
    }
}

/// `[audio]` What a node has measured since the last report. A reading is none until it is measured.
#[derive(Clone, Copy, Debug)]
pub struct Readings {
    /// NaN where there is none.
    values: [f64; MAX_READINGS],
    /// Whether the last report had a value.
    reported: [bool; MAX_READINGS],
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
    /// The value of a reading, or that there is no longer one.
    Reading(usize, Option<f64>),
    /// The level of a band that was learned, in dBFS.
    Learned(usize, f64),
}

impl Default for Readings {
    fn default() -> Self {
        let learned = Learned { levels: [f64::NAN; PROFILE_BANDS], next: PROFILE_BANDS };
        Self { values: [f64::NAN; MAX_READINGS], reported: [false; MAX_READINGS], learned }
    }
}

impl Readings {
    /// `[audio]` Records a value of reading `slot`. The lowest value since the last report is reported.
    #[inline]
    pub fn low(&mut self, slot: usize, value: f64) {
        // The least of a number and a NaN is the number.
        self.values[slot] = self.values[slot].min(value);
    }

    /// `[audio]` Records the lowest and the highest gain factor of reading `slot`. The one farthest from 1 since the last
    /// report, in dB, is reported.
    #[inline]
    pub fn gain_change(&mut self, slot: usize, lowest: f64, highest: f64) {
        let [lowest, highest] = [self.values[slot].min(lowest), self.values[slot].max(highest)];
        self.values[slot] = if lowest * highest > 1.0 { highest } else { lowest };
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

    /// Passes the report to `emit`, which returns whether it was accepted, and clears it. A node that is not active has no
    /// readings. That a reading is gone is reported once. What was not accepted stays for the next report; returns
    /// whether nothing did.
    pub(crate) fn take(&mut self, is_active: bool, mut emit: impl FnMut(Report) -> bool) -> bool {
        for (slot, (measured, reported)) in self.values.iter_mut().zip(&mut self.reported).enumerate() {
            let value = (is_active && measured.is_finite()).then_some(*measured);
            if (value.is_some() || *reported) && !emit(Report::Reading(slot, value)) {
                return false;
            }
            (*measured, *reported) = (f64::NAN, value.is_some());
        }
        let end = (self.learned.next + BANDS_A_REPORT).min(PROFILE_BANDS);
        while self.learned.next < end {
            let (band, level) = (self.learned.next, self.learned.levels[self.learned.next]);
            if level.is_finite() && !emit(Report::Learned(band, level)) {
                return false;
            }
            self.learned.next += 1;
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_is_written_by_its_row() {
        let text = |reading: Reading, value: f64| reading.text(Some(value));
        assert_eq!(text(REDUCTION, -3.24), "-3.2 dB");
        assert_eq!(text(REDUCTION, -0.04), "0.0 dB");
        assert_eq!(text(REDUCTION, FLOOR), "\u{2212}\u{221e}");
        assert_eq!(text(Reading::new("clicks", Unit::PerSecond, ""), 2.0), "2 /s");
        assert_eq!(text(Reading::new("frequency", Unit::Hz, "").decimals(2), 50.043), "50.04 Hz");
        assert_eq!(text(Reading::new("correlation", Unit::Plain, ""), -0.354), "-0.35");
        assert_eq!(text(Reading::new("clips", Unit::Count, ""), 3.0), "3");
        assert_eq!(text(Reading::new("drift", Unit::Ppm, ""), -150.0), "-150.0 ppm", "no level: no silence");
        assert_eq!(REDUCTION.text(None), "-");
        assert_eq!((REDUCTION.in_unit(0.0), REDUCTION.in_unit(1.0)), (FLOOR, 0.0));
    }

    fn taken(readings: &mut Readings, is_heard: bool) -> Vec<Report> {
        let mut reports = Vec::new();
        let is_all = readings.take(is_heard, |report| {
            reports.push(report);
            true
        });
        assert!(is_all);
        reports
    }

    #[test]
    fn what_is_not_measured_is_no_reading() {
        let mut readings = Readings::default();
        assert_eq!(taken(&mut readings, true), []);
        readings.low(0, f64::NAN);
        assert_eq!(taken(&mut readings, true), []);
        [0.5, 0.25, f64::NAN, 1.0].into_iter().for_each(|value| readings.low(0, value));
        [3.0, 4.0].into_iter().for_each(|value| readings.now(2, value));
        let reading = |slot, value| Report::Reading(slot, value);
        assert_eq!(taken(&mut readings, true), [reading(0, Some(0.25)), reading(2, Some(4.0))]);
        assert_eq!(taken(&mut readings, true), [reading(0, None), reading(2, None)], "since the last report");
        assert_eq!(taken(&mut readings, true), [], "once");
    }

    #[test]
    fn what_finds_no_room_is_reported_later() {
        let mut readings = Readings::default();
        (0..3).for_each(|slot| readings.low(slot, 0.5));
        let mut room = 1;
        let mut some = |_| std::mem::replace(&mut room, 0) > 0;
        assert!(!readings.take(true, &mut some));
        readings.low(1, 0.25);
        let reading = |slot, value| Report::Reading(slot, value);
        let all = [reading(0, None), reading(1, Some(0.25)), reading(2, Some(0.5))];
        assert_eq!(taken(&mut readings, true), all);
        assert!(!readings.take(false, |_| false));
        assert_eq!(taken(&mut readings, false), [reading(1, None), reading(2, None)]);
        assert_eq!(taken(&mut readings, false), []);
    }

    #[test]
    fn of_gain_changes_the_one_farthest_from_unity_is_reported() {
        let mut readings = Readings::default();
        for (lowest, highest) in [(1.0, 1.0), (0.8, 1.0), (1.0, 1.5), (0.9, 1.1)] {
            readings.gain_change(0, lowest, highest);
        }
        assert_eq!(taken(&mut readings, true), [Report::Reading(0, Some(1.5))]);
        readings.gain_change(0, 0.5, 1.5);
        assert_eq!(taken(&mut readings, true), [Report::Reading(0, Some(0.5))]);
        assert_eq!(Combine::Farthest.of(3.0, -2.0), 3.0);
        assert_eq!(Combine::Farthest.of(-3.0, 4.0), 4.0);
    }

    #[test]
    fn a_node_that_is_not_heard_has_no_readings() {
        let mut readings = Readings::default();
        readings.low(0, 0.5);
        assert_eq!(taken(&mut readings, false), []);
        assert_eq!(taken(&mut readings, true), [], "what was measured unheard is gone");
        readings.low(0, 0.5);
        assert_eq!(taken(&mut readings, true).len(), 1);
        readings.low(0, 0.5);
        assert_eq!(taken(&mut readings, false), [Report::Reading(0, None)]);
    }
}
