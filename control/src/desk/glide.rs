//! A morph: the values of the chain on air glide to those of a scene.

use crate::desk::on_air::Change;
use crate::peer::Peer;
use std::time::Duration;

/// Time between two steps; the ramps of the audio thread interpolate between them.
const PERIOD: Duration = Duration::from_millis(10);

/// A running morph.
#[derive(Clone, Debug, PartialEq)]
pub struct Glide {
    /// The scene that it goes to.
    pub scene: String,
    /// Who recalled it.
    pub by: Peer,
    values: Vec<GlidingValue>,
    since: Duration,
    duration: Duration,
    next: Duration,
}

/// One value of a morph. `from` and `to` are normalised along its taper.
#[derive(Clone, Debug, PartialEq)]
struct GlidingValue {
    path: String,
    from: f64,
    to: f64,
    /// The target in its unit.
    value: f64,
    has_steps: bool,
    is_done: bool,
}

/// Where a value goes in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum To {
    /// A place along its taper, 0..1.
    Norm(f64),
    /// The target, in its unit.
    Target(f64),
}

impl Glide {
    /// A morph of the numbers in `changes` within `seconds`.
    pub fn new(scene: &str, by: Peer, changes: &[Change], seconds: f64, now: Duration) -> Self {
        let gliding = |change: &Change| {
            let (row, value) = (change.place.row, change.value.number()?);
            Some(GlidingValue {
                path: change.place.path.clone(),
                from: row.to_norm(change.from.number()?),
                to: row.to_norm(value),
                value,
                has_steps: row.is_whole(),
                is_done: false,
            })
        };
        Self {
            scene: scene.to_owned(),
            by,
            values: changes.iter().filter_map(gliding).collect(),
            since: now,
            duration: Duration::from_secs_f64(seconds.clamp(0.0, 86_400.0)),
            next: now,
        }
    }

    /// Ends the morph of these parameters: somebody has touched them.
    pub fn release(&mut self, changes: &[Change]) {
        self.values.retain(|value| changes.iter().all(|change| change.place.path != value.path));
    }

    /// When the values move next.
    pub fn deadline(&self) -> Duration {
        self.next
    }

    /// The values that move now, and whether the morph is over.
    pub fn step(&mut self, now: Duration) -> (Vec<(String, To)>, bool) {
        self.next = now + PERIOD;
        let passed = now.saturating_sub(self.since).as_secs_f64();
        let along =
            if self.duration.is_zero() { 1.0 } else { (passed / self.duration.as_secs_f64()).min(1.0) };
        let mut moves = Vec::new();
        for value in self.values.iter_mut().filter(|value| !value.is_done) {
            // A stepped value changes half-way.
            value.is_done = along >= if value.has_steps { 0.5 } else { 1.0 };
            if value.is_done {
                moves.push((value.path.clone(), To::Target(value.value)));
            } else if !value.has_steps {
                moves.push((value.path.clone(), To::Norm(value.from + along * (value.to - value.from))));
            }
        }
        // By their paths, as all changes of several values.
        moves.sort_by(|(a, _), (b, _)| a.cmp(b));
        (moves, along >= 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(path: &str, has_steps: bool) -> GlidingValue {
        GlidingValue { path: path.to_owned(), from: 0.0, to: 1.0, value: 12.0, has_steps, is_done: false }
    }

    #[test]
    fn values_glide_and_steps_change_half_way_each_once() {
        let ms = Duration::from_millis;
        let mut glide = Glide::new("loud", Peer::Station, &[], 1.0, ms(500));
        glide.values = vec![value("/b", false), value("/a", true)];
        assert_eq!(glide.step(ms(750)), (vec![("/b".to_owned(), To::Norm(0.25))], false));
        assert_eq!(glide.deadline(), ms(760));
        let halfway = vec![("/a".to_owned(), To::Target(12.0)), ("/b".to_owned(), To::Norm(0.5))];
        assert_eq!(glide.step(ms(1_000)), (halfway, false));
        assert_eq!(glide.step(ms(9_000)), (vec![("/b".to_owned(), To::Target(12.0))], true));
        assert_eq!(glide.step(ms(9_010)), (vec![], true));
    }
}
