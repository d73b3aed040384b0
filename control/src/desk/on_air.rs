//! The chains on the audio thread: the active one, the incoming one, and the one that is being prepared.

use crate::address::{AddressError, Addresses, Place, Target, Tree};
use crate::desk::chains::{ChainError, Chains};
use crate::desk::history::Move;
use crate::desk::turn::{Command, Ticket};
use crate::desk::values::Values;
use crate::message::Row;
use crate::peer::Peer;
use crate::request::Step;
use crate::update::Update;
use crate::value::{ParamValue, Value};
use lacquer_graph::plan::{Plan, PlanNode};
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;
use thiserror::Error;

/// A chain on the audio thread, or on its way there.
#[derive(Clone, Debug)]
pub struct RunningChain {
    /// Its name.
    pub name: String,
    /// Number that identifies it in commands and events.
    pub generation: u64,
    /// The plan it was built from.
    pub plan: Arc<Plan>,
    /// Its addresses.
    pub addresses: Arc<Addresses>,
    /// Whether a node of it, or the chain itself, had a fault: a swap to it again builds it anew, so that it is tried again.
    pub is_broken: bool,
}

impl RunningChain {
    /// The number of a place among the chain's live values. Between a reload and the swap that it leads to, these are
    /// those of the new file.
    fn position(&self, values: &Values, place: &Place) -> Option<usize> {
        match Arc::ptr_eq(values.addresses(), &self.addresses) {
            true => Some(place.at),
            false => values.addresses().like(place).map(|place| place.at),
        }
    }

    /// The live value at a place.
    pub(super) fn live<'a>(&self, chains: &'a Chains, place: &Place) -> Option<&'a ParamValue> {
        let values = chains.values(&self.name)?;
        values.get(self.position(values, place)?)
    }

    /// Sets the live value at a place; the caller has clipped it.
    pub(super) fn set_live(&self, chains: &mut Chains, place: &Place, value: ParamValue) {
        if let Some(values) = chains.values_mut(&self.name)
            && let Some(at) = self.position(values, place)
        {
            values.set(at, value);
        }
    }

    /// Who changed the value at a place last, and when.
    pub(super) fn author(&self, chains: &Chains, place: &Place) -> Option<(Peer, SystemTime)> {
        let values = chains.values(&self.name)?;
        values.author(self.position(values, place)?)
    }

    /// Records who changed the value at a place.
    pub(super) fn record_author(&self, chains: &mut Chains, place: &Place, by: Peer, now: SystemTime) {
        if let Some(values) = chains.values_mut(&self.name)
            && let Some(at) = self.position(values, place)
        {
            values.record_author(at, by, now);
        }
    }
}

/// Why a value was not set.
#[derive(Debug, Error, PartialEq)]
pub enum SetError {
    /// The address is unknown or the value is invalid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing is on air.
    #[error("no chain is on air")]
    Silence,
    /// There is no such chain.
    #[error(transparent)]
    Chain(#[from] ChainError),
}

/// A change of one value.
#[derive(Clone, Debug)]
pub struct Change {
    /// The parameter, of the newest chain.
    pub place: Arc<Place>,
    /// The same parameter of the chain that fades out, during a swap.
    pub also: Option<Arc<Place>>,
    /// The new value.
    pub value: ParamValue,
    /// The previous value.
    pub from: ParamValue,
    /// Whether the chain on air does not have the value yet; false for a profile that a node learned itself.
    pub is_new: bool,
}

impl Change {
    /// Whether the value differs from the previous one.
    pub(crate) fn is_move(&self) -> bool {
        self.value != self.from
    }

    /// The change as recorded in the history.
    pub(crate) fn as_move(&self) -> Move {
        Move { path: self.place.path.clone(), from: self.from.clone(), to: self.value.clone() }
    }

    /// Updates with the value, one for each address tree.
    pub fn lines(&self) -> Vec<Update> {
        self.place.lines(&self.value)
    }

    /// Whether the chain must be built anew for it.
    pub fn rebuilds(&self) -> bool {
        self.place.row.is_setting && self.is_move() && self.is_new
    }
}

/// What is done when a chain has been prepared, and what is restored when it cannot be.
#[derive(Clone, Debug)]
pub(super) enum Goal {
    /// Start it from silence: the session is new.
    Start,
    /// The station swaps to it by itself.
    Automatic,
    /// A peer asked for it while this chain was the last requested one.
    Swap {
        before: String,
        /// Whether it is a step in the history of swaps.
        step: Option<Step>,
    },
    /// A setting of it has changed.
    Setting {
        /// The changes to take back, each with who asked for it and at which address.
        changes: Vec<(Peer, String, Change)>,
    },
    /// A scene of it was recalled.
    Scene {
        name: String,
        /// Its values before.
        values: Values,
    },
    /// One of A and B is of it.
    Compare {
        b: bool,
        /// The other one, which was active.
        other: super::values::CompareState,
        /// Its values before.
        values: Values,
    },
}

/// A chain that is to be prepared.
#[derive(Clone, Debug)]
pub(super) struct Wanted {
    pub chain: String,
    pub by: Peer,
    /// Others who asked for the same chain before.
    pub also: Vec<Peer>,
    pub goal: Goal,
}

impl Wanted {
    pub(super) fn new(chain: String, by: Peer, goal: Goal) -> Self {
        Self { chain, by, also: Vec::new(), goal }
    }

    /// Whether this peer waits for it.
    pub(super) fn is_awaited_by(&self, peer: Peer) -> bool {
        self.by == peer || self.also.contains(&peer)
    }
}

/// The chain that is being prepared.
#[derive(Clone, Debug)]
pub(super) struct Preparing {
    pub ticket: Ticket,
    pub wanted: Wanted,
    /// Its generation and plan, once it is being built.
    pub build: Option<(u64, Arc<Plan>)>,
}

/// The chains on the audio thread, and on their way there.
#[derive(Clone, Debug, Default)]
pub struct OnAir {
    pub(super) active: Option<RunningChain>,
    pub(super) incoming: Option<RunningChain>,
    pub(super) preparing: Option<Preparing>,
    /// The chain requested during a swap; it follows when that is done.
    pub(super) queued: Option<Wanted>,
    generation: u64,
    /// Who asked for the chain that was swapped in last.
    pub(super) swapped_by: Option<Peer>,
}

impl OnAir {
    /// The newest chain, whose addresses are valid: the incoming one during a swap, else the active one.
    pub fn newest(&self) -> Option<&RunningChain> {
        self.incoming.as_ref().or(self.active.as_ref())
    }

    /// The name of the newest chain, or nothing.
    pub fn newest_name(&self) -> String {
        self.newest().map_or_else(String::new, |running| running.name.clone())
    }

    /// The chains that are being prepared, or will be when the running swap is done.
    pub(super) fn wanted(&self) -> impl Iterator<Item = &Wanted> {
        // A setting of the newest chain that waits holds up none of its values.
        let newest = self.newest().map(|newest| newest.name.as_str());
        let queued = self.queued.iter().filter(move |queued| Some(queued.chain.as_str()) != newest);
        self.preparing.iter().map(|preparing| &preparing.wanted).chain(queued)
    }

    /// The name of the chain requested last.
    pub fn last_requested(&self) -> String {
        let preparing = self.preparing.as_ref().map(|preparing| &preparing.wanted);
        let wanted = self.queued.as_ref().or(preparing).map(|wanted| wanted.chain.clone());
        wanted.unwrap_or_else(|| self.newest_name())
    }

    /// The active chain; during a swap the previous one.
    pub fn active(&self) -> Option<&RunningChain> {
        self.active.as_ref()
    }

    /// Whether a swap runs.
    pub fn is_swapping(&self) -> bool {
        self.incoming.is_some()
    }

    /// What a chain on the audio thread plays: its plan with the live values that it was sent.
    pub(super) fn playing(&self, chains: &Chains, running: &RunningChain) -> Plan {
        let mut plan = Plan::clone(&running.plan);
        for place in running.addresses.all().iter().filter(|place| !place.row.is_setting) {
            let Some(value) = running.live(chains, place).and_then(ParamValue::number) else { continue };
            match place.target {
                Target::Row { node, row } => plan.nodes[node].values[row] = value,
                Target::Enabled { node } => plan.nodes[node].enabled = value >= 0.5,
                Target::Text { .. } => {}
            }
        }
        plan
    }

    /// A node, or the chain itself, had a fault.
    pub(super) fn record_fault(&mut self, generation: u64) {
        let both = [&mut self.active, &mut self.incoming].into_iter().flatten();
        both.filter(|running| running.generation == generation).for_each(|running| running.is_broken = true);
    }

    /// The number of a new chain.
    pub(super) fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    fn both(&self) -> impl DoubleEndedIterator<Item = &RunningChain> {
        [&self.active, &self.incoming].into_iter().flatten()
    }

    /// The chain of this generation on the audio thread.
    pub fn chain(&self, generation: u64) -> Option<&RunningChain> {
        self.both().find(|running| running.generation == generation)
    }

    /// A node of a chain on the audio thread.
    pub fn node(&self, generation: u64, node: usize) -> Option<&PlanNode> {
        self.chain(generation)?.plan.nodes.get(node)
    }

    /// The audio thread reports that the swap to `generation` is done. Returns what was requested meanwhile.
    pub(super) fn swap_done(&mut self, generation: u64) -> Option<Wanted> {
        if self.incoming.as_ref().is_some_and(|running| running.generation == generation) {
            self.active = self.incoming.take();
        }
        if self.incoming.is_some() { None } else { self.queued.take() }
    }

    /// The current value of a parameter of the newest chain.
    pub fn value(&self, chains: &Chains, place: &Place) -> Option<ParamValue> {
        self.newest()?.live(chains, place).cloned()
    }

    /// The change that moves a value by `step` (as a fraction of its range) along its taper. A stepped value moves by
    /// one step at least.
    pub fn nudge(&self, chains: &Chains, address: &str, step: f64) -> Result<Change, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let [(place, _)] = newest.addresses.find(address)?[..] else {
            return Err(AddressError::NoMatch(newest.name.clone()).into());
        };
        let row = &place.row;
        let now =
            self.value(chains, place).unwrap_or(place.default()).number().ok_or(AddressError::IsText)?;
        let value = row.from_norm(row.to_norm(now) + step).ok_or(AddressError::NotANumber)?;
        let is_stuck = value == now && step != 0.0 && row.is_whole();
        let value = if is_stuck { (now + step.signum()).clamp(row.min, row.max) } else { value };
        Ok(self.change(chains, place, value.into()))
    }

    /// The changes that set the values an address or pattern matches, each with the tree it was addressed in. If a
    /// pattern matches a value in several trees, the first one counts.
    pub(crate) fn changes_at(
        &self,
        chains: &Chains,
        address: &str,
        value: &Value,
    ) -> Result<Vec<(Change, Tree)>, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let mut places = newest.addresses.find(address)?;
        let mut seen = HashSet::new();
        places.retain(|(place, _)| seen.insert(place.at));
        let read = |(place, tree): &(&Arc<Place>, Tree)| {
            Ok((self.change(chains, place, place.read(value, *tree)?), *tree))
        };
        // A pattern sets those of its matches that accept the value.
        match places.as_slice() {
            [one] => Ok(vec![read(one)?]),
            many => {
                let (good, bad): (Vec<_>, Vec<_>) = many.iter().map(read).partition(Result::is_ok);
                match (good.is_empty(), bad.into_iter().find_map(Result::err)) {
                    (true, Some(error)) => Err(AddressError::into(error)),
                    _ => Ok(good.into_iter().filter_map(Result::ok).collect()),
                }
            }
        }
    }

    /// A change of a parameter of the newest chain.
    fn change(&self, chains: &Chains, place: &Arc<Place>, value: ParamValue) -> Change {
        let from = self.value(chains, place).unwrap_or(place.default());
        let fading = self.incoming.as_ref().and(self.active.as_ref());
        let also = fading.and_then(|running| running.addresses.like(place)).cloned();
        Change { place: Arc::clone(place), also, value, from, is_new: true }
    }

    /// The changes that set the values at these paths. Paths that the newest chain lacks are ignored.
    pub fn changes<'a>(
        &self,
        chains: &Chains,
        values: impl IntoIterator<Item = (&'a str, ParamValue)>,
    ) -> Vec<Change> {
        let Some(newest) = self.newest() else { return Vec::new() };
        let change = |(path, value): (&str, ParamValue)| {
            let place = newest.addresses.at(path)?;
            Some(self.change(chains, place, place.clip(&value)?))
        };
        values.into_iter().filter_map(change).collect()
    }

    /// Writes changes to the live values of the newest chain, and during a swap to those of the previous one too, where
    /// it has the same parameter.
    pub(super) fn write(&self, chains: &mut Chains, changes: &[Change]) {
        for change in changes {
            // The path of a file and a learned profile belong to one chain only.
            let most = if change.place.is_text() { 1 } else { 2 };
            for (running, place) in self.homes(change).take(most) {
                running.set_live(chains, place, change.value.clone());
            }
        }
    }

    /// The chains on the audio thread that have the parameter of a change, the newest first, each with its place there.
    fn homes<'a>(&'a self, change: &'a Change) -> impl Iterator<Item = (&'a RunningChain, &'a Place)> {
        let newest = self.newest().map(|running| (running, &*change.place));
        newest.into_iter().chain(self.active.as_ref().zip(change.also.as_deref()))
    }

    /// The commands that a change needs: for each chain on the audio thread that has the parameter.
    pub(super) fn commands(&self, change: &Change) -> Vec<Command> {
        let command = |(running, place): (&RunningChain, &Place)| {
            command_of(running.generation, place, change.value.number()?)
        };
        self.homes(change).filter_map(command).collect()
    }

    /// The commands that bring a chain to its live values: those that have moved since it was planned, or all.
    pub(super) fn catch_up(&self, chains: &Chains, running: &RunningChain, is_all: bool) -> Vec<Command> {
        let command = |place: &Arc<Place>| {
            let node = running.plan.nodes.get(place.target.node())?;
            let planned = match place.target {
                Target::Row { row, .. } => *node.values.get(row)?,
                Target::Enabled { .. } => f64::from(u8::from(node.enabled)),
                Target::Text { .. } => return None,
            };
            let value = running.live(chains, place)?.number().filter(|value| is_all || *value != planned)?;
            let is_live = !place.row.is_setting && !place.row.is_momentary;
            is_live.then(|| command_of(running.generation, place, value)).flatten()
        };
        running.addresses.all().iter().filter_map(command).collect()
    }
}

fn command_of(generation: u64, place: &Place, value: f64) -> Option<Command> {
    match place.target {
        Target::Row { node, row } => Some(Command::Set {
            target: Row { generation, node: node as u32, row: row as u32 },
            value: place.row.audio(value),
        }),
        Target::Enabled { node } => Some(Command::Enable { generation, node: node as u32, on: value >= 0.5 }),
        // A text is a setting: it changes by a rebuild.
        Target::Text { .. } => None,
    }
}
