//! Compressor: peak, RMS or program-dependent, downward or upward, feed-forward or feedback.
//!
//! Attack and release are the times in which the gain reduction (in dB) covers 63.2 % of a step. The release includes
//! the smoothing of the attack, so it is never shorter than the attack. With feedback, the loop shortens the attack,
//! more at higher ratios, and limits the ratio to 50:1; the release is that of a level which falls below the
//! threshold. Upward and program-dependent detection hold each peak for 20 ms. Latency: the look-ahead. Below the
//! knee, without make-up gain, the output is bit-identical to the delayed input.
//!
//! The side-chain signal is the input, or the output with feedback, or the node at `key`; it passes a high-pass, a
//! low-pass and a bell of its own. In mid/side mode, mid and side of the first two channels are compressed.
//!
//! Source: D. Giannoulis, M. Massberg, J. D. Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6), 2012.

use crate::block::{Block, MAX_CHANNELS};
use crate::dsp::delay::line::Delay;
use crate::dsp::dynamics::side_chain::{GainComputer, GainRange, KeyValues, Values};
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::nodes::common::rows;
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit};
use crate::reading::{GAIN_CHANGE, Readings};

const THRESHOLD: Param = rows::threshold(0);
const RATIO: Param = rows::ratio(1);
const KNEE: Param = rows::knee(2);
const ATTACK: Param = rows::attack(3);
const RELEASE: Param = rows::release(4);
const MAKEUP: Param = rows::makeup(5);
const MIX: Param = Param::new(6, "mix", Unit::Percent)
    .range(0.0, 100.0)
    .default(100.0)
    .help("Dry/wet mix (parallel compression). 0 %: dry; 100 %: compressed.");
const KEY_HIGHPASS: Param = Param::new(7, "key_highpass", Unit::Hz)
    .range(10.0, 1000.0)
    .default(10.0)
    .log()
    .bottom("off")
    .help("Side-chain high-pass frequency, 12 dB/oct. Reduces pumping caused by bass.");
const LINK: Param = rows::link(8);
const KEY_LOWPASS: Param = Param::new(9, "key_lowpass", Unit::Hz)
    .range(200.0, 20_000.0)
    .default(20_000.0)
    .log()
    .top("off")
    .help("Side-chain low-pass frequency, 12 dB/oct.");
const KEY_FREQ: Param = Param::new(10, "key_freq", Unit::Hz)
    .range(20.0, 20_000.0)
    .default(3_000.0)
    .log()
    .help("Centre frequency of the side-chain bell.");
const KEY_GAIN: Param = Param::new(11, "key_gain", Unit::Db)
    .range(-24.0, 24.0)
    .help("Gain of the side-chain bell. Boost makes the detector more sensitive around key_freq.");
const KEY_Q: Param = Param::new(12, "key_q", Unit::Plain)
    .range(0.1, 12.0)
    .default(1.0)
    .log()
    .help("Q of the side-chain bell. Higher: narrower.");
const RANGE: Param = rows::range(13);
const HOLD: Param = rows::hold(14);
const RMS_WINDOW: Param = rows::rms_window(15);
const DETECTOR: Param = rows::detector(16);
const MODE: Param = rows::mode(17);
const TOPOLOGY: Param = Param::new(18, "topology", Unit::Choice(&["feedforward", "feedback"]))
    .setting()
    .help("Detector signal. feedforward: the input; feedback: the output. Ignored with a key input, and in upward mode.");
const CHANNELS: Param = Param::new(19, "split", Unit::Choice(&["stereo", "midside"]))
    .setting()
    .help("Processing of the first two channels. stereo: left and right; midside: mid and side.");
const LOOKAHEAD: Param = Param::new(20, "lookahead", Unit::Ms)
    .range(0.0, 20.0)
    .setting()
    .help("Look-ahead: gain reduction starts this long before a peak. Adds latency. With feedback it only delays the signal.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "compressor",
    "Compressor: downward or upward, with peak, RMS or program-dependent detection.",
    &[
        THRESHOLD,
        RATIO,
        KNEE,
        ATTACK,
        RELEASE,
        MAKEUP,
        MIX,
        KEY_HIGHPASS,
        LINK,
        KEY_LOWPASS,
        KEY_FREQ,
        KEY_GAIN,
        KEY_Q,
        RANGE,
        HOLD,
        RMS_WINDOW,
        DETECTOR,
        MODE,
        TOPOLOGY,
        CHANNELS,
        LOOKAHEAD,
    ],
    build,
)
.key()
.latency(|setup| setup.frames(setup.value(&LOOKAHEAD)))
.readings(&[GAIN_CHANGE])
// Where the middle and the side are compressed, a third channel is compressed otherwise.
.per_channel(Some(&[(CHANNELS, 0.0)]))
.transparent_at(&[(THRESHOLD, 0.0)])
.workloads(&[Workload::new("", "threshold: -30 dB")]);

const ROWS: usize = NODE_TYPE.rows.len();

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    // Upward compression with feedback would be unstable, so upward is always feed-forward.
    let feedback = setup.value(&TOPOLOGY) > 0.0 && setup.value(&MODE) == 0.0;
    let shape = rows::shape(setup.value(&DETECTOR), setup.value(&MODE), feedback);
    let delay = Delay::new(setup.frames(setup.value(&LOOKAHEAD)));
    Box::new(Compressor {
        computer: GainComputer::new(setup.sample_rate, shape),
        feedback: shape.feedback,
        midside: setup.value(&CHANNELS) > 0.0,
        last: [0.0; MAX_CHANNELS],
        delays: vec![delay; setup.channels].into_boxed_slice(),
    })
}

struct Compressor {
    computer: GainComputer,
    feedback: bool,
    midside: bool,
    /// The last output frame, for feedback.
    last: [f64; MAX_CHANNELS],
    delays: Box<[Delay]>,
}

/// The values of one frame.
struct FrameValues {
    makeup: f64,
    mix: f64,
}

impl Compressor {
    /// Reads all values by `value`, and sets those of the gain computer.
    fn read_values(&mut self, mut value: impl FnMut(&Param) -> f64) -> FrameValues {
        let own =
            [THRESHOLD, RATIO, KNEE, RANGE, ATTACK, RELEASE, HOLD, RMS_WINDOW, LINK].map(|row| value(&row));
        let (highpass, lowpass) = (value(&KEY_HIGHPASS), value(&KEY_LOWPASS));
        let key = KeyValues {
            highpass: (highpass > KEY_HIGHPASS.min).then_some(highpass),
            lowpass: (lowpass < KEY_LOWPASS.max).then_some(lowpass),
            bell: [KEY_FREQ, KEY_GAIN, KEY_Q].map(|row| value(&row)),
        };
        self.computer.set(&Values { key, ..rows::values(own) });
        FrameValues { makeup: value(&MAKEUP), mix: value(&MIX) }
    }

    /// Adds the gains to `range`.
    fn process_frame(
        &mut self,
        block: &mut Block<'_>,
        frame: usize,
        now: &FrameValues,
        range: &mut GainRange,
    ) {
        let width = block.width();
        let mut key = [0.0; MAX_CHANNELS];
        let mut key_width = width;
        if self.feedback && !block.has_key() {
            key = self.last;
        } else {
            key_width = block.key_width();
            (0..key_width).for_each(|channel| key[channel] = block.key(channel, frame));
            if self.midside && key_width > 1 {
                (key[0], key[1]) = (0.5 * (key[0] + key[1]), 0.5 * (key[0] - key[1]));
            }
        }
        let gains = self.computer.tick(&key[..key_width], width);
        let wet = |gain: f64| now.mix * (gain * now.makeup - 1.0);
        let mut out = [0.0; MAX_CHANNELS];
        for (channel, (out, delay)) in out.iter_mut().zip(&mut self.delays).enumerate() {
            *out = delay.tick(*block.at(channel, frame));
        }
        let pairs = if self.midside && width > 1 { 2 } else { 0 };
        if pairs > 0 {
            let (mid, side) = (0.5 * (out[0] + out[1]), 0.5 * (out[0] - out[1]));
            self.last[0] = mid * gains[0];
            self.last[1] = side * gains[1];
            let (mid, side) = (mid * wet(gains[0]), side * wet(gains[1]));
            (out[0], out[1]) = (out[0] + (mid + side), out[1] + (mid - side));
        }
        for channel in pairs..width {
            self.last[channel] = out[channel] * gains[channel];
            out[channel] *= 1.0 + wet(gains[channel]);
        }
        (0..width).for_each(|channel| *block.at(channel, frame) = out[channel]);
        range.add(&gains[..width]);
    }
}

impl Node for Compressor {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings) {
        let mut range = GainRange::NONE;
        let mut mix = params.ramp(&MIX);
        self.computer.set_feedback(self.feedback && !block.has_key());
        if params.are_moving() {
            let mut ramps: [Ramp; ROWS] = std::array::from_fn(|slot| params.ramp(&NODE_TYPE.rows[slot]));
            for frame in 0..block.frames() {
                ramps.iter_mut().for_each(|ramp| _ = ramp.tick());
                let now = self.read_values(|row| ramps[row.slot].value());
                self.process_frame(block, frame, &now, &mut range);
            }
        } else {
            let now = self.read_values(|row| params.value(row));
            for frame in 0..block.frames() {
                self.process_frame(block, frame, &now, &mut range);
            }
        }
        mix.advance(block.frames());
        let [lowest, highest] = range.heard(mix.value());
        meter.gain_change(0, lowest, highest);
    }

    fn reset(&mut self) {
        self.computer.reset();
        self.last = [0.0; MAX_CHANNELS];
        self.delays.iter_mut().for_each(Delay::reset);
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        self.computer.adopt(&old.computer);
        if self.midside == old.midside {
            self.last = old.last;
        }
        self.delays.iter_mut().zip(&old.delays).for_each(|(delay, old)| delay.adopt(old));
    }
}
