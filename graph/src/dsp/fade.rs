//! A raised-cosine fade between 0 and 1 that can turn round on its way.

use std::f64::consts::PI;

/// Where a fade stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fade {
    at: u32,
    frames: u32,
    up: bool,
}

impl Fade {
    /// A fade of `frames` (at least 1) that rests at 1 where `up`, else at 0.
    pub fn new(frames: u32, up: bool) -> Self {
        let frames = frames.max(1);
        Self { at: if up { frames } else { 0 }, frames, up }
    }

    /// Sends it to 1 where `up`, else to 0.
    pub fn aim(&mut self, up: bool) {
        self.up = up;
    }

    /// The value, where it rests: exactly 0 or 1.
    pub fn steady(&self) -> Option<f64> {
        match (self.at, self.up) {
            (0, false) => Some(0.0),
            (at, true) if at == self.frames => Some(1.0),
            _ => None,
        }
    }

    /// Moves on by one frame and gives the value there.
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

    /// Its length.
    pub fn frames(&self) -> u32 {
        self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fade_rests_at_exactly_nought_and_one_and_can_turn_round() {
        let mut fade = Fade::new(100, false);
        assert_eq!(fade.steady(), Some(0.0));
        fade.aim(true);
        let up: Vec<f64> = (0..60).map(|_| fade.tick()).collect();
        fade.aim(false);
        let down: Vec<f64> = (0..60).map(|_| fade.tick()).collect();
        assert!(up.windows(2).all(|w| w[1] > w[0]));
        assert_eq!(down[0], up[58]);
        assert_eq!((down[59], fade.steady()), (0.0, Some(0.0)));
        fade.aim(true);
        (0..99).for_each(|_| assert!(fade.tick() < 1.0));
        assert_eq!((fade.tick(), fade.steady()), (1.0, Some(1.0)));
    }
}
