//! Mains: the frequency whose multiples have kept their phases for seconds, however far below the programme they are.
//!
//! At each frequency that the mains may have, the phasors of the first harmonics are averaged over seconds, each cut to the
//! same length before: so the moments count in which the programme leaves a harmonic alone, and what is loud counts no more
//! than they do. Hum adds up at one frequency in many harmonics; a note does in its own only, and not beyond its end. What
//! comes again and again in time, as a beat does, leaves nothing between: hum is never much less than it is on average.
//!
//! Sources: S. M. Kay, *Fundamentals of Statistical Signal Processing*, volume II (1998), chapter 10, for the limiter.

use std::f64::consts::TAU;

/// Harmonics that are heard.
pub const HEARD: usize = 8;
/// Frequencies on either side of the nominal one, and their distance in Hz.
const SIDE: usize = 120;
const APART: f64 = 0.005;
/// Seconds over which phasors are averaged.
const AVERAGE: f64 = 6.0;
/// Squared mean of unit phasors that is worth half of what a harmonic can give.
const HALF: f64 = 0.2;
/// Sum over the harmonics from which on there is hum, and for how many seconds at the same frequency.
const ENOUGH: f64 = 2.4;
const LASTING: f64 = 5.0;
/// Frequencies by which the best one may move meanwhile.
const NEAR: usize = 2;
/// Frequencies at either end that something beyond may make the best.
const END: usize = 4;
/// Share of the time for which a harmonic of hum may be below half of what it is.
const LOW: f64 = 0.1;
/// Least amplitude that has a phase.
const LEAST: f64 = 1e-5;

type Row = [f64; HEARD];

/// Averages of one channel, real and imaginary: of all harmonics at each frequency.
#[derive(Clone, Debug)]
struct Channel {
    now: [Row; 2],
    sums: Box<[[Row; 2]]>,
}

/// The search around one frequency.
#[derive(Clone, Debug)]
pub struct Mains {
    step: f64,
    /// How far each harmonic turns in a step.
    turns: Box<[[Row; 2]]>,
    channels: Box<[Channel]>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// How far the first phasor's own frame has turned.
    slip: f64,
    /// Averages: of one, of the reciprocal amplitude, and of the time below half of the amplitude.
    weight: f64,
    inverse: Row,
    low: Row,
    amplitude: Row,
    best: usize,
    off: f64,
    /// Seconds for which it has been the best.
    time: f64,
}

impl Mains {
    /// `[control]` With a `step` of so many seconds.
    pub fn new(step: f64, channels: usize) -> Self {
        let turn = |at: usize| {
            let off = APART * (at as f64 - SIDE as f64);
            let angle = |k: usize| TAU * off * step * (k + 1) as f64;
            [std::array::from_fn(|k| angle(k).cos()), std::array::from_fn(|k| angle(k).sin())]
        };
        let all = 2 * SIDE + 1;
        let channel = Channel { now: [[0.0; HEARD]; 2], sums: vec![[[0.0; HEARD]; 2]; all].into() };
        Self {
            step,
            turns: (0..all).map(turn).collect(),
            channels: vec![channel; channels].into(),
            state: State::default(),
        }
    }

    /// How far the mains are off, in Hz, if they are heard.
    pub fn found(&self) -> Option<f64> {
        let state = &self.state;
        (state.time >= LASTING).then_some(state.off)
    }

    /// `[audio]` The phasor of a harmonic, as it is now.
    pub fn hear(&mut self, channel: usize, harmonic: usize, [re, im]: [f64; 2]) {
        let now = &mut self.channels[channel].now;
        (now[0][harmonic], now[1][harmonic]) = (re, im);
    }

    /// `[audio]` Ends a step in which the phasors' frames were `off` by some Hz.
    pub fn step(&mut self, off: f64) {
        let keep = (-self.step / AVERAGE).exp();
        let state = &mut self.state;
        state.slip = (state.slip + TAU * off * self.step) % TAU;
        state.weight = keep * state.weight + 1.0;
        for k in 0..HEARD {
            let power: f64 = self
                .channels
                .iter()
                .map(|channel| channel.now[0][k].powi(2) + channel.now[1][k].powi(2))
                .sum();
            let amplitude = power.sqrt();
            let scale = 1.0 / amplitude.max(LEAST);
            state.inverse[k] = keep * state.inverse[k] + scale;
            let is_low = amplitude < 0.5 * state.amplitude[k];
            state.low[k] = keep * state.low[k] + f64::from(u8::from(is_low));
            let (sin, cos) = ((k + 1) as f64 * state.slip).sin_cos();
            for Channel { now: [re, im], .. } in &mut self.channels {
                (re[k], im[k]) = (scale * (re[k] * cos - im[k] * sin), scale * (im[k] * cos + re[k] * sin));
            }
        }
        for Channel { now, sums } in &mut self.channels {
            for ([re, im], [cos, sin]) in sums.iter_mut().zip(&self.turns) {
                for k in 0..HEARD {
                    let (a, b) = (keep * re[k], keep * im[k]);
                    re[k] = a * cos[k] - b * sin[k] + now[0][k];
                    im[k] = b * cos[k] + a * sin[k] + now[1][k];
                }
            }
        }
        self.look();
    }

    /// Squared means of the unit phasors at a frequency.
    fn squares(&self, at: usize) -> Row {
        let scale = self.state.weight.powi(-2);
        let mut squares = [0.0; HEARD];
        for channel in &self.channels {
            let [re, im] = &channel.sums[at];
            (0..HEARD).for_each(|k| squares[k] += scale * (re[k] * re[k] + im[k] * im[k]));
        }
        squares
    }

    fn worth(&self, at: usize) -> f64 {
        self.squares(at).iter().map(|square| square / (square + HALF)).sum()
    }

    /// Looks for the best frequency, and whether it is hum's.
    fn look(&mut self) {
        let (mut best, mut most) = (0, 0.0);
        for at in 0..=2 * SIDE {
            let worth = self.worth(at);
            if worth > most {
                (best, most) = (at, worth);
            }
        }
        let squares = self.squares(best);
        let between = if (1..2 * SIDE).contains(&best) {
            let [a, b] = [self.worth(best - 1), self.worth(best + 1)];
            0.5 * (b - a) / (2.0 * most - a - b).max(f64::MIN_POSITIVE)
        } else {
            0.0
        };
        let state = &mut self.state;
        let mut sure = 0.0;
        for (k, square) in squares.into_iter().enumerate() {
            if state.low[k] < LOW * state.weight {
                sure += square / (square + HALF);
            }
            let mean = square.sqrt();
            state.amplitude[k] = (2.0 - mean) * mean * state.weight / state.inverse[k];
        }
        let is_same =
            state.best.abs_diff(best) <= NEAR && (END..=2 * SIDE - END).contains(&best) && sure > ENOUGH;
        state.time = if is_same { state.time + self.step } else { 0.0 };
        state.best = best;
        state.off = APART * (best as f64 - SIDE as f64 + between.clamp(-0.5, 0.5));
    }

    /// `[audio]` Forgets all.
    pub fn reset(&mut self) {
        self.state = State::default();
        for channel in &mut self.channels {
            channel.now = [[0.0; HEARD]; 2];
            channel.sums.fill([[0.0; HEARD]; 2]);
        }
    }

    /// `[audio]` Takes over what another around the same frequency knows.
    pub fn adopt(&mut self, old: &Self) {
        self.state = old.state;
        for (mine, old) in self.channels.iter_mut().zip(&old.channels) {
            mine.now = old.now;
            mine.sums.copy_from_slice(&old.sums);
        }
    }
}
