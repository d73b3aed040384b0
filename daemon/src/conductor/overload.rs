//! The conductor and an overload that lasts: it leaves out what the station file names, one step a second, and gives it
//! back in reverse order.

use super::Conductor;
use lacquer_control::message::Load;
use lacquer_control::peer::Peer;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Between two looks, and so between two steps.
const PERIOD: Duration = Duration::from_secs(1);
/// An overload lasts where the mean load of a look lies above this share of the deadline, or where the callback itself
/// missed deadlines in two looks that follow each other.
const HIGH_LOAD: f64 = 0.9;
/// There is room for more below this share.
const LOW_LOAD: f64 = 0.6;
/// How long there must have been room before a step is given back. An overload within this time after that doubles it
/// for the next time, up to [`MAX_RESTORE_WAIT`].
const RESTORE_WAIT: Duration = Duration::from_secs(10);
const MAX_RESTORE_WAIT: Duration = Duration::from_secs(600);

/// What was left out.
#[derive(Debug, PartialEq)]
enum Step {
    /// A node of a chain.
    Node { chain: String, id: String },
    /// A chain, for another one.
    Chain { from: String, to: String },
}

impl Step {
    /// The node, or the chain that was replaced_chain.
    fn name(&self) -> &str {
        match self {
            Step::Node { id, .. } => id,
            Step::Chain { from, .. } => from,
        }
    }
}

/// How the machine bears what it plays.
pub struct OverloadControl {
    /// Sum of the shares and number of the callbacks since the last look.
    shares: f64,
    callbacks: u32,
    /// Whether the callback missed deadlines since the last look, and before it.
    own_misses: [bool; 2],
    next: Instant,
    /// Since when there is room.
    low_since: Option<Instant>,
    wait: Duration,
    restored: Option<Instant>,
    steps: Vec<Step>,
}

impl OverloadControl {
    pub(super) fn new(now: Instant) -> Self {
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

    pub(super) fn add_load(&mut self, load: &Load) {
        self.shares += f64::from(load.mean) * f64::from(load.callbacks);
        self.callbacks += load.callbacks;
    }

    pub(super) fn record_own_miss(&mut self) {
        self.own_misses[0] = true;
    }

    /// Whether an overload lasts (true), or there is room (false); `None` for all between.
    fn assess(&mut self) -> Option<bool> {
        let mean = (self.callbacks > 0).then(|| self.shares / f64::from(self.callbacks));
        let [own, before] = self.own_misses;
        (self.shares, self.callbacks, self.own_misses) = (0.0, 0, [false, own]);
        if mean.is_some_and(|mean| mean > HIGH_LOAD) || own && before {
            return Some(true);
        }
        mean.filter(|mean| *mean < LOW_LOAD && !own).map(|_| false)
    }

    /// An overload lasts: one that came with what was given back waits twice as long for the next time.
    fn record_overload(&mut self, now: Instant) {
        if let Some(restored) = self.restored.take() {
            let is_soon = now.duration_since(restored) < RESTORE_WAIT;
            self.wait = if is_soon { (self.wait * 2).min(MAX_RESTORE_WAIT) } else { RESTORE_WAIT };
        }
        // What was missed before a step says nothing of what comes after it.
        (self.low_since, self.own_misses) = (None, [false; 2]);
    }

    /// There is room: whether for long enough by now.
    fn may_restore(&mut self, now: Instant) -> bool {
        now.duration_since(*self.low_since.get_or_insert(now)) >= self.wait
    }

    /// Takes back the last step, to be given back now.
    fn take_last_step(&mut self, now: Instant) -> Option<Step> {
        let step = self.steps.pop()?;
        (self.low_since, self.restored) = (None, Some(now));
        Some(step)
    }

    /// What is left out, for people.
    pub(super) fn names(&self) -> Vec<&str> {
        self.steps.iter().map(Step::name).collect()
    }

    /// The chain that would be on air, had it not been left out.
    pub(super) fn replaced_chain(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Chain { from, .. } => Some(from.as_str()),
            Step::Node { .. } => None,
        })
    }

    /// The chain that must be on air while all steps hold.
    fn expected_chain(&self) -> Option<&str> {
        self.steps.last().map(|step| match step {
            Step::Node { chain, .. } => chain.as_str(),
            Step::Chain { to, .. } => to.as_str(),
        })
    }
}

impl Conductor {
    /// Looks at the load once a second, and leaves out or gives back.
    pub(super) fn tick_overload(&mut self, now: Instant) {
        if now < self.overload.next {
            return;
        }
        self.overload.next = now + PERIOD;
        self.check_overload_steps();
        let verdict = self.overload.assess();
        // While two chains play the load says nothing of either.
        if self.session.is_none() || self.health.xruns.is_free || self.on_air.is_swapping() {
            self.overload.low_since = None;
            return;
        }
        match verdict {
            Some(true) => {
                self.overload.record_overload(now);
                self.reduce_load();
            }
            Some(false) if self.overload.may_restore(now) => self.restore_load(now),
            Some(false) => {}
            None => self.overload.low_since = None,
        }
    }

    fn reduce_load(&mut self) {
        let chain = self.on_air.last_requested();
        let ids: Vec<String> = self.station.overload.bypass.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            if self.set_auto_bypass(&id, false) {
                warn!(node = id, "overload: node {id} is left out");
                self.send_event("overload", &["bypass", &id]);
                return self.overload.steps.push(Step::Node { chain, id });
            }
        }
        let Some((to, _)) = self.station.overload.chain.clone() else { return };
        if to != chain && self.overload.replaced_chain().is_none() {
            warn!(chain = to, "overload: {to} takes the place of {chain}");
            self.swap_automatically(&to);
            self.send_event("overload", &["chain", &to]);
            self.overload.steps.push(Step::Chain { from: chain, to });
        }
    }

    fn restore_load(&mut self, now: Instant) {
        let Some(step) = self.overload.take_last_step(now) else { return };
        let name = match &step {
            Step::Node { id, .. } => {
                self.set_auto_bypass(id, true);
                id
            }
            Step::Chain { from, .. } => {
                self.swap_automatically(from);
                from
            }
        };
        info!("overload: {name} is given back");
        self.send_event("overload", &["back", name]);
    }

    fn swap_automatically(&mut self, to: &str) {
        let from = self.on_air.last_requested();
        self.morph = None;
        self.swap(Peer::Station, to);
        self.compare.forget_loudness();
        self.audit(Peer::Station, to, "swap", &from, to);
    }

    /// What somebody has moved since is theirs. After another swap than the house's all is given back: what is not on
    /// air costs nothing.
    fn check_overload_steps(&mut self) {
        let chains = &self.on_air.chains;
        self.auto_bypassed.retain(|out| {
            chains.values(&out.chain).is_some_and(|values| values.enabled(&out.id) == Some(false))
        });
        let out = &self.auto_bypassed;
        self.overload.steps.retain(|step| match step {
            Step::Node { chain, id } => out.iter().any(|out| out.chain == *chain && out.id == *id),
            Step::Chain { .. } => true,
        });
        let now_on = self.on_air.last_requested();
        if self.overload.expected_chain().is_none_or(|expected| expected == now_on) {
            return;
        }
        for step in std::mem::take(&mut self.overload.steps) {
            let Step::Node { chain, id } = step else { continue };
            if chain == now_on {
                self.set_auto_bypass(&id, true);
            } else {
                self.auto_bypassed.retain(|out| out.chain != chain || out.id != id);
                if let Some(values) = self.on_air.chains.values_mut(&chain) {
                    values.enable(&id, true);
                }
            }
        }
        info!("overload: another chain was asked for; all is given back");
        self.send_event("overload", &["back", &now_on]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overload_lasts_by_its_mean_or_by_misses_in_two_looks() {
        let mut control = OverloadControl::new(Instant::now());
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

    /// Gives back after `expected`, and not before.
    fn restores_after(control: &mut OverloadControl, now: &mut Instant, expected: Duration) {
        control.steps.push(Step::Chain { from: "a".to_owned(), to: "b".to_owned() });
        assert!(!control.may_restore(*now));
        assert!(!control.may_restore(*now + expected - PERIOD));
        *now += expected;
        assert!(control.may_restore(*now));
        assert!(control.take_last_step(*now).is_some());
    }

    #[test]
    fn what_does_not_fit_when_given_back_waits_twice_as_long_each_time() {
        let (mut control, mut now) = (OverloadControl::new(Instant::now()), Instant::now());
        control.record_overload(now);
        for waits in [10, 20, 40, 80, 160, 320, 600, 600] {
            restores_after(&mut control, &mut now, Duration::from_secs(waits));
            now += 2 * PERIOD;
            control.record_overload(now);
        }
        // One that comes much later is another overload.
        restores_after(&mut control, &mut now, MAX_RESTORE_WAIT);
        now += RESTORE_WAIT;
        control.record_overload(now);
        restores_after(&mut control, &mut now, RESTORE_WAIT);
    }
}
