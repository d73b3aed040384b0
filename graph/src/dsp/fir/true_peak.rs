//! True-peak detection: 8-fold interpolation between samples.
//!
//! Two steps: a long filter computes the points half way between samples, which is the difficult step, because signals
//! near the Nyquist frequency need long filters; short filters compute three more points between each of those. The
//! accuracy of a true-peak limiter depends on its detector: the 48 taps of ITU-R BS.1770-5, Annex 2, under-read loud
//! noise by more than 1 dB.

use crate::dsp::simd::Vectors;
use crate::dsp::window::sinc;

/// Taps on each side of the half-way point.
const HALF_SIDE: usize = 128;
/// The same for low latency.
const SHORT_SIDE: usize = 16;
/// Shape of their Kaiser window: low, so that the filter passes frequencies close to the Nyquist frequency.
const HALF_BETA: f64 = 2.0;
/// Taps of the filters at twice the rate.
const FINE: usize = 16;
/// Shape of their Kaiser window.
const FINE_BETA: f64 = 8.0;

/// Sums that are computed in parallel.
const SIDE_BY_SIDE: usize = 8;

/// Accuracy of the peak detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detection {
    /// Eight points per sample with long filters: within 0.1 dB of a 32-fold meter.
    Eight,
    /// Four points per sample with the same filters: under-reads by up to 0.7 dB near the Nyquist frequency.
    Four,
    /// Eight points per sample with short filters: under-reads loud noise by up to 0.7 dB.
    Fast,
    /// Sample peak.
    Samples,
}

impl Detection {
    /// Delay in frames from a sample to its peak.
    pub(crate) const fn delay(self) -> usize {
        match self {
            Self::Eight | Self::Four => HALF_SIDE + FINE / 4,
            Self::Fast => SHORT_SIDE + FINE / 4,
            Self::Samples => 0,
        }
    }
}

/// The interpolation filters; the same for every channel and sample rate.
#[derive(Clone, Debug)]
pub(crate) struct Interpolator {
    detection: Detection,
    /// Number of taps of `half` in use.
    side: usize,
    /// One side of the symmetric half-way filter, the centre tap first.
    half: Box<[f64; HALF_SIDE]>,
    /// Filters for 1/4, 2/4 and 3/4 of the way between two points at twice the rate.
    fine: [[f64; FINE]; 3],
    vectors: Vectors,
}

/// The last samples of one channel, and the last points at twice the rate.
#[derive(Clone, Debug)]
pub(crate) struct History {
    samples: Ring<{ 2 * HALF_SIDE }, { 4 * HALF_SIDE }>,
    points: Ring<FINE, { 2 * FINE }>,
}

/// The last `N` values; each is stored twice, so that they are always contiguous.
#[derive(Clone, Debug)]
struct Ring<const N: usize, const TWICE: usize> {
    values: [f64; TWICE],
    at: usize,
}

impl<const N: usize, const TWICE: usize> Ring<N, TWICE> {
    const SILENT: Self = Self { values: [0.0; TWICE], at: 0 };

    /// Adds a value and returns the last `N`, oldest first.
    #[inline(always)]
    fn push(&mut self, value: f64) -> &[f64] {
        self.values[self.at] = value;
        self.values[self.at + N] = value;
        self.at = (self.at + 1) % N;
        &self.values[self.at..self.at + N]
    }
}

impl Default for History {
    fn default() -> Self {
        Self { samples: Ring::SILENT, points: Ring::SILENT }
    }
}

impl Interpolator {
    /// `[control]` Computes the filters: windowed sincs, each with a gain of exactly 1 at 0 Hz.
    pub(crate) fn new(detection: Detection) -> Self {
        let side = if detection == Detection::Fast { SHORT_SIDE } else { HALF_SIDE };
        let mut half = Box::new([0.0; HALF_SIDE]);
        for (i, tap) in half.iter_mut().enumerate().take(side) {
            *tap = sinc(i as f64 + 0.5, side as f64, HALF_BETA);
        }
        let sum: f64 = 2.0 * half.iter().sum::<f64>();
        half.iter_mut().for_each(|tap| *tap /= sum);
        let fine = [0.25, 0.5, 0.75].map(|shift| {
            let side = FINE as f64 / 2.0;
            let taps: [f64; FINE] =
                std::array::from_fn(|i| sinc(i as f64 - (side - 1.0) - shift, side, FINE_BETA));
            let sum: f64 = taps.iter().sum();
            taps.map(|tap| tap / sum)
        });
        Self { detection, side, half, fine, vectors: Vectors::detect() }
    }

    /// `[audio]` Adds samples, and raises each of `peaks` to the highest magnitude between the sample
    /// [`Detection::delay`] frames before and the next one. Linear.
    pub(crate) fn detect(&self, history: &mut History, samples: &[f64], peaks: &mut [f64]) {
        if self.detection == Detection::Samples {
            samples.iter().zip(peaks).for_each(|(sample, peak)| *peak = peak.max(sample.abs()));
            return;
        }
        let fine = if self.detection == Detection::Four { &self.fine[1..2] } else { &self.fine[..] };
        self.vectors.run(
            #[inline(always)]
            || {
                for (sample, peak) in samples.iter().zip(peaks) {
                    *peak = peak.max(self.peak(fine, history, *sample));
                }
            },
        );
    }

    #[inline(always)]
    fn peak(&self, fine: &[[f64; FINE]], history: &mut History, sample: f64) -> f64 {
        let recent = history.samples.push(sample);
        let (before, after) = recent[2 * (HALF_SIDE - self.side)..].split_at(self.side);
        // Parallel sums, which the compiler keeps in vectors.
        let mut sums = [0.0; SIDE_BY_SIDE];
        let pairs = before.rchunks_exact(SIDE_BY_SIDE).zip(after.chunks_exact(SIDE_BY_SIDE));
        for ((before, after), taps) in pairs.zip(self.half[..self.side].chunks_exact(SIDE_BY_SIDE)) {
            for lane in 0..SIDE_BY_SIDE {
                sums[lane] += taps[lane] * (after[lane] + before[SIDE_BY_SIDE - 1 - lane]);
            }
        }
        let half_way = sums.iter().sum();
        let sample = before[self.side - 1];
        let first = between(fine, &mut history.points, sample);
        first.max(between(fine, &mut history.points, half_way))
    }
}

/// Adds a point at twice the rate; returns the highest magnitude between the two middle ones of the last `FINE` points,
/// at the points interpolated by `fine`.
#[inline(always)]
fn between(fine: &[[f64; FINE]], points: &mut Ring<FINE, { 2 * FINE }>, point: f64) -> f64 {
    let recent = points.push(point);
    let mut peak = recent[FINE / 2 - 1].abs();
    for taps in fine {
        let mut sums = [0.0; SIDE_BY_SIDE];
        for (taps, points) in taps.chunks_exact(SIDE_BY_SIDE).zip(recent.chunks_exact(SIDE_BY_SIDE)) {
            for lane in 0..SIDE_BY_SIDE {
                sums[lane] += taps[lane] * points[lane];
            }
        }
        peak = peak.max(sums.iter().sum::<f64>().abs());
    }
    peak
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::PI;

    fn peaks_of(samples: &[f64]) -> Vec<f64> {
        let mut peaks = vec![0.0; samples.len()];
        Interpolator::new(Detection::Eight).detect(&mut History::default(), samples, &mut peaks);
        peaks
    }

    #[test]
    fn a_quarter_rate_sine_between_its_samples_reads_full_scale() {
        let samples: Vec<f64> = (0..2_000).map(|n| (PI / 2.0 * f64::from(n) + PI / 4.0).sin()).collect();
        let peak = peaks_of(&samples)[500..].iter().fold(0.0_f64, |peak, x| peak.max(*x));
        let db = 20.0 * peak.log10();
        assert!(db.abs() < 0.02, "{db:.3} dBTP, not 0");
    }

    #[test]
    fn the_peak_has_the_declared_delay() {
        let mut samples = vec![0.0; 400];
        samples[0] = 1.0;
        let seen = peaks_of(&samples);
        let highest = (0..400).max_by(|a, b| seen[*a].total_cmp(&seen[*b])).unwrap();
        assert_eq!((highest, seen[highest]), (Detection::Eight.delay(), 1.0));
    }

    #[test]
    fn peaks_are_the_same_to_the_bit_on_every_processor() {
        let samples: Vec<f64> = (0..1_000_i32).map(|n| f64::from(n * n % 2_001) / 1_000.0 - 1.0).collect();
        for vectors in Vectors::all() {
            let mut peaks = vec![0.0; samples.len()];
            let interpolator = Interpolator { vectors, ..Interpolator::new(Detection::Eight) };
            interpolator.detect(&mut History::default(), &samples, &mut peaks);
            assert_eq!(peaks, peaks_of(&samples), "{vectors:?}");
        }
    }
}
