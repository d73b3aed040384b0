//! Soft takeover (pickup): a control without a motor sets a value only once its position has met it, so nothing jumps.

/// Position and value have met when they are nearer than this.
const NEAR: f64 = 3.0 / 128.0;

/// The position of a control relative to its value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pickup {
    before: Option<f64>,
    has_met: bool,
}

impl Pickup {
    /// The control is at `at`, the value at `value`, both 0 to 1. Returns whether the control sets the value.
    pub fn update(&mut self, at: f64, value: f64) -> bool {
        let before = self.before.replace(at);
        // A value that another control has changed must be met anew.
        let follows = self.has_met && before.is_none_or(|before| (before - value).abs() <= NEAR);
        let crosses = before.is_some_and(|before| (before - value) * (at - value) <= 0.0);
        self.has_met = follows || crosses || (at - value).abs() <= NEAR;
        self.has_met
    }

    /// Resets it: the control may have been moved while it was disconnected.
    pub fn reset(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_jumps_farther_than_the_control_moved_and_the_nearness() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f64 / (1_u64 << 24) as f64
        };
        let (mut pickup, mut value, mut position) = (Pickup::default(), 0.5_f64, 0.0_f64);
        let mut met = 0;
        for round in 0..100_000 {
            if round % 500 == 0 {
                value = next();
            }
            let before = position;
            position = (position + (next() - 0.5) * 0.2).clamp(0.0, 1.0);
            if pickup.update(position, value) {
                let step = (position - value).abs();
                assert!(
                    step <= (position - before).abs() + NEAR + 1e-12,
                    "{value} jumped to {position} from {before}"
                );
                value = position;
                met += 1;
            }
        }
        assert!(met > 50_000, "it is met {met} times");
    }
}
