//! Expander: downward, from a gentle ratio to a gate.
//!
//! The level is the highest peak of the last 10 ms, so it is constant for tones above 50 Hz. Below the threshold each
//! dB less at the input gives `ratio` dB less at the output, up to `range`; the knee is the mirrored parabola of the
//! compressor's. Attack is the time to open, release the time to close: each covers 63.2 % of a step in dB, critically
//! damped. When the level is above the knee the expander opens, and passes the signal unchanged until the level has
//! been `hysteresis` below the top of the knee for the time `hold`. With a ratio of inf there is no knee.
//!
//! Latency: `lookahead`. While it is open, the output is the delayed input, bit for bit.
//!
//! Source of the static curve: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor
//! Design*, JAES 60(6), 2012, eq. 4, mirrored at the threshold.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::envelope::{self, PeakHold, SmoothedGain, SmoothingTime};
use crate::dsp::filter::svf::{Coeffs, State};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::{Param, Unit, db_to_gain};
use crate::reading::{REDUCTION, Readings};
use std::f64::consts::FRAC_1_SQRT_2;

const THRESHOLD: Param = Param::new(0, "threshold", Unit::Dbfs)
    .range(-80.0, 0.0)
    .default(-50.0)
    .help("Peak level below which gain is reduced.");
const RATIO: Param = Param::new(1, "ratio", Unit::Ratio)
    .range(1.0, 50.0)
    .default(2.0)
    .log()
    .top("inf")
    .help("Expansion ratio below the threshold: output change to input change, in dB. inf: gate.");
const KNEE: Param = Param::new(2, "knee", Unit::Db)
    .range(0.0, 24.0)
    .default(6.0)
    .help("Width of the soft knee, centred on the threshold. A gate has none.");
const RANGE: Param =
    Param::new(3, "range", Unit::Db).range(0.0, 90.0).default(20.0).help("Maximum gain reduction.");
const ATTACK: Param = Param::new(4, "attack", Unit::Ms)
    .range(0.05, 250.0)
    .default(1.0)
    .log()
    .help("Attack (opening) time: 63 % of a step in gain reduction (dB).");
const HOLD: Param = Param::new(5, "hold", Unit::Ms)
    .range(1.0, 1000.0)
    .default(40.0)
    .log()
    .help("Hold time: how long it stays open after the level has fallen, plus the detector's 10 ms.");
const RELEASE: Param = Param::new(6, "release", Unit::Ms)
    .range(5.0, 5000.0)
    .default(150.0)
    .log()
    .help("Release (closing) time: 63 % of a step in gain reduction (dB).");
const HYSTERESIS: Param = Param::new(7, "hysteresis", Unit::Db)
    .range(0.0, 24.0)
    .default(3.0)
    .help("Hysteresis: how far below the opening level the signal must fall before it closes.");
const LOOKAHEAD: Param = Param::new(8, "lookahead", Unit::Ms)
    .range(0.0, 10.0)
    .setting()
    .help("Look-ahead: it opens this long before the signal rises. Adds latency.");
const LINK: Param = Param::new(9, "link", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("Channel link. 100 %: the same gain on all channels, which keeps the stereo image; 0 %: independent channels.");
const KEY_HIGHPASS: Param = Param::new(10, "key_highpass", Unit::Hz)
    .range(10.0, 4000.0)
    .default(10.0)
    .log()
    .bottom("off")
    .help("Side-chain high-pass frequency, 12 dB/oct. Prevents opening by rumble.");
const KEY_LOWPASS: Param = Param::new(11, "key_lowpass", Unit::Hz)
    .range(200.0, 20_000.0)
    .default(20_000.0)
    .log()
    .top("off")
    .help("Side-chain low-pass frequency, 12 dB/oct. Prevents opening by hiss and spill.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "expander",
    "Downward expander or gate.",
    &[
        THRESHOLD,
        RATIO,
        KNEE,
        RANGE,
        ATTACK,
        HOLD,
        RELEASE,
        HYSTERESIS,
        LOOKAHEAD,
        LINK,
        KEY_HIGHPASS,
        KEY_LOWPASS,
    ],
    build,
)
.latency(lookahead)
.key()
.readings(&[REDUCTION])
.workloads(&[Workload::new("", "threshold: -6 dB, key_highpass: 100 Hz")]);

/// Peak hold of the detector: half a period of 50 Hz.
const DETECTOR_MS: f64 = 10.0;

fn lookahead(setup: &Setup<'_>) -> usize {
    setup.frames(setup.value(&LOOKAHEAD))
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let detector = || Detector {
        highpass: State::default(),
        lowpass: State::default(),
        peak: PeakHold::new(setup.frames(DETECTOR_MS)),
    };
    Box::new(Expander {
        rate: setup.sample_rate,
        updated_for: [f64::NAN; 4],
        attack: SmoothingTime::default(),
        release: SmoothingTime::default(),
        highpass: None,
        lowpass: None,
        detectors: (0..setup.key_channels).map(|_| detector()).collect(),
        gates: [Gate::default(); MAX_CHANNELS],
        delays: (0..setup.channels).map(|_| Delay::new(lookahead(setup))).collect(),
    })
}

struct Expander {
    rate: f64,
    /// Attack, release, high-pass and low-pass of the four fields below.
    updated_for: [f64; 4],
    attack: SmoothingTime,
    release: SmoothingTime,
    highpass: Option<Coeffs>,
    lowpass: Option<Coeffs>,
    /// One per channel of the side-chain signal.
    detectors: Box<[Detector]>,
    gates: [Gate; MAX_CHANNELS],
    delays: Box<[Delay]>,
}

/// State of the detector of a channel.
struct Detector {
    highpass: State,
    lowpass: State,
    peak: PeakHold,
}

/// State of a channel.
#[derive(Clone, Copy, Default)]
struct Gate {
    is_open: bool,
    /// Remaining frames of the hold.
    hold_left: u32,
    reduction: SmoothedGain,
}

/// The static curve for the current parameters.
struct Curve {
    threshold: f64,
    /// Reduction in dB for each dB below.
    slope: f64,
    knee: f64,
    range: f64,
}

impl Curve {
    fn new(threshold: f64, ratio: f64, knee: f64, range: f64) -> Self {
        let is_gate = ratio >= RATIO.max;
        let slope = if is_gate { f64::INFINITY } else { ratio - 1.0 };
        Self { threshold, slope, knee: if is_gate { 0.0 } else { knee }, range }
    }

    /// The lowest level without reduction.
    fn top(&self) -> f64 {
        self.threshold + 0.5 * self.knee
    }

    /// Reduction in dB at `level` dBFS.
    fn reduction(&self, level: f64) -> f64 {
        let under = self.top() - level;
        if under <= 0.0 || self.slope == 0.0 {
            0.0
        } else if under < self.knee {
            (self.slope * under * under / (2.0 * self.knee)).min(self.range)
        } else {
            (self.slope * (under - 0.5 * self.knee)).min(self.range)
        }
    }
}

impl Gate {
    /// Reduction in dB at `level` dBFS, with hysteresis and hold.
    fn reduction(&mut self, level: f64, curve: &Curve, hysteresis: f64, hold: u32) -> f64 {
        let top = curve.top();
        if level >= top {
            self.is_open = true;
        }
        if self.is_open {
            if level >= top - hysteresis {
                self.hold_left = hold;
            } else if self.hold_left > 0 {
                self.hold_left -= 1;
            } else {
                self.is_open = false;
            }
        }
        if self.is_open { 0.0 } else { curve.reduction(level) }
    }
}

impl Detector {
    #[inline]
    fn level(&mut self, key: f64, highpass: Option<&Coeffs>, lowpass: Option<&Coeffs>) -> f64 {
        let key = highpass.map_or(key, |filter| filter.tick(&mut self.highpass, key));
        let key = lowpass.map_or(key, |filter| filter.tick(&mut self.lowpass, key));
        if key.is_finite() {
            return self.peak.tick(key);
        }
        // An overflow must not stay in a filter.
        (self.highpass, self.lowpass) = (State::default(), State::default());
        self.peak.tick(0.0)
    }
}

impl Expander {
    fn update(&mut self, values: [f64; 4]) {
        if self.updated_for == values {
            return;
        }
        let [attack, release, highpass, lowpass] = values;
        let [old_attack, old_release, ..] = std::mem::replace(&mut self.updated_for, values);
        if attack != old_attack {
            self.attack = SmoothingTime::new(attack, self.rate);
        }
        if release != old_release {
            self.release = SmoothingTime::new(release, self.rate);
        }
        self.highpass =
            (highpass > KEY_HIGHPASS.min).then(|| Coeffs::highpass(self.rate, highpass, FRAC_1_SQRT_2));
        self.lowpass =
            (lowpass < KEY_LOWPASS.max).then(|| Coeffs::lowpass(self.rate, lowpass, FRAC_1_SQRT_2));
    }

    /// The side-chain level of each channel, in dBFS, linked.
    fn levels(&mut self, block: &Block<'_>, frame: usize, link: f64) -> [f64; MAX_CHANNELS] {
        let mut levels = [f64::NEG_INFINITY; MAX_CHANNELS];
        for (channel, (level, detector)) in levels.iter_mut().zip(&mut self.detectors).enumerate() {
            *level = detector.level(block.key(channel, frame), self.highpass.as_ref(), self.lowpass.as_ref());
        }
        // A side-chain with another number of channels links all channels.
        let link = if block.key_width() == block.width() { link } else { 1.0 };
        envelope::link(&mut levels, link);
        levels
    }
}

impl Node for Expander {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let ramp = |row| params.ramp(row);
        let (mut threshold, mut ratio, mut knee, mut range) =
            (ramp(&THRESHOLD), ramp(&RATIO), ramp(&KNEE), ramp(&RANGE));
        let (mut attack, mut hold, mut release) = (ramp(&ATTACK), ramp(&HOLD), ramp(&RELEASE));
        let (mut hysteresis, mut link) = (ramp(&HYSTERESIS), ramp(&LINK));
        let (mut highpass, mut lowpass) = (ramp(&KEY_HIGHPASS), ramp(&KEY_LOWPASS));
        let mut lowest = 1.0_f64;
        for frame in 0..block.frames() {
            self.update([attack.tick(), release.tick(), highpass.tick(), lowpass.tick()]);
            let levels = self.levels(block, frame, link.tick());
            let curve = Curve::new(threshold.tick(), ratio.tick(), knee.tick(), range.tick());
            let (hysteresis, hold) = (hysteresis.tick(), (hold.tick() * self.rate / 1000.0).round() as u32);
            // Linked channels have the same reduction: its gain is computed once.
            let (mut reduction, mut gain) = (0.0, 1.0);
            let channels = levels.iter().zip(&mut self.gates).zip(&mut self.delays);
            for (channel, ((level, gate), delay)) in channels.enumerate() {
                let target = gate.reduction(*level, &curve, hysteresis, hold);
                let now = gate.reduction.tick(target, &self.release, &self.attack).max(0.0);
                if now != reduction {
                    (reduction, gain) = (now, db_to_gain(-now));
                    lowest = lowest.min(gain);
                }
                let sample = block.at(channel, frame);
                *sample = delay.tick(*sample) * gain;
            }
        }
        meter.low(0, lowest);
    }

    fn reset(&mut self) {
        for detector in &mut self.detectors {
            (detector.highpass, detector.lowpass) = (State::default(), State::default());
            detector.peak.reset();
        }
        self.gates = [Gate::default(); MAX_CHANNELS];
        self.delays.iter_mut().for_each(Delay::reset);
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        for (detector, old) in self.detectors.iter_mut().zip(&old.detectors) {
            (detector.highpass, detector.lowpass) = (old.highpass, old.lowpass);
            detector.peak.adopt(&old.peak);
        }
        self.gates = old.gates;
        self.delays.iter_mut().zip(&old.delays).for_each(|(delay, old)| delay.adopt(old));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mirrored curve of the compressor: for T = −40 dB, R = 3, W = 0, 6 and 12 dB, range 30 dB.
    #[test]
    fn the_static_curve_is_the_papers_mirrored() {
        for (knee, level, reduction) in [
            (0.0, -39.0, 0.0),
            (0.0, -45.0, 10.0),
            (0.0, -60.0, 30.0),
            (6.0, -36.0, 0.0),
            (6.0, -38.0, 1.0 / 6.0),
            (6.0, -40.0, 1.5),
            (6.0, -43.0, 6.0),
            (12.0, -40.0, 3.0),
            (12.0, -50.0, 20.0),
        ] {
            let got = Curve::new(-40.0, 3.0, knee, 30.0).reduction(level);
            assert!((got - reduction).abs() < 1e-9, "W = {knee}, in {level}: {got}, not {reduction}");
        }
        assert_eq!(Curve::new(-40.0, 3.0, 6.0, 1.0).reduction(-40.0), 1.0, "the range holds in the knee too");
        let gate = Curve::new(-40.0, RATIO.max, 12.0, 30.0);
        assert_eq!((gate.reduction(-40.0), gate.reduction(-40.001)), (0.0, 30.0));
    }
}
