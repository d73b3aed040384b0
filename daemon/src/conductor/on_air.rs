//! The conductor's view of the engine: the active chain, the incoming chain, and the live values of both.

use crate::conductor::chains::{ChainError, Chains};
use crate::station::load::{ChainFile, frames};
use basedrop::{Handle, Owned};
use lacquer_control::address::{AddressError, Addresses, Place, Target, Tree};
use lacquer_control::desk::history::Move;
use lacquer_control::desk::values::Values;
use lacquer_control::message::{Row, ToAudio};
use lacquer_control::update::Update;
use lacquer_control::value::{ParamValue, Value};
use lacquer_graph::Chain;
use lacquer_graph::param::text::Data;
use lacquer_graph::plan::Plan;
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use thiserror::Error;

/// A chain on the audio thread, or on its way there.
pub struct RunningChain {
    /// Its name.
    pub name: String,
    /// Number that identifies it in commands and events.
    pub generation: u64,
    /// The plan it was built from.
    pub plan: Plan,
    /// Its addresses.
    pub addresses: Addresses,
}

/// Why a value was not set.
#[derive(Debug, Error)]
pub enum SetError {
    /// The address is unknown or the value is invalid.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing is on air.
    #[error("no chain is on air")]
    Silence,
    /// The chain cannot be planned with this setting.
    #[error(transparent)]
    Refused(#[from] ChainError),
}

/// A change of one value.
#[derive(Clone, Debug)]
pub struct Change {
    /// The parameter.
    pub place: Place,
    /// The new value.
    pub value: ParamValue,
    /// The previous value.
    pub from: ParamValue,
    /// Whether the chain on air does not have the value yet; false for a profile that a node learned itself.
    pub is_new: bool,
}

impl Change {
    /// Whether the value differs from the previous one.
    pub fn is_move(&self) -> bool {
        self.value != self.from
    }

    /// The change as recorded in the history.
    pub fn as_move(&self) -> Move {
        Move { path: self.place.path.clone(), from: self.from.clone(), to: self.value.clone() }
    }

    /// Updates with the value, one for each address tree.
    pub fn lines(&self) -> Vec<Update> {
        self.place.lines(&self.value)
    }

    fn rebuilds(&self) -> bool {
        self.place.row.is_setting && self.is_move() && self.is_new
    }
}

/// The outcome of setting values.
pub struct Changes {
    /// The applied changes.
    pub changes: Vec<Change>,
    /// Commands for the audio thread.
    pub commands: Vec<ToAudio>,
    /// Whether a setting changed, so that the chain must be rebuilt and swapped in.
    pub rebuild: bool,
}

/// The conductor's view of the engine.
pub struct OnAir {
    /// All chains.
    pub chains: Chains,
    on_air: Option<RunningChain>,
    incoming: Option<RunningChain>,
    /// The chain requested during a swap; it follows when that is done.
    queued: Option<String>,
    generation: u64,
    freed: Handle,
    warmup_ms: f64,
    fade_ms: f64,
}

impl OnAir {
    /// No chain is on air yet. `freed` belongs to the collector that frees chains.
    pub fn new(chains: Chains, freed: Handle, swap_ms: (f64, f64)) -> Self {
        let (warmup_ms, fade_ms) = swap_ms;
        Self { chains, on_air: None, incoming: None, queued: None, generation: 0, freed, warmup_ms, fade_ms }
    }

    /// Sets the times of a swap: warm-up and fade, in ms.
    pub fn set_swap_ms(&mut self, swap_ms: (f64, f64)) {
        (self.warmup_ms, self.fade_ms) = swap_ms;
    }

    /// The newest chain, whose addresses are valid: the incoming one during a swap, else the active one.
    pub fn newest(&self) -> Option<&RunningChain> {
        self.incoming.as_ref().or(self.on_air.as_ref())
    }

    /// The name of the chain requested last.
    pub fn last_requested(&self) -> String {
        self.queued.clone().or_else(|| self.newest().map(|running| running.name.clone())).unwrap_or_default()
    }

    /// The active chain; during a swap the previous one.
    pub fn active(&self) -> Option<&RunningChain> {
        self.on_air.as_ref()
    }

    /// Whether a swap runs.
    pub fn is_swapping(&self) -> bool {
        self.incoming.is_some()
    }

    fn build(&mut self, name: &str, plan: Plan) -> (Chain, RunningChain) {
        self.generation += 1;
        let chain = Chain::new(&plan, self.generation);
        let addresses = Addresses::of(&plan);
        (chain, RunningChain { name: name.to_owned(), generation: self.generation, plan, addresses })
    }

    /// Starts a chain from silence.
    pub fn start(&mut self, name: &str) -> Result<ToAudio, ChainError> {
        let plan = self.chains.plan_with_cached_files(name)?;
        let (chain, running) = self.build(name, plan);
        (self.incoming, self.queued) = (None, None);
        self.on_air = Some(running);
        Ok(ToAudio::Start(Owned::new(&self.freed, chain)))
    }

    /// Begins a swap, or queues it until the running one is done; the last request wins. A swap that fails changes
    /// nothing.
    pub fn swap(&mut self, name: &str) -> Result<Option<ToAudio>, ChainError> {
        self.chains.check_name(name)?;
        if self.incoming.is_some() {
            self.queued = Some(name.to_owned());
            return Ok(None);
        }
        let plan = self.chains.plan(name)?;
        let (mut chain, running) = self.build(name, plan);
        if let Some(before) = &self.on_air {
            chain.follow(&running.plan, &before.plan);
        }
        self.incoming = Some(running);
        let frames = |ms: f64| frames(ms, self.chains.rate()) as u32;
        let (warmup, fade) = (frames(self.warmup_ms), frames(self.fade_ms));
        Ok(Some(ToAudio::Swap { chain: Owned::new(&self.freed, chain), warmup, fade }))
    }

    /// The audio thread reports that the swap to `generation` is done. Returns the queued chain.
    pub fn swap_done(&mut self, generation: u64) -> Option<String> {
        if self.incoming.as_ref().is_some_and(|running| running.generation == generation) {
            self.on_air = self.incoming.take();
        }
        self.queued.take()
    }

    /// The name of a chain on the audio thread.
    pub fn name(&self, generation: u64) -> Option<&str> {
        let both = [&self.incoming, &self.on_air].into_iter().flatten();
        both.map(|running| (running.generation, running.name.as_str()))
            .find_map(|(known, name)| (known == generation).then_some(name))
    }

    /// A node of a chain on the audio thread.
    pub fn node(&self, generation: u64, node: usize) -> Option<&lacquer_graph::plan::PlanNode> {
        let both = [&self.incoming, &self.on_air].into_iter().flatten();
        both.filter(|running| running.generation == generation)
            .find_map(|running| running.plan.nodes.get(node))
    }

    /// The live values of a chain by their paths, without momentary ones.
    pub fn values_of(&self, name: &str) -> BTreeMap<String, ParamValue> {
        let Some(values) = self.chains.values(name) else { return BTreeMap::new() };
        let all = |plan: &Plan, addresses: &Addresses| {
            let states = addresses.all().iter().filter(|place| !place.row.is_momentary);
            states.filter_map(|place| Some((place.path.clone(), live(values, plan, place)?))).collect()
        };
        // The newest chain has a plan already, even if its files no longer allow one.
        match self.newest().filter(|newest| newest.name == name) {
            Some(newest) => all(&newest.plan, &newest.addresses),
            None => self.chains.plan(name).map(|plan| all(&plan, &Addresses::of(&plan))).unwrap_or_default(),
        }
    }

    /// The current value of a parameter of the newest chain.
    pub fn value(&self, place: &Place) -> Option<ParamValue> {
        let running = self.newest()?;
        live(self.chains.values(&running.name)?, &running.plan, place)
    }

    /// The change that moves a value by `step` (as a fraction of its range) along its taper. A stepped value moves by one
    /// step at least.
    pub fn nudge(&self, address: &str, step: f64) -> Result<Change, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let [(place, _)] = newest.addresses.find(address)?[..] else {
            return Err(AddressError::NoMatch(newest.name.clone()).into());
        };
        let row = &place.row;
        let now = self.value(place).unwrap_or(place.default()).number().ok_or(AddressError::IsText)?;
        let value = row.from_norm(row.to_norm(now) + step).ok_or(AddressError::NotANumber)?;
        let is_stuck = value == now && step != 0.0 && row.is_whole();
        let value = if is_stuck { (now + step.signum()).clamp(row.min, row.max) } else { value };
        Ok(self.change(place, value.into()))
    }

    /// Sets the values that an address or pattern matches.
    pub fn set(&mut self, address: &str, value: &Value) -> Result<Changes, SetError> {
        let changes = self.changes_at(address, value)?;
        self.apply(changes.into_iter().map(|(change, _)| change).collect())
    }

    /// The changes that set the values an address or pattern matches, each with the tree it was addressed in. If a pattern
    /// matches a value in several trees, the first one counts.
    pub fn changes_at(&self, address: &str, value: &Value) -> Result<Vec<(Change, Tree)>, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let mut places = newest.addresses.find(address)?;
        let mut seen = HashSet::new();
        places.retain(|(place, _)| seen.insert(place.path.as_str()));
        let read =
            |(place, tree): &(&Place, Tree)| Ok((self.change(place, place.read(value, *tree)?), *tree));
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
    fn change(&self, place: &Place, value: ParamValue) -> Change {
        let from = self.value(place).unwrap_or(place.default());
        Change { place: place.clone(), value, from, is_new: true }
    }

    /// The changes that set the values at these paths. Paths that the newest chain lacks are ignored.
    pub fn changes<'a>(&self, values: impl IntoIterator<Item = (&'a str, ParamValue)>) -> Vec<Change> {
        let Some(newest) = self.newest() else { return Vec::new() };
        let change = |(path, value): (&str, ParamValue)| {
            let place = newest.addresses.at(path)?;
            Some(self.change(place, place.clip(&value)?))
        };
        values.into_iter().filter_map(change).collect()
    }

    /// Stores values in a chain that is not on air. If the chain cannot be planned with them, none is stored.
    pub fn store_values(
        &mut self,
        name: &str,
        wanted: &BTreeMap<String, ParamValue>,
    ) -> Result<(), ChainError> {
        let plan = self.chains.plan(name)?;
        let before = self.chains.values(name).cloned();
        let addresses = Addresses::of(&plan);
        let Some(values) = self.chains.values_mut(name) else { return Ok(()) };
        for place in addresses.all() {
            let value = wanted.get(&place.path).and_then(|value| place.clip(value));
            if let (Some(value), Some(node)) = (value, plan.nodes.get(place.target.node())) {
                write(values, &node.id, place.target, &value);
            }
        }
        let planned = self.chains.plan(name).map(drop);
        if planned.is_err()
            && let (Some(values), Some(before)) = (self.chains.values_mut(name), before)
        {
            *values = before;
        }
        planned
    }

    /// Applies changes to the newest chain, and during a swap to the previous one too, where it has the same parameter.
    /// If one of them cannot be applied, none is.
    pub fn apply(&mut self, mut changes: Vec<Change>) -> Result<Changes, SetError> {
        let name = self.newest().ok_or(SetError::Silence)?.name.clone();
        self.write(&changes);
        let rebuild = changes.iter().any(Change::rebuilds);
        if rebuild && let Err(why) = self.chains.plan(&name) {
            changes.iter_mut().for_each(|change| change.value.clone_from(&change.from));
            self.write(&changes);
            return Err(SetError::Refused(why));
        }
        let commands = changes.iter().filter(|change| !change.place.row.is_setting);
        let commands = commands.flat_map(|change| self.commands(change)).collect();
        Ok(Changes { changes, commands, rebuild })
    }

    /// Writes changes to the live values of the chains they apply to.
    fn write(&mut self, changes: &[Change]) {
        for change in changes {
            // The path of a file and a learned profile belong to one chain only.
            let most = if change.place.is_text() { 1 } else { 2 };
            let chains = [&self.incoming, &self.on_air].into_iter().flatten();
            for running in chains.take(most) {
                let Some(place) = counterpart(running, &change.place) else { continue };
                let Some(node) = running.plan.nodes.get(place.target.node()) else { continue };
                let Some(values) = self.chains.values_mut(&running.name) else { continue };
                write(values, &node.id, place.target, &change.value);
            }
        }
    }

    fn commands(&self, change: &Change) -> Vec<ToAudio> {
        let command = |running: &RunningChain| {
            let place = counterpart(running, &change.place)?;
            let (generation, value) = (running.generation, change.value.number()?);
            match place.target {
                Target::Row { node, row } => Some(ToAudio::Set {
                    target: Row { generation, node: node as u32, row: row as u32 },
                    value: place.row.audio(value),
                }),
                Target::Enabled { node } => {
                    Some(ToAudio::Enable { generation, node: node as u32, on: value >= 0.5 })
                }
                // A text is a setting: it changes by a rebuild.
                Target::Text { .. } => None,
            }
        };
        [&self.on_air, &self.incoming].into_iter().flatten().filter_map(command).collect()
    }

    /// Clears all chains: the audio thread has ended.
    pub fn clear(&mut self) {
        (self.on_air, self.incoming, self.queued) = (None, None, None);
    }

    /// Whether the newest chain was built from other impulses than those in `plan`.
    fn has_old_files(&self, plan: &Plan) -> bool {
        let impulses = |plan: &Plan| -> Vec<Arc<Data>> {
            let data = plan.nodes.iter().flat_map(|node| &node.data).flatten();
            data.filter(|data| matches!(***data, Data::Impulse(_))).cloned().collect()
        };
        self.newest().is_some_and(|newest| impulses(&newest.plan) != impulses(plan))
    }

    /// Applies the files of a reload. Returns the chain to swap to if the chain on air differs from its file.
    pub fn reread(
        &mut self,
        chains: &[ChainFile],
        latency_ms: Option<f64>,
        reset: bool,
        start: &str,
    ) -> Option<String> {
        let name = self.last_requested();
        let before = self.chains.plan(&name).ok();
        self.chains.reread(chains, latency_ms, reset);
        match self.chains.plan(&name) {
            Ok(plan) if before.as_ref() == Some(&plan) && !self.has_old_files(&plan) => None,
            Ok(_) => Some(name),
            Err(_) => Some(start.to_owned()),
        }
    }
}

fn write(values: &mut Values, id: &str, target: Target, value: &ParamValue) {
    match (target, value) {
        (Target::Row { row, .. }, ParamValue::Number(value)) => values.set(id, row, *value),
        (Target::Enabled { .. }, ParamValue::Number(value)) => values.enable(id, *value >= 0.5),
        (Target::Text { text, .. }, ParamValue::Text(value)) => values.set_text(id, text, value),
        // `Place::clip` lets no other combination pass.
        _ => {}
    }
}

fn live(values: &Values, plan: &Plan, place: &Place) -> Option<ParamValue> {
    let id = &plan.nodes.get(place.target.node())?.id;
    match place.target {
        Target::Row { row, .. } => values.get(id, row).map(ParamValue::Number),
        Target::Text { text, .. } => values.text(id, text).map(|text| ParamValue::Text(text.to_owned())),
        Target::Enabled { .. } => values.enabled(id).map(ParamValue::from),
    }
}

/// The parameter with the same address in another chain, if its row is the same.
fn counterpart<'a>(running: &'a RunningChain, place: &Place) -> Option<&'a Place> {
    running.addresses.at(&place.path).filter(|other| other.row == place.row)
}
