//! What is on air, what comes next, and the live values of both: the conductor's picture of the seat.

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

/// A chain that the seat has, or is about to have.
pub struct RunningChain {
    /// Its name.
    pub name: String,
    /// What tells it from others on the wire.
    pub generation: u64,
    /// What it was built from.
    pub plan: Plan,
    /// Its addresses.
    pub addresses: Addresses,
}

/// Why a value was not set.
#[derive(Debug, Error)]
pub enum SetError {
    /// The address or the value is wrong.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// Nothing is on air.
    #[error("no chain is on air")]
    Silence,
    /// A setting that the station cannot hold.
    #[error(transparent)]
    Refused(#[from] ChainError),
}

/// A value that was set.
#[derive(Clone, Debug)]
pub struct Change {
    /// Where.
    pub place: Place,
    /// Its value now.
    pub value: ParamValue,
    /// Its value before.
    pub from: ParamValue,
    /// Whether the chain on air does not have it yet: not so for what it has learned itself.
    pub is_new: bool,
}

impl Change {
    /// Whether it moves anything.
    pub fn is_move(&self) -> bool {
        self.value != self.from
    }

    /// As the history keeps it.
    pub fn as_move(&self) -> Move {
        Move { path: self.place.path.clone(), from: self.from.clone(), to: self.value.clone() }
    }

    /// The value in all its trees.
    pub fn lines(&self) -> Vec<Update> {
        self.place.lines(&self.value)
    }

    fn rebuilds(&self) -> bool {
        self.place.row.is_setting && self.is_move() && self.is_new
    }
}

/// What came of setting values.
pub struct Changes {
    /// What was set.
    pub changes: Vec<Change>,
    /// What the audio thread is to be told.
    pub commands: Vec<ToAudio>,
    /// Whether a setting was among them, so that the chain has to be swapped for itself.
    pub rebuild: bool,
}

/// The conductor's picture of the seat.
pub struct OnAir {
    /// All chains.
    pub chains: Chains,
    on_air: Option<RunningChain>,
    incoming: Option<RunningChain>,
    /// The chain asked for while a swap runs.
    queued: Option<String>,
    generation: u64,
    freed: Handle,
    warmup_ms: f64,
    fade_ms: f64,
}

impl OnAir {
    /// Nothing on air yet. `freed` is where chains go in the end.
    pub fn new(chains: Chains, freed: Handle, swap_ms: (f64, f64)) -> Self {
        let (warmup_ms, fade_ms) = swap_ms;
        Self { chains, on_air: None, incoming: None, queued: None, generation: 0, freed, warmup_ms, fade_ms }
    }

    /// Sets how long swaps take: warm-up and fade, in ms.
    pub fn set_swap_ms(&mut self, swap_ms: (f64, f64)) {
        (self.warmup_ms, self.fade_ms) = swap_ms;
    }

    /// The chain whose addresses are answered: the newest one.
    pub fn newest(&self) -> Option<&RunningChain> {
        self.incoming.as_ref().or(self.on_air.as_ref())
    }

    /// The name of the chain that was asked for last.
    pub fn last_requested(&self) -> String {
        self.queued.clone().or_else(|| self.newest().map(|running| running.name.clone())).unwrap_or_default()
    }

    /// The chain that is heard, or was before the swap that runs.
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

    /// Puts a chain on air from silence.
    pub fn start(&mut self, name: &str) -> Result<ToAudio, ChainError> {
        let plan = self.chains.plan_with_cached_files(name)?;
        let (chain, running) = self.build(name, plan);
        (self.incoming, self.queued) = (None, None);
        self.on_air = Some(running);
        Ok(ToAudio::Start(Owned::new(&self.freed, chain)))
    }

    /// Begins a swap, or notes it for when the one that runs is done; the last asked for wins. What fails
    /// changes nothing.
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

    /// The seat says that `generation` is on air alone. Gives the chain that was asked for meanwhile.
    pub fn swap_done(&mut self, generation: u64) -> Option<String> {
        if self.incoming.as_ref().is_some_and(|running| running.generation == generation) {
            self.on_air = self.incoming.take();
        }
        self.queued.take()
    }

    /// The name of a chain that the seat has.
    pub fn name(&self, generation: u64) -> Option<&str> {
        let both = [&self.incoming, &self.on_air].into_iter().flatten();
        both.map(|running| (running.generation, running.name.as_str()))
            .find_map(|(known, name)| (known == generation).then_some(name))
    }

    /// The name of a node of a chain that the seat has.
    pub fn node(&self, generation: u64, node: usize) -> Option<&lacquer_graph::plan::PlanNode> {
        let both = [&self.incoming, &self.on_air].into_iter().flatten();
        both.filter(|running| running.generation == generation)
            .find_map(|running| running.plan.nodes.get(node))
    }

    /// The live values of a chain, all that are states, by their paths.
    pub fn values_of(&self, name: &str) -> BTreeMap<String, ParamValue> {
        let Some(values) = self.chains.values(name) else { return BTreeMap::new() };
        let all = |plan: &Plan, addresses: &Addresses| {
            let states = addresses.all().iter().filter(|place| !place.row.is_momentary);
            states.filter_map(|place| Some((place.path.clone(), live(values, plan, place)?))).collect()
        };
        // What is on air has its values whether or not it could be planned again.
        match self.newest().filter(|newest| newest.name == name) {
            Some(newest) => all(&newest.plan, &newest.addresses),
            None => self.chains.plan(name).map(|plan| all(&plan, &Addresses::of(&plan))).unwrap_or_default(),
        }
    }

    /// The value behind a place of the newest chain.
    pub fn value(&self, place: &Place) -> Option<ParamValue> {
        let running = self.newest()?;
        live(self.chains.values(&running.name)?, &running.plan, place)
    }

    /// Where the value of an address would be if it went `way` (in parts of its whole way) along its taper. What
    /// has steps goes one at least.
    pub fn nudge(&self, address: &str, way: f64) -> Result<Change, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let [(place, _)] = newest.addresses.find(address)?[..] else {
            return Err(AddressError::NoMatch(newest.name.clone()).into());
        };
        let row = &place.row;
        let now = self.value(place).unwrap_or(place.default()).number().ok_or(AddressError::IsText)?;
        let value = row.from_norm(row.to_norm(now) + way).ok_or(AddressError::NotANumber)?;
        let is_stuck = value == now && way != 0.0 && row.is_whole();
        let value = if is_stuck { (now + way.signum()).clamp(row.min, row.max) } else { value };
        Ok(self.change(place, value.into()))
    }

    /// Sets what an address or pattern stands for.
    pub fn set(&mut self, address: &str, value: &Value) -> Result<Changes, SetError> {
        let changes = self.changes_at(address, value)?;
        self.apply(changes.into_iter().map(|(change, _)| change).collect())
    }

    /// The changes that setting what an address or pattern stands for would bring, and in which tree each was asked.
    /// Where a pattern means a value in several trees, it is set in the first of them.
    pub fn changes_at(&self, address: &str, value: &Value) -> Result<Vec<(Change, Tree)>, SetError> {
        let newest = self.newest().ok_or(SetError::Silence)?;
        let mut places = newest.addresses.find(address)?;
        let mut seen = HashSet::new();
        places.retain(|(place, _)| seen.insert(place.path.as_str()));
        let read =
            |(place, tree): &(&Place, Tree)| Ok((self.change(place, place.read(value, *tree)?), *tree));
        // A pattern means those of its matches that can take such a value.
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

    /// A change of a place of the newest chain to a value.
    fn change(&self, place: &Place, value: ParamValue) -> Change {
        let from = self.value(place).unwrap_or(place.default());
        Change { place: place.clone(), value, from, is_new: true }
    }

    /// The changes that bring the values at these paths about. What the newest chain lacks is left out.
    pub fn changes<'a>(&self, values: impl IntoIterator<Item = (&'a str, ParamValue)>) -> Vec<Change> {
        let Some(newest) = self.newest() else { return Vec::new() };
        let change = |(path, value): (&str, ParamValue)| {
            let place = newest.addresses.at(path)?;
            Some(self.change(place, place.clip(&value)?))
        };
        values.into_iter().filter_map(change).collect()
    }

    /// Writes values into a chain that is not on air. Where it cannot be planned with them, none is written.
    pub fn store_values(&mut self, name: &str, wanted: &BTreeMap<String, ParamValue>) -> Result<(), ChainError> {
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

    /// Takes changes over: on the newest chain, and during a swap on the other one as well where it has the same.
    /// Where one of them cannot be, none is.
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

    /// Writes changes into the live values of the chains they concern.
    fn write(&mut self, changes: &[Change]) {
        for change in changes {
            // A path means something to one chain only, and what was learned was learned there.
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
                // A text is a setting.
                Target::Text { .. } => None,
            }
        };
        [&self.on_air, &self.incoming].into_iter().flatten().filter_map(command).collect()
    }

    /// Forgets what is on air: the audio thread has ended.
    pub fn clear(&mut self) {
        (self.on_air, self.incoming, self.queued) = (None, None, None);
    }

    /// Whether the newest chain was built from files that have changed since `plan` was made.
    fn has_old_files(&self, plan: &Plan) -> bool {
        let impulses = |plan: &Plan| -> Vec<Arc<Data>> {
            let data = plan.nodes.iter().flat_map(|node| &node.data).flatten();
            data.filter(|data| matches!(***data, Data::Impulse(_))).cloned().collect()
        };
        self.newest().is_some_and(|newest| impulses(&newest.plan) != impulses(plan))
    }

    /// Takes over the files of a reload. Gives the chain to swap to where what is on air is no longer what
    /// its file says.
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
        // What is clipped to its place is of its shape.
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

/// The place of another chain with the same address, if its row is the same.
fn counterpart<'a>(running: &'a RunningChain, place: &Place) -> Option<&'a Place> {
    running.addresses.at(&place.path).filter(|other| other.row == place.row)
}
