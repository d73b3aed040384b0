//! What was moved, by whom: gestures, to be undone, done again, and written down.
//!
//! All that one peer does to the same control with less than a second between is one gesture: what a person calls
//! "a move", whatever number of messages it took.

use crate::peer::Peer;
use crate::value::ParamValue;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Moves that are farther apart are two gestures.
const APART: Duration = Duration::from_secs(1);
/// Gestures that are kept.
const MOST: usize = 1_000;

/// One value that a gesture moved.
#[derive(Clone, Debug, PartialEq)]
pub struct Move {
    /// Its path, as behind `/node`.
    pub path: String,
    /// Its value before.
    pub from: ParamValue,
    /// Its value after.
    pub to: ParamValue,
}

/// What one peer did in one go.
#[derive(Clone, Debug, PartialEq)]
pub struct Gesture {
    /// Who.
    pub by: Peer,
    /// To which chain.
    pub chain: String,
    /// What else it was, where it was more than a move: `scene loud`.
    pub name: Option<String>,
    /// What it moved.
    pub moves: Vec<Move>,
}

impl Gesture {
    /// What it was: its name, or the address of what it moved.
    pub fn title(&self) -> String {
        match (&self.name, self.moves.as_slice()) {
            (Some(name), _) => name.clone(),
            (None, [one]) => format!("/node{}", one.path),
            (None, [first, rest @ ..]) => format!("/node{} and {} more", first.path, rest.len()),
            (None, []) => String::new(),
        }
    }
}

/// Gestures done, and undone. Closed ones are given out once, to be written down.
#[derive(Debug, Default)]
pub struct History {
    done: VecDeque<Gesture>,
    undone: Vec<Gesture>,
    /// When the last gesture moved last; `None` where nothing more is added to it.
    open: Option<Instant>,
}

impl History {
    /// Notes what was moved. Gives the gesture that ends by that, if one does.
    pub fn note(&mut self, gesture: Gesture, now: Instant) -> Option<Gesture> {
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
        let ended = self.end();
        self.done.push_back(gesture);
        if self.done.len() > MOST {
            self.done.pop_front();
        }
        self.open = Some(now);
        ended
    }

    /// The gesture that has ended by now, if one has since the last look.
    pub fn ended(&mut self, now: Instant) -> Option<Gesture> {
        self.open.filter(|at| now >= *at + APART).and_then(|_| self.end())
    }

    /// Ends the gesture under way.
    pub fn end(&mut self) -> Option<Gesture> {
        self.open.take().and_then(|_| self.done.back().cloned())
    }

    /// Takes back the last gesture on `chain`: it moves from `to` to `from` now.
    pub fn undo(&mut self, chain: &str) -> Option<Gesture> {
        let at = self.done.iter().rposition(|gesture| gesture.chain == chain)?;
        let gesture = self.done.remove(at)?;
        self.undone.push(gesture.clone());
        Some(gesture)
    }

    /// Does again what was undone last on `chain`.
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
    fn one_hand_on_one_control_is_one_gesture_until_it_rests() {
        let (mut history, start) = (History::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        for step in 0..100_u64 {
            let (from, to) = (step as f64, step as f64 + 1.0);
            assert_eq!(history.note(gesture(Peer::Files, "/x", from, to), at(step * 20)), None);
        }
        let another = history.note(gesture(Peer::Station, "/x", 100.0, 7.0), at(2_000));
        assert_eq!(another, Some(gesture(Peer::Files, "/x", 0.0, 100.0)));
        assert_eq!(history.ended(at(2_500)), None);
        assert_eq!(history.ended(at(3_000)), Some(gesture(Peer::Station, "/x", 100.0, 7.0)));
        assert_eq!(history.ended(at(4_000)), None, "told once");
        assert_eq!(history.note(gesture(Peer::Station, "/x", 7.0, 8.0), at(4_100)), None);
        assert_eq!(history.undo("a").unwrap().moves[0].from, ParamValue::Number(7.0));
        assert_eq!(history.undo("b"), None);
        assert_eq!(history.undo("a").unwrap().moves[0].from, ParamValue::Number(100.0));
        assert_eq!(history.redo("a").unwrap().moves[0].to, ParamValue::Number(7.0));
        history.note(gesture(Peer::Station, "/y", 0.0, 1.0), at(9_000));
        assert_eq!(history.redo("a"), None, "a new move ends what could be done again");
    }
}
