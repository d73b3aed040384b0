//! The Kaiser window of all FIR filters, and the windowed sinc.
//!
//! Source: J. F. Kaiser, *Nonrecursive digital filter design using the I0-sinh window function*, 1974.

use std::f64::consts::PI;

/// The window at `edge` (-1..=1; 0 is the centre). A higher `beta` lowers the side lobes and widens the transition.
pub(crate) fn window(edge: f64, beta: f64) -> f64 {
    bessel_i0(beta * (1.0 - edge * edge).max(0.0).sqrt()) / bessel_i0(beta)
}

/// sin(pi t)/(pi t) times the window that ends at ±`side`; exactly 1 or 0 at integers.
pub(crate) fn sinc(t: f64, side: f64, beta: f64) -> f64 {
    lowpass(t, 1.0, side, beta)
}

/// The same with its edge at `corner` of Nyquist: an ideal low-pass under the window, exactly 0 at its zeros.
pub(crate) fn lowpass(t: f64, corner: f64, side: f64, beta: f64) -> f64 {
    match t {
        0.0 => corner,
        t if (corner * t).fract() == 0.0 => 0.0,
        t => (PI * corner * t).sin() / (PI * t) * window(t / side, beta),
    }
}

/// Modified Bessel function of the first kind, order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..60 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}
