//! Declip on programme that was clipped at a known level: how much nearer it comes, beside ffmpeg.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::material::{ffmpeg, music};
use lacquer_tests::rig::Rig;
use lacquer_tests::signal::{gain, peak};

/// What `declip` makes of one channel, in line with the input.
fn declip(fields: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(&format!("  - declip: {{{fields}}}\n"));
    rig.block = 1024;
    let mut padded = input.to_vec();
    padded.resize(input.len() + rig.latency(), 0.0);
    rig.play(&vec![padded; 2])[0].split_off(rig.latency())
}

fn clipped(music: &[f64], below_peak: f64) -> (Vec<f64>, f64) {
    let level = peak(music) * gain(-below_peak);
    (music.iter().map(|x| x.clamp(-level, level)).collect(), level)
}

/// Signal to distortion, in dB.
fn sdr(music: &[f64], out: &[f64]) -> f64 {
    let power = |samples: &mut dyn Iterator<Item = f64>| samples.map(|x| x * x).sum::<f64>();
    10.0 * (power(&mut music.iter().copied()) / power(&mut music.iter().zip(out).map(|(a, b)| a - b))).log10()
}

#[test]
fn clipped_programme_comes_nearer_to_what_it_was() {
    let mut music = music(30, 3);
    let up = 1.0 / peak(&music);
    music.iter_mut().for_each(|x| *x *= up);
    for below in [3.0, 6.0, 9.0] {
        let (input, _) = clipped(&music, below);
        let hit = input.iter().zip(&music).filter(|(a, b)| a != b).count();
        let before = sdr(&music, &input);
        let mut row = format!("clipped at -{below} dB ({hit} samples): SDR {before:.1} dB");
        for fields in ["", "passes: 1", "order: 64, passes: 4"] {
            row += &format!(", [{fields}] +{:.1}", sdr(&music, &declip(fields, &input)) - before);
        }
        row += &format!(", ffmpeg +{:.1}", sdr(&music, &ffmpeg("adeclip", &input)) - before);
        println!("{row}");
    }
}
