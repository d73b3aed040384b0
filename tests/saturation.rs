//! The exciter and the clipper: harmonics that are wanted, and aliases that are not.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{db, gain, noise, peak, rms, same_bits, sine};
use std::f64::consts::TAU;

/// Frames that are measured: 4999 Hz and its aliases have whole periods in a second.
const SECOND: usize = 48_000;

/// Amplitude of the part at `freq` Hz, a whole number.
fn amplitude(samples: &[f64], freq: u32) -> f64 {
    // Goertzel: G. Goertzel, Am. Math. Monthly 65(1), 1958.
    let c = 2.0 * (TAU * f64::from(freq) / RATE).cos();
    let (mut s1, mut s2) = (0.0, 0.0);
    for x in samples {
        (s1, s2) = (x + c * s1 - s2, s1);
    }
    2.0 * (s1 * s1 + s2 * s2 - c * s1 * s2).max(0.0).sqrt() / samples.len() as f64
}

/// A second of what a chain makes of a tone, after a second.
fn steady(nodes: &str, freq: u32, level: f64) -> Vec<f64> {
    let out = Rig::of(nodes).play(&sine(f64::from(freq), level, RATE, 2, 2 * SECOND));
    out[0][SECOND..].to_vec()
}

/// The worst of what is no harmonic and lies below 20 kHz, in dBFS: aliases lie where multiples of the tone are folded to.
fn worst_alias(samples: &[f64], freq: u32) -> f64 {
    let rate = SECOND as u32;
    let folded = (2..200).map(|k| {
        let at = k * freq % rate;
        at.min(rate - at)
    });
    let aliases = folded.filter(|at| at % freq != 0 && (20..20_000).contains(at));
    aliases.map(|at| db(amplitude(samples, at) + 1e-20)).fold(-400.0, f64::max)
}

#[test]
fn the_exciters_aliases_stay_under_minus_100_dbfs() {
    for character in ["tube", "transistor", "tape"] {
        for level in [-6.0, 0.0] {
            let nodes = format!("  - exciter: {{character: {character}, drive: 12 dB, mix: 100 %}}\n");
            let alias = worst_alias(&steady(&nodes, 4_999, level), 4_999);
            assert!(alias <= -100.0, "{character} at {level} dBFS: {alias:.1} dBFS");
        }
    }
}

#[test]
fn each_character_has_its_harmonics() {
    let harmonics = |character: &str, drive: f64| {
        let nodes = format!("  - exciter: {{character: {character}, drive: {drive} dB, mix: 100 %}}\n");
        let out = steady(&nodes, 1_000, -6.0);
        [1, 2, 3, 4, 5].map(|k| db(amplitude(&out, 1_000 * k) + 1e-20))
    };
    for drive in [0.0, 6.0, 12.0] {
        let [first, second, third, fourth, _] = harmonics("tube", drive);
        assert!(
            second > third + 6.0 && fourth < second,
            "tube, {drive} dB: {second:.1}, {third:.1}, {fourth:.1}"
        );
        assert!(first > -8.0);
        for odd in ["transistor", "tape"] {
            let [_, second, third, fourth, fifth] = harmonics(odd, drive);
            assert!(second < -150.0 && fourth < -150.0, "{odd}: no even ones: {second:.1}, {fourth:.1}");
            assert!(third > -60.0 && fifth < third, "{odd}: {third:.1}, {fifth:.1}");
        }
    }
    // The softer knee has less of the high ones for as much of the third.
    let (hard, soft) = (harmonics("transistor", 6.0), harmonics("tape", 6.0));
    assert!(soft[2] < hard[2] + 6.0);
    // And the lows are driven harder.
    let low = |freq: u32| {
        let out = steady("  - exciter: {character: tape, drive: 6 dB, mix: 100 %}\n", freq, -12.0);
        db(amplitude(&out, 3 * freq) / amplitude(&out, freq))
    };
    assert!(low(60) > low(2_000) + 1.0, "{:.1} and {:.1} dB", low(60), low(2_000));
}

#[test]
fn nothing_is_left_at_0_hz() {
    let out = steady("  - exciter: {character: tube, drive: 18 dB, mix: 100 %}\n", 1_000, -6.0);
    let mean = out.iter().sum::<f64>() / out.len() as f64;
    assert!(db(mean.abs()) < -100.0, "{:.1} dBFS", db(mean.abs()));
}

#[test]
fn more_drive_and_more_mix_are_more_harmonics() {
    let third = |fields: &str| {
        let nodes = format!("  - exciter: {{character: transistor, {fields}}}\n");
        db(amplitude(&steady(&nodes, 1_000, -12.0), 3_000) + 1e-20)
    };
    // tanh v = v - v³/3: the third harmonic is v²/12 of the first while v is small.
    let wanted = db(gain(-12.0).powi(3) / 12.0);
    let got = third("drive: 0 dB, mix: 100 %");
    assert!((got - wanted).abs() < 0.3, "{got:.2} dB, not {wanted:.2}");
    assert!((third("drive: 6 dB, mix: 100 %") - got - 12.0).abs() < 0.8);
    assert!((third("drive: 0 dB, mix: 50 %") - got + 6.02).abs() < 0.01);
    assert!(third("drive: 12 dB, mix: 0 %") < -250.0);
}

#[test]
fn only_the_band_between_low_and_high_is_driven() {
    let third = |fields: &str, freq: u32| {
        let nodes = format!("  - exciter: {{character: transistor, drive: 12 dB, mix: 100 %, {fields}}}\n");
        let out = steady(&nodes, freq, -12.0);
        db(amplitude(&out, 3 * freq) / amplitude(&out, freq))
    };
    assert!(third("low: 3 kHz", 300) < third("low: 20 Hz", 300) - 60.0);
    assert!(third("high: 500 Hz", 5_000) < third("high: 20 kHz", 5_000) - 60.0);
    assert!((third("low: 100 Hz, high: 15 kHz", 1_000) - third("low: 20 Hz", 1_000)).abs() < 0.5);
}

#[test]
fn at_mix_0_every_bit_stays() {
    let input = noise(-6.0, 1, 2, 9_600);
    for (oversampling, latency) in [("2x", 95), ("4x", 107), ("8x", 111)] {
        let mut rig =
            Rig::of(&format!("  - exciter: {{mix: 0 %, drive: 12 dB, oversampling: {oversampling}}}\n"));
        let out = rig.play(&input);
        let late = rig.latency();
        assert_eq!(late, latency);
        assert!(out[0][late..] == input[0][..9_600 - late], "{oversampling}");
    }
}

#[test]
fn the_clippers_aliases_stay_under_minus_80_dbfs() {
    for (oversampling, most) in [("8x", -80.0), ("4x", -70.0)] {
        for softness in ["0 %", "30 %", "100 %"] {
            let nodes = format!(
                "  - clipper: {{drive: 6 dB, ceiling: 0 dBTP, softness: {softness}, oversampling: {oversampling}}}\n"
            );
            let alias = worst_alias(&steady(&nodes, 4_999, 0.0), 4_999);
            assert!(alias <= most, "{oversampling}, {softness}: {alias:.1} dBFS");
        }
    }
}

#[test]
fn below_the_knee_the_clipper_leaves_every_bit() {
    let input = noise(-3.0, 2, 2, 9_600);
    for (oversampling, latency) in [("2x", 96), ("4x", 107), ("8x", 111)] {
        // Between the samples noise goes higher.
        let mut rig = Rig::of(&format!(
            "  - clipper: {{ceiling: 0 dBTP, drive: -12 dB, oversampling: {oversampling}}}\n"
        ));
        let mut quiet = Rig::of("  - gain: {gain: -12 dB}\n");
        let (out, wanted) = (rig.play(&input), quiet.play(&input));
        let late = rig.latency();
        assert_eq!(late, latency);
        let cut = |of: &[Vec<f64>], from: usize| {
            of.iter().map(|x| x[from..from + 9_000].to_vec()).collect::<Vec<_>>()
        };
        assert!(same_bits(&cut(&out, late), &cut(&wanted, 0)), "{oversampling}");
    }
}

#[test]
fn the_clipper_holds_its_ceiling_but_for_what_rings() {
    for ceiling in [-1.0, -6.0, -12.0] {
        for softness in ["0 %", "100 %"] {
            let nodes =
                format!("  - clipper: {{drive: 12 dB, ceiling: {ceiling} dBTP, softness: {softness}}}\n");
            let out = steady(&nodes, 997, 0.0);
            let over = db(peak(&out)) - ceiling;
            assert!((-0.5..1.0).contains(&over), "{ceiling} dBTP, {softness}: {over:.2} dB over");
        }
    }
    // A sine far over the ceiling becomes a square: its first harmonic is 4/pi of the ceiling.
    let out = steady("  - clipper: {drive: 24 dB, ceiling: -6 dBTP}\n", 1_000, 0.0);
    let first = db(amplitude(&out, 1_000)) + 6.0;
    assert!((first - db(4.0 / std::f64::consts::PI)).abs() < 0.1, "{first:.3} dB");
}

#[test]
fn a_soft_clipper_bends_earlier_than_a_hard_one() {
    let change = |softness: &str, level: f64| {
        let nodes = format!("  - clipper: {{ceiling: 0 dBTP, softness: {softness}}}\n");
        db(rms(&steady(&nodes, 1_000, level))) - (level - 3.0103)
    };
    assert!(change("0 %", -1.0).abs() < 1e-6);
    assert!(change("50 %", -7.0).abs() < 1e-6 && change("50 %", -1.0) < -0.3);
    assert!(change("100 %", -12.0) < -0.05);
}

#[test]
fn the_clippers_highs_do_not_droop() {
    // Half over the ceiling at 15 kHz and at 1 kHz: the first harmonic loses as much at both.
    let loss =
        |freq: u32| db(amplitude(&steady("  - clipper: {drive: 3 dB, ceiling: 0 dBTP}\n", freq, 0.0), freq));
    assert!((loss(15_000) - loss(1_000)).abs() < 0.1, "{:.3} and {:.3} dB", loss(15_000), loss(1_000));
}

#[test]
fn no_move_of_the_clipper_below_its_knee_is_heard_as_a_click() {
    let input = sine(1_000.0, -12.0, RATE, 2, 12_000);
    for (address, to) in [("drive", 6.0), ("ceiling", -3.0), ("softness", 20.0)] {
        let mut rig = Rig::of("  - clipper: {id: n, ceiling: 0 dBTP}\n");
        rig.play(&input);
        rig.set(&format!("/node/n/{address}"), to);
        let heard = lacquer_tests::signal::above_16_khz(&rig.play(&input)[0], RATE);
        assert!(heard < -90.0, "{address}: {heard:.1} dBFS above 16 kHz");
    }
}
