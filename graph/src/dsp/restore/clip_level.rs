//! Detection of the clipping level: flat tops that meet their neighbours at a corner.
//!
//! The round top of a low tone is flat over some samples too, but without a corner: within a tolerance t, a parabola
//! falls by no more than 8 t over the next two samples. A level is accepted after several consecutive tops at it and
//! nothing beyond, and discarded as soon as a sample exceeds it. So it is detected again after a change of gain.

/// Tolerance between the samples of one top: a share of the level, plus a few steps of 16 bits.
const TOLERANCE: [f64; 2] = [1e-4, 4e-5];
/// The same for a level set by the user, in dB.
const GIVEN: f64 = 3e-3;
/// Smallest fall over two samples beside a top, in tolerances.
const CORNER: f64 = 12.0;
/// Samples of the shortest top; and number of tops that make a level.
const SHORTEST: usize = 3;
const TOPS: u32 = 3;
/// Lowest clipping level: -60 dBFS.
const LOWEST: f64 = 1e-3;
/// Samples that the window must have before and after the searched ones.
pub(crate) const MARGIN: usize = 2;

fn tolerance(level: f64) -> f64 {
    TOLERANCE[0] * level + TOLERANCE[1]
}

/// The clipping level of one polarity.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Ceiling {
    level: Option<f64>,
    candidate: f64,
    tops: u32,
}

impl Ceiling {
    fn reject_if_exceeded(&mut self, value: f64) {
        let is_beyond = |level: f64| value > level + 2.0 * tolerance(level);
        if self.level.is_some_and(is_beyond) {
            self.level = None;
        }
        if is_beyond(self.candidate) {
            self.tops = 0;
        }
    }

    fn add_top(&mut self, value: f64) {
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

/// The clipping levels of both polarities of one channel.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Flats {
    /// Positive and negative polarity.
    ceilings: [Ceiling; 2],
}

impl Flats {
    /// `[audio]` Analyses the samples `from..to` of `window`, which has [`MARGIN`] more samples on both sides.
    pub(crate) fn listen(&mut self, window: &[f64], from: usize, to: usize) {
        let mut at = from;
        while at < to {
            let sign = 1.0_f64.copysign(window[at]);
            let value = sign * window[at];
            let ceiling = &mut self.ceilings[usize::from(sign < 0.0)];
            ceiling.reject_if_exceeded(value);
            let near = tolerance(value);
            let is_flat = |sample: &&f64| (sign * **sample - value).abs() <= near;
            let count = window[at..].iter().take_while(is_flat).count();
            let end = at + count;
            let falls = |place: usize| value - sign * window[place] > CORNER * near;
            let is_top = value >= LOWEST && count >= SHORTEST && end + 1 < window.len();
            if is_top && falls(at - 2) && falls(end + 1) {
                ceiling.add_top(value);
            }
            at = end;
        }
    }

    /// The clipping level for the sign of `sample`, if it is known.
    pub(crate) fn level(&self, sample: f64) -> Option<f64> {
        self.ceilings[usize::from(sample < 0.0)].level
    }

    /// The higher of both levels.
    pub(crate) fn highest(&self) -> Option<f64> {
        self.ceilings.iter().filter_map(|ceiling| ceiling.level).reduce(f64::max)
    }

    /// Whether `sample` is clipped: at the detected level, or at `given`.
    pub(crate) fn is_clipped(&self, sample: f64, given: Option<f64>) -> bool {
        let near = |level: f64, tolerance: f64| (sample.abs() - level).abs() <= tolerance;
        match given {
            Some(level) => near(level, GIVEN * level),
            None => self.level(sample).is_some_and(|level| near(level, tolerance(level))),
        }
    }
}
