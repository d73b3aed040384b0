//! A noise profile: the noise level in bands of equal width on the ERB scale, independent of the sample rate.
//!
//! Source: B. R. Glasberg, B. C. J. Moore, *Derivation of auditory filter shapes from notched-noise data*, Hearing Research
//! 47, 1990: the number of ERBs below a frequency.

/// Number of bands, from 0 Hz to [`HIGHEST_HZ`], all of the same width in ERBs.
pub(crate) const BANDS: usize = 40;
/// Upper edge of the last band; noise above it has the density of that band.
const HIGHEST_HZ: f64 = 20_000.0;
/// Steepest slope of a noise spectrum, as an exponent of the frequency: 4 dB per octave.
const STEEPEST: f64 = 1.33;
/// Lowest power: -200 dB.
const LEAST: f64 = 1e-20;

fn erbs(freq_hz: f64) -> f64 {
    21.4 * (1.0 + 0.004_37 * freq_hz).log10()
}

/// Lower edge in Hz of band `band`, counted from 0; `BANDS` gives the upper edge of the last.
fn edge(band: usize) -> f64 {
    let erbs = erbs(HIGHEST_HZ) * band as f64 / BANDS as f64;
    (10.0_f64.powf(erbs / 21.4) - 1.0) / 0.004_37
}

/// Relation between the bins of a spectrum and the bands.
pub(crate) struct Bands {
    /// Lower edge of each band, in bins, and the upper edge of the last one.
    edges: [f64; BANDS + 1],
    /// For each bin, the last band whose centre is below it, and the position between that centre and the next one,
    /// 0..1.
    places: Box<[(usize, f64)]>,
}

impl Bands {
    /// `[control]` For `lines` bins from 0 Hz to half of `sample_rate`.
    pub(crate) fn new(lines: usize, sample_rate: f64) -> Self {
        let step = sample_rate / 2.0 / (lines - 1) as f64;
        let place = |line: usize| {
            let along = erbs(line as f64 * step) / erbs(HIGHEST_HZ) * BANDS as f64 - 0.5;
            let along = along.clamp(0.0, (BANDS - 1) as f64);
            let band = (along as usize).min(BANDS - 2);
            (band, along - band as f64)
        };
        Self { edges: std::array::from_fn(|band| edge(band) / step), places: (0..lines).map(place).collect() }
    }

    /// The bins around the centre of a band, at least `side` on each side, without 0 Hz.
    pub(crate) fn around(&self, band: usize, side: usize) -> std::ops::Range<usize> {
        let (low, high) = (self.edges[band], self.edges[band + 1]);
        let middle = (0.5 * (low + high)) as usize;
        let side = side.max((0.5 * (high - low)) as usize);
        // The bin of 0 Hz has no mirror image, and contains the DC offset.
        let last = self.places.len().saturating_sub(2 * side + 1);
        let from = middle.saturating_sub(side).min(last).max(1);
        from..(from + 2 * side + 1).min(self.places.len())
    }

    /// Largest ratio of the power of a bin from a band to the next one, in noise.
    pub(crate) fn step(&self, band: usize) -> f64 {
        let middle = |band: usize| 0.5 * (self.edges[band] + self.edges[band + 1]);
        (middle(band + 1) / middle(band)).powf(STEEPEST)
    }

    /// `[audio]` Mean power of a bin in each band. A band above all bins gets the density of the one below.
    pub(crate) fn densities(&self, power: &[f64]) -> [f64; BANDS] {
        let mut densities = [0.0; BANDS];
        for band in 0..BANDS {
            let (low, high) = (self.edges[band], self.edges[band + 1]);
            let (mut sum, mut width) = (0.0, 0.0);
            // A bin covers half a step on each side.
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

    /// `[audio]` Power of each bin, interpolated linearly in dB on the ERB scale from the densities at the band
    /// centres.
    pub(crate) fn spread(&self, densities: &[f64; BANDS], power: &mut [f64]) {
        let logs = densities.map(|density| density.max(LEAST).ln());
        for (power, (band, share)) in power.iter_mut().zip(&self.places) {
            *power = (logs[*band] + share * (logs[band + 1] - logs[*band])).exp();
        }
    }

    /// Levels of the bands in dBFS (mean square relative to a full-scale square wave) from the power of a bin in each.
    /// `gain` is the mean power of a bin for white noise with a mean square of 1.
    pub(crate) fn levels(&self, densities: &[f64; BANDS], gain: f64) -> [f64; BANDS] {
        std::array::from_fn(|band| 10.0 * (densities[band] * self.share(band) / gain).max(LEAST).log10())
    }

    /// Power of a bin in each band from the levels of the bands, the inverse of [`Self::levels`].
    pub(crate) fn by_levels(&self, levels: &[f64; BANDS], gain: f64) -> [f64; BANDS] {
        std::array::from_fn(|band| 10.0_f64.powf(levels[band] / 10.0) * gain / self.share(band))
    }

    /// Share of a band in the whole spectrum: 1 from 0 Hz to half the sample rate.
    fn share(&self, band: usize) -> f64 {
        (self.edges[band + 1] - self.edges[band]) / (self.places.len() - 1) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_means_the_same_at_every_rate() {
        // Noise of constant density: the level of a band is its share of the 24 kHz.
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
