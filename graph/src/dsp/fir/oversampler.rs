//! Oversampling by 2, 4 or 8 with linear-phase half-band filters.
//!
//! The first stage has a narrow transition and long filters; the other stages have short ones. Flat within 0.001 dB to 20 kHz
//! at 44.1 kHz and higher rates; images and aliases are below -115 dB there. The delay is a whole number of frames.

use crate::dsp::simd::Vectors;
use crate::dsp::window::lowpass;

/// Largest number of frames at once, at the base rate.
const FRAMES: usize = 64;
/// Highest factor.
const MOST: usize = 8;
/// Non-zero taps on each side of the centre of the half-band filters, for each stage.
const SIDES: [usize; 3] = [48, 12, 8];
/// Shape of the Kaiser windows: 120 dB.
const BETA: f64 = 12.0;
/// Sums that are computed in parallel.
const LANES: usize = 8;

/// The previous samples that a filter needs, followed by the block.
#[derive(Clone, Debug)]
struct History {
    samples: Box<[f64]>,
    held: usize,
}

impl History {
    fn new(held: usize) -> Self {
        Self { samples: vec![0.0; held + FRAMES * MOST].into_boxed_slice(), held }
    }

    /// Appends a block, and returns it with the previous samples.
    fn append(&mut self, block: &[f64]) -> &[f64] {
        let end = self.held + block.len();
        self.samples[self.held..end].copy_from_slice(block);
        &self.samples[..end]
    }

    /// Keeps the end of the block as the previous samples of the next one.
    fn advance(&mut self, frames: usize) {
        self.samples.copy_within(frames..frames + self.held, 0);
    }
}

/// Upsampling by two: every second sample is an input sample, the others are interpolated.
#[derive(Clone, Debug)]
struct Up {
    /// The interpolation filter, symmetric.
    taps: Box<[f64]>,
    history: History,
}

/// Downsampling by two.
#[derive(Clone, Debug)]
struct Down {
    taps: Box<[f64]>,
    history: History,
}

/// An oversampler for one channel.
#[derive(Clone, Debug)]
pub(crate) struct Oversampler {
    ups: Box<[Up]>,
    downs: Box<[Down]>,
    /// Extra delay that makes the total a whole number of frames.
    pad: History,
    delay: usize,
    work: [Box<[f64]>; 2],
    vectors: Vectors,
}

impl Oversampler {
    /// `[control]` Oversampling by `factor`: 2, 4 or 8. `half`: the processing adds a delay of half a sample of the high rate.
    pub(crate) fn new(factor: usize, half: bool) -> Self {
        let stages = factor.clamp(2, MOST).ilog2() as usize;
        let up = |side: &usize| {
            let taps: Box<[f64]> = (0..2 * side)
                .map(|i| 2.0 * half_band(2 * i as i64 + 1 - 2 * *side as i64, 2 * side))
                .collect();
            Up { history: History::new(taps.len() - 1), taps }
        };
        let down = |(stage, side): (usize, &usize)| {
            // An even number of taps shifts the centre by half a sample.
            let taps: Box<[f64]> = if half && stage + 1 == stages {
                let width = 2.0 * *side as f64;
                let taps: Vec<f64> = (0..4 * side).map(|i| kernel(i as f64 + 0.5 - width, width)).collect();
                let sum: f64 = taps.iter().sum();
                taps.iter().map(|tap| tap / sum).collect()
            } else {
                let width = 2 * *side as i64;
                (1 - width..width).map(|t| half_band(t, 2 * side)).collect()
            };
            Down { history: History::new(taps.len() - 1), taps }
        };
        let ups: Box<[Up]> = SIDES[..stages].iter().map(up).collect();
        let downs: Box<[Down]> = SIDES[..stages].iter().enumerate().map(down).collect();
        // Twice the delay, in samples of the highest rate; the centre of a half-band filter is 2 side - 1 samples late.
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
            pad: History::new(pad),
            delay: (at_top + pad) / top,
            work: [room(), room()],
            vectors: Vectors::detect(),
        }
    }

    /// Delay in frames, including the half sample of the processing.
    pub(crate) fn delay(&self) -> usize {
        self.delay
    }

    /// The oversampling factor.
    pub(crate) fn factor(&self) -> usize {
        1 << self.ups.len()
    }

    /// `[audio]` Upsamples up to 64 samples, calls `work` to process them, and downsamples them, in place.
    pub(crate) fn process(&mut self, samples: &mut [f64], work: impl FnOnce(&mut [f64])) {
        let Self { ups, downs, pad, work: [from, to], vectors, .. } = self;
        let mut count = samples.len().min(FRAMES);
        let frames = count;
        from[..count].copy_from_slice(&samples[..count]);
        for Up { taps, history } in ups.iter_mut() {
            let middle = taps.len() / 2 - 1;
            let known = history.append(&from[..count]);
            let out = &mut to[..2 * count];
            vectors.run(
                #[inline(always)]
                || {
                    for (window, pair) in known.windows(taps.len()).zip(out.chunks_exact_mut(2)) {
                        (pair[0], pair[1]) = (dot(window, taps), window[middle + 1]);
                    }
                },
            );
            history.advance(count);
            std::mem::swap(from, to);
            count *= 2;
        }
        let held = pad.held;
        to[..count].copy_from_slice(&pad.append(&from[..count])[..count]);
        if held > 0 {
            pad.advance(count);
        }
        work(&mut to[..count]);
        std::mem::swap(from, to);
        for Down { taps, history } in downs.iter_mut().rev() {
            count /= 2;
            let known = history.append(&from[..2 * count]);
            let out = &mut to[..count];
            vectors.run(
                #[inline(always)]
                || {
                    for (window, sample) in known.windows(taps.len()).step_by(2).zip(out) {
                        *sample = dot(window, taps);
                    }
                },
            );
            history.advance(2 * count);
            std::mem::swap(from, to);
        }
        samples[..frames].copy_from_slice(&from[..frames]);
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        let ups = self.ups.iter_mut().map(|up| &mut up.history);
        let downs = self.downs.iter_mut().map(|down| &mut down.history);
        ups.chain(downs).chain([&mut self.pad]).for_each(|history| history.samples.fill(0.0));
    }

    /// `[audio]` Adopts the state of another one of the same factor, and made for the same delay of the processing.
    pub(crate) fn adopt(&mut self, old: &Self) {
        let shape = |of: &Self| (of.ups.len(), of.pad.held, of.downs.last().map(|down| down.history.held));
        if shape(self) != shape(old) {
            return;
        }
        let copy = |history: &mut History, old: &History| {
            history.samples[..history.held].copy_from_slice(&old.samples[..old.held])
        };
        self.ups.iter_mut().zip(&old.ups).for_each(|(up, old)| copy(&mut up.history, &old.history));
        self.downs.iter_mut().zip(&old.downs).for_each(|(down, old)| copy(&mut down.history, &old.history));
        copy(&mut self.pad, &old.pad);
    }
}

/// Dot product with parallel sums, which the compiler keeps in vectors.
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

/// A half-band low-pass at integer `t`: every second tap except the centre is 0; the sum of the others is 1/2.
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

/// A windowed sinc with its cutoff at a quarter of the rate.
fn kernel(t: f64, width: f64) -> f64 {
    lowpass(t, 0.5, width, BETA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::{PI, TAU};

    /// Level in dB of a sine of frequency `turns` (a share of the rate) after up- and downsampling.
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
                // The mean of two samples has a droop of its own.
                let droop = 20.0 * (PI * turns / factor as f64).cos().log10();
                let half = level(factor, true, turns) - droop;
                assert!(half.abs() < 0.02, "factor {factor}, half, {turns} of the rate: {half:.5} dB");
            }
        }
    }

    #[test]
    fn state_is_adopted_from_the_same_structure_only() {
        let sound = |from: usize| -> [f64; 64] { std::array::from_fn(|n| (0.3 * (from + n) as f64).sin()) };
        let all = || [2, 4, 8].into_iter().flat_map(|factor| [(factor, false), (factor, true)]);
        for (one, other) in all().flat_map(|one| all().map(move |other| (one, other))) {
            let [mut old, mut new, mut fresh] =
                [one, other, other].map(|(factor, half)| Oversampler::new(factor, half));
            (0..10).for_each(|block| old.process(&mut sound(64 * block), |_| {}));
            new.adopt(&old);
            let [mut a, mut b, mut c] = [sound(640); 3];
            old.process(&mut a, |_| {});
            new.process(&mut b, |_| {});
            fresh.process(&mut c, |_| {});
            assert_eq!(b, if one == other { a } else { c }, "{one:?} to {other:?}");
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
            // A tone just above half the base rate must not alias into the band.
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
