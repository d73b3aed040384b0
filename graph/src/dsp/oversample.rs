//! Peaks between the samples: a fourfold polyphase interpolator that only listens.

use std::f64::consts::PI;

/// Taps of each phase.
const TAPS: usize = 32;
/// Phases between two samples; the sample itself is the fourth.
const PHASES: usize = 3;
/// Shape of the Kaiser window: stop band below −70 dB.
const BETA: f64 = 7.0;

/// Frames from a sample to the peak that is told for it.
pub const DELAY: usize = TAPS / 2;

/// The interpolator's taps; the same for every channel and sample rate.
#[derive(Clone, Debug)]
pub struct Interpolator {
    taps: Box<[[f64; TAPS]; PHASES]>,
}

/// The last samples of one channel.
#[derive(Clone, Debug)]
pub struct History {
    // Written twice, so that the last TAPS samples always lie in one piece.
    ring: [f64; 2 * TAPS],
    at: usize,
}

impl Default for History {
    fn default() -> Self {
        Self { ring: [0.0; 2 * TAPS], at: 0 }
    }
}

impl Default for Interpolator {
    fn default() -> Self {
        Self::new()
    }
}

impl Interpolator {
    /// `[control]` Windowed-sinc taps, each phase with a gain of exactly 1 at 0 Hz.
    ///
    /// Source: J. F. Kaiser, *Nonrecursive digital filter design using the I0-sinh window function*, 1974.
    pub fn new() -> Self {
        let mut taps = Box::new([[0.0; TAPS]; PHASES]);
        for (phase, taps) in taps.iter_mut().enumerate() {
            let shift = (phase + 1) as f64 / (PHASES + 1) as f64;
            for (i, tap) in taps.iter_mut().enumerate() {
                // Distance from the wanted instant, in samples; the newest sample is the last tap.
                let t = i as f64 - (DELAY - 1) as f64 - shift;
                let edge = t / DELAY as f64;
                let window = bessel_i0(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(BETA);
                *tap = (PI * t).sin() / (PI * t) * window;
            }
            let sum: f64 = taps.iter().sum();
            taps.iter_mut().for_each(|tap| *tap /= sum);
        }
        Self { taps }
    }

    /// Takes a sample and gives the highest magnitude from the sample [`DELAY`] frames ago up to the next.
    #[inline]
    pub fn peak(&self, history: &mut History, sample: f64) -> f64 {
        history.ring[history.at] = sample;
        history.ring[history.at + TAPS] = sample;
        history.at = (history.at + 1) % TAPS;
        let recent = &history.ring[history.at..history.at + TAPS];
        let mut peak = recent[DELAY - 1].abs();
        for taps in self.taps.iter() {
            // Four sums side by side: the compiler keeps them in one vector.
            let mut sums = [0.0; 4];
            for (taps, samples) in taps.chunks_exact(4).zip(recent.chunks_exact(4)) {
                for lane in 0..4 {
                    sums[lane] += taps[lane] * samples[lane];
                }
            }
            peak = peak.max((sums[0] + sums[1] + sums[2] + sums[3]).abs());
        }
        peak
    }
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..50 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quarter_rate_sine_between_its_samples_reads_full_scale() {
        let interpolator = Interpolator::new();
        let mut history = History::default();
        let mut peak = 0.0_f64;
        for n in 0..400 {
            let sample = (PI / 2.0 * f64::from(n) + PI / 4.0).sin();
            let seen = interpolator.peak(&mut history, sample);
            if n > 100 {
                peak = peak.max(seen);
            }
        }
        let db = 20.0 * peak.log10();
        assert!(db.abs() < 0.02, "{db:.3} dBTP, not 0");
    }

    #[test]
    fn the_peak_is_told_with_the_declared_delay() {
        let interpolator = Interpolator::new();
        let mut history = History::default();
        let seen: Vec<f64> =
            (0..64).map(|n| interpolator.peak(&mut history, if n == 0 { 1.0 } else { 0.0 })).collect();
        let highest = (0..64).max_by(|a, b| seen[*a].total_cmp(&seen[*b])).unwrap();
        assert_eq!((highest, seen[highest]), (DELAY, 1.0));
    }
}
