//! Hum removal: harmonics of a mains frequency are tracked, and distinguished from programme.
//!
//! Each harmonic has a phasor per channel: the signal minus the estimate of all harmonics, demodulated at the
//! harmonic's frequency and averaged (adaptive noise cancelling with a synthesised reference). The rotation of the
//! phasors gives the frequency error; a second-order loop tracks the frequency, so that a steady drift leaves no
//! error. A harmonic counts as hum if its phasor has been constant for seconds: bass notes are not. Under programme
//! it counts as hum if the mains frequency is detected (see `mains.rs`) and its phasor has a mean at that frequency.
//! From then on the mean is known, and what is subtracted stays close to it: louder programme at the same frequency
//! is kept. The confidence in a phasor depends on its recent distance from its mean; phasors without confidence do
//! not steer the loop. All means are rotated by the common phase error that the loop has not corrected yet, each by
//! the multiple of its harmonic.
//!
//! Sources: B. Widrow et al., *Adaptive Noise Cancelling: Principles and Applications*, Proc. IEEE 63 (1975), section VIII;
//! F. M. Gardner, *Phaselock Techniques* (2005), chapter 2, for the loop.

use crate::dsp::restore::harmonic::{
    APART, AVERAGE, FrequencyError, Harmonic, LEAST, LONG, Observation, STEADY, STEPS, add, between, size,
    turned,
};
use crate::dsp::restore::mains::{HARMONICS, Mains};
use std::f64::consts::TAU;

/// Half bandwidth of a phasor's average, in Hz.
const WIDTH: f64 = 1.8;
/// Largest deviation of the mains frequency from nominal, in Hz.
const RANGE: f64 = 0.6;
/// Beyond this deviation, in Hz, the loop may be stopped by the range, at another tone.
const INSIDE: f64 = 0.58;
/// Steps over which the mean phasor of hum is averaged.
const MEAN: f64 = 80.0;
/// Natural frequency of the loop, in rad/s; it is critically damped.
const LOOP: f64 = 4.5;
/// Number of harmonics among the first ones that must be hum: to detect hum, and to keep it detected.
const FIRST: usize = 8;
const ENOUGH: [usize; 2] = [3, 2];
/// Steps to confirm that hum has begun, or ended.
const CONFIRM_STEPS: [u32; 2] = [30, 40];
/// Smallest confidence for updates of the mean.
const LEAST_CONFIDENCE: f64 = 0.1;
/// Share of the phase error that is corrected in a step.
const PHASE_SHARE: f64 = 0.7;
/// Rate at which the frequency moves to the detected mains frequency if no phasor has confidence, in 1/s.
const STEER: f64 = 1.0;
/// Largest deviation from the mean that is subtracted, as a share of the mean; and the largest subtraction, as a share
/// of the phasor.
const BESIDE: f64 = 0.5;
const MOST: f64 = 1.5;
/// Share of the remaining way that a gate moves in a step; and the value below which it counts as closed.
const FADE: f64 = 0.1;
const SHUT: f64 = 1e-3;
/// Harmonics that are summed in parallel.
const LANES: usize = 4;

/// The hum of all channels at multiples of one frequency.
#[derive(Clone, Debug)]
pub(crate) struct Hum {
    rate: f64,
    nominal: f64,
    /// Frames by which its first step is early.
    ahead: u32,
    now: LoopState,
    /// Of each harmonic, padded to whole lanes: rotation per frame, and current angle, as cosine and sine.
    turns: [Box<[f64]>; 2],
    angles: [Box<[f64]>; 2],
    harmonics: Box<[Harmonic]>,
    mains: Mains,
    channels: Box<[Phasors]>,
}

/// State of the loop, common to all harmonics.
#[derive(Clone, Copy, Debug)]
struct LoopState {
    freq: f64,
    /// In Hz per second.
    drift: f64,
    /// Phase of the first harmonic's mean in rad; that of harmonic n is n times as large.
    phase: f64,
    /// Frames since the last step.
    frames: u32,
    /// Steps for which detection has contradicted `is_on`.
    pending_steps: u32,
    is_on: bool,
    /// Whether the mains frequency is detected.
    has_mains: bool,
    /// Index of the oldest phasors.
    oldest: usize,
}

impl LoopState {
    fn new(freq: f64, frames: u32) -> Self {
        Self {
            freq,
            drift: 0.0,
            phase: 0.0,
            frames,
            pending_steps: 0,
            is_on: false,
            has_mains: false,
            oldest: 0,
        }
    }

    /// Rotation of the mean of a harmonic.
    fn rotation(&self, at: usize) -> [f64; 2] {
        let (sin, cos) = (self.phase * (at + 1) as f64).sin_cos();
        [cos, sin]
    }
}

/// The phasors of one channel.
#[derive(Clone, Debug)]
struct Phasors {
    re: Box<[f64]>,
    im: Box<[f64]>,
    /// What is subtracted: a share of the phasor, and a constant phasor; and their changes per frame.
    out: [Box<[f64]>; 3],
    slopes: [Box<[f64]>; 3],
    states: Box<[PhasorState]>,
    /// Phasors of the last steps.
    past: Box<[[f64; 2]]>,
}

/// State of a phasor between steps.
#[derive(Clone, Copy, Debug, Default)]
struct PhasorState {
    /// The phasor at the last step, without the delay of the average.
    undelayed: [f64; 2],
    /// Its mean while it is hum, without the common phase; and the mean of its unit phasor.
    mean: [f64; 2],
    unit: [f64; 2],
    /// Target of `out` for the next step.
    goal: [f64; 3],
}

/// Gain of the phasor update per frame.
fn pace(rate: f64) -> f64 {
    2.0 * TAU * WIDTH / rate
}

impl Hum {
    /// `[control]` Hum with `count` harmonics of `nominal` Hz in `channels` channels, limited to well below half of
    /// `rate`. `early` is the share of a step by which its steps are early, so that several instances do not work at
    /// the same time.
    pub(crate) fn new(rate: f64, nominal: f64, count: usize, channels: usize, early: f64) -> Self {
        let count = count.min((0.45 * rate / nominal) as usize).max(1);
        let zeros = || vec![0.0; count.next_multiple_of(LANES)].into_boxed_slice();
        let phasors = || Phasors {
            re: zeros(),
            im: zeros(),
            out: [zeros(), zeros(), zeros()],
            slopes: [zeros(), zeros(), zeros()],
            states: vec![PhasorState::default(); count].into_boxed_slice(),
            past: vec![[0.0; 2]; count * APART].into_boxed_slice(),
        };
        let mut hum = Self {
            rate,
            nominal,
            ahead: (early * rate / STEPS) as u32,
            now: LoopState::new(nominal, 0),
            turns: [zeros(), zeros()],
            angles: [zeros(), zeros()],
            harmonics: vec![Harmonic::default(); count].into_boxed_slice(),
            mains: Mains::new((rate / STEPS).ceil() / rate, channels),
            channels: (0..channels).map(|_| phasors()).collect(),
        };
        hum.reset();
        hum
    }

    /// Whether hum is detected.
    pub(crate) fn is_on(&self) -> bool {
        self.now.is_on
    }

    /// Whether nothing is subtracted, now or in the next step.
    pub(crate) fn is_silent(&self) -> bool {
        let is_nought = |channel: &Phasors| channel.states.iter().all(|state| state.goal == [0.0; 3]);
        !self.now.is_on && self.now.frames == 0 && self.channels.iter().all(is_nought)
    }

    /// Its frequency in Hz.
    pub(crate) fn freq(&self) -> f64 {
        self.now.freq
    }

    /// Its RMS level in the loudest channel, linear.
    pub(crate) fn level(&self) -> f64 {
        let power = |channel: &Phasors| {
            let harmonics = self.harmonics.iter().zip(&channel.states).filter(|(tone, _)| tone.is_hum);
            harmonics.map(|(_, state)| 0.5 * size(state.mean).powi(2)).sum()
        };
        self.channels.iter().map(power).fold(0.0, f64::max).sqrt()
    }

    /// `[audio]` Tracks the hum in the samples of a frame, and subtracts `depth` (0..1) of it from each.
    #[inline]
    pub(crate) fn tick<'a>(&mut self, samples: impl Iterator<Item = &'a mut f64>, depth: f64) {
        let [cos, sin] = &mut self.angles;
        let [turn_cos, turn_sin] = &self.turns;
        let pace = pace(self.rate);
        for (sample, Phasors { re, im, out, slopes, .. }) in samples.zip(&mut self.channels) {
            let [share, out_re, out_im] = &*out;
            let (mut all, mut removed) = ([0.0; LANES], [0.0; LANES]);
            for first in (0..cos.len()).step_by(LANES) {
                for lane in 0..LANES {
                    let at = first + lane;
                    let tone = re[at] * cos[at] - im[at] * sin[at];
                    all[lane] += tone;
                    removed[lane] += share[at] * tone + out_re[at] * cos[at] - out_im[at] * sin[at];
                }
            }
            let left = pace * (*sample - all.iter().sum::<f64>());
            *sample -= depth * removed.iter().sum::<f64>();
            for ((re, im), (cos, sin)) in re.iter_mut().zip(im.iter_mut()).zip(cos.iter().zip(&*sin)) {
                *re += left * cos;
                *im -= left * sin;
            }
            for (out, slope) in out.iter_mut().zip(&*slopes) {
                out.iter_mut().zip(slope).for_each(|(out, slope)| *out += slope);
            }
        }
        for ((cos, sin), (c, s)) in cos.iter_mut().zip(sin.iter_mut()).zip(turn_cos.iter().zip(turn_sin)) {
            (*cos, *sin) = (*cos * c - *sin * s, *sin * c + *cos * s);
        }
        self.now.frames += 1;
        if f64::from(self.now.frames) >= self.rate / STEPS {
            self.step();
            self.now.frames = 0;
        }
    }

    /// Evaluates the phasors.
    fn step(&mut self) {
        let mut error = FrequencyError::default();
        for at in 0..self.harmonics.len() {
            let observed = self.observe(at);
            let fit = self.fit(at, observed.inverse());
            let harmonic = (at + 1) as f64;
            let (now, tone) = (&self.now, &mut self.harmonics[at]);
            tone.average(&observed);
            let was_hum = tone.is_hum;
            let is_inside = (now.freq - self.nominal).abs() < INSIDE;
            if tone.classify(&observed, harmonic, is_inside, now.has_mains.then_some(fit)) {
                // The mean of unit phasors is about half the ratio of hum to the rest, or nearly 1 if there is little
                // else.
                let (scale, rotation) = ((2.0 - fit) / tone.inverse, now.rotation(at));
                tone.deviation = 1.0;
                for channel in &mut self.channels {
                    let state = &mut channel.states[at];
                    state.mean = turned(state.unit.map(|unit| scale * unit), rotation);
                }
            }
            let is_open = !now.is_on && !now.has_mains && tone.power > LEAST * LEAST;
            if tone.is_hum && was_hum {
                error.add(&observed, harmonic, observed.usual, tone.confidence);
            } else if is_open && tone.steadiness() > STEADY[1] {
                let observed = Observation { aside: [1.0, 0.0], ..observed };
                error.add(
                    &observed,
                    harmonic,
                    observed.power.min(tone.power) * tone.steadiness().powi(4),
                    1.0,
                );
            }
        }
        self.now.oldest = (self.now.oldest + 1) % APART;
        self.mains.step(self.now.freq - self.nominal);
        self.update_frequency(&error);
        self.update_state();
        self.update_output();
    }

    /// Evaluates the phasors of a harmonic in all channels.
    fn observe(&mut self, at: usize) -> Observation {
        let (count, oldest) = (self.harmonics.len(), self.now.oldest);
        let newest = (oldest + APART - 1) % APART;
        // Extrapolates beyond the delay of the average, by the change in this step.
        let lead = 1.0 / (0.5 * pace(self.rate) * f64::from(self.now.frames));
        let [cos, sin] = self.now.rotation(at);
        let mut observed = Observation::default();
        for (which, channel) in self.channels.iter_mut().enumerate() {
            let now = [channel.re[at], channel.im[at]];
            let [last, long] = [newest, oldest].map(|slot| channel.past[slot * count + at]);
            channel.past[oldest * count + at] = now;
            let state = &mut channel.states[at];
            let undelayed = between(last, now, lead);
            let mean = turned(state.mean, [cos, -sin]);
            add(&mut observed.since_last, turned(undelayed, state.undelayed));
            add(&mut observed.since_long, turned(now, long));
            add(&mut observed.aside, turned(now, mean));
            state.undelayed = undelayed;
            observed.power += size(now).powi(2);
            observed.before += size(long).powi(2);
            observed.usual += size(mean).powi(2);
            observed.gap += size([now[0] - mean[0], now[1] - mean[1]]).powi(2);
            if at < HARMONICS {
                self.mains.set_phasor(which, at, now);
            }
        }
        observed
    }

    /// Averages the unit phasors of a harmonic, and returns the magnitude of their mean.
    fn fit(&mut self, at: usize, inverse: f64) -> f64 {
        let mut power = 0.0;
        for channel in &mut self.channels {
            let unit = [inverse * channel.re[at], inverse * channel.im[at]];
            channel.states[at].unit = between(channel.states[at].unit, unit, 1.0 / LONG);
            power += size(channel.states[at].unit).powi(2);
        }
        power.sqrt()
    }

    /// Updates the frequency: from the phasors as far as they have confidence, else from the detected mains.
    fn update_frequency(&mut self, error: &FrequencyError) {
        let now = &mut self.now;
        let found = self.mains.found().map(|off| self.nominal + off);
        let mut confidence = 0.0;
        if error.all > 0.0 {
            confidence = error.confidence / error.all;
            now.phase = (now.phase + PHASE_SHARE * error.aside / error.all) % TAU;
            let off = error.turn / error.all * STEPS / TAU;
            let off = confidence * confidence * off.clamp(-RANGE, RANGE);
            now.drift += LOOP * LOOP / STEPS * off;
            now.drift *= 1.0 - (1.0 - confidence) * STEER / STEPS;
            now.freq += now.drift / STEPS + 2.0 * LOOP / STEPS * off;
        } else {
            now.drift = 0.0;
            now.freq += (self.nominal - now.freq) / (2.0 * AVERAGE);
        }
        if let Some(found) = found {
            // A newly detected frequency is the more accurate one.
            let is_new = !now.is_on && !now.has_mains;
            let share = if is_new { 1.0 } else { (1.0 - confidence) * STEER / STEPS };
            now.freq += share * (found - now.freq);
        }
        now.has_mains = found.is_some();
        let inside = now.freq.clamp(self.nominal - RANGE, self.nominal + RANGE);
        if inside != now.freq {
            (now.freq, now.drift) = (inside, 0.0);
        }
        self.tune();
    }

    /// Sets the rotation of each harmonic per frame, and corrects rounding errors of its angle.
    fn tune(&mut self) {
        let [turn_cos, turn_sin] = &mut self.turns;
        let [cos, sin] = &mut self.angles;
        for at in 0..self.harmonics.len() {
            let (s, c) = (TAU * self.now.freq * (at + 1) as f64 / self.rate).sin_cos();
            (turn_cos[at], turn_sin[at]) = (c, s);
            let size = cos[at].hypot(sin[at]);
            (cos[at], sin[at]) = (cos[at] / size, sin[at] / size);
        }
    }

    fn update_state(&mut self) {
        let now = &mut self.now;
        let hums = self.harmonics.iter().take(FIRST).filter(|tone| tone.is_hum).count();
        let side = usize::from(now.is_on);
        let enough = ENOUGH[side].min(self.harmonics.len());
        now.pending_steps = if (hums >= enough) != now.is_on { now.pending_steps + 1 } else { 0 };
        if now.pending_steps >= CONFIRM_STEPS[side] {
            (now.is_on, now.pending_steps) = (!now.is_on, 0);
        }
    }

    /// Sets what is to be subtracted at the next step.
    fn update_output(&mut self) {
        let frames = (self.rate / STEPS).ceil();
        for (at, tone) in self.harmonics.iter_mut().enumerate() {
            let [cos, sin] = self.now.rotation(at);
            let wanted = if self.now.is_on && tone.is_hum { 1.0 } else { 0.0 };
            tone.gate += FADE * (wanted - tone.gate);
            if wanted == 0.0 && tone.gate < SHUT {
                tone.gate = 0.0;
            }
            for channel in &mut self.channels {
                let (now, state) = ([channel.re[at], channel.im[at]], &mut channel.states[at]);
                let mut mean = turned(state.mean, [cos, -sin]);
                let way = size([now[0] - mean[0], now[1] - mean[1]]);
                let usual = size(mean);
                let near = |most: f64| if way > most { most / way } else { 1.0 };
                // Limits the update of the mean to phasors no farther away than the mean is large.
                let calm = if tone.coherence[0] > STEADY[0] && tone.is_even() {
                    1.0
                } else {
                    tone.confidence.max(LEAST_CONFIDENCE)
                };
                mean = between(mean, now, if tone.is_hum { calm * near(usual) / MEAN } else { 1.0 });
                state.mean = turned(mean, [cos, sin]);
                let share = tone.confidence * near(BESIDE * usual);
                let (all, most) = (size(between(mean, now, share)), MOST * size(now));
                let gate = if all > most { tone.gate * most / all } else { tone.gate };
                let still = gate * (1.0 - share);
                let goal = [gate * share, still * mean[0], still * mean[1]];
                for (side, goal) in goal.into_iter().enumerate() {
                    // The previous target is reached, apart from rounding errors.
                    channel.out[side][at] = state.goal[side];
                    channel.slopes[side][at] = (goal - state.goal[side]) / frames;
                }
                state.goal = goal;
            }
        }
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.now = LoopState::new(self.nominal, self.ahead);
        self.angles[0].fill(1.0);
        self.angles[1].fill(0.0);
        self.harmonics.fill(Harmonic::default());
        self.mains.reset();
        for channel in &mut self.channels {
            channel.re.fill(0.0);
            channel.im.fill(0.0);
            channel.out.iter_mut().chain(&mut channel.slopes).for_each(|row| row.fill(0.0));
            channel.states.fill(PhasorState::default());
            channel.past.fill([0.0; 2]);
        }
        self.tune();
    }

    /// Whether it has the same nominal frequency as another one.
    pub(crate) fn follows(&self, old: &Self) -> bool {
        self.nominal == old.nominal
    }

    /// `[audio]` Adopts the state of another one of the same nominal frequency, as far as both have the same
    /// harmonics.
    pub(crate) fn adopt(&mut self, old: &Self) {
        fn copy<T: Copy>(mine: &mut [T], old: &[T]) {
            mine.iter_mut().zip(old).for_each(|(mine, old)| *mine = *old);
        }
        self.reset();
        self.now = old.now;
        for side in 0..2 {
            copy(&mut self.angles[side], &old.angles[side]);
            copy(&mut self.turns[side], &old.turns[side]);
        }
        copy(&mut self.harmonics, &old.harmonics);
        self.mains.adopt(&old.mains);
        let (mine, theirs) = (self.harmonics.len(), old.harmonics.len());
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            copy(&mut channel.re, &old.re);
            copy(&mut channel.im, &old.im);
            channel.out.iter_mut().zip(&old.out).for_each(|(row, old)| copy(row, old));
            channel.slopes.iter_mut().zip(&old.slopes).for_each(|(row, old)| copy(row, old));
            copy(&mut channel.states, &old.states);
            for slot in 0..APART {
                copy(&mut channel.past[slot * mine..][..mine], &old.past[slot * theirs..][..theirs]);
            }
        }
    }
}
