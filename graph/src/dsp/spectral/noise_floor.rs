//! The noise under a programme, found while it plays: what each band does not fall below for two seconds, where it sounds
//! like noise then.
//!
//! The powers of noise in the lines of a band, and from one spectrum to the next, are spread as those of Gaussian noise are:
//! their arithmetic mean lies above their geometric one by exp(Euler's constant), 2.5 dB. Tones lie far from that over
//! frequency, notes and beats over time, whatever is soft in them.
//!
//! Sources: R. Martin, *Noise power spectral density estimation based on optimal smoothing and minimum statistics*, IEEE Trans.
//! Speech Audio Process. 9(5), 2001, for the minimum and its bias, here of bands and measured; J. D. Johnston, *Transform
//! coding of audio signals using perceptual noise criteria*, IEEE J. Sel. Areas Commun. 6(2), 1988, for the flatness.

use crate::dsp::spectral::noise_profile::{BANDS, Bands};

/// Parts of the window in which a minimum is looked for, and spectra in each.
const PARTS: usize = 8;
const PART: usize = 24;
/// Smoothing from one spectrum to the next.
const SMOOTHING: f64 = 0.9;
/// Spectra at the beginning whose frames began before it.
const BEFORE: usize = 4;
/// Spectra after which there is an answer.
const FEWEST: usize = 10;
/// Least lines on each side of a band's middle.
const SIDE: usize = 6;
/// Mean of ln(mean / x) for the power x of a line of noise, and how far from it noise is taken for noise.
const SPREAD: f64 = 0.577_215_664_901_532_9;
const TOLERANCE: f64 = 0.2;
/// Parts that must agree, as a ratio of their lowest powers, and how many.
const AGREEMENT: f64 = 1.8;
const AGREEING: usize = 3;
/// Mean power of a line below which nothing plays: silence says nothing of the noise under a programme.
const SILENCE: f64 = 1e-14;

/// See the module.
#[derive(Clone, Copy)]
pub struct NoiseFloor {
    /// Mean power of a line and mean logarithm of it in each band, smoothed.
    mean: [f64; BANDS],
    log: [f64; BANDS],
    /// Lowest power in the parts of the window: of all spectra, and of those that were noise.
    all: [Lowest; BANDS],
    noise: [Lowest; BANDS],
    /// Power of the noise when it was heard last.
    held: [f64; BANDS],
    /// The part under way, the spectra in it, those that were heard at all, and those left out at the beginning.
    part: usize,
    count: usize,
    heard: usize,
    skipped: usize,
}

/// Lowest of each part of the window.
#[derive(Clone, Copy)]
struct Lowest([f64; PARTS]);

impl Lowest {
    const NONE: Self = Self([f64::INFINITY; PARTS]);

    fn note(&mut self, part: usize, power: f64) {
        self.0[part] = self.0[part].min(power);
    }

    fn get(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The same, where so many parts have about as little: what is soft only once is no noise.
    fn agreed(&self, parts: usize) -> Option<f64> {
        let lowest = self.get();
        let agree = self.0.iter().filter(|other| **other < AGREEMENT * lowest).count();
        (agree >= parts).then_some(lowest)
    }
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self {
            mean: [0.0; BANDS],
            log: [0.0; BANDS],
            all: [Lowest::NONE; BANDS],
            noise: [Lowest::NONE; BANDS],
            held: [f64::INFINITY; BANDS],
            part: 0,
            count: 0,
            heard: 0,
            skipped: 0,
        }
    }
}

impl NoiseFloor {
    /// `[audio]` Takes the power of every line.
    pub fn listen(&mut self, power: &[f64], bands: &Bands) {
        if power.iter().sum::<f64>() < SILENCE * power.len() as f64 {
            return;
        }
        if self.skipped < BEFORE {
            self.skipped += 1;
            return;
        }
        if self.count == PART {
            self.count = 0;
            self.part = (self.part + 1) % PARTS;
            let parts = self.all.iter_mut().chain(&mut self.noise);
            parts.for_each(|lowest| lowest.0[self.part] = f64::INFINITY);
        }
        self.count += 1;
        // A true mean at first.
        let smoothing = SMOOTHING.min(self.heard as f64 / (self.heard + 1) as f64);
        self.heard = (self.heard + 1).min(PARTS * PART);
        for band in 0..BANDS {
            let lines = &power[bands.around(band, SIDE)];
            let share = 1.0 / lines.len() as f64;
            let mean = share * lines.iter().sum::<f64>();
            let log = share * lines.iter().map(|x| (x + SILENCE).ln()).sum::<f64>();
            self.mean[band] = mean + smoothing * (self.mean[band] - mean);
            self.log[band] = log + smoothing * (self.log[band] - log);
            if self.heard >= FEWEST {
                let power = (self.log[band] + SPREAD).exp();
                self.all[band].note(self.part, power);
                if ((self.mean[band] / power).ln()).abs() < TOLERANCE {
                    self.noise[band].note(self.part, power);
                }
            }
        }
    }

    /// `[audio]` Mean power of a line of the noise in each band; zero where none was heard.
    pub fn densities(&mut self, bands: &Bands) -> [f64; BANDS] {
        let bias = |band: usize, heard: usize| bias(bands.around(band, SIDE).len(), heard);
        for band in 0..BANDS {
            if let Some(found) = self.noise[band].agreed(AGREEING.min(self.heard.div_ceil(PART))) {
                self.held[band] = found * bias(band, self.heard);
            }
        }
        // No more than there is in all bands around, for the spectrum of noise has no steps.
        let mut most = [f64::INFINITY; BANDS];
        for (band, most) in most.iter_mut().enumerate() {
            *most = self.all[band].get() * bias(band, self.heard);
        }
        for band in (0..BANDS - 1).rev() {
            most[band] = most[band].min(most[band + 1] * bands.step(band));
        }
        for band in 1..BANDS {
            most[band] = most[band].min(most[band - 1] * bands.step(band - 1));
        }
        // Where none was heard ever, noise is as dense as in the nearest band where it was.
        let mut densities = [0.0; BANDS];
        for (band, density) in densities.iter_mut().enumerate() {
            let known = |other: &usize| self.held[*other].is_finite();
            let below = (0..band).rev().find(known);
            let above = (band..BANDS).find(known);
            let nearest = match (below, above) {
                (Some(below), Some(above)) if band - below < above - band => below,
                (Some(below), None) => below,
                (_, Some(above)) => above,
                (None, None) => return [0.0; BANDS],
            };
            *density = self.held[nearest].min(most[band]);
        }
        densities
    }
}

/// By how much the mean power is above the lowest in `heard` spectra of `lines` lines: measured on white noise.
fn bias(lines: usize, heard: usize) -> f64 {
    let along = (heard as f64 / FEWEST as f64).ln() / ((PARTS * PART) as f64 / FEWEST as f64).ln();
    (along * 1.13 / (lines as f64).sqrt()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::spectral::stft::Stft;

    /// Levels in dB of the floor that is found in white noise with a mean square of 1, after so many spectra.
    fn found(mut seed: u64, after: &[usize]) -> Vec<f64> {
        let mut stft = Stft::new(512, 1);
        let bands = Bands::new(stft.lines(), 48_000.0);
        let (mut floor, mut power) = (NoiseFloor::default(), vec![0.0; stft.lines()]);
        let (mut samples, mut dry) = ([0.0; 512], [0.0; 512]);
        let mut levels = Vec::new();
        for spectrum in 1..=after[after.len() - 1] {
            for sample in &mut samples {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                *sample = ((seed >> 33) as f64 / (1_u64 << 30) as f64 - 1.0) * 3.0_f64.sqrt();
            }
            stft.exchange(0, &mut samples, &mut dry);
            stft.advance(512);
            stft.analyse(0);
            stft.power(0, &mut power);
            floor.listen(&power, &bands);
            if after.contains(&spectrum) {
                let mean = floor.densities(&bands).iter().sum::<f64>() / BANDS as f64;
                levels.push(10.0 * (mean / stft.noise_gain()).log10());
            }
        }
        levels
    }

    #[test]
    fn white_noise_is_found_within_a_db() {
        let after = [14, 16, 24, 48, 96, 192, 193, 1_000];
        for seed in [1, 2, 3, 4] {
            let found = found(seed, &after);
            println!("after {after:?} spectra: {found:.2?} dB");
            assert!(found.iter().all(|level| level.abs() < 1.0), "{found:.2?} dB off");
        }
    }
}
