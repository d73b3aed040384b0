//! Design of FIR filters from a frequency response, a piece at a time while other filters play.
//!
//! The response is sampled at a grid of frequencies, inverse-transformed and windowed: frequency sampling (L. R. Rabiner,
//! B. Gold, C. A. McGonegal, *An Approach to the Approximation Problem for Nonrecursive Digital Filters*, IEEE Trans. Audio
//! Electroacoust. 18(2), 1970). The window is flat over most of its length, with Kaiser slopes at the ends, so that narrow
//! bands at low frequencies stay accurate.

use crate::dsp::fft::split_inverse::Transform;
use crate::dsp::fir::linear::fir_bank::{FirBank, block_frames};
use crate::dsp::window;
use num_complex::Complex64;
use std::f64::consts::PI;

/// Bins of the response that are computed at once.
pub const BINS: usize = 16;
/// Cost of computing the response in one piece, in about ns.
const COST: usize = 30_000;
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
pub struct Reach {
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
    pub fn linear(rate: f64, frames: usize) -> Self {
        let own = 2 * block_frames(rate);
        let side = frames.saturating_sub(own).max(1);
        Self { taps: 2 * side + 1, middle: side, latency: side + own, is_mixed: false }
    }

    /// Mixed phase: the same number of coefficients, most of them after the centre.
    pub fn mixed(rate: f64, frames: usize) -> Self {
        let linear = Self::linear(rate, frames);
        let middle = linear.middle.min((MIXED_MS * rate / 1000.0) as usize);
        Self { middle, latency: linear.latency - linear.middle + middle, is_mixed: true, ..linear }
    }
}

/// The frequency responses of the filters to design.
pub trait Curve {
    /// Cost of computing a bin at `freq` Hz, in about ns.
    fn cost(&self, freq: f64) -> usize;

    /// `[audio]` Writes the responses of filters 2 `pair` and 2 `pair` + 1, without the delay of their centre, at each of
    /// `places`: frequency in Hz and sin²(ω/2).
    fn write_responses(&self, pair: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]);
}

/// A running design.
pub struct Design {
    reach: Reach,
    filters: usize,
    /// Frequency and sin²(ω/2) of each bin.
    places: Box<[(f64, f64)]>,
    /// The window, including the scale of the transform.
    window: Box<[f64]>,
    transform: Transform,
    step: Step,
}

/// The next piece of work. Two filters are designed at a time, one as the real part, the other as the imaginary part.
#[derive(Clone, Copy)]
enum Step {
    Idle,
    Sample { pair: usize, bin: usize },
    Transform { pair: usize },
    Load { pair: usize, part: usize },
}

impl Design {
    /// `[control]` The design of `filters` filters, at `rate` Hz.
    pub fn new(rate: f64, reach: Reach, filters: usize) -> Self {
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
            step: Step::Idle,
        }
    }

    /// Whether no design is running.
    pub fn is_idle(&self) -> bool {
        matches!(self.step, Step::Idle)
    }

    /// `[audio]` Begins a new design.
    pub fn begin(&mut self) {
        self.step = Step::Sample { pair: 0, bin: 0 };
    }

    /// `[audio]` Cancels the design.
    pub fn cancel(&mut self) {
        self.step = Step::Idle;
    }

    /// `[audio]` Computes a piece. After the last piece, `bank` crossfades to the new filters.
    pub fn work(&mut self, curve: &impl Curve, bank: &mut FirBank) {
        self.step = match self.step {
            Step::Idle => Step::Idle,
            Step::Sample { pair, bin } => {
                let (mut until, mut cost) = (bin, 0);
                while until < self.places.len() && cost < COST {
                    self.sample(curve, pair, until);
                    cost += BINS * curve.cost(self.places[until].0);
                    until += BINS;
                }
                if until < self.places.len() {
                    Step::Sample { pair, bin: until }
                } else {
                    Step::Transform { pair }
                }
            }
            Step::Transform { pair } if self.transform.piece() => Step::Load { pair, part: 0 },
            Step::Transform { pair } => Step::Transform { pair },
            Step::Load { pair, part } => {
                let until = (part + (POINTS / bank.part_taps()).max(1)).min(bank.parts());
                (part..until).for_each(|part| self.load(pair, part, bank));
                if until < bank.parts() {
                    Step::Load { pair, part: until }
                } else if 2 * pair + 2 < self.filters {
                    Step::Sample { pair: pair + 1, bin: 0 }
                } else {
                    bank.begin_fade();
                    Step::Idle
                }
            }
        };
    }

    fn sample(&mut self, curve: &impl Curve, pair: usize, bin: usize) {
        let places = &self.places[bin..self.places.len().min(bin + BINS)];
        let mut responses = [[Complex64::ZERO; 2]; BINS];
        curve.write_responses(pair, places, &mut responses[..places.len()]);
        let spectrum = self.transform.spectrum();
        let size = spectrum.len();
        for (bin, [one, other]) in (bin..).zip(&responses[..places.len()]) {
            let turned = Complex64::I * other;
            spectrum[bin] = one + turned;
            if bin > 0 {
                // Both impulse responses are real, so their spectra have conjugate symmetry.
                spectrum[size - bin] = one.conj() + Complex64::I * other.conj();
            }
        }
    }

    fn load(&self, pair: usize, part: usize, bank: &mut FirBank) {
        let Reach { taps, middle, is_mixed, .. } = self.reach;
        let size = 2 * (self.places.len() - 1);
        let sample = |tap: usize| self.transform.sample((size + tap - middle) & (size - 1));
        let point = |tap: usize| match (tap < taps, is_mixed) {
            (false, _) => Complex64::ZERO,
            (_, true) => self.window[tap] * sample(tap),
            // The mean of both sides removes the asymmetry of rounding errors.
            (_, false) => 0.5 * self.window[tap] * (sample(tap) + sample(taps - 1 - tap)),
        };
        bank.load(2 * pair, part, |tap| point(tap).re);
        if 2 * pair + 1 < self.filters {
            bank.load(2 * pair + 1, part, |tap| point(tap).im);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    /// A flat response that is costly below 400 Hz.
    #[derive(Default)]
    struct Costly {
        bins: Cell<usize>,
        cost: Cell<usize>,
    }

    impl Curve for Costly {
        fn cost(&self, freq: f64) -> usize {
            if freq < 400.0 { 500 } else { 20 }
        }

        fn write_responses(&self, _: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]) {
            responses.fill([Complex64::ONE; 2]);
            self.bins.set(self.bins.get() + places.len());
            let cost: usize = places.iter().map(|(freq, _)| self.cost(*freq)).sum();
            self.cost.set(self.cost.get() + cost);
        }
    }

    #[test]
    fn every_piece_computes_about_as_much_of_the_response() {
        const RATE: f64 = 48_000.0;
        let (curve, reach) = (Costly::default(), Reach::linear(RATE, 8_160));
        let mut design = Design::new(RATE, reach, 2);
        let mut bank = FirBank::new(RATE, reach.taps, 1, 2, vec![Box::from([(0, 0)])]);
        design.begin();
        while !design.is_idle() {
            curve.cost.set(0);
            design.work(&curve, &mut bank);
            let cost = curve.cost.get();
            assert!(cost <= COST + 500 * BINS, "{cost}");
        }
        assert_eq!(curve.bins.get(), design.places.len(), "all of it once");
    }
}
