//! The bands of an equaliser as FIR filters with linear or mixed phase.
//!
//! Mixed phase is the minimum phase of the bands below 100 Hz and linear phase above 400 Hz, with a gradual transition. So
//! low frequencies have no long pre-ringing, and higher ones no phase shift.
//!
//! Bands on left or right, or on mid or side, need a filter for each channel. If an equaliser has both kinds, each of the
//! first two output channels is the sum of two filters. All-passes are left out, because their magnitude is flat.

use crate::dsp::filter::band_shape::{BandFilter, BandValues, Place, Shape, UNSET};
use crate::dsp::filter::matched::Matcher;
use crate::dsp::filter::svf::Ratio;
use crate::dsp::fir::linear::Linear;
use crate::dsp::fir::linear::design::{BINS, Curve, Reach};
use crate::dsp::fir::linear::fir_bank::Sources;
use crate::dsp::simd::Vectors;
use num_complex::Complex64;
use std::f64::consts::PI;

/// Mixed phase: minimum phase below the first frequency, linear phase above the second, in Hz.
const MIXED_HZ: [f64; 2] = [100.0, 400.0];

/// An equaliser with linear or mixed phase.
pub(crate) struct Equaliser {
    linear: Linear,
    bands: Bands,
    matcher: Matcher,
    rate: f64,
    /// The next band to be designed, before the filters are.
    next: Option<usize>,
    /// Whether the first two inputs are mid and side.
    is_mid_side: bool,
}

struct Bands {
    bands: Box<[Band]>,
    is_mixed: bool,
    /// Filters 0 and 1 have the left channel as input, 2 and 3 the right.
    is_crossed: bool,
    /// The pair of filters for the channels after the first two.
    others: Option<usize>,
    vectors: Vectors,
}

struct Band {
    filter: BandFilter,
    place: Place,
    target: BandValues,
    values: BandValues,
    sections: Box<[Ratio]>,
    /// Number of sections that do not pass the signal unchanged.
    used: usize,
}

impl Equaliser {
    /// `[control]` For `channels` channels at `rate` Hz; `target` gives the values of each of `bands`.
    pub(crate) fn new(
        rate: f64,
        reach: Reach,
        channels: usize,
        bands: &[(BandFilter, Place)],
        target: &impl Fn(usize) -> BandValues,
    ) -> Self {
        let has = |is: fn(Place) -> bool| bands.iter().any(|(_, place)| is(*place));
        let has_mid_side = channels > 1 && has(Place::is_mid_side);
        let is_placed = has(|place| place != Place::Stereo);
        let is_crossed = has_mid_side && has(|place| matches!(place, Place::Left | Place::Right));
        let first = if is_crossed { 4 } else { 2 };
        let source = |channel: usize| -> Sources {
            match channel {
                0 | 1 if is_crossed => Box::new([(0, channel), (1, 2 + channel)]),
                0 | 1 if is_placed => Box::new([(channel, channel)]),
                _ if is_placed => Box::new([(channel, first)]),
                _ => Box::new([(channel, 0)]),
            }
        };
        let filters = match (is_placed, channels > 2) {
            (false, _) => 1,
            (true, others) => first + usize::from(others),
        };
        let matcher = Matcher::new(rate);
        let band = |(index, (filter, place)): (usize, &(BandFilter, Place))| {
            let sections = vec![Ratio::default(); filter.sections()].into_boxed_slice();
            let target = target(index);
            let mut band = Band { filter: *filter, place: *place, target, values: UNSET, sections, used: 0 };
            band.design(rate, &matcher);
            band
        };
        let bands = Bands {
            bands: bands.iter().enumerate().map(band).collect(),
            is_mixed: reach.is_mixed,
            is_crossed,
            others: is_placed.then_some(first / 2),
            vectors: Vectors::detect(),
        };
        Self {
            linear: Linear::new(
                rate,
                reach,
                [channels, filters],
                (0..channels).map(source).collect(),
                &bands,
            ),
            bands,
            matcher,
            rate,
            next: None,
            is_mid_side: has_mid_side && !is_crossed,
        }
    }

    /// `[audio]` Filters samples, one slice per channel. `target` gives the values of each band.
    pub(crate) fn process(&mut self, channels: &mut [&mut [f64]], target: impl Fn(usize) -> BandValues) {
        let frames = channels.first().map_or(0, |samples| samples.len());
        for frame in 0..frames {
            for (channel, samples) in channels.iter().enumerate() {
                let sample = match (self.is_mid_side, channel) {
                    (true, 0) => 0.5 * (samples[frame] + channels[1][frame]),
                    (true, 1) => 0.5 * (channels[0][frame] - samples[frame]),
                    _ => samples[frame],
                };
                self.linear.bank.set_input(channel, sample);
            }
            for (channel, samples) in channels.iter_mut().enumerate() {
                let get = |channel| self.linear.bank.output(channel);
                samples[frame] = match (self.is_mid_side, channel) {
                    (true, 0) => get(0) + get(1),
                    (true, 1) => get(0) - get(1),
                    _ => get(channel),
                };
            }
            if self.linear.bank.advance() {
                self.work(&target);
            }
        }
    }

    fn work(&mut self, target: &impl Fn(usize) -> BandValues) {
        let bands = &mut self.bands.bands;
        if self.next.is_none() && self.linear.is_free() {
            bands.iter_mut().enumerate().for_each(|(index, band)| band.target = target(index));
            self.next = bands.iter().position(Band::is_stale);
        }
        if let Some(next) = self.next {
            // One at a time, because a steep filter takes long.
            bands[next].design(self.rate, &self.matcher);
            self.next = bands.iter().position(Band::is_stale);
            if self.next.is_none() {
                self.linear.begin();
            }
        }
        self.linear.work(&self.bands);
    }

    /// `[audio]` Clears the input history.
    pub(crate) fn reset(&mut self) {
        // A cancelled design must be restarted.
        if self.next.take().is_some() || !self.linear.is_free() {
            self.bands.bands.iter_mut().for_each(|band| band.values = UNSET);
        }
        self.linear.reset();
    }

    /// `[audio]` Begins to adopt the input history of another one of the same structure.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if (self.is_mid_side, self.bands.is_crossed) == (old.is_mid_side, old.bands.is_crossed) {
            self.linear.bank.adopt(&old.linear.bank);
        }
    }

    /// `[audio]` Adopts more of it: see `FirBank::adopt_more`.
    pub(crate) fn adopt_more(&mut self, old: &Self) -> usize {
        self.linear.bank.adopt_more(&old.linear.bank)
    }
}

impl Band {
    fn is_stale(&self) -> bool {
        self.filter.shape != Shape::AllPass && self.values != self.target
    }

    /// Designs its sections for the target values.
    fn design(&mut self, rate: f64, matcher: &Matcher) {
        self.values = self.target;
        self.used = 0;
        if self.filter.shape == Shape::AllPass {
            return;
        }
        let Self { filter, sections, used, .. } = self;
        filter.design(rate, matcher, self.values, |_, coeffs| {
            if !coeffs.is_identity() {
                sections[*used] = coeffs.ratio();
                *used += 1;
            }
        });
    }
}

impl Curve for Bands {
    fn cost(&self, freq: f64) -> usize {
        let sections: usize = self.bands.iter().map(|band| band.used).sum();
        // A square root for each band; with minimum phase, two angles for each section and a rotation for each band too.
        let (bands, phases) = (3 * self.bands.len(), 40 * sections + 30 * self.bands.len());
        5 + bands + 2 * sections + if self.phase_share(freq) > 0.0 { phases } else { 0 }
    }

    fn write_responses(&self, pair: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]) {
        let is_others = self.others == Some(pair);
        let start = match (self.is_crossed && !is_others, pair) {
            (true, 0) => [1.0, 0.0],
            (true, _) => [0.0, 1.0],
            _ => [1.0, 1.0],
        };
        responses.fill(start.map(Complex64::from));
        let shares: [f64; BINS] =
            std::array::from_fn(|at| places.get(at).map_or(0.0, |(freq, _)| self.phase_share(*freq)));
        let phis: [f64; BINS] = std::array::from_fn(|at| places.get(at).map_or(0.0, |(_, phi)| *phi));
        let mut is_mid_side = false;
        for band in self.bands.iter().filter(|band| !is_others || band.place == Place::Stereo) {
            if self.is_crossed && !is_others && band.place != Place::Stereo {
                set_mid_side(&mut is_mid_side, band.place.is_mid_side(), responses);
            }
            let sections = &band.sections[..band.used];
            let mut powers = [1.0; BINS];
            self.vectors.run(
                #[inline(always)]
                || {
                    for section in sections {
                        powers.iter_mut().zip(&phis).for_each(|(power, phi)| *power *= section.power(*phi));
                    }
                },
            );
            let sides = match band.place {
                Place::Stereo => 0..2,
                Place::Left | Place::Mid => 0..1,
                Place::Right | Place::Side => 1..2,
            };
            for (at, response) in responses.iter_mut().enumerate() {
                let mut factor = Complex64::from(powers[at].max(0.0).sqrt());
                if shares[at] > 0.0 {
                    let phase: f64 = sections.iter().map(|section| section.phase(places[at].1)).sum();
                    factor = Complex64::from_polar(factor.re, shares[at] * phase);
                }
                response[sides.clone()].iter_mut().for_each(|side| *side *= factor);
            }
        }
        set_mid_side(&mut is_mid_side, false, responses);
    }
}

impl Bands {
    /// Share of the bands' minimum phase at a frequency, 0 (linear) to 1.
    fn phase_share(&self, freq: f64) -> f64 {
        let [low, high] = MIXED_HZ;
        match (self.is_mixed, freq) {
            (false, _) => 0.0,
            (true, freq) if freq >= high => 0.0,
            (true, freq) if freq <= low => 1.0,
            (true, freq) => 0.5 + 0.5 * (PI * (freq / low).log2() / (high / low).log2()).cos(),
        }
    }
}

/// Converts left and right to mid and side, or back, unless they are so already.
fn set_mid_side(is_mid_side: &mut bool, target: bool, responses: &mut [[Complex64; 2]]) {
    if std::mem::replace(is_mid_side, target) != target {
        let scale = if target { 0.5 } else { 1.0 };
        for [one, other] in responses {
            (*one, *other) = ((*one + *other) * scale, (*one - *other) * scale);
        }
    }
}
