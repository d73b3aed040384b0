//! One band of an equaliser: its shape, its filter sections, and the channels that it processes.

use crate::dsp::decibel::db_to_gain;
use crate::dsp::filter::cascade::SIDES;
use crate::dsp::filter::matched::{Matcher, Prototype};
use crate::dsp::filter::svf::{Coeffs, butterworth_q};
use crate::dsp::filter::wavefront_section::StateSpace;

/// The filter shape of a band.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// Boost or cut around a frequency.
    Bell,
    /// Boost or cut below a frequency.
    LowShelf,
    /// Boost or cut above a frequency.
    HighShelf,
    /// Boost on one side of a frequency, cut on the other.
    Tilt,
    /// Removes what is below a frequency.
    HighPass,
    /// Removes what is above a frequency.
    LowPass,
    /// Passes only what is around a frequency.
    BandPass,
    /// Removes one frequency.
    Notch,
    /// Shifts the phase only.
    AllPass,
}

impl Shape {
    /// All shapes, in the order of the equaliser's choices.
    pub(crate) const ALL: [Self; 9] = [
        Self::Bell,
        Self::LowShelf,
        Self::HighShelf,
        Self::Tilt,
        Self::HighPass,
        Self::LowPass,
        Self::BandPass,
        Self::Notch,
        Self::AllPass,
    ];

    /// Their names, in the same order.
    pub(crate) const NAMES: [&str; 9] =
        ["bell", "lowshelf", "highshelf", "tilt", "highpass", "lowpass", "bandpass", "notch", "allpass"];
}

/// The channels that a band processes: all, one of the first two, or their mid or side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// All channels.
    Stereo,
    /// The first.
    Left,
    /// The second.
    Right,
    /// Half of the sum of the first two.
    Mid,
    /// Half of their difference.
    Side,
}

impl Place {
    /// All places, in the order of the equaliser's choices.
    pub(crate) const ALL: [Self; 5] = [Self::Stereo, Self::Left, Self::Right, Self::Mid, Self::Side];

    /// Their names, in the same order.
    pub(crate) const NAMES: [&str; 5] = ["stereo", "left", "right", "mid", "side"];

    /// Whether the band processes the mid or the side of the first two channels.
    pub(crate) fn is_mid_side(self) -> bool {
        matches!(self, Self::Mid | Self::Side)
    }

    /// The coefficients of a section for the first channel, the second, and all others.
    pub(crate) fn coeffs(self, coeffs: StateSpace) -> [StateSpace; SIDES] {
        match self {
            Self::Stereo => [coeffs; SIDES],
            Self::Left | Self::Mid => [coeffs, StateSpace::IDENTITY, StateSpace::IDENTITY],
            Self::Right | Self::Side => [StateSpace::IDENTITY, coeffs, StateSpace::IDENTITY],
        }
    }
}

/// Frequency in Hz, gain in dB and Q of a band, and whether it is on.
pub(crate) type BandValues = ([f64; 3], bool);
/// Band values that equal no others.
pub(crate) const UNSET: BandValues = ([f64::NAN; 3], false);

/// A shape and its order, which is 2 except for high-pass and low-pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BandFilter {
    /// The shape.
    pub shape: Shape,
    /// Order of the filter.
    pub order: usize,
}

impl BandFilter {
    /// Largest number of its sections.
    pub(crate) fn sections(&self) -> usize {
        if self.shape == Shape::AllPass { 1 } else { 2 * self.pairs() }
    }

    /// Number of its prototypes, of second or first order.
    pub(crate) fn pairs(&self) -> usize {
        self.order.div_ceil(2)
    }

    /// Whether the shape has a gain.
    pub(crate) fn has_gain(&self) -> bool {
        matches!(self.shape, Shape::Bell | Shape::LowShelf | Shape::HighShelf | Shape::Tilt)
    }

    /// Seconds in which what it has heard falls by 240 dB: ln(10^12) q / (pi f), for the sharpest of its sections, and as much
    /// again because there are several. A gain sharpens a bell or a shelf.
    pub(crate) fn ringing_s(&self, freq_hz: f64, gain_db: f64, q: f64) -> f64 {
        let gain = if self.has_gain() { db_to_gain(gain_db.abs()) } else { 1.0 };
        // The sharpest section of a Butterworth filter has about this q.
        let sharpest = f64::max(q * gain, self.order as f64 / 2.0);
        17.6 * sharpest / freq_hz
    }

    /// Prototype `index` for a gain in dB and a Q; an all-pass has none.
    pub(crate) fn prototype(&self, index: usize, gain: f64, q: f64) -> Prototype {
        let is_real_pole = self.order % 2 == 1 && index == self.order / 2;
        let q = if self.order == 2 { q } else { butterworth_q(self.order, index) };
        match (self.shape, is_real_pole) {
            (Shape::Bell, _) => Prototype::bell(gain, q),
            (Shape::LowShelf, _) => Prototype::lowshelf(gain, q),
            (Shape::HighShelf, _) => Prototype::highshelf(gain, q),
            (Shape::Tilt, _) => Prototype::tilt(gain, q),
            (Shape::BandPass, _) => Prototype::bandpass(q),
            (Shape::Notch, _) => Prototype::notch(q),
            (Shape::HighPass, true) => Prototype::highpass6(),
            (Shape::HighPass, false) => Prototype::highpass(q),
            (_, true) => Prototype::lowpass6(),
            (_, false) => Prototype::lowpass(q),
        }
    }

    /// Product of the squared magnitudes of its prototypes, at each of `freqs` in Hz.
    pub(crate) fn powers<const N: usize>(
        &self,
        ([freq, gain, q], is_on): BandValues,
        freqs: &[f64; N],
    ) -> [f64; N] {
        let mut powers = [1.0; N];
        let pairs = if is_on && self.shape != Shape::AllPass { self.pairs() } else { 0 };
        for prototype in (0..pairs).map(|index| self.prototype(index, gain, q)) {
            powers.iter_mut().zip(freqs).for_each(|(power, at)| *power *= prototype.power(at / freq));
        }
        powers
    }

    /// `[audio]` Designs all sections, and passes each with its number to `store`. The sections of a band that is off pass the
    /// signal unchanged.
    pub(crate) fn design(
        &self,
        rate: f64,
        matcher: &Matcher,
        values: BandValues,
        mut store: impl FnMut(usize, Coeffs),
    ) {
        match values {
            (_, false) => (0..self.sections()).for_each(|section| store(section, Coeffs::IDENTITY)),
            ([freq, _, q], _) if self.shape == Shape::AllPass => store(0, Coeffs::allpass(rate, freq, q)),
            ([freq, gain, q], _) => {
                for index in 0..self.pairs() {
                    let [one, other] = matcher.sections(&self.prototype(index, gain, q), freq);
                    store(2 * index, one);
                    store(2 * index + 1, other);
                }
            }
        }
    }
}
