//! How much of each line of a spectrum is programme, and so the gain that takes noise away and leaves it.
//!
//! Sources: Y. Ephraim, D. Malah, *Speech enhancement using a minimum mean-square error log-spectral amplitude estimator*,
//! IEEE Trans. Acoust. Speech Signal Process. 33(2), 1985, eq. 20, with their decision-directed SNR (ibid. 32(6), 1984, eq.
//! 51); O. Cappé, *Elimination of the musical noise phenomenon with the Ephraim and Malah noise suppressor*, IEEE Trans. Speech
//! Audio Process. 2(2), 1994, on its lower bound; T. Esch, P. Vary, *Efficient musical noise suppression for speech enhancement
//! systems*, ICASSP 2009, on gains that are smoothed over frequency where there is no programme.

use std::ops::Range;

/// Lowest SNR that is believed in: what the gain comes to in noise alone.
const LEAST_SNR: f64 = 1e-3;
/// Highest: what has no noise is left as it is to -120 dB.
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
    /// Gains, and how sure it is that each is programme's.
    gains: Box<[f64]>,
    sure: Box<[f64]>,
    /// Sums of gains by how little they are sure, and of that, below each line.
    sums: Box<[[f64; 2]]>,
}

impl Suppressor {
    /// `[control]` For `lines` lines.
    pub fn new(lines: usize) -> Self {
        let zeros = || vec![0.0; lines].into_boxed_slice();
        Self {
            past: zeros(),
            gains: zeros(),
            sure: zeros(),
            sums: vec![[0.0; 2]; lines + 1].into_boxed_slice(),
        }
    }

    /// `[audio]` Gains of some lines by their power and that of the noise in them.
    pub fn weigh(&mut self, lines: Range<usize>, power: &[f64], noise: &[f64], wish: &Wish) {
        for line in lines {
            let noise = noise[line] * wish.factor;
            let post = power[line] / noise;
            let fresh = (post - 1.0).max(0.0);
            let prior = fresh + wish.memory * (self.past[line] / noise - fresh);
            let prior = prior.clamp(LEAST_SNR, HIGHEST_SNR);
            let share = prior / (1.0 + prior);
            let gain = (share * half_integral(share * post)).min(1.0);
            self.past[line] = gain * gain * power[line];
            self.gains[line] = gain.max(wish.floor);
            self.sure[line] = share;
        }
    }

    /// `[audio]` Smooths the gains over frequency where they are not sure, by others that are not, and gives them.
    pub fn smooth(&mut self, wish: &Wish) -> &[f64] {
        let (least, share) = wish.width;
        let mut sum = [0.0; 2];
        for (total, (gain, sure)) in self.sums[1..].iter_mut().zip(self.gains.iter().zip(&self.sure)) {
            let weight = 1.0 - sure;
            sum = [sum[0] + weight * gain, sum[1] + weight];
            *total = sum;
        }
        let count = self.gains.len();
        for (line, (gain, sure)) in self.gains.iter_mut().zip(&self.sure).enumerate() {
            let side = (least + share * line as f64) as usize;
            let (low, high) = (self.sums[line.saturating_sub(side)], self.sums[(line + side + 1).min(count)]);
            let mean = (high[0] - low[0]) / (high[1] - low[1]).max(1e-12);
            *gain += (1.0 - sure) * (mean - *gain);
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
        self.sure.fill(0.0);
    }

    /// `[audio]` Takes over the state of another of as many lines.
    pub fn adopt(&mut self, old: &Self) {
        self.past.copy_from_slice(&old.past);
        self.gains.copy_from_slice(&old.gains);
        self.sure.copy_from_slice(&old.sure);
    }
}

/// exp(E1(x)/2), E1 the exponential integral.
///
/// Source: M. Abramowitz, I. A. Stegun, *Handbook of Mathematical Functions*, 1964, 5.1.53 and 5.1.56.
fn half_integral(x: f64) -> f64 {
    if x <= 1.0 {
        let x = x.max(1e-12);
        let series = -0.577_215_66
            + x * (0.999_991_93
                + x * (-0.249_910_55 + x * (0.055_199_68 + x * (-0.009_760_04 + x * 0.001_078_57))));
        return (0.5 * series).exp() / x.sqrt();
    }
    let above = 0.267_773_734_3 + x * (8.634_760_892_5 + x * (18.059_016_973 + x * (8.573_328_740_1 + x)));
    let below = 3.958_496_922_8 + x * (21.099_653_082_7 + x * (25.632_956_148_6 + x * (9.573_322_345_4 + x)));
    (0.5 * above / below * (-x).exp() / x).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exponential_integral_is_the_tables() {
        // Handbook of Mathematical Functions, tables 5.1 and 5.2.
        for (x, integral) in
            [(0.1, 1.822_923_958), (0.5, 0.559_773_595), (1.0, 0.219_383_934), (2.0, 0.048_900_511)]
        {
            let found = 2.0 * half_integral(x).ln();
            assert!((found - integral).abs() < 1e-6, "E1({x}) = {found}");
        }
    }
}
