//! A raised-cosine fade between 0 and 1 that can be reversed at any time.

use std::f64::consts::PI;

/// The state of a fade.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fade {
    at: u32,
    frames: u32,
    up: bool,
}

impl Fade {
    /// A fade of `frames` frames (at least 1), at rest at 1 if `up`, else at 0.
    pub fn new(frames: u32, up: bool) -> Self {
        let frames = frames.max(1);
        Self { at: if up { frames } else { 0 }, frames, up }
    }

    /// Starts a fade to 1 if `up`, else to 0.
    pub fn set_target(&mut self, up: bool) {
        self.up = up;
    }

    /// The value at rest, exactly 0 or 1; `None` during a fade.
    pub fn steady(&self) -> Option<f64> {
        match (self.at, self.up) {
            (0, false) => Some(0.0),
            (at, true) if at == self.frames => Some(1.0),
            _ => None,
        }
    }

    /// Advances by one frame and returns the value there.
    #[inline]
    pub fn tick(&mut self) -> f64 {
        if self.up {
            self.at = (self.at + 1).min(self.frames);
        } else {
            self.at = self.at.saturating_sub(1);
        }
        if self.at == self.frames {
            1.0
        } else {
            0.5 - 0.5 * (PI * f64::from(self.at) / f64::from(self.frames)).cos()
        }
    }

    /// Its length in frames.
    pub fn frames(&self) -> u32 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fade_ends_at_exactly_0_and_1_and_can_be_reversed() {
        let mut fade = Fade::new(100, false);
        assert_eq!(fade.steady(), Some(0.0));
        fade.set_target(true);
        let up: Vec<f64> = (0..60).map(|_| fade.tick()).collect();
        fade.set_target(false);
        let down: Vec<f64> = (0..60).map(|_| fade.tick()).collect();
        assert!(up.windows(2).all(|w| w[1] > w[0]));
        assert_eq!(down[0], up[58]);
        assert_eq!((down[59], fade.steady()), (0.0, Some(0.0)));
        fade.set_target(true);
        (0..99).for_each(|_| assert!(fade.tick() < 1.0));
        assert_eq!((fade.tick(), fade.steady()), (1.0, Some(1.0)));
    }
}
