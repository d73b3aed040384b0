//! Overload control: while the machine is too slow, nodes named in the station file are bypassed, one step a second;
//! the steps are undone in reverse order.

use crate::desk::Desk;
use crate::desk::on_air::{Goal, Wanted};
use crate::desk::turn::{About, Level, Turn};
use crate::message::Load;
use crate::peer::Peer;
use std::time::Duration;

/// Period of the check, and shortest time between two steps.
const PERIOD: Duration = Duration::from_secs(1);
/// Overload: the mean load of a period is above this share of the deadline, or the callback itself missed deadlines in
/// two consecutive periods.
const HIGH_LOAD: f64 = 0.9;
/// Below this share of the deadline a step may be undone.
const LOW_LOAD: f64 = 0.6;
/// The load must be low for this time before a step is undone. An overload within this time after that doubles the wait,
/// up to [`MAX_RESTORE_WAIT`].
const RESTORE_WAIT: Duration = Duration::from_secs(10);
const MAX_RESTORE_WAIT: Duration = Duration::from_secs(600);

/// A step of overload control.
#[derive(Clone, Debug, PartialEq)]
enum Step {
    /// A node was bypassed.
    Node { chain: String, id: String },
    /// A chain was replaced by another one.
    Chain { from: String, to: String },
}

impl Step {
    /// The bypassed node or the replaced chain.
    fn name(&self) -> &str {
        match self {
            Step::Node { id, .. } => id,
            Step::Chain { from, .. } => from,
        }
    }
}

/// Load of the audio thread, and the steps taken against overload.
#[derive(Clone, Debug, PartialEq)]
pub struct OverloadControl {
    /// Sum of the load shares, and number of callbacks, in this period.
    shares: f64,
    callbacks: u32,
    /// Whether the callback itself missed deadlines in this period, and in the one before.
    own_misses: [bool; 2],
    next: Duration,
    /// Since when the load has been low.
    low_since: Option<Duration>,
    /// Required time of low load before the next step is undone.
    wait: Duration,
    /// When the last step was undone.
    restored: Option<Duration>,
    steps: Vec<Step>,
}

impl OverloadControl {
    pub(super) fn new(now: Duration) -> Self {
        Self {
            shares: 0.0,
            callbacks: 0,
            own_misses: [false; 2],
            next: now + PERIOD,
            low_since: None,
            wait: RESTORE_WAIT,
            restored: None,
            steps: Vec::new(),
        }
    }

    /// When the load is checked next.
    pub(super) fn deadline(&self) -> Duration {
        self.next
    }

    pub(super) fn add_load(&mut self, load: &Load) {
        self.shares += f64::from(load.mean) * f64::from(load.callbacks);
        self.callbacks += load.callbacks;
    }

    pub(super) fn record_own_miss(&mut self) {
        self.own_misses[0] = true;
    }

    /// Ends a period: true for overload, false for low load, `None` between them.
    fn assess(&mut self) -> Option<bool> {
        let mean = (self.callbacks > 0).then(|| self.shares / f64::from(self.callbacks));
        let [own, before] = self.own_misses;
        (self.shares, self.callbacks, self.own_misses) = (0.0, 0, [false, own]);
        if mean.is_some_and(|mean| mean > HIGH_LOAD) || own && before {
            return Some(true);
        }
        mean.filter(|mean| *mean < LOW_LOAD && !own).map(|_| false)
    }

    /// Records an overload. If it follows soon after a restored step, the next wait is twice as long.
    fn record_overload(&mut self, now: Duration) {
        if let Some(restored) = self.restored.take() {
            let is_soon = now.saturating_sub(restored) < RESTORE_WAIT;
            self.wait = if is_soon { (self.wait * 2).min(MAX_RESTORE_WAIT) } else { RESTORE_WAIT };
        }
        // Deadlines missed before a step do not count after it.
        (self.low_since, self.own_misses) = (None, [false; 2]);
    }

    /// Whether the load has been low for long enough.
    fn may_restore(&mut self, now: Duration) -> bool {
        now.saturating_sub(*self.low_since.get_or_insert(now)) >= self.wait
    }

    /// Removes the last step, to be undone now.
    fn take_last_step(&mut self, now: Duration) -> Option<Step> {
        let step = self.steps.pop()?;
        (self.low_since, self.restored) = (None, Some(now));
        Some(step)
    }

    /// Names of the bypassed nodes and the replaced chain.
    pub fn names(&self) -> Vec<&str> {
        self.steps.iter().map(Step::name).collect()
    }

    /// The chain that was replaced because of overload.
    pub(super) fn replaced_chain(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Chain { from, .. } => Some(from.as_str()),
            Step::Node { .. } => None,
        })
    }

    /// The chain that is on air while all steps are in force.
    fn expected_chain(&self) -> Option<&str> {
        self.steps.last().map(|step| match step {
            Step::Node { chain, .. } => chain.as_str(),
            Step::Chain { to, .. } => to.as_str(),
        })
    }
}

impl Desk {
    /// Checks the load once a second, and takes or undoes a step.
    pub(super) fn tick_overload(&mut self, turn: &mut Turn<'_>) {
        let now = turn.now.monotonic;
        if now < self.overload.next {
            return;
        }
        self.overload.next = now + PERIOD;
        self.check_overload_steps(turn);
        let is_overloaded = self.overload.assess();
        // During a swap two chains run, so the load does not count.
        if !self.session.has_deadlines() || self.on_air.is_swapping() {
            self.overload.low_since = None;
            return;
        }
        match is_overloaded {
            Some(true) => {
                self.overload.record_overload(now);
                self.reduce_load(turn);
            }
            Some(false) if self.overload.may_restore(now) => self.restore_load(turn),
            Some(false) => {}
            None => self.overload.low_since = None,
        }
    }

    fn reduce_load(&mut self, turn: &mut Turn<'_>) {
        let chain = self.on_air.last_requested();
        for id in self.settings.overload_bypass.clone() {
            if self.set_auto_bypass(turn, &id, false) {
                let text = format!("overload: node \"{id}\" bypassed until the load is low");
                turn.log(Level::Warn, About::Node(id.clone()), text);
                turn.event("overload", &["bypass", &id]);
                return self.overload.steps.push(Step::Node { chain, id });
            }
        }
        let Some(to) = self.settings.overload_chain.clone() else { return };
        if to != chain && self.overload.replaced_chain().is_none() {
            let text = format!("overload: chain \"{chain}\" replaced by \"{to}\" until the load is low");
            turn.log(Level::Warn, About::Chain(to.clone()), text);
            self.swap_automatically(turn, &to);
            turn.event("overload", &["chain", &to]);
            self.overload.steps.push(Step::Chain { from: chain, to });
        }
    }

    fn restore_load(&mut self, turn: &mut Turn<'_>) {
        let Some(step) = self.overload.take_last_step(turn.now.monotonic) else { return };
        let (kind, name) = match &step {
            Step::Node { id, .. } => {
                self.set_auto_bypass(turn, id, true);
                ("node", id)
            }
            Step::Chain { from, .. } => {
                self.swap_automatically(turn, from);
                ("chain", from)
            }
        };
        turn.info(format!("overload is over: {kind} \"{name}\" restored"));
        turn.event("overload", &["back", name]);
    }

    fn swap_automatically(&mut self, turn: &mut Turn<'_>, to: &str) {
        let from = self.on_air.last_requested();
        self.glide = None;
        self.swap(turn, Wanted::new(to.to_owned(), Peer::Station, Goal::Automatic));
        self.compare.forget_loudness();
        self.audit(turn, Peer::Station, to, "swap", &from, to);
    }

    /// Drops the steps that a user has changed since. If another chain was requested, all steps are undone, because a
    /// chain that is not on air causes no load.
    fn check_overload_steps(&mut self, turn: &mut Turn<'_>) {
        let chains = &self.chains;
        self.auto_bypassed.retain(|node| {
            chains.values(&node.chain).is_some_and(|values| values.enabled(&node.id) == Some(false))
        });
        let bypassed = &self.auto_bypassed;
        self.overload.steps.retain(|step| match step {
            Step::Node { chain, id } => bypassed.iter().any(|node| node.chain == *chain && node.id == *id),
            Step::Chain { .. } => true,
        });
        let now_on = self.on_air.last_requested();
        if self.overload.expected_chain().is_none_or(|expected| expected == now_on) {
            return;
        }
        for step in std::mem::take(&mut self.overload.steps) {
            let Step::Node { chain, id } = step else { continue };
            if chain == self.on_air.newest_name() {
                self.set_auto_bypass(turn, &id, true);
            } else {
                self.auto_bypassed.retain(|node| node.chain != chain || node.id != id);
                if let Some(values) = self.chains.values_mut(&chain) {
                    values.enable(&id, true);
                }
            }
        }
        turn.info("overload control: another chain was requested, all nodes restored");
        turn.event("overload", &["back", &now_on]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Duration = Duration::from_secs(1_000);

    #[test]
    fn an_overload_is_a_high_mean_load_or_misses_in_two_periods() {
        let mut control = OverloadControl::new(START);
        let load = |mean: f32| Load { callbacks: 100, mean, ..Load::default() };
        control.add_load(&load(0.95));
        assert_eq!(control.assess(), Some(true));
        control.add_load(&load(0.7));
        assert_eq!(control.assess(), None);
        control.add_load(&load(0.1));
        assert_eq!(control.assess(), Some(false));
        for expected in [None, Some(true)] {
            control.add_load(&load(0.1));
            control.record_own_miss();
            assert_eq!(control.assess(), expected);
        }
        assert_eq!(control.assess(), None, "nothing was played");
    }

    /// A step is undone after `expected`, and not before.
    fn restores_after(control: &mut OverloadControl, now: &mut Duration, expected: Duration) {
        control.steps.push(Step::Chain { from: "a".to_owned(), to: "b".to_owned() });
        assert!(!control.may_restore(*now));
        assert!(!control.may_restore(*now + expected - PERIOD));
        *now += expected;
        assert!(control.may_restore(*now));
        assert!(control.take_last_step(*now).is_some());
    }

    #[test]
    fn the_wait_doubles_each_time_a_restored_step_overloads_again() {
        let (mut control, mut now) = (OverloadControl::new(START), START);
        control.record_overload(now);
        for waits in [10, 20, 40, 80, 160, 320, 600, 600] {
            restores_after(&mut control, &mut now, Duration::from_secs(waits));
            now += 2 * PERIOD;
            control.record_overload(now);
        }
        // An overload much later starts from the shortest wait.
        restores_after(&mut control, &mut now, MAX_RESTORE_WAIT);
        now += RESTORE_WAIT;
        control.record_overload(now);
        restores_after(&mut control, &mut now, RESTORE_WAIT);
    }
}
