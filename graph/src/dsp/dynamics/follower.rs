//! Attack and release: one-pole smoothing of a control signal.

/// Pole of a one-pole smoother with the time constant `tau_ms` (63.2 % of a step), at `sample_rate` Hz.
///
/// Source: Giannoulis, Massberg, Reiss, *Digital Dynamic Range Compressor Design*, JAES 60(6), 2012, eq. 7.
pub(crate) fn one_pole(tau_ms: f64, sample_rate: f64) -> f64 {
    (-1000.0 / (tau_ms.max(1e-3) * sample_rate)).exp()
}

/// A smaller gain reduction counts as 0, in dB.
const NOTHING: f64 = 1e-10;

/// The poles and the hold of a [`Decoupled`] detector.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Times {
    /// [`one_pole`] of the attack.
    pub attack: f64,
    /// [`one_pole`] of the release.
    pub release: f64,
    /// Automatic release only: [`one_pole`] of the rise and of the fall of the slow stage (the floor).
    pub floor: Option<[f64; 2]>,
    /// Hold time in frames, before the release.
    pub hold: u32,
}

impl Times {
    /// Attack and release times in ms: 63.2 % of a step. The release is never shorter than the attack.
    ///
    /// The attack smooths the output of the release, so the pole of the release is made faster: both together take the
    /// given time, to within 1 %.
    pub(crate) fn new(attack_ms: f64, release_ms: f64, sample_rate: f64) -> Self {
        let share = (attack_ms / release_ms).min(1.0);
        let own = release_ms * (1.0 - share - 1.08 * (share * (1.0 - share)).powi(2));
        Self {
            attack: one_pole(attack_ms, sample_rate),
            release: one_pole(own, sample_rate),
            ..Self::default()
        }
    }
}

/// Smooth decoupled peak detector of a gain reduction in dB (0 and up).
///
/// Source: the same paper, eq. 17: the release stage comes first, the attack stage smooths its output. An automatic
/// release has a second, slow stage (the floor), which rises only while the reduction lasts and falls slowly: the
/// release is fast after a single peak and slow after a dense passage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Decoupled {
    held: f64,
    /// Remaining frames of the hold.
    holding: u32,
    floor: f64,
    out: f64,
}

impl Decoupled {
    /// `[audio]` Advances by one frame: `target` is the reduction of the static curve; returns the smoothed reduction. dB.
    #[inline]
    pub(crate) fn tick(&mut self, target: f64, times: &Times) -> f64 {
        if times.floor.is_none() && self.floor != 0.0 {
            // No longer automatic: the release continues from the floor.
            (self.held, self.floor) = (self.held.max(self.floor), 0.0);
        }
        if target >= self.held {
            (self.held, self.holding) = (target, times.hold);
        } else if self.holding > 0 {
            self.holding -= 1;
        } else {
            self.held = target + times.release * (self.held - target);
        }
        let mut wanted = self.held;
        if let Some([rise, fall]) = times.floor {
            let pole = if target > self.floor { rise } else { fall };
            self.floor = target + pole * (self.floor - target);
            wanted = wanted.max(self.floor);
        }
        self.out = wanted + times.attack * (self.out - wanted);
        // The exponential decay ends at exactly 0.
        if self.out.abs() < NOTHING && wanted.abs() < NOTHING {
            (self.out, self.held) = (0.0, wanted.max(0.0));
        }
        self.out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attack_and_release_cover_63_per_cent_in_their_time() {
        let rate = 48_000.0;
        for (attack, release) in [(0.05, 5.0), (10.0, 100.0), (50.0, 300.0), (100.0, 150.0), (100.0, 100.0)] {
            let times = Times::new(attack, release, rate);
            let mut detector = Decoupled::default();
            let rise = (0..).take_while(|_| detector.tick(20.0, &times) < 20.0 * 0.632).count() as f64;
            assert!((rise / 48.0 - attack).abs() < 0.01 * attack + 0.03, "{attack} ms took {rise} frames");
            (0..96_000).for_each(|_| _ = detector.tick(20.0, &times));
            let fall = (0..).take_while(|_| detector.tick(0.0, &times) > 20.0 * 0.368).count() as f64;
            assert!((fall / 48.0 - release).abs() < 0.01 * release + 0.03, "{release} ms took {fall} frames");
        }
    }

    #[test]
    fn an_automatic_release_is_faster_after_a_peak_than_after_a_dense_passage() {
        let rate = 48_000.0;
        let floor = Some([one_pole(400.0, rate), one_pole(1500.0, rate)]);
        let times = Times { attack: one_pole(1.0, rate), release: one_pole(60.0, rate), floor, hold: 0 };
        let frames_to_recover = |hold: usize| {
            let mut detector = Decoupled::default();
            (0..hold).for_each(|_| _ = detector.tick(12.0, &times));
            (0..).take_while(|_| detector.tick(0.0, &times) > 12.0 * 0.368).count()
        };
        assert!(frames_to_recover(240_000) > 3 * frames_to_recover(480));
    }
}
