//! The conductor and its two states, A and B, and how loud they and the bypass are beside each other.

use super::Conductor;
use crate::conductor::on_air::{Change, SetError};
use lacquer_control::desk::compare::CompareState;
use lacquer_control::message::ToAudio;
use lacquer_control::peer::Peer;
use lacquer_control::request::CompareRequest;
use lacquer_control::subscribe::Recipients;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::param::db_to_gain;
use std::time::{Duration, Instant};
use tracing::info;

/// The short-term loudness looks back 3 s (EBU Tech 3341): so long, and the fade, after a change it means what is heard.
const MEANS: Duration = Duration::from_millis(3_500);
/// Below this there is no programme to compare, in LUFS.
const QUIET: f64 = -60.0;
/// Smaller corrections are not made, in dB.
const NEAR: f64 = 0.1;
/// Largest correction, in dB.
const MOST: f64 = 24.0;

/// A and B.
pub struct Compare {
    /// Whether B is heard.
    pub b: bool,
    /// The one that is not heard; where there is none yet it is the same as the one that is.
    pub other: Option<CompareState>,
    /// Whether the louder one is turned down to the other.
    pub matched: bool,
    /// Whether bypass is made as loud as the chain is.
    pub bypass_matched: bool,
    /// How much louder A and B make the programme, in dB, as far as it is known.
    louder: [Option<f64>; 2],
    /// Since when the same is heard.
    since: Instant,
    input: f64,
    output: f64,
    /// The highest true peak that came in, in dBTP.
    peak: f64,
    /// The trims that the audio thread has, in dB: of the chain, of the dry signal.
    trims: (f64, f64),
    trimmed: u64,
}

impl Compare {
    /// A is heard, and B is the same.
    pub fn new(now: Instant) -> Self {
        Self {
            b: false,
            other: None,
            matched: false,
            bypass_matched: false,
            louder: [None; 2],
            since: now,
            input: f64::NEG_INFINITY,
            output: f64::NEG_INFINITY,
            peak: f64::NEG_INFINITY,
            trims: (0.0, 0.0),
            trimmed: 0,
        }
    }

    /// What is heard changes: what was measured before says nothing of it.
    pub fn changed(&mut self) {
        self.since = Instant::now();
    }

    /// Something that was never weighed is heard in place of what was.
    pub fn unknown(&mut self) {
        self.louder[usize::from(self.b)] = None;
    }

    /// The trims that are wanted, in dB.
    fn wanted(&self) -> (f64, f64) {
        let [heard, other] = if self.b { [1, 0] } else { [0, 1] }.map(|at| self.louder[at]);
        let wet = match (self.matched, heard, other) {
            // Only ever down: nothing is driven over the ceiling that the chain keeps.
            (true, Some(heard), Some(other)) => (other - heard).clamp(-MOST, 0.0),
            _ => 0.0,
        };
        let dry = match (self.bypass_matched, heard) {
            // Up only as far as the peaks that came in leave room.
            (true, Some(heard)) => (heard + wet).clamp(-MOST, (-1.0 - self.peak).clamp(0.0, MOST)),
            _ => 0.0,
        };
        (wet, dry)
    }
}

impl Conductor {
    pub(super) fn compare(&mut self, by: Peer, ask: CompareRequest) {
        let done = match ask {
            CompareRequest::Hear(b) => self.select(by, b),
            CompareRequest::Copy => {
                self.compare.other = self.active_state();
                let at = usize::from(self.compare.b);
                self.compare.louder[1 - at] = self.compare.louder[at];
                Ok(())
            }
            CompareRequest::Chain(chain) => {
                self.on_air.chains.check(&chain).map_err(SetError::from).map(|()| {
                    let values = self.user_values(&chain);
                    self.compare.other = Some(CompareState { chain, values });
                    self.compare.louder[usize::from(!self.compare.b)] = None;
                })
            }
            CompareRequest::Match(on) => {
                self.compare.matched = on;
                self.trim();
                Ok(())
            }
        };
        match done {
            Ok(()) => {
                self.state_saver.touch();
                self.send_updates(Recipients::All, self.compare_lines());
            }
            Err(why) => self.send_error(by, "/ab", &why.to_string()),
        }
    }

    fn active_state(&self) -> Option<CompareState> {
        let chain = self.on_air.newest()?.name.clone();
        Some(CompareState { values: self.user_values(&chain), chain })
    }

    fn select(&mut self, by: Peer, b: bool) -> Result<(), SetError> {
        if b == self.compare.b {
            return Ok(());
        }
        let heard = self.active_state().ok_or(SetError::Silence)?;
        let next = self.compare.other.clone().unwrap_or_else(|| heard.clone());
        self.morph = None;
        if next.chain == heard.chain {
            let values = next.values.iter().map(|(path, value)| (path.as_str(), value.clone()));
            let changes = self.on_air.changes(values);
            let changes = changes.into_iter().filter(Change::is_move).collect();
            self.apply_changes(by, Recipients::All, changes)?;
        } else {
            self.on_air.preset(&next.chain, &next.values)?;
            self.swap(by, &next.chain);
        }
        self.compare.b = b;
        self.compare.other = Some(heard);
        self.compare.changed();
        let which = if b { "B" } else { "A" };
        info!("{which} is heard");
        self.audit(by, &next.chain, "compare", "", which);
        self.trim();
        Ok(())
    }

    pub(super) fn compare_lines(&self) -> Vec<Update> {
        let compare = &self.compare;
        let heard = || self.on_air.newest().map_or("", |running| running.name.as_str());
        vec![
            Update::words("/ab", &[if compare.b { "b" } else { "a" }]),
            Update::number("/norm/ab", f64::from(u8::from(compare.b))),
            Update::words("/ab/chain", &[compare.other.as_ref().map_or_else(heard, |other| &other.chain)]),
            Update::new("/ab/match", vec![Value::Switch(compare.matched)]),
            Update::number("/ab/trim", compare.trims.0),
        ]
    }

    pub(super) fn bypass_lines(&self) -> Vec<Update> {
        vec![
            Update::new("/bypass", vec![Value::Switch(self.bypass)]),
            Update::number("/norm/bypass", f64::from(u8::from(self.bypass))),
            Update::new("/bypass/match", vec![Value::Switch(self.compare.bypass_matched)]),
            Update::number("/bypass/trim", self.compare.trims.1),
        ]
    }

    pub(super) fn set_bypass(&mut self, by: Peer, on: bool) {
        let words = |on: bool| if on { "on" } else { "off" };
        if on != self.bypass {
            let chain = self.on_air.next();
            self.audit(by, &chain, "bypass", words(self.bypass), words(on));
            info!("bypass {}", words(on));
        }
        self.bypass = on;
        self.compare.changed();
        self.send_command(ToAudio::Bypass(on));
        self.state_saver.touch();
        self.send_updates(Recipients::Others(by), self.bypass_lines());
    }

    pub(super) fn match_bypass(&mut self, by: Peer, on: bool) {
        self.compare.bypass_matched = on;
        self.trim();
        self.state_saver.touch();
        self.send_updates(Recipients::Others(by), self.bypass_lines());
    }

    /// Takes what the taps have measured.
    pub(super) fn handle_meter_updates(&mut self, lines: Vec<Update>) {
        for line in &lines {
            let [Value::Number(value)] = line.values[..] else { continue };
            match line.address.as_str() {
                "/meter/input/shortterm" => self.compare.input = value,
                "/meter/input/truepeak" => self.compare.peak = value,
                "/meter/output/shortterm" => {
                    self.compare.output = value;
                    self.weigh();
                }
                _ => {}
            }
        }
        self.send_updates(Recipients::All, lines);
    }

    /// Notes how much louder what is heard makes the programme.
    fn weigh(&mut self) {
        let compare = &mut self.compare;
        let is_settled = compare.since.elapsed() >= MEANS && !self.bypass && !self.on_air.is_swapping();
        if !is_settled || self.morph.is_some() || compare.input.min(compare.output) < QUIET {
            return;
        }
        compare.louder[usize::from(compare.b)] = Some(compare.output - compare.trims.0 - compare.input);
        let (wet, dry) = compare.wanted();
        let is_far = |a: f64, b: f64| (a - b).abs() > NEAR;
        if is_far(wet, compare.trims.0) || is_far(dry, compare.trims.1) {
            self.trim();
        }
    }

    /// Gives the audio thread the trims that are wanted.
    pub(super) fn trim(&mut self) {
        let (wet, dry) = self.compare.wanted();
        let newest = self.on_air.newest().map_or(0, |running| running.generation);
        // A new chain begins without trims.
        let is_new = newest != self.compare.trimmed && (wet, dry) != (0.0, 0.0);
        if (wet, dry) == self.compare.trims && !is_new {
            return;
        }
        self.compare.trims = (wet, dry);
        self.compare.trimmed = newest;
        self.send_command(ToAudio::Trim { generation: newest, chain: db_to_gain(wet), dry: db_to_gain(dry) });
        let mut lines = self.compare_lines();
        lines.extend(self.bypass_lines());
        self.send_updates(Recipients::All, lines);
    }
}
