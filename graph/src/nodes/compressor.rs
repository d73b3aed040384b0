//! Compressor: feed-forward, peak detector, soft knee.
//!
//! Attack and release are the times in which the gain reduction (in dB) covers 63.2 % of a step; the attack
//! smooths what the release gives, so a release takes the attack's time longer. Latency 0 frames. Below
//! the knee, without make-up, the output is bit-identical to the input.
//!
//! Source: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6),
//! 2012: static curve eq. 4, detector eq. 17.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::follower::{Decoupled, Times, one_pole};
use crate::dsp::svf::{Coeffs, State};
use crate::meter::{Meter, REDUCTION};
use crate::node::{Kind, Node, Params, Setup, same};
use crate::param::{Param, Unit, db_to_gain};
use std::f64::consts::FRAC_1_SQRT_2;

const THRESHOLD: Param = Param::new(0, "threshold", Unit::Dbfs)
    .range(-60.0, 0.0)
    .default(-18.0)
    .help("Peak level above which the level is reduced.");
const RATIO: Param = Param::new(1, "ratio", Unit::Ratio)
    .range(1.0, 50.0)
    .default(2.0)
    .log()
    .top("inf")
    .help("How many dB in make one dB out above the threshold.");
const KNEE: Param = Param::new(2, "knee", Unit::Db)
    .range(0.0, 24.0)
    .default(6.0)
    .help("Width of the bend around the threshold.");
const ATTACK: Param = Param::new(3, "attack", Unit::Ms)
    .range(0.05, 250.0)
    .default(10.0)
    .log()
    .help("Time to reduce by 63 % of what is wanted.");
const RELEASE: Param = Param::new(4, "release", Unit::Ms)
    .range(5.0, 5000.0)
    .default(150.0)
    .log()
    .top("auto")
    .help("Time to let go by 63 %; auto lets peaks go fast and dense passages slowly.");
const MAKEUP: Param =
    Param::new(5, "makeup", Unit::Gain).range(-12.0, 24.0).help("Gain after the reduction.");
const MIX: Param =
    Param::new(6, "mix", Unit::Percent).range(0.0, 100.0).default(100.0).help("Compressed against dry.");
const KEY_HIGHPASS: Param = Param::new(7, "key_highpass", Unit::Hz)
    .range(10.0, 1000.0)
    .default(10.0)
    .log()
    .bottom("off")
    .help("Corner of a 12 dB/oct high-pass in the side-chain: less pumping by the bass.");
const LINK: Param = Param::new(8, "link", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("How far the channels are reduced together: 100 % keeps the stereo image.");

/// See the module.
pub const KIND: Kind = Kind::new(
    "compressor",
    "Reduces the level above a threshold.",
    &[THRESHOLD, RATIO, KNEE, ATTACK, RELEASE, MAKEUP, MIX, KEY_HIGHPASS, LINK],
    build,
)
.key()
.readings(&[REDUCTION]);

/// Release of single peaks, and rise and fall of the floor below dense passages, where it is automatic.
const AUTO_RELEASE_MS: [f64; 3] = [60.0, 400.0, 1500.0];
/// Below this the detector hears silence, in dBFS.
const SILENCE: f64 = 1e-10;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    Box::new(Compressor {
        rate: setup.sample_rate,
        made_for: [f64::NAN; 3],
        times: Times::default(),
        highpass: None,
        past: [Past::default(); MAX_CHANNELS],
    })
}

struct Compressor {
    rate: f64,
    /// Attack, release and high-pass that `times` and `highpass` stand for.
    made_for: [f64; 3],
    times: Times,
    highpass: Option<Coeffs>,
    past: [Past; MAX_CHANNELS],
}

/// What a channel remembers.
#[derive(Clone, Copy, Default)]
struct Past {
    key: State,
    reduction: Decoupled,
}

impl Compressor {
    fn make(&mut self, values: [f64; 3]) {
        if self.made_for == values {
            return;
        }
        self.made_for = values;
        let [attack, release, highpass] = values;
        let pole = |ms| one_pole(ms, self.rate);
        let [fast, rise, fall] = AUTO_RELEASE_MS;
        self.times = if release >= RELEASE.max {
            Times { attack: pole(attack), release: pole(fast), floor: Some([pole(rise), pole(fall)]) }
        } else {
            Times::new(attack, release, self.rate)
        };
        self.highpass =
            (highpass > KEY_HIGHPASS.min).then(|| Coeffs::highpass(self.rate, highpass, FRAC_1_SQRT_2));
    }

    /// The key's level on each channel, in dBFS, linked.
    fn levels(&mut self, block: &Block<'_>, frame: usize, link: f64) -> [f64; MAX_CHANNELS] {
        let mut levels = [SILENCE; MAX_CHANNELS];
        let width = block.key_width();
        let mut highest = SILENCE;
        for (channel, (level, past)) in levels.iter_mut().zip(&mut self.past).take(width).enumerate() {
            let key = block.key(channel, frame);
            let key = self.highpass.as_ref().map_or(key, |highpass| highpass.tick(&mut past.key, key));
            *level = key.abs().max(SILENCE);
            highest = highest.max(*level);
        }
        // A key of another width has no channel for each of ours: all hear its loudest.
        let link = if width == block.width() { link } else { 1.0 };
        let highest = 20.0 * highest.log10();
        levels.map(|level| {
            if link == 1.0 {
                highest
            } else {
                let own = 20.0 * level.log10();
                own + link * (highest - own)
            }
        })
    }
}

/// Reduction in dB that the static curve wants at `level` dBFS.
fn wanted(level: f64, threshold: f64, ratio: f64, knee: f64) -> f64 {
    let over = level - threshold;
    let slope = if ratio >= RATIO.max { 1.0 } else { 1.0 - 1.0 / ratio };
    if 2.0 * over <= -knee {
        0.0
    } else if 2.0 * over < knee {
        slope * (over + knee / 2.0).powi(2) / (2.0 * knee)
    } else {
        slope * over
    }
}

impl Node for Compressor {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Meter) {
        let ramp = |row| params.ramp(row);
        let (mut threshold, mut ratio, mut knee) = (ramp(&THRESHOLD), ramp(&RATIO), ramp(&KNEE));
        let (mut attack, mut release, mut highpass) = (ramp(&ATTACK), ramp(&RELEASE), ramp(&KEY_HIGHPASS));
        let (mut makeup, mut mix, mut link) = (ramp(&MAKEUP), ramp(&MIX), ramp(&LINK));
        let mut lowest = 1.0_f64;
        for frame in 0..block.frames() {
            self.make([attack.tick(), release.tick(), highpass.tick()]);
            let levels = self.levels(block, frame, link.tick());
            let (threshold, ratio, knee) = (threshold.tick(), ratio.tick(), knee.tick());
            let (makeup, mix) = (makeup.tick(), mix.tick());
            let width = block.width();
            for (channel, (level, past)) in levels.iter().zip(&mut self.past).take(width).enumerate() {
                let reduction = past.reduction.tick(wanted(*level, threshold, ratio, knee), &self.times);
                let gain = db_to_gain(-reduction);
                lowest = lowest.min(gain);
                *block.at(channel, frame) *= 1.0 + mix * (gain * makeup - 1.0);
            }
        }
        meter.low(0, lowest);
    }

    fn reset(&mut self) {
        self.past = [Past::default(); MAX_CHANNELS];
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.past = old.past;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output levels of the paper's static curve for T = −20 dB, R = 4, W = 6 and 12 dB.
    #[test]
    fn the_static_curve_is_the_papers() {
        for (knee, level, out) in [
            (6.0, -30.0, -30.0),
            (6.0, -22.0, -22.0625),
            (6.0, -20.0, -20.5625),
            (6.0, -10.0, -17.5),
            (12.0, -25.0, -25.03125),
            (12.0, -17.0, -19.53125),
            (0.0, 0.0, -15.0),
        ] {
            let got = level - wanted(level, -20.0, 4.0, knee);
            assert!((got - out).abs() < 1e-9, "W = {knee}, in {level}: {got}, not {out}");
        }
        assert_eq!(0.0 - wanted(0.0, -10.0, RATIO.max, 6.0), -10.0);
    }
}
