//! A/B comparison: two states of values, and loudness matching between A, B and the bypass.

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

/// After a change, a loudness reading is used only after this time: the 3 s window of short-term loudness
/// (EBU Tech 3341), and the crossfade.
const SETTLING: Duration = Duration::from_millis(3_500);
/// Below this level there is no programme to compare, in LUFS.
const MIN_LOUDNESS: f64 = -60.0;
/// Smaller corrections are not applied, in dB.
const MIN_CORRECTION: f64 = 0.1;
/// Largest correction, in dB.
const MAX_CORRECTION: f64 = 24.0;

/// The state of the A/B comparison.
pub struct Compare {
    /// Whether B is active.
    pub b: bool,
    /// The inactive state; `None` while it equals the active one.
    pub other: Option<CompareState>,
    /// Whether the louder of A and B is attenuated to match the other.
    pub matched: bool,
    /// Whether bypass is matched in loudness to the chain.
    pub bypass_matched: bool,
    /// Loudness change that A and B apply to the programme, in dB, where it was measured.
    loudness_gain: [Option<f64>; 2],
    /// Since when the signal path has been unchanged.
    since: Instant,
    input: f64,
    output: f64,
    /// Maximum true peak of the input, in dBTP.
    peak: f64,
    /// The current trims on the audio thread, in dB: of the chain, of the dry signal.
    trims: (f64, f64),
    /// The chain generation that has these trims.
    trimmed_generation: u64,
}

impl Compare {
    /// A is active, and B equals it.
    pub fn new(now: Instant) -> Self {
        Self {
            b: false,
            other: None,
            matched: false,
            bypass_matched: false,
            loudness_gain: [None; 2],
            since: now,
            input: f64::NEG_INFINITY,
            output: f64::NEG_INFINITY,
            peak: f64::NEG_INFINITY,
            trims: (0.0, 0.0),
            trimmed_generation: 0,
        }
    }

    /// The signal path has changed, so earlier loudness readings no longer apply.
    pub fn restart_measurement(&mut self) {
        self.since = Instant::now();
    }

    /// The active state is new: its loudness has not been measured yet.
    pub fn forget_loudness(&mut self) {
        self.loudness_gain[usize::from(self.b)] = None;
    }

    /// The trims that match the loudness, in dB: of the chain, of the dry signal.
    fn target_trims(&self) -> (f64, f64) {
        let [active, other] = if self.b { [1, 0] } else { [0, 1] }.map(|at| self.loudness_gain[at]);
        let wet = match (self.matched, active, other) {
            // Attenuation only: gain after the chain's limiter could exceed its ceiling.
            (true, Some(active), Some(other)) => (other - active).clamp(-MAX_CORRECTION, 0.0),
            _ => 0.0,
        };
        let dry = match (self.bypass_matched, active) {
            // Gain only up to a true peak of -1 dBTP.
            (true, Some(active)) => {
                (active + wet).clamp(-MAX_CORRECTION, (-1.0 - self.peak).clamp(0.0, MAX_CORRECTION))
            }
            _ => 0.0,
        };
        (wet, dry)
    }
}

impl Conductor {
    pub(super) fn compare(&mut self, by: Peer, request: CompareRequest) {
        let done = match request {
            CompareRequest::Select(b) => self.select(by, b),
            CompareRequest::Copy => {
                self.compare.other = self.active_state();
                let at = usize::from(self.compare.b);
                self.compare.loudness_gain[1 - at] = self.compare.loudness_gain[at];
                Ok(())
            }
            CompareRequest::Chain(chain) => {
                self.on_air.chains.check_name(&chain).map_err(SetError::from).map(|()| {
                    let values = self.user_values(&chain);
                    self.compare.other = Some(CompareState { chain, values });
                    self.compare.loudness_gain[usize::from(!self.compare.b)] = None;
                })
            }
            CompareRequest::Match(on) => {
                self.compare.matched = on;
                self.update_trims();
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
        let active = self.active_state().ok_or(SetError::Silence)?;
        let next = self.compare.other.clone().unwrap_or_else(|| active.clone());
        self.morph = None;
        if next.chain == active.chain {
            let values = next.values.iter().map(|(path, value)| (path.as_str(), value.clone()));
            let changes = self.on_air.changes(values);
            let changes = changes.into_iter().filter(Change::is_move).collect();
            self.apply_changes(by, Recipients::All, changes)?;
        } else {
            self.on_air.store_values(&next.chain, &next.values)?;
            self.swap(by, &next.chain);
        }
        self.compare.b = b;
        self.compare.other = Some(active);
        self.compare.restart_measurement();
        let which = if b { "B" } else { "A" };
        info!("A/B: {which} is active");
        self.audit(by, &next.chain, "compare", "", which);
        self.update_trims();
        Ok(())
    }

    pub(super) fn compare_lines(&self) -> Vec<Update> {
        let compare = &self.compare;
        let active = || self.on_air.newest().map_or("", |running| running.name.as_str());
        vec![
            Update::words("/ab", &[if compare.b { "b" } else { "a" }]),
            Update::number("/norm/ab", f64::from(u8::from(compare.b))),
            Update::words("/ab/chain", &[compare.other.as_ref().map_or_else(active, |other| &other.chain)]),
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
            let chain = self.on_air.last_requested();
            self.audit(by, &chain, "bypass", words(self.bypass), words(on));
            info!("bypass {}", words(on));
        }
        self.bypass = on;
        self.compare.restart_measurement();
        self.send_command(ToAudio::Bypass(on));
        self.state_saver.touch();
        self.send_updates(Recipients::Others(by), self.bypass_lines());
    }

    pub(super) fn match_bypass(&mut self, by: Peer, on: bool) {
        self.compare.bypass_matched = on;
        self.update_trims();
        self.state_saver.touch();
        self.send_updates(Recipients::Others(by), self.bypass_lines());
    }

    /// Receives the readings of the taps.
    pub(super) fn handle_meter_updates(&mut self, lines: Vec<Update>) {
        for line in &lines {
            let [Value::Number(value)] = line.values[..] else { continue };
            match line.address.as_str() {
                "/meter/input/shortterm" => self.compare.input = value,
                "/meter/input/truepeak" => self.compare.peak = value,
                "/meter/output/shortterm" => {
                    self.compare.output = value;
                    self.measure_loudness();
                }
                _ => {}
            }
        }
        self.send_updates(Recipients::All, lines);
    }

    /// Measures the loudness change of the active state, once the reading is settled.
    fn measure_loudness(&mut self) {
        let compare = &mut self.compare;
        let is_settled = compare.since.elapsed() >= SETTLING && !self.bypass && !self.on_air.is_swapping();
        if !is_settled || self.morph.is_some() || compare.input.min(compare.output) < MIN_LOUDNESS {
            return;
        }
        compare.loudness_gain[usize::from(compare.b)] =
            Some(compare.output - compare.trims.0 - compare.input);
        let (wet, dry) = compare.target_trims();
        let is_far = |a: f64, b: f64| (a - b).abs() > MIN_CORRECTION;
        if is_far(wet, compare.trims.0) || is_far(dry, compare.trims.1) {
            self.update_trims();
        }
    }

    /// Sends changed trims to the audio thread and to all subscribers.
    pub(super) fn update_trims(&mut self) {
        let (wet, dry) = self.compare.target_trims();
        let newest = self.on_air.newest().map_or(0, |running| running.generation);
        // A new chain starts with trims of 0 dB.
        let is_new = newest != self.compare.trimmed_generation && (wet, dry) != (0.0, 0.0);
        if (wet, dry) == self.compare.trims && !is_new {
            return;
        }
        self.compare.trims = (wet, dry);
        self.compare.trimmed_generation = newest;
        self.send_command(ToAudio::Trim { generation: newest, chain: db_to_gain(wet), dry: db_to_gain(dry) });
        let mut lines = self.compare_lines();
        lines.extend(self.bypass_lines());
        self.send_updates(Recipients::All, lines);
    }
}
