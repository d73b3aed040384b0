//! Stereo: width (of all frequencies, low ones and high ones), mid and side, balance, rotation.
//!
//! M = (L+R)/2, S = (L−R)/2, L = M+S, R = M−S. Processing order: polarity, swap, level and delay of mid and side,
//! width and mono below a frequency, rotation, balance. All width parameters affect S only, so the mono sum does not
//! change; the bands of S sum exactly. Latency 0 frames. With neutral settings the output is bit-identical to the
//! input.

use crate::block::Block;
use crate::dsp::delay::tap::Tap;
use crate::dsp::filter::svf::{Coeffs, State};
use crate::node::{Node, NodeType, Params, Ports, Setup, Workload, same};
use crate::param::ramp::Ramp;
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::f64::consts::{FRAC_1_SQRT_2, FRAC_PI_4, SQRT_2};

const fn percent(slot: usize, name: &'static str) -> Param {
    Param::new(slot, name, Unit::Percent).range(0.0, 200.0).default(100.0)
}

const WIDTH: Param =
    percent(0, "width").help("Stereo width (side level). 0 %: mono; 100 %: unchanged; 200 %: side doubled.");
const MID: Param = Param::new(1, "mid", Unit::Gain).range(-90.0, 12.0).bottom("-inf").help("Mid level.");
const SIDE: Param = Param::new(2, "side", Unit::Gain)
    .range(-90.0, 12.0)
    .bottom("-inf")
    .help("Side level, in addition to width.");
const WIDTH_LOW: Param = percent(3, "width_low").help("Width below low_split, multiplied by width.");
const WIDTH_HIGH: Param = percent(4, "width_high").help("Width above high_split, multiplied by width.");
const LOW_SPLIT: Param = Param::new(5, "low_split", Unit::Hz)
    .range(40.0, 1_000.0)
    .default(200.0)
    .log()
    .help("Upper limit of width_low, 6 dB/oct.");
const HIGH_SPLIT: Param = Param::new(6, "high_split", Unit::Hz)
    .range(1_000.0, 16_000.0)
    .default(4_000.0)
    .log()
    .help("Lower limit of width_high, 6 dB/oct.");
const MONO_BELOW: Param = Param::new(7, "mono_below", Unit::Hz)
    .range(10.0, 500.0)
    .default(10.0)
    .log()
    .bottom("off")
    .help("High-pass frequency of the side signal: mono bass for vinyl and clubs.");
const SIDE_DELAY: Param = Param::new(8, "side_delay", Unit::Ms)
    .range(-20.0, 20.0)
    .help("Delay of the side signal, in whole frames; negative: delay of the mid signal.");
const ROTATION: Param = Param::new(9, "rotation", Unit::Degrees)
    .range(-45.0, 45.0)
    .help("Rotation of the stereo image. 45° moves the left channel to the centre.");
const BALANCE: Param = Param::new(10, "balance", Unit::Percent)
    .range(-100.0, 100.0)
    .help("Balance. Positive: the right channel is louder; negative: the left.");
const SWAP: Param = Param::new(11, "swap", Unit::Switch).help("Swaps the left and right channels.");
const INVERT_LEFT: Param =
    Param::new(12, "invert_left", Unit::Switch).help("Inverts the polarity of the left channel.");
const INVERT_RIGHT: Param =
    Param::new(13, "invert_right", Unit::Switch).help("Inverts the polarity of the right channel.");
const MONO_SLOPE: Param = Param::new(14, "mono_slope", Unit::Choice(&["6 dB/oct", "12 dB/oct"]))
    .default(1.0)
    .setting()
    .help("Slope of the mono_below high-pass.");
const LAW: Param = Param::new(15, "balance_law", Unit::Choice(&["attenuate", "power"])).setting().help(
    "Balance law. attenuate: lowers one channel with the square of the balance (50 % is -2.5 dB), the other is unchanged; power: constant total power, up to 3 dB boost on one channel.",
);

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "stereo",
    "Stereo width, mid and side level, balance and rotation.",
    &[
        WIDTH,
        MID,
        SIDE,
        WIDTH_LOW,
        WIDTH_HIGH,
        LOW_SPLIT,
        HIGH_SPLIT,
        MONO_BELOW,
        SIDE_DELAY,
        ROTATION,
        BALANCE,
        SWAP,
        INVERT_LEFT,
        INVERT_RIGHT,
        MONO_SLOPE,
        LAW,
    ],
    build,
)
.ports(Ports::Stereo)
.settles_in(|setup| 0.2 + 20.0 / setup.value(&MONO_BELOW))
.transparent_at(&[])
.workloads(&[Workload::new("", "width: 120 %")]);

const ROWS: usize = NODE_TYPE.rows.len();
/// Time of the crossfade to a new delay.
const FADE_MS: f64 = 20.0;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let start = delays(setup.value(&SIDE_DELAY), setup.sample_rate);
    let tap = || Tap::new(setup.frames(SIDE_DELAY.max), setup.frames(FADE_MS) as u32);
    let mut node = Stereo {
        rate: setup.sample_rate,
        steep: setup.value(&MONO_SLOPE) > 0.0,
        keeps_power: setup.value(&LAW) > 0.0,
        designed_for: [f64::NAN; 3],
        filters: [Coeffs::IDENTITY; 3],
        states: [State::default(); 3],
        start,
        taps: [tap(), tap()],
    };
    node.reset();
    Box::new(node)
}

/// Delays of mid and side in frames.
fn delays(side_ms: f64, rate: f64) -> [usize; 2] {
    [-side_ms, side_ms].map(|ms| (ms.max(0.0) * rate / 1000.0).round() as usize)
}

struct Stereo {
    rate: f64,
    steep: bool,
    keeps_power: bool,
    /// Frequencies for which `filters` are designed: low split, high split, mono below.
    designed_for: [f64; 3],
    filters: [Coeffs; 3],
    states: [State; 3],
    /// Initial delays of mid and side in frames.
    start: [usize; 2],
    taps: [Tap; 2],
}

impl Stereo {
    fn update_filters(&mut self, freqs: [f64; 3]) {
        if self.designed_for == freqs {
            return;
        }
        self.designed_for = freqs;
        let [low, high, mono] = freqs;
        let mono = if self.steep {
            Coeffs::highpass(self.rate, mono, FRAC_1_SQRT_2)
        } else {
            Coeffs::highpass6(self.rate, mono)
        };
        self.filters = [Coeffs::lowpass6(self.rate, low), Coeffs::highpass6(self.rate, high), mono];
    }

    fn process_frame(&mut self, left: f64, right: f64, now: &[f64; ROWS], delays: [usize; 2]) -> [f64; 2] {
        let value = |row: Param| now[row.slot];
        let (left, right) =
            (left * (1.0 - 2.0 * value(INVERT_LEFT)), right * (1.0 - 2.0 * value(INVERT_RIGHT)));
        let (left, right) = match value(SWAP) {
            0.0 => (left, right),
            1.0 => (right, left),
            share => (left + share * (right - left), right - share * (right - left)),
        };
        let (m, s) = (0.5 * (left + right), 0.5 * (left - right));
        let [mid_late, side_late] = &mut self.taps;
        let mid = mid_late.tick(m, delays[0]) * value(MID);
        let late = side_late.tick(s, delays[1]);
        let mut side = late * value(SIDE) * value(WIDTH);
        let [low, high] = [0, 1].map(|at| self.filters[at].tick(&mut self.states[at], side));
        side += (value(WIDTH_LOW) - 1.0) * low + (value(WIDTH_HIGH) - 1.0) * high;
        // The filter always runs; it is faded in over its first octave, so that switching has no step.
        let mono = self.filters[2].tick(&mut self.states[2], side);
        let share = ((value(MONO_BELOW) - MONO_BELOW.min) / MONO_BELOW.min).clamp(0.0, 1.0);
        side += share * (mono - side);
        // An unchanged signal passes bit for bit.
        let (mut left, mut right) =
            if (mid, side) == (m, s) { (left, right) } else { (mid + side, mid - side) };
        if value(ROTATION) != 0.0 {
            let (sin, cos) = value(ROTATION).to_radians().sin_cos();
            (left, right) = (left * cos - right * sin, left * sin + right * cos);
        }
        let balance = value(BALANCE);
        if balance != 0.0 {
            let [on_left, on_right] = if self.keeps_power {
                let angle = (1.0 + balance) * FRAC_PI_4;
                [SQRT_2 * angle.cos(), SQRT_2 * angle.sin()]
            } else {
                // A square, so that there is no corner at the centre.
                [1.0 - balance.max(0.0).powi(2), 1.0 - balance.min(0.0).powi(2)]
            };
            (left, right) = (left * on_left, right * on_right);
        }
        [left, right]
    }
}

impl Node for Stereo {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let mut ramps: [Ramp; ROWS] = std::array::from_fn(|slot| params.ramp(&NODE_TYPE.rows[slot]));
        let delays = delays(ramps[SIDE_DELAY.slot].target(), self.rate);
        let moving = params.are_moving();
        let mut now = ramps.map(|ramp| ramp.value());
        let Some((left, right)) = block.pair() else { return };
        for (left, right) in left.iter_mut().zip(right) {
            if moving {
                now = ramps.each_mut().map(Ramp::tick);
            }
            self.update_filters([LOW_SPLIT, HIGH_SPLIT, MONO_BELOW].map(|row| now[row.slot]));
            [*left, *right] = self.process_frame(*left, *right, &now, delays);
        }
    }

    fn reset(&mut self) {
        self.states = [State::default(); 3];
        for (tap, start) in self.taps.iter_mut().zip(self.start) {
            tap.reset();
            tap.set(start);
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        if self.steep == old.steep {
            self.states = old.states;
        }
        self.taps.iter_mut().zip(&old.taps).for_each(|(tap, old)| tap.adopt(old, usize::MAX));
    }
}
