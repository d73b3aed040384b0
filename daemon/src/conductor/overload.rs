//! The conductor and an overload that lasts: it leaves out what the station file names, one step a second, and gives it
//! back in reverse order.

use super::Conductor;
use lacquer_control::message::Load;
use lacquer_control::peer::Peer;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Between two looks, and so between two steps.
const LOOK: Duration = Duration::from_secs(1);
/// An overload lasts where the mean load of a look lies above this share of the deadline, or where the callback itself
/// missed deadlines in two looks that follow each other.
const HEAVY: f64 = 0.9;
/// There is room for more below this share.
const LIGHT: f64 = 0.6;
/// How long there must have been room before a step is given back. An overload within this time after that doubles it
/// for the next time, up to [`LONGEST`].
const ROOM: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(600);

/// What was left out.
#[derive(Debug, PartialEq)]
enum Step {
    /// A node of a chain.
    Node { chain: String, id: String },
    /// A chain, for another one.
    Chain { from: String, to: String },
}

impl Step {
    /// The node, or the chain that was meant.
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
    own: [bool; 2],
    next: Instant,
    /// Since when there is room.
    light: Option<Instant>,
    wait: Duration,
    given_back: Option<Instant>,
    steps: Vec<Step>,
}

impl OverloadControl {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            shares: 0.0,
            callbacks: 0,
            own: [false; 2],
            next: now + LOOK,
            light: None,
            wait: ROOM,
            given_back: None,
            steps: Vec::new(),
        }
    }

    pub(super) fn note(&mut self, load: &Load) {
        self.shares += f64::from(load.mean) * f64::from(load.callbacks);
        self.callbacks += load.callbacks;
    }

    pub(super) fn own_miss(&mut self) {
        self.own[0] = true;
    }

    /// Whether an overload lasts (true), or there is room (false); `None` for all between.
    fn look(&mut self) -> Option<bool> {
        let mean = (self.callbacks > 0).then(|| self.shares / f64::from(self.callbacks));
        let [own, before] = self.own;
        (self.shares, self.callbacks, self.own) = (0.0, 0, [false, own]);
        if mean.is_some_and(|mean| mean > HEAVY) || own && before {
            return Some(true);
        }
        mean.filter(|mean| *mean < LIGHT && !own).map(|_| false)
    }

    /// An overload lasts: one that came with what was given back waits twice as long for the next time.
    fn is_heavy(&mut self, now: Instant) {
        if let Some(given_back) = self.given_back.take() {
            let is_soon = now.duration_since(given_back) < ROOM;
            self.wait = if is_soon { (self.wait * 2).min(LONGEST) } else { ROOM };
        }
        // What was missed before a step says nothing of what comes after it.
        (self.light, self.own) = (None, [false; 2]);
    }

    /// There is room: whether for long enough by now.
    fn has_room(&mut self, now: Instant) -> bool {
        now.duration_since(*self.light.get_or_insert(now)) >= self.wait
    }

    /// Takes back the last step, to be given back now.
    fn pop(&mut self, now: Instant) -> Option<Step> {
        let step = self.steps.pop()?;
        (self.light, self.given_back) = (None, Some(now));
        Some(step)
    }

    /// What is left out, for people.
    pub(super) fn names(&self) -> Vec<&str> {
        self.steps.iter().map(Step::name).collect()
    }

    /// The chain that would be on air, had it not been left out.
    pub(super) fn meant(&self) -> Option<&str> {
        self.steps.iter().find_map(|step| match step {
            Step::Chain { from, .. } => Some(from.as_str()),
            Step::Node { .. } => None,
        })
    }

    /// The chain that must be on air while all steps hold.
    fn expected(&self) -> Option<&str> {
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
        self.overload.next = now + LOOK;
        self.drop_overload_steps();
        let verdict = self.overload.look();
        // While two chains play the load says nothing of either.
        if self.session.is_none() || self.health.xruns.is_free || self.on_air.is_swapping() {
            self.overload.light = None;
            return;
        }
        match verdict {
            Some(true) => {
                self.overload.is_heavy(now);
                self.reduce_load();
            }
            Some(false) if self.overload.has_room(now) => self.restore_load(now),
            Some(false) => {}
            None => self.overload.light = None,
        }
    }

    fn reduce_load(&mut self) {
        let chain = self.on_air.next();
        let ids: Vec<String> = self.station.overload.bypass.iter().map(|(id, _)| id.clone()).collect();
        for id in ids {
            if self.set_auto_bypass(&id, false) {
                warn!(node = id, "overload: node {id} is left out");
                self.send_event("overload", &["bypass", &id]);
                return self.overload.steps.push(Step::Node { chain, id });
            }
        }
        let Some((to, _)) = self.station.overload.chain.clone() else { return };
        if to != chain && self.overload.meant().is_none() {
            warn!(chain = to, "overload: {to} takes the place of {chain}");
            self.swap_automatically(&to);
            self.send_event("overload", &["chain", &to]);
            self.overload.steps.push(Step::Chain { from: chain, to });
        }
    }

    fn restore_load(&mut self, now: Instant) {
        let Some(step) = self.overload.pop(now) else { return };
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
        let from = self.on_air.next();
        self.morph = None;
        self.swap(Peer::Station, to);
        self.compare.unknown();
        self.audit(Peer::Station, to, "swap", &from, to);
    }

    /// What somebody has moved since is theirs. After another swap than the house's all is given back: what is not on
    /// air costs nothing.
    fn drop_overload_steps(&mut self) {
        let chains = &self.on_air.chains;
        self.auto_bypassed.retain(|out| {
            chains.values(&out.chain).is_some_and(|values| values.enabled(&out.id) == Some(false))
        });
        let out = &self.auto_bypassed;
        self.overload.steps.retain(|step| match step {
            Step::Node { chain, id } => out.iter().any(|out| out.chain == *chain && out.id == *id),
            Step::Chain { .. } => true,
        });
        let now_on = self.on_air.next();
        if self.overload.expected().is_none_or(|expected| expected == now_on) {
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
        let mut strain = OverloadControl::new(Instant::now());
        let load = |mean: f32| Load { callbacks: 100, mean, ..Load::default() };
        strain.note(&load(0.95));
        assert_eq!(strain.look(), Some(true));
        strain.note(&load(0.7));
        assert_eq!(strain.look(), None);
        strain.note(&load(0.1));
        assert_eq!(strain.look(), Some(false));
        for expected in [None, Some(true)] {
            strain.note(&load(0.1));
            strain.own_miss();
            assert_eq!(strain.look(), expected);
        }
        assert_eq!(strain.look(), None, "nothing was played");
    }

    /// Gives back after `expected`, and not before.
    fn gives_back_after(strain: &mut OverloadControl, now: &mut Instant, expected: Duration) {
        strain.steps.push(Step::Chain { from: "a".to_owned(), to: "b".to_owned() });
        assert!(!strain.has_room(*now));
        assert!(!strain.has_room(*now + expected - LOOK));
        *now += expected;
        assert!(strain.has_room(*now));
        assert!(strain.pop(*now).is_some());
    }

    #[test]
    fn what_does_not_fit_when_given_back_waits_twice_as_long_each_time() {
        let (mut strain, mut now) = (OverloadControl::new(Instant::now()), Instant::now());
        strain.is_heavy(now);
        for waits in [10, 20, 40, 80, 160, 320, 600, 600] {
            gives_back_after(&mut strain, &mut now, Duration::from_secs(waits));
            now += 2 * LOOK;
            strain.is_heavy(now);
        }
        // One that comes much later is another overload.
        gives_back_after(&mut strain, &mut now, LONGEST);
        now += ROOM;
        strain.is_heavy(now);
        gives_back_after(&mut strain, &mut now, ROOM);
    }
}
