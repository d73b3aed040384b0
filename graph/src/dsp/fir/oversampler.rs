//! Work at 2, 4 or 8 times the sample rate: linear-phase half-band filters up and down again.
//!
//! The first stage, where the transition is narrow, has long filters; the others short ones. Flat within 0.001 dB to 20 kHz at
//! 44.1 kHz and up; images and aliases there are below -115 dB. The delay is a whole number of frames.

use crate::dsp::simd::Vectors;
use crate::dsp::window::lowpass;

/// Most frames at once, at the base rate.
const FRAMES: usize = 64;
/// Highest factor.
const MOST: usize = 8;
/// Taps of the half-band filter on each side of its middle, without those that are nought, stage by stage.
const SIDES: [usize; 3] = [48, 12, 8];
/// Shape of the Kaiser windows: 120 dB.
const BETA: f64 = 12.0;
/// Sums that are added up at once.
const LANES: usize = 8;

/// Samples before the block that a filter needs, and the block.
#[derive(Clone, Debug)]
struct Past {
    samples: Box<[f64]>,
    held: usize,
}

impl Past {
    fn new(held: usize) -> Self {
        Self { samples: vec![0.0; held + FRAMES * MOST].into_boxed_slice(), held }
    }

    /// Takes a block, and gives it with what was before it.
    fn with(&mut self, block: &[f64]) -> &[f64] {
        let end = self.held + block.len();
        self.samples[self.held..end].copy_from_slice(block);
        &self.samples[..end]
    }

    /// The block becomes the past.
    fn pass(&mut self, frames: usize) {
        self.samples.copy_within(frames..frames + self.held, 0);
    }
}

/// Up by two: every second sample is one that there is, the others lie between.
#[derive(Clone, Debug)]
struct Up {
    /// The filter for those between, symmetric.
    taps: Box<[f64]>,
    past: Past,
}

/// Down by two.
#[derive(Clone, Debug)]
struct Down {
    taps: Box<[f64]>,
    past: Past,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Oversampler {
    ups: Box<[Up]>,
    downs: Box<[Down]>,
    /// Makes the delay a whole number of frames.
    pad: Past,
    delay: usize,
    work: [Box<[f64]>; 2],
    vectors: Vectors,
}

impl Oversampler {
    /// `[control]` By `factor`: 2, 4 or 8. `half` where the work itself delays by half a sample of its rate.
    pub fn new(factor: usize, half: bool) -> Self {
        let stages = factor.clamp(2, MOST).ilog2() as usize;
        let up = |side: &usize| {
            let taps: Box<[f64]> = (0..2 * side)
                .map(|i| 2.0 * half_band(2 * i as i64 + 1 - 2 * *side as i64, 2 * side))
                .collect();
            Up { past: Past::new(taps.len() - 1), taps }
        };
        let down = |(stage, side): (usize, &usize)| {
            // One tap more or less shifts the middle by half a sample.
            let taps: Box<[f64]> = if half && stage + 1 == stages {
                let width = 2.0 * *side as f64;
                let taps: Vec<f64> = (0..4 * side).map(|i| kernel(i as f64 + 0.5 - width, width)).collect();
                let sum: f64 = taps.iter().sum();
                taps.iter().map(|tap| tap / sum).collect()
            } else {
                let width = 2 * *side as i64;
                (1 - width..width).map(|t| half_band(t, 2 * side)).collect()
            };
            Down { past: Past::new(taps.len() - 1), taps }
        };
        let ups: Box<[Up]> = SIDES[..stages].iter().map(up).collect();
        let downs: Box<[Down]> = SIDES[..stages].iter().enumerate().map(down).collect();
        // Twice the delay, in samples of the highest rate; a half-band filter's middle is 2 side - 1 back.
        let twice: usize = (0..stages)
            .map(|stage| {
                let scale = 1 << (stages - 1 - stage);
                (2 * (2 * SIDES[stage] - 1) + downs[stage].taps.len() - 1) * scale
            })
            .sum::<usize>()
            + usize::from(half);
        let at_top = twice / 2;
        let top = 1 << stages;
        let pad = (top - at_top % top) % top;
        let room = || vec![0.0; FRAMES * MOST].into_boxed_slice();
        Self {
            ups,
            downs,
            pad: Past::new(pad),
            delay: (at_top + pad) / top,
            work: [room(), room()],
            vectors: Vectors::detect(),
        }
    }

    /// Frames of delay, of the work's half sample too.
    pub fn delay(&self) -> usize {
        self.delay
    }

    /// How many times the sample rate.
    pub fn factor(&self) -> usize {
        1 << self.ups.len()
    }

    /// `[audio]` Takes up to 64 samples up, lets `work` change them, and brings them down again in place.
    pub fn process(&mut self, samples: &mut [f64], work: impl FnOnce(&mut [f64])) {
        let Self { ups, downs, pad, work: [from, to], vectors, .. } = self;
        let mut count = samples.len().min(FRAMES);
        let frames = count;
        from[..count].copy_from_slice(&samples[..count]);
        for Up { taps, past } in ups.iter_mut() {
            let middle = taps.len() / 2 - 1;
            let known = past.with(&from[..count]);
            let out = &mut to[..2 * count];
            vectors.run(
                #[inline(always)]
                || {
                    for (window, pair) in known.windows(taps.len()).zip(out.chunks_exact_mut(2)) {
                        (pair[0], pair[1]) = (dot(window, taps), window[middle + 1]);
                    }
                },
            );
            past.pass(count);
            std::mem::swap(from, to);
            count *= 2;
        }
        let held = pad.held;
        to[..count].copy_from_slice(&pad.with(&from[..count])[..count]);
        if held > 0 {
            pad.pass(count);
        }
        work(&mut to[..count]);
        std::mem::swap(from, to);
        for Down { taps, past } in downs.iter_mut().rev() {
            count /= 2;
            let known = past.with(&from[..2 * count]);
            let out = &mut to[..count];
            vectors.run(
                #[inline(always)]
                || {
                    for (window, sample) in known.windows(taps.len()).step_by(2).zip(out) {
                        *sample = dot(window, taps);
                    }
                },
            );
            past.pass(2 * count);
            std::mem::swap(from, to);
        }
        samples[..frames].copy_from_slice(&from[..frames]);
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        let ups = self.ups.iter_mut().map(|up| &mut up.past);
        let downs = self.downs.iter_mut().map(|down| &mut down.past);
        ups.chain(downs).chain([&mut self.pad]).for_each(|past| past.samples.fill(0.0));
    }

    /// `[audio]` Takes over the past of another of the same factor.
    pub fn adopt(&mut self, old: &Self) {
        if self.ups.len() != old.ups.len() {
            return;
        }
        let copy =
            |past: &mut Past, old: &Past| past.samples[..past.held].copy_from_slice(&old.samples[..old.held]);
        self.ups.iter_mut().zip(&old.ups).for_each(|(up, old)| copy(&mut up.past, &old.past));
        self.downs.iter_mut().zip(&old.downs).for_each(|(down, old)| copy(&mut down.past, &old.past));
        copy(&mut self.pad, &old.pad);
    }
}

/// Sums side by side: the compiler keeps them in vectors.
#[inline(always)]
fn dot(window: &[f64], taps: &[f64]) -> f64 {
    let mut sums = [0.0; LANES];
    let (windows, taps_of) = (window.chunks_exact(LANES), taps.chunks_exact(LANES));
    let rest: f64 = windows.remainder().iter().zip(taps_of.remainder()).map(|(x, tap)| x * tap).sum();
    for (window, taps) in windows.zip(taps_of) {
        for lane in 0..LANES {
            sums[lane] += window[lane] * taps[lane];
        }
    }
    sums.iter().sum::<f64>() + rest
}

/// A half-band low-pass at whole `t`: every second tap is nought but the middle, so that the sum over the others is 1/2.
fn half_band(t: i64, width: usize) -> f64 {
    match t {
        0 => 0.5,
        t if t % 2 == 0 => 0.0,
        t => {
            let others: f64 =
                (1..width as i64).step_by(2).map(|t| 2.0 * kernel(t as f64, width as f64)).sum();
            kernel(t as f64, width as f64) * 0.5 / others
        }
    }
}

/// A windowed sinc with its corner at a quarter of the rate.
fn kernel(t: f64, width: f64) -> f64 {
    lowpass(t, 0.5, width, BETA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{PI, TAU};

    /// Level in dB of a sine of `turns` (a share of the rate) after it went up, through `work`, and down.
    fn level(factor: usize, half: bool, turns: f64) -> f64 {
        let mut oversampler = Oversampler::new(factor, half);
        let mut out = Vec::new();
        let mut last = 0.0;
        for block in 0..300 {
            let mut samples: Vec<f64> =
                (0..64).map(|n| (TAU * turns * f64::from(64 * block + n)).sin()).collect();
            oversampler.process(&mut samples, |samples| {
                if half {
                    for sample in samples {
                        (*sample, last) = (0.5 * (*sample + last), *sample);
                    }
                }
            });
            out.extend(samples);
        }
        let delay = oversampler.delay() as f64;
        let (mut a, mut b) = (0.0, 0.0);
        for (n, y) in out.iter().enumerate().skip(9_600) {
            let angle = TAU * turns * (n as f64 - delay);
            a += y * angle.sin();
            b += y * angle.cos();
        }
        let scale = 2.0 / (out.len() - 9_600) as f64;
        assert!((b / a).abs() < 1e-4, "factor {factor}, {turns}: the delay is not {delay}: {}", b / a);
        20.0 * (a * scale).log10()
    }

    #[test]
    fn up_and_down_is_a_delay_flat_to_20_khz_at_44_1_khz() {
        for factor in [2, 4, 8] {
            // Whole periods in the 9600 frames that are measured; the last is 20 kHz at 44.1 kHz.
            for turns in [0.00125, 0.1, 0.3, 0.4, 4_354.0 / 9_600.0] {
                let flat = level(factor, false, turns);
                assert!(flat.abs() < 0.002, "factor {factor}, {turns} of the rate: {flat:.5} dB");
                // Two neighbours' mean droops by itself.
                let droop = 20.0 * (PI * turns / factor as f64).cos().log10();
                let half = level(factor, true, turns) - droop;
                assert!(half.abs() < 0.02, "factor {factor}, half, {turns} of the rate: {half:.5} dB");
            }
        }
    }

    #[test]
    fn images_and_aliases_are_below_115_db() {
        for factor in [2, 4, 8] {
            let mut oversampler = Oversampler::new(factor, false);
            let mut top = Vec::new();
            let turns = 20.0 / 44.1;
            for block in 0..200 {
                let mut samples: Vec<f64> =
                    (0..64).map(|n| (TAU * turns * f64::from(64 * block + n)).sin()).collect();
                oversampler.process(&mut samples, |samples| top.extend_from_slice(samples));
            }
            let rate = factor as f64;
            let amplitude = |turns: f64| {
                let (mut a, mut b, mut sum) = (0.0, 0.0, 0.0);
                let late = &top[top.len() / 2..];
                for (n, y) in late.iter().enumerate() {
                    let window = 0.5 - 0.5 * (TAU * n as f64 / late.len() as f64).cos();
                    a += window * y * (TAU * turns * n as f64).cos();
                    b += window * y * (TAU * turns * n as f64).sin();
                    sum += window;
                }
                20.0 * (2.0 * a.hypot(b) / sum).log10()
            };
            for image in 1..factor {
                let image = (image as f64 - turns) / rate;
                assert!(amplitude(image) < -115.0, "factor {factor}: {:.1} dB", amplitude(image));
            }
            // What comes to lie just above the base rate's half must not come down into the band.
            let mut out = Vec::new();
            let alias = (1.0 - turns) / rate;
            let mut n = 0;
            for _ in 0..200 {
                let mut samples = [0.0; 64];
                oversampler.process(&mut samples, |samples| {
                    for sample in samples {
                        *sample = (TAU * alias * f64::from(n)).sin();
                        n += 1;
                    }
                });
                out.extend_from_slice(&samples);
            }
            let left = out[6_400..].iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
            assert!(20.0 * left.log10() < -110.0, "factor {factor}: {:.1} dB", 20.0 * left.log10());
        }
    }
}
