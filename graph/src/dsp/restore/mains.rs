//! Detection of the mains frequency: the frequency whose multiples have had constant phases for seconds, however far
//! below the programme.
//!
//! At each candidate frequency, the phasors of the first harmonics are averaged over seconds, after normalisation to
//! the same magnitude, so that loud moments do not count more than those in which the programme leaves a harmonic
//! free. Hum adds up at one frequency in many harmonics; a note only in its own harmonics and only while it lasts.
//! Periodic sound such as a beat has gaps; hum is never far below its average.
//!
//! Sources: S. M. Kay, *Fundamentals of Statistical Signal Processing*, volume II (1998), chapter 10, for the limiter.

use std::f64::consts::TAU;

/// Number of harmonics.
pub(crate) const HARMONICS: usize = 8;
/// Number of candidate frequencies on either side of the nominal one, and their distance in Hz.
const SIDE: usize = 120;
const APART: f64 = 0.005;
/// Averaging time of the phasors, in seconds.
const AVERAGE: f64 = 6.0;
/// Squared mean of unit phasors that scores 1/2 of the maximum of a harmonic.
const HALF: f64 = 0.2;
/// Sum of the scores from which hum is detected; and for how many seconds at the same frequency.
const ENOUGH: f64 = 2.4;
const LASTING: f64 = 5.0;
/// Number of candidates by which the best frequency may move meanwhile.
const NEAR: usize = 2;
/// Number of candidates at either end that are ignored, because a tone outside the range can make them the best.
const END: usize = 4;
/// Largest share of time for which a harmonic of hum may be below half its amplitude.
const LOW: f64 = 0.1;
/// Lowest amplitude with a valid phase.
const LEAST: f64 = 1e-5;

type Row = [f64; HARMONICS];

/// Averages of one channel, real and imaginary, of all harmonics at each candidate frequency.
#[derive(Clone, Debug)]
struct Channel {
    now: [Row; 2],
    sums: Box<[[Row; 2]]>,
}

/// The search around one nominal frequency.
#[derive(Clone, Debug)]
pub(crate) struct Mains {
    step: f64,
    /// Rotation of each harmonic per step.
    turns: Box<[[Row; 2]]>,
    channels: Box<[Channel]>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    /// Accumulated rotation of the reference of the first harmonic.
    phase: f64,
    /// Averages: of 1, of the reciprocal amplitude, and of the time below half the amplitude.
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
    /// `[control]` A search with a step of `step` seconds, for `channels` channels.
    pub(crate) fn new(step: f64, channels: usize) -> Self {
        let turn = |at: usize| {
            let off = APART * (at as f64 - SIDE as f64);
            let angle = |k: usize| TAU * off * step * (k + 1) as f64;
            [std::array::from_fn(|k| angle(k).cos()), std::array::from_fn(|k| angle(k).sin())]
        };
        let all = 2 * SIDE + 1;
        let channel = Channel { now: [[0.0; HARMONICS]; 2], sums: vec![[[0.0; HARMONICS]; 2]; all].into() };
        Self {
            step,
            turns: (0..all).map(turn).collect(),
            channels: vec![channel; channels].into(),
            state: State::default(),
        }
    }

    /// Deviation of the mains frequency from nominal in Hz, if it is detected.
    pub(crate) fn found(&self) -> Option<f64> {
        let state = &self.state;
        (state.time >= LASTING).then_some(state.off)
    }

    /// `[audio]` Sets the current phasor of a harmonic.
    pub(crate) fn set_phasor(&mut self, channel: usize, harmonic: usize, [re, im]: [f64; 2]) {
        let now = &mut self.channels[channel].now;
        (now[0][harmonic], now[1][harmonic]) = (re, im);
    }

    /// `[audio]` Ends a step in which the reference frequency was `off` Hz above nominal.
    pub(crate) fn step(&mut self, off: f64) {
        let keep = (-self.step / AVERAGE).exp();
        let state = &mut self.state;
        state.phase = (state.phase + TAU * off * self.step) % TAU;
        state.weight = keep * state.weight + 1.0;
        for k in 0..HARMONICS {
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
            let (sin, cos) = ((k + 1) as f64 * state.phase).sin_cos();
            for Channel { now: [re, im], .. } in &mut self.channels {
                (re[k], im[k]) = (scale * (re[k] * cos - im[k] * sin), scale * (im[k] * cos + re[k] * sin));
            }
        }
        for Channel { now, sums } in &mut self.channels {
            for ([re, im], [cos, sin]) in sums.iter_mut().zip(&self.turns) {
                for k in 0..HARMONICS {
                    let (a, b) = (keep * re[k], keep * im[k]);
                    re[k] = a * cos[k] - b * sin[k] + now[0][k];
                    im[k] = b * cos[k] + a * sin[k] + now[1][k];
                }
            }
        }
        self.find_best();
    }

    /// Squared means of the unit phasors at a candidate frequency.
    fn squares(&self, at: usize) -> Row {
        let scale = self.state.weight.powi(-2);
        let mut squares = [0.0; HARMONICS];
        for channel in &self.channels {
            let [re, im] = &channel.sums[at];
            (0..HARMONICS).for_each(|k| squares[k] += scale * (re[k] * re[k] + im[k] * im[k]));
        }
        squares
    }

    fn score(&self, at: usize) -> f64 {
        self.squares(at).iter().map(|square| square / (square + HALF)).sum()
    }

    /// Finds the best candidate, and decides whether it is hum.
    fn find_best(&mut self) {
        let (mut best, mut most) = (0, 0.0);
        for at in 0..=2 * SIDE {
            let score = self.score(at);
            if score > most {
                (best, most) = (at, score);
            }
        }
        let squares = self.squares(best);
        let between = if (1..2 * SIDE).contains(&best) {
            let [a, b] = [self.score(best - 1), self.score(best + 1)];
            0.5 * (b - a) / (2.0 * most - a - b).max(f64::MIN_POSITIVE)
        } else {
            0.0
        };
        let state = &mut self.state;
        let mut reliable_score = 0.0;
        for (k, square) in squares.into_iter().enumerate() {
            if state.low[k] < LOW * state.weight {
                reliable_score += square / (square + HALF);
            }
            let mean = square.sqrt();
            state.amplitude[k] = (2.0 - mean) * mean * state.weight / state.inverse[k];
        }
        let is_same = state.best.abs_diff(best) <= NEAR
            && (END..=2 * SIDE - END).contains(&best)
            && reliable_score > ENOUGH;
        state.time = if is_same { state.time + self.step } else { 0.0 };
        state.best = best;
        state.off = APART * (best as f64 - SIDE as f64 + between.clamp(-0.5, 0.5));
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.state = State::default();
        for channel in &mut self.channels {
            channel.now = [[0.0; HARMONICS]; 2];
            channel.sums.fill([[0.0; HARMONICS]; 2]);
        }
    }

    /// `[audio]` Adopts the state of another one with the same nominal frequency.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.state = old.state;
        for (mine, old) in self.channels.iter_mut().zip(&old.channels) {
            mine.now = old.now;
            mine.sums.copy_from_slice(&old.sums);
        }
    }
}
