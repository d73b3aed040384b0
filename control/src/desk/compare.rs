//! A/B comparison: two full states, and loudness matching between A, B and the bypass.

use crate::desk::Desk;
use crate::desk::chains::ChainError;
use crate::desk::history::{Side, StateMove};
use crate::desk::on_air::{Change, Goal, SetError, Wanted};
use crate::desk::turn::{Command, Turn};
use crate::desk::values::CompareState;
use crate::peer::Peer;
use crate::request::CompareRequest;
use crate::subscribe::Recipients;
use crate::update::Update;
use crate::value::Value;
use lacquer_graph::param::db_to_gain;
use std::time::Duration;

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
#[derive(Clone, Debug, PartialEq)]
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
    since: Duration,
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
    pub(super) fn new(now: Duration) -> Self {
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
    pub(super) fn restart_measurement(&mut self, now: Duration) {
        self.since = now;
    }

    /// The active state is new: its loudness has not been measured yet.
    pub(super) fn forget_loudness(&mut self) {
        self.loudness_gain[usize::from(self.b)] = None;
    }

    fn other_side(&self) -> Side {
        (self.other.clone(), self.loudness_gain[usize::from(!self.b)])
    }

    /// Replaces the inactive state.
    pub(super) fn set_other(&mut self, (state, loudness): Side) {
        self.other = state;
        self.loudness_gain[usize::from(!self.b)] = loudness;
    }

    /// Keeps a reading of a tap; true where it is the loudness of the output.
    fn read(&mut self, line: &Update) -> bool {
        let [Value::Number(value)] = line.values[..] else { return false };
        match line.address.as_str() {
            "/meter/input/shortterm" => self.input = value,
            "/meter/input/truepeak" => self.peak = value,
            "/meter/output/shortterm" => {
                self.output = value;
                return true;
            }
            _ => {}
        }
        false
    }

    /// Measures the loudness change of the active state, if the readings have settled. True if the trims are to follow.
    fn measure(&mut self, now: Duration) -> bool {
        let has_settled = now.saturating_sub(self.since) >= SETTLING;
        if !has_settled || self.input.min(self.output) < MIN_LOUDNESS {
            return false;
        }
        self.loudness_gain[usize::from(self.b)] = Some(self.output - self.trims.0 - self.input);
        let (wet, dry) = self.target_trims();
        let is_far = |a: f64, b: f64| (a - b).abs() > MIN_CORRECTION;
        is_far(wet, self.trims.0) || is_far(dry, self.trims.1)
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

impl Desk {
    pub(super) fn compare(&mut self, turn: &mut Turn<'_>, by: Peer, request: CompareRequest) {
        let done: Result<(), SetError> = match request {
            CompareRequest::Select(b) => self.select(turn, by, b),
            CompareRequest::Copy => {
                let loudness = self.compare.loudness_gain[usize::from(self.compare.b)];
                self.replace_other(turn, by, "compare copy", (self.active_state(), loudness));
                Ok(())
            }
            CompareRequest::Chain(chain) => {
                self.chains.check_name(&chain).map_err(ChainError::into).map(|()| {
                    let values = self.user_values(&chain);
                    let state = CompareState { chain, values };
                    self.replace_other(turn, by, "compare chain", (Some(state), None));
                })
            }
            CompareRequest::Match(on) => {
                if on != self.compare.matched {
                    let chain = self.on_air.last_requested();
                    self.audit(turn, by, &chain, "compare match", word(!on), word(on));
                    self.record_state(by, StateMove::CompareMatched { on });
                }
                self.compare.matched = on;
                self.update_trims(turn);
                Ok(())
            }
        };
        match done {
            Ok(()) => self.compare_changed(turn),
            Err(why) => turn.error(by, "/ab", &why.to_string()),
        }
    }

    pub(super) fn compare_changed(&mut self, turn: &mut Turn<'_>) {
        turn.save();
        turn.update(Recipients::All, self.compare_lines());
    }

    /// Replaces the inactive one of A and B.
    fn replace_other(&mut self, turn: &mut Turn<'_>, by: Peer, what: &'static str, to: Side) {
        let (b, from) = (self.compare.b, self.compare.other_side());
        if from.0 != to.0 {
            let side = if b { "A" } else { "B" };
            let chain = |side: &Side| side.0.as_ref().map_or_else(String::new, |state| state.chain.clone());
            self.audit(turn, by, &chain(&to), what, "", side);
            self.record_state(by, StateMove::Other { what, b, from, to: to.clone() });
        }
        self.compare.set_other(to);
    }

    fn active_state(&self) -> Option<CompareState> {
        let chain = self.on_air.newest()?.name.clone();
        Some(CompareState { values: self.user_values(&chain), chain })
    }

    fn select(&mut self, turn: &mut Turn<'_>, by: Peer, b: bool) -> Result<(), SetError> {
        if b == self.compare.b {
            return Ok(());
        }
        let active = self.active_state().ok_or(SetError::Silence)?;
        let next = self.compare.other.clone().unwrap_or_else(|| active.clone());
        self.glide = None;
        if next.chain == active.chain {
            let values = next.values.iter().map(|(path, value)| (path.as_str(), value.clone()));
            let changes = self.on_air.changes(&self.chains, values);
            let changes = changes.into_iter().filter(Change::is_move).collect();
            self.apply_changes(turn, by, Recipients::All, changes, "/ab")?;
            self.selected(turn, by, b, &next.chain, active);
        } else {
            let Some(values) = self.chains.values(&next.chain).cloned() else { return Ok(()) };
            self.chains.store(&next.chain, &next.values);
            let goal = Goal::Compare { b, other: active, values };
            self.swap(turn, Wanted::new(next.chain, by, goal));
        }
        Ok(())
    }

    /// A or B is active now.
    pub(super) fn selected(
        &mut self,
        turn: &mut Turn<'_>,
        by: Peer,
        b: bool,
        chain: &str,
        other: CompareState,
    ) {
        self.compare.b = b;
        self.compare.other = Some(other);
        self.compare.restart_measurement(turn.now.monotonic);
        let which = if b { "B" } else { "A" };
        turn.info(format!("A/B: {which} is active"));
        self.audit(turn, by, chain, "compare", "", which);
        self.update_trims(turn);
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

    pub(super) fn set_bypass(&mut self, turn: &mut Turn<'_>, by: Peer, on: bool) {
        if on != self.bypass {
            let chain = self.on_air.last_requested();
            self.audit(turn, by, &chain, "bypass", word(self.bypass), word(on));
            self.record_state(by, StateMove::Bypass { on });
        }
        self.switch_bypass(turn, Recipients::Others(by), on);
    }

    pub(super) fn switch_bypass(&mut self, turn: &mut Turn<'_>, to: Recipients, on: bool) {
        if on != self.bypass {
            turn.info(format!("bypass {}", word(on)));
        }
        self.bypass = on;
        self.compare.restart_measurement(turn.now.monotonic);
        turn.send(Command::Bypass(on));
        turn.save();
        turn.update(to, self.bypass_lines());
    }

    pub(super) fn match_bypass(&mut self, turn: &mut Turn<'_>, by: Peer, on: bool) {
        if on != self.compare.bypass_matched {
            let chain = self.on_air.last_requested();
            self.audit(turn, by, &chain, "bypass match", word(!on), word(on));
            self.record_state(by, StateMove::BypassMatched { on });
        }
        self.switch_bypass_match(turn, Recipients::Others(by), on);
    }

    pub(super) fn switch_bypass_match(&mut self, turn: &mut Turn<'_>, to: Recipients, on: bool) {
        self.compare.bypass_matched = on;
        self.update_trims(turn);
        turn.save();
        turn.update(to, self.bypass_lines());
    }

    /// Receives the readings of the taps.
    pub(super) fn receive_readings(&mut self, turn: &mut Turn<'_>, lines: Vec<Update>) {
        for line in &lines {
            let is_loudness = self.compare.read(line);
            let is_steady = !self.bypass && !self.on_air.is_swapping() && self.glide.is_none();
            if is_loudness && is_steady && self.compare.measure(turn.now.monotonic) {
                self.update_trims(turn);
            }
        }
        turn.update(Recipients::All, lines);
    }

    /// Sends changed trims to the audio thread and to all subscribers.
    pub(super) fn update_trims(&mut self, turn: &mut Turn<'_>) {
        let (wet, dry) = self.compare.target_trims();
        let newest = self.on_air.newest().map_or(0, |running| running.generation);
        // A new chain starts with trims of 0 dB.
        let is_new = newest != self.compare.trimmed_generation && (wet, dry) != (0.0, 0.0);
        if (wet, dry) == self.compare.trims && !is_new {
            return;
        }
        self.compare.trims = (wet, dry);
        self.compare.trimmed_generation = newest;
        turn.send(Command::Trim { generation: newest, chain: db_to_gain(wet), dry: db_to_gain(dry) });
        let mut lines = self.compare_lines();
        lines.extend(self.bypass_lines());
        turn.update(Recipients::All, lines);
    }
}

/// A switch, as the audit log has it.
fn word(on: bool) -> &'static str {
    if on { "on" } else { "off" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(compare: &mut Compare, input: f64, output: f64, peak: f64) {
        for (address, value) in [
            ("/meter/input/shortterm", input),
            ("/meter/input/truepeak", peak),
            ("/meter/output/shortterm", output),
        ] {
            compare.read(&Update::number(address, value));
        }
    }

    #[test]
    fn the_louder_one_is_attenuated_and_the_bypass_never_raised_above_the_ceiling() {
        let mut compare = Compare::new(Duration::ZERO);
        (compare.matched, compare.bypass_matched) = (true, true);
        read(&mut compare, -23.0, -17.0, -8.0);
        assert!(!compare.measure(SETTLING / 2), "not settled yet");
        assert!(compare.measure(SETTLING));
        // B is not measured yet; the dry signal is raised by what the chain adds.
        assert_eq!(compare.target_trims(), (0.0, 6.0));
        compare.trims = (0.0, 6.0);
        assert!(!compare.measure(2 * SETTLING), "nothing has changed");
        compare.b = true;
        read(&mut compare, -23.0, -20.0, -3.0);
        assert!(compare.measure(3 * SETTLING));
        assert_eq!(compare.target_trims(), (0.0, 2.0), "B is softer than A; the dry signal up to -1 dBTP");
        compare.b = false;
        assert_eq!(compare.target_trims(), (-3.0, 2.0), "A is attenuated to B");
        read(&mut compare, -70.0, -64.0, -50.0);
        assert!(!compare.measure(4 * SETTLING), "there is no programme");
    }
}
