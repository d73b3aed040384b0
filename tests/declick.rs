//! Declick on known clicks in something like music: what it finds, what it leaves, how well it repairs; beside ffmpeg.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::material::{ffmpeg, music};
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{db, gain, rms, sine};

const CLICKS: usize = 200;

/// A click: where it begins, and what is added there.
struct Click {
    at: usize,
    wave: Vec<f64>,
}

/// Clicks of 1 to 20 samples, 6 to 30 dB above the local RMS, of the shapes that scratches have: dying away, with or
/// without turns of sign.
fn clicks(music: &[f64], seed: u64) -> Vec<Click> {
    let mut random = Random::new(seed);
    let apart = (music.len() - 20_000) / CLICKS;
    let click = |index: usize| {
        let at = 10_000 + index * apart + random.below(apart - 200);
        let length = 1 + random.below(20);
        let local = rms(&music[at - 256..at + 256]);
        let peak = local * gain(6.0 + 24.0 * random.unit()) * random.pick(&[-1.0, 1.0]);
        let turn = random.unit();
        let shape = |n: usize| {
            let decay = (-2.0 * n as f64 / length as f64).exp();
            decay * if random.unit() < 0.5 * turn { -1.0 } else { 1.0 }
        };
        let mut wave: Vec<f64> = (0..length).map(shape).collect();
        wave.iter_mut().for_each(|x| *x *= peak);
        Click { at, wave }
    };
    (0..CLICKS).map(click).collect()
}

fn with(music: &[f64], clicks: &[Click]) -> Vec<f64> {
    let mut dirty = music.to_vec();
    for click in clicks {
        dirty[click.at..].iter_mut().zip(&click.wave).for_each(|(x, click)| *x += click);
    }
    dirty
}

/// What `declick` makes of one channel, in line with the input.
fn declick(fields: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(&format!("  - declick: {{{fields}}}\n"));
    rig.block = 1024;
    let mut padded = input.to_vec();
    padded.resize(input.len() + rig.latency(), 0.0);
    rig.play(&vec![padded; 2])[0].split_off(rig.latency())
}

/// How many clicks were touched, and how much nearer to the music the samples under the clicks have come, in dB.
fn judge(music: &[f64], dirty: &[f64], out: &[f64], clicks: &[Click]) -> (usize, f64) {
    let range = |click: &Click| click.at..click.at + click.wave.len();
    let touched = clicks.iter().filter(|click| range(click).any(|n| out[n] != dirty[n])).count();
    let error = |of: &[f64]| -> f64 { clicks.iter().flat_map(range).map(|n| (of[n] - music[n]).powi(2)).sum() };
    (touched, 10.0 * (error(dirty) / error(out)).log10())
}

#[test]
fn known_clicks_are_found_and_repaired_and_nothing_else_is_touched() {
    let music = music(60, 1);
    println!("music: {:.1} dBFS", db(rms(&music)));
    let clicks = clicks(&music, 2);
    let dirty = with(&music, &clicks);
    for fields in ["", "sensitivity: 30 %", "sensitivity: 70 %", "order: 64, passes: 2"] {
        let out = declick(fields, &dirty);
        let (found, better) = judge(&music, &dirty, &out, &clicks);
        let near = |n: usize| clicks.iter().any(|c| (c.at.saturating_sub(4)..c.at + c.wave.len() + 4).contains(&n));
        let touched: Vec<usize> = (0..out.len()).filter(|n| out[*n] != dirty[*n]).collect();
        let stray = touched.iter().filter(|n| !near(**n)).count();
        let clean = declick(fields, &music);
        let wrong = (0..clean.len()).filter(|n| clean[*n] != music[*n] && (*n == 0 || clean[*n - 1] == music[*n - 1])).count();
        println!(
            "declick {fields:<22} found {found} of {CLICKS}, SDR +{better:.1} dB, {} samples touched, {stray} far from a click; \
             {wrong} a minute in clean music",
            touched.len()
        );
    }
    let out = ffmpeg("adeclick", &dirty);
    for lag in [0_isize, -1, 1] { let _ = lag; }
    let (found, better) = judge(&music, &dirty, &out, &clicks);
    let touched = (0..out.len()).filter(|n| out[*n] != dirty[*n]).count();
    println!("ffmpeg adeclick {found} {better:.1} dB touched {touched} len {} {}", out.len(), dirty.len());
    let _ = (RATE, sine as fn(f64, f64, f64, usize, usize) -> Vec<Vec<f64>>);
}
