//! Soft takeover: a control without a motor moves a value only once it has met it, so that nothing jumps.

/// Nearer than this the two have met, as a part of the way.
const NEAR: f64 = 3.0 / 128.0;

/// Where a control is beside its value.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pickup {
    before: Option<f64>,
    has_met: bool,
}

impl Pickup {
    /// The control is at `at`, the value at `value`, both on the control's way. Whether it moves the value.
    pub fn moves(&mut self, at: f64, value: f64) -> bool {
        let before = self.before.replace(at);
        // What another hand has taken far away has to be met anew.
        let follows = self.has_met && before.is_none_or(|before| (before - value).abs() <= NEAR);
        let crosses = before.is_some_and(|before| (before - value) * (at - value) <= 0.0);
        self.has_met = follows || crosses || (at - value).abs() <= NEAR;
        self.has_met
    }

    /// The control may have been moved unheard.
    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_moves_farther_than_the_hand_and_the_nearness() {
        let mut random = 1_u64;
        let mut next = || {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (random >> 40) as f64 / (1_u64 << 24) as f64
        };
        let (mut pickup, mut value, mut hand) = (Pickup::default(), 0.5_f64, 0.0_f64);
        let mut met = 0;
        for round in 0..100_000 {
            if round % 500 == 0 {
                value = next();
            }
            let before = hand;
            hand = (hand + (next() - 0.5) * 0.2).clamp(0.0, 1.0);
            if pickup.moves(hand, value) {
                let step = (hand - value).abs();
                assert!(
                    step <= (hand - before).abs() + NEAR + 1e-12,
                    "{value} jumped to {hand} from {before}"
                );
                value = hand;
                met += 1;
            }
        }
        assert!(met > 50_000, "it is met {met} times");
    }
}
