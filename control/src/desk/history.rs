//! The history of changes: gestures, which can be undone and redone, and are written to the audit log.
//!
//! All changes of one peer to the same control, each less than a second after the last, are one gesture: what a person
//! calls "a change", whatever number of messages it took.

use crate::desk::scene::Scene;
use crate::desk::values::CompareState;
use crate::peer::Peer;
use crate::request::Step;
use crate::value::ParamValue;
use std::collections::VecDeque;
use std::time::Duration;

/// Changes that are farther apart are two gestures.
const APART: Duration = Duration::from_secs(1);
/// Most gestures that are kept, and as many that were undone.
const MOST: usize = 1_000;
/// Most values that the gestures of one list hold together.
const MOST_VALUES: usize = 50_000;

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

/// A change of the station itself, not of values of a chain.
#[derive(Clone, Debug, PartialEq)]
pub enum StateMove {
    /// Bypass of the whole chain.
    Bypass {
        /// What it became.
        on: bool,
    },
    /// Matched bypass.
    BypassMatched {
        /// What it became.
        on: bool,
    },
    /// Matched comparison of A and B.
    CompareMatched {
        /// What it became.
        on: bool,
    },
    /// The state of A and B that was not active was replaced.
    Other {
        /// By what: `compare copy`, `compare chain`.
        what: &'static str,
        /// Whether B was active.
        b: bool,
        /// The state before.
        from: Side,
        /// The state after.
        to: Side,
    },
    /// A scene was saved over another one, or deleted.
    Scene {
        /// The scene before.
        before: Scene,
        /// The scene that was saved in its place; `None` where it was deleted.
        after: Option<Scene>,
    },
}

/// One of A and B, while it is not active: its state, and how much louder it is than the programme, in dB.
pub type Side = (Option<CompareState>, Option<f64>);

impl StateMove {
    /// Its name in the audit log.
    pub fn title(&self) -> String {
        match self {
            StateMove::Bypass { .. } => "bypass".to_owned(),
            StateMove::BypassMatched { .. } => "bypass match".to_owned(),
            StateMove::CompareMatched { .. } => "compare match".to_owned(),
            StateMove::Other { what, .. } => (*what).to_owned(),
            StateMove::Scene { before, .. } => format!("scene {}", before.name),
        }
    }

    /// How many values it holds.
    fn size(&self) -> usize {
        let side = |side: &Side| side.0.as_ref().map_or(0, |state| state.values.len());
        match self {
            StateMove::Other { from, to, .. } => side(from) + side(to),
            StateMove::Scene { before, after } => {
                before.values.len() + after.as_ref().map_or(0, |scene| scene.values.len())
            }
            _ => 0,
        }
    }
}

/// What one peer changed together.
#[derive(Clone, Debug, PartialEq)]
pub struct Gesture {
    /// The peer.
    pub by: Peer,
    /// The chain; for a change of the station the one that was on air.
    pub chain: String,
    /// Its name, where it is more than a change of a control: `scene loud`.
    pub name: Option<String>,
    /// The values that it changed.
    pub moves: Vec<Move>,
    /// The change of the station, in place of values.
    pub state: Option<StateMove>,
}

impl Gesture {
    /// Its name, or the address of what it changed.
    pub fn title(&self) -> String {
        match (&self.state, &self.name, self.moves.as_slice()) {
            (Some(state), ..) => state.title(),
            (None, Some(name), _) => name.clone(),
            (None, None, [one]) => format!("/node{}", one.path),
            (None, None, [first, rest @ ..]) => format!("/node{} and {} more", first.path, rest.len()),
            (None, None, []) => String::new(),
        }
    }

    fn size(&self) -> usize {
        self.moves.len() + self.state.as_ref().map_or(0, StateMove::size)
    }

    /// Whether it is undone while `chain` is on air.
    fn is_of(&self, chain: &str) -> bool {
        self.chain == chain || self.state.is_some()
    }
}

/// A swap that a user asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SwapMove {
    /// The chain that was on air before.
    pub from: String,
    /// The chain that was swapped to.
    pub to: String,
}

/// Gestures done and undone. Each is returned once when it is closed, for the audit log.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    done: VecDeque<Gesture>,
    /// The gestures that were undone, each with the peer that undid it.
    undone: VecDeque<(Peer, Gesture)>,
    /// When the open gesture, the last one, changed last; `None` where none is open.
    open: Option<Duration>,
    swaps: VecDeque<SwapMove>,
    swaps_undone: VecDeque<SwapMove>,
}

impl History {
    /// Records a change of values. Returns the gesture that it closes, if any.
    pub fn record(&mut self, gesture: Gesture, now: Duration) -> Option<Gesture> {
        self.forget_undone(gesture.by);
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
        bound(&mut self.done, Gesture::size);
        self.open = Some(now);
        closed
    }

    /// Records a change of the station, which is a gesture of its own. No gesture may be open.
    pub fn record_state(&mut self, by: Peer, chain: String, state: StateMove) {
        self.forget_undone(by);
        self.open = None;
        self.done.push_back(Gesture { by, chain, name: None, moves: Vec::new(), state: Some(state) });
        bound(&mut self.done, Gesture::size);
    }

    /// A new change of a peer: what it had undone, or others of its changes, cannot be redone.
    fn forget_undone(&mut self, peer: Peer) {
        self.undone.retain(|(by, gesture)| *by != peer && gesture.by != peer);
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

    /// Takes out the last gesture on `chain`, or of the station: of this peer, or of anybody. The open gesture must have
    /// been closed.
    pub fn take_done(&mut self, chain: &str, of: Option<Peer>) -> Option<Gesture> {
        let is_meant = |gesture: &Gesture| gesture.is_of(chain) && of.is_none_or(|peer| gesture.by == peer);
        let at = self.done.iter().rposition(is_meant)?;
        self.done.remove(at)
    }

    /// Takes out the gesture on `chain`, or of the station, that was undone last: by this peer, or by anybody.
    pub fn take_undone(&mut self, chain: &str, by: Option<Peer>) -> Option<Gesture> {
        let is_meant = |(undoer, gesture): &(Peer, Gesture)| {
            gesture.is_of(chain) && by.is_none_or(|peer| *undoer == peer)
        };
        let at = self.undone.iter().rposition(is_meant)?;
        self.undone.remove(at).map(|(_, gesture)| gesture)
    }

    /// A gesture was undone by a peer.
    pub fn put_undone(&mut self, by: Peer, gesture: Gesture) {
        self.undone.push_back((by, gesture));
        bound(&mut self.undone, |(_, gesture)| gesture.size());
    }

    /// A gesture is done again, or stays done.
    pub fn put_done(&mut self, gesture: Gesture) {
        self.done.push_back(gesture);
        bound(&mut self.done, Gesture::size);
    }

    /// Records a swap of a user.
    pub fn record_swap(&mut self, swap: SwapMove) {
        self.swaps_undone.clear();
        self.swaps.push_back(swap);
        bound(&mut self.swaps, |_| 1);
    }

    /// The swap that is undone next, or redone next.
    pub fn next_swap(&self, step: Step) -> Option<&SwapMove> {
        if step == Step::Undo { self.swaps.back() } else { self.swaps_undone.back() }
    }

    /// The next swap is undone, or redone, from the chain that is on `air`, which the station may have gone to by itself.
    pub fn step_swap(&mut self, step: Step, air: String) {
        if let Some(swap) =
            if step == Step::Undo { self.swaps.pop_back() } else { self.swaps_undone.pop_back() }
        {
            match step {
                Step::Undo => self.swaps_undone.push_back(SwapMove { to: air, ..swap }),
                Step::Redo => self.swaps.push_back(SwapMove { from: air, ..swap }),
            }
        }
    }
}

/// Forgets the oldest until a list is within its bounds; the newest stays.
fn bound<T>(list: &mut VecDeque<T>, size: impl Fn(&T) -> usize) {
    let mut values: usize = list.iter().map(&size).sum();
    while list.len() > MOST || values > MOST_VALUES && list.len() > 1 {
        values -= list.pop_front().map_or(0, |oldest| size(&oldest));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn gesture(by: Peer, path: &str, from: f64, to: f64) -> Gesture {
        let moves = vec![Move { path: path.to_owned(), from: from.into(), to: to.into() }];
        Gesture { by, chain: "a".to_owned(), name: None, moves, state: None }
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
        assert_eq!(history.take_done("a", None), Some(gesture(Peer::Files, "/x", 0.0, 1.0)));
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
        let last = history.take_done("a", None).unwrap();
        assert_eq!(last.moves[0].from, ParamValue::Number(7.0));
        history.put_undone(Peer::Station, last);
        assert_eq!(history.take_done("b", None), None);
        assert_eq!(history.take_done("a", Some(Peer::Files)).unwrap().moves[0].to, ParamValue::Number(100.0));
        assert_eq!(history.take_undone("a", Some(Peer::Files)), None);
        let again = history.take_undone("a", Some(Peer::Station)).unwrap();
        history.put_undone(Peer::Station, again);
        history.record(gesture(Peer::Files, "/y", 0.0, 1.0), at(8_000));
        assert!(history.take_undone("a", None).is_some(), "a change of another peer leaves it");
        history.put_undone(Peer::Files, gesture(Peer::Station, "/x", 7.0, 8.0));
        history.record(gesture(Peer::Station, "/y", 0.0, 1.0), at(9_000));
        assert_eq!(history.take_undone("a", None), None, "a new change clears what could be redone");
    }

    #[test]
    fn gestures_are_kept_within_bounds_of_their_number_and_of_their_values() {
        let mut history = History::default();
        for _ in 0..2 * MOST {
            history.record_state(Peer::Files, String::new(), StateMove::Bypass { on: true });
            history.put_undone(Peer::Station, gesture(Peer::Midi(0), "/x", 0.0, 1.0));
            history.record_swap(SwapMove { from: "a".to_owned(), to: "b".to_owned() });
        }
        assert_eq!((history.done.len(), history.undone.len(), history.swaps.len()), (MOST, MOST, MOST));
        let one = gesture(Peer::Files, "/x", 0.0, 1.0);
        let large = Gesture { moves: vec![one.moves[0].clone(); MOST_VALUES / 10], ..one };
        for _ in 0..20 {
            history.put_done(large.clone());
        }
        assert_eq!(history.done.len(), 10);
    }
}
