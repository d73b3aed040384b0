//! Phase: time and polarity alignment of two channels, and phase rotation of asymmetric voices.
//!
//! Latency 48 frames for all settings. `time` delays one channel relative to the other, with a resolution finer than a
//! frame, by windowed-sinc interpolation (flat within 0.01 dB to 20 kHz at 48 kHz); a new time is reached by a
//! crossfade. Whole frames, including 0, are exact. `stages` all-passes leave the magnitude unchanged and shift the
//! phase around `rotate_freq`, by 360 degrees each, so that the positive and negative peaks of a voice become equal.

use crate::block::Block;
use crate::dsp::delay::fractional::{Fraction, SIDE};
use crate::dsp::fade::Fade;
use crate::dsp::filter::svf::{Coeffs, State};
use crate::node::{Node, NodeType, Params, Ports, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;
use std::f64::consts::FRAC_1_SQRT_2;

const TIME: Param = Param::new(0, "time", Unit::Ms)
    .range(-20.0, 20.0)
    .help("Delay of the right channel; negative: delay of the left.");
const INVERT_LEFT: Param =
    Param::new(1, "invert_left", Unit::Switch).help("Inverts the polarity of the left channel.");
const INVERT_RIGHT: Param =
    Param::new(2, "invert_right", Unit::Switch).help("Inverts the polarity of the right channel.");
const STAGES: Param = Param::new(3, "stages", Unit::Count)
    .range(0.0, 8.0)
    .setting()
    .help("Phase rotator: number of all-pass stages on both channels. 4 make most voices symmetrical.");
const ROTATE_FREQ: Param = Param::new(4, "rotate_freq", Unit::Hz)
    .range(30.0, 3_000.0)
    .default(200.0)
    .log()
    .help("Frequency at which each all-pass stage shifts the phase by 180 degrees.");

/// The node type; see the module.
pub(super) const NODE_TYPE: NodeType = NodeType::new(
    "phase",
    "Time alignment, polarity and phase rotation of two channels.",
    &[TIME, INVERT_LEFT, INVERT_RIGHT, STAGES, ROTATE_FREQ],
    build,
)
.ports(Ports::Stereo)
.latency(|_| SIDE)
.settles_in(|setup| 0.2 + 40.0 / setup.value(&ROTATE_FREQ))
.workloads(&[Workload::new("", "time: 0.3 ms, stages: 4")]);

/// Time of the crossfade to a new delay.
const FADE_MS: f64 = 20.0;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let frames_per_ms = setup.sample_rate / 1000.0;
    let frames = (TIME.max * frames_per_ms).ceil() as usize + 2 * SIDE + 1;
    let side = || Side {
        ring: vec![0.0; frames].into_boxed_slice(),
        at: 0,
        rotator_states: vec![State::default(); setup.value(&STAGES) as usize].into_boxed_slice(),
    };
    Box::new(Phase {
        rate: setup.sample_rate,
        frames_per_ms,
        fraction: Fraction::new(),
        designed_for: f64::NAN,
        rotator: Coeffs::IDENTITY,
        start: setup.value(&TIME),
        from: setup.value(&TIME),
        to: setup.value(&TIME),
        fade: Fade::new(setup.frames(FADE_MS) as u32, true),
        sides: [side(), side()],
    })
}

struct Phase {
    rate: f64,
    frames_per_ms: f64,
    fraction: Fraction,
    /// The frequency for which `rotator` is designed.
    designed_for: f64,
    rotator: Coeffs,
    /// In ms: the initial time, the current one, and the one that is faded in.
    start: f64,
    from: f64,
    to: f64,
    fade: Fade,
    sides: [Side; 2],
}

struct Side {
    ring: Box<[f64]>,
    /// Index of the next sample.
    at: usize,
    rotator_states: Box<[State]>,
}

impl Side {
    fn push(&mut self, sample: f64) {
        self.ring[self.at] = sample;
        self.at = if self.at + 1 == self.ring.len() { 0 } else { self.at + 1 };
    }

    /// The sample [`SIDE`] frames and `delay` frames before the newest.
    fn delayed(&self, delay: f64, fraction: &Fraction) -> f64 {
        let size = self.ring.len();
        let whole = delay as usize;
        let back = |frames: usize| {
            let at = self.at + size - 1 - frames;
            self.ring[if at >= size { at - size } else { at }]
        };
        let share = delay - whole as f64;
        if share == 0.0 {
            return back(SIDE + whole);
        }
        fraction.between(|i| back(1 + whole + i), share)
    }
}

impl Node for Phase {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let (target, mut freq) = (params.ramp(&TIME).target(), params.ramp(&ROTATE_FREQ));
        let mut inverts = [INVERT_LEFT, INVERT_RIGHT].map(|row| params.ramp(&row));
        for frame in 0..block.frames() {
            let freq = freq.tick();
            if self.designed_for != freq {
                self.designed_for = freq;
                self.rotator = Coeffs::allpass(self.rate, freq, FRAC_1_SQRT_2);
            }
            if self.fade.steady() == Some(1.0) && self.to != target {
                (self.from, self.to) = (self.to, target);
                self.fade = Fade::new(self.fade.frames(), false);
                self.fade.set_target(true);
            }
            let share = self.fade.tick();
            let frames = [self.from, self.to].map(|time| time * self.frames_per_ms);
            for (channel, side) in self.sides.iter_mut().enumerate() {
                let sample = block.at(channel, frame);
                side.push(*sample);
                let delayed = |time: f64| {
                    let delay = if channel == 0 { -time } else { time };
                    side.delayed(delay.max(0.0), &self.fraction)
                };
                let mut late = delayed(frames[1]);
                if share < 1.0 {
                    let before = delayed(frames[0]);
                    late = before + share * (late - before);
                }
                let turned =
                    side.rotator_states.iter_mut().fold(late, |x, state| self.rotator.tick(state, x));
                *sample = turned * (1.0 - 2.0 * inverts[channel].tick());
            }
        }
    }

    fn reset(&mut self) {
        (self.from, self.to) = (self.start, self.start);
        self.fade = Fade::new(self.fade.frames(), true);
        for side in &mut self.sides {
            side.ring.fill(0.0);
            side.rotator_states.fill(State::default());
            side.at = 0;
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        (self.from, self.to, self.fade) = (old.from, old.to, old.fade);
        for (side, old) in self.sides.iter_mut().zip(&old.sides) {
            if side.ring.len() == old.ring.len() {
                side.ring.copy_from_slice(&old.ring);
                side.at = old.at;
            }
            if side.rotator_states.len() == old.rotator_states.len() {
                side.rotator_states.copy_from_slice(&old.rotator_states);
            }
        }
    }
}
