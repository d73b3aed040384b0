//! Programme that is made: something like music, for what restores it; and what ffmpeg makes of it.

use crate::daemon::Folder;
use crate::random::Random;
use crate::rig::{RATE, Rig};
use crate::signal::{gain, rms};
use lacquer::media::{Depth, Sink, Source};
use std::f64::consts::TAU;
use std::ops::Range;
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

/// A click: where it begins, and what it adds.
pub struct Click {
    pub at: usize,
    pub wave: Vec<f64>,
}

impl Click {
    pub fn range(&self) -> Range<usize> {
        self.at..self.at + self.wave.len()
    }
}

/// Clicks of 1 to 20 samples, 6 to 30 dB above the local RMS, that die away as scratches do, with turns of sign.
pub fn clicks(music: &[f64], count: usize, seed: u64) -> Vec<Click> {
    let mut random = Random::new(seed);
    let apart = (music.len() - 20_000) / count;
    let click = |index: usize| {
        let at = 10_000 + index * apart + random.below(apart - 200);
        let length = 1 + random.below(20);
        let local = rms(&music[at - 256..at + 256]);
        let peak = local * gain(6.0 + 24.0 * random.unit()) * random.pick(&[-1.0, 1.0]);
        let turn = random.unit();
        let sample = |n: usize| {
            let sign = if random.unit() < 0.5 * turn { -1.0 } else { 1.0 };
            peak * sign * (-2.0 * n as f64 / length as f64).exp()
        };
        Click { at, wave: (0..length).map(sample).collect() }
    };
    (0..count).map(click).collect()
}

pub fn with(music: &[f64], clicks: &[Click]) -> Vec<f64> {
    let mut dirty = music.to_vec();
    for click in clicks {
        dirty[click.range()].iter_mut().zip(&click.wave).for_each(|(sample, click)| *sample += click);
    }
    dirty
}

/// How much nearer to the music the samples under the clicks have come, in dB.
pub fn repaired(music: &[f64], dirty: &[f64], out: &[f64], clicks: &[Click]) -> f64 {
    let error = |of: &[f64]| -> f64 {
        clicks.iter().flat_map(Click::range).map(|n| (of[n] - music[n]).powi(2)).sum()
    };
    10.0 * (error(dirty) / error(out)).log10()
}

/// What a chain makes of the same channel twice, in line with the input and as long.
pub fn in_line(nodes: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(nodes);
    rig.block = 1024;
    let mut padded = input.to_vec();
    padded.resize(input.len() + rig.latency(), 0.0);
    let latency = rig.latency();
    rig.play(&vec![padded; 2])[0].split_off(latency)
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
