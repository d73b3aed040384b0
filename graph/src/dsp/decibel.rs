//! Decibels and gain factors.

use std::f64::consts::LN_10;

/// The linear amplitude factor of a level change in dB.
pub fn db_to_gain(db: f64) -> f64 {
    10.0_f64.powf(db / 20.0)
}

/// The level change in dB of a linear amplitude factor; −∞ for 0.
pub fn gain_to_db(gain: f64) -> f64 {
    20.0 * gain.log10()
}

/// `[audio]` The same as [`db_to_gain`], but for rounding; faster.
#[inline]
pub(crate) fn db_to_gain_by_exp(db: f64) -> f64 {
    (db * (LN_10 / 20.0)).exp()
}

/// `[audio]` The same as [`gain_to_db`], but for rounding; faster.
#[inline]
pub(crate) fn gain_to_db_by_ln(gain: f64) -> f64 {
    gain.ln() * (20.0 / LN_10)
}
