//! Declip on programme that was clipped at a known level: how much nearer it comes, beside ffmpeg.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::material::{ffmpeg, in_line, music};
use lacquer_tests::signal::{gain, noise, peak};

/// Half a minute with its peak at 0 dBFS.
fn programme() -> Vec<f64> {
    let mut music = music(30, 3);
    let up = 1.0 / peak(&music);
    music.iter_mut().for_each(|x| *x *= up);
    music
}

fn clipped(music: &[f64], above: f64, below: f64) -> Vec<f64> {
    music.iter().map(|x| x.clamp(-gain(below), gain(above))).collect()
}

/// Signal to distortion, in dB.
fn sdr(music: &[f64], out: &[f64]) -> f64 {
    let (mut signal, mut error) = (0.0, 0.0);
    for (music, out) in music.iter().zip(out) {
        signal += music * music;
        error += (out - music).powi(2);
    }
    10.0 * (signal / error).log10()
}

#[test]
fn clipped_programme_comes_nearer_to_what_it_was() {
    let music = programme();
    for (level, least) in [(-3.0, 0.0), (-6.0, 6.0), (-9.0, 5.0)] {
        let input = clipped(&music, level, level);
        let better =
            |out: &[f64]| sdr(&music[..out.len()], out) - sdr(&music[..out.len()], &input[..out.len()]);
        let ours = in_line("  - declip\n", &input);
        // These take long: beside them, the first ten seconds.
        let short = &input[..480_000];
        let best = better(&in_line("  - declip: {order: 448, passes: 4}\n", short));
        let (beside, theirs) = (better(&ours[..480_000]), better(&ffmpeg("adeclip", short)));
        println!(
            "clipped at {level} dB re peak, SDR {:.1} dB: declip {:+.1} dB; of ten seconds {beside:+.1} dB, at best quality \
             {best:+.1} dB, ffmpeg adeclip {theirs:+.1} dB",
            sdr(&music, &input),
            better(&ours)
        );
        assert!(better(&ours) >= least && beside > theirs, "{:.1} dB", better(&ours));
        for (n, (out, input)) in ours.iter().zip(&input).enumerate() {
            // At the level are two steps of 16 bits.
            let grows = input.abs() > gain(level) - 3e-4 && out.abs() >= input.abs();
            assert!(grows || out == input, "sample {n}: {input} to {out}");
        }
    }
}

#[test]
fn each_polarity_has_its_level_and_it_is_found_anew_after_a_change_of_gain() {
    let music = programme();
    let mut input = clipped(&music, -6.0, -8.0);
    let mut wanted = music.clone();
    for (input, wanted) in input.iter_mut().zip(&mut wanted).skip(720_000) {
        (*input, *wanted) = (*input * 0.3, *wanted * 0.3);
    }
    let out = in_line("  - declip\n", &input);
    for from in [0, 720_000] {
        let range = from..from + 720_000;
        let better =
            sdr(&wanted[range.clone()], &out[range.clone()]) - sdr(&wanted[range.clone()], &input[range]);
        println!("clipped at -6 and -8 dB, from {} s on: {better:+.1} dB", from / 48_000);
        assert!(better >= 5.0, "{better:.1} dB");
    }
}

#[test]
fn what_is_not_clipped_is_left_bit_for_bit() {
    let music = programme();
    assert!(in_line("  - declip\n", &music) == music, "music");
    let loud = noise(0.0, 9, 1, 480_000).remove(0);
    assert!(in_line("  - declip\n", &loud) == loud, "noise up to full scale");
    let low: Vec<f64> = (0..480_000).map(|n| 0.9 * (f64::from(n) * 0.002).sin()).collect();
    assert!(in_line("  - declip\n", &low) == low, "a low sine: its tops are round");
    let soft: Vec<f64> = music.iter().map(|x| (3.0 * x).tanh()).collect();
    assert!(in_line("  - declip\n", &soft) == soft, "softly limited");
}
