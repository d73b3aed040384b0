//! Parameter smoothing on the audio thread: the value and its slope are continuous.
//!
//! A move is a cubic from the current value and slope to the target with slope 0. If the target changes during a move,
//! the slope stays continuous too; a corner in a gain is audible as zipper noise.

/// `[audio]` One smoothed value. Three additions per frame while it moves, none at rest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ramp {
    now: f64,
    // Forward differences of the cubic: first, second, third.
    step: f64,
    bend: f64,
    jerk: f64,
    left: u32,
    frames: u32,
    target: f64,
    floor: f64,
    ceiling: f64,
}

impl Ramp {
    /// At rest at `value`. Later moves take `frames` frames and stay within `floor..=ceiling`.
    pub fn new(value: f64, floor: f64, ceiling: f64, frames: u32) -> Self {
        Self {
            now: value,
            step: 0.0,
            bend: 0.0,
            jerk: 0.0,
            left: 0,
            frames: frames.max(1),
            target: value,
            floor,
            ceiling,
        }
    }

    /// Starts a move to `target` (an audio value), from the current value and slope.
    pub fn set_target(&mut self, target: f64) {
        if target == self.target {
            return;
        }
        let slope = if self.left > 0 { self.step } else { 0.0 };
        let n = f64::from(self.frames);
        let way = target - self.now;
        let square = (3.0 * way - 2.0 * slope * n) / (n * n);
        let cube = (slope * n - 2.0 * way) / (n * n * n);
        self.step = slope + square + cube;
        self.bend = 2.0 * square + 6.0 * cube;
        self.jerk = 6.0 * cube;
        self.left = self.frames;
        self.target = target;
    }

    /// Advances by one frame and returns the value there.
    #[inline]
    pub fn tick(&mut self) -> f64 {
        if self.left > 0 {
            self.left -= 1;
            if self.left == 0 {
                self.now = self.target;
            } else {
                self.now += self.step;
                self.step += self.bend;
                self.bend += self.jerk;
            }
        }
        // A new target during a move causes a small overshoot; it must not leave the range.
        self.now.clamp(self.floor, self.ceiling)
    }

    /// Advances by `frames`.
    pub fn advance(&mut self, frames: usize) {
        for _ in 0..frames.min(self.left as usize) {
            self.tick();
        }
    }

    /// The current value.
    pub fn value(&self) -> f64 {
        self.now.clamp(self.floor, self.ceiling)
    }

    /// The target value.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Whether a move is in progress.
    pub fn is_moving(&self) -> bool {
        self.left > 0
    }

    /// The value at rest; `None` during a move.
    pub fn steady(&self) -> Option<f64> {
        (self.left == 0).then(|| self.value())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_move_arrives_exactly_and_on_time() {
        let mut ramp = Ramp::new(0.0, -10.0, 10.0, 960);
        ramp.set_target(1.0);
        let path: Vec<f64> = (0..960).map(|_| ramp.tick()).collect();
        assert_eq!(path[959], 1.0);
        assert!(path[0] > 0.0, "the first frame moves already");
        assert!(path.windows(2).all(|w| w[1] >= w[0]), "an undisturbed move is monotonic");
        assert_eq!(ramp.steady(), Some(1.0));
    }

    #[test]
    fn a_new_target_during_a_move_causes_no_corner() {
        let mut ramp = Ramp::new(0.0, -10.0, 10.0, 960);
        ramp.set_target(1.0);
        let mut path: Vec<f64> = (0..400).map(|_| ramp.tick()).collect();
        ramp.set_target(-1.0);
        path.extend((0..960).map(|_| ramp.tick()));
        let corner = path.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f64::max);
        assert!(corner < 3e-5, "largest second difference {corner:e}");
    }

    #[test]
    fn no_change_of_target_leaves_the_range() {
        let mut ramp = Ramp::new(0.5, 0.0, 1.0, 100);
        for i in 0..50 {
            ramp.set_target(if i % 2 == 0 { 1.0 } else { 0.0 });
            assert!((0..37).all(|_| (0.0..=1.0).contains(&ramp.tick())));
        }
    }
}
