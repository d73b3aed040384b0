//! Values: set, nudge, MIDI learn, undo, redo.

use super::Conductor;
use crate::conductor::on_air::{Change, SetError};
use lacquer_control::address::commands::NotSet;
use lacquer_control::address::pattern::{Pattern, is_pattern};
use lacquer_control::address::{AddressError, Place, Tree, commands, router};
use lacquer_control::desk::history::{Gesture, History, Move};
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::update::Update;
use lacquer_control::value::{ParamValue, Value};
use std::collections::HashSet;
use std::time::{Instant, SystemTime};

impl Conductor {
    pub(super) fn set(&mut self, by: Peer, address: &str, value: &Value) {
        let changes = self.on_air.changes_at(address, value);
        let done = changes.and_then(|changes| {
            let (changes, trees): (Vec<_>, Vec<_>) = changes.into_iter().unzip();
            self.stop_morphing(&changes);
            Ok((self.apply_and_record(by, Recipients::Others(by), changes)?, trees))
        });
        let is_switched = is_pattern(address) && self.set_matching_switches(by, address, value);
        match done {
            Ok((changes, trees)) => {
                // The sender is notified if the value was clipped or rounded.
                let applied = changes.iter().zip(trees);
                let clipped = applied.filter(|(change, tree)| !is_as_requested(change, value, *tree));
                self.send_updates(
                    Recipients::One(by),
                    clipped.flat_map(|(change, _)| change.lines()).collect(),
                );
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
                self.send_error(by, address, why);
            }
        }
    }

    /// Sets the switches that a pattern matches; false if there are none.
    fn set_matching_switches(&mut self, by: Peer, address: &str, value: &Value) -> bool {
        let Ok(pattern) = Pattern::new(address) else { return false };
        let mut is_switched = false;
        for switch in commands::switches(&pattern) {
            is_switched = true;
            self.handle(by, router::request_for(switch, vec![value.clone()]));
        }
        is_switched
    }

    /// Moves a value by `step` from its current value; the sender too receives the new value.
    pub(super) fn nudge(&mut self, by: Peer, address: &str, step: f64) {
        let done = self.on_air.nudge(address, step).and_then(|change| {
            let changes = vec![change];
            self.stop_morphing(&changes);
            self.apply_and_record(by, Recipients::All, changes)
        });
        if let Err(error) = done {
            self.send_error(by, address, &error.to_string());
        }
    }

    /// Applies changes, notifies subscribers and records the changes for undo. Returns the applied changes.
    pub(super) fn apply_and_record(
        &mut self,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>, SetError> {
        let chain = self.on_air.newest().map_or_else(String::new, |running| running.name.clone());
        let changes = self.apply_changes(by, to, changes)?;
        let moves: Vec<Move> = changes
            .iter()
            .filter(|change| change.is_move() && !change.place.row.is_momentary)
            .map(Change::as_move)
            .collect();
        if !moves.is_empty() {
            self.record_gesture(Gesture { by, chain, name: None, moves });
            self.clear_scene();
        }
        Ok(changes)
    }

    /// Applies changes and notifies subscribers. Returns the applied changes.
    pub(super) fn apply_changes(
        &mut self,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>, SetError> {
        let done = self.on_air.apply(changes)?;
        done.commands.into_iter().for_each(|command| self.send_command(command));
        let Some(chain) = self.on_air.newest().map(|running| running.name.clone()) else {
            return Ok(done.changes);
        };
        let moved = || done.changes.iter().filter(|change| change.is_move());
        if let Some(values) = self.on_air.chains.values_mut(&chain) {
            let now = SystemTime::now();
            moved().for_each(|change| values.record_author(&change.place.path, by, now));
        }
        self.send_updates(to, moved().flat_map(Change::lines).collect());
        self.state_saver.touch();
        if self.clear_auto_bypass(&chain, &done.changes) || done.rebuild {
            self.swap(by, &chain);
        }
        Ok(done.changes)
    }

    pub(super) fn record_gesture(&mut self, gesture: Gesture) {
        if let Some(ended) = self.history.record(gesture, Instant::now()) {
            self.audit_gesture(&ended);
        }
        self.state_saver.touch();
    }

    pub(super) fn learn(&self, by: Peer, address: String) {
        if self.port_setup.entries.is_empty() {
            return self.send_error(
                by,
                "/learn",
                "the station has no MIDI controller; add one under control: midi: in the station file",
            );
        }
        if let Err(why) = self.check_learned(&address) {
            return self.send_error(by, "/learn", &why);
        }
        self.send_to_surfaces(&SurfaceMessage::Learn { by, address });
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
                self.on_air.chains.check_name(name).map_err(|error| error.to_string())
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
    pub(super) fn send_author(&self, by: Peer, address: &str) {
        let Some(newest) = self.on_air.newest() else {
            return self.send_error(by, address, "no chain is on air");
        };
        let mut places = match newest.addresses.find(address) {
            Ok(found) => found.into_iter().map(|(place, _)| place).collect::<Vec<_>>(),
            Err(error) => return self.send_error(by, "/who", &error.to_string()),
        };
        // A pattern may mean one value in several trees.
        let mut seen = HashSet::new();
        places.retain(|place| seen.insert(place.path.as_str()));
        let values = self.on_air.chains.values(&newest.name);
        let line = |place: &Place| {
            let address = Value::Text(place.address());
            let author = values.and_then(|values| values.author(&place.path));
            let values = match author {
                Some((peer, when)) => {
                    let ago = when.elapsed().unwrap_or_default().as_secs_f64();
                    vec![address, Value::Text(peer.to_string()), Value::Number((ago * 10.0).round() / 10.0)]
                }
                None => vec![address, Value::Text("file".to_owned())],
            };
            Update::new("/who", values)
        };
        self.send_updates(Recipients::One(by), places.into_iter().map(line).collect());
    }

    pub(super) fn undo(&mut self, by: Peer) {
        self.step_history(by, "undo", |history, chain| history.undo(chain), |moved| moved.from.clone());
    }

    pub(super) fn redo(&mut self, by: Peer) {
        self.step_history(by, "redo", |history, chain| history.redo(chain), |moved| moved.to.clone());
    }

    /// Goes one step back or forth in the history of the chain on air.
    fn step_history(
        &mut self,
        by: Peer,
        what: &str,
        step: impl FnOnce(&mut History, &str) -> Option<Gesture>,
        value: impl Fn(&Move) -> ParamValue,
    ) {
        let address = format!("/{what}");
        let Some(chain) = self.on_air.newest().map(|running| running.name.clone()) else { return };
        self.end_gesture();
        let Some(gesture) = step(&mut self.history, &chain) else {
            return self.send_error(by, &address, &format!("nothing to {what} on chain \"{chain}\""));
        };
        let values = gesture.moves.iter().map(|moved| (moved.path.as_str(), value(moved)));
        let changes = self.on_air.changes(values);
        self.stop_morphing(&changes);
        // An undo or redo is not recorded as a new gesture.
        match self.apply_changes(by, Recipients::All, changes) {
            Ok(_) => {
                self.audit(by, &chain, &format!("{what} {}", gesture.title()), "", "");
                self.clear_scene();
            }
            Err(error) => self.send_error(by, &address, &error.to_string()),
        }
    }
}

/// Whether the value of a change equals the requested number.
fn is_as_requested(change: &Change, requested: &Value, tree: Tree) -> bool {
    let (Value::Number(requested), ParamValue::Number(value)) = (requested, &change.value) else {
        return true;
    };
    let is = if tree == Tree::Norm { change.place.row.to_norm(*value) } else { *value };
    // OSC sends numbers as 32-bit floats.
    (is - requested).abs() <= 1e-6 * requested.abs().max(1.0)
}
