//! Equaliser filters with the magnitude of their analogue prototypes, up to 20 kHz at any rate.
//!
//! The bilinear transform replaces the frequency by its tangent, which cramps curves towards the Nyquist frequency. Here the
//! square of the analogue frequency is replaced by a rational function of φ = sin²(ω/2),
//!
//! ```text
//! ω² ≈ R(φ) = φ (γ + αφ) / (1 + βφ + δφ²)
//! ```
//!
//! fitted for each filter by least squares, weighted by the slope of its curve. The squared magnitude becomes a ratio of
//! two polynomials of fourth degree in φ, whose roots follow from two quadratic equations each: two sections. Where
//! α = δ = 0 is accurate enough (low frequencies, gentle curves, high rates) the second section passes the signal
//! unchanged; it is faded in gradually.
//!
//! Sources: matching squared magnitudes in φ is M. Vicanek's (*Matched Second Order Digital Filters*, 2016);
//! the analogue prototypes are those of R. Bristow-Johnson's *Audio EQ Cookbook* (W3C Note, 2021).

use crate::dsp::filter::svf::Coeffs;
use num_complex::Complex64;
use std::f64::consts::{PI, TAU};

/// Highest frequency at which the curve matches the prototype.
const TOP_HZ: f64 = 20_000.0;
/// Highest frequency of a filter as a share of the sample rate: 20 kHz at 44.1 kHz.
const HIGHEST: f64 = 0.4535;
/// An estimate of 1 + βφ + δφ², from a fit over the whole range at 44.1 kHz; it only weights the equations.
const DENOMINATOR: [f64; 2] = [-1.214, 0.281];
/// Number of fit points over the whole range.
const WIDE: usize = 16;
/// Fit points on each side of a corner frequency, in bandwidths.
const NEAR: [f64; 4] = [0.25, 0.5, 1.0, 2.0];
/// Smallest and largest weight of a fit point.
const WEIGHTS: [f64; 2] = [0.02, 30.0];
/// Error in dB of a single section at which the second section begins to fade in, and at which it is fully in.
const ENOUGH_DB: [f64; 2] = [0.05, 0.08];

/// The squared magnitude of an analogue filter as a ratio of two polynomials in x = (f / f0)².
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Prototype {
    n: [f64; 3],
    d: [f64; 3],
}

impl Prototype {
    /// Bell: `gain_db` at its frequency. `q` as in the cookbook, so that boost and cut are symmetrical.
    pub(crate) fn bell(gain_db: f64, q: f64) -> Self {
        let a = 10.0_f64.powf(gain_db / 40.0);
        Self { n: [1.0, (a / q).powi(2) - 2.0, 1.0], d: [1.0, (a * q).powi(-2) - 2.0, 1.0] }
    }

    /// Low shelf: `gain_db` far below its frequency, half of it at its frequency.
    pub(crate) fn lowshelf(gain_db: f64, q: f64) -> Self {
        let Self { n, d } = Self::highshelf(gain_db, q);
        // Reversed: x becomes 1 / x.
        Self { n: [n[2], n[1], n[0]], d: [d[2], d[1], d[0]] }
    }

    /// High shelf: `gain_db` far above its frequency, half of it at its frequency.
    pub(crate) fn highshelf(gain_db: f64, q: f64) -> Self {
        let a = 10.0_f64.powf(gain_db / 40.0);
        let middle = a / (q * q) - 2.0 * a;
        Self { n: [a.powi(2), a.powi(2) * middle, a.powi(4)], d: [a.powi(2), middle, 1.0] }
    }

    /// Tilt: half of `gain_db` far above its frequency, minus half of it far below.
    pub(crate) fn tilt(gain_db: f64, q: f64) -> Self {
        let a = 10.0_f64.powf(gain_db / 40.0);
        let Self { n, d } = Self::highshelf(gain_db, q);
        Self { n: n.map(|n| n / a.powi(2)), d }
    }

    /// High-pass, 12 dB/oct; −3.01 dB at its frequency with q = 0.7071.
    pub(crate) fn highpass(q: f64) -> Self {
        Self { n: [0.0, 0.0, 1.0], d: resonance(q) }
    }

    /// Low-pass, 12 dB/oct.
    pub(crate) fn lowpass(q: f64) -> Self {
        Self { n: [1.0, 0.0, 0.0], d: resonance(q) }
    }

    /// High-pass, 6 dB/oct.
    pub(crate) fn highpass6() -> Self {
        Self { n: [0.0, 1.0, 0.0], d: [1.0, 1.0, 0.0] }
    }

    /// Low-pass, 6 dB/oct.
    pub(crate) fn lowpass6() -> Self {
        Self { n: [1.0, 0.0, 0.0], d: [1.0, 1.0, 0.0] }
    }

    /// Band-pass: 0 dB at its frequency f, 6 dB/oct on both sides, f/`q` wide between the −3 dB points.
    pub(crate) fn bandpass(q: f64) -> Self {
        Self { n: [0.0, q.powi(-2), 0.0], d: resonance(q) }
    }

    /// Notch: zero at its frequency f; f/`q` wide between the −3 dB points.
    pub(crate) fn notch(q: f64) -> Self {
        Self { n: [1.0, -2.0, 1.0], d: resonance(q) }
    }

    /// Squared magnitude at `ratio` times the frequency of the filter.
    pub(crate) fn power(&self, ratio: f64) -> f64 {
        let x = ratio * ratio;
        at(&self.n, x) / at(&self.d, x)
    }

    /// Slope of the curve at x: change of ln |H|² for a change of ln x.
    fn slope(&self, x: f64) -> f64 {
        let [n, d] = [&self.n, &self.d].map(|p| (p[1] + 2.0 * p[2] * x) / (at(p, x) + 1e-9));
        (x * (n - d)).abs()
    }
}

/// Designs sections at one sample rate.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    rate: f64,
    /// Highest frequency at which the curve must match, in rad per sample.
    top: f64,
    /// Frequency and φ of the fit points over the whole range.
    wide: [(f64, f64); WIDE],
}

impl Matcher {
    /// `[control]` At `sample_rate` Hz.
    pub(crate) fn new(sample_rate: f64) -> Self {
        let top = TAU * (TOP_HZ / sample_rate).min(HIGHEST);
        let wide = std::array::from_fn(|i| {
            let omega = top * 0.5 * (1.0 - (PI * (i as f64 + 0.5) / WIDE as f64).cos());
            (omega, phi(omega))
        });
        Self { rate: sample_rate, top, wide }
    }

    /// Highest frequency of a filter in Hz; a higher one is limited to it.
    pub(crate) fn highest_hz(&self) -> f64 {
        HIGHEST * self.rate
    }

    /// `[audio]` Two sections with the magnitude of `prototype` at `freq_hz`. The second may pass the signal unchanged.
    pub(crate) fn sections(&self, prototype: &Prototype, freq_hz: f64) -> [Coeffs; 2] {
        let own = TAU * (freq_hz / self.rate).min(HIGHEST);
        let map = FrequencyMap::fit(prototype, own, self);
        let poles = roots(&prototype.d).map(|root| map.sections(root));
        let zeros = roots(&prototype.n).map(|root| map.sections(root));
        let pair = |z: &[[Complex64; 2]; 2], section: usize| {
            let (first, second) = (z[0][section], z[1][section]);
            // Double roots on the unit circle are a pair too.
            Pair::new(first, if first.im == 0.0 { second } else { first.conj() })
        };
        let [first, second] = [0, 1].map(|section| (pair(&zeros, section), pair(&poles, section)));
        let still = |(zeros, poles): &(Pair, Pair)| poles.at_one / zeros.at_one;
        let second_gain = still(&second);
        let first_gain = if prototype.n[0] > 0.0 {
            still(&first) * (prototype.n[0] / prototype.d[0]).sqrt()
        } else {
            let z = Complex64::from_polar(1.0, own);
            let level = |(zeros, poles): &(Pair, Pair)| zeros.level(z) / poles.level(z);
            prototype.power(1.0).sqrt() / (level(&first) * level(&second) * second_gain)
        };
        [section(&first, first_gain), section(&second, second_gain)]
    }
}

/// sin²(ω/2).
fn phi(omega: f64) -> f64 {
    (omega / 2.0).sin().powi(2)
}

fn resonance(q: f64) -> [f64; 3] {
    [1.0, q.powi(-2) - 2.0, 1.0]
}

fn at(p: &[f64; 3], x: f64) -> f64 {
    p[0] + x * (p[1] + x * p[2])
}

/// A root of a prototype's polynomial as a fraction, so that it can be infinite.
#[derive(Clone, Copy)]
struct Root {
    over: Complex64,
    under: f64,
}

/// Both roots of a polynomial; missing ones are infinite.
fn roots(p: &[f64; 3]) -> [Root; 2] {
    let finite = |over: Complex64| Root { over, under: 1.0 };
    let infinite = Root { over: Complex64::ONE, under: 0.0 };
    let [c, b, a] = *p;
    if a == 0.0 {
        return [if b == 0.0 { infinite } else { finite((-c / b).into()) }, infinite];
    }
    let square = b * b - 4.0 * a * c;
    if square <= 0.0 {
        let root = Complex64::new(-b, (-square).sqrt()) / (2.0 * a);
        return [finite(root), finite(root.conj())];
    }
    let larger = -0.5 * (b + square.sqrt().copysign(b));
    [finite((larger / a).into()), finite((c / larger).into())]
}

/// The rational function that approximates ω².
#[derive(Clone, Copy, Debug)]
struct FrequencyMap {
    gamma: f64,
    alpha: f64,
    beta: f64,
    delta: f64,
    /// ω² of the filter's frequency.
    own: f64,
}

/// A point of the fit: φ, ω² and its weight.
#[derive(Clone, Copy)]
struct FitPoint {
    phi: f64,
    square: f64,
    weight: f64,
}

impl FrequencyMap {
    /// Fits the map for a filter at `own` (rad per sample).
    fn fit(prototype: &Prototype, own: f64, matcher: &Matcher) -> Self {
        let point = |(omega, phi): (f64, f64)| {
            let [least, most] = WEIGHTS;
            let weight = least + prototype.slope((omega / own).powi(2)).min(most);
            FitPoint { phi, square: omega * omega, weight }
        };
        let mut points = [FitPoint { phi: 0.0, square: 1.0, weight: 0.0 }; WIDE + 2 * 2 * NEAR.len() + 1];
        points.iter_mut().zip(matcher.wide).for_each(|(place, at)| *place = point(at));
        let mut count = WIDE;
        let mut near = |omega: f64| {
            points[count] = point((omega, phi(omega)));
            count += 1;
        };
        near(own);
        for p in [prototype.n, prototype.d].into_iter().filter(|p| p[0] > 0.0 && p[2] > 0.0) {
            let centre = own * (p[0] / p[2]).sqrt().sqrt();
            let width = (p[1] / (p[0] * p[2]).sqrt() + 2.0).clamp(1e-4, 1.0).sqrt();
            if centre <= 1.05 * matcher.top {
                for factor in NEAR.map(|n| 1.0 + n * width) {
                    near((centre * factor).min(matcher.top));
                    near((centre / factor).min(matcher.top));
                }
            }
        }
        let points = &points[..count];
        let scale = |point: &FitPoint| {
            point.weight / (point.square * (1.0 + point.phi * (DENOMINATOR[0] + point.phi * DENOMINATOR[1])))
        };
        let mut one = Equations::<2>::default();
        for point in points {
            let scale = scale(point);
            one.add([point.phi * scale, -point.square * point.phi * scale], point.square * scale);
        }
        let [gamma, beta] = one.solve();
        let simple = Self { gamma, alpha: 0.0, beta, delta: 0.0, own: own * own };
        let error = points.iter().map(|point| point.weight * (simple.ratio(point) - 1.0).abs());
        let error = 10.0 / std::f64::consts::LN_10 * error.fold(0.0, f64::max);
        let [from, to] = ENOUGH_DB;
        let share = ((error - from) / (to - from)).clamp(0.0, 1.0);
        if share == 0.0 {
            return simple;
        }
        let mut two = Equations::<4>::default();
        for point @ FitPoint { phi, square, .. } in points {
            let scale = scale(point);
            two.add([*phi, -square * phi, phi * phi, -square * phi * phi].map(|x| x * scale), square * scale);
        }
        let full = two.solve();
        let mix = |simple: f64, full: f64| simple + share * (full - simple);
        Self {
            gamma: mix(gamma, full[0]),
            beta: mix(beta, full[1]),
            alpha: share * full[2],
            delta: share * full[3],
            ..simple
        }
    }

    /// R / ω².
    fn ratio(&self, point: &FitPoint) -> f64 {
        let Self { gamma, alpha, beta, delta, .. } = self;
        let phi = point.phi;
        phi * (gamma + alpha * phi) / (1.0 + phi * (beta + delta * phi)) / point.square
    }

    /// Position of `root` in the z plane, for each of the two sections.
    fn sections(&self, root: Root) -> [Complex64; 2] {
        let Root { over, under } = root;
        let over = over * self.own;
        let square = over * -self.delta + under * self.alpha;
        let middle = over * -self.beta + under * self.gamma;
        let side = (middle * middle + square * over * 4.0).sqrt();
        // One solution has a small φ, the other a small 1 / φ; both follow from the sum without cancellation. The principal
        // root keeps each solution in its section while the filter moves.
        let cancels = middle.re * side.re + middle.im * side.im < 0.0;
        let sum = if cancels { middle - side } else { middle + side };
        let (near, far) = (inside(over * 2.0 / sum), inside_of_inverse(square * -2.0 / sum));
        if cancels { [far, near] } else { [near, far] }
    }
}

/// The z inside or on the unit circle that belongs to φ: 2 - 4φ = z + 1/z.
fn inside(phi: Complex64) -> Complex64 {
    let cosine = Complex64::ONE - phi * 2.0;
    let sine = (phi * phi - phi).sqrt() * 2.0;
    let is_larger = cosine.re * sine.re + cosine.im * sine.im >= 0.0;
    (if is_larger { cosine + sine } else { cosine - sine }).inv()
}

fn inside_of_inverse(inverse: Complex64) -> Complex64 {
    inverse / (inverse - 2.0 - (Complex64::ONE - inverse).sqrt() * 2.0)
}

/// Two roots of a section.
struct Pair {
    first: Complex64,
    second: Complex64,
    /// (1 - z1)(1 - z2), (1 + z1)(1 + z2) and 1 - z1 z2.
    at_one: f64,
    at_minus_one: f64,
    rest: f64,
}

impl Pair {
    fn new(first: Complex64, second: Complex64) -> Self {
        let one = Complex64::ONE;
        Self {
            first,
            second,
            at_one: ((one - first) * (one - second)).re,
            at_minus_one: ((one + first) * (one + second)).re,
            rest: 1.0 - (first * second).re,
        }
    }

    fn level(&self, z: Complex64) -> f64 {
        ((z - self.first) * (z - self.second)).norm()
    }
}

fn section((zeros, poles): &(Pair, Pair), gain: f64) -> Coeffs {
    let g = (poles.at_one / poles.at_minus_one).sqrt();
    let k = 2.0 * poles.rest / (poles.at_minus_one * g);
    let high = gain * zeros.at_minus_one / poles.at_minus_one;
    let band = gain * 2.0 * zeros.rest / (poles.at_minus_one * g);
    let low = gain * zeros.at_one / poles.at_one;
    Coeffs::of(g, k, [high, band, low])
}

/// Normal equations of a least-squares fit.
struct Equations<const N: usize> {
    left: [[f64; N]; N],
    right: [f64; N],
}

impl<const N: usize> Default for Equations<N> {
    fn default() -> Self {
        Self { left: [[0.0; N]; N], right: [0.0; N] }
    }
}

impl<const N: usize> Equations<N> {
    fn add(&mut self, row: [f64; N], value: f64) {
        for (i, x) in row.iter().enumerate() {
            self.right[i] += x * value;
            // The matrix is symmetric: only its upper half is used.
            for (sum, y) in self.left[i].iter_mut().zip(row).skip(i) {
                *sum += x * y;
            }
        }
    }

    /// Gaussian elimination: the matrix is symmetric and positive, so it needs no pivots.
    fn solve(mut self) -> [f64; N] {
        for i in 0..N {
            for j in i + 1..N {
                let factor = self.left[i][j] / self.left[i][i];
                for k in j..N {
                    self.left[j][k] -= factor * self.left[i][k];
                }
                self.right[j] -= factor * self.right[i];
            }
        }
        let mut x = [0.0; N];
        for i in (0..N).rev() {
            let known: f64 = (i + 1..N).map(|k| self.left[i][k] * x[k]).sum();
            x[i] = (self.right[i] - known) / self.left[i][i];
        }
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAINS: [f64; 7] = [-18.0, -12.0, -3.0, 0.5, 6.0, 12.0, 18.0];
    const QS: [f64; 8] = [0.3, 0.5, 0.707, 1.0, 2.0, 4.0, 8.0, 12.0];

    fn error(rate: f64, freq: f64, prototype: &Prototype, floor: f64) -> f64 {
        let sections = Matcher::new(rate).sections(prototype, freq);
        let wide = (0..=120).map(|i| 10.0 * 2_000.0_f64.powf(f64::from(i) / 120.0));
        let near = (-12..=12).map(|i| freq * 1.02_f64.powi(i));
        let worst = wide.chain(near).filter(|f| (10.0..=20_000.0).contains(f)).map(|f| {
            let expected = prototype.power(f / freq);
            let got: f64 = sections.iter().map(|section| section.power(rate, f)).product();
            if expected < floor { 0.0 } else { 10.0 * (got / expected).log10().abs() }
        });
        worst.fold(0.0, |worst: f64, x| if x.is_nan() { f64::INFINITY } else { worst.max(x) })
    }

    fn freqs() -> Vec<f64> {
        (0..=40).map(|i| 20.0 * 1_000.0_f64.powf(f64::from(i) / 40.0)).chain([18_500.0, 19_500.0]).collect()
    }

    /// The largest error of `make` over the whole range, and where.
    fn worst(rate: f64, gains: &[f64], qs: &[f64], floor: f64, make: fn(f64, f64) -> Prototype) -> [f64; 4] {
        let all = freqs()
            .into_iter()
            .flat_map(|freq| gains.iter().flat_map(move |gain| qs.iter().map(move |q| [freq, *gain, *q])));
        let errors = all.map(|[freq, gain, q]| [error(rate, freq, &make(gain, q), floor), freq, gain, q]);
        errors.max_by(|a, b| a[0].total_cmp(&b[0])).unwrap_or_default()
    }

    #[test]
    fn bells_shelves_and_tilts_are_within_a_tenth_of_a_db_of_their_prototypes() {
        let shapes: [fn(f64, f64) -> Prototype; 4] =
            [Prototype::bell, Prototype::lowshelf, Prototype::highshelf, Prototype::tilt];
        for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
            for make in shapes {
                let [error, freq, gain, q] = worst(rate, &GAINS, &QS, 0.0, make);
                assert!(error < 0.1, "{error:.3} dB at {rate} Hz: {freq} Hz, {gain} dB, q {q}");
            }
        }
    }

    #[test]
    fn passes_and_bands_are_within_a_tenth_of_a_db_down_to_60_db() {
        // The sides of a notch are so steep that only its upper 20 dB are checked.
        type Make = fn(f64, f64) -> Prototype;
        let shapes: [(f64, Make); 6] = [
            (1e-6, |_, q| Prototype::highpass(q)),
            (1e-6, |_, q| Prototype::lowpass(q)),
            (1e-6, |_, q| Prototype::bandpass(q)),
            (1e-2, |_, q| Prototype::notch(q)),
            (1e-6, |_, _| Prototype::highpass6()),
            (1e-6, |_, _| Prototype::lowpass6()),
        ];
        for rate in [44_100.0, 48_000.0, 96_000.0] {
            for (floor, make) in shapes {
                let [error, freq, _, q] = worst(rate, &[0.0], &QS[..7], floor, make);
                assert!(error < 0.1, "{error:.3} dB at {rate} Hz: {freq} Hz, q {q}");
            }
        }
    }

    #[test]
    fn every_setting_gives_finite_and_stable_filters() {
        for rate in [8_000.0, 44_100.0, 48_000.0, 192_000.0] {
            for freq in [10.0, 100.0, 3_000.0, 9_000.0, 15_000.0, 18_200.0, 20_000.0] {
                for q in [0.1, 0.3, 0.5, 0.7, 1.4, 2.0, 24.0] {
                    for gain in [-30.0, -24.0, -0.01, 0.0, 0.01, 3.0, 30.0] {
                        for prototype in [
                            Prototype::bell(gain, q),
                            Prototype::lowshelf(gain, q),
                            Prototype::highshelf(gain, q),
                            Prototype::tilt(gain, q),
                            Prototype::bandpass(q),
                            Prototype::notch(q),
                            Prototype::highpass(q),
                            Prototype::lowpass(q),
                        ] {
                            for section in Matcher::new(rate).sections(&prototype, freq) {
                                let stable = section.is_stable();
                                assert!(stable, "{prototype:?} at {freq} Hz of {rate} Hz: {section:?}");
                            }
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn low_bands_and_a_bell_at_0_db_need_no_second_section() {
        for prototype in [Prototype::bell(0.0, 1.0), Prototype::bell(3.0, 1.0), Prototype::highpass(0.7)] {
            assert!(Matcher::new(48_000.0).sections(&prototype, 100.0)[1].is_identity(), "{prototype:?}");
        }
        assert!(
            Matcher::new(48_000.0)
                .sections(&Prototype::bell(0.0, 1.0), 15_000.0)
                .iter()
                .all(Coeffs::is_identity)
        );
    }
}
