//! Dither and noise shaping, by the theory of quantisation: noise floors, linearity, spectra.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, noise, peak, rms, silence, sine};
use std::f64::consts::TAU;

/// One step of 16 bits.
const STEP: f64 = 1.0 / 32_768.0;

fn dither(fields: &str, input: &Channels) -> Channels {
    Rig::of(&format!("  - dither: {{{fields}}}\n")).play(input)
}

fn errors(fields: &str, input: &Channels) -> Vec<f64> {
    dither(fields, input)[0].iter().zip(&input[0]).map(|(y, x)| y - x).collect()
}

/// Power of the part of `samples` at `freq`, as the amplitude of a sine.
fn amplitude(samples: &[f64], freq: f64, rate: f64) -> f64 {
    let (mut a, mut b) = (0.0, 0.0);
    for (n, y) in samples.iter().enumerate() {
        let angle = TAU * freq / rate * n as f64;
        a += y * angle.cos();
        b += y * angle.sin();
    }
    2.0 * a.hypot(b) / samples.len() as f64
}

#[test]
fn the_noise_floors_are_the_theorys() {
    let input = noise(-20.0, 1, 2, 480_000);
    // A quarter, a sixth and a twelfth of a step squared.
    for (bits, kind, wanted) in [
        (16, "triangular", -96.33),
        (16, "rectangular", -98.09),
        (16, "none", -101.1),
        (24, "triangular", -144.49),
        (8, "triangular", -48.16),
    ] {
        let got = db(rms(&errors(&format!("bits: {bits}, noise: {kind}"), &input)));
        assert!((got - wanted).abs() < 0.2, "{bits} bits, {kind}: {got:.2} dBFS, not {wanted}");
    }
}

#[test]
fn triangular_noise_does_not_depend_on_the_signal_and_rectangular_noise_does() {
    let power = |kind: &str, share: f64| {
        let input = vec![vec![(100.0 + share) * STEP; 240_000]; 2];
        let errors = errors(&format!("bits: 16, noise: {kind}, auto_blank: false"), &input);
        let mean = errors.iter().sum::<f64>() / errors.len() as f64 / STEP;
        (db(rms(&errors)), mean)
    };
    for share in [0.0, 0.1, 0.25, 0.5, 0.75] {
        let (level, mean) = power("triangular", share);
        assert!((level + 96.33).abs() < 0.05, "{share} of a step: {level:.3} dBFS");
        assert!(mean.abs() < 0.01, "{share} of a step: mean {mean:.4} steps");
    }
    assert!(power("rectangular", 0.5).0 - power("rectangular", 0.25).0 > 1.0);
}

#[test]
fn tones_far_below_the_last_bit_are_there_at_their_level() {
    let frames = 1 << 20;
    // A whole number of periods.
    let freq = (997.0 * frames as f64 / RATE).round() * RATE / frames as f64;
    for (level, tolerance) in [(-90.0, 0.3), (-100.0, 0.3), (-110.0, 0.3), (-120.0, 1.0)] {
        let out = dither("bits: 16", &sine(freq, level, RATE, 2, frames));
        let got = db(amplitude(&out[0], freq, RATE));
        assert!((got - level).abs() < tolerance, "{level} dBFS comes out at {got:.2} dBFS");
    }
    let out = dither("bits: 16, noise: none", &sine(freq, -100.0, RATE, 2, frames));
    assert_eq!(peak(&out[0]), 0.0, "without dither it is gone");
}

#[test]
fn a_dithered_tone_has_no_harmonics_and_an_undithered_one_has() {
    let frames = 1 << 20;
    let freq = (1_000.0 * frames as f64 / RATE).round() * RATE / frames as f64;
    let input = sine(freq, -80.0, RATE, 2, frames);
    let harmonic = |kind: &str| {
        let out = dither(&format!("bits: 16, noise: {kind}"), &input);
        (2..=9).map(|k| db(amplitude(&out[0], f64::from(k) * freq, RATE))).fold(-300.0, f64::max)
    };
    // The noise is -96.3 dBFS over all; in one line of 2^20 it is below -145.
    assert!(harmonic("triangular") < -138.0, "{:.1} dBFS", harmonic("triangular"));
    assert!(harmonic("none") > -120.0);
}

/// |1 - sum c z^-k| of the published curves at 44.1 kHz, in dB, and the total noise above flat dither's.
#[test]
fn shaped_noise_has_the_published_spectrum() {
    for (name, total, curve) in [
        ("lipshitz", 12.19, [-15.9, -27.2, -0.8, -6.5, 11.9, 18.7]),
        ("f-weighted-9", 18.40, [-13.4, -23.3, -2.3, -5.8, 12.1, 25.5]),
        ("modified-e", 7.56, [-8.8, -19.4, -3.8, 3.7, 8.7, 13.2]),
        ("improved-e", 23.10, [-16.9, -25.2, -2.7, -8.6, 15.9, 30.3]),
        ("f-weighted-3", 6.64, [-12.5, -19.3, -2.7, 5.1, 9.2, 11.2]),
    ] {
        let input = noise(-20.0, 2, 2, 480_000);
        let errors = errors(&format!("bits: 16, shaping: {name}"), &input);
        let got = db(rms(&errors)) + 96.33;
        assert!((got - total).abs() < 0.3, "{name}: {got:.2} dB more noise, not {total}");
        for (at, wanted) in [1_000.0, 4_000.0, 8_000.0, 12_000.0, 16_000.0, 20_000.0].iter().zip(curve) {
            let got = density(&errors, at / 44_100.0) + 96.33;
            assert!((got - wanted).abs() < 1.0, "{name} at {at} Hz: {got:.1} dB, not {wanted}");
        }
    }
}

/// Power around `turns` (a share of the sample rate) as white noise of that density would have over all, in dBFS:
/// averaged over short pieces under a Hann window.
fn density(samples: &[f64], turns: f64) -> f64 {
    const SIZE: usize = 512;
    let mut sum = 0.0;
    let mut count = 0.0;
    for piece in samples.chunks_exact(SIZE / 2).collect::<Vec<_>>().windows(2) {
        let (mut a, mut b) = (0.0, 0.0);
        for (n, y) in piece[0].iter().chain(piece[1]).enumerate() {
            let window = 0.5 - 0.5 * (TAU * n as f64 / SIZE as f64).cos();
            a += window * y * (TAU * turns * n as f64).cos();
            b += window * y * (TAU * turns * n as f64).sin();
        }
        sum += a * a + b * b;
        count += 1.0;
    }
    // The window's power is 3/8 of its length.
    10.0 * (sum / count / (0.375 * SIZE as f64)).log10()
}

#[test]
fn the_output_lies_on_steps_and_within_full_scale() {
    for shaping in ["flat", "lipshitz", "improved-e"] {
        let out = dither(&format!("bits: 12, shaping: {shaping}"), &noise(3.0, 3, 2, 48_000));
        for sample in out.iter().flatten() {
            let steps = sample * 2_048.0;
            assert!(steps == steps.round() && (-2_048.0..=2_047.0).contains(&steps), "{steps}");
        }
    }
}

#[test]
fn silence_and_what_has_few_enough_bits_pass_as_they_are() {
    let on_grid: Channels = noise(-12.0, 4, 2, 96_000)
        .iter()
        .map(|x| x.iter().map(|x| (x / STEP).round() * STEP).collect())
        .collect();
    assert_eq!(dither("bits: 16", &on_grid), on_grid);
    let mut rig = Rig::of("  - dither: {id: n, bits: 16}\n");
    assert_eq!(peak(&rig.play(&silence(2, 4_800))[0]), 0.0);
    rig.play(&noise(-20.0, 5, 2, 4_800));
    let after = rig.play(&silence(2, 48_000));
    assert!(peak(&after[0][..23_000]) > 0.0, "it goes on for half a second");
    assert_eq!(peak(&after[0][24_100..]), 0.0, "and then rests");
    rig.set("/node/n/auto_blank", 0.0);
    assert!(peak(&rig.play(&silence(2, 4_800))[0][1_000..]) >= STEP, "unless it is told not to");
}

#[test]
fn the_noise_of_the_channels_is_independent() {
    let input = vec![noise(-20.0, 6, 1, 480_000).remove(0); 2];
    let out = dither("bits: 16", &input);
    let error = |channel: usize| -> Vec<f64> {
        out[channel].iter().zip(&input[channel]).map(|(y, x)| y - x).collect()
    };
    let (a, b) = (error(0), error(1));
    let both: f64 = a.iter().zip(&b).map(|(a, b)| a * b).sum::<f64>() / a.len() as f64;
    // Half of the error is the rounding of the same signal; none of it may be in step.
    assert!((both / (rms(&a) * rms(&b))).abs() < 0.01);
}
