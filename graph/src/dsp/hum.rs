//! Hum: tones at a mains frequency and its multiples, followed and told from programme.
//!
//! Each harmonic has a phasor a channel: what all harmonics together leave, turned back by the harmonic's own angle and
//! averaged. Taken away, they are a comb of notches (adaptive noise cancelling with a synthesised reference). How
//! the phasors turn tells how far the frequency is off; a loop of the second order follows it, so that a steady drift
//! leaves no error. A harmonic is hum as long as its phasor stays what it is: the notes of a bass do not.
//!
//! Sources: B. Widrow et al., *Adaptive Noise Cancelling: Principles and Applications*, Proc. IEEE 63 (1975), section VIII;
//! F. M. Gardner, *Phaselock Techniques* (2005), chapter 2, for the loop.

use std::f64::consts::TAU;

/// Half of a notch between its -3 dB points, in Hz.
const WIDTH: f64 = 1.6;
/// Most that the mains are off, in Hz.
const RANGE: f64 = 0.6;
/// Control steps in a second.
const STEPS: f64 = 20.0;
/// Steps from a phasor to the one that it is held against.
const APART: usize = 10;
/// Steps over which steadiness is averaged.
const AVERAGE: f64 = 30.0;
/// Natural frequency of the loop, in rad/s; it is critically damped.
const LOOP: f64 = 2.0;
/// A harmonic is hum from this steadiness on, and no longer below that one.
const STEADY: [f64; 2] = [0.85, 0.5];
/// Fastest turn of the first harmonic's phasor that is still the hum, in Hz.
const LOCKED: f64 = 0.1;
/// Lowest amplitude of a harmonic that counts: -100 dBFS.
const LEAST: f64 = 1e-5;
/// Hum has this many steady ones among its first harmonics, and as long as it lasts not fewer than that.
const FIRST: usize = 8;
const ENOUGH: [usize; 2] = [3, 2];
/// Steps until it is believed that hum is there, or gone.
const PATIENCE: [u32; 2] = [50, 20];
/// Most that a phasor is above what it was for long, and how that follows in a step: 2 dB a second.
const MOST: f64 = 1.4;
const FOLLOW: f64 = 1.0116;
/// Share of its way that a gate goes in a step, and where it is as good as shut.
const FADE: f64 = 0.25;
const SHUT: f64 = 1e-4;
/// Harmonics that are summed side by side.
const LANES: usize = 4;

/// The hum of all channels at multiples of one frequency.
#[derive(Clone, Debug)]
pub struct Hum {
    rate: f64,
    nominal: f64,
    now: Now,
    /// Of each harmonic, padded to whole lanes: its turn in a frame, and so far.
    turns: [Box<[f64]>; 2],
    angles: [Box<[f64]>; 2],
    /// How much of it is taken away, and how that changes in a frame.
    gates: Box<[f64]>,
    slopes: Box<[f64]>,
    tones: Box<[Tone]>,
    channels: Box<[Phasors]>,
}

/// What is the same for all harmonics.
#[derive(Clone, Copy, Debug)]
struct Now {
    freq: f64,
    /// In Hz a second.
    drift: f64,
    /// Frames since the last step.
    frames: u32,
    /// Steps for which it has looked as if it were the other way.
    doubt: u32,
    is_on: bool,
    /// Where the oldest phasors are.
    oldest: usize,
}

/// What is known of a harmonic.
#[derive(Clone, Copy, Debug, Default)]
struct Tone {
    /// Averages: how the phasor stands to what it was, and its power.
    likeness: [f64; 2],
    power: f64,
    /// Amplitude for long.
    usual: f64,
    is_hum: bool,
}

impl Tone {
    fn steadiness(&self) -> f64 {
        let [re, im] = self.likeness;
        if self.power > 0.0 { re.hypot(im) / self.power } else { 0.0 }
    }
}

/// The phasors of one channel: as they are, and as they were at the last steps.
#[derive(Clone, Debug)]
struct Phasors {
    re: Box<[f64]>,
    im: Box<[f64]>,
    past: Box<[[f64; 2]]>,
}

impl Hum {
    /// `[control]` Hum of `count` harmonics of `nominal` Hz in `channels` channels, as far as they are well below half of `rate`.
    pub fn new(rate: f64, nominal: f64, count: usize, channels: usize) -> Self {
        let count = count.min((0.45 * rate / nominal) as usize).max(1);
        let zeros = || vec![0.0; count.next_multiple_of(LANES)].into_boxed_slice();
        let phasors =
            || Phasors { re: zeros(), im: zeros(), past: vec![[0.0; 2]; count * APART].into_boxed_slice() };
        let mut hum = Self {
            rate,
            nominal,
            now: Now { freq: nominal, drift: 0.0, frames: 0, doubt: 0, is_on: false, oldest: 0 },
            turns: [zeros(), zeros()],
            angles: [zeros(), zeros()],
            gates: zeros(),
            slopes: zeros(),
            tones: vec![Tone::default(); count].into_boxed_slice(),
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
        !self.now.is_on && self.gates.iter().all(|gate| *gate == 0.0)
    }

    /// Its frequency in Hz.
    pub fn freq(&self) -> f64 {
        self.now.freq
    }

    /// Its root mean square in the loudest channel, of the harmonics that are hum.
    pub fn level(&self) -> f64 {
        let power = |channel: &Phasors| {
            let tones = self.tones.iter().zip(channel.re.iter().zip(&channel.im));
            tones.filter(|(tone, _)| tone.is_hum).map(|(_, (re, im))| 0.5 * (re * re + im * im)).sum()
        };
        self.channels.iter().map(power).fold(0.0, f64::max).sqrt()
    }

    /// `[audio]` Hears the samples of a frame, and takes `depth` of the hum away from each.
    #[inline]
    pub fn tick<'a>(&mut self, samples: impl Iterator<Item = &'a mut f64>, depth: f64) {
        let [cos, sin] = &mut self.angles;
        let [turn_cos, turn_sin] = &self.turns;
        let pace = 2.0 * TAU * WIDTH / self.rate;
        for (sample, Phasors { re, im, .. }) in samples.zip(&mut self.channels) {
            let (mut all, mut gated) = ([0.0; LANES], [0.0; LANES]);
            let phasors = re.chunks_exact(LANES).zip(im.chunks_exact(LANES));
            let angles = cos.chunks_exact(LANES).zip(sin.chunks_exact(LANES));
            for (((re, im), (cos, sin)), gate) in phasors.zip(angles).zip(self.gates.chunks_exact(LANES)) {
                for lane in 0..LANES {
                    let tone = re[lane] * cos[lane] - im[lane] * sin[lane];
                    all[lane] += tone;
                    gated[lane] += gate[lane] * tone;
                }
            }
            let left = pace * (*sample - all.iter().sum::<f64>());
            for ((re, im), (cos, sin)) in re.iter_mut().zip(im.iter_mut()).zip(cos.iter().zip(&*sin)) {
                *re += left * cos;
                *im -= left * sin;
            }
            *sample -= depth * gated.iter().sum::<f64>();
        }
        for ((cos, sin), (c, s)) in cos.iter_mut().zip(sin.iter_mut()).zip(turn_cos.iter().zip(turn_sin)) {
            (*cos, *sin) = (*cos * c - *sin * s, *sin * c + *cos * s);
        }
        self.gates.iter_mut().zip(&self.slopes).for_each(|(gate, slope)| *gate += slope);
        self.now.frames += 1;
        if f64::from(self.now.frames) >= self.rate / STEPS {
            self.now.frames = 0;
            self.step();
        }
    }

    /// Looks at the phasors.
    fn step(&mut self) {
        let count = self.tones.len();
        let (newest, oldest) = ((self.now.oldest + APART - 1) % APART, self.now.oldest);
        let (mut turned, mut weights) = (0.0, 0.0);
        for (at, tone) in self.tones.iter_mut().enumerate() {
            let (mut since_last, mut since_long) = ([0.0; 2], [0.0; 2]);
            let (mut power, mut before) = (0.0, 0.0);
            for channel in &mut self.channels {
                let now = [channel.re[at], channel.im[at]];
                let [last, long] = [newest, oldest].map(|slot| channel.past[slot * count + at]);
                for (sum, was) in [(&mut since_last, last), (&mut since_long, long)] {
                    sum[0] += now[0] * was[0] + now[1] * was[1];
                    sum[1] += now[1] * was[0] - now[0] * was[1];
                }
                power += now[0] * now[0] + now[1] * now[1];
                before += long[0] * long[0] + long[1] * long[1];
                channel.past[oldest * count + at] = now;
            }
            for (average, new) in tone.likeness.iter_mut().zip(since_long) {
                *average += (new - *average) / AVERAGE;
            }
            tone.power += (0.5 * (power + before) - tone.power) / AVERAGE;
            let amplitude = power.sqrt();
            tone.usual = amplitude.clamp(tone.usual / FOLLOW, tone.usual.max(LEAST) * FOLLOW);
            let steadiness = tone.steadiness();
            let harmonic = (at + 1) as f64;
            let turn = tone.likeness[1].atan2(tone.likeness[0]) * STEPS / (TAU * APART as f64);
            let is_loud = tone.power > LEAST * LEAST;
            let was_hum = tone.is_hum;
            tone.is_hum = is_loud
                && steadiness > STEADY[usize::from(was_hum)]
                && (was_hum || turn.abs() < LOCKED * harmonic);
            if !was_hum {
                tone.usual = amplitude;
            }
            if is_loud && steadiness > STEADY[1] {
                let weight = tone.power * steadiness.powi(4) * harmonic;
                turned += weight * since_last[1].atan2(since_last[0]);
                weights += weight * harmonic;
            }
        }
        self.now.oldest = (oldest + 1) % APART;
        self.follow(if weights > 0.0 { Some(turned / weights * STEPS / TAU) } else { None });
        self.decide();
        self.open();
    }

    /// Follows the frequency, which is `off` by some Hz.
    fn follow(&mut self, off: Option<f64>) {
        let now = &mut self.now;
        match off {
            Some(off) => {
                let off = off.clamp(-RANGE, RANGE);
                now.drift += LOOP * LOOP / STEPS * off;
                now.freq += now.drift / STEPS + 2.0 * LOOP / STEPS * off;
            }
            None => {
                now.drift = 0.0;
                now.freq += (self.nominal - now.freq) / (2.0 * AVERAGE);
            }
        }
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

    /// Opens the gates of what is hum: a tone that is louder than it was for long is programme above that.
    fn open(&mut self) {
        let frames = self.rate / STEPS;
        for (at, tone) in self.tones.iter().enumerate() {
            let power: f64 = self.channels.iter().map(|c| c.re[at] * c.re[at] + c.im[at] * c.im[at]).sum();
            let most = MOST * tone.usual;
            let wanted = match power.sqrt() {
                _ if !(self.now.is_on && tone.is_hum) => 0.0,
                amplitude if amplitude > most => most / amplitude,
                _ => 1.0,
            };
            let gate = &mut self.gates[at];
            if wanted == 0.0 && *gate < SHUT {
                (*gate, self.slopes[at]) = (0.0, 0.0);
            } else {
                self.slopes[at] = FADE * (wanted - *gate) / frames;
            }
        }
    }

    /// `[audio]` Forgets all.
    pub fn reset(&mut self) {
        self.now = Now { freq: self.nominal, drift: 0.0, frames: 0, doubt: 0, is_on: false, oldest: 0 };
        self.angles[0].fill(1.0);
        self.angles[1].fill(0.0);
        self.gates.fill(0.0);
        self.slopes.fill(0.0);
        self.tones.fill(Tone::default());
        for Phasors { re, im, past } in &mut self.channels {
            re.fill(0.0);
            im.fill(0.0);
            past.fill([0.0; 2]);
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
        copy(&mut self.gates, &old.gates);
        copy(&mut self.slopes, &old.slopes);
        copy(&mut self.tones, &old.tones);
        let (mine, theirs) = (self.tones.len(), old.tones.len());
        for (channel, old) in self.channels.iter_mut().zip(&old.channels) {
            copy(&mut channel.re, &old.re);
            copy(&mut channel.im, &old.im);
            for slot in 0..APART {
                copy(&mut channel.past[slot * mine..][..mine], &old.past[slot * theirs..][..theirs]);
            }
        }
    }
}
