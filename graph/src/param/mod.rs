//! One row of a parameter table: name, unit, range, default, taper, ramp; reading and writing a value as text.
//!
//! A value has two forms. The *unit value* is what users read and write (−6 dB, 3 kHz, 30 ms); files,
//! surfaces and the control side use only this one. The *audio value* is what a node computes with
//! (0.501, 3000, 30); [`Param::audio`] converts on the control side, before the value crosses to the audio thread.

pub mod hint;
mod pattern;
pub mod ramp;
pub mod text;
pub(crate) mod unit;

pub use crate::dsp::decibel::{db_to_gain, gain_to_db};
use crate::param::hint::Hint;
use crate::param::ramp::Ramp;
pub use crate::param::unit::Unit;
use thiserror::Error;

/// How a normalised value (0..1) maps to the range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taper {
    /// Equal steps.
    Linear,
    /// Equal ratios; the range must lie above zero.
    Log,
}

/// Why a written value is not valid for a row.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum ValueError {
    /// The text is neither a number nor a word of the row.
    #[error("{found} is not a value here{hint}; {allowed}")]
    NotAValue {
        /// The text as written.
        found: String,
        /// The nearest valid word, where words are expected.
        hint: Hint,
        /// Description of the valid values.
        allowed: String,
    },
    /// The unit is not a unit of the row.
    #[error("{found} has the wrong unit; {allowed}")]
    WrongUnit {
        /// The text as written.
        found: String,
        /// Description of the valid values.
        allowed: String,
    },
    /// The number lies outside the range.
    #[error("{found} is outside {allowed}")]
    OutOfRange {
        /// The text as written.
        found: String,
        /// The range.
        allowed: String,
    },
}

/// One row of a node type's table: a parameter, or a setting if [`Param::is_setting`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Param {
    /// Index of the row in its table.
    pub slot: usize,
    /// Its name in files and addresses.
    pub name: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Smallest unit value.
    pub min: f64,
    /// Largest unit value.
    pub max: f64,
    /// Unit value that applies where the file gives none.
    pub default: f64,
    /// How 0..1 maps to the range.
    pub taper: Taper,
    /// Time that a change takes, in ms.
    pub ramp_ms: f64,
    /// Help text: one sentence.
    pub help: &'static str,
    /// The word for the bottom of the range (such as `-inf`), if it has a special meaning.
    pub bottom: Option<&'static str>,
    /// The word for the top of the range (such as `auto`, `inf`), if it has a special meaning.
    pub top: Option<&'static str>,
    /// Words for values inside the range, another way to write them. Such a value is shown as a number.
    pub words: &'static [(&'static str, f64)],
    /// Whether a change requires the chain to be rebuilt.
    pub is_setting: bool,
    /// Whether it is a momentary switch: its value is neither saved nor undone.
    pub is_momentary: bool,
    /// Unit value for rendering files at best quality, where the file gives none.
    pub best: Option<f64>,
}

impl Param {
    /// A row at `slot`. Range 0 to 1, linear taper and a ramp of 20 ms, unless set otherwise.
    pub const fn new(slot: usize, name: &'static str, unit: Unit) -> Self {
        let max = match unit {
            Unit::Choice(names) => (names.len() - 1) as f64,
            _ => 1.0,
        };
        Self {
            slot,
            name,
            unit,
            min: 0.0,
            max,
            default: 0.0,
            taper: Taper::Linear,
            ramp_ms: 20.0,
            help: "",
            bottom: None,
            top: None,
            words: &[],
            is_setting: false,
            is_momentary: false,
            best: None,
        }
    }

    /// Sets the range, in the row's unit.
    pub const fn range(mut self, min: f64, max: f64) -> Self {
        assert!(min < max, "a range runs upwards");
        self.min = min;
        self.max = max;
        self
    }

    /// Sets the default, in the row's unit.
    pub const fn default(mut self, value: f64) -> Self {
        assert!(self.min <= value && value <= self.max, "a default lies in the range");
        self.default = value;
        self
    }

    /// Sets a logarithmic taper.
    pub const fn log(mut self) -> Self {
        assert!(self.min > 0.0, "a logarithmic range lies above zero");
        self.taper = Taper::Log;
        self
    }

    /// Sets the time that a change takes, in ms.
    pub(crate) const fn ramp_ms(mut self, ms: f64) -> Self {
        self.ramp_ms = ms;
        self
    }

    /// Sets the word for the bottom of the range.
    pub const fn bottom(mut self, word: &'static str) -> Self {
        self.bottom = Some(word);
        self
    }

    /// Sets the word for the top of the range.
    pub const fn top(mut self, word: &'static str) -> Self {
        self.top = Some(word);
        self
    }

    /// Sets words for values inside the range: each word with its value.
    pub const fn words(mut self, words: &'static [(&'static str, f64)]) -> Self {
        self.words = words;
        self
    }

    /// Makes the row a setting: a change rebuilds the chain and swaps to it.
    pub const fn setting(mut self) -> Self {
        self.is_setting = true;
        self
    }

    /// Makes the row a momentary switch, such as the start of learning.
    pub const fn momentary(mut self) -> Self {
        self.is_momentary = true;
        self
    }

    /// Sets the unit value for rendering files at best quality, where the file gives none.
    pub const fn best(mut self, value: f64) -> Self {
        assert!(self.min <= value && value <= self.max, "the best value lies in the range");
        self.best = Some(value);
        self
    }

    /// Sets the help text.
    pub const fn help(mut self, help: &'static str) -> Self {
        self.help = help;
        self
    }

    /// `[control]` The audio value of a unit value.
    pub fn audio(&self, value: f64) -> f64 {
        match self.unit {
            Unit::Gain | Unit::Dbtp if self.bottom.is_some() && value <= self.min => 0.0,
            Unit::Gain | Unit::Dbtp => db_to_gain(value),
            Unit::Percent => value / 100.0,
            _ => value,
        }
    }

    /// `[control]` A ramp that holds the unit value `value`, at `sample_rate` Hz.
    pub fn at_rest(&self, value: f64, sample_rate: f64) -> Ramp {
        let frames = (self.ramp_ms * sample_rate / 1000.0).round().max(1.0) as u32;
        Ramp::new(self.audio(value), self.audio(self.min), self.audio(self.max), frames)
    }

    /// `[control]` The nearest valid value; `None` for NaN and infinity.
    pub fn clip(&self, value: f64) -> Option<f64> {
        let value = if self.is_whole() { value.round() } else { value };
        value.is_finite().then(|| value.clamp(self.min, self.max))
    }

    /// Whether its values are whole numbers: count, switch or choice.
    pub fn is_whole(&self) -> bool {
        matches!(self.unit, Unit::Count | Unit::Switch | Unit::Choice(_))
    }

    /// `[control]` The normalised value (0..1) of a unit value.
    pub fn to_norm(&self, value: f64) -> f64 {
        match self.taper {
            Taper::Linear => (value - self.min) / (self.max - self.min),
            Taper::Log => (value / self.min).ln() / (self.max / self.min).ln(),
        }
    }

    /// `[control]` The unit value of a normalised value (0..1, clipped); `None` for NaN.
    pub fn from_norm(&self, norm: f64) -> Option<f64> {
        let norm = norm.clamp(0.0, 1.0);
        // The ends must be exact, so that their words apply.
        let value = match self.taper {
            _ if norm == 1.0 => self.max,
            Taper::Linear => self.min + norm * (self.max - self.min),
            Taper::Log => self.min * (norm * (self.max / self.min).ln()).exp(),
        };
        self.clip(value)
    }

    /// `[control]` Parses a value as users write it: `-6 dB`, `3 kHz`, `2:1`, `auto`, `true`, or a number without a unit.
    pub fn parse(&self, text: &str) -> Result<f64, ValueError> {
        let text = text.trim();
        let found = || text.to_owned();
        let word = |w: Option<&str>| w.is_some_and(|w| w.eq_ignore_ascii_case(text));
        match self.unit {
            Unit::Switch => match text.to_ascii_lowercase().as_str() {
                "true" | "on" | "1" => return Ok(1.0),
                "false" | "off" | "0" => return Ok(0.0),
                _ => return Err(self.not_a_value(text)),
            },
            Unit::Choice(names) => {
                let at = names.iter().position(|name| same_word(name, text));
                return at.map(|at| at as f64).ok_or_else(|| self.not_a_value(text));
            }
            _ if word(self.bottom) => return Ok(self.min),
            _ if word(self.top) => return Ok(self.max),
            _ => {
                if let Some((_, value)) = self.words.iter().find(|(word, _)| word.eq_ignore_ascii_case(text))
                {
                    return Ok(*value);
                }
            }
        }
        let (number, unit) = split_number(text);
        let Ok(number) = number.parse::<f64>() else {
            return Err(self.not_a_value(text));
        };
        let unit = unit.to_lowercase();
        let factor = match self.unit.spellings().iter().find(|(spelling, _)| *spelling == unit) {
            Some((_, factor)) => *factor,
            None if unit.is_empty() => 1.0,
            None => return Err(ValueError::WrongUnit { found: found(), allowed: self.allowed() }),
        };
        let value = number * factor;
        if !(self.min..=self.max).contains(&value) {
            return Err(ValueError::OutOfRange { found: found(), allowed: self.range_text() });
        }
        if self.is_whole() && value.fract() != 0.0 {
            return Err(self.not_a_value(text));
        }
        Ok(value)
    }

    fn not_a_value(&self, text: &str) -> ValueError {
        let hint = match self.unit {
            Unit::Choice(names) => Hint::nearest(text, names.iter().copied()),
            _ => Hint::nearest(text, self.words.iter().map(|(word, _)| *word)),
        };
        let found = if text.is_empty() { "nothing" } else { text };
        ValueError::NotAValue { found: found.to_owned(), hint, allowed: self.allowed() }
    }

    /// `[control]` A value as shown to users, with its unit.
    pub fn text(&self, value: f64) -> String {
        match self.unit {
            Unit::Switch => (if value >= 0.5 { "true" } else { "false" }).to_owned(),
            Unit::Choice(names) => names.get(value as usize).copied().unwrap_or("?").to_owned(),
            _ if value <= self.min && self.bottom.is_some() => self.bottom.unwrap_or_default().to_owned(),
            _ if value >= self.max && self.top.is_some() => self.top.unwrap_or_default().to_owned(),
            _ => self.number_text(value),
        }
    }

    fn number_text(&self, value: f64) -> String {
        let number = format!("{value:.4}");
        let number = number.trim_end_matches('0').trim_end_matches('.');
        let number = if number == "-0" { "0" } else { number };
        match self.unit {
            Unit::Ratio => format!("{number}:1"),
            unit if unit.symbol().is_empty() => number.to_owned(),
            unit => format!("{number} {}", unit.symbol()),
        }
    }

    /// The range as shown to users: `-60 to 24 dB`, with the words of its ends.
    pub fn range_text(&self) -> String {
        match self.unit {
            Unit::Switch => "true or false".to_owned(),
            Unit::Choice(names) => names.join(", "),
            Unit::Text(form) => form.allowed().to_owned(),
            _ => {
                let unit = self.unit.symbol();
                let (min, max) = (self.text(self.min), self.text(self.max));
                let bare = min.strip_suffix(unit).map_or(min.as_str(), str::trim_end);
                format!("{} to {max}", if self.top.is_some() { min.as_str() } else { bare })
            }
        }
    }

    fn allowed(&self) -> String {
        match self.unit {
            Unit::Choice(_) => format!("one of {}", self.range_text()),
            Unit::Count => format!("a whole number, {}", self.range_text()),
            Unit::Switch | Unit::Text(_) => self.range_text(),
            _ => {
                let words: String = self.words.iter().map(|(word, _)| format!(", {word}")).collect();
                format!("write {}, as in {}{words}", self.range_text(), self.number_text(self.example()))
            }
        }
    }

    /// A numeric value, as an example in error messages.
    fn example(&self) -> f64 {
        let is_word = (self.top.is_some() && self.default >= self.max)
            || (self.bottom.is_some() && self.default <= self.min);
        if is_word { self.from_norm(0.5).unwrap_or(self.default).round() } else { self.default }
    }
}

/// Whether two choices are the same, regardless of spaces and case.
fn same_word(a: &str, b: &str) -> bool {
    let tight = |s: &str| s.chars().filter(|c| *c != ' ').collect::<String>().to_lowercase();
    tight(a) == tight(b)
}

/// Splits `3 kHz` into `3` and `kHz`.
fn split_number(text: &str) -> (&str, &str) {
    let is_number = |(i, c): (usize, char)| {
        let exponent = matches!(c, 'e' | 'E')
            && text[i + 1..].starts_with(|next: char| next.is_ascii_digit() || matches!(next, '+' | '-'));
        !(c.is_ascii_digit() || matches!(c, '+' | '-' | '.') || exponent)
    };
    let end = text.char_indices().find(|at| is_number(*at)).map_or(text.len(), |(i, _)| i);
    (&text[..end], text[end..].trim_start())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAIN: Param = Param::new(0, "gain", Unit::Gain).range(-90.0, 24.0).bottom("-inf");
    const FREQ: Param = Param::new(0, "freq", Unit::Hz).range(20.0, 20_000.0).default(1000.0).log();
    const RELEASE: Param =
        Param::new(0, "release", Unit::Ms).range(5.0, 5000.0).default(5000.0).log().top("auto");
    const SLOPE: Param = Param::new(0, "slope", Unit::Choice(&["6 dB/oct", "12 dB/oct"]));

    #[test]
    fn values_are_read_as_people_write_them() {
        for (text, value) in [("-6 dB", -6.0), ("-6dB", -6.0), ("+1.5", 1.5), ("-inf", -90.0)] {
            assert_eq!(GAIN.parse(text), Ok(value));
        }
        assert_eq!(["3 kHz", "1e3"].map(|text| FREQ.parse(text)), [Ok(3000.0), Ok(1000.0)]);
        assert_eq!(["0.2 s", "auto"].map(|text| RELEASE.parse(text)), [Ok(200.0), Ok(5000.0)]);
        assert_eq!(SLOPE.parse("12dB/oct"), Ok(1.0));
    }

    #[test]
    fn a_loudness_is_read_by_its_unit_and_by_its_words() {
        const TARGET: Param = Param::new(0, "target", Unit::Lufs)
            .range(-40.0, -8.0)
            .default(-23.0)
            .words(&[("ebu-r128", -23.0), ("atsc-a85", -24.0)]);
        for (text, value) in
            [("-23 LUFS", -23.0), ("-24 LKFS", -24.0), ("-16 dB", -16.0), ("-14", -14.0), ("EBU-R128", -23.0)]
        {
            assert_eq!(TARGET.parse(text), Ok(value));
        }
        assert_eq!(TARGET.text(-24.0), "-24 LUFS");
        assert_eq!(
            TARGET.parse("atsc-a58").unwrap_err().to_string(),
            "atsc-a58 is not a value here, did you mean \"atsc-a85\"?; \
             write -40 to -8 LUFS, as in -23 LUFS, ebu-r128, atsc-a85"
        );
        const SPEED: Param = Param::new(0, "rate", Unit::DbPerSecond).range(0.1, 10.0).default(2.0);
        assert_eq!((SPEED.parse("3 dB/s"), SPEED.text(3.0)), (Ok(3.0), "3 dB/s".to_owned()));
    }

    #[test]
    fn what_cannot_be_read_says_what_is_allowed() {
        let text = |r: Result<f64, ValueError>| r.unwrap_err().to_string();
        assert_eq!(text(GAIN.parse("3 Hz")), "3 Hz has the wrong unit; write -inf to 24 dB, as in 0 dB");
        assert_eq!(text(GAIN.parse("30 dB")), "30 dB is outside -inf to 24 dB");
        assert_eq!(text(GAIN.parse("loud")), "loud is not a value here; write -inf to 24 dB, as in 0 dB");
        assert_eq!(text(GAIN.parse("NaN")), "NaN is not a value here; write -inf to 24 dB, as in 0 dB");
        assert_eq!(text(RELEASE.parse("")), "nothing is not a value here; write 5 ms to auto, as in 158 ms");
        assert_eq!(text(SLOPE.parse("13")), "13 is not a value here; one of 6 dB/oct, 12 dB/oct");
        assert_eq!(
            text(SLOPE.parse("12 db/okt")),
            "12 db/okt is not a value here, did you mean \"12 dB/oct\"?; one of 6 dB/oct, 12 dB/oct"
        );
    }

    #[test]
    fn text_and_value_are_each_others_inverse() {
        for (row, value) in [(GAIN, -6.5), (GAIN, -90.0), (FREQ, 31.5), (RELEASE, 5000.0), (SLOPE, 1.0)] {
            assert_eq!(row.parse(&row.text(value)), Ok(value), "{}", row.text(value));
        }
    }

    #[test]
    fn the_ends_of_the_taper_are_the_ends_of_the_range() {
        for row in [GAIN, FREQ, RELEASE] {
            assert_eq!(row.from_norm(0.0), Some(row.min));
            assert_eq!(row.from_norm(1.0), Some(row.max));
            let middle = row.from_norm(0.5).unwrap();
            assert!((row.to_norm(middle) - 0.5).abs() < 1e-12);
        }
        assert_eq!(FREQ.from_norm(f64::NAN), None);
    }
}
