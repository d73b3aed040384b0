//! Hum: tones at a mains frequency and its multiples, followed and told from programme.
//!
//! Each harmonic has a phasor a channel: what all harmonics together leave, turned back by the harmonic's own angle and
//! averaged (adaptive noise cancelling with a synthesised reference). How the phasors turn tells how far the frequency is
//! off; a loop of the second order follows it, so that a steady drift leaves no error. A harmonic is hum if its phasor has
//! been what it is for seconds: the notes of a bass do not stay. Under programme it is one if the mains are heard (see
//! `dsp/mains.rs`) and its phase has a mean at their frequency. From then on its own mean is known, and what is taken away
//! is never far from that mean: louder programme at the same place is left. A phasor is trusted as far as it has lately been
//! near its mean; the others steer nothing. All means lean together, each by the harmonic's multiple of one angle, with what
//! the loop has not followed yet.
//!
//! Sources: B. Widrow et al., *Adaptive Noise Cancelling: Principles and Applications*, Proc. IEEE 63 (1975), section VIII;
//! F. M. Gardner, *Phaselock Techniques* (2005), chapter 2, for the loop.

use crate::dsp::restore::harmonic::{
    APART, AVERAGE, LEAST, LONG, STEADY, STEPS, Seen, Tone, Votes, add, between, size, turned,
};
use crate::dsp::restore::mains::{HEARD, Mains};
use std::f64::consts::TAU;

/// Half width of a phasor's average, in Hz.
const WIDTH: f64 = 1.8;
/// Most that the mains are off, in Hz.
const RANGE: f64 = 0.6;
/// Where the loop is farther off than this, it may be stopped by the range, at something else.
const INSIDE: f64 = 0.58;
/// Steps over which the mean phasor of hum is averaged.
const MEAN: f64 = 80.0;
/// Natural frequency of the loop, in rad/s; it is critically damped.
const LOOP: f64 = 4.5;
/// Hum has this many steady ones among its first harmonics, and as long as it lasts not fewer than that.
const FIRST: usize = 8;
const ENOUGH: [usize; 2] = [3, 2];
/// Steps until it is believed that hum is there, or gone.
const PATIENCE: [u32; 2] = [30, 40];
/// Least trust with which the mean follows.
const WARY: f64 = 0.1;
/// Share of the way on which the lean follows in a step.
const LEAN: f64 = 0.7;
/// How fast the frequency goes to the one that is heard where no phasor is trusted, in 1/s.
const STEER: f64 = 1.0;
/// Most that is taken away beside the mean, as a share of it, and as a share of what is there.
const BESIDE: f64 = 0.5;
const MOST: f64 = 1.5;
/// Share of its way that a gate goes in a step, and where it is as good as shut.
const FADE: f64 = 0.1;
const SHUT: f64 = 1e-3;
/// Harmonics that are summed side by side.
const LANES: usize = 4;

/// The hum of all channels at multiples of one frequency.
#[derive(Clone, Debug)]
pub struct Hum {
    rate: f64,
    nominal: f64,
    /// Frames by which its first step comes early.
    ahead: u32,
    now: Now,
    /// Of each harmonic, padded to whole lanes: its turn in a frame, and so far.
    turns: [Box<[f64]>; 2],
    angles: [Box<[f64]>; 2],
    tones: Box<[Tone]>,
    mains: Mains,
    channels: Box<[Phasors]>,
}

/// What is the same for all harmonics.
#[derive(Clone, Copy, Debug)]
struct Now {
    freq: f64,
    /// In Hz a second.
    drift: f64,
    /// How far the first harmonic's mean is turned, in rad; that of the others as many times farther.
    lean: f64,
    /// Frames since the last step.
    frames: u32,
    /// Steps for which it has looked as if it were the other way.
    doubt: u32,
    is_on: bool,
    /// Whether the mains are heard.
    is_guided: bool,
    /// Where the oldest phasors are.
    oldest: usize,
}

impl Now {
    fn new(freq: f64, frames: u32) -> Self {
        Self { freq, drift: 0.0, lean: 0.0, frames, doubt: 0, is_on: false, is_guided: false, oldest: 0 }
    }

    /// Direction in which a harmonic leans.
    fn leaning(&self, at: usize) -> [f64; 2] {
        let (sin, cos) = (self.lean * (at + 1) as f64).sin_cos();
        [cos, sin]
    }
}

/// The phasors of one channel.
#[derive(Clone, Debug)]
struct Phasors {
    re: Box<[f64]>,
    im: Box<[f64]>,
    /// What is taken away: a share of the phasor and something that stands still; and how both change in a frame.
    out: [Box<[f64]>; 3],
    slopes: [Box<[f64]>; 3],
    rest: Box<[Memory]>,
    /// Phasors of the last steps.
    past: Box<[[f64; 2]]>,
}

/// What is remembered of a phasor from step to step.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    /// The phasor without the delay of its average, at the last step.
    prompt: [f64; 2],
    /// Its mean, as long as it is hum, if nothing leaned; and the mean of its unit phasor.
    mean: [f64; 2],
    unit: [f64; 2],
    /// Where what is taken away goes until the next step.
    goal: [f64; 3],
}

/// How much of what is left goes into a phasor in a frame.
fn pace(rate: f64) -> f64 {
    2.0 * TAU * WIDTH / rate
}

impl Hum {
    /// `[control]` Hum of `count` harmonics of `nominal` Hz in `channels` channels, as far as they are well below half of `rate`.
    /// `early` is the share of a step by which it looks earlier, so that several do not look at once.
    pub fn new(rate: f64, nominal: f64, count: usize, channels: usize, early: f64) -> Self {
        let count = count.min((0.45 * rate / nominal) as usize).max(1);
        let zeros = || vec![0.0; count.next_multiple_of(LANES)].into_boxed_slice();
        let phasors = || Phasors {
            re: zeros(),
            im: zeros(),
            out: [zeros(), zeros(), zeros()],
            slopes: [zeros(), zeros(), zeros()],
            rest: vec![Memory::default(); count].into_boxed_slice(),
            past: vec![[0.0; 2]; count * APART].into_boxed_slice(),
        };
        let mut hum = Self {
            rate,
            nominal,
            ahead: (early * rate / STEPS) as u32,
            now: Now::new(nominal, 0),
            turns: [zeros(), zeros()],
            angles: [zeros(), zeros()],
            tones: vec![Tone::default(); count].into_boxed_slice(),
            mains: Mains::new((rate / STEPS).ceil() / rate, channels),
            channels: (0..channels).map(|_| phasors()).collect(),
        };
        hum.reset();
        hum
    }

    /// Whether there is hum.
    pub fn is_on(&self) -> bool {
        self.now.is_on
    }

    /// Whether nothing is taken away, nor on the way of being so.
    pub fn is_silent(&self) -> bool {
        let is_nought = |channel: &Phasors| channel.rest.iter().all(|rest| rest.goal == [0.0; 3]);
        !self.now.is_on && self.now.frames == 0 && self.channels.iter().all(is_nought)
    }

    /// Its frequency in Hz.
    pub fn freq(&self) -> f64 {
        self.now.freq
    }

    /// Its root mean square in the loudest channel.
    pub fn level(&self) -> f64 {
        let power = |channel: &Phasors| {
            let tones = self.tones.iter().zip(&channel.rest).filter(|(tone, _)| tone.is_hum);
            tones.map(|(_, rest)| 0.5 * size(rest.mean).powi(2)).sum()
        };
        self.channels.iter().map(power).fold(0.0, f64::max).sqrt()
    }

    /// `[audio]` Hears the samples of a frame, and takes `depth` of the hum away from each.
    #[inline]
    pub fn tick<'a>(&mut self, samples: impl Iterator<Item = &'a mut f64>, depth: f64) {
        let [cos, sin] = &mut self.angles;
        let [turn_cos, turn_sin] = &self.turns;
        let pace = pace(self.rate);
        for (sample, Phasors { re, im, out, slopes, .. }) in samples.zip(&mut self.channels) {
            let [share, out_re, out_im] = &*out;
            let (mut all, mut taken) = ([0.0; LANES], [0.0; LANES]);
            for first in (0..cos.len()).step_by(LANES) {
                for lane in 0..LANES {
                    let at = first + lane;
                    let tone = re[at] * cos[at] - im[at] * sin[at];
                    all[lane] += tone;
                    taken[lane] += share[at] * tone + out_re[at] * cos[at] - out_im[at] * sin[at];
                }
            }
            let left = pace * (*sample - all.iter().sum::<f64>());
            *sample -= depth * taken.iter().sum::<f64>();
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

    /// Looks at the phasors.
    fn step(&mut self) {
        let mut votes = Votes::default();
        for at in 0..self.tones.len() {
            let seen = self.look(at);
            let fit = self.fit(at, seen.inverse());
            let harmonic = (at + 1) as f64;
            let (now, tone) = (&self.now, &mut self.tones[at]);
            tone.average(&seen);
            let was_hum = tone.is_hum;
            let is_inside = (now.freq - self.nominal).abs() < INSIDE;
            if tone.judge(&seen, harmonic, is_inside, now.is_guided.then_some(fit)) {
                // The mean of unit phasors is about half of what hum is to the rest, or nearly all where that is little.
                let (scale, leaning) = ((2.0 - fit) / tone.inverse, now.leaning(at));
                tone.unrest = 1.0;
                for channel in &mut self.channels {
                    let rest = &mut channel.rest[at];
                    rest.mean = turned(rest.unit.map(|unit| scale * unit), leaning);
                }
            }
            let is_open = !now.is_on && !now.is_guided && tone.power > LEAST * LEAST;
            if tone.is_hum && was_hum {
                votes.add(&seen, harmonic, seen.usual, tone.trust);
            } else if is_open && tone.steadiness() > STEADY[1] {
                let seen = Seen { aside: [1.0, 0.0], ..seen };
                votes.add(&seen, harmonic, seen.power.min(tone.power) * tone.steadiness().powi(4), 1.0);
            }
        }
        self.now.oldest = (self.now.oldest + 1) % APART;
        self.mains.step(self.now.freq - self.nominal);
        self.follow(&votes);
        self.decide();
        self.aim();
    }

    /// Looks at a harmonic.
    fn look(&mut self, at: usize) -> Seen {
        let (count, oldest) = (self.tones.len(), self.now.oldest);
        let newest = (oldest + APART - 1) % APART;
        // What goes on beyond the average's delay: what it was told in this step.
        let lead = 1.0 / (0.5 * pace(self.rate) * f64::from(self.now.frames));
        let [cos, sin] = self.now.leaning(at);
        let mut seen = Seen::default();
        for (which, channel) in self.channels.iter_mut().enumerate() {
            let now = [channel.re[at], channel.im[at]];
            let [last, long] = [newest, oldest].map(|slot| channel.past[slot * count + at]);
            channel.past[oldest * count + at] = now;
            let rest = &mut channel.rest[at];
            let prompt = between(last, now, lead);
            let mean = turned(rest.mean, [cos, -sin]);
            add(&mut seen.since_last, turned(prompt, rest.prompt));
            add(&mut seen.since_long, turned(now, long));
            add(&mut seen.aside, turned(now, mean));
            rest.prompt = prompt;
            seen.power += size(now).powi(2);
            seen.before += size(long).powi(2);
            seen.usual += size(mean).powi(2);
            seen.gap += size([now[0] - mean[0], now[1] - mean[1]]).powi(2);
            if at < HEARD {
                self.mains.hear(which, at, now);
            }
        }
        seen
    }

    /// Averages a harmonic's unit phasor, and says how large its mean is.
    fn fit(&mut self, at: usize, inverse: f64) -> f64 {
        let mut power = 0.0;
        for channel in &mut self.channels {
            let unit = [inverse * channel.re[at], inverse * channel.im[at]];
            channel.rest[at].unit = between(channel.rest[at].unit, unit, 1.0 / LONG);
            power += size(channel.rest[at].unit).powi(2);
        }
        power.sqrt()
    }

    /// Follows the frequency: that of the phasors as far as they are trusted, else that of the mains that are heard.
    fn follow(&mut self, votes: &Votes) {
        let now = &mut self.now;
        let found = self.mains.found().map(|off| self.nominal + off);
        let mut trust = 0.0;
        if votes.all > 0.0 {
            trust = votes.trust / votes.all;
            now.lean = (now.lean + LEAN * votes.aside / votes.all) % TAU;
            let off = votes.turn / votes.all * STEPS / TAU;
            let off = trust * trust * off.clamp(-RANGE, RANGE);
            now.drift += LOOP * LOOP / STEPS * off;
            now.drift *= 1.0 - (1.0 - trust) * STEER / STEPS;
            now.freq += now.drift / STEPS + 2.0 * LOOP / STEPS * off;
        } else {
            now.drift = 0.0;
            now.freq += (self.nominal - now.freq) / (2.0 * AVERAGE);
        }
        if let Some(found) = found {
            // Found just now, it is the better one.
            let is_new = !now.is_on && !now.is_guided;
            let share = if is_new { 1.0 } else { (1.0 - trust) * STEER / STEPS };
            now.freq += share * (found - now.freq);
        }
        now.is_guided = found.is_some();
        let inside = now.freq.clamp(self.nominal - RANGE, self.nominal + RANGE);
        if inside != now.freq {
            (now.freq, now.drift) = (inside, 0.0);
        }
        self.tune();
    }

    /// Sets how far each harmonic turns in a frame, and rounds off what its angle has lost.
    fn tune(&mut self) {
        let [turn_cos, turn_sin] = &mut self.turns;
        let [cos, sin] = &mut self.angles;
        for at in 0..self.tones.len() {
            let (s, c) = (TAU * self.now.freq * (at + 1) as f64 / self.rate).sin_cos();
            (turn_cos[at], turn_sin[at]) = (c, s);
            let size = cos[at].hypot(sin[at]);
            (cos[at], sin[at]) = (cos[at] / size, sin[at] / size);
        }
    }

    fn decide(&mut self) {
        let now = &mut self.now;
        let hums = self.tones.iter().take(FIRST).filter(|tone| tone.is_hum).count();
        let side = usize::from(now.is_on);
        let enough = ENOUGH[side].min(self.tones.len());
        now.doubt = if (hums >= enough) != now.is_on { now.doubt + 1 } else { 0 };
        if now.doubt >= PATIENCE[side] {
            (now.is_on, now.doubt) = (!now.is_on, 0);
        }
    }

    /// Says what is to be taken away at the next step.
    fn aim(&mut self) {
        let frames = (self.rate / STEPS).ceil();
        for (at, tone) in self.tones.iter_mut().enumerate() {
            let [cos, sin] = self.now.leaning(at);
            let wanted = if self.now.is_on && tone.is_hum { 1.0 } else { 0.0 };
            tone.gate += FADE * (wanted - tone.gate);
            if wanted == 0.0 && tone.gate < SHUT {
                tone.gate = 0.0;
            }
            for channel in &mut self.channels {
                let (now, rest) = ([channel.re[at], channel.im[at]], &mut channel.rest[at]);
                let mut mean = turned(rest.mean, [cos, -sin]);
                let way = size([now[0] - mean[0], now[1] - mean[1]]);
                let usual = size(mean);
                let near = |most: f64| if way > most { most / way } else { 1.0 };
                // The mean follows what is no farther away than it is large.
                let calm =
                    if tone.likeness[0] > STEADY[0] && tone.is_even() { 1.0 } else { tone.trust.max(WARY) };
                mean = between(mean, now, if tone.is_hum { calm * near(usual) / MEAN } else { 1.0 });
                rest.mean = turned(mean, [cos, sin]);
                let share = tone.trust * near(BESIDE * usual);
                let (all, most) = (size(between(mean, now, share)), MOST * size(now));
                let gate = if all > most { tone.gate * most / all } else { tone.gate };
                let still = gate * (1.0 - share);
                let goal = [gate * share, still * mean[0], still * mean[1]];
                for (side, goal) in goal.into_iter().enumerate() {
                    // What was aimed at has been reached, but for roundings.
                    channel.out[side][at] = rest.goal[side];
                    channel.slopes[side][at] = (goal - rest.goal[side]) / frames;
                }
                rest.goal = goal;
            }
        }
    }

    /// `[audio]` Forgets all.
    pub fn reset(&mut self) {
        self.now = Now::new(self.nominal, self.ahead);
        self.angles[0].fill(1.0);
        self.angles[1].fill(0.0);
        self.tones.fill(Tone::default());
        self.mains.reset();
        for channel in &mut self.channels {
            channel.re.fill(0.0);
            channel.im.fill(0.0);
            channel.out.iter_mut().chain(&mut channel.slopes).for_each(|row| row.fill(0.0));
            channel.rest.fill(Memory::default());
            channel.past.fill([0.0; 2]);
        }
        self.tune();
    }

    /// Whether it is of the same frequency as another.
    pub fn follows(&self, old: &Self) -> bool {
        self.nominal == old.nominal
    }

    /// `[audio]` Takes over what another of the same frequency knows; of another number of harmonics, what both have.
    pub fn adopt(&mut self, old: &Self) {
        fn copy<T: Copy>(mine: &mut [T], old: &[T]) {
            mine.iter_mut().zip(old).for_each(|(mine, old)| *mine = *old);
        }
        self.reset();
        self.now = old.now;
        for side in 0..2 {
            copy(&mut self.angles[side], &old.angles[side]);
            copy(&mut self.turns[side], &old.turns[side]);
        }
        copy(&mut self.tones, &old.tones);
        self.mains.adopt(&old.mains);
        let (mine, theirs) = (self.tones.len(), old.tones.len());
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            copy(&mut channel.re, &old.re);
            copy(&mut channel.im, &old.im);
            channel.out.iter_mut().zip(&old.out).for_each(|(row, old)| copy(row, old));
            channel.slopes.iter_mut().zip(&old.slopes).for_each(|(row, old)| copy(row, old));
            copy(&mut channel.rest, &old.rest);
            for slot in 0..APART {
                copy(&mut channel.past[slot * mine..][..mine], &old.past[slot * theirs..][..theirs]);
            }
        }
    }
}
