//! Dehum: removes mains hum and its harmonics, and tracks the mains frequency.
//!
//! It detects constant tones at 50 or 60 Hz and its multiples, tracks their frequency, and subtracts them, like
//! notches 3.2 Hz wide: a tone 5 Hz beside a harmonic changes by less than 1 dB, whether it is as loud as the hum or
//! much louder. Hum that is not far below the rest, as in a pause, is detected in about four seconds; hum 16 dB below
//! programme without pauses in about ten. Three of the first eight harmonics must be present. When the hum ends, the
//! subtraction is faded out: at once in a pause, within 15 s under programme. Without hum, the output is the input,
//! bit for bit. Of a tone that rises above its long-term level, only that level is subtracted: a bass note at 50 Hz
//! over hum keeps most of its level. Low notes at the mains frequency that last three seconds or more are treated as
//! hum. Latency 0 frames.
//!
//! Sources: see `dsp/restore/hum.rs` and `dsp/restore/mains.rs`.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::restore::hum::Hum;
use crate::node::{Damage, Node, NodeType, Params, Setup, same};
use crate::param::{Param, Unit, db_to_gain, gain_to_db};
use crate::reading::{FLOOR, Reading, Readings};

const DEPTH: Param = Param::new(0, "depth", Unit::Db)
    .range(0.0, 60.0)
    .default(60.0)
    .top("all")
    .help("Attenuation of the hum. all: complete removal.");
const BASE: Param = Param::new(1, "base", Unit::Choice(&["auto", "50 Hz", "60 Hz"]))
    .setting()
    .help("Mains frequency. auto: detected.");
const HARMONICS: Param =
    Param::new(2, "harmonics", Unit::Count).range(1.0, 64.0).default(20.0).setting().help(
        "Number of harmonics to search for and remove, the fundamental included: 20 at 50 Hz reach 1 kHz.",
    );

const FREQUENCY: Reading =
    Reading::new("frequency", Unit::Hz, "Measured frequency of the hum.").decimals(2).scale(45.0, 65.0);
const LEVEL: Reading =
    Reading::new("level", Unit::Dbfs, "RMS level of the removed hum.").scale(-100.0, -20.0);

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "dehum",
    "Removes mains hum and its harmonics, and tracks the mains frequency.",
    &[DEPTH, BASE, HARMONICS],
    build,
)
.readings(&[FREQUENCY, LEVEL])
.learns_in(|_| 8.0)
.repairs(Damage::Hum);

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let bases: &[f64] = [&[50.0, 60.0][..], &[50.0], &[60.0]][setup.value(&BASE) as usize];
    let harmonics = setup.value(&HARMONICS) as usize;
    let hum = |(at, base): (usize, &f64)| {
        let early = at as f64 / bases.len() as f64;
        Hum::new(setup.sample_rate, *base, harmonics, setup.channels, early)
    };
    Box::new(Dehum { hums: bases.iter().enumerate().map(hum).collect(), found: None })
}

/// Share of the hum that is subtracted.
fn share(depth: f64) -> f64 {
    if depth >= DEPTH.max { 1.0 } else { 1.0 - db_to_gain(-depth) }
}

struct Dehum {
    /// One for each possible mains frequency.
    hums: Box<[Hum]>,
    /// The detected one; the other is not computed meanwhile.
    found: Option<usize>,
}

impl Node for Dehum {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let mut depth = params.ramp(&DEPTH);
        let width = block.width();
        let mut share = share(depth.value());
        for frame in 0..block.frames() {
            if depth.is_moving() {
                share = self::share(depth.tick());
            }
            let mut samples = [0.0; MAX_CHANNELS];
            (0..width).for_each(|channel| samples[channel] = *block.at(channel, frame));
            match self.found {
                Some(at) => {
                    self.hums[at].tick(samples[..width].iter_mut(), share);
                    if self.hums[at].is_silent() {
                        self.found = None;
                        self.hums.iter_mut().for_each(Hum::reset);
                    }
                }
                None => {
                    // None subtracts anything yet, so all receive the same signal.
                    self.hums.iter_mut().for_each(|hum| hum.tick(samples[..width].iter_mut(), share));
                    self.found = self.hums.iter().position(Hum::is_on);
                }
            }
            (0..width).for_each(|channel| *block.at(channel, frame) = samples[channel]);
        }
        let hum = self.found.map(|at| &self.hums[at]).filter(|hum| hum.is_on());
        meter.now(0, hum.map_or(f64::NAN, Hum::freq));
        meter.now(1, hum.map_or(f64::NAN, |hum| gain_to_db(hum.level()).max(FLOOR)));
    }

    fn reset(&mut self) {
        self.hums.iter_mut().for_each(Hum::reset);
        self.found = None;
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.reset();
        for (at, hum) in self.hums.iter_mut().enumerate() {
            let Some(before) = old.hums.iter().position(|old| hum.follows(old)) else { continue };
            hum.adopt(&old.hums[before]);
            if old.found == Some(before) {
                self.found = Some(at);
            }
        }
    }
}
