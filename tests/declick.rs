//! Declick on known clicks in something like music: what it finds, what it leaves, how well it repairs; beside ffmpeg.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::material::{Click, clicks, ffmpeg, in_line, music, repaired, with};
use lacquer_tests::rig::Rig;
use lacquer_tests::signal::{noise, same_bits};

const CLICKS: usize = 200;

/// Of samples that differ: how many runs.
fn runs(a: &[f64], b: &[f64]) -> usize {
    let differ = |n: usize| a[n] != b[n];
    (0..a.len()).filter(|n| differ(*n) && (*n == 0 || !differ(n - 1))).count()
}

/// How many clicks were touched.
fn found(dirty: &[f64], out: &[f64], clicks: &[Click]) -> usize {
    clicks.iter().filter(|click| click.range().any(|n| (out[n] - dirty[n]).abs() > 1e-9)).count()
}

#[test]
fn known_clicks_are_found_and_repaired_and_nothing_else_is_touched() {
    let music = music(60, 1);
    let clicks = clicks(&music, CLICKS, 2);
    let dirty = with(&music, &clicks);
    println!("200 clicks of 1 to 20 samples, 6 to 30 dB above the RMS, in a minute of music:");
    let mut figures = Vec::new();
    for fields in ["", "sensitivity: 70 %", "order: 48, passes: 2"] {
        let nodes = format!("  - declick: {{{fields}}}\n");
        let out = in_line(&nodes, &dirty);
        let (hit, better) = (found(&dirty, &out, &clicks), repaired(&music, &dirty, &out, &clicks));
        let wrong = runs(&in_line(&nodes, &music), &music);
        let is_near = |n: usize| clicks.iter().any(|click| click.range().any(|m| m.abs_diff(n) < 50));
        let far = (0..out.len()).filter(|n| out[*n] != dirty[*n] && !is_near(*n)).count();
        println!(
            "declick {{{fields}}}: {hit} found, SDR {better:+.1} dB, {wrong} a minute found in clean music, {} samples touched",
            (0..out.len()).filter(|n| out[*n] != dirty[*n]).count()
        );
        assert!(far <= 20 * wrong, "{far} samples that are nowhere near a click are touched");
        figures.push((hit, better, wrong));
    }
    let out = ffmpeg("adeclick", &dirty);
    let better = repaired(&music, &dirty, &out, &clicks);
    let touched = (0..out.len()).filter(|n| out[*n] != dirty[*n]).count();
    let hit = found(&dirty, &out, &clicks);
    let wrong = runs(&ffmpeg("adeclick", &music), &music);
    println!(
        "ffmpeg adeclick: {hit} found, SDR {better:+.1} dB, {wrong} in clean music, {touched} samples touched"
    );
    for (hit, better, wrong) in figures {
        assert!(hit >= CLICKS * 95 / 100, "{hit} of {CLICKS} found");
        assert!(better >= 15.0, "{better:.1} dB");
        assert!(wrong <= 1, "{wrong} a minute in clean music");
    }
}

#[test]
fn crackle_is_repaired_in_both_channels_where_they_are_linked() {
    let music = music(10, 4);
    let clicks = clicks(&music, 400, 5);
    let dirty = with(&music, &clicks);
    for (linked, both) in [(false, false), (true, true)] {
        let mut rig = Rig::of(&format!("  - declick: {{linked: {linked}}}\n"));
        let out = rig.play(&vec![dirty.clone(), music.clone()]);
        let latency = rig.latency();
        let touched =
            |channel: usize, input: &[f64]| runs(&out[channel][latency..], &input[..input.len() - latency]);
        assert!(touched(0, &dirty) > 350, "{}", touched(0, &dirty));
        assert_eq!(touched(1, &music) > 350, both, "{}", touched(1, &music));
    }
}

#[test]
fn what_is_taken_away_can_be_heard() {
    let music = music(5, 6);
    let dirty = with(&music, &clicks(&music, 20, 7));
    let hear = |listen: bool| in_line(&format!("  - declick: {{listen: {listen}}}\n"), &dirty);
    let (out, taken) = (hear(false), hear(true));
    let left = (0..dirty.len()).fold(0.0_f64, |left, n| left.max((dirty[n] - out[n] - taken[n]).abs()));
    assert!(left < 1e-12, "{left:e}");
}

#[test]
fn noise_and_its_onsets_are_no_clicks() {
    let mut input = noise(-20.0, 8, 2, 240_000);
    for samples in &mut input {
        samples.iter_mut().enumerate().for_each(|(n, x)| *x *= if n / 20_000 % 2 == 0 { 0.01 } else { 1.0 });
    }
    let mut rig = Rig::of("  - declick\n");
    let out = rig.play(&input);
    let latency = rig.latency();
    let late = |samples: &Vec<f64>| samples[latency..].to_vec();
    let early = |samples: &Vec<f64>| samples[..240_000 - latency].to_vec();
    assert!(same_bits(&out.iter().map(late).collect(), &input.iter().map(early).collect()));
}
