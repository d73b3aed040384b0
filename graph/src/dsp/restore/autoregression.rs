//! Autoregressive models: a sample is predicted as a weighted sum of the samples before it.
//!
//! A model has the coefficients a[0] = 1, a[1] ... a[order]; the residual (prediction error) of a signal x is e[n] =
//! a[0] x[n] + a[1] x[n-1] + ... A sample that does not belong to the sound has a large residual; missing samples are
//! interpolated so that the residual is smallest.
//!
//! Sources: J. P. Burg, *Maximum Entropy Spectral Analysis* (1975), by the recursion of S. M. Kay, *Modern Spectral Estimation*
//! (1988), section 7.6; A. J. E. M. Janssen, R. N. J. Veldhuis, L. B. Vries, *Adaptive Interpolation of Discrete-Time Signals
//! That Can Be Modeled as Autoregressive Processes*, IEEE Trans. ASSP-34 (1986), equations 9 to 14.

use crate::dsp::simd::Vectors;
use std::f64::consts::PI;

/// Lanes of parallel sums: enough that none waits for the previous operation.
const LANES: usize = 16;
/// The recursion stops below this share of the signal's energy: 100 dB.
const LEAST: f64 = 1e-10;

/// A model by Burg's method, computed order by order.
#[derive(Clone, Debug)]
pub(crate) struct Burg {
    forward: Box<[f64]>,
    backward: Box<[f64]>,
    coeffs: Box<[f64]>,
    done: usize,
    energy: f64,
    vectors: Vectors,
}

impl Burg {
    /// `[control]` Models of order `order` for windows of `frames`.
    pub(crate) fn new(order: usize, frames: usize) -> Self {
        let zeros = |count| vec![0.0; count].into_boxed_slice();
        let mut burg = Self {
            forward: zeros(frames),
            backward: zeros(frames),
            coeffs: zeros(order + 1),
            done: order,
            energy: 0.0,
            vectors: Vectors::detect(),
        };
        burg.coeffs[0] = 1.0;
        burg
    }

    /// Highest order.
    pub(crate) fn order(&self) -> usize {
        self.coeffs.len() - 1
    }

    /// `[audio]` Starts a model of `window`.
    pub(crate) fn start(&mut self, window: &[f64]) {
        self.forward.copy_from_slice(window);
        self.backward.copy_from_slice(window);
        self.coeffs.fill(0.0);
        self.coeffs[0] = 1.0;
        self.done = 0;
        self.energy = 2.0 * dot(window, window);
    }

    /// `[audio]` Continues up to order `order`.
    pub(crate) fn advance(&mut self, order: usize) {
        let vectors = self.vectors;
        vectors.run(
            #[inline(always)]
            || self.recurse(order),
        );
    }

    #[inline(always)]
    fn recurse(&mut self, order: usize) {
        while self.done < order.min(self.order()) {
            self.done += 1;
            let order = self.done;
            let forward = &mut self.forward[order..];
            // The backward residual of the previous order, one sample earlier: it moves down by one each order.
            let backward = &mut self.backward[..forward.len()];
            let energy = dot(forward, forward) + dot(backward, backward);
            if energy <= LEAST * self.energy {
                self.done = self.order();
                return;
            }
            let reflection = -2.0 * dot(forward, backward) / energy;
            for (f, b) in forward.iter_mut().zip(backward) {
                (*f, *b) = (*f + reflection * *b, *b + reflection * *f);
            }
            extend(&mut self.coeffs[..=order], reflection);
        }
    }

    /// The coefficients so far; coefficient 0 is 1.
    pub(crate) fn coeffs(&self) -> &[f64] {
        &self.coeffs
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.forward.fill(0.0);
        self.backward.fill(0.0);
        self.coeffs.fill(0.0);
        self.coeffs[0] = 1.0;
        (self.done, self.energy) = (self.order(), 0.0);
    }

    /// `[audio]` Adopts the state of another one of the same size.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.forward.copy_from_slice(&old.forward);
        self.backward.copy_from_slice(&old.backward);
        self.coeffs.copy_from_slice(&old.coeffs);
        (self.done, self.energy) = (old.done, old.energy);
    }
}

/// A model of high order, from the autocorrelation of a tapered window by Levinson's recursion, which costs much less
/// than Burg's method at high orders.
#[derive(Clone, Debug)]
pub(crate) struct Levinson {
    taper: Box<[f64]>,
    tapered: Box<[f64]>,
    /// The autocorrelation, its highest lag first.
    lags: Box<[f64]>,
    coeffs: Box<[f64]>,
    done: usize,
    error: f64,
    vectors: Vectors,
}

impl Levinson {
    /// `[control]` Models of order `order` for windows of `frames`.
    pub(crate) fn new(order: usize, frames: usize) -> Self {
        let zeros = |count| vec![0.0; count].into_boxed_slice();
        let hann = |at| (PI * (at as f64 + 0.5) / frames as f64).sin().powi(2);
        let taper = (0..frames).map(hann).collect();
        let mut model = Self {
            taper,
            tapered: zeros(frames),
            lags: zeros(order + 1),
            coeffs: zeros(order + 1),
            done: order,
            error: 0.0,
            vectors: Vectors::detect(),
        };
        model.coeffs[0] = 1.0;
        model
    }

    /// The order.
    pub(crate) fn order(&self) -> usize {
        self.coeffs.len() - 1
    }

    /// `[audio]` Starts a model of `window`.
    pub(crate) fn start(&mut self, window: &[f64]) {
        let samples = window.iter().zip(&self.taper);
        self.tapered.iter_mut().zip(samples).for_each(|(place, (sample, taper))| *place = sample * taper);
        self.done = 0;
    }

    /// `[audio]` Computes part `part` of `parts` of the autocorrelation.
    pub(crate) fn correlate(&mut self, (part, parts): (usize, usize)) {
        let (order, count) = (self.order(), self.lags.len());
        let Self { tapered, lags, vectors, .. } = self;
        vectors.run(
            #[inline(always)]
            || {
                for lag in count * part / parts..count * (part + 1) / parts {
                    lags[order - lag] = dot(&tapered[lag..], tapered);
                }
            },
        );
    }

    /// `[audio]` Continues up to order `order`, after the autocorrelation.
    pub(crate) fn advance(&mut self, order: usize) {
        let vectors = self.vectors;
        vectors.run(
            #[inline(always)]
            || self.recurse(order),
        );
    }

    #[inline(always)]
    fn recurse(&mut self, order: usize) {
        let highest = self.order();
        if self.done == 0 {
            self.coeffs.fill(0.0);
            self.coeffs[0] = 1.0;
            self.error = self.lags[highest] * (1.0 + LEAST);
        }
        let least = LEAST * self.lags[highest];
        while self.done < order.min(highest) && self.error > least {
            self.done += 1;
            let order = self.done;
            let reflection = -dot(&self.coeffs[..order], &self.lags[highest - order..highest]) / self.error;
            extend(&mut self.coeffs[..=order], reflection);
            self.error *= 1.0 - reflection * reflection;
        }
    }

    /// The coefficients so far; coefficient 0 is 1.
    pub(crate) fn coeffs(&self) -> &[f64] {
        &self.coeffs
    }

    /// `[audio]` Adopts the state of another one of the same size.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.tapered.copy_from_slice(&old.tapered);
        self.lags.copy_from_slice(&old.lags);
        self.coeffs.copy_from_slice(&old.coeffs);
        (self.done, self.error) = (old.done, old.error);
    }
}

/// Extends a model to the next order.
#[inline(always)]
fn extend(coeffs: &mut [f64], reflection: f64) {
    let order = coeffs.len() - 1;
    for low in 0..=order / 2 {
        let (a, b) = (coeffs[low], coeffs[order - low]);
        coeffs[low] = a + reflection * b;
        coeffs[order - low] = b + reflection * a;
    }
}

/// `[audio]` Residual of `samples` from index `from` on, predicted from the samples before; fills `out`.
pub(crate) fn residual(coeffs: &[f64], samples: &[f64], from: usize, out: &mut [f64]) {
    out.fill(0.0);
    for (back, coeff) in coeffs.iter().enumerate() {
        let past = &samples[from - back..][..out.len()];
        out.iter_mut().zip(past).for_each(|(e, x)| *e += coeff * x);
    }
}

/// `[audio]` The same, predicted from the samples after.
pub(crate) fn backward_residual(coeffs: &[f64], samples: &[f64], from: usize, out: &mut [f64]) {
    out.fill(0.0);
    for (ahead, coeff) in coeffs.iter().enumerate() {
        let future = &samples[from + ahead..][..out.len()];
        out.iter_mut().zip(future).for_each(|(e, x)| *e += coeff * x);
    }
}

/// Interpolates missing samples so that the residual of a model is smallest. It holds scratch memory only, and no
/// state between calls.
#[derive(Clone, Debug)]
pub(crate) struct Filler {
    /// Autocorrelation of the coefficients: the dependence of missing samples on each other and on their neighbours.
    bands: Box<[f64]>,
    /// The same from the highest lag to the first.
    mirrored: Box<[f64]>,
    /// Upper triangle by rows, each from the diagonal on: only entries within the order of it can differ from 0.
    matrix: Box<[f64]>,
    right: Box<[f64]>,
    /// The original values of the missing samples.
    was: Box<[f64]>,
    vectors: Vectors,
}

impl Filler {
    /// `[control]` For models of order `order`, and up to `most` missing samples at once.
    pub(crate) fn new(order: usize, most: usize) -> Self {
        let zeros = |count| vec![0.0; count].into_boxed_slice();
        Self {
            bands: zeros(order + 1),
            mirrored: zeros(order),
            matrix: zeros(most * (order + 1)),
            right: zeros(most),
            was: zeros(most),
            vectors: Vectors::detect(),
        }
    }

    /// Largest number of missing samples at once.
    pub(crate) fn most(&self) -> usize {
        self.right.len()
    }

    /// `[audio]` Sets the model for the next gaps.
    pub(crate) fn model(&mut self, coeffs: &[f64]) {
        let Self { bands, vectors, .. } = self;
        vectors.run(
            #[inline(always)]
            || bands.iter_mut().enumerate().for_each(|(lag, band)| *band = dot(&coeffs[lag..], coeffs)),
        );
        self.mirrored.iter_mut().zip(self.bands.iter().rev()).for_each(|(place, band)| *place = *band);
    }

    /// `[audio]` Interpolates the samples at the indices `missing`, in rising order, at least the order away from the
    /// ends. If the equations have no solution, the samples are unchanged.
    pub(crate) fn fill(&mut self, samples: &mut [f64], missing: &[usize]) {
        for (was, place) in self.was.iter_mut().zip(missing) {
            *was = std::mem::take(&mut samples[*place]);
        }
        let vectors = self.vectors;
        let is_solved = vectors.run(
            #[inline(always)]
            || {
                self.build_equations(samples, missing);
                self.solve(missing.len())
            },
        );
        let values = if is_solved { &self.right } else { &self.was };
        missing.iter().zip(values).for_each(|(place, value)| samples[*place] = *value);
    }

    /// Builds the equations: the known samples on both sides give the right side; missing samples count as 0 there.
    #[inline(always)]
    fn build_equations(&mut self, samples: &[f64], missing: &[usize]) {
        let Self { bands, mirrored, matrix, right, .. } = self;
        let rows = matrix.chunks_exact_mut(bands.len()).zip(right);
        for ((at, place), (line, right)) in missing.iter().enumerate().zip(rows) {
            let (before, after) = (&samples[place - mirrored.len()..*place], &samples[place + 1..]);
            *right = -dot(mirrored, before) - dot(&bands[1..], after);
            for (entry, other) in line.iter_mut().zip(&missing[at..]) {
                *entry = bands.get(other - place).copied().unwrap_or(0.0);
            }
        }
    }

    /// Solves by Cholesky decomposition of the banded matrix, forward and backward. Returns whether there is a
    /// solution.
    #[inline(always)]
    fn solve(&mut self, count: usize) -> bool {
        let width = self.bands.len();
        let Self { matrix, right, .. } = self;
        for row in 0..count {
            let (above, line) = matrix.split_at_mut(row * width);
            let line = &mut line[..width.min(count - row)];
            let reach = line.len();
            let over = |back: usize| &above[(row - back) * width + back..(row - back + 1) * width];
            // Four at a time where they span the whole line, to reduce memory access.
            let whole = (width - reach).min(row) / 4 * 4;
            for back in (1..=whole).step_by(4) {
                let [a, b, c, d] = [0, 1, 2, 3].map(|more| &over(back + more)[..reach]);
                let [fa, fb, fc, fd] = [a[0], b[0], c[0], d[0]];
                for (at, entry) in line.iter_mut().enumerate() {
                    *entry -= (fa * a[at] + fb * b[at]) + (fc * c[at] + fd * d[at]);
                }
                let known = right[row - back - 3..].iter().zip([fd, fc, fb, fa]);
                right[row] -= known.map(|(known, factor)| known * factor).sum::<f64>();
            }
            for back in whole + 1..width.min(row + 1) {
                let above = over(back);
                let factor = above[0];
                line.iter_mut().zip(above).for_each(|(entry, above)| *entry -= factor * above);
                right[row] -= factor * right[row - back];
            }
            // The comparison is false for NaN.
            let scale = if line[0] > 0.0 { 1.0 / line[0].sqrt() } else { return false };
            line.iter_mut().for_each(|entry| *entry *= scale);
            right[row] *= scale;
        }
        for row in (0..count).rev() {
            let line = &matrix[row * width..][..width.min(count - row)];
            let (here, later) = right[row..].split_at_mut(1);
            here[0] = (here[0] - dot(&line[1..], later)) / line[0];
        }
        right[..count].iter().all(|value| value.is_finite())
    }
}

/// Dot product over the shorter length, with parallel sums.
#[inline(always)]
fn dot(a: &[f64], b: &[f64]) -> f64 {
    let count = a.len().min(b.len());
    let (a, a_rest) = a[..count].as_chunks::<LANES>();
    let (b, b_rest) = b[..count].as_chunks::<LANES>();
    let mut lanes = [0.0; LANES];
    for (a, b) in a.iter().zip(b) {
        lanes.iter_mut().zip(a.iter().zip(b)).for_each(|(lane, (a, b))| *lane += a * b);
    }
    lanes.iter_mut().zip(a_rest.iter().zip(b_rest)).for_each(|(lane, (a, b))| *lane += a * b);
    let mut half = LANES / 2;
    while half > 0 {
        let (low, high) = lanes.split_at_mut(half);
        low.iter_mut().zip(high).for_each(|(low, high)| *low += *high);
        half /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// Two sines and a little noise.
    fn sound() -> Vec<f64> {
        let mut seed = 1_u64;
        let mut noise = || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 40) as f64 / (1 << 23) as f64 - 1.0
        };
        let tone = |n: usize, freq: f64| (TAU * freq * n as f64 / 48_000.0).sin();
        (0..1_000).map(|n| tone(n, 440.0) + 0.3 * tone(n, 3_100.0) + 1e-4 * noise()).collect()
    }

    #[test]
    fn a_model_leaves_little_of_what_it_was_made_for() {
        let sound = sound();
        let mut burg = Burg::new(24, sound.len());
        burg.start(&sound);
        burg.advance(10);
        burg.advance(24);
        for back in [false, true] {
            let mut left = [0.0; 900];
            let of = if back { backward_residual } else { residual };
            of(burg.coeffs(), &sound, 50, &mut left);
            let left = (dot(&left, &left) / 900.0).sqrt();
            assert!(left < 3e-4, "{left:e}");
        }
    }

    #[test]
    fn what_is_missing_is_found_again() {
        let sound = sound();
        let mut burg = Burg::new(24, sound.len());
        burg.start(&sound);
        burg.advance(24);
        let missing: Vec<usize> = (400..420).chain([423, 430, 700]).collect();
        let mut damaged = sound.clone();
        missing.iter().for_each(|place| damaged[*place] = 7.0);
        let mut filler = Filler::new(24, 32);
        filler.model(burg.coeffs());
        filler.fill(&mut damaged, &missing);
        let off = damaged.iter().zip(&sound).fold(0.0_f64, |off, (a, b)| off.max((a - b).abs()));
        assert!(off < 2e-2, "off by {off}");
    }

    #[test]
    fn what_is_missing_leaves_the_least_residual_however_much_it_is() {
        let sound = sound();
        for order in [24, 200] {
            let mut burg = Burg::new(order, sound.len());
            burg.start(&sound);
            burg.advance(order);
            for missing in [(400..499).collect::<Vec<_>>(), (300..600).step_by(7).collect(), vec![350]] {
                let mut filled = sound.clone();
                let mut filler = Filler::new(order, 128);
                filler.model(burg.coeffs());
                filler.fill(&mut filled, &missing);
                for place in missing {
                    // The derivative of the residual's energy by the interpolated sample.
                    let both = |lag: usize| filler.bands[lag] * (filled[place - lag] + filled[place + lag]);
                    let slope = filler.bands[0] * filled[place] + (1..=order).map(both).sum::<f64>();
                    assert!(slope.abs() < 1e-9 * filler.bands[0], "order {order}, {place}: {slope:e}");
                }
            }
        }
    }
}
