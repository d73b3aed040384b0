//! Linear prediction: the weights by which a sample is foretold from those before it.

use std::f64::consts::PI;

/// The most samples a prediction looks back to; what can be streamed has no more up to 48 kHz.
pub(super) const MAX_ORDER: usize = 12;
/// Predictions tried, where the estimate of what one will need is worth something.
const TRIED: usize = 2;
/// The part of the window that rises and falls.
const TAPER: f64 = 0.5;
/// The largest shift the format can say, as reference decoders take it.
const MAX_SHIFT: i32 = 15;

/// A prediction as it is stored: whole numbers, their sum shifted down.
pub(super) struct Prediction {
    /// Bits of a coefficient.
    pub precision: u32,
    pub shift: u32,
    /// The first belongs to the sample just before.
    pub coefficients: Vec<i32>,
}

/// Finds predictions; keeps the window of the last length.
#[derive(Default)]
pub(super) struct Finder {
    window: Vec<f64>,
    windowed: Vec<f64>,
}

impl Finder {
    /// The predictions that should need least, by Levinson and Durbin; `width` is that of the samples in
    /// bits, `depth` that of the file. None where nothing can be foretold.
    pub fn find(&mut self, samples: &[i32], width: u32, depth: u32) -> Vec<Prediction> {
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
        // A little more than adding up may have rounded: without it, tones close together get weights that
        // cannot be rounded well.
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
            // A silent window leaves no number.
            if error == 0.0 || !error.is_finite() {
                break;
            }
            // Rounding leaves less than nothing where tones lie close together; a higher order may do better.
            if error < 0.0 {
                continue;
            }
            // As libFLAC estimates it, for residuals spread as Laplace has it.
            let each = (0.5 * (0.5 / length as f64 * error).log2()).max(0.0);
            let bits = each * (length - order) as f64 + (order as u32 * (width + precision)) as f64;
            found.push((bits, weights.clone()));
        }
        found.sort_by(|(a, _), (b, _)| a.total_cmp(b));
        // Of pure tones rounded weights leave far more than the estimate says: there all are tried.
        let rounding = auto[0] * 0.25_f64.powi(precision as i32 - 4);
        let tried = if error.abs() < rounding { MAX_ORDER } else { TRIED };
        found.iter().take(tried).filter_map(|(_, weights)| quantise(weights, precision)).collect()
    }
}

/// Flat in the middle, with cosine ends that begin at 0, as libFLAC has it.
fn tukey(length: usize) -> Vec<f64> {
    let taper = (TAPER / 2.0 * length as f64) as usize;
    let rise = |at: usize| 0.5 - 0.5 * (PI * at as f64 / (taper - 1) as f64).cos();
    let rise = |at: usize| if at + 1 < taper { rise(at) } else { 1.0 };
    (0..length).map(|at| rise(at.min(length - 1 - at))).collect()
}

/// Bits of a coefficient, as libFLAC has them. At 16 bits sums then fit into 32.
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

/// The nearest whole numbers, what one loses by rounding given to the next.
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
    /// What is left of the samples after the first, which are as many as the coefficients. None if it
    /// takes more than 32 bits.
    pub fn residuals(&self, samples: &[i32]) -> Option<Vec<i32>> {
        let order = self.coefficients.len();
        let weights: Vec<i64> = self.coefficients.iter().rev().map(|weight| i64::from(*weight)).collect();
        let left = samples.windows(order + 1).map(|window| {
            let (before, now) = (&window[..order], window[order]);
            let sum: i64 =
                before.iter().zip(&weights).map(|(sample, weight)| i64::from(*sample) * weight).sum();
            let residual = i64::from(now) - (sum >> self.shift);
            // The smallest number of 32 bits is not allowed.
            i32::try_from(residual).ok().filter(|residual| *residual > i32::MIN)
        });
        left.collect()
    }
}
