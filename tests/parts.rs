//! The parts to build with: gain, mix, tone and noise, by numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::metering::spectrum::Spectrum;
use lacquer_graph::plan::Io;
use lacquer_tests::rig::{RATE, Rig, groups};
use lacquer_tests::signal::{Channels, db, noise, rms, silence};

fn play(nodes: &str, input: &Channels) -> Channels {
    Rig::of(nodes).play(input)
}

fn change(nodes: &str) -> [f64; 2] {
    let input = noise(-12.0, 1, 2, 48_000);
    let out = play(nodes, &input);
    [0, 1].map(|channel| db(rms(&out[channel]) / rms(&input[channel]) + 1e-20))
}

#[test]
fn a_gain_is_its_level_its_polarity_and_its_balance() {
    for (fields, left, right) in [
        ("gain: -6 dB", -6.0, -6.0),
        ("gain: 4.5 dB", 4.5, 4.5),
        ("gain: -inf", -400.0, -400.0),
        ("balance: -100 %", 0.0, -400.0),
        ("balance: 100 %", -400.0, 0.0),
    ] {
        let got = change(&format!("  - gain: {{{fields}}}\n"));
        assert!((got[0] - left).abs() < 1e-6 && (got[1] - right).abs() < 1e-6, "{fields}: {got:?}");
    }
    let [left, right] = change("  - gain: {balance: 50 %}\n");
    assert!(left < -1.0 && right == 0.0, "{left:.2}, {right:.2} dB");
    let input = noise(-12.0, 2, 2, 4_800);
    let out = play("  - gain: {invert: true}\n", &input);
    assert!(out.iter().flatten().zip(input.iter().flatten()).all(|(y, x)| *y == -x));
}

#[test]
fn a_mix_has_the_level_that_is_set() {
    let [left, right] = change("  - mix: {gain: -3.5 dB}\n");
    assert!((left + 3.5).abs() < 1e-9 && (right + 3.5).abs() < 1e-9);
}

#[test]
fn a_tone_has_its_frequency_and_its_level() {
    for (freq, level) in [(50.0, -20.0), (997.0, -6.0), (12_500.0, -40.0)] {
        let out = play(&format!("  - tone: {{freq: {freq} Hz, level: {level} dB}}\n"), &silence(2, 144_000));
        let mut spectrum = Spectrum::new(RATE, 2);
        spectrum.add(&out);
        let near = spectrum.between(freq / 1.2, freq * 1.2);
        assert!((near - (level - 3.01)).abs() < 0.05, "{freq} Hz: {near:.2} dBFS");
    }
}

#[test]
fn white_noise_has_more_in_each_octave_and_pink_noise_has_not() {
    let rise = |colour: &str| {
        let out = play(&format!("  - noise: {{colour: {colour}, level: -20 dB}}\n"), &silence(2, 960_000));
        let mut spectrum = Spectrum::new(RATE, 2);
        spectrum.add(&out);
        spectrum.between(5_000.0, 10_000.0) - spectrum.between(312.5, 625.0)
    };
    // Four octaves of 3.01 dB.
    assert!(
        (rise("white") - 12.04).abs() < 0.5 && rise("pink").abs() < 0.5,
        "{:.2}, {:.2}",
        rise("white"),
        rise("pink")
    );
    let quiet = play("  - noise: {level: -60 dB}\n", &silence(2, 96_000));
    assert!((db(rms(&quiet[0])) + 60.0).abs() < 0.1);
}

#[test]
fn a_mix_makes_one_channel_many_and_many_one() {
    let io = Io { inputs: groups(&[("in", 1)]), outputs: groups(&[("out", 3)]) };
    let mut rig = Rig::with(&[("main", "  - mix: {channels: 3}\n")], &io, true);
    let input = noise(-6.0, 14, 1, 640);
    assert!(rig.play(&input).iter().all(|out| *out == input[0]));
    let io = Io { inputs: groups(&[("in", 4)]), outputs: groups(&[("out", 1)]) };
    let mut rig = Rig::with(&[("main", "  - mix: {channels: 1}\n")], &io, true);
    let input = noise(-6.0, 15, 4, 640);
    let out = rig.play(&input);
    for n in 0..640 {
        let mean: f64 = input.iter().map(|samples| samples[n]).sum::<f64>() / 4.0;
        assert!((out[0][n] - mean).abs() < 1e-15);
    }
}

#[test]
fn sources_have_the_channels_and_the_level_that_are_asked_for() {
    for (nodes, channels, level) in [
        ("  - tone: {freq: 997 Hz, level: -20 dB, channels: 5}\n", 5, -23.01),
        ("  - noise: {colour: white, level: -20 dB, channels: 3}\n", 3, -20.0),
        ("  - noise: {colour: pink, level: -20 dB, channels: 2}\n", 2, -20.0),
    ] {
        let io = Io { inputs: groups(&[("in", 1)]), outputs: groups(&[("out", channels)]) };
        let mut rig = Rig::with(&[("main", nodes)], &io, true);
        rig.block = 1024;
        for samples in rig.play(&silence(1, 480_000)) {
            let rms = db(rms(&samples));
            let tolerance = if nodes.contains("pink") { 0.5 } else { 0.05 };
            assert!((rms - level).abs() < tolerance, "{rms:.2} dB, not {level} dB: {nodes}");
        }
    }
}
