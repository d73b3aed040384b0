//! Fractional delay: windowed-sinc interpolation between samples.
//!
//! Source: T. I. Laakso et al., *Splitting the Unit Delay*, IEEE Signal Processing Magazine 13(1), 1996.

use crate::dsp::window::sinc;

/// Samples on each side of the interpolated point.
pub(crate) const SIDE: usize = 48;
const TAPS: usize = 2 * SIDE;
/// Tabulated positions between two samples; between those the coefficients are interpolated linearly.
const PLACES: usize = 512;
/// Shape of the Kaiser window: flat within 0.01 dB to 20 kHz at 48 kHz.
const BETA: f64 = 6.0;

/// The interpolation filters for all tabulated positions between two samples.
#[derive(Clone, Debug)]
pub(crate) struct Fraction {
    /// One row more than there are positions, so that each has a next one.
    rows: Box<[[f64; TAPS]]>,
}

impl Default for Fraction {
    fn default() -> Self {
        Self::new()
    }
}

impl Fraction {
    /// `[control]` Computes the filters.
    pub(crate) fn new() -> Self {
        let row = |place: usize| {
            let shift = place as f64 / PLACES as f64;
            let taps: [f64; TAPS] =
                std::array::from_fn(|i| sinc(i as f64 - (SIDE as f64 - 1.0) - shift, SIDE as f64, BETA));
            let sum: f64 = taps.iter().sum();
            taps.map(|tap| tap / sum)
        };
        Self { rows: (0..=PLACES).map(row).collect() }
    }

    /// `[audio]` The value `share` (0..1) of the way from the newer to the older of the two samples in the middle of
    /// `recent`, which holds 2 [`SIDE`] samples, the newest first.
    #[inline]
    pub(crate) fn between(&self, recent: impl Fn(usize) -> f64, share: f64) -> f64 {
        let place = share * PLACES as f64;
        let at = (place as usize).min(PLACES - 1);
        let rest = place - at as f64;
        let (low, high) = (&self.rows[at], &self.rows[at + 1]);
        (0..TAPS).map(|i| recent(i) * (low[i] + rest * (high[i] - low[i]))).sum()
    }
}
