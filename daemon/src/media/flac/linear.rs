//! Linear prediction: coefficients that predict a sample from the previous ones.

use std::f64::consts::PI;

/// Highest prediction order; the streamable subset allows no more up to 48 kHz.
pub(super) const MAX_ORDER: usize = 12;
/// Number of predictions tried if the size estimate is reliable.
const TRIED: usize = 2;
/// The tapered fraction of the window.
const TAPER: f64 = 0.5;
/// The largest shift of the format that reference decoders accept.
const MAX_SHIFT: i32 = 15;

/// A prediction as stored: integer coefficients, with the sum shifted right.
pub(super) struct Prediction {
    /// Bits of a coefficient.
    pub precision: u32,
    pub shift: u32,
    /// The first applies to the previous sample.
    pub coefficients: Vec<i32>,
}

/// Finds predictions; caches the window of the last length.
#[derive(Default)]
pub(super) struct Finder {
    window: Vec<f64>,
    windowed: Vec<f64>,
}

impl Finder {
    /// The predictions with the smallest estimated size, by Levinson-Durbin recursion; `width` is the number of bits of the
    /// samples, `depth` that of the file. Empty if nothing can be predicted.
    pub(super) fn find(&mut self, samples: &[i32], width: u32, depth: u32) -> Vec<Prediction> {
        let length = samples.len();
        if length <= MAX_ORDER {
            return Vec::new();
        }
        if self.window.len() != length {
            self.window = tukey(length);
        }
        self.windowed.clear();
        self.windowed.extend(samples.iter().zip(&self.window).map(|(sample, w)| f64::from(*sample) * w));
        let auto: [f64; MAX_ORDER + 1] = std::array::from_fn(|lag| {
            self.windowed[lag..].iter().zip(&self.windowed).map(|(now, before)| now * before).sum()
        });
        let precision = precision(length, depth);
        // Slightly more than the rounding error of the sums: without it, tones close in frequency get coefficients that
        // quantise badly.
        let mut error = auto[0] * (1.0 + 1e-12);
        let mut weights: Vec<f64> = Vec::with_capacity(MAX_ORDER);
        let mut found: Vec<(f64, Vec<f64>)> = Vec::with_capacity(MAX_ORDER);
        for order in 1..=MAX_ORDER {
            let ahead: f64 = weights.iter().zip(auto[1..order].iter().rev()).map(|(w, a)| w * a).sum();
            let reflection = (auto[order] - ahead) / error;
            let mirrored: Vec<f64> = weights.iter().rev().map(|w| reflection * w).collect();
            weights.iter_mut().zip(mirrored).for_each(|(w, mirrored)| *w -= mirrored);
            weights.push(reflection);
            error *= 1.0 - reflection * reflection;
            // For a silent window the result is NaN.
            if error == 0.0 || !error.is_finite() {
                break;
            }
            // By rounding, the error may become negative for tones close in frequency; a higher order may do better.
            if error < 0.0 {
                continue;
            }
            // The estimate of libFLAC, for residuals with a Laplace distribution.
            let each = (0.5 * (0.5 / length as f64 * error).log2()).max(0.0);
            let bits = each * (length - order) as f64 + (order as u32 * (width + precision)) as f64;
            found.push((bits, weights.clone()));
        }
        found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        // For pure tones quantised coefficients leave far more than estimated, so all orders are tried.
        let rounding = auto[0] * 0.25_f64.powi(precision as i32 - 4);
        let tried = if error.abs() < rounding { MAX_ORDER } else { TRIED };
        found.iter().take(tried).filter_map(|(_, weights)| quantise(weights, precision)).collect()
    }
}

/// Tukey window: flat in the middle, with cosine ends from 0, as in libFLAC.
fn tukey(length: usize) -> Vec<f64> {
    let taper = (TAPER / 2.0 * length as f64) as usize;
    let rise = |at: usize| 0.5 - 0.5 * (PI * at as f64 / (taper - 1) as f64).cos();
    let rise = |at: usize| if at + 1 < taper { rise(at) } else { 1.0 };
    (0..length).map(|at| rise(at.min(length - 1 - at))).collect()
}

/// Bits of a coefficient, as in libFLAC. For 16-bit samples the sums then fit into 32 bits.
fn precision(length: usize, depth: u32) -> u32 {
    match (depth, length) {
        (..=16, ..=192) => 7,
        (..=16, ..=384) => 8,
        (..=16, ..=576) => 9,
        (..=16, ..=1152) => 10,
        (..=16, ..=2304) => 11,
        (..=16, _) => 12,
        (_, ..=384) => 13,
        (_, ..=1152) => 14,
        _ => 15,
    }
}

/// Quantises coefficients to integers; the rounding error of one is added to the next.
fn quantise(weights: &[f64], precision: u32) -> Option<Prediction> {
    let largest = weights.iter().fold(0.0_f64, |largest, weight| largest.max(weight.abs()));
    if !(largest > 0.0 && largest.is_finite()) {
        return None;
    }
    let limit = 1 << (precision - 1);
    let shift = precision as i32 - 2 - largest.log2().floor() as i32;
    let shift = u32::try_from(shift.min(MAX_SHIFT)).ok()?;
    let mut lost = 0.0;
    let round = |weight: &f64| {
        let wanted = weight * f64::from(1 << shift) + lost;
        let whole = wanted.round().clamp(f64::from(-limit), f64::from(limit - 1));
        lost = wanted - whole;
        whole as i32
    };
    Some(Prediction { precision, shift, coefficients: weights.iter().map(round).collect() })
}

impl Prediction {
    /// The residuals of the samples after the warm-up, which is as long as the coefficients. None if one of them needs more
    /// than 32 bits.
    pub(super) fn residuals(&self, samples: &[i32]) -> Option<Vec<i32>> {
        let order = self.coefficients.len();
        let weights: Vec<i64> = self.coefficients.iter().rev().map(|weight| i64::from(*weight)).collect();
        let left = samples.windows(order + 1).map(|window| {
            let (before, now) = (&window[..order], window[order]);
            let sum: i64 =
                before.iter().zip(&weights).map(|(sample, weight)| i64::from(*sample) * weight).sum();
            let residual = i64::from(now) - (sum >> self.shift);
            // The smallest 32-bit number is not allowed.
            i32::try_from(residual).ok().filter(|residual| *residual > i32::MIN)
        });
        left.collect()
    }
}
