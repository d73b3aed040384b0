//! A linear-phase crossover whose bands sum exactly to the delayed input.
//!
//! Each filter gives the sum of all bands below a split. A band is the difference of two such sums; the highest band is the
//! delayed input minus the last sum. The magnitudes are those of the Linkwitz-Riley crossover
//! (`dsp/filter/crossover.rs`), where the magnitudes of low and high sum to one too.
//!
//! Source: S. P. Lipshitz, J. Vanderkooy, *A Family of Linear-Phase Crossover Networks of High Slope Derived by Time
//! Delay*, JAES 31(1), 1983: high as the delayed input minus low.

use crate::dsp::delay::line::Delay;
use crate::dsp::filter::crossover::{BANDS, SPLITS};
use crate::dsp::fir::linear::Linear;
use crate::dsp::fir::linear::design::{Curve, Reach};
use num_complex::Complex64;
use std::f64::consts::PI;

/// Splits channels into bands.
pub(crate) struct LinearCrossover {
    linear: Linear,
    /// The input, delayed by the latency of the filters.
    delays: Box<[Delay]>,
    splits: SplitCurves,
    target: [f64; SPLITS],
}

/// The responses of the filters.
struct SplitCurves {
    rate: f64,
    freqs: [f64; SPLITS],
    count: usize,
    /// Half the order of each split.
    power: i32,
}

impl LinearCrossover {
    /// `[control]` `bands` (2 to 6) at `freqs` Hz for `channels` channels; `steep` is 48 dB/oct instead of 24.
    pub(crate) fn new(
        rate: f64,
        reach: Reach,
        bands: usize,
        steep: bool,
        channels: usize,
        freqs: impl IntoIterator<Item = f64>,
    ) -> Self {
        let count = bands.clamp(2, BANDS) - 1;
        let splits =
            SplitCurves { rate, freqs: sorted(freqs, count), count, power: if steep { 4 } else { 2 } };
        let outputs = (0..channels).flat_map(|channel| (0..count).map(move |split| [(channel, split)]));
        let outputs = outputs.map(Box::from).map(|sources: Box<[_; 1]>| sources as Box<[_]>).collect();
        Self {
            linear: Linear::new(rate, reach, [channels, count], outputs, &splits),
            delays: vec![Delay::new(reach.latency); channels].into_boxed_slice(),
            target: splits.freqs,
            splits,
        }
    }

    /// `[audio]` Sets the crossover frequencies in Hz, from low to high; the filters follow as soon as possible. A frequency
    /// below the previous one is raised to it.
    pub(crate) fn tune(&mut self, freqs: impl IntoIterator<Item = f64>) {
        self.target = sorted(freqs, self.splits.count);
    }

    /// `[audio]` Splits the next sample of a channel; returns the delayed bands from low to high.
    #[inline]
    pub(crate) fn tick(&mut self, channel: usize, sample: f64) -> [f64; BANDS] {
        let Self { linear: Linear { bank, .. }, delays, splits: SplitCurves { count, .. }, .. } = self;
        let count = *count;
        bank.set_input(channel, sample);
        let mut bands = [0.0; BANDS];
        let mut below = 0.0;
        for (split, band) in bands[..count].iter_mut().enumerate() {
            let sum = bank.output(channel * count + split);
            *band = sum - below;
            below = sum;
        }
        bands[count] = delays[channel].tick(sample) - below;
        bands
    }

    /// `[audio]` Ends the frame, after the samples of all channels.
    #[inline]
    pub(crate) fn advance(&mut self) {
        if self.linear.bank.advance() {
            if self.target != self.splits.freqs && self.linear.is_free() {
                self.splits.freqs = self.target;
                self.linear.begin();
            }
            self.linear.work(&self.splits);
        }
    }

    /// `[audio]` Clears the input history.
    pub(crate) fn reset(&mut self) {
        if !self.linear.is_free() {
            // A cancelled design must be restarted.
            self.splits.freqs = [f64::NAN; SPLITS];
        }
        self.linear.reset();
        self.delays.iter_mut().for_each(Delay::reset);
    }

    /// `[audio]` Begins to adopt the input history of another one of the same structure.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if (self.splits.count, self.splits.power) == (old.splits.count, old.splits.power) {
            self.linear.bank.adopt(&old.linear.bank);
            self.delays.iter_mut().zip(&old.delays).for_each(|(delay, old)| delay.adopt(old));
        }
    }

    /// `[audio]` Adopts more of it: see `FirBank::adopt_more`.
    pub(crate) fn adopt_more(&mut self, old: &Self) -> usize {
        self.linear.bank.adopt_more(&old.linear.bank)
    }
}

/// The first `count` frequencies, each at least the previous one; the rest is 0.
fn sorted(freqs: impl IntoIterator<Item = f64>, count: usize) -> [f64; SPLITS] {
    let mut sorted = [0.0; SPLITS];
    let mut lowest: f64 = 0.0;
    for (place, freq) in sorted[..count].iter_mut().zip(freqs) {
        lowest = lowest.max(freq);
        *place = lowest;
    }
    sorted
}

impl Curve for SplitCurves {
    fn cost(&self, _freq: f64) -> usize {
        4 + 12 * self.count
    }

    fn write_responses(&self, pair: usize, places: &[(f64, f64)], responses: &mut [[Complex64; 2]]) {
        let squares = self.freqs.map(|freq| (PI * (freq / self.rate).min(0.499)).tan().powi(2));
        for ((_, phi), response) in places.iter().zip(responses) {
            // Product of the high-passes so far.
            let mut above = 1.0;
            let mut sums = [0.0; BANDS];
            for (square, sum) in squares[..self.count].iter().zip(&mut sums) {
                let (high, low) = (phi.powi(self.power), ((1.0 - phi) * square).powi(self.power));
                above *= high / (high + low);
                *sum = 1.0 - above;
            }
            *response = [sums[2 * pair], sums[2 * pair + 1]].map(Complex64::from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::filter::crossover::Crossover;
    use crate::dsp::filter::crossover::tests::level;

    const RATE: f64 = 48_000.0;

    fn splitter(freqs: &[f64], steep: bool) -> (LinearCrossover, usize) {
        let reach = Reach::linear(RATE, 4_080);
        (LinearCrossover::new(RATE, reach, freqs.len() + 1, steep, 1, freqs.iter().copied()), reach.latency)
    }

    #[test]
    fn each_band_has_the_curve_of_the_linkwitz_riley_crossover() {
        let mut worst: f64 = 0.0;
        for steep in [false, true] {
            for freqs in
                [&[100.0][..], &[80.0, 1_000.0], &[120.0, 130.0, 4_000.0], &[200.0, 500.0, 2e3, 6e3, 15e3]]
            {
                let impulse = |n: usize| if n == 0 { 1.0 } else { 0.0 };
                let (mut linear, _) = splitter(freqs, steep);
                let mut twin = Crossover::new(RATE, freqs.len() + 1, steep, 1);
                twin.tune(freqs.iter().copied());
                let linear: Vec<_> = (0..16_384)
                    .map(|n| {
                        let bands = linear.tick(0, impulse(n));
                        linear.advance();
                        bands
                    })
                    .collect();
                let twin: Vec<_> = (0..48_000).map(|n| twin.tick(0, impulse(n))).collect();
                for band in 0..=freqs.len() {
                    for freq in (0..=60).map(|i| 20.0 * 1_000.0_f64.powf(f64::from(i) / 60.0)) {
                        let [got, target] =
                            [&linear, &twin].map(|all| level(all.iter().map(|bands| bands[band]), freq));
                        if target > -60.0 {
                            worst = worst.max((got - target).abs());
                            assert!(
                                (got - target).abs() < 0.1,
                                "{freqs:?}, steep {steep}, band {band}: {got:.3} dB, not {target:.3} dB at {freq:.1} Hz"
                            );
                        }
                    }
                }
            }
        }
        println!("bands are within {worst:.4} dB of their twins, down to -60 dB");
    }

    #[test]
    fn the_bands_add_up_to_the_delayed_input_while_the_splits_move_too() {
        let (mut splitter, latency) = splitter(&[100.0, 1_000.0, 5_000.0], true);
        let input = |n: usize| ((n * n * 7_919 + n) % 2_001) as f64 / 1_000.0 - 1.0;
        let mut worst: f64 = 0.0;
        for n in 0..60_000 {
            if n % 7_000 == 100 {
                splitter.tune([50.0 + n as f64 / 100.0, 2_000.0, 4_000.0]);
            }
            let sum: f64 = splitter.tick(0, input(n)).iter().sum();
            splitter.advance();
            let due = n.checked_sub(latency).map_or(0.0, input);
            worst = worst.max((sum - due).abs());
        }
        let null = 20.0 * worst.log10();
        println!("splits null at {null:.0} dBFS while they move");
        assert!(null < -280.0, "{null:.1} dBFS");
    }
}
