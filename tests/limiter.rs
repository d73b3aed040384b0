//! The limiter against signals that are hard on limiters, read by an independent 32-fold true-peak meter.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, bursts, db, gain, noise, peak, true_peak};
use std::f64::consts::{PI, TAU};

const FRAMES: usize = 24_000;

fn wave(frame: impl Fn(usize) -> f64) -> Channels {
    let samples: Vec<f64> = (0..FRAMES).map(frame).collect();
    vec![samples; 2]
}

/// Pink by summing white noises that hold for 1, 2, 4, ... samples (Voss and McCartney).
fn pink() -> Channels {
    let rows: Vec<Vec<f64>> = (0..12).map(|row| noise(0.0, 40 + row, 1, FRAMES >> row).remove(0)).collect();
    wave(|n| {
        rows.iter().enumerate().map(|(row, held)| held[(n >> row).min(held.len() - 1)]).sum::<f64>() / 3.0
    })
}

/// Hostile signals, each well above the ceilings that are tried.
fn hostile() -> Vec<(&'static str, Channels)> {
    let sine = |freq: f64, level: f64, phase: f64| {
        move |n: usize| gain(level) * (TAU * freq / RATE * n as f64 + phase).sin()
    };
    let (low, high) = (sine(19_000.0, 0.0, 0.0), sine(20_000.0, 0.0, 0.0));
    let (quarter, odd) = (sine(12_000.0, 6.0, PI / 4.0), sine(11_987.0, 6.0, 0.0));
    let square = sine(997.0, 0.0, 0.1);
    // ... -1 +1 -1 +1 | +1 -1 +1 -1 ...: between the two middle samples it reaches +8.2 dBTP.
    let flip = |n: usize| {
        let at = (n % 2_000) as i64 - 1_000;
        let sign = if at < 0 { at.rem_euclid(2) == 1 } else { at.rem_euclid(2) == 0 };
        if (-8..8).contains(&at) { if sign { 1.0 } else { -1.0 } } else { 0.0 }
    };
    vec![
        ("white noise", noise(6.0, 30, 2, FRAMES)),
        ("pink noise", pink()),
        ("a quarter of the rate", wave(quarter)),
        ("nearly a quarter of the rate", wave(odd)),
        ("19 and 20 kHz", wave(move |n| low(n) + high(n))),
        ("a hard square", wave(move |n| 2.0 * square(n).signum())),
        ("flip bursts", wave(flip)),
    ]
}

/// The higher true peak of both channels, in dBTP; the same channel is not read twice.
fn highest(out: &Channels) -> f64 {
    let right = if out[1] == out[0] { 0.0 } else { true_peak(&out[1]) };
    db(true_peak(&out[0]).max(right))
}

#[test]
fn true_peaks_stay_under_the_ceiling() {
    for ceiling in [-0.1, -1.0, -9.0] {
        for (name, input) in hostile() {
            let mut rig = Rig::of(&format!("  - limiter: {{ceiling: {ceiling} dBTP, release: 50 ms}}\n"));
            let out = rig.play(&input);
            let over = highest(&out) - ceiling;
            println!("{name} at {ceiling} dBTP: {over:+.3} dB");
            let allowed = if name == "pink noise" { 0.05 } else { 0.1 };
            assert!(over <= allowed, "{name} is {over:.3} dB over a ceiling of {ceiling} dBTP");
            assert!(over > -0.5, "{name} is {over:.1} dB under: limited too much");
        }
    }
}

#[test]
fn the_reference_meter_reads_the_closed_form() {
    // N alternating samples each side of a mirrored centre: 4/pi times the sum of 1/(2k+1).
    for n in [1, 2, 4, 8] {
        let mut samples = vec![0.0; 2_000];
        for k in 0..n {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            (samples[1_000 + k], samples[999 - k]) = (sign, sign);
        }
        let exact = 4.0 / PI * (0..n).map(|k| 1.0 / (2 * k + 1) as f64).sum::<f64>();
        let off = db(true_peak(&samples)) - db(exact);
        assert!(off.abs() < 0.01, "N = {n}: {off:.4} dB off");
    }
}

#[test]
fn below_the_ceiling_nothing_is_changed_and_after_limiting_it_is_so_again() {
    let mut rig = Rig::of("  - limiter: {ceiling: -1 dBTP, release: 5 ms}\n");
    rig.play(&noise(12.0, 31, 2, FRAMES));
    // 26 times the release later the gain is exactly 1.
    rig.play(&noise(-30.0, 32, 2, FRAMES));
    let input = noise(-30.0, 33, 2, FRAMES);
    let latency = rig.latency();
    let out = rig.play(&input);
    assert_eq!(out[0][latency..], input[0][..FRAMES - latency]);
}

#[test]
fn both_channels_are_reduced_alike() {
    let mut rig = Rig::of("  - limiter: {ceiling: -6 dBTP}\n");
    let mut input = noise(6.0, 34, 1, FRAMES);
    input.push(input[0].iter().map(|x| 0.25 * x).collect());
    let out = rig.play(&input);
    assert!(peak(&out[0]) > 0.4);
    assert!(out[0].iter().zip(&out[1]).all(|(left, right)| (0.25 * left - right).abs() < 1e-15));
}

#[test]
fn every_release_and_link_holds_the_ceiling_and_the_input_gain_drives_into_it() {
    for fields in [
        "release: auto",
        "release: 5 ms, link: 0",
        "release: auto, link: 40 %, lookahead: 5 ms",
        "gain: 12 dB",
    ] {
        for (name, input) in hostile() {
            let mut rig = Rig::of(&format!("  - limiter: {{ceiling: -2 dBTP, {fields}}}\n"));
            let out = rig.play(&input);
            let over = highest(&out) + 2.0;
            assert!(over <= 0.1, "{fields}: {name} is {over:.3} dB over");
        }
    }
}

/// What a sine at 6 dB of reduction has beside itself, in dB below it, after a second: least squares of sine and cosine.
fn distortion(fields: &str, freq: f64) -> f64 {
    let wave: Vec<f64> = (0..96_000).map(|n| gain(5.0) * (TAU * freq / RATE * n as f64).sin()).collect();
    let out = Rig::of(&format!("  - limiter: {{ceiling: -1 dBTP, {fields}}}\n")).play(&vec![wave; 2]);
    let out = &out[0][48_000..];
    let (mut a, mut b) = (0.0, 0.0);
    for (n, y) in out.iter().enumerate() {
        let angle = TAU * freq / RATE * n as f64;
        a += y * angle.sin();
        b += y * angle.cos();
    }
    let scale = 2.0 / out.len() as f64;
    let (a, b) = (a * scale, b * scale);
    let rest = out.iter().enumerate().map(|(n, y)| {
        let angle = TAU * freq / RATE * n as f64;
        (y - a * angle.sin() - b * angle.cos()).powi(2)
    });
    let rest = (rest.sum::<f64>() / out.len() as f64).sqrt();
    db(rest / ((a * a + b * b) / 2.0).sqrt())
}

#[test]
fn tones_from_100_hz_up_are_reduced_without_distortion() {
    for fields in ["release: 120 ms", "release: auto", "release: 20 ms"] {
        for freq in [100.0, 200.0, 1_000.0, 5_000.0] {
            let got = distortion(fields, freq);
            assert!(got < -90.0, "{freq} Hz, {fields}: {got:.1} dB");
        }
    }
    assert!(distortion("hold: 0 ms", 100.0) > -50.0, "without a hold the gain follows the wave");
}

#[test]
fn a_burst_of_a_hundred_samples_stays_under_the_ceiling() {
    let burst = wave(|n| if (5_000..5_100).contains(&n) { 2.0 } else { 0.0 });
    let out = Rig::of("  - limiter: {ceiling: -1 dBTP}\n").play(&burst);
    assert!(db(true_peak(&out[0])) < -0.9, "{:.2} dBTP", db(true_peak(&out[0])));
}

#[test]
fn each_ceiling_gives_its_own_peak() {
    let mut before = 0.0;
    for ceiling in [-0.1, -1.0, -2.0, -9.0] {
        let out = Rig::of(&format!("  - limiter: {{ceiling: {ceiling} dBTP}}\n")).play(&pink());
        let reached = highest(&out);
        assert!(reached < before && (reached - ceiling).abs() < 0.1, "{reached:.3} dBTP for {ceiling}");
        before = reached - 0.5;
    }
}

/// Gain of a chain in dB, a millisecond at a time, on a tone of 1 kHz at -20 dBFS with a passage at +6 dBFS from 200 ms on.
fn recovery(fields: &str, loud_frames: usize, frames: usize) -> Vec<f64> {
    let level = |n: usize| if (9_600..9_600 + loud_frames).contains(&n) { gain(6.0) } else { gain(-20.0) };
    let input: Vec<f64> = (0..frames).map(|n| level(n) * (TAU / 48.0 * n as f64).sin()).collect();
    let mut rig = Rig::of(&format!("  - limiter: {{ceiling: -6 dBTP, {fields}}}\n"));
    let out = rig.play(&vec![input.clone(); 2]);
    let late = out[0][rig.latency()..].chunks_exact(48).zip(input.chunks_exact(48));
    late.map(|(y, x)| db(lacquer_tests::signal::rms(y) / lacquer_tests::signal::rms(x))).collect()
}

/// Milliseconds from the end of the hold until the reduction (as a factor) has come back by `share`.
fn until(gains: &[f64], from: usize, share: f64) -> usize {
    let full = 1.0 - gain(gains[from - 5]);
    gains[from..].iter().position(|db| 1.0 - gain(*db) <= (1.0 - share) * full).unwrap()
}

#[test]
fn a_manual_release_takes_its_time_and_a_hold_comes_before_it() {
    for release in [50, 200, 500] {
        let gains = recovery(&format!("release: {release} ms, hold: 10 ms"), 48_000, 192_000);
        // The moving averages and the hold come on top: the middle of the averages, and the hold.
        let got = until(&gains, 1_200, 0.632) as f64 - 10.0 - 0.75;
        let wanted = f64::from(release);
        assert!((got - wanted).abs() <= 0.05 * wanted + 1.0, "{release} ms took {got} ms");
    }
    let (short, long) = (
        recovery("release: 20 ms, hold: 0 ms", 48_000, 96_000),
        recovery("release: 20 ms, hold: 30 ms", 48_000, 96_000),
    );
    let held = until(&long, 1_200, 0.5) - until(&short, 1_200, 0.5);
    assert!((29..=31).contains(&held), "held for {held} ms");
}

#[test]
fn an_automatic_release_is_quick_after_a_peak_and_slow_after_a_dense_passage() {
    let peak = until(&recovery("release: auto", 48, 96_000), 206, 0.9);
    let dense = recovery("release: auto", 240_000, 480_000);
    let dense = until(&dense, 5_200, 0.632);
    assert!(peak < 100 && dense > 3 * peak, "{peak} and {dense} ms");
}

#[test]
fn a_link_keeps_the_image_and_without_it_the_quiet_side_is_left_alone() {
    let loud: Vec<f64> = (0..FRAMES).map(|n| gain(6.0) * (TAU / 48.0 * n as f64).sin()).collect();
    let quiet: Vec<f64> = (0..FRAMES).map(|n| gain(-30.0) * (TAU / 37.0 * n as f64).sin()).collect();
    let play = |link: &str| {
        let mut rig = Rig::of(&format!("  - limiter: {{ceiling: -6 dBTP, link: {link}}}\n"));
        let out = rig.play(&vec![loud.clone(), quiet.clone()]);
        let latency = rig.latency();
        let change = |channel: usize, input: &[f64]| {
            let late = &out[channel][12_000 + latency..];
            db(lacquer_tests::signal::rms(late)
                / lacquer_tests::signal::rms(&input[12_000..FRAMES - latency]))
        };
        [change(0, &loud), change(1, &quiet)]
    };
    let [left, right] = play("100 %");
    assert!((left + 12.0).abs() < 0.01 && (right - left).abs() < 1e-3, "{left:.3}, {right:.3} dB");
    let [left, right] = play("0 %");
    assert!((left + 12.0).abs() < 0.01 && right.abs() < 1e-9, "{left:.3}, {right:.3} dB");
    let [_, right] = play("50 %");
    let half = db(0.5 + 0.5 * gain(-12.0));
    assert!((right - half).abs() < 0.01, "{right:.3} dB, not {half:.3}");
}

#[test]
fn each_detection_has_its_latency_and_its_accuracy() {
    for (detection, frames, most_over) in
        [("8x", 132, 0.1), ("4x", 132, 0.7), ("fast", 20, 0.8), ("samples", 0, 9.0)]
    {
        let mut worst = -100.0_f64;
        for (name, input) in hostile() {
            let mut rig = Rig::of(&format!(
                "  - limiter: {{ceiling: -3 dBTP, lookahead: 2 ms, detection: {detection}}}\n"
            ));
            assert_eq!(rig.latency(), 96 + frames);
            let out = rig.play(&input);
            let over = highest(&out) + 3.0;
            println!("{detection}, {name}: {over:+.2} dB");
            worst = worst.max(over);
            let samples = db(peak(&out[0]).max(peak(&out[1]))) + 3.0;
            assert!(samples < 1e-9, "{detection}, {name}: a sample is {samples:.3} dB over");
        }
        assert!(worst <= most_over, "{detection}: {worst:.2} dB over");
    }
}

#[test]
fn an_automatic_release_that_is_taken_up_again_remembers_nothing_old() {
    for (node, level) in [
        ("limiter: {id: dyn, ceiling: -9 dBTP}", -20.0),
        ("compressor: {id: dyn, threshold: -40 dB, ratio: 10}", -50.0),
    ] {
        let mut rig = Rig::of(&format!("  - {node}\n"));
        let play = |rig: &mut Rig, level: f64, seconds: f64| {
            let frames = (seconds * RATE) as usize;
            let tone: Vec<f64> =
                (0..frames).map(|n| gain(level) * (TAU * 1_000.0 / RATE * n as f64).sin()).collect();
            peak(&rig.play(&vec![tone; 2])[0][frames / 2..])
        };
        // A dense loud passage fills the slow stage.
        rig.set_value("/node/dyn/release", &Value::Text("auto".to_owned()));
        play(&mut rig, 0.0, 3.0);
        rig.set("/node/dyn/release", 50.0);
        let rest = play(&mut rig, level, 3.0);
        rig.set_value("/node/dyn/release", &Value::Text("auto".to_owned()));
        let again = play(&mut rig, level, 0.2);
        assert!(db(again / rest).abs() < 0.05, "{node}: {:.2} dB beside before", db(again / rest));
    }
}

#[test]
fn bursts_stay_under_the_ceiling() {
    for (level, seed) in [(6.0, 16), (0.0, 17), (12.0, 18)] {
        let mut rig = Rig::of("  - limiter: {id: n, ceiling: -1 dBTP}\n");
        let out = rig.play(
            &bursts(seed, 2, 96_000)
                .into_iter()
                .map(|s| s.into_iter().map(|x| x * gain(level)).collect())
                .collect(),
        );
        let over = db(peak(&out[0]).max(peak(&out[1]))) + 1.0;
        assert!(over <= 1e-9, "{over:.3} dB over the ceiling, sample peak, at {level} dB");
    }
}
