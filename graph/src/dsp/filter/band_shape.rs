//! What one band of an equaliser is: its shape, the sections that make it, and how much of which channel goes through them.

use crate::dsp::filter::cascade::SIDES;
use crate::dsp::filter::matched::{Matcher, Prototype};
use crate::dsp::filter::svf::{Coeffs, butterworth_q};
use crate::dsp::filter::wavefront_section::Flow;

/// What a band does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Up or down around a frequency.
    Bell,
    /// Up or down below it.
    LowShelf,
    /// Up or down above it.
    HighShelf,
    /// Up on one side of it, and down on the other.
    Tilt,
    /// Nothing below it.
    HighPass,
    /// Nothing above it.
    LowPass,
    /// Nothing far from it.
    BandPass,
    /// Nothing at it.
    Notch,
    /// A turn of the phase.
    AllPass,
}

impl Shape {
    /// All of them, as an equaliser names them.
    pub const ALL: [Self; 9] = [
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
}

/// What a band works on: all channels, one of the first two, their middle or their side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
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
    /// All of them, as an equaliser names them.
    pub const ALL: [Self; 5] = [Self::Stereo, Self::Left, Self::Right, Self::Mid, Self::Side];

    /// Whether the middle and the side take the place of the first two channels.
    pub fn is_mid_side(self) -> bool {
        matches!(self, Self::Mid | Self::Side)
    }

    /// The coefficients of a section for each kind of channel.
    pub fn flows(self, flow: Flow) -> [Flow; SIDES] {
        match self {
            Self::Stereo => [flow; SIDES],
            Self::Left | Self::Mid => [flow, Flow::IDENTITY, Flow::IDENTITY],
            Self::Right | Self::Side => [Flow::IDENTITY, flow, Flow::IDENTITY],
        }
    }
}

/// Frequency in Hz, gain in dB and q of a band, and whether it is heard.
pub type Made = ([f64; 3], bool);
/// Equal to nothing.
pub const UNMADE: Made = ([f64::NAN; 3], false);

/// A shape of some order: 2, unless it is a pass filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Form {
    /// The shape.
    pub shape: Shape,
    /// Order of the filter.
    pub order: usize,
}

impl Form {
    /// Sections that it takes at most.
    pub fn sections(&self) -> usize {
        if self.shape == Shape::AllPass { 1 } else { 2 * self.pairs() }
    }

    /// Prototypes of the second order, or the first, that it is made of.
    pub fn pairs(&self) -> usize {
        self.order.div_ceil(2)
    }

    /// Whether its gain matters.
    pub fn has_gain(&self) -> bool {
        matches!(self.shape, Shape::Bell | Shape::LowShelf | Shape::HighShelf | Shape::Tilt)
    }

    /// Prototype `index` for a gain in dB and a q; the all-pass has none.
    pub fn prototype(&self, index: usize, gain: f64, q: f64) -> Prototype {
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

    /// Squared magnitudes of its prototypes at `freqs` in Hz.
    pub fn powers<const N: usize>(&self, ([freq, gain, q], is_on): Made, freqs: &[f64; N]) -> [f64; N] {
        let mut powers = [1.0; N];
        let pairs = if is_on && self.shape != Shape::AllPass { self.pairs() } else { 0 };
        for prototype in (0..pairs).map(|index| self.prototype(index, gain, q)) {
            powers.iter_mut().zip(freqs).for_each(|(power, at)| *power *= prototype.power(at / freq));
        }
        powers
    }

    /// Gives each of its sections, with its number; of one that is not heard they are wires.
    pub fn make(&self, rate: f64, matcher: &Matcher, made: Made, mut give: impl FnMut(usize, Coeffs)) {
        match made {
            (_, false) => (0..self.sections()).for_each(|section| give(section, Coeffs::IDENTITY)),
            ([freq, _, q], _) if self.shape == Shape::AllPass => give(0, Coeffs::allpass(rate, freq, q)),
            ([freq, gain, q], _) => {
                for index in 0..self.pairs() {
                    let [one, other] = matcher.sections(&self.prototype(index, gain, q), freq);
                    give(2 * index, one);
                    give(2 * index + 1, other);
                }
            }
        }
    }
}
