//! Converts an impulse response to another sample rate; the filter is the same, up to half of the lower rate.
//!
//! Windowed-sinc interpolation, scaled by the ratio of the rates, so that the gain stays the same. Error within 0.001 dB up
//! to 0.475 of the lower rate (21 kHz at 44.1 kHz).
//!
//! Source: J. O. Smith, *Physical Audio Signal Processing*, "Windowed Sinc Interpolation".

use crate::dsp::window::sinc;

/// Zeros of the sinc on each side of its centre.
const SIDE: f64 = 64.0;
/// Shape of the window: 100 dB.
const BETA: f64 = 10.0;

/// Length in frames at rate `to` (Hz) of the interpolation filter before a sample.
pub fn reach(from: u32, to: u32) -> usize {
    (SIDE * (f64::from(to) / f64::from(from)).max(1.0)).ceil() as usize
}

/// `[control]` The impulse response at rate `to`, delayed by [`reach`] frames, so that its beginning is complete. Rates in Hz.
pub fn resample(impulse: &[f64], from: u32, to: u32) -> Vec<f64> {
    let lead = reach(from, to);
    let (ratio, step) = (f64::from(from) / f64::from(to), from as usize);
    // The cutoff, and the length of one side of the filter in samples of the impulse response.
    let cutoff = ratio.recip().min(1.0);
    let side = (SIDE / cutoff).ceil() as usize;
    let tap = |at: f64| {
        let t = cutoff * at;
        if t.abs() < SIDE { cutoff * ratio * sinc(t, SIDE, BETA) } else { 0.0 }
    };
    // Coefficients repeat for equal fractions of a sample, of which there are few at the usual rates.
    let mut phases: Vec<Option<Box<[f64]>>> = vec![None; to as usize];
    let frames = (impulse.len() as f64 / ratio).ceil() as usize + 2 * lead;
    let frame = |at: usize| {
        // The position is (at - lead) * from / to; side samples more keep it above zero.
        let shifted = (at * step) as i64 - (lead * step) as i64 + (side * to as usize) as i64;
        let (whole, phase) = (shifted.max(0) as usize / to as usize, shifted.max(0) as usize % to as usize);
        let taps = phases[phase].get_or_insert_with(|| {
            let fraction = phase as f64 / f64::from(to);
            (0..2 * side).map(|k| tap(fraction + side as f64 - 1.0 - k as f64)).collect()
        });
        // The first tap meets sample whole - 2 side + 1, counted without the shift.
        let first = whole as i64 - 2 * side as i64 + 1;
        let skipped = (-first).max(0) as usize;
        let samples = impulse.get(first.max(0) as usize..).unwrap_or_default();
        taps.iter().skip(skipped).zip(samples).map(|(tap, sample)| tap * sample).sum()
    };
    (0..frames).map(frame).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::f64::consts::TAU;

    /// Magnitude at `hz` in dB.
    fn response_db(impulse: &[f64], rate: u32, hz: f64) -> f64 {
        let (mut re, mut im) = (0.0, 0.0);
        for (at, sample) in impulse.iter().enumerate() {
            let (sin, cos) = (TAU * hz * at as f64 / f64::from(rate)).sin_cos();
            re += sample * cos;
            im += sample * sin;
        }
        10.0 * (re * re + im * im).log10()
    }

    #[test]
    fn a_filter_is_the_same_at_another_rate() {
        // A unit impulse, and a decaying resonance.
        let unit = |_: f64| vec![1.0, 0.0, 0.0];
        let ring = |rate: f64| -> Vec<f64> {
            let sample =
                |at: usize| (-(at as f64) / (0.01 * rate)).exp() * (TAU * 3_000.0 * at as f64 / rate).sin();
            (0..(0.3 * rate) as usize).map(sample).collect()
        };
        let filters: [&dyn Fn(f64) -> Vec<f64>; 2] = [&unit, &ring];
        for (from, to) in
            [(44_100, 48_000), (48_000, 44_100), (96_000, 48_000), (48_000, 192_000), (47_999, 48_000)]
        {
            let mut worst: f64 = 0.0;
            for filter in filters {
                let was = filter(f64::from(from));
                let is = resample(&was, from, to);
                for hz in [
                    0.0,
                    20.0,
                    1_000.0,
                    3_000.0,
                    10_000.0,
                    16_000.0,
                    20_000.0,
                    0.475 * f64::from(from.min(to)),
                ] {
                    let difference = response_db(&is, to, hz) - response_db(&was, from, hz);
                    worst = worst.max(difference.abs());
                }
            }
            println!("{from} to {to} Hz: within {worst:.6} dB");
            assert!(worst < 0.002, "{from} to {to}: {worst} dB");
        }
    }

    #[test]
    fn the_delay_is_as_declared() {
        for (from, to) in [(44_100, 48_000), (48_000, 44_100)] {
            let mut unit = vec![0.0; 2 * from as usize / 100];
            unit[from as usize / 100] = 1.0;
            let is = resample(&unit, from, to);
            let highest = (0..is.len()).max_by(|a, b| is[*a].total_cmp(&is[*b]));
            assert_eq!(highest, Some(to as usize / 100 + reach(from, to)));
        }
    }
}
