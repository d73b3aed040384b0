//! MIDI controllers: bytes in, intents out; notices in, bytes out. No device and no thread: those are the daemon's.

pub mod controls;
pub mod feedback;
pub mod learn;
pub mod map;
pub mod message;
pub mod pickup;
pub mod table;

use crate::address::{Place, router};
use crate::request::Request;
use crate::update::Update;
use crate::value::Value;
use controls::{Gather, Said};
use lacquer_graph::param::Taper;
use learn::{Learned, Learner};
use map::{Act, Control, Encoding, Map, Source, Target};
use message::Parser;
use pickup::Pickup;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Least time between two messages of one control's feedback.
const BETWEEN: Duration = Duration::from_millis(20);
/// Time between two looks at the meters.
const METERS: Duration = Duration::from_millis(50);
/// How long a hand must have been off a control until its motor may move.
const RESTED: Duration = Duration::from_millis(200);
/// What one click of an encoder moves, as a part of the way.
const CLICK: f64 = 1.0 / 128.0;
/// Clicks for one step of a value that has few.
const CLICKS_A_STEP: f64 = 3.0;
/// Clicks that come closer than this are a fast turn.
const FAST: Duration = Duration::from_millis(40);

/// A connected controller.
pub struct Device {
    map: Map,
    parser: Parser,
    gather: Gather,
    hands: Vec<Hand>,
    /// The values that were told, by address: a number, a switch as 0 or 1.
    truth: HashMap<String, f64>,
    /// The same, but for what a hand on a control is doing just now.
    values: HashMap<String, f64>,
    texts: HashMap<String, String>,
    places: HashMap<String, Place>,
    learner: Option<Learner>,
    /// What each display shows: strip, whether it is the lower line.
    shown: HashMap<(usize, bool), String>,
    next_meters: Option<Instant>,
    is_fresh: bool,
}

/// What is known of one control.
#[derive(Clone, Debug, Default)]
struct Hand {
    pickups: Vec<Pickup>,
    /// Where the values of its targets are kept.
    keys: Vec<String>,
    moved: Option<Instant>,
    is_touched: bool,
    /// Clicks that have not made a step yet.
    clicks: f64,
    /// What it shows, and since when.
    shows: Option<(Vec<Vec<u8>>, Instant)>,
}

/// What came of some time.
#[derive(Debug, Default)]
pub struct Heard {
    /// What is asked for.
    pub requests: Vec<Request>,
    /// The control that was learned.
    pub learned: Option<Learned>,
}

impl Device {
    /// A controller that has just come.
    pub fn new(map: Map) -> Self {
        Self {
            hands: hands(&map),
            map,
            parser: Parser::default(),
            gather: Gather::default(),
            truth: HashMap::new(),
            values: HashMap::new(),
            texts: HashMap::new(),
            places: HashMap::new(),
            learner: None,
            shown: HashMap::new(),
            next_meters: None,
            is_fresh: true,
        }
    }

    /// Another map from now on; what is known of the values stays.
    pub fn set_map(&mut self, map: Map) {
        self.hands = hands(&map);
        self.map = map;
        self.refresh();
    }

    /// The map.
    pub fn map(&self) -> &Map {
        &self.map
    }

    /// The controller has come anew: everything is shown again, and it may have been moved unheard.
    pub fn refresh(&mut self) {
        (self.is_fresh, self.parser) = (true, Parser::default());
        self.shown.clear();
        for hand in &mut self.hands {
            (hand.shows, hand.moved, hand.is_touched) = (None, None, false);
            hand.pickups.iter_mut().for_each(Pickup::forget);
        }
    }

    /// The control that is moved next is bound to this address; `None` calls that off.
    pub fn learn(&mut self, address: Option<&str>) {
        self.learner = address.map(Learner::new);
    }

    /// The addresses of the chain that is on air from now on.
    pub fn set_places(&mut self, places: &Arc<Vec<Place>>) {
        self.places = places.iter().map(|place| (place.path.clone(), place.clone())).collect();
        let is_gone = |address: &String| {
            let path = ["/norm", "/text"].iter().find_map(|tree| address.strip_prefix(tree));
            path.is_some_and(|path| path.matches('/').count() > 1 && !self.places.contains_key(path))
        };
        self.truth.retain(|address, _| !is_gone(address));
        self.values.retain(|address, _| !is_gone(address));
        self.texts.retain(|address, _| !is_gone(address));
    }

    /// Takes what is told; `is_own` where it comes of a move of its own, which its hand may have gone on with.
    pub fn take(&mut self, lines: &[Update], is_own: bool) {
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
            // Values in their units are known by their places on the taper.
            if !line.address.starts_with("/node/") {
                self.truth.insert(line.address.clone(), value);
                if !is_own {
                    self.values.insert(line.address.clone(), value);
                }
            }
        }
    }

    /// Takes bytes of the controller's, whatever they are.
    pub fn hear(&mut self, bytes: &[u8], now: Instant) -> Vec<Request> {
        let mut requests = Vec::new();
        for byte in bytes {
            let Some(message) = self.parser.push(*byte) else { continue };
            if let Some(learner) = &mut self.learner {
                learner.hear(message, now);
                continue;
            }
            for said in self.gather.hear(message, &self.map, now) {
                self.said(said, now, &mut requests);
            }
        }
        requests
    }

    /// What is due: intents that had to wait, what was learned, and messages for the controller.
    pub fn tick(&mut self, now: Instant) -> (Heard, Vec<Vec<u8>>) {
        let mut heard = Heard::default();
        for said in self.gather.late(now) {
            self.said(said, now, &mut heard.requests);
        }
        if let Some(learned) = self.learner.as_ref().and_then(|learner| learner.learned(now)) {
            self.learner = None;
            heard.learned = Some(learned);
        }
        (heard, self.due(now))
    }

    // From the hand ------------------------------------------------------------------------------------

    fn said(&mut self, said: Said, now: Instant, requests: &mut Vec<Request>) {
        for at in 0..self.map.controls.len() {
            let control = &self.map.controls[at];
            if control.touch == Some(said.source) {
                self.hands[at].is_touched = said.at > 0.0;
                self.hands[at].moved = Some(now);
            }
            if control.source == said.source {
                self.act(at, said, now, requests);
            }
        }
    }

    fn act(&mut self, at: usize, said: Said, now: Instant, requests: &mut Vec<Request>) {
        let Self { map, hands, values, places, .. } = self;
        let (control, hand) = (&map.controls[at], &mut hands[at]);
        let since = hand.moved.replace(now).map(|before| now.saturating_duration_since(before));
        let is_pressed = said.at > 0.0 || matches!(said.source, Source::Program(_));
        for ((target, key), pickup) in control.targets.iter().zip(&hand.keys).zip(&mut hand.pickups) {
            let place = place(places, &target.address);
            let is_value = target.address.starts_with("/node/");
            if is_value && place.is_none() {
                continue;
            }
            let way = Way { target, place };
            match control.act {
                Act::Absolute => {
                    let known = values.get(key).map(|norm| way.position(*norm));
                    let may = !control.has_pickup || known.is_none_or(|known| pickup.moves(said.at, known));
                    if may {
                        let norm = way.norm(said.at);
                        values.insert(key.clone(), norm);
                        requests.push(set(key, norm));
                    }
                }
                Act::Relative(encoding, acceleration) if is_value => {
                    let clicks = clicks(encoding, said.raw) * faster(acceleration, since);
                    let steps = place.filter(|place| place.row.is_whole());
                    let by = match steps.map(|place| place.row.max - place.row.min) {
                        Some(steps) if steps < 43.0 => {
                            // Too few steps for a click each: so many clicks make one.
                            hand.clicks += clicks;
                            let whole = (hand.clicks / CLICKS_A_STEP).trunc();
                            hand.clicks -= whole * CLICKS_A_STEP;
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
                    let is_program = matches!(said.source, Source::Program(_));
                    let number = if is_program { f64::from(said.raw) + 1.0 } else { 1.0 };
                    let value = target.send.clone().unwrap_or(Value::Number(number));
                    requests.push(router::request_for(&target.address, vec![value]));
                }
                Act::Toggle | Act::Trigger => {}
            }
        }
    }

    // To the hand --------------------------------------------------------------------------------------

    fn due(&mut self, now: Instant) -> Vec<Vec<u8>> {
        let mut out = Vec::new();
        if std::mem::take(&mut self.is_fresh) {
            out.extend(self.map.init.iter().cloned());
        }
        let is_held = |hand: &Hand| hand.is_touched || hand.moved.is_some_and(|moved| now < moved + RESTED);
        let held = self.hands.iter().filter(|hand| is_held(hand)).filter_map(|hand| hand.keys.first());
        let held: HashSet<String> = held.cloned().collect();
        for (control, hand) in self.map.controls.iter().zip(&mut self.hands) {
            let (Some(target), Some(key)) = (control.targets.first(), hand.keys.first()) else { continue };
            let is_held = is_held(hand);
            let place = place(&self.places, &target.address);
            if !held.contains(key)
                && let (Some(truth), Some(value)) = (self.truth.get(key), self.values.get_mut(key))
            {
                // The hand is off: what was told meanwhile holds.
                *value = *truth;
            }
            let norm = self.values.get(key).copied();
            let Some(show) = control.show else { continue };
            if control.has_motor && control.act == Act::Absolute && is_held {
                continue;
            }
            let at = norm.map(|norm| Way { target, place }.position(norm));
            let messages = feedback::messages(show, control.source, at);
            let is_old = |(_, since): &(_, Instant)| now >= *since + BETWEEN;
            // After a hand was on it, a motor is told again where it belongs.
            let was_moved =
                control.has_motor && hand.moved.take_if(|_| control.act == Act::Absolute).is_some();
            let is_new = hand.shows.as_ref().is_none_or(|(shown, _)| *shown != messages);
            if (is_new || was_moved) && hand.shows.as_ref().is_none_or(is_old) {
                out.extend(messages.iter().cloned());
                hand.shows = Some((messages, now));
            }
        }
        self.displays(now, &mut out);
        out
    }

    fn displays(&mut self, now: Instant, out: &mut Vec<Vec<u8>>) {
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
                // The device lets its meters fall by itself: they are told again and again.
                if let Some(db) = self.values.get(address) {
                    out.push(feedback::meter(strip, *db));
                }
            }
        }
    }

    /// The addresses that the map names and nothing has ever told of: for a log line.
    pub fn unknown(&self) -> HashSet<&str> {
        let targets = self.map.controls.iter().flat_map(|control| &control.targets);
        targets
            .map(|target| target.address.as_str())
            .filter(|address| address.starts_with("/node/") && place(&self.places, address).is_none())
            .collect()
    }
}

/// Nothing is known yet of the controls of a map.
fn hands(map: &Map) -> Vec<Hand> {
    let hand = |control: &Control| Hand {
        pickups: vec![Pickup::default(); control.targets.len()],
        keys: control.targets.iter().map(|target| key(&target.address)).collect(),
        ..Hand::default()
    };
    map.controls.iter().map(hand).collect()
}

fn place<'a>(places: &'a HashMap<String, Place>, address: &str) -> Option<&'a Place> {
    places.get(address.strip_prefix("/node")?)
}

/// Where the value behind an address is kept: on its taper.
fn key(address: &str) -> String {
    match address {
        "/bypass" | "/ab" => format!("/norm{address}"),
        _ => address.strip_prefix("/node").map_or_else(|| address.to_owned(), |path| format!("/norm{path}")),
    }
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

/// The way of a control on a value: all of the value's taper, or what the map says.
struct Way<'a> {
    target: &'a Target,
    place: Option<&'a Place>,
}

impl Way<'_> {
    /// The ends in the value's unit.
    fn ends(&self) -> Option<[f64; 2]> {
        let row = &self.place?.row;
        let ends = self.target.range.as_ref().map(|ends| ends.each_ref().map(|end| row.parse(end).ok()));
        match ends {
            Some([Some(low), Some(high)]) if low != high => Some([low, high]),
            _ => self.target.taper.map(|_| [row.min, row.max]),
        }
    }

    /// Whether the way between the ends goes by steps of its own: linear, or in ratios.
    fn taper(&self, ends: [f64; 2]) -> Option<Taper> {
        self.target.taper.filter(|taper| *taper == Taper::Linear || ends.iter().all(|end| *end > 0.0))
    }

    /// Where the value is on its taper, when the control is at `at`.
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

    /// Where the control would be, when the value is at `norm` on its taper.
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

/// How many clicks up an encoder has gone.
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

/// How much farther a fast turn goes: up to `1 + acceleration` times.
fn faster(acceleration: f64, since: Option<Duration>) -> f64 {
    let since = since.map_or(1.0, |since| since.as_secs_f64() / FAST.as_secs_f64());
    1.0 + acceleration * (1.0 - since).max(0.0)
}
