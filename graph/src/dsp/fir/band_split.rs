//! A linear-phase band filter: the rest of the signal is the delayed signal minus the band.
//!
//! High-pass or band-pass as a windowed sinc (A. V. Oppenheim, R. W. Schafer, *Discrete-Time Signal Processing*,
//! section 7.5): Kaiser, 70 dB. The amplitude at an edge is 1/2; the transition is 1.43 kHz wide.

use crate::dsp::simd::Vectors;
use crate::dsp::window::window;
use std::f64::consts::{PI, TAU};

/// Half the length of the filter, which is its delay, in ms.
const HALF_MS: f64 = 1.5;
/// Shape of the window for 70 dB, by Kaiser's formula: 0.1102 (70 − 8.7).
const BETA: f64 = 6.755;
/// Sums that are computed in parallel.
const LANES: usize = 8;

/// Delay of the filter in frames.
pub(crate) fn delay(sample_rate: f64) -> usize {
    (HALF_MS * sample_rate / 1000.0).round().max(1.0) as usize
}

/// The filter, the same for every channel. It can be redesigned while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Band {
    rate: f64,
    /// The window divided by pi n, from the middle outwards; the middle itself is 1.
    window: Box<[f64]>,
    /// Coefficients from the oldest sample to the newest, padded with zeros at the front to whole lanes.
    taps: Box<[f64]>,
    vectors: Vectors,
}

/// The last samples of one channel, stored twice, so that they are always contiguous.
#[derive(Clone, Debug)]
pub(crate) struct History {
    held: Box<[f64]>,
    at: usize,
}

impl Band {
    /// `[control]` A filter whose output is 0 until it is designed.
    pub(crate) fn new(sample_rate: f64) -> Self {
        let half = delay(sample_rate);
        let window = |n: usize| match n {
            0 => 1.0,
            _ => {
                let edge = n as f64 / (half + 1) as f64;
                window(edge, BETA) / (PI * n as f64)
            }
        };
        Self {
            rate: sample_rate,
            window: (0..=half).map(window).collect(),
            taps: vec![0.0; (2 * half + 1).next_multiple_of(LANES)].into_boxed_slice(),
            vectors: Vectors::detect(),
        }
    }

    /// `[audio]` Designs a high-pass with its edge at `freq_hz`.
    pub(crate) fn highpass(&mut self, freq_hz: f64) {
        self.design([Some(freq_hz), None], None);
    }

    /// `[audio]` Designs a band-pass with 0 dB at `freq_hz`, `freq_hz`/`q` wide, with geometric symmetry.
    pub(crate) fn bandpass(&mut self, freq_hz: f64, q: f64) {
        let side = 0.5 / q;
        let middle = (1.0 + side * side).sqrt();
        self.design([Some(freq_hz * (middle - side)), Some(freq_hz * (middle + side))], Some(freq_hz));
    }

    /// Low-pass at the second edge minus low-pass at the first; without a second edge, all-pass minus low-pass.
    fn design(&mut self, [low, high]: [Option<f64>; 2], unity: Option<f64>) {
        let half = self.window.len() - 1;
        let newest = self.taps.len() - 1;
        self.taps.fill(0.0);
        for (edge, sign) in [(high, 1.0), (low, -1.0)] {
            match edge.map(|edge| edge / self.rate).filter(|edge| *edge < 0.499) {
                None => self.taps[newest - half] += sign,
                Some(edge) => self.add_lowpass(edge, sign),
            }
        }
        if let Some(freq) = unity.filter(|freq| freq / self.rate < 0.499) {
            let middle = newest - half;
            let mut gain = self.taps[middle];
            for (n, cosine) in cosines(freq / self.rate).enumerate().take(half + 1).skip(1) {
                gain += 2.0 * cosine * self.taps[middle + n];
            }
            self.taps.iter_mut().for_each(|tap| *tap /= gain);
        }
    }

    /// Adds `sign` times a low-pass with its edge at `edge` times the sample rate and a gain of 1 at 0 Hz.
    fn add_lowpass(&mut self, edge: f64, sign: f64) {
        let half = self.window.len() - 1;
        let middle = self.taps.len() - 1 - half;
        // Sines by recursion, because this runs for every frame of a move.
        let (turn, mut before, mut now) = (2.0 * (TAU * edge).cos(), 0.0, (TAU * edge).sin());
        let mut sum = 2.0 * edge;
        let mut rest = [before, now];
        for window in &self.window[1..] {
            sum += 2.0 * now * window;
            (before, now) = (now, turn * now - before);
        }
        let scale = sign / sum;
        self.taps[middle] += 2.0 * edge * scale;
        for (n, window) in self.window.iter().enumerate().skip(1) {
            let tap = rest[1] * window * scale;
            self.taps[middle + n] += tap;
            self.taps[middle - n] += tap;
            rest = [rest[1], turn * rest[1] - rest[0]];
        }
    }

    /// `[audio]` Filters a sample; the output is [`delay`] frames late.
    #[inline]
    pub(crate) fn tick(&self, history: &mut History, sample: f64) -> f64 {
        self.vectors.run(
            #[inline(always)]
            || {
                let mut sums = [0.0; LANES];
                let samples = history.push(sample);
                for (samples, taps) in samples.chunks_exact(LANES).zip(self.taps.chunks_exact(LANES)) {
                    for lane in 0..LANES {
                        sums[lane] += taps[lane] * samples[lane];
                    }
                }
                sums.iter().sum()
            },
        )
    }

    /// `[control]` The state for one channel.
    pub(crate) fn history(&self) -> History {
        History { held: vec![0.0; 2 * self.taps.len()].into_boxed_slice(), at: 0 }
    }
}

impl History {
    /// Adds a sample and returns the last samples, oldest first.
    #[inline(always)]
    fn push(&mut self, sample: f64) -> &[f64] {
        let length = self.held.len() / 2;
        self.held[self.at] = sample;
        self.held[self.at + length] = sample;
        self.at = if self.at + 1 == length { 0 } else { self.at + 1 };
        &self.held[self.at..self.at + length]
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.held.fill(0.0);
    }

    /// `[audio]` Adopts the samples of another one of the same length.
    pub(crate) fn adopt(&mut self, old: &History) {
        if self.held.len() == old.held.len() {
            self.held.copy_from_slice(&old.held);
            self.at = old.at;
        }
    }
}

/// cos(2 pi n `turns`) for n = 0, 1, 2, ...
fn cosines(turns: f64) -> impl Iterator<Item = f64> {
    let step = (TAU * turns).cos();
    let mut pair = [1.0, step];
    std::iter::from_fn(move || {
        let [now, next] = pair;
        pair = [next, 2.0 * step * next - now];
        Some(now)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Amplitude of the band at a frequency; its phase is that of the delay.
    fn level(band: &Band, freq: f64) -> f64 {
        let middle = band.taps.len() as f64 - 1.0 - delay(band.rate) as f64;
        let taps = band.taps.iter().enumerate();
        taps.map(|(n, tap)| tap * (TAU * freq / band.rate * (n as f64 - middle)).cos()).sum()
    }

    #[test]
    fn edges_and_slopes_are_as_declared_at_every_rate() {
        for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
            for freq in [2_000.0, 6_000.0, 12_000.0] {
                let mut band = Band::new(rate);
                band.highpass(freq);
                assert!((level(&band, freq) - 0.5).abs() < 0.002, "edge of {freq} Hz at {rate}");
                for out in [0.0, 500.0, freq - 1_000.0, freq - 730.0] {
                    assert!(level(&band, out).abs() < 5e-4, "{out} Hz under {freq} Hz at {rate}");
                }
                for inside in [freq + 730.0, freq + 2_000.0, 20_000.0] {
                    assert!(
                        (level(&band, inside) - 1.0).abs() < 5e-4,
                        "{inside} Hz over {freq} Hz at {rate}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_bandpass_is_unity_at_its_centre_and_zero_an_octave_outside() {
        for (freq, q) in [(2_000.0, 1.0), (3_000.0, 3.0), (6_000.0, 1.0), (6_000.0, 3.0), (12_000.0, 2.0)] {
            let mut band = Band::new(48_000.0);
            band.bandpass(freq, q);
            let edges = [-1.0, 1.0].map(|side: f64| freq * ((1.0 + 0.25 / q / q).sqrt() + side * 0.5 / q));
            assert!((level(&band, freq) - 1.0).abs() < 1e-9);
            assert!(level(&band, edges[0] / 2.0).abs() < 0.011, "{freq} Hz, q {q}");
            assert!(edges[1] > 11_000.0 || level(&band, edges[1] * 2.0).abs() < 0.001, "{freq} Hz, q {q}");
        }
    }

    #[test]
    fn an_impulse_comes_out_symmetric_around_the_delay() {
        let mut band = Band::new(48_000.0);
        band.highpass(6_000.0);
        let mut history = band.history();
        let out: Vec<f64> =
            (0..200).map(|n| band.tick(&mut history, if n == 0 { 1.0 } else { 0.0 })).collect();
        let middle = delay(48_000.0);
        assert!((1..=middle).all(|n| out[middle - n] == out[middle + n]));
        assert!(out[2 * middle + 1..].iter().all(|x| *x == 0.0));
    }
}
