//! MIDI controllers: bytes in, requests out; updates in, bytes out. The devices and the thread are the daemon's.

pub mod act;
pub mod controls;
pub mod feedback;
pub mod learn;
pub mod map;
pub mod message;
pub mod pickup;
pub mod table;

use crate::address::{Addresses, Place, Tree, commands, router};
use crate::request::Request;
use crate::update::Update;
use crate::value::Value;
use act::{Act, Encoding};
use controls::{ControlReader, Movement};
use lacquer_graph::param::Taper;
use learn::{Learned, Learner};
use map::{Control, Map, Source, Target};
use message::Parser;
use pickup::Pickup;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time between two messages of one control's feedback.
const BETWEEN: Duration = Duration::from_millis(20);
/// Time between two updates of the meters.
const METERS: Duration = Duration::from_millis(50);
/// How long a control must not have been moved until its motor may move.
const RELEASED: Duration = Duration::from_millis(200);
/// By how much one click of an encoder changes a value, as a part of its taper.
const CLICK: f64 = 1.0 / 128.0;
/// Clicks for one step of a value that has few.
const CLICKS_A_STEP: f64 = 3.0;
/// Clicks that come closer than this are a fast turn.
const FAST: Duration = Duration::from_millis(40);

/// A connected controller.
pub struct Device {
    map: Map,
    parser: Parser,
    reader: ControlReader,
    states: Vec<ControlState>,
    /// The current values, by address: a number, a switch as 0 or 1.
    current: HashMap<String, f64>,
    /// The same, but with the changes that a control is making now.
    values: HashMap<String, f64>,
    texts: HashMap<String, String>,
    places: Arc<Addresses>,
    learner: Option<Learner>,
    /// The text of each display line: strip, whether it is the lower one.
    shown: HashMap<(usize, bool), String>,
    next_meters: Option<Instant>,
    is_fresh: bool,
}

/// The state of one control.
#[derive(Clone, Debug, Default)]
struct ControlState {
    pickups: Vec<Pickup>,
    /// The keys of its targets in `values`.
    keys: Vec<String>,
    moved: Option<Instant>,
    is_touched: bool,
    /// Clicks since the last step.
    clicks: f64,
    /// What it shows, and since when.
    shows: Option<(Vec<Vec<u8>>, Instant)>,
}

/// What a controller has caused.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its requests.
    pub requests: Vec<Request>,
    /// The control that was learned.
    pub learned: Option<Learned>,
}

impl Device {
    /// A controller that was connected.
    pub fn new(map: Map) -> Self {
        Self {
            states: new_states(&map),
            map,
            parser: Parser::default(),
            reader: ControlReader::default(),
            current: HashMap::new(),
            values: HashMap::new(),
            texts: HashMap::new(),
            places: Arc::default(),
            learner: None,
            shown: HashMap::new(),
            next_meters: None,
            is_fresh: true,
        }
    }

    /// Replaces the map; the values stay known.
    pub fn set_map(&mut self, map: Map) {
        self.states = new_states(&map);
        self.map = map;
        self.refresh();
    }

    /// The controller was connected again: all feedback is sent anew, and its controls may have been moved meanwhile.
    pub fn refresh(&mut self) {
        (self.is_fresh, self.parser) = (true, Parser::default());
        self.shown.clear();
        for state in &mut self.states {
            (state.shows, state.moved, state.is_touched) = (None, None, false);
            state.pickups.iter_mut().for_each(Pickup::reset);
        }
    }

    /// Binds the control that is moved next to this address; `None` cancels.
    pub fn learn(&mut self, address: Option<&str>) {
        self.learner = address.map(Learner::new);
    }

    /// Sets the addresses of the chain on air.
    pub fn set_places(&mut self, places: &Arc<Addresses>) {
        self.places = Arc::clone(places);
        let is_gone = |address: &String| {
            let path = ["/norm", "/text"].iter().find_map(|tree| address.strip_prefix(tree));
            path.is_some_and(|path| path.matches('/').count() > 1 && self.places.at(path).is_none())
        };
        self.current.retain(|address, _| !is_gone(address));
        self.values.retain(|address, _| !is_gone(address));
        self.texts.retain(|address, _| !is_gone(address));
    }

    /// Receives updates; `is_own` where they come of its own change, which a control may be continuing.
    pub fn receive_updates(&mut self, lines: &[Update], is_own: bool) {
        for line in lines {
            let value = match line.values.as_slice() {
                [Value::Number(number)] => *number,
                [Value::Switch(on)] => f64::from(u8::from(*on)),
                [Value::Text(text)] => {
                    self.texts.insert(line.address.clone(), text.clone());
                    continue;
                }
                _ if line.is_none() => {
                    self.values.remove(&line.address);
                    continue;
                }
                _ => continue,
            };
            // Values in their own units are kept along their tapers.
            if !line.address.starts_with("/node/") {
                self.current.insert(line.address.clone(), value);
                if !is_own {
                    self.values.insert(line.address.clone(), value);
                }
            }
        }
    }

    /// Receives bytes of the controller; they may be anything.
    pub fn receive_bytes(&mut self, bytes: &[u8], now: Instant) -> Vec<Request> {
        let mut requests = Vec::new();
        for byte in bytes {
            let Some(message) = self.parser.push(*byte) else { continue };
            if let Some(learner) = &mut self.learner {
                learner.receive(message, now);
                continue;
            }
            for movement in self.reader.read(message, &self.map, now) {
                self.apply_movement(movement, now, &mut requests);
            }
        }
        requests
    }

    /// What is due: delayed requests, a control that was learned, and messages for the controller.
    pub fn tick(&mut self, now: Instant) -> (Outcome, Vec<Vec<u8>>) {
        let mut outcome = Outcome::default();
        for movement in self.reader.drain_late(now) {
            self.apply_movement(movement, now, &mut outcome.requests);
        }
        if let Some(learned) = self.learner.as_ref().and_then(|learner| learner.learned(now)) {
            self.learner = None;
            outcome.learned = Some(learned);
        }
        (outcome, self.drain_feedback(now))
    }

    // From the controls ------------------------------------------------------------------------------------

    fn apply_movement(&mut self, movement: Movement, now: Instant, requests: &mut Vec<Request>) {
        for at in 0..self.map.controls.len() {
            let control = &self.map.controls[at];
            if control.touch == Some(movement.source) {
                self.states[at].is_touched = movement.position > 0.0;
                self.states[at].moved = Some(now);
            }
            if control.source == movement.source {
                self.apply_to_control(at, movement, now, requests);
            }
        }
    }

    fn apply_to_control(&mut self, at: usize, movement: Movement, now: Instant, requests: &mut Vec<Request>) {
        let Self { map, states, values, places, .. } = self;
        let (control, state) = (&map.controls[at], &mut states[at]);
        let since = state.moved.replace(now).map(|before| now.saturating_duration_since(before));
        let is_pressed = movement.position > 0.0 || matches!(movement.source, Source::Program(_));
        for ((target, key), pickup) in control.targets.iter().zip(&state.keys).zip(&mut state.pickups) {
            let place = place(places, &target.address);
            let is_value = target.address.starts_with("/node/");
            if is_value && place.is_none() {
                continue;
            }
            let travel = Travel { target, place };
            match control.act {
                Act::Absolute => {
                    let known = values.get(key).map(|norm| travel.position(*norm));
                    let may = !control.has_pickup
                        || known.is_none_or(|known| pickup.update(movement.position, known));
                    if may {
                        let norm = travel.norm(movement.position);
                        values.insert(key.clone(), norm);
                        requests.push(set(key, norm));
                    }
                }
                Act::Relative(encoding, acceleration) if is_value => {
                    let clicks = clicks(encoding, movement.raw) * acceleration_factor(acceleration, since);
                    let steps = place.filter(|place| place.row.is_whole());
                    let by = match steps.map(|place| place.row.max - place.row.min) {
                        Some(steps) if steps < 43.0 => {
                            // Few steps: several clicks make one.
                            state.clicks += clicks;
                            let whole = (state.clicks / CLICKS_A_STEP).trunc();
                            state.clicks -= whole * CLICKS_A_STEP;
                            whole / steps
                        }
                        _ => clicks * CLICK,
                    };
                    let by = if target.is_inverted { -by } else { by };
                    if by != 0.0 {
                        requests.push(Request::Nudge { address: key.clone(), by });
                    }
                }
                Act::Relative(..) => {}
                Act::Toggle if is_pressed => {
                    let on = values.get(key).is_none_or(|value| *value < 0.5);
                    values.insert(key.clone(), f64::from(u8::from(on)));
                    requests.push(set(key, f64::from(u8::from(on))));
                }
                Act::Momentary => requests.push(set(key, f64::from(u8::from(is_pressed)))),
                Act::Trigger if is_pressed => {
                    // People count programs from 1.
                    let is_program = matches!(movement.source, Source::Program(_));
                    let number = if is_program { f64::from(movement.raw) + 1.0 } else { 1.0 };
                    let value = target.send.clone().unwrap_or(Value::Number(number));
                    requests.push(router::request_for(&target.address, vec![value]));
                }
                Act::Toggle | Act::Trigger => {}
            }
        }
    }

    // To the controls --------------------------------------------------------------------------------------

    fn drain_feedback(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.is_fresh) {
            out.extend(self.map.init.iter().cloned());
        }
        let is_held = |state: &ControlState| {
            state.is_touched || state.moved.is_some_and(|moved| now < moved + RELEASED)
        };
        let held = self.states.iter().filter(|state| is_held(state)).filter_map(|state| state.keys.first());
        let held: HashSet<String> = held.cloned().collect();
        for (control, state) in self.map.controls.iter().zip(&mut self.states) {
            let (Some(target), Some(key)) = (control.targets.first(), state.keys.first()) else { continue };
            let is_held = is_held(state);
            let place = place(&self.places, &target.address);
            if !held.contains(key)
                && let (Some(current), Some(value)) = (self.current.get(key), self.values.get_mut(key))
            {
                // The control was released: the current value counts.
                *value = *current;
            }
            let norm = self.values.get(key).copied();
            let Some(show) = control.show else { continue };
            if control.has_motor && control.act == Act::Absolute && is_held {
                continue;
            }
            let at = norm.map(|norm| Travel { target, place }.position(norm));
            let messages = feedback::messages(show, control.source, at);
            let is_old = |(_, since): &(_, Instant)| now >= *since + BETWEEN;
            // After it was moved by hand, a motor is sent its position again.
            let was_moved =
                control.has_motor && state.moved.take_if(|_| control.act == Act::Absolute).is_some();
            let is_new = state.shows.as_ref().is_none_or(|(shown, _)| *shown != messages);
            if (is_new || was_moved) && state.shows.as_ref().is_none_or(is_old) {
                out.extend(messages.iter().cloned());
                state.shows = Some((messages, now));
            }
        }
        self.update_displays(now, &mut out);
        out
    }

    fn update_displays(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
        let Some(mackie) = &self.map.mackie else { return };
        for (strip, address) in mackie.strips.iter().enumerate().take(8) {
            let path = address.strip_prefix("/node").unwrap_or(address);
            let name = match place(&self.places, address) {
                Some(_) => name(path),
                None => String::new(),
            };
            let value = self.texts.get(&format!("/text{path}")).filter(|_| !name.is_empty());
            let value = value.map(|text| feedback::fitted(text)).unwrap_or_default();
            for (is_lower, text) in [(false, name), (true, value)] {
                if self.shown.get(&(strip, is_lower)) != Some(&text) {
                    out.push(feedback::display(mackie.model, strip, is_lower, &text));
                    self.shown.insert((strip, is_lower), text);
                }
            }
        }
        if self.next_meters.is_none_or(|next| now >= next) {
            self.next_meters = Some(now + METERS);
            for (strip, address) in mackie.meters.iter().enumerate().take(8) {
                // The device lets its meters fall by itself, so they are sent again and again.
                if let Some(db) = self.values.get(address) {
                    out.push(feedback::meter(strip, *db));
                }
            }
        }
    }

    /// The addresses of the map that no message can set: of nodes that are not on air, and without a row in the table of
    /// commands.
    pub fn unknown_addresses(&self) -> HashSet<&str> {
        let targets = self.map.controls.iter().flat_map(|control| &control.targets);
        let is_known = |address: &&str| {
            Tree::split(address).is_some_and(|(_, path)| self.places.at(path).is_some())
                || commands::find(address).is_some_and(|(command, _)| command.nature.is_set())
        };
        targets.map(|target| target.address.as_str()).filter(|address| !is_known(address)).collect()
    }
}

/// The states of a map's controls before anything was received.
fn new_states(map: &Map) -> Vec<ControlState> {
    let state = |control: &Control| ControlState {
        pickups: vec![Pickup::default(); control.targets.len()],
        keys: control.targets.iter().map(|target| key(&target.address)).collect(),
        ..ControlState::default()
    };
    map.controls.iter().map(state).collect()
}

fn place<'a>(places: &'a Addresses, address: &str) -> Option<&'a Place> {
    places.at(address.strip_prefix("/node")?).map(|place| &**place)
}

/// The key of an address in `values`: its address along the taper, where it has one.
fn key(address: &str) -> String {
    let norm = format!("/norm{}", address.strip_prefix("/node").unwrap_or(address));
    let has_norm = address.starts_with("/node/") || commands::find(&norm).is_some();
    if has_norm { norm } else { address.to_owned() }
}

fn set(key: &str, norm: f64) -> Request {
    router::request_for(key, vec![Value::Number(norm)])
}

/// `/tone/band/1/gain` as it fits on a strip: `1gain`.
fn name(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts[..] {
        [.., number, name] if number.parse::<u32>().is_ok() => format!("{number}{name}"),
        [.., name] => name.to_owned(),
        [] => String::new(),
    }
}

/// The range of a value that a control covers: its whole taper, or what the map says.
struct Travel<'a> {
    target: &'a Target,
    place: Option<&'a Place>,
}

impl Travel<'_> {
    /// The ends in the value's unit.
    fn ends(&self) -> Option<[f64; 2]> {
        let row = &self.place?.row;
        let ends = self.target.range.as_ref().map(|ends| ends.each_ref().map(|end| row.parse(end).ok()));
        match ends {
            Some([Some(low), Some(high)]) if low != high => Some([low, high]),
            _ => self.target.taper.map(|_| [row.min, row.max]),
        }
    }

    /// The taper between the ends where the map sets one: linear, or logarithmic.
    fn taper(&self, ends: [f64; 2]) -> Option<Taper> {
        self.target.taper.filter(|taper| *taper == Taper::Linear || ends.iter().all(|end| *end > 0.0))
    }

    /// The value on its taper when the control is at `at`.
    fn norm(&self, at: f64) -> f64 {
        let at = if self.target.is_inverted { 1.0 - at } else { at };
        let (Some(place), Some([low, high])) = (self.place, self.ends()) else { return at };
        let row = &place.row;
        match self.taper([low, high]) {
            Some(Taper::Linear) => row.to_norm(low + at * (high - low)),
            Some(Taper::Log) => row.to_norm(low * (high / low).powf(at)),
            None => row.to_norm(low) + at * (row.to_norm(high) - row.to_norm(low)),
        }
    }

    /// The position of the control when the value is at `norm` on its taper.
    fn position(&self, norm: f64) -> f64 {
        let at = match (self.place, self.ends()) {
            (Some(place), Some([low, high])) => {
                let row = &place.row;
                let value = row.from_norm(norm).unwrap_or(low);
                match self.taper([low, high]) {
                    Some(Taper::Linear) => (value - low) / (high - low),
                    Some(Taper::Log) => (value / low).ln() / (high / low).ln(),
                    None => (norm - row.to_norm(low)) / (row.to_norm(high) - row.to_norm(low)),
                }
            }
            _ => norm,
        };
        let at = if at.is_finite() { at.clamp(0.0, 1.0) } else { 0.0 };
        if self.target.is_inverted { 1.0 - at } else { at }
    }
}

/// By how many clicks an encoder was turned.
fn clicks(encoding: Encoding, raw: u8) -> f64 {
    let raw = f64::from(raw);
    match encoding {
        Encoding::SignedBit => {
            if raw < 64.0 {
                raw
            } else {
                64.0 - raw
            }
        }
        Encoding::SignedBit2 => {
            if raw > 64.0 {
                raw - 64.0
            } else {
                -raw
            }
        }
        Encoding::TwosComplement => {
            if raw <= 64.0 {
                raw
            } else {
                raw - 128.0
            }
        }
        Encoding::BinaryOffset => raw - 64.0,
    }
}

/// The factor for a fast turn: up to `1 + acceleration`.
fn acceleration_factor(acceleration: f64, since: Option<Duration>) -> f64 {
    let since = since.map_or(1.0, |since| since.as_secs_f64() / FAST.as_secs_f64());
    1.0 + acceleration * (1.0 - since).max(0.0)
}
