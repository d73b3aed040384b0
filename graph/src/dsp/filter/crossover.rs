//! Linkwitz-Riley crossovers, 2 to 6 bands, whose sum is flat.
//!
//! Each split has two equal Butterworth filters in series: second order for 24 dB/oct, fourth order for 48 dB/oct. Low and
//! high sum to an all-pass. For a flat sum of all bands, each band also passes the all-passes of the splits above it.
//!
//! ```text
//!  x ─┬─ LP1 ── AP2 ── AP3 ── band 1
//!     └─ HP1 ─┬─ LP2 ── AP3 ── band 2
//!             └─ HP2 ─┬─ LP3 ── band 3
//!                     └─ HP3 ── band 4
//! ```
//!
//! Source: S. H. Linkwitz, *Active Crossover Networks for Noncoincident Drivers*, JAES 24(1), 1976; the all-passes:
//! J. D'Appolito, *Active Realization of Multiway All-Pass Crossover Systems*, JAES 35(4), 1987.

use crate::dsp::filter::svf::{Coeffs, State, butterworth_q};

/// Largest number of bands.
pub(crate) const BANDS: usize = 6;
/// Largest number of splits.
pub(crate) const SPLITS: usize = BANDS - 1;
/// Largest number of second-order sections of a Butterworth filter.
const STAGES: usize = 2;

/// The filters of one split.
#[derive(Clone, Copy, Debug)]
struct Split {
    low: [Coeffs; STAGES],
    high: [Coeffs; STAGES],
    allpass: [Coeffs; STAGES],
}

/// State of one channel.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// For each split: low twice, high twice.
    splits: [[[State; STAGES]; 4]; SPLITS],
    /// For each band, for each split above it.
    allpass: [[[State; STAGES]; SPLITS]; SPLITS],
}

/// Splits channels into bands.
#[derive(Clone, Debug)]
pub(crate) struct Crossover {
    rate: f64,
    stages: usize,
    freqs: [f64; SPLITS],
    splits: [Split; SPLITS],
    count: usize,
    memories: Box<[Memory]>,
}

impl Crossover {
    /// `[control]` `bands` (1 to 6) for `channels` channels; `steep` is 48 dB/oct instead of 24.
    pub(crate) fn new(rate: f64, bands: usize, steep: bool, channels: usize) -> Self {
        let identity = [Coeffs::IDENTITY; STAGES];
        Self {
            rate,
            stages: if steep { 2 } else { 1 },
            freqs: [f64::NAN; SPLITS],
            splits: [Split { low: identity, high: identity, allpass: identity }; SPLITS],
            count: bands.clamp(1, BANDS) - 1,
            memories: vec![Memory::default(); channels].into_boxed_slice(),
        }
    }

    /// Number of bands.
    pub(crate) fn bands(&self) -> usize {
        self.count + 1
    }

    /// `[audio]` Sets the crossover frequencies in Hz, from low to high. One below the previous one is raised to it.
    pub(crate) fn tune(&mut self, freqs: impl IntoIterator<Item = f64>) {
        let mut lowest: f64 = 0.0;
        let places = self.freqs.iter_mut().zip(&mut self.splits).take(self.count);
        for ((known, split), freq) in places.zip(freqs) {
            lowest = lowest.max(freq);
            if *known == lowest {
                continue;
            }
            *known = lowest;
            for stage in 0..self.stages {
                let q = butterworth_q(2 * self.stages, stage);
                split.low[stage] = Coeffs::lowpass(self.rate, lowest, q);
                split.high[stage] = Coeffs::highpass(self.rate, lowest, q);
                split.allpass[stage] = Coeffs::allpass(self.rate, lowest, q);
            }
        }
    }

    /// `[audio]` Splits one sample of a channel; returns the bands from low to high.
    #[inline]
    pub(crate) fn tick(&mut self, channel: usize, sample: f64) -> [f64; BANDS] {
        let mut bands = [0.0; BANDS];
        let (stages, count) = (self.stages, self.count);
        let Memory { splits: memories, allpass } = &mut self.memories[channel];
        let mut rest = sample;
        for (at, split) in self.splits.iter().enumerate().take(count) {
            let [low1, low2, high1, high2] = &mut memories[at];
            let through = |coeffs: &[Coeffs; STAGES], states: &mut [State; STAGES], x: f64| {
                coeffs.iter().zip(states).take(stages).fold(x, |x, (coeffs, state)| coeffs.tick(state, x))
            };
            let low = through(&split.low, low2, through(&split.low, low1, rest));
            rest = through(&split.high, high2, through(&split.high, high1, rest));
            bands[at] = low;
            for (band, states) in bands[..at].iter_mut().zip(&mut *allpass) {
                *band = through(&split.allpass, &mut states[at], *band);
            }
        }
        bands[count] = rest;
        bands
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.memories.fill(Memory::default());
    }

    /// `[audio]` Adopts the state of another one of the same structure.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if (self.stages, self.count, self.memories.len()) == (old.stages, old.count, old.memories.len()) {
            self.memories.copy_from_slice(&old.memories);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::f64::consts::TAU;

    const RATE: f64 = 48_000.0;

    /// Impulse responses of all bands.
    fn responses(freqs: &[f64], steep: bool) -> Vec<[f64; BANDS]> {
        let mut crossover = Crossover::new(RATE, freqs.len() + 1, steep, 1);
        crossover.tune(freqs.iter().copied());
        (0..48_000).map(|n| crossover.tick(0, if n == 0 { 1.0 } else { 0.0 })).collect()
    }

    /// Level of an impulse response at a frequency, in dB.
    pub(crate) fn level(samples: impl Iterator<Item = f64>, freq: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, y) in samples.enumerate() {
            let angle = TAU * freq / RATE * n as f64;
            re += y * angle.cos();
            im -= y * angle.sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn the_bands_add_up_to_flat_for_any_splits() {
        for steep in [false, true] {
            for freqs in [
                &[300.0, 600.0][..],
                &[1_000.0],
                &[120.0, 1_200.0],
                &[250.0, 1_000.0],
                &[120.0, 800.0, 4_000.0],
                &[50.0, 50.0, 60.0, 15_000.0, 20_000.0],
                &[60.0, 120.0, 240.0, 480.0, 960.0],
            ] {
                let bands = responses(freqs, steep);
                for freq in [20.0, 55.0, 120.0, 300.0, 424.0, 600.0, 1_000.0, 3_000.0, 10_000.0, 20_000.0] {
                    let sum = level(bands.iter().map(|bands| bands.iter().sum()), freq);
                    assert!(sum.abs() < 0.01, "{freqs:?}, steep {steep}: {sum:.4} dB at {freq} Hz");
                }
            }
        }
    }

    #[test]
    fn each_band_is_6_db_down_at_its_edge_and_has_the_declared_slope() {
        for (steep, octaves_two) in [(false, -48.23), (true, -96.33)] {
            let bands = responses(&[200.0], steep);
            for (band, far) in [(0, 800.0), (1, 50.0)] {
                let edge = level(bands.iter().map(|bands| bands[band]), 200.0);
                assert!((edge + 6.02).abs() < 0.01, "{edge:.3} dB at the edge");
                let far = level(bands.iter().map(|bands| bands[band]), far);
                assert!((far - octaves_two).abs() < 0.5, "{far:.2} dB two octaves away");
            }
        }
    }
}
