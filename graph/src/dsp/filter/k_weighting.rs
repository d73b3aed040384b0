//! K-weighting: the frequency weighting of loudness meters.
//!
//! Source: ITU-R BS.1770-5, Annex 1, tables 1 and 2, which give coefficients for 48 kHz. Other rates: the analogue
//! filters behind both tables, through the bilinear transform; at 48 kHz they give the coefficients of the tables. At low
//! rates that transform distorts the shelf (by 0.3 dB at 8 kHz; below 3.4 kHz it is not usable): there the shelf is matched
//! to its analogue curve (M. Vicanek, "Matched Second Order Digital Filters", 2016). From 500 Hz up the error is within
//! 0.4 dB; at a rate of 200 Hz the high-pass is up to 1.4 dB low.

use std::f64::consts::{PI, SQRT_2, TAU};

/// The shelf, which models the effect of the head: frequency in Hz, gain in dB, Q.
const SHELF: (f64, f64, f64) = (1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
/// Exponent of the shelf's gain at its midpoint.
const SHELF_MIDDLE: f64 = 0.499_666_774_154_541_6;
/// The high-pass (RLB): frequency in Hz, Q.
const HIGHPASS: (f64, f64) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);

/// Below this rate, in Hz, the shelf is matched.
const MATCHED_BELOW: f64 = 16_000.0;
/// Lowest sample rate with a weighting, in Hz. Below it, all content is below the high-pass and has no loudness.
pub const LOWEST_RATE: f64 = 200.0;

/// Both filters at one sample rate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weighting {
    sections: [Section; 2],
}

/// Coefficients of one section; the first of `a` is 1.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Section {
    b: [f64; 3],
    a: [f64; 2],
}

/// State of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State([[f64; 2]; 2]);

impl Weighting {
    /// `[control]` The weighting at `sample_rate` Hz; below [`LOWEST_RATE`] the output is 0.
    pub fn new(sample_rate: f64) -> Self {
        if sample_rate < LOWEST_RATE {
            return Self { sections: [Section { b: [0.0; 3], a: [0.0; 2] }; 2] };
        }
        let (freq, gain, q) = SHELF;
        let k = (PI * freq / sample_rate).tan();
        let high = 10.0_f64.powf(gain / 20.0);
        let middle = high.powf(SHELF_MIDDLE);
        let norm = 1.0 + k / q + k * k;
        let bilinear = Section {
            b: [
                (high + middle * k / q + k * k) / norm,
                2.0 * (k * k - high) / norm,
                (high - middle * k / q + k * k) / norm,
            ],
            a: [2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm],
        };
        let shelf = if sample_rate < MATCHED_BELOW { matched_shelf(sample_rate) } else { bilinear };
        let (freq, q) = HIGHPASS;
        let k = (PI * freq / sample_rate).tan();
        let norm = |k: f64| 1.0 + k / q + k * k;
        // The table is not normalised at 48 kHz; the response is made the same at every rate.
        let gain = norm((PI * freq / 48_000.0).tan()) / norm(k);
        let norm = norm(k);
        let highpass = Section {
            b: [gain, -2.0 * gain, gain],
            a: [2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm],
        };
        Self { sections: [shelf, highpass] }
    }

    /// `[audio]` Weights one sample.
    #[inline]
    pub fn tick(&self, state: &mut State, sample: f64) -> f64 {
        self.sections.iter().zip(&mut state.0).fold(sample, |x, (Section { b, a }, z)| {
            let y = b[0] * x + z[0];
            *z = [b[1] * x - a[0] * y + z[1], b[2] * x - a[1] * y];
            y
        })
    }
}

/// The shelf with the poles of the analogue one, and its level at 0 Hz, at half the Nyquist frequency and at the Nyquist
/// frequency. Symbols are Vicanek's.
fn matched_shelf(sample_rate: f64) -> Section {
    let (freq, _, q) = SHELF;
    let w0 = TAU * freq / sample_rate;
    let damping = 0.5 / q;
    let decay = (-damping * w0).exp();
    let a = [-2.0 * decay * ((1.0 - damping * damping).sqrt() * w0).cos(), decay * decay];
    let squares = [(1.0 + a[0] + a[1]).powi(2), (1.0 - a[0] + a[1]).powi(2), -4.0 * a[1]];
    // At half the Nyquist frequency, the squared sine of half the angle is 1/2.
    let middle = (squares[0] + squares[1]) / 2.0 + squares[2];
    let [at_0, at_nyquist] = [squares[0], squares[1] * shelf_power(sample_rate / 2.0)];
    let rest = middle * shelf_power(sample_rate / 4.0) - (at_0 + at_nyquist) / 2.0;
    let half = (at_0.sqrt() + at_nyquist.sqrt()) / 2.0;
    let first = (half + (half * half + rest).max(0.0).sqrt()) / 2.0;
    Section { b: [first, (at_0.sqrt() - at_nyquist.sqrt()) / 2.0, -rest / (4.0 * first)], a }
}

/// Squared magnitude of the analogue shelf at a frequency.
fn shelf_power(freq_hz: f64) -> f64 {
    let (freq, gain, q) = SHELF;
    let high = 10.0_f64.powf(gain / 20.0);
    let x = freq_hz / freq;
    let over = (1.0 - high * x * x).powi(2) + (high.powf(SHELF_MIDDLE) * x / q).powi(2);
    over / ((1.0 - x * x).powi(2) + (x / q).powi(2))
}

/// Highest frequency that counts in the loudness of pink noise, in Hz.
const HIGHEST_HZ: f64 = 20_000.0;
/// Where the loudness of pink noise is measured, in Hz: an octave apart.
pub(crate) const PROBES: [f64; 10] =
    [31.5, 63.0, 125.0, 250.0, 500.0, 1_000.0, 2_000.0, 4_000.0, 8_000.0, 16_000.0];

/// Power of pink noise at a sample rate, K-weighted, behind filters of these squared magnitudes at each of [`PROBES`]; 1
/// without.
pub(crate) fn pink_power<'a>(
    sample_rate: f64,
    filters: impl Iterator<Item = &'a [f64; PROBES.len()]> + Clone,
) -> f64 {
    let weights = pink_weights(sample_rate).into_iter().enumerate();
    weights.map(|(at, weight)| filters.clone().fold(weight, |power, powers| power * powers[at])).sum()
}

/// What each of [`PROBES`] counts in the loudness of pink noise; together 1. The shelf's and the high-pass's analogue
/// curves; the sample rate only sets which share of its octave is there.
fn pink_weights(sample_rate: f64) -> [f64; PROBES.len()] {
    let power = |freq_hz: f64| {
        let (freq, q) = HIGHPASS;
        let x = freq_hz / freq;
        let square = x * x;
        let upper = |end_hz: f64| (end_hz / freq_hz).log2() + 0.5;
        let share = upper(sample_rate / 2.0) / upper((SQRT_2 * freq_hz).min(HIGHEST_HZ));
        // Products, for a compiler that knows the number rounds powers in another way.
        let over = shelf_power(freq_hz) * (square * square);
        let under = (1.0 - square) * (1.0 - square) + (x / q) * (x / q);
        share.clamp(0.0, 1.0) * (over / under)
    };
    let powers = PROBES.map(power);
    let sum: f64 = powers.iter().sum();
    powers.map(|power| power / sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Levels of the standard's response, in dB.
    #[test]
    fn the_response_is_the_standards_at_every_rate() {
        for rate in [44_100.0, 48_000.0, 96_000.0] {
            for (freq, db) in
                [(20.0, -13.275), (50.0, -3.934), (100.0, -1.134), (997.0, 0.691), (2_000.0, 3.071)]
            {
                let weighting = Weighting::new(rate);
                let mut state = State::default();
                let (mut re, mut im) = (0.0, 0.0);
                for n in 0..(rate * 4.0) as u32 {
                    let y = weighting.tick(&mut state, if n == 0 { 1.0 } else { 0.0 });
                    let angle = 2.0 * PI * freq / rate * f64::from(n);
                    re += y * angle.cos();
                    im -= y * angle.sin();
                }
                let got = 10.0 * (re * re + im * im).log10();
                assert!((got - db).abs() < 0.02, "{freq} Hz at {rate} Hz: {got:.3} dB, not {db} dB");
            }
        }
    }

    /// Level in dB at a frequency, from the impulse response.
    fn level(rate: f64, freq: f64) -> f64 {
        let weighting = Weighting::new(rate);
        let mut state = State::default();
        let (mut re, mut im) = (0.0, 0.0);
        for n in 0..(rate * 4.0) as u32 {
            let y = weighting.tick(&mut state, if n == 0 { 1.0 } else { 0.0 });
            let angle = TAU * freq / rate * f64::from(n);
            (re, im) = (re + y * angle.cos(), im - y * angle.sin());
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn low_rates_have_the_same_response_as_far_as_they_go() {
        // The response at a high rate is closest to the analogue curve.
        for (rate, tolerance) in [
            (200.0, 1.4),
            (500.0, 0.4),
            (1_000.0, 0.15),
            (2_000.0, 0.3),
            (4_000.0, 0.4),
            (8_000.0, 0.1),
            (11_025.0, 0.06),
        ] {
            for share in [0.2, 0.3, 0.5, 0.7, 0.9, 0.98] {
                let freq = share * rate / 2.0;
                let (got, wanted) = (level(rate, freq), level(96_000.0, freq));
                assert!(
                    (got - wanted).abs() < tolerance,
                    "{freq} Hz at {rate} Hz: {got:.3}, not {wanted:.3}"
                );
            }
        }
        let mut state = State::default();
        let weighted = [1.0, 1e100, -1.0].map(|x| Weighting::new(1.0).tick(&mut state, x));
        assert_eq!(weighted, [0.0; 3], "no loudness below {LOWEST_RATE} Hz");
    }

    #[test]
    fn at_48_khz_the_coefficients_are_the_tables() {
        let [shelf, highpass] = Weighting::new(48_000.0).sections;
        let table =
            [1.535_124_859_586_97, -2.691_696_189_406_38, 1.198_392_810_852_85, -1.690_659_293_182_41];
        for (got, table) in shelf.b.iter().chain(&shelf.a).zip(table) {
            assert!((got - table).abs() < 1e-12);
        }
        assert!((highpass.a[0] + 1.990_047_454_833_98).abs() < 1e-12);
        assert!((highpass.a[1] - 0.990_072_250_366_21).abs() < 1e-12);
    }
}
