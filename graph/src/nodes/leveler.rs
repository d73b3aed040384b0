//! Leveler: brings a live programme to a target loudness, with one gain for all channels.
//!
//! The input is measured according to ITU-R BS.1770-5 (K-weighting, blocks of 400 ms every 100 ms, gates; surrounds at
//! 1.41, no LFE: a group has the usual layout of its number of channels), and its gain is set for `target`. There is
//! no feedback from the output, so it cannot oscillate.
//!
//! - The slow stage uses the mean of the last `time` of programme. While that stays within `window` of the loudness that
//!   the gain is set for, the gain is constant; beyond it, the gain follows until the mean contains only new programme.
//!   The mean of the last minute is kept within 0.2 LU, independently of the window.
//! - The fast stage reduces the gain if the last second would be more than `window` and 2 LU too loud, by at most `fast`,
//!   until the slow stage has followed.
//! - The gain is frozen during silence and noise below `gate`, and during pauses, 10 LU below the programme. More than five
//!   seconds at 6 LU below start a new scene, and so do two seconds at 4 LU above throughout: older programme is discarded.
//!
//! The gain changes by at most `rate`, in dB, except that the fast stage reduces it at up to 12 dB/s; it has no
//! corners (63.2 % of a small step in 250 ms). Latency 0 frames. At 0 dB the output is bit-identical to the input.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::bs1770::{BLOCKS_PER_SECOND, Channel, lufs, power, take_energy};
use crate::dsp::dynamics::envelope::{SmoothedGain, SmoothingTime};
use crate::dsp::dynamics::programme_loudness::{Heard, LONGEST, Loudness};
use crate::dsp::filter::k_weighting::Weighting;
use crate::dsp::speakers::{usual, weight};
use crate::node::{Node, NodeType, Params, Setup, same};
use crate::param::{Param, Unit, db_to_gain};
use crate::reading::{Reading, Readings};

const TARGET: Param = Param::new(0, "target", Unit::Lufs)
    .range(-40.0, -8.0)
    .default(-23.0)
    .words(&[
        ("ebu-r128", -23.0),
        ("atsc-a85", -24.0),
        ("aes-speech", -18.0),
        ("apple", -16.0),
        ("podcast", -16.0),
        ("streaming", -14.0),
    ])
    .help(
        "Target loudness; or ebu-r128 (-23), atsc-a85 (-24), aes-speech (-18), apple and podcast (-16), \
         streaming (-14).",
    );
const WINDOW: Param = Param::new(1, "window", Unit::Db)
    .range(0.0, 10.0)
    .default(3.0)
    .help("Tolerance: how far the loudness may change, up or down, before the gain follows.");
const MAX_GAIN: Param =
    Param::new(2, "max_gain", Unit::Db).range(0.0, 30.0).default(15.0).help("Maximum gain increase.");
const MAX_CUT: Param =
    Param::new(3, "max_cut", Unit::Db).range(0.0, 40.0).default(20.0).help("Maximum gain reduction.");
const RATE: Param = Param::new(4, "rate", Unit::DbPerSecond)
    .range(0.1, 20.0)
    .default(3.0)
    .log()
    .help("Maximum rate of gain change. The fast stage reduces gain faster.");
const TIME: Param = Param::new(5, "time", Unit::Ms)
    .range(3000.0, 30_000.0)
    .default(10_000.0)
    .log()
    .help("Averaging time of the slow stage, in programme without pauses.");
const FAST: Param = Param::new(6, "fast", Unit::Db).range(0.0, 12.0).default(6.0).help(
    "Maximum gain reduction by the fast stage in sudden loud passages, until the slow stage has followed.",
);
const GATE: Param = Param::new(7, "gate", Unit::Lufs)
    .range(-70.0, -20.0)
    .default(-45.0)
    .help("Absolute gate: input loudness below which the gain is frozen.");

const GAIN: Reading = Reading::new("gain", Unit::Gain, "Current gain.");
const LOUDNESS: Reading =
    Reading::new("loudness", Unit::Lufs, "Gated loudness of the input that the slow stage works with.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "leveler",
    "Loudness leveller: holds a target loudness (ITU-R BS.1770) in real time.",
    &[TARGET, WINDOW, MAX_GAIN, MAX_CUT, RATE, TIME, FAST, GATE],
    build,
)
.readings(&[GAIN, LOUDNESS])
.learns_in(|setup| setup.value(&TIME) / 1000.0);

/// Loudness above the window that the fast stage allows for a second, in LU.
const FAST_MARGIN: f64 = 2.0;
/// Rate of gain reduction by the fast stage, in dB/s.
const FAST_RATE: f64 = 12.0;
/// Largest difference between the mean of a minute and the loudness that the gain is set for, in LU.
const MINUTE_MARGIN: f64 = 0.2;
/// Rate at which it is reduced, in LU per block: 0.2 LU per second.
const MINUTE_STEP: f64 = 0.02;
/// Smoothing of the gain: 63.2 % of a small step, in ms.
const SMOOTHING_MS: f64 = 250.0;
/// Highest sample of the measurement, +24 dBFS: an extreme sample must not affect a minute of programme.
const HIGHEST: f64 = 16.0;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let frames = (setup.sample_rate / BLOCKS_PER_SECOND as f64).round().max(1.0);
    Box::new(Leveler {
        rate: setup.sample_rate,
        frames: frames as u32,
        weighting: Weighting::new(setup.sample_rate),
        weights: std::array::from_fn(|channel| weight(channel, usual(setup.channels))),
        pace: SmoothingTime::new(SMOOTHING_MS, setup.sample_rate),
        state: LevelerState::default(),
    })
}

struct Leveler {
    rate: f64,
    /// Frames in a section of 100 ms.
    frames: u32,
    weighting: Weighting,
    weights: [f64; MAX_CHANNELS],
    pace: SmoothingTime,
    state: LevelerState,
}

/// The complete state, of fixed size.
#[derive(Clone, Copy)]
struct LevelerState {
    channels: [Channel; MAX_CHANNELS],
    /// Frames of the section under way.
    frames_done: u32,
    loudness: Loudness,
    /// Loudness of the input that the slow stage is set for, in LUFS; `None` before the first.
    set_for: Option<f64>,
    /// Remaining blocks of programme during which the slow stage follows.
    following: usize,
    /// Target gain of the slow stage, its rate-limited gain, both in dB; and whether the gain is frozen.
    goal: f64,
    slow: f64,
    is_frozen: bool,
    /// Loudness of the last second of programme, in LUFS; and the extra attenuation by the fast stage, in dB.
    second: f64,
    excess: f64,
    /// Lowest that both together may go, in dB.
    floor: f64,
    /// Gain of both stages, rate-limited in dB; then smoothed in dB; then as a factor.
    slewed: f64,
    gain: SmoothedGain,
    factor: f64,
}

impl Default for LevelerState {
    fn default() -> Self {
        Self {
            channels: [Channel::default(); MAX_CHANNELS],
            frames_done: 0,
            loudness: Loudness::default(),
            set_for: None,
            following: 0,
            goal: 0.0,
            slow: 0.0,
            is_frozen: true,
            second: f64::NEG_INFINITY,
            excess: 0.0,
            floor: 0.0,
            slewed: 0.0,
            gain: SmoothedGain::default(),
            factor: 1.0,
        }
    }
}

/// The parameters at the end of a section.
struct SectionParams {
    target: f64,
    window: f64,
    max_gain: f64,
    max_cut: f64,
    /// Blocks that the slow stage averages.
    blocks: usize,
    fast: f64,
    gate: f64,
}

impl LevelerState {
    /// Ends a section of 100 ms with the weighted mean square `section`.
    fn end_section(&mut self, section: f64, section_params: &SectionParams) {
        let heard = self.loudness.tick(section, power(section_params.gate), section_params.blocks);
        self.is_frozen = heard == Heard::Pause;
        if heard != Heard::Pause {
            self.second = lufs(self.loudness.last_second());
            let recent = lufs(self.loudness.mean(section_params.blocks));
            let is_beyond = self.set_for.is_none_or(|level| (recent - level).abs() > section_params.window);
            if heard == Heard::Change || (is_beyond && self.following == 0) {
                self.following = section_params.blocks;
            }
            if self.following > 0 {
                self.following -= 1;
                self.set_for = Some(recent);
                self.loudness.forget_before(section_params.blocks);
            } else {
                let minute = lufs(self.loudness.mean(LONGEST));
                // Slowly, so that the beginning of a change is still detected by the window.
                let leash = |level: f64| {
                    let within = level.clamp(minute - MINUTE_MARGIN, minute + MINUTE_MARGIN);
                    level + (within - level).clamp(-MINUTE_STEP, MINUTE_STEP)
                };
                self.set_for = self.set_for.map(leash);
            }
        }
        let Some(level) = self.set_for else { return };
        self.goal = (section_params.target - level).clamp(-section_params.max_cut, section_params.max_gain);
        let excess = self.second + self.slow - section_params.target - section_params.window - FAST_MARGIN;
        self.excess = excess.clamp(0.0, section_params.fast);
        self.floor = -section_params.max_cut;
    }

    /// Advances the gain by a frame; the rates are in dB per frame.
    fn advance(&mut self, rate: f64, fast_rate: f64, pace: &SmoothingTime) {
        if !self.is_frozen {
            self.slow += (self.goal - self.slow).clamp(-rate, rate);
        }
        let both = (self.slow - self.excess).max(self.floor);
        self.slewed += (both - self.slewed).clamp(-fast_rate.max(rate), rate);
        let before = self.gain;
        let gain = self.gain.tick(self.slewed, pace, pace);
        if self.gain != before {
            self.factor = db_to_gain(gain);
        }
    }
}

impl Node for Leveler {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let ramp = |row| params.ramp(row);
        let (mut target, mut window, mut gate) = (ramp(&TARGET), ramp(&WINDOW), ramp(&GATE));
        let (mut max_gain, mut max_cut, mut fast) = (ramp(&MAX_GAIN), ramp(&MAX_CUT), ramp(&FAST));
        let (mut rate, mut time) = (ramp(&RATE), ramp(&TIME));
        let Self { state, weighting, weights, pace, .. } = self;
        for frame in 0..block.frames() {
            for (channel, meter) in state.channels.iter_mut().take(block.width()).enumerate() {
                meter.add(weighting, block.at(channel, frame).clamp(-HIGHEST, HIGHEST));
            }
            state.frames_done += 1;
            let section_params = SectionParams {
                target: target.tick(),
                window: window.tick(),
                max_gain: max_gain.tick(),
                max_cut: max_cut.tick(),
                blocks: (time.tick() * BLOCKS_PER_SECOND as f64 / 1000.0) as usize,
                fast: fast.tick(),
                gate: gate.tick(),
            };
            if state.frames_done == self.frames {
                let section = take_energy(&mut state.channels, weights) / f64::from(state.frames_done);
                state.frames_done = 0;
                state.end_section(section, &section_params);
            }
            state.advance(rate.tick() / self.rate, FAST_RATE / self.rate, pace);
            for channel in 0..block.width() {
                *block.at(channel, frame) *= state.factor;
            }
        }
        meter.now(0, self.state.factor);
        if let Some(level) = self.state.set_for {
            meter.now(1, level);
        }
    }

    fn reset(&mut self) {
        self.state = LevelerState::default();
    }

    fn adopt(&mut self, old: &dyn Node) {
        if let Some(old) = same::<Self>(old) {
            self.state = old.state;
        }
    }
}
