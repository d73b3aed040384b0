//! Undo and redo: the last change of a peer or of anybody, and the last swap.

use crate::desk::Desk;
use crate::desk::history::{Gesture, Move, Side, StateMove};
use crate::desk::on_air::{Goal, Wanted};
use crate::desk::scene::Scene;
use crate::desk::turn::Turn;
use crate::peer::Peer;
use crate::request::{Scope, Step};
use crate::subscribe::Recipients;
use crate::update::Update;

/// Why a change of the station is not undone or redone.
enum Refusal {
    /// What it changed was changed again since.
    Changed,
    /// The state of A and B that it replaced is active now; it can be undone when the other one is: B, else A.
    Active { b: bool },
}

impl Desk {
    /// Undoes or redoes a change, or the last swap.
    pub(super) fn step_history(&mut self, turn: &mut Turn<'_>, by: Peer, step: Step, scope: Scope) {
        self.end_gesture(turn);
        let chain = self.on_air.newest_name();
        let of = match scope {
            Scope::Own => Some(by),
            Scope::All => None,
            Scope::Swap => return self.undo_swap(turn, by, step),
        };
        let (word, address) = (step.word(), format!("/{}", step.word()));
        loop {
            let gesture = match step {
                Step::Undo => self.history.take_done(&chain, of),
                Step::Redo => self.history.take_undone(&chain, of),
            };
            let Some(gesture) = gesture else {
                let whose = match scope {
                    Scope::Own => format!(" by this client (\"/{word} all\": by anybody)"),
                    _ => String::new(),
                };
                let why = format!("nothing to {word} on chain \"{chain}\"{whose}");
                return turn.error(by, &address, &why);
            };
            match gesture.state.clone() {
                Some(state) => return self.step_state(turn, by, step, gesture, &state),
                // A gesture that no longer changes anything is passed over.
                None if self.step_values(turn, by, step, gesture) => return,
                None => {}
            }
        }
    }

    /// The gesture was undone or redone.
    fn stepped(&mut self, turn: &mut Turn<'_>, by: Peer, step: Step, gesture: Gesture) {
        let chain = self.on_air.newest_name();
        self.audit(turn, by, &chain, &format!("{} {}", step.word(), gesture.title()), "", "");
        match step {
            Step::Undo => self.history.put_undone(by, gesture),
            Step::Redo => self.history.put_done(gesture),
        }
    }

    /// Gives values back what they were before the gesture, or after it. A value that another peer has moved since stays:
    /// its newer move is not overwritten unseen. False where there is nothing to change.
    fn step_values(&mut self, turn: &mut Turn<'_>, by: Peer, step: Step, mut gesture: Gesture) -> bool {
        let (address, chain) = (format!("/{}", step.word()), gesture.chain.clone());
        let current = self.user_values(&chain);
        let (mut stays, mut other) = (Vec::new(), None);
        let is_gliding = self.glide.is_some();
        gesture.moves.retain_mut(|moved| {
            let Some(is) = current.get(&moved.path) else { return false };
            let (expected, wanted) = match step {
                Step::Undo => (&mut moved.to, &moved.from),
                Step::Redo => (&mut moved.from, &moved.to),
            };
            if is == expected || is_gliding && is == wanted {
                return true;
            }
            if is == wanted {
                return false;
            }
            let author = self.chains.author(&chain, &moved.path);
            let author = author.map(|(peer, _)| peer).filter(|peer| ![by, gesture.by].contains(peer));
            if let Some(author) = author {
                stays.push(moved.path.clone());
                other = Some(author);
                return false;
            }
            // What was changed by A/B or by a file comes back when this step is taken back.
            if !is_gliding {
                expected.clone_from(is);
            }
            true
        });
        gesture.moves.retain(|moved| moved.from != moved.to);
        if gesture.moves.is_empty() && stays.is_empty() {
            return false;
        }
        if !gesture.moves.is_empty() {
            let value = |moved: &Move| if step == Step::Undo { moved.from.clone() } else { moved.to.clone() };
            let values = gesture.moves.iter().map(|moved| (moved.path.as_str(), value(moved)));
            let changes = self.on_air.changes(&self.chains, values);
            self.release(&changes);
            // An undo or redo is not recorded as a new gesture.
            if let Err(error) = self.apply_changes(turn, by, Recipients::All, changes, &address) {
                turn.error(by, &address, &error.to_string());
                return true;
            }
            self.stepped(turn, by, step, gesture);
            self.clear_scene(turn);
        }
        let why = match (stays.as_slice(), other) {
            ([first], Some(other)) => format!("/node{first} was changed since by {other}; it stays"),
            ([first, rest @ ..], Some(other)) => {
                let more = rest.len();
                format!("/node{first} and {more} more were changed since by others, last {other}; they stay")
            }
            _ => return true,
        };
        turn.error(by, &address, &why);
        true
    }

    fn step_state(&mut self, turn: &mut Turn<'_>, by: Peer, step: Step, gesture: Gesture, state: &StateMove) {
        let is_undo = step == Step::Undo;
        let done = match state {
            // What it becomes: when it is undone, the contrary of what it became.
            StateMove::Bypass { on } => self.step_switch(self.bypass, *on != is_undo, |desk, on| {
                desk.switch_bypass(turn, Recipients::All, on);
            }),
            StateMove::BypassMatched { on } => {
                self.step_switch(self.compare.bypass_matched, *on != is_undo, |desk, on| {
                    desk.switch_bypass_match(turn, Recipients::All, on);
                })
            }
            StateMove::CompareMatched { on } => {
                self.step_switch(self.compare.matched, *on != is_undo, |desk, on| {
                    desk.compare.matched = on;
                    desk.update_trims(turn);
                    desk.compare_changed(turn);
                })
            }
            StateMove::Other { b, from, to, .. } => {
                let (from, to) = if is_undo { (to, from) } else { (from, to) };
                self.step_other(turn, *b, from, to)
            }
            StateMove::Scene { before, after } => {
                let (from, to) =
                    if is_undo { (after.as_ref(), Some(before)) } else { (Some(before), after.as_ref()) };
                self.step_scene(turn, before, from, to)
            }
        };
        let address = format!("/{}", step.word());
        let title = gesture.title();
        match done {
            Ok(()) => self.stepped(turn, by, step, gesture),
            Err(Refusal::Changed) => {
                turn.error(by, &address, &format!("{title} was changed since; it stays"))
            }
            Err(Refusal::Active { b }) => {
                match step {
                    Step::Undo => self.history.put_done(gesture),
                    Step::Redo => self.history.put_undone(by, gesture),
                }
                let to = if b { "b" } else { "a" };
                let why = format!("{title}: the state that it replaced is active; send \"/ab {to}\" first");
                turn.error(by, &address, &why);
            }
        }
    }

    /// Changes a switch that is not yet what it is to become.
    fn step_switch(
        &mut self,
        is: bool,
        on: bool,
        change: impl FnOnce(&mut Self, bool),
    ) -> Result<(), Refusal> {
        if is == on {
            return Err(Refusal::Changed);
        }
        change(self, on);
        Ok(())
    }

    /// Replaces the inactive one of A and B, `from` by `to`, if B was active then as it is now.
    fn step_other(&mut self, turn: &mut Turn<'_>, b: bool, from: &Side, to: &Side) -> Result<(), Refusal> {
        if self.compare.b != b {
            return Err(Refusal::Active { b });
        }
        if self.compare.other != from.0 {
            return Err(Refusal::Changed);
        }
        self.compare.set_other(to.clone());
        self.update_trims(turn);
        self.compare_changed(turn);
        Ok(())
    }

    /// Replaces a scene, where it still is `from`.
    fn step_scene(
        &mut self,
        turn: &mut Turn<'_>,
        scene: &Scene,
        from: Option<&Scene>,
        to: Option<&Scene>,
    ) -> Result<(), Refusal> {
        let is_there = |other: &&Scene| other.slot == scene.slot || other.name == scene.name;
        if !self.scenes.all().iter().filter(is_there).eq(from) {
            return Err(Refusal::Changed);
        }
        match to {
            Some(to) => self.scenes.insert(to.clone()),
            None => drop(self.scenes.delete(&scene.name)),
        }
        self.scene = self.scene.take().filter(|on| *on != scene.name);
        self.scenes_changed(turn);
        Ok(())
    }

    /// Swaps back to the chain that was on air before the last swap, or to the one after it again; the peer is told to
    /// which before it happens.
    fn undo_swap(&mut self, turn: &mut Turn<'_>, by: Peer, step: Step) {
        let word = step.word();
        let address = format!("/{word}");
        let Some(swap) = self.history.next_swap(step) else {
            return turn.error(by, &address, &format!("no swap to {word}"));
        };
        let chain = if step == Step::Undo { swap.from.clone() } else { swap.to.clone() };
        if let Err(why) = self.chains.check_name(&chain) {
            return turn.error(by, &address, &why.to_string());
        }
        let before = self.on_air.last_requested();
        if before == chain {
            return turn.error(by, &address, &format!("chain \"{chain}\" is on air, or about to be"));
        }
        turn.update(Recipients::One(by), vec![Update::words(&address, &[&format!("swap to {chain}")])]);
        self.glide = None;
        self.swap(turn, Wanted::new(chain, by, Goal::Swap { before, step: Some(step) }));
    }
}
