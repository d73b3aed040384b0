//! K-weighting: what a loudness meter hears with.
//!
//! Source: ITU-R BS.1770-5, Annex 1, tables 1 and 2, which give 48 kHz. Other rates: the analogue filters behind
//! both tables, through the bilinear transform; at 48 kHz they give the tables' numbers.

use std::f64::consts::PI;

/// The shelf that stands for the head: frequency in Hz, gain in dB, q.
const SHELF: (f64, f64, f64) = (1_681.974_450_955_533, 3.999_843_853_973_347, 0.707_175_236_955_419_6);
/// Exponent of the shelf's gain at its middle.
const SHELF_MIDDLE: f64 = 0.499_666_774_154_541_6;
/// The high-pass (RLB): frequency in Hz, q.
const HIGHPASS: (f64, f64) = (38.135_470_876_024_44, 0.500_327_037_323_877_3);

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

/// What one channel remembers.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct State([[f64; 2]; 2]);

impl Weighting {
    /// `[control]` The weighting at `sample_rate` Hz.
    pub fn new(sample_rate: f64) -> Self {
        let (freq, gain, q) = SHELF;
        let k = (PI * freq / sample_rate).tan();
        let high = 10.0_f64.powf(gain / 20.0);
        let middle = high.powf(SHELF_MIDDLE);
        let norm = 1.0 + k / q + k * k;
        let shelf = Section {
            b: [
                (high + middle * k / q + k * k) / norm,
                2.0 * (k * k - high) / norm,
                (high - middle * k / q + k * k) / norm,
            ],
            a: [2.0 * (k * k - 1.0) / norm, (1.0 - k / q + k * k) / norm],
        };
        let (freq, q) = HIGHPASS;
        let k = (PI * freq / sample_rate).tan();
        let norm = |k: f64| 1.0 + k / q + k * k;
        // The table is not normalised at 48 kHz; the same gain at every rate keeps the response the same.
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

/// What each of some frequencies, evenly spread over the octaves, counts in the loudness of pink noise; together 1.
/// The shelf's and the high-pass's analogue curves, so that no rate is needed.
pub fn pink_weights(freqs_hz: &[f64]) -> impl Iterator<Item = f64> {
    let power = |freq_hz: &f64| {
        let (freq, gain, q) = SHELF;
        let high = 10.0_f64.powf(gain / 20.0);
        let x = freq_hz / freq;
        let over = (1.0 - high * x * x).powi(2) + (high.powf(SHELF_MIDDLE) * x / q).powi(2);
        let shelf = over / ((1.0 - x * x).powi(2) + (x / q).powi(2));
        let (freq, q) = HIGHPASS;
        let x = freq_hz / freq;
        shelf * x.powi(4) / ((1.0 - x * x).powi(2) + (x / q).powi(2))
    };
    let sum: f64 = freqs_hz.iter().map(power).sum();
    freqs_hz.iter().map(move |freq| power(freq) / sum)
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
