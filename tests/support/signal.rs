//! Test signals and measures. Levels are amplitudes; `db` turns them into dB.

use crate::random::Random;
use std::f64::consts::TAU;

pub type Channels = Vec<Vec<f64>>;

pub fn db(amplitude: f64) -> f64 {
    20.0 * amplitude.log10()
}

pub fn gain(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

pub fn silence(channels: usize, frames: usize) -> Channels {
    vec![vec![0.0; frames]; channels]
}

/// The same sine on every channel.
pub fn sine(freq_hz: f64, level_db: f64, rate: f64, channels: usize, frames: usize) -> Channels {
    let w = TAU * freq_hz / rate;
    let wave: Vec<f64> = (0..frames).map(|n| gain(level_db) * (w * n as f64).sin()).collect();
    vec![wave; channels]
}

/// Uniform white noise, another on each channel.
pub fn noise(level_db: f64, seed: u64, channels: usize, frames: usize) -> Channels {
    let mut random = Random::new(seed);
    (0..channels)
        .map(|_| (0..frames).map(|_| gain(level_db) * (2.0 * random.unit() - 1.0)).collect())
        .collect()
}

/// Noise in bursts of changing level, with silence between: what dynamics have to work on.
pub fn bursts(seed: u64, channels: usize, frames: usize) -> Channels {
    let mut channels = noise(0.0, seed, channels, frames);
    for samples in &mut channels {
        for (n, sample) in samples.iter_mut().enumerate() {
            *sample *= [0.9, 0.02, 0.4, 0.0, 1.5][n / 997 % 5];
        }
    }
    channels
}

pub fn peak(samples: &[f64]) -> f64 {
    samples.iter().fold(0.0, |peak, sample| sample.abs().max(peak))
}

pub fn rms(samples: &[f64]) -> f64 {
    (samples.iter().map(|x| x * x).sum::<f64>() / samples.len().max(1) as f64).sqrt()
}

/// Largest difference between two signals.
pub fn distance(a: &Channels, b: &Channels) -> f64 {
    assert_eq!((a.len(), a[0].len()), (b.len(), b[0].len()), "signals of one shape");
    let of =
        |(a, b): (&Vec<f64>, &Vec<f64>)| a.iter().zip(b).fold(0.0, |d: f64, (a, b)| d.max((a - b).abs()));
    a.iter().zip(b).map(of).fold(0.0, f64::max)
}

/// Whether two signals agree bit for bit.
pub fn same_bits(a: &Channels, b: &Channels) -> bool {
    let bits = |channels: &Channels| -> Vec<Vec<u64>> {
        channels.iter().map(|samples| samples.iter().map(|x| x.to_bits()).collect()).collect()
    };
    bits(a) == bits(b)
}

/// What is left of a sine at `freq_hz` after x[n] - 2 cos(w) x[n-1] + x[n-2]: a steady sine leaves nothing,
/// a click leaves itself.
pub fn click(samples: &[f64], freq_hz: f64, rate: f64) -> f64 {
    let c = 2.0 * (TAU * freq_hz / rate).cos();
    samples.windows(3).map(|x| (x[2] - c * x[1] + x[0]).abs()).fold(0.0, f64::max)
}

/// True peak by 32-fold interpolation with 256 taps each side: far beyond what a limiter's own detector has.
/// Between the first and last 256 samples only: where a signal is cut, it has peaks of the cut's making.
pub fn true_peak(samples: &[f64]) -> f64 {
    const HALF: usize = 256;
    const FOLD: usize = 32;
    let tap = |t: f64| {
        let window = kaiser(t / HALF as f64, 10.0);
        (std::f64::consts::PI * t).sin() / (std::f64::consts::PI * t) * window
    };
    let phases: Vec<Vec<f64>> = (1..FOLD)
        .map(|phase| {
            (0..2 * HALF).map(|i| tap((HALF - 1) as f64 + phase as f64 / FOLD as f64 - i as f64)).collect()
        })
        .collect();
    let highest = peak(samples);
    // A peak that matters lies beside a sample that is not small.
    let near = |window: &&[f64]| window[HALF - 3..HALF + 3].iter().any(|x| x.abs() > 0.5 * highest);
    let between = samples.windows(2 * HALF).filter(near).flat_map(|window| {
        phases.iter().map(move |taps| taps.iter().zip(window).map(|(tap, x)| tap * x).sum::<f64>().abs())
    });
    between.fold(highest, f64::max)
}

/// What lies above 16 kHz, as peak level in dBFS: windowed sinc of 255 taps, Kaiser 12.
pub fn above_16_khz(samples: &[f64], rate: f64) -> f64 {
    let tap = |t: f64| {
        let cutoff = 16_000.0 / rate;
        let low = if t == 0.0 { 2.0 * cutoff } else { (TAU * cutoff * t).sin() / (std::f64::consts::PI * t) };
        (if t == 0.0 { 1.0 } else { 0.0 } - low) * kaiser(t / 127.0, 12.0)
    };
    // Symmetrical: the one half, from the middle on.
    let half: [f64; 128] = std::array::from_fn(|at| tap(at as f64));
    let middle = |at: usize| {
        // Four sums at a time, which do not wait for each other.
        let mut sums = [half[0] * samples[at], 0.0, 0.0, 0.0];
        for (place, tap) in half.iter().enumerate().skip(1) {
            sums[place % 4] += tap * (samples[at - place] + samples[at + place]);
        }
        sums.iter().sum::<f64>()
    };
    let filtered = (127..samples.len().saturating_sub(127)).map(middle);
    db(filtered.fold(1e-12, |peak: f64, x: f64| peak.max(x.abs())))
}

/// The Kaiser window at `edge` (-1..=1).
pub fn kaiser(edge: f64, beta: f64) -> f64 {
    let bessel = |x: f64| {
        let mut term = 1.0;
        1.0 + (1..60)
            .map(|k| {
                term *= (x / (2.0 * f64::from(k))).powi(2);
                term
            })
            .sum::<f64>()
    };
    bessel(beta * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(beta)
}
