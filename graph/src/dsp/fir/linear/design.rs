//! Design of FIR filters from a frequency response, a piece at a time while other filters play.
//!
//! The response is sampled at a grid of frequencies, inverse-transformed and windowed: frequency sampling (L. R. Rabiner,
//! B. Gold, C. A. McGonegal, *An Approach to the Approximation Problem for Nonrecursive Digital Filters*, IEEE Trans. Audio
//! Electroacoust. 18(2), 1970). The window is flat over most of its length, with Kaiser slopes at the ends, so that narrow
//! bands at low frequencies stay accurate.

use crate::dsp::fft::split_real::{Group, LANES, Place, Transform};
use crate::dsp::fir::linear::fir_bank::{FirBank, block_frames};
use crate::dsp::window;
use num_complex::Complex64;
use std::f64::consts::PI;

/// Bins of the response that are computed at once.
pub(crate) const BINS: usize = LANES;
/// Cost of computing the response in one piece, in about ns.
const EFFORT: usize = 30_000;
/// About as many samples of two filters are transformed in three pieces.
const SAMPLES: usize = 2_048;
/// What a transform takes for a sample, against what it takes to part a line: more, as it has more levels.
const TRANSFORM_EFFORT: usize = 4;
/// Coefficients that are loaded in one piece.
const POINTS: usize = 1_024;
/// Share of the window that is flat.
const FLAT: f64 = 0.7;
/// Shape of the window's slopes.
const BETA: f64 = 5.0;
/// Length of a mixed-phase filter before its centre, in ms: pre-ringing of this length is masked by the sound after it.
///
/// Source: H. Fastl, E. Zwicker, *Psychoacoustics: Facts and Models*, section 4.4.1, premasking.
const MIXED_MS: f64 = 20.0;

/// Length of the filters, and position of their centre.
///
/// Accuracy: with 170 ms, the magnitude is within 0.1 dB of the minimum-phase filter, down to -60 dB, for 12 dB bells at
/// 30 Hz with Q 1, at 100 Hz with Q 8 and at 500 Hz with Q 24, and for high-passes from 20 Hz up with 24 dB/oct, from
/// 50 Hz with 48 dB/oct and from 100 Hz with 96 dB/oct. These frequencies are inversely proportional to the length. A notch
/// needs a longer filter: one at 1 kHz with Q 2 is accurate down to -20 dB. A mixed-phase filter is cut 20 ms before its
/// centre: it is accurate for bells up to Q 8 at 100 Hz, and for high-passes up to 24 dB/oct; steeper ones have errors of
/// 1 dB at low levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reach {
    /// Number of coefficients, odd.
    pub taps: usize,
    /// Index of the centre: the delay of all frequencies with linear phase.
    pub middle: usize,
    /// Latency in frames, including that of the block convolution.
    pub latency: usize,
    /// Whether low frequencies have minimum phase.
    pub is_mixed: bool,
}

impl Reach {
    /// Linear phase: the centre is in the middle; `frames` is the latency.
    pub(crate) fn linear(rate: f64, frames: usize) -> Self {
        let own = 2 * block_frames(rate);
        let side = frames.saturating_sub(own).max(1);
        Self { taps: 2 * side + 1, middle: side, latency: side + own, is_mixed: false }
    }

    /// Mixed phase: the same number of coefficients, most of them after the centre.
    pub(crate) fn mixed(rate: f64, frames: usize) -> Self {
        let linear = Self::linear(rate, frames);
        let middle = linear.middle.min((MIXED_MS * rate / 1000.0) as usize);
        Self { middle, latency: linear.latency - linear.middle + middle, is_mixed: true, ..linear }
    }
}

/// The frequency responses of the filters to design.
pub(crate) trait Curve {
    /// Cost of computing a bin at `freq` Hz, in about ns.
    fn cost(&self, freq: f64) -> usize;

    /// `[audio]` Writes the responses of filters 2 `pair` and 2 `pair` + 1, without the delay of their centre, at each of
    /// `places`: frequency in Hz and sin²(ω/2).
    fn write_responses(&self, pair: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]);
}

/// A running design.
pub(crate) struct Design {
    reach: Reach,
    filters: usize,
    /// Frequency and sin²(ω/2) of each bin.
    places: Box<[(f64, f64)]>,
    /// The window, including the scale of the transform.
    window: Box<[f64]>,
    transform: Transform,
    /// The spectra of both filters of a pair, and what becomes of them, not divided by its number.
    spectra: [Box<[Group]>; 2],
    samples: [Box<[f64]>; 2],
    step: Step,
}

/// What is to be done next. Two filters are designed at a time.
#[derive(Clone, Copy)]
enum Step {
    Rest,
    Sample {
        pair: usize,
        bin: usize,
    },
    /// How many pieces of the transforms are done, and how many of their units.
    Transform {
        pair: usize,
        pieces: usize,
        units: usize,
    },
    Load {
        pair: usize,
        part: usize,
    },
}

impl Design {
    /// `[control]` The design of `filters` filters, at `rate` Hz.
    pub(crate) fn new(rate: f64, reach: Reach, filters: usize) -> Self {
        let size = reach.taps.next_power_of_two().max(64);
        let place = |bin: usize| {
            let share = bin as f64 / size as f64;
            (share * rate, (PI * share).sin().powi(2))
        };
        let window = |tap: usize| {
            let (before, after) = (reach.middle, reach.taps - 1 - reach.middle);
            let edge = match tap.checked_sub(reach.middle) {
                Some(after_middle) => after_middle as f64 / (after + 1) as f64,
                None => (reach.middle - tap) as f64 / (before + 1) as f64,
            };
            window::window(((edge - FLAT) / (1.0 - FLAT)).max(0.0), BETA)
        };
        Self {
            reach,
            filters,
            places: (0..=size / 2).map(place).collect(),
            window: (0..reach.taps).map(|tap| window(tap) / size as f64).collect(),
            transform: Transform::new(size),
            spectra: [(); 2].map(|()| vec![[0.0; 2 * LANES]; size / 2 / LANES].into()),
            samples: [(); 2].map(|()| vec![0.0; size].into()),
            step: Step::Rest,
        }
    }

    /// Whether no design is running.
    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.step, Step::Rest)
    }

    /// `[audio]` Begins a new design.
    pub(crate) fn begin(&mut self) {
        self.step = Step::Sample { pair: 0, bin: 0 };
    }

    /// `[audio]` Cancels the design.
    pub(crate) fn cancel(&mut self) {
        self.step = Step::Rest;
    }

    /// `[audio]` Computes a piece. After the last piece, `bank` crossfades to the new filters.
    pub(crate) fn work(&mut self, curve: &impl Curve, bank: &mut FirBank) {
        self.step = match self.step {
            Step::Rest => Step::Rest,
            Step::Sample { pair, bin } => {
                let (mut until, mut effort) = (bin, 0);
                while until < self.places.len() && effort < EFFORT {
                    self.sample(curve, pair, until);
                    effort += BINS * curve.cost(self.places[until].0);
                    until += BINS;
                }
                if until < self.places.len() {
                    Step::Sample { pair, bin: until }
                } else {
                    Step::Transform { pair, pieces: 0, units: 0 }
                }
            }
            Step::Transform { pair, pieces, units } => match self.transform(pair, pieces, units) {
                None => Step::Load { pair, part: 0 },
                Some(units) => Step::Transform { pair, pieces: pieces + 1, units },
            },
            Step::Load { pair, part } => {
                let until = (part + (POINTS / bank.part_taps()).max(1)).min(bank.parts());
                (part..until).for_each(|part| self.load(pair, part, bank));
                if until < bank.parts() {
                    Step::Load { pair, part: until }
                } else if 2 * pair + 2 < self.filters {
                    Step::Sample { pair: pair + 1, bin: 0 }
                } else {
                    bank.begin_fade();
                    Step::Rest
                }
            }
        };
    }

    fn sample(&mut self, curve: &impl Curve, pair: usize, bin: usize) {
        let places = &self.places[bin..self.places.len().min(bin + BINS)];
        let mut responses = [[Complex64::ZERO; 2]; BINS];
        curve.write_responses(pair, places, &mut responses[..places.len()]);
        for (filter, spectrum) in self.spectra.iter_mut().enumerate() {
            if bin == LANES * spectrum.len() {
                // The highest line is real, and lies beside the lowest.
                spectrum[0][LANES] = responses[0][filter].re;
                continue;
            }
            let group = &mut spectrum[bin / LANES];
            let (re, im) = group.split_at_mut(LANES);
            for ((re, im), response) in re.iter_mut().zip(im).zip(&responses) {
                (*re, *im) = (response[filter].re, response[filter].im);
            }
        }
    }

    /// Does a piece of the transforms of a pair, and gives how many units are done by then; `None` when all are. A unit is some
    /// columns that are parted, or a way that is transformed.
    fn transform(&mut self, pair: usize, pieces: usize, mut units: usize) -> Option<usize> {
        let filters = (self.filters - 2 * pair).min(2);
        let (steps, ways) = (self.transform.steps(), self.transform.ways());
        let (of_step, of_way) = (self.transform.lines(), TRANSFORM_EFFORT * self.transform.piece());
        let effort = |units: usize| {
            let (whole, rest) = (units / (steps + ways), units % (steps + ways));
            let of = |steps: usize, ways: usize| steps * of_step + ways * of_way;
            whole * of(steps, ways) + of(rest.min(steps), rest.saturating_sub(steps))
        };
        let all = filters * (steps + ways);
        let count = (3 * self.samples[0].len() / SAMPLES).max(2);
        while units < all && effort(units) * count < effort(all) * (pieces + 1) {
            let (filter, unit) = (units / (steps + ways), units % (steps + ways));
            match unit.checked_sub(steps) {
                None => self.transform.part(unit, &self.spectra[filter], Place { offset: 0, stride: 1 }),
                Some(way) => {
                    let places = self.samples[filter][way..].iter_mut().step_by(ways);
                    places.zip(self.transform.inverse(way)).for_each(|(place, sample)| *place = *sample);
                }
            }
            units += 1;
        }
        (units < all || pieces + 1 < count).then_some(units)
    }

    fn load(&self, pair: usize, part: usize, bank: &mut FirBank) {
        let Reach { taps, middle, is_mixed, .. } = self.reach;
        let size = 2 * (self.places.len() - 1);
        for filter in 0..(self.filters - 2 * pair).min(2) {
            let sample = |tap: usize| self.samples[filter][(size + tap - middle) & (size - 1)];
            bank.load(2 * pair + filter, part, |tap| match (tap < taps, is_mixed) {
                (false, _) => 0.0,
                (_, true) => self.window[tap] * sample(tap),
                // The mean of both sides removes the asymmetry of rounding errors.
                (_, false) => 0.5 * self.window[tap] * (sample(tap) + sample(taps - 1 - tap)),
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A flat response that is costly below 400 Hz.
    #[derive(Default)]
    struct Dear {
        bins: Cell<usize>,
        effort: Cell<usize>,
    }

    impl Curve for Dear {
        fn cost(&self, freq: f64) -> usize {
            if freq < 400.0 { 500 } else { 20 }
        }

        fn write_responses(&self, _: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]) {
            responses.fill([Complex64::ONE; 2]);
            self.bins.set(self.bins.get() + places.len());
            let effort: usize = places.iter().map(|(freq, _)| self.cost(*freq)).sum();
            self.effort.set(self.effort.get() + effort);
        }
    }

    #[test]
    fn no_piece_asks_for_much_more_of_the_curve_than_another() {
        const RATE: f64 = 48_000.0;
        let (curve, reach) = (Dear::default(), Reach::linear(RATE, 8_160));
        let mut design = Design::new(RATE, reach, 2);
        let mut bank = FirBank::new(RATE, reach.taps, 1, 2, vec![Box::from([(0, 0)])]);
        design.begin();
        while !design.is_idle() {
            curve.effort.set(0);
            design.work(&curve, &mut bank);
            let effort = curve.effort.get();
            assert!(effort <= EFFORT + 500 * BINS, "{effort}");
        }
        assert_eq!(curve.bins.get(), design.places.len(), "all of it once");
    }
}
