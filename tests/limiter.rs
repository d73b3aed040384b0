//! The limiter against signals that are hard on limiters, read by an independent 32-fold true-peak meter.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, noise, peak, true_peak};
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

#[test]
fn true_peaks_stay_under_the_ceiling() {
    for ceiling in [-0.1, -1.0, -9.0] {
        for (name, input) in hostile() {
            let mut rig = Rig::of(&format!("  - limiter: {{ceiling: {ceiling} dBTP, release: 50 ms}}\n"));
            let out = rig.play(&input);
            let over = db(true_peak(&out[0]).max(true_peak(&out[1]))) - ceiling;
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
