//! Approved sound: hashes of what is played, an excerpt of its samples beside each, and where they hold.
//!
//! A hash is of every bit, and roundings differ between processors, libraries of mathematics and compilers. Where all
//! of these are those of the file, the hashes are compared; elsewhere the excerpts, within a bound.

use crate::daemon::root;
use crate::signal::{Channels, db};
use std::fmt::Write as _;
use std::hint::black_box;
use std::path::PathBuf;
use std::process::Command;

/// How far an excerpt may be off on another processor, in dBFS.
const BOUND_DB: f64 = -180.0;
/// Samples of an excerpt.
const EXCERPT: usize = 16;

/// What was played under a name.
#[derive(Clone, Debug, PartialEq)]
struct Sound {
    name: String,
    hash: u64,
    rms_db: f64,
    excerpt: Vec<f64>,
}

/// A file of `tests/golden/audio`, and what is played now.
pub struct Golden {
    path: PathBuf,
    about: &'static str,
    sounds: Vec<Sound>,
}

impl Golden {
    pub fn new(name: &str, about: &'static str) -> Self {
        let path = root().join(format!("tests/golden/audio/{name}.txt"));
        Self { path, about, sounds: Vec::new() }
    }

    pub fn add(&mut self, name: &str, out: &Channels) {
        assert!(!name.contains(char::is_whitespace), "\"{name}\" is one word");
        assert!(self.sounds.iter().all(|sound| sound.name != name), "two sounds are \"{name}\"");
        let power = out.iter().flatten().map(|x| x * x).sum::<f64>() / (out.len() * out[0].len()) as f64;
        // From all along it, the channels in turn.
        let sample = |at: usize| out[at % out.len()][(2 * at + 1) * out[0].len() / (2 * EXCERPT)];
        self.sounds.push(Sound {
            name: name.to_owned(),
            hash: hash(out.iter().flatten().copied()),
            rms_db: db(power.sqrt().max(1e-15)),
            excerpt: (0..EXCERPT).map(sample).collect(),
        });
    }

    /// Compares all that was added with the approved file, or renews it.
    pub fn check(&self) {
        if std::env::var_os("LACQUER_APPROVE").is_some() {
            std::fs::create_dir_all(self.path.parent().unwrap()).unwrap();
            std::fs::write(&self.path, self.text()).unwrap();
            return;
        }
        let text = std::fs::read_to_string(&self.path).unwrap_or_default();
        let (places, approved) = read(&text);
        let here = place();
        let elsewhere: Vec<_> = here.iter().filter(|line| !places.contains(line)).collect();
        if !elsewhere.is_empty() {
            println!("{}: compared by excerpts, for here are {elsewhere:?}", self.path.display());
        }
        let mistakes = self.mistakes(&approved, elsewhere.is_empty());
        assert!(
            mistakes.is_empty(),
            "the sound has changed; where that is meant, `make golden-audio` renews {}:\n{}",
            self.path.display(),
            mistakes.join("\n")
        );
    }

    /// What is not as approved, a line each.
    fn mistakes(&self, approved: &[Sound], by_hash: bool) -> Vec<String> {
        let mut mistakes = Vec::new();
        for sound in &self.sounds {
            let name = &sound.name;
            let Some(known) = approved.iter().find(|known| known.name == *name) else {
                mistakes.push(format!("{name}: not in the file yet"));
                continue;
            };
            let off =
                sound.excerpt.iter().zip(&known.excerpt).fold(0.0, |off: f64, (a, b)| off.max((a - b).abs()));
            let is_off = sound.hash != known.hash && (by_hash || db(off) > BOUND_DB);
            if is_off {
                let excerpt = match off {
                    0.0 => "though not within its excerpt".to_owned(),
                    off => format!("its excerpt by up to {:.1} dBFS", db(off)),
                };
                let level = sound.rms_db - known.rms_db;
                mistakes.push(format!("{name}: differs, {excerpt}; its RMS by {level:+.3} dB"));
            }
        }
        let is_gone = |known: &&Sound| !self.sounds.iter().any(|sound| sound.name == known.name);
        mistakes
            .extend(approved.iter().filter(is_gone).map(|known| format!("{}: no longer played", known.name)));
        mistakes
    }

    fn text(&self) -> String {
        let mut text = format!("# {}\n", self.about);
        text += "# Written by `make golden-audio`, checked by `make test`. A line that changes is a sound that changes.\n";
        text += "# Each line: name, hash of every sample, RMS, 16 samples from all along it (the channels in turn).\n";
        text += "# The hashes hold where these hold; elsewhere the 16 samples are compared, within ";
        _ = writeln!(text, "{BOUND_DB} dBFS:");
        for line in place() {
            _ = writeln!(text, "{line}");
        }
        for Sound { name, hash, rms_db, excerpt } in &self.sounds {
            _ = write!(text, "{name:<32} {hash:016x} {rms_db:8.3}dB");
            excerpt.iter().for_each(|sample| _ = write!(text, " {sample:e}"));
            text.push('\n');
        }
        text
    }
}

/// The places that a file is for, and its sounds.
fn read(text: &str) -> (Vec<String>, Vec<Sound>) {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let (places, sounds): (Vec<&str>, Vec<&str>) = lines.partition(|line| line.contains(": "));
    let sound = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, hash, rms, excerpt @ ..] = &words[..] else { panic!("what is this line: {line}") };
        Sound {
            name: (*name).to_owned(),
            hash: u64::from_str_radix(hash, 16).unwrap(),
            rms_db: rms.trim_end_matches("dB").parse().unwrap(),
            excerpt: excerpt.iter().map(|word| word.parse().unwrap()).collect(),
        }
    };
    (places.into_iter().map(str::to_owned).collect(), sounds.iter().map(sound).collect())
}

/// What roundings depend on: which instructions there are to compute with, how the system's library rounds, and
/// which compiler has worked out what is constant.
fn place() -> [String; 3] {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let version = Command::new(rustc).arg("--version").output();
    let version =
        version.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned()).unwrap_or_default();
    [
        format!("processor: {}, {}", std::env::consts::ARCH, vectors()),
        format!("mathematics: {:016x}", mathematics()),
        format!("compiler: {version}"),
    ]
}

/// The graph and rustfft choose between these; AVX-512 rounds as AVX2 does.
fn vectors() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        return "AVX2 and FMA";
    }
    "no AVX2"
}

/// A hash of what the system's library makes of some numbers: it differs between versions, and with the processor.
fn mathematics() -> u64 {
    let one: [fn(f64) -> f64; 17] = [
        f64::exp,
        f64::exp2,
        f64::exp_m1,
        f64::ln,
        f64::ln_1p,
        f64::log2,
        f64::log10,
        f64::sin,
        f64::cos,
        f64::tan,
        f64::atan,
        f64::sinh,
        f64::cosh,
        f64::tanh,
        f64::cbrt,
        f64::asinh,
        f64::sqrt,
    ];
    let two: [fn(f64, f64) -> f64; 3] = [f64::powf, f64::atan2, f64::hypot];
    let single: [fn(f32) -> f32; 5] = [f32::exp, f32::ln, f32::tanh, f32::log10, f32::sin];
    let numbers = || (1..1_000).map(|n| black_box(f64::from(n) * 0.017_3));
    let ones = one.iter().flat_map(|of| numbers().map(of));
    let twos = two.iter().flat_map(|of| numbers().map(|x| of(x, 1.7 - 0.3 * x)));
    let singles = single.iter().flat_map(|of| numbers().map(|x| f64::from(of(x as f32))));
    hash(ones.chain(twos).chain(singles))
}

/// FNV-1a, 64 bits, of every bit.
fn hash(samples: impl Iterator<Item = f64>) -> u64 {
    let bytes = samples.flat_map(|sample| sample.to_bits().to_le_bytes());
    bytes.fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3))
}
