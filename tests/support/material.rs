//! Programme that is made: something like music, for what restores it; and what ffmpeg makes of it.

use crate::daemon::Folder;
use crate::random::Random;
use crate::rig::RATE;
use crate::signal::gain;
use lacquer::files::{Depth, Sink, Source};
use std::f64::consts::TAU;
use std::process::Command;

/// One channel of something like music: chords and a bass whose notes die away, a hi-hat, and a bed of faint hiss; RMS about
/// -20 dBFS.
pub fn music(seconds: usize, seed: u64) -> Vec<f64> {
    let mut random = Random::new(seed);
    let frames = seconds * RATE as usize;
    let mut samples: Vec<f64> = (0..frames).map(|_| gain(-75.0) * (2.0 * random.unit() - 1.0)).collect();
    let mut begin = 0;
    while begin < frames {
        let length = (RATE * (0.25 + 0.5 * random.unit())) as usize;
        for voice in 0..4 {
            let note = if voice == 0 { 28.0 + 12.0 * random.unit() } else { 50.0 + 24.0 * random.unit() };
            let freq = 440.0 * ((note.round() - 69.0) / 12.0).exp2();
            let level = if voice == 0 { 0.12 } else { 0.05 } * (0.6 + 0.4 * random.unit());
            let phases: Vec<f64> = (0..12).map(|_| TAU * random.unit()).collect();
            for (n, sample) in samples[begin..].iter_mut().take(2 * length).enumerate() {
                let time = n as f64 / RATE;
                // 5 ms of attack, then each harmonic dies away the faster the higher it is.
                let attack = (time / 0.005).min(1.0);
                let attack = attack * attack * (3.0 - 2.0 * attack);
                let release = (1.0 - n as f64 / (2 * length) as f64).min(0.2) / 0.2;
                for (at, phase) in phases.iter().enumerate() {
                    let k = (at + 1) as f64;
                    if k * freq < 16_000.0 {
                        let decay = (-time * (0.8 + 0.5 * k)).exp() / k;
                        *sample += level * attack * release * decay * (TAU * k * freq * time + phase).sin();
                    }
                }
            }
        }
        let mut before = 0.0;
        for (n, sample) in samples[begin..].iter_mut().take(length).enumerate() {
            let noise = 2.0 * random.unit() - 1.0;
            *sample += 0.01 * (-(n as f64) / (0.04 * RATE)).exp() * (noise - before);
            before = noise;
        }
        begin += length;
    }
    samples
}

/// What ffmpeg's audio filter makes of a channel at the tests' rate.
pub fn ffmpeg(filter: &str, samples: &[f64]) -> Vec<f64> {
    let folder = Folder::new(&format!("ffmpeg-{}", filter.split('=').next().unwrap_or_default()));
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    let mut sink = Sink::create(&input, RATE as u32, 1, Depth::Float64).unwrap();
    sink.write(&[samples]).unwrap();
    sink.finish().unwrap();
    let done = Command::new("ffmpeg")
        .args(["-v", "error", "-y", "-i"])
        .arg(&input)
        .args(["-af", filter, "-c:a", "pcm_f64le"])
        .arg(&output)
        .status();
    assert!(done.expect("ffmpeg: installed by make test").success(), "ffmpeg -af {filter}");
    let mut source = Source::open(&output).unwrap();
    let mut out = Vec::new();
    while let Some(chunk) = source.next().unwrap() {
        out.extend(&chunk[0]);
    }
    out
}
