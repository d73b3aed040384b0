//! Test signals and measures. Levels are amplitudes; `db` turns them into dB.

use crate::random::Random;
use realfft::RealFftPlanner;
use realfft::num_complex::Complex;
use std::f64::consts::{PI, TAU};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

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

/// Sum of `of(k, sin(k phase), cos(k phase))` for `k` from 1 to `count`; the harmonics are turned on from the first.
pub fn harmonics(phase: f64, count: usize, of: impl Fn(usize, f64, f64) -> f64) -> f64 {
    let (turn_sin, turn_cos) = phase.sin_cos();
    let (mut sin, mut cos, mut sum) = (turn_sin, turn_cos, 0.0);
    for k in 1..=count {
        sum += of(k, sin, cos);
        (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
    }
    sum
}

/// Sums of x cos and of x sin at a frequency; sine and cosine are turned on, and computed anew each 512 samples.
pub fn line(samples: impl IntoIterator<Item = f64>, freq_hz: f64, rate: f64) -> [f64; 2] {
    let w = TAU * freq_hz / rate;
    let (turn_sin, turn_cos) = w.sin_cos();
    let (mut sin, mut cos, mut sums) = (0.0, 1.0, [0.0, 0.0]);
    for (n, x) in samples.into_iter().enumerate() {
        if n % 512 == 0 {
            (sin, cos) = (w * n as f64).sin_cos();
        }
        sums = [sums[0] + x * cos, sums[1] + x * sin];
        (sin, cos) = (sin * turn_cos + cos * turn_sin, cos * turn_cos - sin * turn_sin);
    }
    sums
}

/// Sines that are turned on from sample to sample, with what they grow or die away by.
pub struct Sines<const N: usize>([[f64; 4]; N]);

/// How a sine begins: its level, its phase, its angle a sample, and its factor a sample.
pub struct Sine {
    pub level: f64,
    pub phase: f64,
    pub step: f64,
    pub decay: f64,
}

impl<const N: usize> Sines<N> {
    /// For each of `k` from 1 on.
    pub fn new(of: impl Fn(f64) -> Sine) -> Self {
        Self(std::array::from_fn(|at| {
            let Sine { level, phase, step, decay } = of((at + 1) as f64);
            let ((sin, cos), (turn_sin, turn_cos)) = (phase.sin_cos(), step.sin_cos());
            [level * sin, level * cos, decay * turn_sin, decay * turn_cos]
        }))
    }

    /// The next sample.
    pub fn tick(&mut self) -> f64 {
        let mut sum = 0.0;
        for [sin, cos, turn_sin, turn_cos] in &mut self.0 {
            sum += *sin;
            (*sin, *cos) = (*sin * *turn_cos + *cos * *turn_sin, *cos * *turn_cos - *sin * *turn_sin);
        }
        sum
    }
}

/// Taps each side of what interpolates in [`true_peak`].
const HALF: usize = 256;

/// Its filters, for each of the 31 places between two samples.
static PLACES: LazyLock<Vec<Vec<f64>>> = LazyLock::new(|| {
    let tap = |t: f64| (PI * t).sin() / (PI * t) * kaiser(t / HALF as f64, 10.0);
    let place = |at: u32| f64::from(at) / 32.0 + (HALF - 1) as f64;
    (1..32).map(|at| (0..2 * HALF).map(|i| tap(place(at) - i as f64)).collect()).collect()
});

/// True peak by 32-fold interpolation with 256 taps each side: far beyond what a limiter's own detector has.
/// Between the first and last 256 samples only: where a signal is cut, it has peaks of the cut's making.
pub fn true_peak(samples: &[f64]) -> f64 {
    let highest = peak(samples);
    let Some(inside) = samples.len().checked_sub(2 * HALF) else { return highest };
    // Each place is a filter, by the transform of all samples; what wraps round lies outside.
    let count = samples.len().next_power_of_two();
    let lines = transform(samples.iter().copied(), count);
    let filters = filters(count);
    let back = RealFftPlanner::new().plan_fft_inverse(count);
    let (mut product, mut between) = (back.make_input_vec(), back.make_output_vec());
    let places = filters.iter().map(|filter| {
        product.iter_mut().zip(filter).zip(&lines).for_each(|((to, tap), line)| *to = line * tap);
        // Those of 0 and of half the rate are real, but for roundings.
        product[0].im = 0.0;
        product[count / 2].im = 0.0;
        back.process(&mut product, &mut between).unwrap();
        peak(&between[..=inside])
    });
    places.fold(highest, f64::max)
}

fn transform(samples: impl Iterator<Item = f64>, count: usize) -> Vec<Complex<f64>> {
    let mut wave: Vec<f64> = samples.collect();
    wave.resize(count, 0.0);
    let forward = RealFftPlanner::new().plan_fft_forward(count);
    let mut lines = forward.make_output_vec();
    forward.process(&mut wave, &mut lines).unwrap();
    lines
}

type Filters = Arc<Vec<Vec<Complex<f64>>>>;

/// The transforms of [`PLACES`] for signals of `count` samples; those of the last length are kept.
fn filters(count: usize) -> Filters {
    static LAST: Mutex<Option<(usize, Filters)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((of, filters)) = &*last
        && *of == count
    {
        return Arc::clone(filters);
    }
    let filter = |taps: &Vec<f64>| -> Vec<Complex<f64>> {
        let lines = transform(taps.iter().map(|tap| tap / count as f64), count);
        lines.into_iter().map(|line| line.conj()).collect()
    };
    let filters = Arc::new(PLACES.iter().map(filter).collect());
    *last = Some((count, Arc::clone(&filters)));
    filters
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
        let mut sum = 1.0;
        // Until a term is too small to change the sum.
        for k in 1..60 {
            term *= (x / (2.0 * f64::from(k))).powi(2);
            sum += term;
            if term < 1e-18 * sum {
                break;
            }
        }
        sum
    };
    bessel(beta * (1.0 - edge * edge).max(0.0).sqrt()) / bessel(beta)
}
