//! How much of each line of a spectrum is programme, and so the gain that takes noise away and leaves it.
//!
//! The SNR is followed over time, which is steady but late by a frame; a second step takes it anew from what the first would
//! leave of the frame itself, so that onsets are met when they come and a held tone keeps its edges.
//!
//! Sources: Y. Ephraim, D. Malah, *Speech enhancement using a minimum mean-square error short-time spectral amplitude
//! estimator*, IEEE Trans. Acoust. Speech Signal Process. 32(6), 1984, eq. 51, for the decision-directed SNR; C. Plapous, C.
//! Marro, P. Scalart, *Improved signal-to-noise ratio estimation for speech enhancement*, IEEE Trans. Audio Speech Lang.
//! Process. 14(6), 2006, for the second step; T. Esch, P. Vary, *Efficient musical noise suppression for speech enhancement
//! systems*, ICASSP 2009, on gains that are smoothed over frequency where there is no programme.

/// Highest SNR that is believed in: what has no noise is left as it is to -120 dB.
const HIGHEST_SNR: f64 = 1e6;

/// What a frame asks for.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    /// Factor on the noise's power.
    pub factor: f64,
    /// Lowest gain.
    pub floor: f64,
    /// Weight of the frame before in the SNR, 0..1.
    pub memory: f64,
    /// Lines on each side over which gains are smoothed: at 0 Hz, and how many more for each line above it.
    pub width: (f64, f64),
}

/// See the module.
pub struct Suppressor {
    /// Power of the programme in each line, as of the frame before.
    past: Box<[f64]>,
    /// Gains, and how unsure it is that each is programme's.
    gains: Box<[f64]>,
    unsure: Box<[f64]>,
    /// Sums of gains by how unsure they are, and of that, below each line.
    sums: Box<[[f64; 2]]>,
}

impl Suppressor {
    /// `[control]` For `lines` lines.
    pub fn new(lines: usize) -> Self {
        let zeros = || vec![0.0; lines].into_boxed_slice();
        Self {
            past: zeros(),
            gains: zeros(),
            unsure: zeros(),
            sums: vec![[0.0; 2]; lines + 1].into_boxed_slice(),
        }
    }

    /// `[audio]` Gains of the lines by their power and that of the noise in them.
    pub fn weigh(&mut self, power: &[f64], noise: &[f64], wish: &Wish) {
        let heard = power.iter().zip(noise).zip(&mut self.past);
        let found = self.gains.iter_mut().zip(&mut self.unsure);
        for (((power, noise), past), (gain, unsure)) in heard.zip(found) {
            let noise = noise * wish.factor;
            let post = power / noise;
            let fresh = (post - 1.0).max(0.0);
            let first = share(fresh + wish.memory * (*past / noise - fresh));
            let second = share(first * first * post);
            *past = second * second * power;
            *gain = second.max(wish.floor);
            *unsure = (1.0 - first).powi(3);
        }
    }

    /// `[audio]` Smooths the gains over frequency where they are not sure, by others that are not, and gives them.
    pub fn smooth(&mut self, wish: &Wish) -> &[f64] {
        let (least, share) = wish.width;
        let mut sum = [0.0; 2];
        for (total, (gain, unsure)) in self.sums[1..].iter_mut().zip(self.gains.iter().zip(&self.unsure)) {
            sum = [sum[0] + unsure * gain, sum[1] + unsure];
            *total = sum;
        }
        let count = self.gains.len();
        for (line, (gain, unsure)) in self.gains.iter_mut().zip(&self.unsure).enumerate() {
            let side = (least + share * line as f64) as usize;
            let (low, high) = (self.sums[line.saturating_sub(side)], self.sums[(line + side + 1).min(count)]);
            let mean = (high[0] - low[0]) / (high[1] - low[1]).max(1e-12);
            *gain += unsure * (mean - *gain);
        }
        &self.gains
    }

    /// `[audio]` All gains are 1, whatever comes.
    pub fn pass(&mut self) {
        self.gains.fill(1.0);
    }

    /// The gains as they are.
    pub fn gains(&self) -> &[f64] {
        &self.gains
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        self.past.fill(0.0);
        self.gains.fill(0.0);
        self.unsure.fill(0.0);
    }

    /// `[audio]` Takes over the state of another of as many lines.
    pub fn adopt(&mut self, old: &Self) {
        self.past.copy_from_slice(&old.past);
        self.gains.copy_from_slice(&old.gains);
        self.unsure.copy_from_slice(&old.unsure);
    }
}

/// Share of a line's power that is programme: Wiener's gain.
fn share(snr: f64) -> f64 {
    let snr = snr.min(HIGHEST_SNR);
    snr / (1.0 + snr)
}
