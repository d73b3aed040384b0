//! Noise suppression: the gain of each bin from its power and that of the noise.
//!
//! A first estimate of the SNR is smoothed over time, which is steady but one frame late; a second step estimates it
//! again from the output of the first for the same frame, so that onsets are on time and tones keep their edges.
//!
//! Sources: Y. Ephraim, D. Malah, *Speech enhancement using a minimum mean-square error short-time spectral amplitude
//! estimator*, IEEE Trans. Acoust. Speech Signal Process. 32(6), 1984, eq. 51, for the decision-directed SNR; C. Plapous, C.
//! Marro, P. Scalart, *Improved signal-to-noise ratio estimation for speech enhancement*, IEEE Trans. Audio Speech Lang.
//! Process. 14(6), 2006, for the second step; T. Esch, P. Vary, *Efficient musical noise suppression for speech enhancement
//! systems*, ICASSP 2009, on gains that are smoothed over frequency where there is no programme.

/// Highest SNR: without noise, the signal is unchanged to -120 dB.
const HIGHEST_SNR: f64 = 1e6;

/// Settings of a frame.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameSettings {
    /// Factor of the noise power.
    pub factor: f64,
    /// Lowest gain.
    pub floor: f64,
    /// Weight of the previous frame in the SNR, 0..1.
    pub memory: f64,
    /// Bins on each side over which gains are smoothed: at 0 Hz, and the increase per bin.
    pub width: (f64, f64),
}

/// The suppressor, common to all channels.
pub(crate) struct Suppressor {
    /// Power of the programme in each bin of the previous frame.
    past: Box<[f64]>,
    /// Gains, and the probability that each bin is noise.
    gains: Box<[f64]>,
    noise_probability: Box<[f64]>,
    /// Running sums below each bin: of gains times that probability, and of the probability.
    sums: Box<[[f64; 2]]>,
}

impl Suppressor {
    /// `[control]` For spectra of `lines` bins.
    pub(crate) fn new(lines: usize) -> Self {
        let zeros = || vec![0.0; lines].into_boxed_slice();
        Self {
            past: zeros(),
            gains: zeros(),
            noise_probability: zeros(),
            sums: vec![[0.0; 2]; lines + 1].into_boxed_slice(),
        }
    }

    /// `[audio]` Computes the gains from the power of each bin and that of the noise.
    pub(crate) fn compute_gains(&mut self, power: &[f64], noise: &[f64], settings: &FrameSettings) {
        let bins = power.iter().zip(noise).zip(&mut self.past);
        let results = self.gains.iter_mut().zip(&mut self.noise_probability);
        for (((power, noise), past), (gain, noise_probability)) in bins.zip(results) {
            let noise = noise * settings.factor;
            let post = power / noise;
            let fresh = (post - 1.0).max(0.0);
            let first = share(fresh + settings.memory * (*past / noise - fresh));
            let second = share(first * first * post);
            *past = second * second * power;
            *gain = second.max(settings.floor);
            *noise_probability = (1.0 - first).powi(3);
        }
    }

    /// `[audio]` Smooths the gains over frequency where bins are probably noise, and returns them.
    pub(crate) fn smooth_gains(&mut self, settings: &FrameSettings) -> &[f64] {
        let (least, share) = settings.width;
        let mut sum = [0.0; 2];
        for (total, (gain, noise_probability)) in
            self.sums[1..].iter_mut().zip(self.gains.iter().zip(&self.noise_probability))
        {
            sum = [sum[0] + noise_probability * gain, sum[1] + noise_probability];
            *total = sum;
        }
        let count = self.gains.len();
        for (line, (gain, noise_probability)) in
            self.gains.iter_mut().zip(&self.noise_probability).enumerate()
        {
            let side = (least + share * line as f64) as usize;
            let (low, high) = (self.sums[line.saturating_sub(side)], self.sums[(line + side + 1).min(count)]);
            let mean = (high[0] - low[0]) / (high[1] - low[1]).max(1e-12);
            *gain += noise_probability * (mean - *gain);
        }
        &self.gains
    }

    /// `[audio]` Sets all gains to 1.
    pub(crate) fn set_unity(&mut self) {
        self.gains.fill(1.0);
    }

    /// The current gains.
    pub(crate) fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.past.fill(0.0);
        self.gains.fill(0.0);
        self.noise_probability.fill(0.0);
    }

    /// `[audio]` Adopts the state of another one with the same number of bins.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.past.copy_from_slice(&old.past);
        self.gains.copy_from_slice(&old.gains);
        self.noise_probability.copy_from_slice(&old.noise_probability);
    }
}

/// Wiener gain: the share of programme in the power of a bin.
fn share(snr: f64) -> f64 {
    let snr = snr.min(HIGHEST_SNR);
    snr / (1.0 + snr)
}
