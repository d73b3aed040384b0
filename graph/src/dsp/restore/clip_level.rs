//! Finds the level at which a programme was clipped: tops that are flat, and meet the sound around them at a corner.
//!
//! The round top of a low tone is flat over some samples too, but meets its flanks smoothly: within a tolerance t a parabola falls
//! by no more than 8 t over the next two samples. A level is believed when several tops in a row stood at it and nothing
//! beyond, and no longer when something is. So it is found anew after a change of gain.

/// How far samples of one top may be apart: a share of the level, and the steps of 16 bits on top of it.
const TOLERANCE: [f64; 2] = [1e-4, 4e-5];
/// The same where the level was given, by a hand and in dB.
const GIVEN: f64 = 3e-3;
/// Least fall over two samples beside a top, in tolerances.
const CORNER: f64 = 12.0;
/// Samples in the shortest top, and how many tops make a level.
const SHORTEST: usize = 3;
const TOPS: u32 = 3;
/// Lower than -60 dBFS nothing is clipped.
const LOWEST: f64 = 1e-3;
/// Samples around what is searched that must be in the window.
pub const MARGIN: usize = 2;

fn tolerance(level: f64) -> f64 {
    TOLERANCE[0] * level + TOLERANCE[1]
}

/// The level at which one polarity is clipped.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ceiling {
    level: Option<f64>,
    candidate: f64,
    tops: u32,
}

impl Ceiling {
    fn hear(&mut self, value: f64) {
        let is_beyond = |level: f64| value > level + 2.0 * tolerance(level);
        if self.level.is_some_and(is_beyond) {
            self.level = None;
        }
        if is_beyond(self.candidate) {
            self.tops = 0;
        }
    }

    fn top(&mut self, value: f64) {
        if self.tops > 0 && (value - self.candidate).abs() <= tolerance(value) {
            self.tops += 1;
        } else {
            (self.candidate, self.tops) = (value, 1);
        }
        if self.tops >= TOPS {
            self.level = Some(self.candidate);
        }
    }
}

/// The levels of both polarities of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Flats {
    /// Above 0 and below.
    ceilings: [Ceiling; 2],
}

impl Flats {
    /// `[audio]` Hears the samples of `window` from `from` to `to`, which have [`MARGIN`] others on both sides.
    pub fn listen(&mut self, window: &[f64], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let sign = 1.0_f64.copysign(window[at]);
            let value = sign * window[at];
            let ceiling = &mut self.ceilings[usize::from(sign < 0.0)];
            ceiling.hear(value);
            let near = tolerance(value);
            let is_flat = |sample: &&f64| (sign * **sample - value).abs() <= near;
            let count = window[at..].iter().take_while(is_flat).count();
            let end = at + count;
            let falls = |place: usize| value - sign * window[place] > CORNER * near;
            let is_top = value >= LOWEST && count >= SHORTEST && end + 1 < window.len();
            if is_top && falls(at - 2) && falls(end + 1) {
                ceiling.top(value);
            }
            at = end;
        }
    }

    /// The level at which samples of the sign of `sample` are clipped, where it is known.
    pub fn level(&self, sample: f64) -> Option<f64> {
        self.ceilings[usize::from(sample < 0.0)].level
    }

    /// The higher of both levels.
    pub fn highest(&self) -> Option<f64> {
        self.ceilings.iter().filter_map(|ceiling| ceiling.level).reduce(f64::max)
    }

    /// Whether `sample` is clipped: at the level that was found, or at `given`.
    pub fn is_clipped(&self, sample: f64, given: Option<f64>) -> bool {
        let near = |level: f64, tolerance: f64| (sample.abs() - level).abs() <= tolerance;
        match given {
            Some(level) => near(level, GIVEN * level),
            None => self.level(sample).is_some_and(|level| near(level, tolerance(level))),
        }
    }
}
