//! Second-order filters as trapezoidal state-variable filters: stable even under fast modulation.
//!
//! Source: A. Simper, *Solving the continuous SVF equations using trapezoidal integration* (2013), names
//! g, k, a1..a3, m0..m2 as there. Their responses equal the bilinear ones of R. Bristow-Johnson's *Audio EQ
//! Cookbook* (W3C Note, 2021).

use std::f64::consts::PI;

/// Coefficients of a filter; the same for every channel.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Coeffs {
    a1: f64,
    a2: f64,
    a3: f64,
    m0: f64,
    m1: f64,
    m2: f64,
}

/// State of a filter; one per channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct State {
    /// First integrator.
    pub ic1: f64,
    /// Second integrator.
    pub ic2: f64,
}

impl Coeffs {
    /// Passes the signal unchanged.
    pub(crate) const IDENTITY: Self = Self { a1: 1.0, a2: 0.0, a3: 0.0, m0: 1.0, m1: 0.0, m2: 0.0 };

    /// The coefficients a1, a2, a3, m0, m1, m2.
    pub(crate) fn parts(&self) -> [f64; 6] {
        [self.a1, self.a2, self.a3, self.m0, self.m1, self.m2]
    }

    fn new(g: f64, k: f64, mix: [f64; 3]) -> Self {
        let a1 = 1.0 / (1.0 + g * (g + k));
        let a2 = g * a1;
        Self { a1, a2, a3: g * a2, m0: mix[0], m1: mix[1], m2: mix[2] }
    }

    /// A filter with any numerator: the last argument gives the shares of the high-pass, band-pass and low-pass outputs. `g`
    /// is the gain of the integrators, tan(π f / rate), `k` the damping, 1/q.
    pub(crate) fn of(g: f64, k: f64, [high, band, low]: [f64; 3]) -> Self {
        Self::new(g, k, [high, band - k * high, low - high])
    }

    /// Whether it passes the signal unchanged.
    pub(crate) fn is_identity(&self) -> bool {
        self.m0 == 1.0 && self.m1 == 0.0 && self.m2 == 0.0
    }

    /// tan(π f / rate), with the frequency limited to below the Nyquist frequency.
    fn warp(sample_rate: f64, freq_hz: f64) -> f64 {
        (PI * (freq_hz / sample_rate).min(0.499)).tan()
    }

    /// Bell: `gain_db` at `freq_hz`; `q` as in the cookbook, so that boost and cut are symmetrical.
    pub(crate) fn bell(sample_rate: f64, freq_hz: f64, gain_db: f64, q: f64) -> Self {
        let a = 10.0_f64.powf(gain_db / 40.0);
        let k = 1.0 / (q * a);
        Self::new(Self::warp(sample_rate, freq_hz), k, [1.0, k * (a * a - 1.0), 0.0])
    }

    /// Low shelf: `gain_db` far below `freq_hz`, half of it at `freq_hz`.
    pub(crate) fn lowshelf(sample_rate: f64, freq_hz: f64, gain_db: f64, q: f64) -> Self {
        let a = 10.0_f64.powf(gain_db / 40.0);
        let k = 1.0 / q;
        let g = Self::warp(sample_rate, freq_hz) / a.sqrt();
        Self::new(g, k, [1.0, k * (a - 1.0), a * a - 1.0])
    }

    /// Band-pass: 0 dB at `freq_hz`, 6 dB/oct on both sides; `freq_hz`/`q` wide between the -3 dB points.
    pub(crate) fn bandpass(sample_rate: f64, freq_hz: f64, q: f64) -> Self {
        let k = 1.0 / q;
        Self::new(Self::warp(sample_rate, freq_hz), k, [0.0, k, 0.0])
    }

    /// All-pass: 0 dB everywhere; the phase shift is 180 degrees at `freq_hz`.
    pub(crate) fn allpass(sample_rate: f64, freq_hz: f64, q: f64) -> Self {
        let k = 1.0 / q;
        Self::new(Self::warp(sample_rate, freq_hz), k, [1.0, -2.0 * k, 0.0])
    }

    /// High-pass, 12 dB/oct; −3.01 dB at `freq_hz` with q = 0.7071.
    pub(crate) fn highpass(sample_rate: f64, freq_hz: f64, q: f64) -> Self {
        let k = 1.0 / q;
        Self::new(Self::warp(sample_rate, freq_hz), k, [1.0, -k, -1.0])
    }

    /// Low-pass, 12 dB/oct; −3.01 dB at `freq_hz` with q = 0.7071.
    pub(crate) fn lowpass(sample_rate: f64, freq_hz: f64, q: f64) -> Self {
        Self::new(Self::warp(sample_rate, freq_hz), 1.0 / q, [0.0, 0.0, 1.0])
    }

    /// High-pass, 6 dB/oct, as a second-order filter: two equal real poles, one of them cancelled by a zero.
    pub(crate) fn highpass6(sample_rate: f64, freq_hz: f64) -> Self {
        // With k = 2 both poles lie at g; high + band is s(s+1)/(s+1)^2 = s/(s+1).
        Self::new(Self::warp(sample_rate, freq_hz), 2.0, [1.0, -1.0, -1.0])
    }

    /// Low-pass, 6 dB/oct.
    pub(crate) fn lowpass6(sample_rate: f64, freq_hz: f64) -> Self {
        // low + band is (s+1)/(s+1)^2 = 1/(s+1).
        Self::new(Self::warp(sample_rate, freq_hz), 2.0, [0.0, 1.0, 1.0])
    }

    /// `[audio]` Filters one sample.
    #[inline]
    pub(crate) fn tick(&self, state: &mut State, sample: f64) -> f64 {
        let v3 = sample - state.ic2;
        let v1 = self.a1 * state.ic1 + self.a2 * v3;
        let v2 = state.ic2 + self.a2 * state.ic1 + self.a3 * v3;
        state.ic1 = 2.0 * v1 - state.ic1;
        state.ic2 = 2.0 * v2 - state.ic2;
        self.m0 * sample + self.m1 * v1 + self.m2 * v2
    }
}

/// A filter as a ratio of two polynomials in j tan(ω/2), to compute its response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Ratio {
    /// Coefficients of the numerator: of degree 0, 1 and 2.
    over: [f64; 3],
    /// Coefficients of the denominator, of degree 1 and 2; that of degree 0 is 1.
    under: [f64; 2],
}

impl Coeffs {
    /// g and k, from a1 = 1 / (1 + g (g + k)), a2 = g a1, a3 = g a2.
    fn tuning(&self) -> [f64; 2] {
        let g = self.a3 / self.a2;
        [g, (1.0 / self.a1 - 1.0) / g - g]
    }

    /// The filter as a ratio. Not valid for [`Self::IDENTITY`].
    pub(crate) fn ratio(&self) -> Ratio {
        let [g, k] = self.tuning();
        let (high, band, low) = (self.m0, self.m1 + k * self.m0, self.m2 + self.m0);
        Ratio { over: [low, band / g, high / (g * g)], under: [k / g, 1.0 / (g * g)] }
    }
}

impl Ratio {
    /// Numerator and denominator at φ = sin²(ω/2), both times cos²(ω/2) so that they are finite: the real part, and the
    /// square of the imaginary part.
    #[inline(always)]
    fn at(&self, phi: f64) -> [[f64; 2]; 2] {
        let (cosine, cross) = (1.0 - phi, phi * (1.0 - phi));
        let [low, band, high] = self.over;
        let [damping, top] = self.under;
        [[low * cosine - high * phi, band * band * cross], [cosine - top * phi, damping * damping * cross]]
    }

    /// Squared magnitude at φ = sin²(ω/2).
    #[inline(always)]
    pub(crate) fn power(&self, phi: f64) -> f64 {
        let [over, under] = self.at(phi);
        (over[0] * over[0] + over[1]) / (under[0] * under[0] + under[1])
    }

    /// Phase at φ in rad, unwrapped, of a filter without zeros outside the unit circle.
    pub(crate) fn phase(&self, phi: f64) -> f64 {
        let [over, under] = self.at(phi).map(|[re, im]| im.sqrt().atan2(re));
        over - under
    }
}

/// For tests.
#[cfg(test)]
impl Coeffs {
    /// Whether all coefficients are finite and the damping is above 0.
    pub(crate) fn is_stable(&self) -> bool {
        let [g, k] = self.tuning();
        self.parts().iter().all(|x| x.is_finite()) && (self.is_identity() || g > 0.0 && k > 0.0)
    }

    /// Squared magnitude at `freq_hz`.
    pub(crate) fn power(&self, sample_rate: f64, freq_hz: f64) -> f64 {
        if self.is_identity() { 1.0 } else { self.ratio().power((PI * freq_hz / sample_rate).sin().powi(2)) }
    }
}

/// Q of section `index` of a Butterworth filter of order `order`, without the real pole of an odd order.
///
/// The poles of a Butterworth filter lie on a circle at equal angles.
pub(crate) fn butterworth_q(order: usize, index: usize) -> f64 {
    let angle = if order.is_multiple_of(2) { 2 * index + 1 } else { 2 * index + 2 } as f64;
    0.5 / (PI * angle / (2.0 * order as f64)).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RATE: f64 = 48_000.0;

    /// Level in dB at `freq_hz` of the filter's impulse response.
    fn level(coeffs: Coeffs, freq_hz: f64) -> f64 {
        let mut state = State::default();
        let (mut re, mut im) = (0.0, 0.0);
        for n in 0..200_000 {
            let y = coeffs.tick(&mut state, if n == 0 { 1.0 } else { 0.0 });
            let angle = 2.0 * PI * freq_hz / RATE * f64::from(n);
            re += y * angle.cos();
            im -= y * angle.sin();
        }
        10.0 * (re * re + im * im).log10()
    }

    /// Expected levels: computed from the cookbook's formulas, to 0.001 dB.
    #[test]
    fn responses_are_the_cookbooks() {
        let q = 0.5_f64.sqrt();
        for (coeffs, freq, db) in [
            (Coeffs::bell(RATE, 1000.0, 6.0, 1.0), 500.0, 1.879),
            (Coeffs::bell(RATE, 1000.0, 6.0, 1.0), 1000.0, 6.0),
            (Coeffs::bell(RATE, 100.0, -12.0, 2.0), 100.0, -12.0),
            (Coeffs::bell(RATE, 10_000.0, 6.0, 1.0), 16_000.0, 1.442),
            (Coeffs::lowshelf(RATE, 100.0, 6.0, q), 100.0, 3.0),
            (Coeffs::lowshelf(RATE, 100.0, 6.0, q), 20.0, 5.990),
            (Coeffs::highpass(RATE, 30.0, q), 20.0, -7.827),
            (Coeffs::lowpass(RATE, 10_000.0, q), 16_000.0, -14.307),
            (Coeffs::bandpass(RATE, 1000.0, 2.0), 1000.0, 0.0),
            (Coeffs::bandpass(RATE, 1000.0, 1.0), 10.0, -40.012),
            (Coeffs::allpass(RATE, 1000.0, 2.0), 1000.0, 0.0),
            (Coeffs::allpass(RATE, 1000.0, 2.0), 900.0, 0.0),
            (Coeffs::highpass6(RATE, 100.0), 100.0, -3.010),
            (Coeffs::lowpass6(RATE, 1000.0), 1000.0, -3.010),
        ] {
            let got = level(coeffs, freq);
            assert!((got - db).abs() < 0.002, "{coeffs:?} at {freq} Hz: {got:.4} dB, not {db} dB");
        }
    }

    #[test]
    fn a_butterworth_cascade_is_three_db_down_at_its_corner() {
        for order in [2, 4, 8, 16] {
            let sum: f64 = (0..order / 2)
                .map(|i| level(Coeffs::lowpass(RATE, 1000.0, butterworth_q(order, i)), 1000.0))
                .sum();
            assert!((sum + 3.0103).abs() < 0.001, "order {order}: {sum:.4} dB");
        }
    }
}
