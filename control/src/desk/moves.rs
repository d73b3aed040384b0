//! Values: set, nudge, MIDI learn, and who changed what.

use crate::address::commands::NotSet;
use crate::address::pattern::{Pattern, is_pattern};
use crate::address::{AddressError, Place, Tree, commands, router};
use crate::desk::Desk;
use crate::desk::history::{Gesture, Move, StateMove};
use crate::desk::on_air::{Change, Goal, SetError, Wanted};
use crate::desk::turn::{Effect, Turn};
use crate::peer::Peer;
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::update::Update;
use crate::value::{self, ParamValue, Value};
use std::collections::HashSet;
use std::sync::Arc;

impl Desk {
    pub(super) fn set(&mut self, turn: &mut Turn<'_>, by: Peer, address: &str, value: &Value) {
        let changes = self.on_air.changes_at(&self.chains, address, value);
        let done = changes.and_then(|changes| {
            let (changes, trees): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
            self.release(&changes);
            Ok((self.apply_and_record(turn, by, Recipients::Others(by), changes, address)?, trees))
        });
        let is_switched = is_pattern(address) && self.set_matching_switches(turn, by, address, value);
        match done {
            Ok((changes, trees)) => {
                // The sender is notified if the value was clipped or rounded.
                let applied = changes.iter().zip(trees);
                let clipped = applied.filter(|(change, tree)| !is_as_requested(change, value, *tree));
                turn.update(Recipients::One(by), clipped.flat_map(|(change, _)| change.lines()).collect());
            }
            Err(SetError::Address(AddressError::NoMatch(_))) if is_switched => {}
            Err(error) => {
                let is_unmatched = matches!(error, SetError::Address(AddressError::NoMatch(_)));
                let why = match is_unmatched.then(|| self.not_set(address)).flatten() {
                    Some(NotSet::Acts) => {
                        "the pattern matches only commands, which need their plain address; nothing was done"
                    }
                    Some(NotSet::ReadOnly) => {
                        "the pattern matches only read-only addresses; nothing was done"
                    }
                    None => &error.to_string(),
                };
                turn.error(by, address, why);
            }
        }
    }

    /// Sets the switches that a pattern matches; false if there are none.
    fn set_matching_switches(&mut self, turn: &mut Turn<'_>, by: Peer, address: &str, value: &Value) -> bool {
        let Ok(pattern) = Pattern::new(address) else { return false };
        let mut is_switched = false;
        for switch in commands::switches(&pattern) {
            is_switched = true;
            self.request(turn, by, router::request_for(switch, vec![value.clone()]));
        }
        is_switched
    }

    /// Moves a value by `step` from its current value; the sender too receives the new value.
    pub(super) fn nudge(&mut self, turn: &mut Turn<'_>, by: Peer, address: &str, step: f64) {
        let done = self.on_air.nudge(&self.chains, address, step).and_then(|change| {
            let changes = vec![change];
            self.release(&changes);
            self.apply_and_record(turn, by, Recipients::All, changes, address)
        });
        if let Err(error) = done {
            turn.error(by, address, &error.to_string());
        }
    }

    /// Applies changes, notifies subscribers and records the changes for undo. Returns the applied changes.
    pub(super) fn apply_and_record(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
        address: &str,
    ) -> Result<Vec<Change>, SetError> {
        let chain = self.on_air.newest_name();
        let changes = self.apply_changes(turn, by, to, changes, address)?;
        let moves: Vec<Move> = changes
            .iter()
            .filter(|change| change.is_move() && !change.place.row.is_momentary)
            .map(Change::as_move)
            .collect();
        if !moves.is_empty() {
            self.record_gesture(turn, Gesture { by, chain, name: None, moves, state: None });
            self.clear_scene(turn);
        }
        Ok(changes)
    }

    /// Applies changes to the newest chain and notifies subscribers. Where a setting changes, the chain is prepared anew;
    /// if it cannot be, the settings go back, and `by` receives an error at `address`. Returns the applied changes.
    pub(super) fn apply_changes(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
        address: &str,
    ) -> Result<Vec<Change>, SetError> {
        let newest = self.on_air.newest().ok_or(SetError::Silence)?;
        let chain = newest.name.clone();
        self.on_air.write(&mut self.chains, &changes);
        for change in changes.iter().filter(|change| !change.place.row.is_setting) {
            self.on_air.commands(change).into_iter().for_each(|command| turn.send(command));
        }
        let moved = || changes.iter().filter(|change| change.is_move());
        let now = turn.now.wall;
        moved().for_each(|change| newest.record_author(&mut self.chains, &change.place, by, now));
        turn.update(to, moved().flat_map(Change::lines).collect());
        turn.save();
        let settings: Vec<_> = changes
            .iter()
            .filter(|change| change.rebuilds())
            .map(|change| (by, address.to_owned(), change.clone()))
            .collect();
        if self.clear_auto_bypass(&chain, &changes) || !settings.is_empty() {
            self.swap(turn, Wanted::new(chain, by, Goal::Setting { changes: settings }));
        }
        Ok(changes)
    }

    /// Takes back settings that the chain cannot be prepared with.
    pub(super) fn take_back(
        &mut self,
        turn: &mut Turn<'_>,
        chain: &str,
        changes: &[(Peer, String, Change)],
        why: &str,
    ) {
        let mut lines = Vec::new();
        // The last change first, so that the value before the first one is left.
        for (_, _, change) in changes.iter().rev() {
            let value = &change.from;
            if let Some(values) = self.chains.values_mut(chain)
                && let Some(at) = values.addresses().like(&change.place).map(|place| place.at)
            {
                values.set(at, value.clone());
            }
            lines.extend(change.place.lines(value));
            self.history.retract(chain, &change.place.path, value);
        }
        if self.on_air.newest_name() == chain {
            turn.update(Recipients::All, lines);
        }
        let mut seen = HashSet::new();
        for (by, address, _) in changes.iter().filter(|(by, address, _)| seen.insert((*by, address.clone())))
        {
            turn.error(*by, address, why);
        }
        turn.save();
    }

    pub(super) fn record_gesture(&mut self, turn: &mut Turn<'_>, gesture: Gesture) {
        if let Some(ended) = self.history.record(gesture, turn.now.monotonic) {
            self.audit_gesture(turn, &ended);
        }
        turn.save();
    }

    /// Records a change of the station for undo; its audit line is written.
    pub(super) fn record_state(&mut self, by: Peer, state: StateMove) {
        self.history.record_state(by, self.on_air.newest_name(), state);
    }

    /// Writes an audit line: `by` changed `what` of a chain. Earlier moves come first in the file.
    pub(super) fn audit(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        chain: &str,
        what: &str,
        from: &str,
        to: &str,
    ) {
        self.end_gesture(turn);
        turn.audit(by, chain, what, from, to);
    }

    /// Ends the current gesture, and writes it to the audit file.
    pub fn end_gesture(&mut self, turn: &mut Turn<'_>) {
        if let Some(ended) = self.history.close() {
            self.audit_gesture(turn, &ended);
        }
    }

    pub(super) fn audit_gesture(&self, turn: &mut Turn<'_>, gesture: &Gesture) {
        let addresses = self.chains.addresses(&gesture.chain);
        for moved in &gesture.moves {
            let place = addresses.and_then(|addresses| addresses.at(&moved.path));
            let text = |value: &ParamValue| match (place, value) {
                (Some(place), value) => place.text(value),
                (None, ParamValue::Number(number)) => number.to_string(),
                (None, ParamValue::Text(text)) => text.clone(),
            };
            let what = format!("/node{}", moved.path);
            turn.audit(gesture.by, &gesture.chain, &what, &text(&moved.from), &text(&moved.to));
        }
    }

    pub(super) fn learn(&self, turn: &mut Turn<'_>, by: Peer, address: String) {
        if !self.settings.has_midi {
            let why = "the station has no MIDI controller; add one under control: midi: in the station file";
            return turn.error(by, "/learn", why);
        }
        match self.check_learned(&address) {
            Ok(()) => turn.add(Effect::Surfaces(SurfaceMessage::Learn { by, address })),
            Err(why) => turn.error(by, "/learn", &why),
        }
    }

    /// Checks that a MIDI control can be bound to an address. The address is written to a file, so it must be known.
    fn check_learned(&self, address: &str) -> Result<(), String> {
        if address.is_empty() {
            return Ok(());
        }
        if is_pattern(address) {
            return Err(format!("\"{address}\" is a pattern; a control is bound to one address"));
        }
        match commands::find(address) {
            Some((command, name)) if command.address == "/chain/NAME" => {
                self.chains.check_name(name).map_err(|error| error.to_string())
            }
            Some((command, _)) if command.nature.is_set() => Ok(()),
            Some(_) => Err(format!("\"{address}\" is read-only")),
            None => {
                let newest = self.on_air.newest().ok_or("no chain is on air")?;
                let found = newest.addresses.find(address).map_err(|error| error.to_string())?;
                match found.iter().any(|(place, _)| place.is_text()) {
                    true => Err("a text cannot be bound to a MIDI control".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }

    /// Sends who changed a value last: peer, and how many seconds ago.
    pub(super) fn send_author(&self, turn: &mut Turn<'_>, by: Peer, address: &str) {
        let Some(newest) = self.on_air.newest() else {
            return turn.error(by, "/who", "no chain is on air");
        };
        let mut places = match newest.addresses.find(address) {
            Ok(found) => found.into_iter().map(|(place, _)| place).collect::<Vec<_>>(),
            Err(error) => return turn.error(by, "/who", &error.to_string()),
        };
        // A pattern may mean one value in several trees.
        let mut seen = HashSet::new();
        places.retain(|place| seen.insert(place.at));
        let line = |place: &Arc<Place>| {
            let address = Value::Text(place.address());
            let author = newest.author(&self.chains, place);
            let values = match author {
                Some((peer, when)) => {
                    let ago = turn.now.wall.duration_since(when).unwrap_or_default().as_secs_f64();
                    vec![address, Value::Text(peer.to_string()), Value::Number((ago * 10.0).round() / 10.0)]
                }
                None => vec![address, Value::Text("file".to_owned())],
            };
            Update::new("/who", values)
        };
        let lines = places.into_iter().map(line).collect();
        turn.update(Recipients::One(by), lines);
    }
}

/// Whether the value of a change equals the requested number.
fn is_as_requested(change: &Change, requested: &Value, tree: Tree) -> bool {
    let (Value::Number(requested), ParamValue::Number(value)) = (requested, &change.value) else {
        return true;
    };
    let is = if tree == Tree::Norm { change.place.row.to_norm(*value) } else { *value };
    value::is_as_requested(is, *requested)
}
