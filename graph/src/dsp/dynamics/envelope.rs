//! What the ear of a dynamics processor is made of: the highest peak of a while, channels linked, and a gain
//! reduction that glides without corners.

use crate::dsp::dynamics::sliding_minimum::Lowest;

/// Below this a detector hears silence, as amplitude: −200 dBFS.
pub const SILENCE: f64 = 1e-10;

/// The highest magnitude of the last frames, in dBFS: steady on a sine whose half period fits into them.
#[derive(Clone, Debug)]
pub struct Peak {
    // Of the magnitudes with their signs turned, the lowest is the highest.
    turned: Lowest,
    highest: f64,
    level: f64,
}

impl Peak {
    /// `[control]` Over the last `frames` (at least 1).
    pub fn new(frames: usize) -> Self {
        Self { turned: Lowest::new(frames), highest: SILENCE, level: 20.0 * SILENCE.log10() }
    }

    /// Takes a sample and gives the level in dBFS, −200 or more.
    #[inline]
    pub fn tick(&mut self, sample: f64) -> f64 {
        let highest = -self.turned.tick(-sample.abs().max(SILENCE));
        // A logarithm is dear, and peaks are rare.
        if highest != self.highest {
            self.highest = highest;
            self.level = 20.0 * highest.log10();
        }
        self.level
    }

    /// Forgets the past.
    pub fn reset(&mut self) {
        self.turned.reset();
        self.highest = SILENCE;
        self.level = 20.0 * SILENCE.log10();
    }

    /// Takes over the state of one over as many frames.
    pub fn adopt(&mut self, old: &Peak) {
        self.turned.adopt(&old.turned);
        (self.highest, self.level) = (old.highest, old.level);
    }
}

/// Brings each of `levels` (dB) nearer to the highest of them: 0 leaves each, 1 makes all the highest.
#[inline]
pub fn link(levels: &mut [f64], amount: f64) {
    let highest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for level in levels {
        *level = if amount == 1.0 { highest } else { *level + amount * (highest - *level) };
    }
}

/// How fast a [`Glide`] goes one way.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pace {
    /// Radians a frame, and e to the minus that.
    omega: f64,
    decay: f64,
}

impl Pace {
    /// Covers 63.2 % of a step in `ms`.
    ///
    /// A critically damped step has 1 − (1 + x) e^−x behind it after x radians; that is 1 − 1/e at 2.1462.
    pub fn new(ms: f64, sample_rate: f64) -> Self {
        let omega = 2.146_193_220_620_582_6 * 1000.0 / (ms.max(1e-3) * sample_rate);
        Self { omega, decay: (-omega).exp() }
    }
}

/// A value that goes where it is wanted like a critically damped spring: it neither swings over nor has corners,
/// so that even a gate makes no click of its own.
///
/// The exact solution of the spring's equation for one frame at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Glide {
    at: f64,
    speed: f64,
}

impl Glide {
    /// Rests at `value`.
    pub fn new(value: f64) -> Self {
        Self { at: value, speed: 0.0 }
    }

    /// Moves on by one frame towards `wanted`, upwards at the pace `up`, downwards at the pace `down`.
    #[inline]
    pub fn tick(&mut self, wanted: f64, up: &Pace, down: &Pace) -> f64 {
        let away = self.at - wanted;
        if away == 0.0 && self.speed == 0.0 {
            return self.at;
        }
        let (going, turning) = if away < 0.0 { (up, down) } else { (down, up) };
        // While it still goes the other way, the quicker pace brakes: a slow spring would swing over.
        let pace = if self.speed * away > 0.0 && turning.omega > going.omega { turning } else { going };
        let pull = self.speed + pace.omega * away;
        let left = (away + pull) * pace.decay;
        self.speed = (self.speed - pace.omega * pull) * pace.decay;
        self.at = wanted + left;
        if left.abs() < 1e-12 && self.speed.abs() < 1e-12 {
            *self = Self::new(wanted);
        }
        self.at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_covered_by_63_per_cent_in_its_time_both_ways() {
        for (up_ms, down_ms) in [(1.0, 100.0), (30.0, 5.0), (0.1, 200.0)] {
            let (up, down) = (Pace::new(up_ms, 48_000.0), Pace::new(down_ms, 48_000.0));
            let mut glide = Glide::default();
            for (to, ms, done) in [(20.0, up_ms, 0.632_12), (0.0, down_ms, 0.367_88)] {
                let frames = (1..).find(|_| {
                    let at = glide.tick(to, &up, &down);
                    if to > 0.0 { at >= 20.0 * done } else { at <= 20.0 * done }
                });
                let off = f64::from(frames.unwrap()) - ms * 48.0;
                assert!((0.0..1.01).contains(&off), "{ms} ms: {off} frames late");
                (0..200_000).for_each(|_| _ = glide.tick(to, &up, &down));
                assert_eq!(glide.tick(to, &up, &down), to, "it comes to rest");
            }
        }
    }

    #[test]
    fn turning_round_on_the_way_it_swings_over_neither_end() {
        let (up, down) = (Pace::new(200.0, 48_000.0), Pace::new(0.5, 48_000.0));
        let mut glide = Glide::new(60.0);
        for n in 0..50_000 {
            let wanted = if n / 13 % 2 == 0 { 0.0 } else { 60.0 };
            let at = glide.tick(wanted, &up, &down);
            assert!((-1e-9..=60.0 + 1e-9).contains(&at), "{at} at {n}");
        }
    }

    #[test]
    fn the_peak_of_a_sine_is_steady_and_leaves_with_its_last_frame() {
        let mut peak = Peak::new(480);
        let sine = |n: i32| (std::f64::consts::TAU * 100.0 / 48_000.0 * f64::from(n)).sin();
        let levels: Vec<f64> = (0..4_800).map(|n| peak.tick(0.5 * sine(n))).collect();
        assert!(levels[480..].iter().all(|level| (level + 6.0206).abs() < 1e-4));
        let mut peak = Peak::new(480);
        peak.tick(-0.5);
        assert!((0..479).all(|_| peak.tick(0.0) > -6.03));
        assert_eq!(peak.tick(0.0), -200.0);
    }
}
