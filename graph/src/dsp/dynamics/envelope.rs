//! Parts of a dynamics processor: peak hold, channel link, and critically damped smoothing of the gain reduction.

use crate::dsp::decibel::gain_to_db;
use crate::dsp::dynamics::sliding_minimum::SlidingMinimum;

/// Lowest amplitude of a detector: −200 dBFS, silence.
pub(crate) const SILENCE: f64 = 1e-10;

/// The highest magnitude of the last frames, in dBFS. It is constant for a sine with a half period of that length or less.
#[derive(Clone, Debug)]
pub(crate) struct PeakHold {
    // The minimum of the negated magnitudes.
    negated: SlidingMinimum,
    highest: f64,
    level: f64,
}

impl PeakHold {
    /// `[control]` Over the last `frames` (at least 1).
    pub(crate) fn new(frames: usize) -> Self {
        Self { negated: SlidingMinimum::new(frames), highest: SILENCE, level: gain_to_db(SILENCE) }
    }

    /// `[audio]` Adds a sample and returns the level in dBFS, −200 or more.
    #[inline]
    pub(crate) fn tick(&mut self, sample: f64) -> f64 {
        let highest = -self.negated.tick(-sample.abs().max(SILENCE));
        // The logarithm is expensive, and the maximum changes rarely.
        if highest != self.highest {
            self.highest = highest;
            self.level = gain_to_db(highest);
        }
        self.level
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.negated.reset();
        self.highest = SILENCE;
        self.level = gain_to_db(SILENCE);
    }

    /// `[audio]` Adopts the state of another one of the same length.
    pub(crate) fn adopt(&mut self, old: &PeakHold) {
        self.negated.adopt(&old.negated);
        (self.highest, self.level) = (old.highest, old.level);
    }
}

/// `[audio]` Links channels: moves each of `levels` (dB) towards the highest of them. `amount` 0: unchanged; 1: all equal the
/// highest.
#[inline]
pub(crate) fn link(levels: &mut [f64], amount: f64) {
    let highest = levels.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    for level in levels {
        *level = if amount == 1.0 { highest } else { *level + amount * (highest - *level) };
    }
}

/// The smoothing time of a [`SmoothedGain`] in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SmoothingTime {
    /// Natural frequency in radians per frame, and e^−omega.
    omega: f64,
    decay: f64,
}

impl SmoothingTime {
    /// A step is covered by 63.2 % in `ms`.
    ///
    /// The step response of critical damping is 1 − (1 + x) e^−x after x radians; it reaches 1 − 1/e at x = 2.1462.
    pub(crate) fn new(ms: f64, sample_rate: f64) -> Self {
        let omega = 2.146_193_220_620_582_6 * 1000.0 / (ms.max(1e-3) * sample_rate);
        Self { omega, decay: (-omega).exp() }
    }
}

/// A value that follows its target with critical damping: without overshoot and without corners, so that even a gate
/// is free of clicks.
///
/// It is the exact solution of the differential equation, one frame at a time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct SmoothedGain {
    at: f64,
    speed: f64,
}

impl SmoothedGain {
    /// At rest at `value`.
    pub(crate) fn new(value: f64) -> Self {
        Self { at: value, speed: 0.0 }
    }

    /// `[audio]` Advances by one frame towards `target`, with the time `up` for rising and `down` for falling.
    #[inline]
    pub(crate) fn tick(&mut self, target: f64, up: &SmoothingTime, down: &SmoothingTime) -> f64 {
        let away = self.at - target;
        if away == 0.0 && self.speed == 0.0 {
            return self.at;
        }
        let (going, turning) = if away < 0.0 { (up, down) } else { (down, up) };
        // While it still moves away from the target, the shorter time applies: the longer one would overshoot.
        let time = if self.speed * away > 0.0 && turning.omega > going.omega { turning } else { going };
        let pull = self.speed + time.omega * away;
        let left = (away + pull) * time.decay;
        self.speed = (self.speed - time.omega * pull) * time.decay;
        self.at = target + left;
        if left.abs() < 1e-12 && self.speed.abs() < 1e-12 {
            *self = Self::new(target);
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
            let (up, down) = (SmoothingTime::new(up_ms, 48_000.0), SmoothingTime::new(down_ms, 48_000.0));
            let mut gain = SmoothedGain::default();
            for (to, ms, done) in [(20.0, up_ms, 0.632_12), (0.0, down_ms, 0.367_88)] {
                let frames = (1..).find(|_| {
                    let at = gain.tick(to, &up, &down);
                    if to > 0.0 { at >= 20.0 * done } else { at <= 20.0 * done }
                });
                let off = f64::from(frames.unwrap()) - ms * 48.0;
                assert!((0.0..1.01).contains(&off), "{ms} ms: {off} frames late");
                (0..200_000).for_each(|_| _ = gain.tick(to, &up, &down));
                assert_eq!(gain.tick(to, &up, &down), to, "it comes to rest");
            }
        }
    }

    #[test]
    fn a_change_of_direction_causes_no_overshoot() {
        let (up, down) = (SmoothingTime::new(200.0, 48_000.0), SmoothingTime::new(0.5, 48_000.0));
        let mut gain = SmoothedGain::new(60.0);
        for n in 0..50_000 {
            let target = if n / 13 % 2 == 0 { 0.0 } else { 60.0 };
            let at = gain.tick(target, &up, &down);
            assert!((-1e-9..=60.0 + 1e-9).contains(&at), "{at} at {n}");
        }
    }

    #[test]
    fn the_peak_of_a_sine_is_steady_and_ends_with_the_window() {
        let mut peak = PeakHold::new(480);
        let sine = |n: i32| (std::f64::consts::TAU * 100.0 / 48_000.0 * f64::from(n)).sin();
        let levels: Vec<f64> = (0..4_800).map(|n| peak.tick(0.5 * sine(n))).collect();
        assert!(levels[480..].iter().all(|level| (level + 6.0206).abs() < 1e-4));
        let mut peak = PeakHold::new(480);
        peak.tick(-0.5);
        assert!((0..479).all(|_| peak.tick(0.0) > -6.03));
        assert_eq!(peak.tick(0.0), -200.0);
    }
}
