//! Estimation of the noise under a programme: the level that each band does not fall below for two seconds, if it has
//! the statistics of noise then.
//!
//! The powers of noise, over the bins of a band and from one spectrum to the next, have the distribution of Gaussian
//! noise: their arithmetic mean exceeds their geometric mean by exp(Euler's constant), 2.5 dB. Tones differ from that
//! over frequency, notes and beats over time, even in their quiet parts.
//!
//! Sources: R. Martin, *Noise power spectral density estimation based on optimal smoothing and minimum statistics*, IEEE Trans.
//! Speech Audio Process. 9(5), 2001, for the minimum and its bias, here of bands and measured; J. D. Johnston, *Transform
//! coding of audio signals using perceptual noise criteria*, IEEE J. Sel. Areas Commun. 6(2), 1988, for the flatness.

use crate::dsp::spectral::noise_profile::{BANDS, Bands};

/// Parts of the window of the minimum search, and spectra in each part.
const PARTS: usize = 8;
const PART: usize = 24;
/// Smoothing factor from one spectrum to the next.
const SMOOTHING: f64 = 0.9;
/// Spectra at the beginning that are skipped, because their frames begin before it.
const BEFORE: usize = 4;
/// Smallest number of spectra for an estimate.
const FEWEST: usize = 10;
/// Smallest number of bins on each side of the centre of a band.
const SIDE: usize = 6;
/// Mean of ln(mean / x) for the power x of a bin of noise; and the tolerance within which a band counts as noise.
const SPREAD: f64 = 0.577_215_664_901_532_9;
const TOLERANCE: f64 = 0.2;
/// Parts with similar minima: largest ratio to the lowest minimum, and smallest number of such parts.
const AGREEMENT: f64 = 1.8;
const AGREEING: usize = 3;
/// Mean power of a bin below which there is no programme: silence is not a measure of the noise under it.
const SILENCE: f64 = 1e-14;

/// The noise estimator, common to all channels.
#[derive(Clone, Copy)]
pub(crate) struct NoiseFloor {
    /// Mean power of a bin, and mean logarithm of it, in each band, smoothed.
    mean: [f64; BANDS],
    log: [f64; BANDS],
    /// Minimum power in each part of the window: of all spectra, and of those that are noise.
    all: [Minima; BANDS],
    noise: [Minima; BANDS],
    /// Last estimate of the noise power.
    last_known: [f64; BANDS],
    /// Index of the current part, number of spectra in it, number of spectra in all, and number of skipped ones.
    part: usize,
    count: usize,
    analysed: usize,
    skipped: usize,
}

/// Minimum of each part of the window.
#[derive(Clone, Copy)]
struct Minima([f64; PARTS]);

impl Minima {
    const NONE: Self = Self([f64::INFINITY; PARTS]);

    fn update(&mut self, part: usize, power: f64) {
        self.0[part] = self.0[part].min(power);
    }

    fn minimum(&self) -> f64 {
        self.0.iter().copied().fold(f64::INFINITY, f64::min)
    }

    /// The minimum, if at least `parts` parts have similar minima: a level that occurs only once is not noise.
    fn agreed_minimum(&self, parts: usize) -> Option<f64> {
        let lowest = self.minimum();
        let agree = self.0.iter().filter(|other| **other < AGREEMENT * lowest).count();
        (agree >= parts).then_some(lowest)
    }
}

impl Default for NoiseFloor {
    fn default() -> Self {
        Self {
            mean: [0.0; BANDS],
            log: [0.0; BANDS],
            all: [Minima::NONE; BANDS],
            noise: [Minima::NONE; BANDS],
            last_known: [f64::INFINITY; BANDS],
            part: 0,
            count: 0,
            analysed: 0,
            skipped: 0,
        }
    }
}

impl NoiseFloor {
    /// `[audio]` Adds a spectrum: the power of each bin.
    pub(crate) fn add_spectrum(&mut self, power: &[f64], bands: &Bands) {
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
        // A plain mean at first.
        let smoothing = SMOOTHING.min(self.analysed as f64 / (self.analysed + 1) as f64);
        self.analysed = (self.analysed + 1).min(PARTS * PART);
        for band in 0..BANDS {
            let lines = &power[bands.around(band, SIDE)];
            let share = 1.0 / lines.len() as f64;
            let mean = share * lines.iter().sum::<f64>();
            let log = share * lines.iter().map(|x| (x + SILENCE).ln()).sum::<f64>();
            self.mean[band] = mean + smoothing * (self.mean[band] - mean);
            self.log[band] = log + smoothing * (self.log[band] - log);
            if self.analysed >= FEWEST {
                let power = (self.log[band] + SPREAD).exp();
                self.all[band].update(self.part, power);
                if ((self.mean[band] / power).ln()).abs() < TOLERANCE {
                    self.noise[band].update(self.part, power);
                }
            }
        }
    }

    /// `[audio]` Mean noise power of a bin in each band; 0 if no noise is detected.
    pub(crate) fn densities(&mut self, bands: &Bands) -> [f64; BANDS] {
        let bias = |band: usize, analysed: usize| bias(bands.around(band, SIDE).len(), analysed);
        for band in 0..BANDS {
            if let Some(found) = self.noise[band].agreed_minimum(AGREEING.min(self.analysed.div_ceil(PART))) {
                self.last_known[band] = found * bias(band, self.analysed);
            }
        }
        // No more than the neighbouring bands allow, because the spectrum of noise has no steps.
        let mut most = [f64::INFINITY; BANDS];
        for (band, most) in most.iter_mut().enumerate() {
            *most = self.all[band].minimum() * bias(band, self.analysed);
        }
        for band in (0..BANDS - 1).rev() {
            most[band] = most[band].min(most[band + 1] * bands.step(band));
        }
        for band in 1..BANDS {
            most[band] = most[band].min(most[band - 1] * bands.step(band - 1));
        }
        // A band without an estimate gets the density of the nearest band that has one.
        let mut densities = [0.0; BANDS];
        for (band, density) in densities.iter_mut().enumerate() {
            let known = |other: &usize| self.last_known[*other].is_finite();
            let below = (0..band).rev().find(known);
            let above = (band..BANDS).find(known);
            let nearest = match (below, above) {
                (Some(below), Some(above)) if band - below < above - band => below,
                (Some(below), None) => below,
                (_, Some(above)) => above,
                (None, None) => return [0.0; BANDS],
            };
            *density = self.last_known[nearest].min(most[band]);
        }
        densities
    }
}

/// Ratio of mean power to minimum in `analysed` spectra of `lines` bins, measured with white noise.
fn bias(lines: usize, analysed: usize) -> f64 {
    let along = (analysed as f64 / FEWEST as f64).ln() / ((PARTS * PART) as f64 / FEWEST as f64).ln();
    (along * 1.13 / (lines as f64).sqrt()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::spectral::stft::Stft;

    /// Levels in dB of the estimate for white noise with a mean square of 1, after each number of spectra in `after`.
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
            floor.add_spectrum(&power, &bands);
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
