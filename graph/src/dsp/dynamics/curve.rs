//! The static curve of a compressor: gain reduction as a function of level.

/// `[audio]` Gain reduction in dB (0 or more) at a level `over` dB above the threshold, for `slope` = 1 - 1/ratio (1: limiter)
/// and a soft knee `knee` dB wide.
///
/// Source: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6), 2012, eq. 4.
#[inline]
pub(crate) fn reduction(over: f64, slope: f64, knee: f64) -> f64 {
    if 2.0 * over <= -knee {
        0.0
    } else if 2.0 * over < knee {
        slope * (over + knee / 2.0).powi(2) / (2.0 * knee)
    } else {
        slope * over
    }
}

/// `[audio]` The same curve as a function of the output level, for feedback compressors. `slope` must be below 1.
#[inline]
pub(crate) fn reduction_by_output(over: f64, slope: f64, knee: f64) -> f64 {
    let from_knee = over + knee / 2.0;
    if from_knee <= 0.0 || slope <= 0.0 {
        0.0
    } else if from_knee < knee * (1.0 - slope / 2.0) {
        // y = u - s u² / 2W, solved for u, the input level above the lower end of the knee.
        let input = knee / slope * (1.0 - (1.0 - 2.0 * slope * from_knee / knee).max(0.0).sqrt());
        input - from_knee
    } else {
        over * slope / (1.0 - slope)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_level_and_output_level_give_the_same_reduction() {
        for slope in [0.1, 0.5, 0.75, 0.98] {
            for knee in [0.0, 6.0, 24.0] {
                for over in (-40..40).map(f64::from) {
                    let wanted = reduction(over, slope, knee);
                    let got = reduction_by_output(over - wanted, slope, knee);
                    assert!((got - wanted).abs() < 1e-9, "{slope}, {knee}, {over}: {got}, not {wanted}");
                }
            }
        }
    }

    /// Output levels of the paper's static curve for T = −20 dB, R = 4, W = 6 and 12 dB.
    #[test]
    fn the_static_curve_is_the_papers() {
        for (knee, level, out) in [
            (6.0, -30.0, -30.0),
            (6.0, -22.0, -22.0625),
            (6.0, -20.0, -20.5625),
            (6.0, -10.0, -17.5),
            (12.0, -25.0, -25.03125),
            (12.0, -17.0, -19.53125),
            (0.0, 0.0, -15.0),
        ] {
            let got = level - reduction(level + 20.0, 0.75, knee);
            assert!((got - out).abs() < 1e-9, "W = {knee}, in {level}: {got}, not {out}");
        }
        assert_eq!(0.0 - reduction(10.0, 1.0, 6.0), -10.0);
    }
}
