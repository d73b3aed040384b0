//! Limiter: true peak, with look-ahead.
//!
//! The gain required by each true peak is held at its minimum over the look-ahead and the hold, released, and smoothed
//! by two moving averages as long as the look-ahead, so it arrives in time for the peak and has no corners. The hold
//! keeps the gain constant between two half-waves of a low tone: a steady tone is reduced without distortion if half
//! its period is shorter than the hold (50 Hz at 10 ms). Latency: look-ahead + that of the detector (132 frames; 20
//! for `fast`; 0 for `samples`). If no peak was above the ceiling within the look-ahead, the hold and 26 times the
//! release, the output is the delayed input, bit for bit.
//!
//! The automatic release has two stages: a fast one (30 ms) for single peaks, and a slow one (rise 400 ms, fall 1500
//! ms) for dense passages. `fast` and `samples` have less latency; true peaks can exceed the ceiling, by some tenths
//! of a dB with `fast` and by some dB with `samples`.

use crate::block::{Block, MAX_CHANNELS, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::follower::one_pole;
use crate::dsp::dynamics::sliding_minimum::SlidingMinimum;
use crate::dsp::filter::moving_average::{LEAST, MovingAverages};
use crate::dsp::fir::true_peak::{Detection, History, Interpolator};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit};
use crate::reading::{REDUCTION, Readings};

const CEILING: Param = Param::new(0, "ceiling", Unit::Dbtp)
    .range(-24.0, 0.0)
    .default(-1.0)
    .help("Maximum true-peak output level.");
const RELEASE: Param = Param::new(1, "release", Unit::Ms)
    .range(5.0, 2000.0)
    .default(120.0)
    .log()
    .top("auto")
    .help("Release time constant (63 %). auto: program-dependent, two stages.");
const LOOKAHEAD: Param =
    Param::new(2, "lookahead", Unit::Ms).range(0.5, 10.0).default(1.5).setting().best(5.0).help(
        "Look-ahead: gain reduction starts this long before a peak. Longer: smoother gain, more latency.",
    );
const HOLD: Param = Param::new(3, "hold", Unit::Ms).range(0.0, 30.0).default(10.0).setting().help(
    "Hold time of the gain reduction: half the period of the lowest tone that must stay free of distortion.",
);
const GAIN: Param =
    Param::new(4, "gain", Unit::Gain).range(-12.0, 24.0).help("Input gain, before the limiter.");
const LINK: Param = Param::new(5, "link", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("Channel link. 100 %: the same gain on all channels, which keeps the stereo image; 0 %: independent channels.");
const DETECTION: Param =
    Param::new(6, "detection", Unit::Choice(&["8x", "4x", "fast", "samples"])).setting().help(
        "Peak detection. 8x, 4x: oversampled true peak; fast: true peak with shorter filters, less latency; samples: sample peak, least latency.",
    );

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "limiter",
    "True-peak limiter with look-ahead.",
    &[CEILING, RELEASE, LOOKAHEAD, HOLD, GAIN, LINK, DETECTION],
    build,
)
.latency(|setup| lookahead(setup) + detection(setup).delay())
.readings(&[REDUCTION])
.transparent_at(&[])
.workloads(&[Workload::new("", "ceiling: -12 dBTP")]);

/// Times of the automatic release in ms: of the fast stage; rise and fall of the slow stage.
const AUTO_MS: [f64; 3] = [30.0, 400.0, 1500.0];
/// A released gain nearer to 1 than this becomes 1.
const NEARLY: f64 = 1e-12;

fn lookahead(setup: &Setup<'_>) -> usize {
    setup.frames(setup.value(&LOOKAHEAD)).max(1)
}

fn detection(setup: &Setup<'_>) -> Detection {
    [Detection::Eight, Detection::Four, Detection::Fast, Detection::Samples][setup.value(&DETECTION) as usize]
}

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let (lookahead, detection) = (lookahead(setup), detection(setup));
    let hold = setup.frames(setup.value(&HOLD));
    let channel =
        || Channel { history: History::default(), delay: Delay::new(lookahead + detection.delay()) };
    // A peak between two samples needs the gain at both: one frame more than the look-ahead.
    let gain = || Gain {
        lowest: SlidingMinimum::new(lookahead + 2 + hold),
        averages: MovingAverages::new(lookahead + 1),
        fast: 1.0,
        slow: 1.0,
    };
    Box::new(Limiter {
        rate: setup.sample_rate,
        release_of: f64::NAN,
        release: Release { fast: 0.0, slow: None },
        interpolator: Interpolator::new(detection),
        gains: (0..setup.channels).map(|_| gain()).collect(),
        is_split: false,
        channels: (0..setup.channels).map(|_| channel()).collect(),
    })
}

struct Limiter {
    rate: f64,
    /// The release time for which `release` is computed.
    release_of: f64,
    release: Release,
    interpolator: Interpolator,
    /// One per channel; unless `is_split`, the first applies to all.
    gains: Box<[Gain]>,
    is_split: bool,
    channels: Box<[Channel]>,
}

struct Channel {
    history: History,
    delay: Delay,
}

/// Poles of the release: of the fast stage; rise and fall of the slow stage.
#[derive(Clone, Copy)]
struct Release {
    fast: f64,
    slow: Option<[f64; 2]>,
}

/// From the gain that each peak requires to the gain that is applied.
struct Gain {
    lowest: SlidingMinimum,
    averages: MovingAverages,
    fast: f64,
    slow: f64,
}

impl Gain {
    fn tick(&mut self, required: f64, release: &Release) -> f64 {
        let required = self.lowest.tick(required);
        let towards = |from: f64, pole: f64| {
            let to = required + pole * (from - required);
            if to > 1.0 - NEARLY { 1.0 } else { to }
        };
        if release.slow.is_none() && self.slow < 1.0 {
            // No longer automatic: one stage continues from the lower of both.
            (self.fast, self.slow) = (self.fast.min(self.slow), 1.0);
        }
        self.fast = required.min(1.0 - release.fast * (1.0 - self.fast));
        let mut gain = self.fast;
        if let Some([rise, fall]) = release.slow {
            self.slow = towards(self.slow, if required < self.slow { rise } else { fall });
            gain = gain.min(self.slow);
        }
        self.averages.tick(gain)
    }

    fn reset(&mut self) {
        self.lowest.reset();
        self.averages.reset();
        (self.fast, self.slow) = (1.0, 1.0);
    }

    fn adopt(&mut self, old: &Self) {
        self.lowest.adopt(&old.lowest);
        self.averages.adopt(&old.averages);
        (self.fast, self.slow) = (old.fast, old.slow);
    }
}

impl Limiter {
    fn update_release(&mut self, release: f64) {
        if self.release_of == release {
            return;
        }
        self.release_of = release;
        let [fast, rise, fall] = AUTO_MS;
        let pole = |ms| one_pole(ms, self.rate);
        self.release = if release < RELEASE.max {
            Release { fast: pole(release), slow: None }
        } else {
            Release { fast: pole(fast), slow: Some([pole(rise), pole(fall)]) }
        };
    }

    /// Gives each channel a gain of its own from now on.
    fn split_gains(&mut self) {
        if let Some((first, others)) = self.gains.split_first_mut() {
            others.iter_mut().for_each(|gain| gain.adopt(first));
        }
        self.is_split = true;
    }
}

impl Node for Limiter {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let [mut ceiling, mut release, mut drive, mut link] =
            [CEILING, RELEASE, GAIN, LINK].map(|row| params.ramp(&row));
        if !self.is_split && link.steady() != Some(1.0) {
            self.split_gains();
        }
        let mut drives = [1.0; SUBBLOCK];
        drives.iter_mut().take(block.frames()).for_each(|place| *place = drive.tick());
        // All channels linked, or each separately.
        let mut peaks = [[0.0; SUBBLOCK]; MAX_CHANNELS];
        // About +197 dBFS. What is higher is clipped: its gain could not be smoothed, and would be silence.
        let most = ceiling.value() / LEAST;
        for (at, (samples, past)) in block.channels().zip(&mut self.channels).enumerate() {
            if drives != [1.0; SUBBLOCK] {
                samples.iter_mut().zip(&drives).for_each(|(sample, drive)| *sample *= drive);
            }
            samples.iter_mut().for_each(|sample| *sample = sample.clamp(-most, most));
            self.interpolator.detect(
                &mut past.history,
                samples,
                &mut peaks[if self.is_split { at } else { 0 }],
            );
        }
        let mut reached = 1.0_f64;
        for frame in 0..block.frames() {
            let (ceiling, link) = (ceiling.tick(), link.tick());
            self.update_release(tick(&mut release));
            let required = |peak: f64| if peak > ceiling { ceiling / peak } else { 1.0 };
            let mut gain = 1.0;
            let mut linked = required(peaks[0][frame]);
            if self.is_split {
                linked = peaks.iter().map(|peaks| required(peaks[frame])).fold(linked, f64::min);
            }
            for (channel, past) in self.channels.iter_mut().enumerate() {
                if self.is_split || channel == 0 {
                    let own = required(peaks[channel][frame]);
                    gain = self.gains[channel].tick(own + link * (linked - own), &self.release);
                    reached = reached.min(gain);
                }
                let sample = block.at(channel, frame);
                *sample = past.delay.tick(*sample) * gain;
            }
        }
        meter.low(0, reached);
    }

    fn reset(&mut self) {
        self.is_split = false;
        self.gains.iter_mut().for_each(Gain::reset);
        for channel in &mut self.channels {
            channel.history = History::default();
            channel.delay.reset();
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.is_split = old.is_split;
        self.gains.iter_mut().zip(&old.gains).for_each(|(gain, old)| gain.adopt(old));
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            channel.history = old.history.clone();
            channel.delay.adopt(&old.delay);
        }
    }
}

/// The next value; a value at rest is not computed again.
fn tick(ramp: &mut Ramp) -> f64 {
    if ramp.is_moving() { ramp.tick() } else { ramp.value() }
}
