//! The history of changes: gestures, which can be undone and redone, and are written to the audit log.
//!
//! All changes of one peer to the same control, each less than a second after the last, are one gesture: what a person
//! calls "a change", whatever number of messages it took.

use crate::peer::Peer;
use crate::value::ParamValue;
use std::collections::VecDeque;
use std::time::Duration;

/// Changes that are farther apart are two gestures.
const APART: Duration = Duration::from_secs(1);
/// Most gestures that are kept.
const MOST: usize = 1_000;

/// One value that a gesture changed.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Its path, as behind `/node`.
    pub path: String,
    /// Its value before.
    pub from: ParamValue,
    /// Its value after.
    pub to: ParamValue,
}

/// What one peer changed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Gesture {
    /// The peer.
    pub by: Peer,
    /// The chain.
    pub chain: String,
    /// Its name, where it is more than a change of a control: `scene loud`.
    pub name: Option<String>,
    /// The values that it changed.
    pub moves: Vec<Move>,
}

impl Gesture {
    /// Its name, or the address of what it changed.
    pub fn title(&self) -> String {
        match (&self.name, self.moves.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [one]) => format!("/node{}", one.path),
            (None, [first, rest @ ..]) => format!("/node{} and {} more", first.path, rest.len()),
            (None, []) => String::new(),
        }
    }
}

/// Gestures done and undone. Each is returned once when it is closed, for the audit log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    done: VecDeque<Gesture>,
    undone: Vec<Gesture>,
    /// When the open gesture changed last; `None` where none is open.
    open: Option<Duration>,
}

impl History {
    /// Records a change. Returns the gesture that it closes, if any.
    pub fn record(&mut self, gesture: Gesture, now: Duration) -> Option<Gesture> {
        self.undone.clear();
        let last = self.done.back_mut().filter(|_| self.open.is_some_and(|at| now < at + APART));
        if let Some(last) = last
            && (last.by, &last.chain, &last.name) == (gesture.by, &gesture.chain, &gesture.name)
            && last.moves.iter().map(|moved| &moved.path).eq(gesture.moves.iter().map(|moved| &moved.path))
        {
            for (moved, more) in last.moves.iter_mut().zip(&gesture.moves) {
                moved.to.clone_from(&more.to);
            }
            self.open = Some(now);
            return None;
        }
        let closed = self.close();
        self.done.push_back(gesture);
        if self.done.len() > MOST {
            self.done.pop_front();
        }
        self.open = Some(now);
        closed
    }

    /// Closes the open gesture if it has not changed for a while, and returns it.
    pub(crate) fn close_expired(&mut self, now: Duration) -> Option<Gesture> {
        self.open.filter(|at| now >= *at + APART).and_then(|_| self.close())
    }

    /// Closes the open gesture, and returns it.
    pub fn close(&mut self) -> Option<Gesture> {
        self.open.take().and_then(|_| self.done.back().cloned())
    }

    /// When the open gesture is closed, unless it goes on.
    pub fn deadline(&self) -> Option<Duration> {
        self.open.map(|at| at + APART)
    }

    /// Forgets the last change of a path, which was refused: its value is `back` again.
    pub(crate) fn retract(&mut self, chain: &str, path: &str, back: &ParamValue) {
        let has = |gesture: &Gesture| {
            gesture.chain == chain && gesture.moves.iter().any(|moved| moved.path == path)
        };
        let Some(at) = self.done.iter().rposition(has) else { return };
        let is_last = at + 1 == self.done.len();
        let Some(gesture) = self.done.get_mut(at) else { return };
        // Of a gesture of several steps the earlier ones stay.
        gesture.moves.retain_mut(|moved| {
            if moved.path == path {
                moved.to.clone_from(back);
            }
            moved.path != path || moved.from != *back
        });
        if gesture.moves.is_empty() {
            self.done.remove(at);
            self.open = self.open.filter(|_| !is_last);
        }
    }

    /// Undoes the last gesture on `chain`: its values are to change from `to` to `from`.
    pub fn undo(&mut self, chain: &str) -> Option<Gesture> {
        let at = self.done.iter().rposition(|gesture| gesture.chain == chain)?;
        let gesture = self.done.remove(at)?;
        self.undone.push(gesture.clone());
        Some(gesture)
    }

    /// Redoes the gesture that was undone last on `chain`.
    pub fn redo(&mut self, chain: &str) -> Option<Gesture> {
        let at = self.undone.iter().rposition(|gesture| gesture.chain == chain)?;
        let gesture = self.undone.remove(at);
        self.done.push_back(gesture.clone());
        Some(gesture)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn gesture(by: Peer, path: &str, from: f64, to: f64) -> Gesture {
        let moves = vec![Move { path: path.to_owned(), from: from.into(), to: to.into() }];
        Gesture { by, chain: "a".to_owned(), name: None, moves }
    }

    #[test]
    fn of_a_gesture_only_the_refused_step_is_forgotten() {
        let mut history = History::default();
        history.record(gesture(Peer::Files, "/x", 0.0, 1.0), Duration::ZERO);
        history.record(gesture(Peer::Files, "/x", 1.0, 2.0), Duration::ZERO);
        history.retract("a", "/x", &1.0.into());
        assert_eq!(history.close(), Some(gesture(Peer::Files, "/x", 0.0, 1.0)));
        history.record(gesture(Peer::Files, "/y", 5.0, 6.0), Duration::ZERO);
        history.retract("a", "/y", &5.0.into());
        assert_eq!(history.close(), None);
        assert_eq!(history.undo("a"), Some(gesture(Peer::Files, "/x", 0.0, 1.0)));
    }

    #[test]
    fn changes_of_one_control_by_one_peer_are_one_gesture_until_a_pause() {
        let mut history = History::default();
        let at = Duration::from_millis;
        for step in 0..100_u64 {
            let (from, to) = (step as f64, step as f64 + 1.0);
            assert_eq!(history.record(gesture(Peer::Files, "/x", from, to), at(step * 20)), None);
        }
        let another = history.record(gesture(Peer::Station, "/x", 100.0, 7.0), at(2_000));
        assert_eq!(another, Some(gesture(Peer::Files, "/x", 0.0, 100.0)));
        assert_eq!(history.close_expired(at(2_500)), None);
        assert_eq!(history.close_expired(at(3_000)), Some(gesture(Peer::Station, "/x", 100.0, 7.0)));
        assert_eq!(history.close_expired(at(4_000)), None, "returned once");
        assert_eq!(history.record(gesture(Peer::Station, "/x", 7.0, 8.0), at(4_100)), None);
        assert_eq!(history.undo("a").unwrap().moves[0].from, ParamValue::Number(7.0));
        assert_eq!(history.undo("b"), None);
        assert_eq!(history.undo("a").unwrap().moves[0].from, ParamValue::Number(100.0));
        assert_eq!(history.redo("a").unwrap().moves[0].to, ParamValue::Number(7.0));
        history.record(gesture(Peer::Station, "/y", 0.0, 1.0), at(9_000));
        assert_eq!(history.redo("a"), None, "a new change clears what could be redone");
    }
}
