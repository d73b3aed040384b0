//! Dehum on hum that is known: how far it goes down, what stays beside it, how it follows the mains; and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::material::music;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, noise, rms};
use std::f64::consts::TAU;

const SECOND: usize = RATE as usize;

/// Hum whose frequency is `freq` at each second: harmonics up to 1 kHz, the first at -40 dBFS RMS, each next one 1/f below.
fn hum(seconds: usize, freq: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut phase = 0.0;
    (0..seconds * SECOND)
        .map(|n| {
            let freq = freq(n as f64 / RATE);
            phase += TAU * freq / RATE;
            let harmonics = 1..=(1000.0 / freq.round()) as u32;
            harmonics.map(|k| gain(-37.0) / f64::from(k) * (f64::from(k) * phase + f64::from(k * k)).sin()).sum()
        })
        .collect()
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn dehum(fields: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(&format!("  - dehum: {{{fields}}}\n"));
    rig.block = 1024;
    let stereo: Channels = vec![input.to_vec(); 2];
    rig.play(&stereo).remove(0)
}

/// Amplitude of the part at `freq`, with a Hann window.
fn amplitude(samples: &[f64], freq: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (n, x) in samples.iter().enumerate() {
        let window = 1.0 - (TAU * n as f64 / samples.len() as f64).cos();
        let (s, c) = (TAU * freq / RATE * n as f64).sin_cos();
        re += x * window * c;
        im += x * window * s;
    }
    2.0 * f64::hypot(re, im) / samples.len() as f64
}

#[test]
fn every_harmonic_of_the_mains_goes_down_by_40_db() {
    for (fields, base) in [("", 50.0), ("", 60.0), ("base: 50 Hz", 49.9), ("base: 60 Hz", 60.1)] {
        let input = sum(&hum(20, |_| base), &noise(-80.0, 1, 1, 20 * SECOND)[0]);
        let out = dehum(fields, &input);
        let downs: Vec<f64> = (1..=(1000.0 / base) as u32)
            .map(|k| {
                let freq = f64::from(k) * base;
                db(amplitude(&input[10 * SECOND..], freq) / amplitude(&out[10 * SECOND..], freq))
            })
            .collect();
        let least = downs.iter().copied().fold(f64::INFINITY, f64::min);
        println!("hum of {base} Hz [{fields}]: least {least:.1} dB down, {downs:.0?}");
    }
}

#[test]
fn a_drift_is_followed() {
    // From 50 up to 50.2, down to 49.8, at 0.1 Hz a second.
    let path = |t: f64| {
        let t = (t - 8.0).max(0.0) + 2.0;
        49.8 + 0.1 * ((t % 8.0) - 4.0).abs().mul_add(-1.0, 4.0)
    };
    let input = hum(40, path);
    let out = dehum("", &input);
    for from in (0..40).step_by(2) {
        let range = from * SECOND..(from + 2) * SECOND;
        print!("{from}s {:.2} Hz {:.1}; ", path(from as f64), db(rms(&input[range.clone()]) / rms(&out[range])));
    }
    println!();
}

#[test]
fn a_tone_beside_a_harmonic_stays() {
    let hum = hum(20, |_| 50.0);
    for freq in [105.0, 145.0, 205.0, 445.0, 505.0, 995.0] {
        let tone: Vec<f64> = (0..20 * SECOND).map(|n| gain(-20.0) * (TAU * freq / RATE * n as f64).sin()).collect();
        let out = dehum("", &sum(&hum, &tone));
        let change = db(amplitude(&out[10 * SECOND..], freq) / amplitude(&tone[10 * SECOND..], freq));
        println!("{freq} Hz: {change:.2} dB");
    }
}

#[test]
fn programme_without_hum_is_left_bit_for_bit() {
    let music = music(30, 5);
    println!("music {}", dehum("", &music) == music);
    // A bass that plays around 50 Hz.
    let mut phase = 0.0;
    let bass: Vec<f64> = (0..30 * SECOND)
        .map(|n| {
            let t = n as f64 / RATE;
            let freq = [50.0, 50.0, 66.7, 56.0, 44.5, 50.0, 59.5, 60.0][(t * 2.0) as usize % 8];
            phase += TAU * freq / RATE;
            let env = (-3.0 * (t * 2.0).fract()).exp();
            0.3 * env * (1..8).map(|k| (f64::from(k) * phase).sin() / f64::from(k)).sum::<f64>()
        })
        .collect();
    println!("bass {}", dehum("", &bass) == bass);
    let both = sum(&music, &hum(30, |_| 50.0));
    let out = dehum("", &both);
    let left: Vec<f64> = out.iter().zip(&music).map(|(a, b)| a - b).collect();
    for from in [0, 4, 8, 12, 20] {
        let range = from * SECOND..(from + 4) * SECOND;
        println!("music + hum at {from}: left {:.1} dBFS of -36.7", db(rms(&left[range])));
    }
}
