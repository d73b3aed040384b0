//! A delay by parts of a frame: windowed sinc between the samples.
//!
//! Source: T. I. Laakso et al., *Splitting the Unit Delay*, IEEE Signal Processing Magazine 13(1), 1996.

use std::f64::consts::PI;

/// Samples on each side of the place between two.
pub const SIDE: usize = 48;
const TAPS: usize = 2 * SIDE;
/// Places between two samples that are tabled; between those it is linear.
const PLACES: usize = 512;
/// Shape of the Kaiser window: flat within 0.01 dB to 20 kHz at 48 kHz.
const BETA: f64 = 6.0;

/// The filters for every place between two samples.
#[derive(Clone, Debug)]
pub struct Fraction {
    /// One row more than there are places, so that each has a next.
    rows: Box<[[f64; TAPS]]>,
}

impl Default for Fraction {
    fn default() -> Self {
        Self::new()
    }
}

impl Fraction {
    /// `[control]` Works them out.
    pub fn new() -> Self {
        let row = |place: usize| {
            let shift = place as f64 / PLACES as f64;
            let taps: [f64; TAPS] = std::array::from_fn(|i| tap(i as f64 - (SIDE as f64 - 1.0) - shift));
            let sum: f64 = taps.iter().sum();
            taps.map(|tap| tap / sum)
        };
        Self { rows: (0..=PLACES).map(row).collect() }
    }

    /// `[audio]` The value `share` (0..1) of the way from the newer to the older of the two samples in the middle of
    /// `recent`, which holds 2 [`SIDE`] samples, the newest first.
    #[inline]
    pub fn between(&self, recent: impl Fn(usize) -> f64, share: f64) -> f64 {
        let place = share * PLACES as f64;
        let at = (place as usize).min(PLACES - 1);
        let rest = place - at as f64;
        let (low, high) = (&self.rows[at], &self.rows[at + 1]);
        (0..TAPS).map(|i| recent(i) * (low[i] + rest * (high[i] - low[i]))).sum()
    }
}

fn tap(t: f64) -> f64 {
    if t == 0.0 {
        return 1.0;
    }
    let edge = t / SIDE as f64;
    // A whole number of samples is exactly one of them.
    let sinc = if t.fract() == 0.0 { 0.0 } else { (PI * t).sin() / (PI * t) };
    sinc * bessel_i0(BETA * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(BETA)
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..50 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}
