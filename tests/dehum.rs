//! Dehum on hum that is known: how far it goes down, what stays beside it, how it follows the mains; and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::run::engine::Event;
use lacquer_tests::material::music;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig, mono};
use lacquer_tests::signal::{Channels, Sine, Sines, db, gain, harmonics, line, noise, rms};
use std::f64::consts::TAU;

const SECOND: usize = RATE as usize;

/// Hum whose frequency is `freq` at each second: harmonics up to 1 kHz, the first at -40 dBFS RMS, the others 1/f below it.
fn hum(seconds: usize, freq: impl Fn(f64) -> f64) -> Vec<f64> {
    let mut phase = 0.0;
    // That of harmonic k begins at k * k.
    let begins: Vec<(f64, f64)> = (0..=20).map(|k| f64::from(k * k).sin_cos()).collect();
    let level = gain(-37.0);
    let wave = |n: usize| {
        let freq = freq(n as f64 / RATE);
        phase += TAU * freq / RATE;
        let harmonic = |k: usize, sin: f64, cos: f64| (sin * begins[k].1 + cos * begins[k].0) / k as f64;
        level * harmonics(phase, (1000.0 / freq.round()) as usize, harmonic)
    };
    (0..seconds * SECOND).map(wave).collect()
}

fn sum(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

fn dehum(fields: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::with(&[("main", &format!("  - dehum: {{{fields}}}\n"))], &mono(), true);
    rig.block = 1024;
    rig.play(&vec![input.to_vec()]).remove(0)
}

/// Amplitude of the part at `freq`, with a Hann window.
fn amplitude(samples: &[f64], freq: f64) -> f64 {
    // Times 1 - cos, which is the line and half of those one place beside it.
    let at = |bins: f64| line(samples.iter().copied(), freq + bins * RATE / samples.len() as f64, RATE);
    let [before, middle, behind] = [-1.0, 0.0, 1.0].map(at);
    let [re, im] = [0, 1].map(|part| middle[part] - 0.5 * (before[part] + behind[part]));
    2.0 * f64::hypot(re, im) / samples.len() as f64
}

#[test]
fn every_harmonic_of_the_mains_goes_down_by_40_db() {
    for (fields, base) in [("", 50.0), ("", 60.1), ("base: 50 Hz", 49.9)] {
        let input = sum(&hum(16, |_| base), &noise(-80.0, 1, 1, 16 * SECOND)[0]);
        let out = dehum(fields, &input);
        let down = |k: u32| {
            let freq = f64::from(k) * base;
            db(amplitude(&input[8 * SECOND..], freq) / amplitude(&out[8 * SECOND..], freq))
        };
        let downs: Vec<f64> = (1..=(1000.0 / base) as u32).map(down).collect();
        let least = downs.iter().copied().fold(f64::INFINITY, f64::min);
        println!("hum of {base} Hz: the harmonics up to 1 kHz are {least:.1} dB down and more");
        assert!(least >= 40.0, "{base} Hz: {downs:.1?}");
    }
}

#[test]
fn a_drift_is_followed() {
    // Between 49.8 and 50.2, at 0.1 Hz a second, turning round at both ends.
    let path = |t: f64| 49.8 + 0.1 * (4.0 - ((t + 2.0) % 8.0 - 4.0).abs());
    let input = hum(30, path);
    let out = dehum("", &input);
    let down = |from: usize| {
        let range = from * SECOND..(from + 1) * SECOND;
        db(rms(&input[range.clone()]) / rms(&out[range]))
    };
    let downs: Vec<f64> = (10..30).map(down).collect();
    println!("hum that drifts, second by second: {downs:.1?} dB down");
    assert!(downs.iter().all(|down| *down >= 30.0), "{downs:.1?}");
}

#[test]
fn a_tone_beside_a_harmonic_stays() {
    let hum = hum(16, |_| 50.0);
    for freq in [105.0, 145.0, 205.0, 445.0, 505.0, 995.0] {
        // As loud as the hum there, 15 dB louder, and much louder.
        for level in [gain(-37.0) * 50.0 / freq, gain(-22.0) * 50.0 / freq, gain(-20.0)] {
            let wave = |n: usize| level * (TAU * freq / RATE * n as f64).sin();
            // The hum comes first, so that it is taken away for sure.
            let tone: Vec<f64> =
                (0..16 * SECOND).map(|n| if n < 6 * SECOND { 0.0 } else { wave(n) }).collect();
            let out = dehum("", &sum(&hum, &tone));
            let change = db(amplitude(&out[8 * SECOND..], freq) / amplitude(&tone[8 * SECOND..], freq));
            println!("{freq} Hz at {:.0} dBFS beside hum: {change:+.2} dB", db(level) - 3.0);
            assert!(change.abs() <= 1.0, "{freq} Hz: {change:.2} dB");
        }
    }
}

#[test]
fn programme_without_hum_is_left_bit_for_bit() {
    let music = music(120, 5);
    assert!(dehum("", &music) == music, "music");
    // A bass that plays around 50 Hz.
    let mut phase = 0.0;
    let bass = |n: usize| {
        let time = n as f64 / RATE * 2.0;
        phase += TAU * [50.0, 50.0, 66.7, 56.0, 44.5, 50.0, 59.5, 60.0][time as usize % 8] / RATE;
        0.3 * (-1.5 * time.fract()).exp() * harmonics(phase, 7, |k, sin, _| sin / k as f64)
    };
    let bass: Vec<f64> = (0..20 * SECOND).map(bass).collect();
    assert!(dehum("", &bass) == bass, "a bass");
    // A drum on each beat, in time to the sample: all of it is at multiples of 2 Hz.
    let drum = |n: usize| {
        let time = n as f64 / RATE % 0.5;
        0.4 * (-6.0 * time).exp() * (TAU * 50.0 * time + 12.0 * (1.0 - (-30.0 * time).exp())).sin()
    };
    let drums: Vec<f64> = (0..40 * SECOND).map(drum).collect();
    assert!(dehum("", &drums) == drums, "drums");
}

#[test]
fn low_notes_that_are_held_and_end_are_left_bit_for_bit() {
    // The tempered ones around the mains, and ones that are at them.
    for (lows, longest) in
        [(&[49.0, 58.27, 61.74, 98.0, 123.47][..], 4.0), (&[49.0, 50.0, 51.0, 60.0, 100.0], 2.0)]
    {
        let organ = organ(120, lows, longest);
        assert!(dehum("", &organ) == organ, "an organ at {lows:?} Hz");
    }
}

/// Chords of an organ: its lowest voice changes between some notes, each voice's notes are as loud from their begin to their end.
fn organ(seconds: usize, lows: &[f64], longest: f64) -> Vec<f64> {
    let mut random = Random::new(7);
    let mut samples = vec![0.0; seconds * SECOND];
    for voice in 0..4 {
        let mut begin = 0;
        while begin < samples.len() {
            let length = (RATE * (0.5 + (longest - 0.5) * random.unit())) as usize;
            let note = (40.0 + 30.0 * random.unit()).round();
            let freq = if voice == 0 { *random.pick(lows) } else { 440.0 * ((note - 69.0) / 12.0).exp2() };
            let phase = random.unit();
            let mut pipe = Sines::<9>::new(|k| Sine {
                level: 1.0 / k,
                phase: TAU * k * phase,
                step: TAU * k * freq / RATE,
                decay: 1.0,
            });
            for (n, sample) in samples[begin..].iter_mut().take(length).enumerate() {
                let time = n as f64 / RATE;
                let level = 0.06 * (time / 0.05).min(1.0) * ((length - n) as f64 / RATE / 0.1).min(1.0);
                *sample += level * pipe.tick();
            }
            begin += length;
        }
    }
    samples
}

#[test]
fn hum_far_below_music_that_never_pauses_is_found_and_let_go() {
    for (seed, freq) in [(5, 50.02), (7, 60.07)] {
        let music = [music(60, seed), music(60, seed + 1)];
        let mut hum = hum(60, |_| freq);
        hum[35 * SECOND..].fill(0.0);
        let mut rig = Rig::of("  - dehum: {id: n}\n");
        rig.block = 1024;
        let input: Channels = music.iter().map(|music| sum(music, &hum)).collect();
        let out = rig.play(&input);
        let left = |channel: usize, from: usize, to: usize| {
            let range = from * SECOND..to * SECOND;
            db(rms(&range.map(|n| out[channel][n] - music[channel][n]).collect::<Vec<_>>()))
        };
        let found = (0..30 * SECOND).find(|n| out[0][*n] != input[0][*n]).unwrap() as f64 / RATE;
        println!(
            "hum of {freq} Hz, -37.9 dBFS under music of {:.1}: found in {found:.1} s, then {:.1} and {:.1} dBFS",
            db(rms(&music[0])),
            left(0, 20, 35),
            left(1, 20, 35)
        );
        assert!(found < 15.0 && left(0, 20, 35) < -44.0 && left(1, 20, 35) < -44.0);
        assert!(out[0][55 * SECOND..] == music[0][55 * SECOND..], "let go");
    }
}

#[test]
fn hum_is_gone_in_a_pause_and_nothing_stays_when_it_ends() {
    let mut music = music(30, 5);
    music[..8 * SECOND].fill(0.0);
    music[20 * SECOND..].fill(0.0);
    let mut hum = hum(30, |_| 50.02);
    hum[24 * SECOND..].fill(0.0);
    let out = dehum("", &sum(&music, &hum));
    let level = |from: usize, to: usize| {
        let left: Vec<f64> = (from * SECOND..to * SECOND).map(|n| out[n] - music[n]).collect();
        db(rms(&left))
    };
    println!(
        "hum of -37.9 dBFS: in the pause {:.1}, under music of {:.1} {:.1}, after the music {:.1}, after the hum {:.1} dBFS",
        level(7, 8),
        db(rms(&music[8 * SECOND..20 * SECOND])),
        level(8, 20),
        level(22, 24),
        level(26, 30)
    );
    assert!(level(7, 8) < -70.0 && level(8, 20) < -50.0 && level(22, 24) < -60.0 && level(26, 30) < -90.0);
}

#[test]
fn frequency_and_level_are_told() {
    let mut rig = Rig::of("  - dehum: {id: n}\n");
    rig.block = 1024;
    rig.play(&vec![hum(8, |_| 50.1); 2]);
    let newest = |slot: usize| {
        let told = rig.events.iter().rev().find_map(|event| match event {
            Event::Meter { reading, value, .. } if *reading == slot => *value,
            _ => None,
        });
        told.unwrap()
    };
    let (freq, level) = (newest(0), newest(1));
    println!("told: {freq:.4} Hz, {level:.2} dBFS");
    assert!((freq - 50.1).abs() < 0.005 && (level + 37.9).abs() < 0.3, "{freq} Hz, {level} dBFS");
}
