//! A noise's spectrum in few numbers: its level in bands as wide as the ear's, the same at every sample rate.
//!
//! Source: B. R. Glasberg, B. C. J. Moore, *Derivation of auditory filter shapes from notched-noise data*, Hearing Research
//! 47, 1990: the number of ERBs below a frequency.

/// Bands of a profile, from 0 Hz to [`HIGHEST_HZ`], each as many ERBs wide.
pub const BANDS: usize = 40;
/// Where the last band ends; what lies above is taken for as dense as that band.
const HIGHEST_HZ: f64 = 20_000.0;
/// Slope that the spectrum of noise has at most, as a power of the frequency: 4 dB an octave.
const STEEPEST: f64 = 1.33;
/// Power that is none: -200 dB.
const LEAST: f64 = 1e-20;

fn erbs(freq_hz: f64) -> f64 {
    21.4 * (1.0 + 0.004_37 * freq_hz).log10()
}

/// Lower edge in Hz of band `band`, counted from 0; `BANDS` gives the upper edge of the last.
fn edge(band: usize) -> f64 {
    let erbs = erbs(HIGHEST_HZ) * band as f64 / BANDS as f64;
    (10.0_f64.powf(erbs / 21.4) - 1.0) / 0.004_37
}

/// How the lines of a spectrum and the bands lie to each other.
pub struct Bands {
    /// Lower edge of each band, in lines, and the upper edge of the last.
    edges: [f64; BANDS + 1],
    /// For each line the band whose middle is the last below it, and how far it is to the next.
    places: Box<[(usize, f64)]>,
}

impl Bands {
    /// `[control]` For `lines` lines from 0 Hz to half of `sample_rate`.
    pub fn new(lines: usize, sample_rate: f64) -> Self {
        let step = sample_rate / 2.0 / (lines - 1) as f64;
        let place = |line: usize| {
            let along = erbs(line as f64 * step) / erbs(HIGHEST_HZ) * BANDS as f64 - 0.5;
            let along = along.clamp(0.0, (BANDS - 1) as f64);
            let band = (along as usize).min(BANDS - 2);
            (band, along - band as f64)
        };
        Self { edges: std::array::from_fn(|band| edge(band) / step), places: (0..lines).map(place).collect() }
    }

    /// The lines around the middle of a band, at least `side` on each side, 0 Hz left out.
    pub fn around(&self, band: usize, side: usize) -> std::ops::Range<usize> {
        let (low, high) = (self.edges[band], self.edges[band + 1]);
        let middle = (0.5 * (low + high)) as usize;
        let side = side.max((0.5 * (high - low)) as usize);
        // The line of 0 Hz has no mirror, and what offset there is.
        let last = self.places.len().saturating_sub(2 * side + 1);
        let from = middle.saturating_sub(side).min(last).max(1);
        from..(from + 2 * side + 1).min(self.places.len())
    }

    /// By what factor the power of a line changes from a band to the next at most, in noise.
    pub fn step(&self, band: usize) -> f64 {
        let middle = |band: usize| 0.5 * (self.edges[band] + self.edges[band + 1]);
        (middle(band + 1) / middle(band)).powf(STEEPEST)
    }

    /// `[audio]` Mean power of a line in each band. A band above all lines is as dense as the one below it.
    pub fn densities(&self, power: &[f64]) -> [f64; BANDS] {
        let mut densities = [0.0; BANDS];
        for band in 0..BANDS {
            let (low, high) = (self.edges[band], self.edges[band + 1]);
            let (mut sum, mut width) = (0.0, 0.0);
            // A line stands for half a step on each side of it.
            let lines = (low.round() as usize).max(1)..(high.round() as usize + 1).min(power.len());
            for line in lines {
                let middle = line as f64;
                let share = ((middle + 0.5).min(high) - (middle - 0.5).max(low)).max(0.0);
                sum += share * power[line];
                width += share;
            }
            densities[band] = if width > 0.0 { sum / width } else { densities[band.saturating_sub(1)] };
        }
        if densities[0] == 0.0 {
            densities[0] = densities[1];
        }
        densities
    }

    /// `[audio]` Power of each line, by what a line has in the middle of each band: straight lines in dB over the ear's scale.
    pub fn spread(&self, densities: &[f64; BANDS], power: &mut [f64]) {
        let logs = densities.map(|density| density.max(LEAST).ln());
        for (power, (band, share)) in power.iter_mut().zip(&self.places) {
            *power = (logs[*band] + share * (logs[band + 1] - logs[*band])).exp();
        }
    }

    /// Levels of the bands in dBFS (mean square re a full-scale square wave) by the power of a line in each, where `gain` is
    /// the mean power of a line of white noise with a mean square of 1.
    pub fn levels(&self, densities: &[f64; BANDS], gain: f64) -> [f64; BANDS] {
        std::array::from_fn(|band| 10.0 * (densities[band] * self.share(band) / gain).max(LEAST).log10())
    }

    /// The power of a line in each band by their levels.
    pub fn by_levels(&self, levels: &[f64; BANDS], gain: f64) -> [f64; BANDS] {
        std::array::from_fn(|band| 10.0_f64.powf(levels[band] / 10.0) * gain / self.share(band))
    }

    /// How much of the whole spectrum a band is: 1 from 0 Hz to half the rate.
    fn share(&self, band: usize) -> f64 {
        (self.edges[band + 1] - self.edges[band]) / (self.places.len() - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_means_the_same_at_every_rate() {
        // Noise of one density: what lies in a band is its share of the 24 kHz.
        for (lines, rate) in [(1_025, 48_000.0), (1_025, 44_100.0), (2_049, 96_000.0), (4_097, 192_000.0)] {
            let bands = Bands::new(lines, rate);
            let gain = 3.0;
            let power = vec![gain * rate / 48_000.0; lines];
            let levels = bands.levels(&bands.densities(&power), gain);
            for (band, level) in levels.iter().enumerate() {
                let due = 10.0 * ((edge(band + 1) - edge(band)) / 24_000.0).log10();
                assert!((level - due).abs() < 0.01, "band {band} at {rate} Hz: {level}, not {due}");
            }
            let mut back = power.clone();
            bands.spread(&bands.by_levels(&levels, gain), &mut back);
            let off =
                back.iter().zip(&power).map(|(a, b)| (10.0 * (a / b).log10()).abs()).fold(0.0, f64::max);
            assert!(off < 0.01, "{off} dB at {rate} Hz");
        }
    }
}
