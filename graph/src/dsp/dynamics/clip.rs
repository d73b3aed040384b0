//! Clipping without the worst of its aliases.
//!
//! First-order antiderivative anti-aliasing: in place of the shape at each sample, its mean over the way from the last sample
//! to this one, from its antiderivative. Half a sample late.
//!
//! Source: J. Parker, V. Zavalishin, E. Le Bivic, *Reducing the Aliasing of Nonlinear Waveshaping Using Continuous-Time
//! Convolution*, DAFx-16, section 3.

/// Nearer together than this, two samples are one.
const SAME: f64 = 1e-5;

/// What clipping at 1 adds to `x`: nothing up to `knee` (0..=1), above it what makes a tanh of the rest; a corner where the
/// knee is 1.
fn added(x: f64, knee: f64) -> f64 {
    let over = x.abs() - knee;
    if over <= 0.0 {
        return 0.0;
    }
    let rest = 1.0 - knee;
    let clipped = if rest > 0.0 { rest * (over / rest).tanh() } else { 0.0 };
    (over - clipped).copysign(-x)
}

/// The antiderivative of [`added`].
fn area(x: f64, knee: f64) -> f64 {
    let over = x.abs() - knee;
    if over <= 0.0 {
        return 0.0;
    }
    let rest = 1.0 - knee;
    // ln cosh z, for large z too.
    let soft = if rest > 0.0 {
        let z = over / rest;
        rest * rest * (z + (-2.0 * z).exp().ln_1p() - std::f64::consts::LN_2)
    } else {
        0.0
    };
    soft - 0.5 * over * over
}

/// What clipping adds on the way from `last` to `x`.
#[inline]
pub fn added_between(last: f64, x: f64, knee: f64) -> f64 {
    if last.abs() <= knee && x.abs() <= knee {
        0.0
    } else if (x - last).abs() < SAME {
        added(0.5 * (x + last), knee)
    } else {
        (area(x, knee) - area(last, knee)) / (x - last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_makes_the_clipped_signal() {
        for (knee, x, wanted) in [
            (1.0, 0.9, 0.9),
            (1.0, 1.5, 1.0),
            (1.0, -3.0, -1.0),
            (0.0, 0.5, 0.5_f64.tanh()),
            (0.5, -1.5, -(0.5 + 0.5 * 2.0_f64.tanh())),
        ] {
            assert!((x + added(x, knee) - wanted).abs() < 1e-12, "{x} at {knee}");
            assert!((added_between(x, x, knee) - added(x, knee)).abs() < 1e-12);
        }
    }

    #[test]
    fn the_area_is_the_antiderivative() {
        for knee in [0.0, 0.3, 1.0] {
            for x in [-2.0, -1.2, -0.5, 0.1, 0.9, 1.7] {
                let slope = (area(x + 1e-5, knee) - area(x - 1e-5, knee)) / 2e-5;
                assert!((slope - added(x, knee)).abs() < 1e-6, "{x} at {knee}: {slope}");
            }
        }
    }
}
