//! How a parameter's value moves on the audio thread: never a jump, never a kink.
//!
//! A move is a cubic from the value and slope of now to the target at rest, so a target that changes
//! on the way is met without a corner: corners are what a zipper is made of.

/// `[audio]` One moving value. Costs three additions a frame while it moves and nothing at rest.
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
    /// Rests at `value`; later moves take `frames` and stay within `floor..=ceiling`.
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

    /// Starts to move to `target` (an audio value), from where the ramp is and as fast as it goes there.
    pub fn aim(&mut self, target: f64) {
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

    /// Moves on by one frame and gives the value there. At rest it changes nothing.
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
        // A turn on the way swings over a little; it must not swing out of the range.
        self.now.clamp(self.floor, self.ceiling)
    }

    /// Moves on by `frames`.
    pub fn advance(&mut self, frames: usize) {
        for _ in 0..frames.min(self.left as usize) {
            self.tick();
        }
    }

    /// The value now.
    pub fn value(&self) -> f64 {
        self.now.clamp(self.floor, self.ceiling)
    }

    /// Where it goes.
    pub fn target(&self) -> f64 {
        self.target
    }

    /// Whether it is under way.
    pub fn is_moving(&self) -> bool {
        self.left > 0
    }

    /// The value while it rests, `None` while it moves.
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
        ramp.aim(1.0);
        let path: Vec<f64> = (0..960).map(|_| ramp.tick()).collect();
        assert_eq!(path[959], 1.0);
        assert!(path[0] > 0.0, "the first frame moves already");
        assert!(path.windows(2).all(|w| w[1] >= w[0]), "an undisturbed move does not turn back");
        assert_eq!(ramp.steady(), Some(1.0));
    }

    #[test]
    fn a_new_target_on_the_way_makes_no_corner() {
        let mut ramp = Ramp::new(0.0, -10.0, 10.0, 960);
        ramp.aim(1.0);
        let mut path: Vec<f64> = (0..400).map(|_| ramp.tick()).collect();
        ramp.aim(-1.0);
        path.extend((0..960).map(|_| ramp.tick()));
        let corner = path.windows(3).map(|w| (w[2] - 2.0 * w[1] + w[0]).abs()).fold(0.0, f64::max);
        assert!(corner < 3e-5, "largest second difference {corner:e}");
    }

    #[test]
    fn no_turn_leaves_the_range() {
        let mut ramp = Ramp::new(0.5, 0.0, 1.0, 100);
        for i in 0..50 {
            ramp.aim(if i % 2 == 0 { 1.0 } else { 0.0 });
            assert!((0..37).all(|_| (0.0..=1.0).contains(&ramp.tick())));
        }
    }
}
