//! Programme that is made: something like music, for what restores it; and what ffmpeg makes of it.

use crate::daemon::Folder;
use crate::random::Random;
use crate::rig::{RATE, Rig, mono};
use crate::signal::{Sine, Sines, gain, rms};
use lacquer::media::{Depth, Sink, Source};
use std::f64::consts::TAU;
use std::ops::Range;
use std::process::Command;

/// One channel of something like music: chords and a bass whose notes die away, a hi-hat, and a bed of faint hiss; RMS about
/// -20 dBFS.
pub fn music(seconds: usize, seed: u64) -> Vec<f64> {
    compose(seconds, seed, Note::add)
}

/// The same but for its roundings, and slower: the approved sound (`tests/golden/audio`) was made of it.
pub fn approved_music(seconds: usize, seed: u64) -> Vec<f64> {
    compose(seconds, seed, Note::add_as_approved)
}

fn compose(seconds: usize, seed: u64, add: impl Fn(&Note, &mut [f64])) -> Vec<f64> {
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
            let phases = std::array::from_fn(|_| TAU * random.unit());
            add(&Note { frames: 2 * length, freq, level, phases }, &mut samples[begin..]);
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

/// A note of [`music`], and the phase of each of its harmonics.
struct Note {
    frames: usize,
    freq: f64,
    level: f64,
    phases: [f64; 12],
}

impl Note {
    /// 5 ms of attack, and the last fifth fades.
    fn envelope(&self, n: usize) -> f64 {
        let attack = (n as f64 / RATE / 0.005).min(1.0);
        let attack = attack * attack * (3.0 - 2.0 * attack);
        attack * ((1.0 - n as f64 / self.frames as f64).min(0.2) / 0.2)
    }

    /// Each harmonic turns and dies away by a factor a sample, the faster the higher it is.
    fn add(&self, samples: &mut [f64]) {
        let mut harmonics = Sines::<12>::new(|k| Sine {
            level: if k * self.freq < 16_000.0 { self.level / k } else { 0.0 },
            phase: self.phases[k as usize - 1],
            step: TAU * k * self.freq / RATE,
            decay: (-(0.8 + 0.5 * k) / RATE).exp(),
        });
        for (n, sample) in samples.iter_mut().take(self.frames).enumerate() {
            *sample += self.envelope(n) * harmonics.tick();
        }
    }

    /// The same, every sample by itself.
    fn add_as_approved(&self, samples: &mut [f64]) {
        for (n, sample) in samples.iter_mut().take(self.frames).enumerate() {
            let time = n as f64 / RATE;
            let attack = (time / 0.005).min(1.0);
            let attack = attack * attack * (3.0 - 2.0 * attack);
            let release = (1.0 - n as f64 / self.frames as f64).min(0.2) / 0.2;
            for (at, phase) in self.phases.iter().enumerate() {
                let k = (at + 1) as f64;
                if k * self.freq < 16_000.0 {
                    let decay = (-time * (0.8 + 0.5 * k)).exp() / k;
                    *sample +=
                        self.level * attack * release * decay * (TAU * k * self.freq * time + phase).sin();
                }
            }
        }
    }
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

/// What a chain makes of one channel, in line with the input and as long.
pub fn in_line(nodes: &str, input: &[f64]) -> Vec<f64> {
    let mut rig = Rig::with(&[("main", nodes)], &mono(), true);
    rig.block = 1024;
    let mut padded = input.to_vec();
    padded.resize(input.len() + rig.latency(), 0.0);
    let latency = rig.latency();
    rig.play(&vec![padded])[0].split_off(latency)
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
