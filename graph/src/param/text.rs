//! Text settings, such as the path of an impulse response, and the data that they are converted to.
//!
//! A [`Text`] is a row of a node type's text settings, as a [`Param`] is a row of its table. Its value is a text; the node
//! is built with the [`Data`] converted from it. This crate reads no files: the caller of the planner provides a loader.

use crate::param::{Param, Unit};
use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use thiserror::Error;

/// Longest text, in bytes: with its address it fits into one datagram on any network.
pub const LONGEST: usize = 1_000;
/// Longest impulse response, in seconds.
pub const LONGEST_IMPULSE_S: f64 = 10.0;
/// Number of bands of a noise profile.
pub const PROFILE_BANDS: usize = 40;
/// Lowest and highest level of a noise profile, in dBFS.
pub(crate) const PROFILE_DBFS: (f64, f64) = (-200.0, 20.0);

/// One text setting of a node type. A change rebuilds the chain and swaps to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text {
    /// Its name in files and addresses.
    pub name: &'static str,
    /// What kind of text it is.
    pub form: Form,
    /// Help text: one sentence.
    pub help: &'static str,
}

impl Text {
    /// The parameter row for its address: a setting that is a text.
    pub fn row(&self) -> Param {
        Param::new(0, self.name, Unit::Text(self.form)).setting().help(self.help)
    }
}

/// What kind of text a text setting holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The path of an impulse response file.
    Impulse,
    /// The band levels of a noise profile.
    Profile,
}

impl Form {
    /// Description of valid texts, for error messages.
    pub const fn allowed(self) -> &'static str {
        match self {
            Form::Impulse => "the path of an impulse response, relative to the chain file",
            Form::Profile => "40 levels in dBFS, from low to high",
        }
    }
}

/// The data of a text setting.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// An impulse response.
    Impulse(Impulse),
    /// A noise profile.
    Profile(Profile),
}

/// What gives the impulse that a path stands for, at a sample rate in Hz; or says why there is none.
pub type Loader<'a> = dyn Fn(&str, f64) -> Result<Arc<Data>, LoadError> + 'a;

/// Why a loader has no impulse: whatever reads files says it.
pub type LoadError = Box<dyn StdError + Send + Sync>;

/// Why a text stands for nothing.
#[derive(Debug, Error)]
pub(crate) enum TextError {
    #[error("the text has {0} bytes; at most {LONGEST} are allowed")]
    TooLong(usize),
    #[error("it holds control characters")]
    Control,
    #[error(transparent)]
    Profile(#[from] BadProfile),
    #[error(transparent)]
    Load(#[from] LoadError),
}

/// Whoever has no files.
pub(crate) fn no_files(_: &str, _: f64) -> Result<Arc<Data>, LoadError> {
    Err("no files are read here".into())
}

/// `[control]` Converts `text` to its data; `None` if it is empty.
///
/// # Errors
/// The reason why the text is not valid.
pub(crate) fn read(
    form: Form,
    text: &str,
    rate: f64,
    load: &Loader<'_>,
) -> Result<Option<Arc<Data>>, TextError> {
    match form {
        _ if text.is_empty() => Ok(None),
        _ if text.len() > LONGEST => Err(TextError::TooLong(text.len())),
        _ if text.chars().any(char::is_control) => Err(TextError::Control),
        Form::Impulse => Ok(Some(load(text, rate)?)),
        Form::Profile => Ok(Some(Arc::new(Data::Profile(Profile::parse(text)?)))),
    }
}

/// An impulse response at the chain's sample rate: 1 or 2 channels, or 4 for true stereo (left to left, left to
/// right, right to left, right to right).
#[derive(Clone, PartialEq)]
pub struct Impulse {
    /// Samples of each channel; all channels have the same length, at least 1 frame.
    pub channels: Vec<Vec<f64>>,
}

impl Impulse {
    /// `[control]` An impulse response with these channels, at `rate` Hz.
    ///
    /// # Errors
    /// Wrong number of channels, wrong length, or samples that are NaN or infinite.
    pub fn new(channels: Vec<Vec<f64>>, rate: f64) -> Result<Self, BadImpulse> {
        let frames = channels.first().map_or(0, Vec::len);
        let seconds = frames as f64 / rate;
        if frames == 0 || channels.iter().any(|channel| channel.len() != frames) {
            return Err(BadImpulse::Empty);
        }
        match channels.len() {
            1 | 2 | 4 => {}
            found => return Err(BadImpulse::Channels(found)),
        }
        // Resampling can make the longest impulse response longer by a frame.
        if seconds > LONGEST_IMPULSE_S + 2.0 / rate {
            return Err(BadImpulse::TooLong(seconds));
        }
        match channels.iter().flatten().position(|sample| !sample.is_finite()) {
            Some(at) => Err(BadImpulse::NotANumber(at % frames)),
            None => Ok(Self { channels }),
        }
    }

    /// Frames of each channel.
    pub fn frames(&self) -> usize {
        self.channels.first().map_or(0, Vec::len)
    }
}

impl fmt::Debug for Impulse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Impulse({} channels of {} frames)", self.channels.len(), self.frames())
    }
}

/// Why samples are not a valid impulse response.
#[derive(Clone, Debug, PartialEq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum BadImpulse {
    #[error("it has {0} channels; an impulse has 1, 2, or 4 (true stereo: LL LR RL RR)")]
    Channels(usize),
    #[error("it is empty")]
    Empty,
    #[error("it is {0:.1} s long; at most {LONGEST_IMPULSE_S} s are convolved: cut it")]
    TooLong(f64),
    #[error("frame {0} is not a finite number")]
    NotANumber(usize),
}

/// The levels of a noise in bands that are independent of the sample rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Levels in dBFS, from the lowest band to the highest: [`PROFILE_BANDS`] of them.
    pub bands: Vec<f64>,
}

impl Profile {
    /// `[control]` Parses levels separated by spaces, commas or semicolons.
    ///
    /// # Errors
    /// A word that is not a valid level, or a wrong number of levels.
    pub fn parse(text: &str) -> Result<Self, BadProfile> {
        let (low, high) = PROFILE_DBFS;
        let words = text.split([' ', ',', ';']).filter(|word| !word.is_empty());
        let level = |word: &str| match word.parse::<f64>() {
            Ok(level) if (low..=high).contains(&level) => Ok(level),
            _ => Err(BadProfile::NotALevel(word.chars().take(20).collect())),
        };
        let bands = words.map(level).collect::<Result<Vec<_>, _>>()?;
        match bands.len() {
            PROFILE_BANDS => Ok(Self { bands }),
            found => Err(BadProfile::Count(found)),
        }
    }

    /// A level as stored: limited to the range, rounded to 0.1 dB. NaN becomes the lowest level.
    pub fn level(level: f64) -> f64 {
        (level.max(PROFILE_DBFS.0).min(PROFILE_DBFS.1) * 10.0).round() / 10.0
    }

    /// `[control]` Levels as text. Parsing the text gives the same levels, bit for bit.
    pub fn text(bands: &[f64]) -> String {
        let words: Vec<_> = bands.iter().map(|level| format!("{:.1}", Self::level(*level))).collect();
        words.join(" ")
    }
}

/// Why a text is not a valid noise profile.
#[derive(Clone, Debug, PartialEq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum BadProfile {
    #[error("\"{0}\" is not a level; write -200 to 20 dBFS")]
    NotALevel(String),
    #[error("{0} levels; a profile has {PROFILE_BANDS}")]
    Count(usize),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_and_its_text_are_each_others_inverse() {
        let levels = (0..PROFILE_BANDS).map(|band| -90.0 + 0.137 * band as f64);
        let bands: Vec<f64> = levels.map(Profile::level).collect();
        let text = Profile::text(&bands);
        assert_eq!(Profile::parse(&text).unwrap().bands, bands);
        assert_eq!([f64::NAN, f64::NEG_INFINITY, 90.0].map(Profile::level), [-200.0, -200.0, 20.0]);
        assert_eq!(Profile::parse("-90 -80"), Err(BadProfile::Count(2)));
        for bad in ["NaN", "inf", "-300", "loud"] {
            let text = text.replacen("-90.0", bad, 1);
            assert_eq!(Profile::parse(&text), Err(BadProfile::NotALevel(bad.to_owned())));
        }
    }

    #[test]
    fn an_impulse_has_a_shape_that_can_be_convolved() {
        let new = |channels: usize, frames: usize| Impulse::new(vec![vec![0.5; frames]; channels], 1_000.0);
        for channels in [1, 2, 4] {
            assert_eq!(new(channels, 10_000).map(|impulse| impulse.frames()), Ok(10_000));
        }
        assert_eq!(new(3, 10), Err(BadImpulse::Channels(3)));
        assert_eq!(new(1, 0), Err(BadImpulse::Empty));
        assert_eq!(new(1, 10_100), Err(BadImpulse::TooLong(10.1)));
        let nan = Impulse::new(vec![vec![0.0, 0.0], vec![0.0, f64::NAN]], 1_000.0);
        assert_eq!(nan, Err(BadImpulse::NotANumber(1)));
    }
}
