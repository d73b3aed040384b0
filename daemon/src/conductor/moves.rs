//! The conductor and its values: setting, nudging, learning, undoing.

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
        let asked = self.air.asked(address, value);
        let done = asked.and_then(|asked| {
            let (changes, trees): (Vec<_>, Vec<_>) = asked.into_iter().unzip();
            self.let_go(&changes);
            Ok((self.commit(by, Recipients::Others(by), changes)?, trees))
        });
        let is_switched = is_pattern(address) && self.switch_matching(by, address, value);
        match done {
            Ok((changes, trees)) => {
                // Who asked for something else than what there is now has to know.
                let asked = changes.iter().zip(trees);
                let clipped = asked.filter(|(change, tree)| !is_as_asked(change, value, *tree));
                self.tell(Recipients::One(by), clipped.flat_map(|(change, _)| change.lines()).collect());
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
                self.refuse(by, address, why);
            }
        }
    }

    /// Sets the switches that a pattern means; false where there are none.
    fn switch_matching(&mut self, by: Peer, address: &str, value: &Value) -> bool {
        let Ok(pattern) = Pattern::new(address) else { return false };
        let mut is_switched = false;
        for switch in commands::switches(&pattern) {
            is_switched = true;
            self.handle(by, router::request_for(switch, vec![value.clone()]));
        }
        is_switched
    }

    /// Moves a value from wherever it is; whoever asked is told as well where it went.
    pub(super) fn nudge(&mut self, by: Peer, address: &str, way: f64) {
        let done = self.air.nudged(address, way).and_then(|change| {
            let changes = vec![change];
            self.let_go(&changes);
            self.commit(by, Recipients::All, changes)
        });
        if let Err(error) = done {
            self.refuse(by, address, &error.to_string());
        }
    }

    /// Makes changes heard, known and undoable. Gives what they were.
    pub(super) fn commit(
        &mut self,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>, SetError> {
        let chain = self.air.newest().map_or_else(String::new, |airing| airing.name.clone());
        let changes = self.moved(by, to, changes)?;
        let moves: Vec<Move> = changes
            .iter()
            .filter(|change| change.is_move() && !change.place.row.is_momentary)
            .map(Change::as_move)
            .collect();
        if !moves.is_empty() {
            self.noted(Gesture { by, chain, name: None, moves });
            self.scene_left();
        }
        Ok(changes)
    }

    /// Makes changes heard and known. Gives what they were.
    pub(super) fn moved(
        &mut self,
        by: Peer,
        to: Recipients,
        changes: Vec<Change>,
    ) -> Result<Vec<Change>, SetError> {
        let done = self.air.apply(changes)?;
        done.orders.into_iter().for_each(|order| self.order(order));
        let Some(chain) = self.air.newest().map(|airing| airing.name.clone()) else {
            return Ok(done.changes);
        };
        let moved = || done.changes.iter().filter(|change| change.is_move());
        if let Some(values) = self.air.shelf.values_mut(&chain) {
            let now = SystemTime::now();
            moved().for_each(|change| values.record_author(&change.place.path, by, now));
        }
        self.tell(to, moved().flat_map(Change::lines).collect());
        self.keeper.touch();
        if self.come_back(&chain, &done.changes) || done.rebuild {
            self.swap(by, &chain);
        }
        Ok(done.changes)
    }

    pub(super) fn noted(&mut self, gesture: Gesture) {
        if let Some(ended) = self.history.record(gesture, Instant::now()) {
            self.audit_gesture(&ended);
        }
        self.keeper.touch();
    }

    pub(super) fn learn(&self, by: Peer, address: String) {
        if self.port_setup.entries.is_empty() {
            return self.refuse(
                by,
                "/learn",
                "the station has no MIDI controller (control: midi: in its file)",
            );
        }
        if let Err(why) = self.check_learned(&address) {
            return self.refuse(by, "/learn", &why);
        }
        self.note_all(&SurfaceMessage::Learn { by, address });
    }

    /// Whether a control could move what lies at an address. It becomes a line of a file, so nothing unknown passes.
    fn check_learned(&self, address: &str) -> Result<(), String> {
        if address.is_empty() {
            return Ok(());
        }
        if is_pattern(address) {
            return Err(format!("\"{address}\" is a pattern; a control is bound to an address"));
        }
        match commands::find(address) {
            Some((command, name)) if command.address == "/chain/NAME" => {
                self.air.shelf.check(name).map_err(|error| error.to_string())
            }
            Some((command, _)) if command.nature.is_set() => Ok(()),
            Some(_) => Err(format!("\"{address}\" is read-only")),
            None => {
                let newest = self.air.newest().ok_or("no chain is on air")?;
                let found = newest.addresses.find(address).map_err(|error| error.to_string())?;
                match found.iter().any(|(place, _)| place.is_text()) {
                    true => Err("a text cannot be bound to a MIDI control".to_owned()),
                    false => Ok(()),
                }
            }
        }
    }

    /// Tells who moved a value last: peer, and how many seconds ago.
    pub(super) fn who(&self, by: Peer, address: &str) {
        let Some(newest) = self.air.newest() else { return self.refuse(by, address, "no chain is on air") };
        let mut places = match newest.addresses.find(address) {
            Ok(found) => found.into_iter().map(|(place, _)| place).collect::<Vec<_>>(),
            Err(error) => return self.refuse(by, "/who", &error.to_string()),
        };
        // A pattern may mean one value in several trees.
        let mut seen = HashSet::new();
        places.retain(|place| seen.insert(place.path.as_str()));
        let values = self.air.shelf.values(&newest.name);
        let line = |place: &Place| {
            let address = Value::Text(place.address());
            let author = values.and_then(|values| values.author(&place.path));
            let told = match author {
                Some((peer, when)) => {
                    let ago = when.elapsed().unwrap_or_default().as_secs_f64();
                    vec![address, Value::Text(peer.to_string()), Value::Number((ago * 10.0).round() / 10.0)]
                }
                None => vec![address, Value::Text("file".to_owned())],
            };
            Update::new("/who", told)
        };
        self.tell(Recipients::One(by), places.into_iter().map(line).collect());
    }

    pub(super) fn undo(&mut self, by: Peer) {
        self.walk(by, "undo", |history, chain| history.undo(chain), |moved| moved.from.clone());
    }

    pub(super) fn redo(&mut self, by: Peer) {
        self.walk(by, "redo", |history, chain| history.redo(chain), |moved| moved.to.clone());
    }

    /// Goes one step back or forth in the history of the chain on air.
    fn walk(
        &mut self,
        by: Peer,
        what: &str,
        step: impl FnOnce(&mut History, &str) -> Option<Gesture>,
        value: impl Fn(&Move) -> ParamValue,
    ) {
        let address = format!("/{what}");
        let Some(chain) = self.air.newest().map(|airing| airing.name.clone()) else { return };
        self.end_gesture();
        let Some(gesture) = step(&mut self.history, &chain) else {
            return self.refuse(by, &address, &format!("nothing to {what} on chain {chain}"));
        };
        let values = gesture.moves.iter().map(|moved| (moved.path.as_str(), value(moved)));
        let changes = self.air.changes(values);
        self.let_go(&changes);
        // What is taken back is no new move.
        match self.moved(by, Recipients::All, changes) {
            Ok(_) => {
                self.audit(by, &chain, &format!("{what} {}", gesture.title()), "", "");
                self.scene_left();
            }
            Err(error) => self.refuse(by, &address, &error.to_string()),
        }
    }
}

/// Whether a change came out as the asker's own number says.
fn is_as_asked(change: &Change, asked: &Value, tree: Tree) -> bool {
    let (Value::Number(asked), ParamValue::Number(value)) = (asked, &change.value) else { return true };
    let is = if tree == Tree::Norm { change.place.row.to_norm(*value) } else { *value };
    // Numbers came as floats.
    (is - asked).abs() <= 1e-6 * asked.abs().max(1.0)
}
