//! Clipping with reduced aliasing.
//!
//! First-order antiderivative anti-aliasing: the value of the shape at each sample is replaced by its mean between the
//! previous sample and this one, computed from its antiderivative. The delay is half a sample.
//!
//! Source: J. Parker, V. Zavalishin, E. Le Bivic, *Reducing the Aliasing of Nonlinear Waveshaping Using Continuous-Time
//! Convolution*, DAFx-16, section 3.

/// Samples that differ by less count as equal.
const SAME: f64 = 1e-5;

/// What clipping at 1 adds to `x`: 0 below `knee` (0..=1); above it the output follows a tanh. A knee of 1 is hard clipping.
fn correction(x: f64, knee: f64) -> f64 {
    let over = x.abs() - knee;
    if over <= 0.0 {
        return 0.0;
    }
    let rest = 1.0 - knee;
    let clipped = if rest > 0.0 { rest * (over / rest).tanh() } else { 0.0 };
    (over - clipped).copysign(-x)
}

/// The antiderivative of [`correction`].
fn antiderivative(x: f64, knee: f64) -> f64 {
    let over = x.abs() - knee;
    if over <= 0.0 {
        return 0.0;
    }
    let rest = 1.0 - knee;
    // ln cosh z, without overflow for large z.
    let soft = if rest > 0.0 {
        let z = over / rest;
        rest * rest * (z + (-2.0 * z).exp().ln_1p() - std::f64::consts::LN_2)
    } else {
        0.0
    };
    soft - 0.5 * over * over
}

/// `[audio]` Mean of what clipping at 1 adds, between the samples `last` and `x`.
#[inline]
pub(crate) fn mean_correction(last: f64, x: f64, knee: f64) -> f64 {
    if last.abs() <= knee && x.abs() <= knee {
        0.0
    } else if (x - last).abs() < SAME {
        correction(0.5 * (x + last), knee)
    } else {
        (antiderivative(x, knee) - antiderivative(last, knee)) / (x - last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signal_plus_correction_is_the_clipped_signal() {
        for (knee, x, expected) in [
            (1.0, 0.9, 0.9),
            (1.0, 1.5, 1.0),
            (1.0, -3.0, -1.0),
            (0.0, 0.5, 0.5_f64.tanh()),
            (0.5, -1.5, -(0.5 + 0.5 * 2.0_f64.tanh())),
        ] {
            assert!((x + correction(x, knee) - expected).abs() < 1e-12, "{x} at {knee}");
            assert!((mean_correction(x, x, knee) - correction(x, knee)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_antiderivative_has_the_correction_as_its_slope() {
        for knee in [0.0, 0.3, 1.0] {
            for x in [-2.0, -1.2, -0.5, 0.1, 0.9, 1.7] {
                let slope = (antiderivative(x + 1e-5, knee) - antiderivative(x - 1e-5, knee)) / 2e-5;
                assert!((slope - correction(x, knee)).abs() < 1e-6, "{x} at {knee}: {slope}");
            }
        }
    }
}
