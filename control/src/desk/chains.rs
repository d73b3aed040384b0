//! The chains of the station, with their live values.

use crate::address::Addresses;
use crate::desk::values::Values;
use crate::peer::Peer;
use crate::value::ParamValue;
use lacquer_graph::file::error::Mistake;
use lacquer_graph::file::spec::Spec;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::plan::{Io, Plan};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;
use thiserror::Error;

/// A valid chain file.
#[derive(Clone, Debug)]
pub struct ChainFile {
    /// The name of the chain: the one in the file, or the file's own name.
    pub name: String,
    /// Its path.
    pub path: PathBuf,
    /// The parsed chain.
    pub spec: Spec,
}

impl ChainFile {
    /// The folder that paths in it are relative to.
    pub fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }
}

/// A chain to be planned.
#[derive(Clone, Debug)]
pub struct ToPlan {
    /// Its file.
    pub file: Arc<ChainFile>,
    /// The chain with its live values.
    pub spec: Spec,
}

/// Why a chain cannot go on air.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum ChainError {
    /// The station has no chain of this name.
    #[error("no chain \"{name}\"{hint}; there are {allowed}")]
    Unknown {
        /// The requested name.
        name: String,
        /// The nearest known name.
        hint: Hint,
        /// All names.
        allowed: String,
    },
    /// The chain file or its live values have mistakes.
    #[error("{}", problems(.0))]
    Mistakes(Vec<Mistake>),
    /// Its latency is larger than the latency of the station.
    #[error(
        "the chain needs {needed_ms:.2} ms of latency, the station has {total_ms:.2} ms; raise latency: in the station file and reload"
    )]
    TooLate {
        /// Latency of the chain, in ms.
        needed_ms: f64,
        /// Latency of the station, in ms.
        total_ms: f64,
    },
    /// The task that prepares it came to no end.
    #[error("{0}")]
    Unfinished(String),
}

fn problems(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| mistake.problem.to_string()).collect::<Vec<_>>().join("; ")
}

/// A chain of the station.
#[derive(Clone, Debug)]
struct Entry {
    file: Arc<ChainFile>,
    /// Its live values, by its addresses, which depend on the file alone.
    values: Values,
    /// Its latency in frames with its live values; `None` where it has no plan.
    latency: Option<usize>,
}

/// All chains of the station, at one sample rate.
#[derive(Clone, Debug)]
pub struct Chains {
    entries: Vec<Entry>,
    io: Io,
    rate: f64,
    latency_ms: Option<f64>,
    latency: usize,
}

impl Chains {
    /// The chains of a station at `rate` Hz, each with its plan at this rate.
    pub fn new(files: Vec<(ChainFile, Arc<Plan>)>, io: Io, rate: f64, latency_ms: Option<f64>) -> Self {
        let entry = |(file, plan): (ChainFile, Arc<Plan>)| Entry {
            values: Values::of(&Arc::new(Addresses::of(&plan)), &file.spec),
            latency: Some(plan.latency),
            file: Arc::new(file),
        };
        let entries = files.into_iter().map(entry).collect();
        let mut chains = Self { entries, io, rate, latency_ms, latency: 0 };
        chains.align();
        chains
    }

    /// Computes the latency that all chains are padded to.
    pub(crate) fn align(&mut self) {
        let largest = self.entries.iter().filter_map(|entry| entry.latency).max().unwrap_or(0);
        self.latency = largest.max(self.latency_ms.map_or(0, |ms| frames(ms, self.rate)));
    }

    /// The latency that all chains are padded to, in frames.
    pub fn latency(&self) -> usize {
        self.latency
    }

    /// The sample rate in Hz.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Sets the sample rate. The latencies of the chains are those of the old rate until they are planned again.
    pub(crate) fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
    }

    /// Sets the latency that the station file gives, in ms.
    pub(crate) fn set_latency_ms(&mut self, latency_ms: Option<f64>) {
        self.latency_ms = latency_ms;
    }

    /// Sets the latency of a chain, as planned with its live values.
    pub(crate) fn set_own_latency(&mut self, name: &str, latency: Option<usize>) {
        if let Some(entry) = self.entry_mut(name) {
            entry.latency = latency;
        }
    }

    /// Input and output groups of the station.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The names of the chains.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.file.name.as_str())
    }

    /// Checks that there is a chain of this name.
    pub(crate) fn check_name(&self, name: &str) -> Result<(), ChainError> {
        self.find(name).map(drop)
    }

    fn find(&self, name: &str) -> Result<&Entry, ChainError> {
        self.entry(name).ok_or_else(|| {
            let names: Vec<_> = self.names().collect();
            let hint = Hint::nearest(name, names.iter().copied());
            ChainError::Unknown { name: name.to_owned(), hint, allowed: names.join(", ") }
        })
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.file.name == name)
    }

    fn entry_mut(&mut self, name: &str) -> Option<&mut Entry> {
        self.entries.iter_mut().find(|entry| entry.file.name == name)
    }

    /// The live values of a chain.
    pub fn values(&self, name: &str) -> Option<&Values> {
        self.entry(name).map(|entry| &entry.values)
    }

    /// The live values of a chain, mutable.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut Values> {
        self.entry_mut(name).map(|entry| &mut entry.values)
    }

    /// The addresses of a chain.
    pub fn addresses(&self, name: &str) -> Option<&Arc<Addresses>> {
        self.entry(name).map(|entry| entry.values.addresses())
    }

    /// Who changed a value of a chain last, and when.
    pub(crate) fn author(&self, name: &str, path: &str) -> Option<(Peer, SystemTime)> {
        let values = self.values(name)?;
        values.author(values.addresses().at(path)?.at)
    }

    /// The live values of a chain by their paths, without momentary ones.
    pub(crate) fn values_of(&self, name: &str) -> BTreeMap<String, ParamValue> {
        let Some(values) = self.values(name) else { return BTreeMap::new() };
        let states = values.addresses().all().iter().filter(|place| !place.row.is_momentary);
        states.filter_map(|place| Some((place.path.clone(), values.get(place.at)?.clone()))).collect()
    }

    /// The ids of the nodes of a chain.
    pub(crate) fn node_ids(&self, name: &str) -> Vec<String> {
        self.entry(name)
            .map_or_else(Vec::new, |entry| entry.file.spec.nodes.iter().map(|node| node.id.clone()).collect())
    }

    /// Stores values in a chain: those that it has, in its ranges.
    pub fn store(&mut self, name: &str, wanted: &BTreeMap<String, ParamValue>) {
        let Some(values) = self.values_mut(name) else { return };
        let addresses = Arc::clone(values.addresses());
        for place in addresses.all() {
            if let Some(value) = wanted.get(&place.path).and_then(|value| place.clip(value)) {
                values.set(place.at, value);
            }
        }
    }

    /// The chain files that read a file which `is_meant`: themselves, or as an impulse.
    pub fn readers_of(&self, is_meant: impl Fn(&Path) -> bool) -> Vec<PathBuf> {
        let reads = |entry: &&Entry| entry.paths().any(|known| is_meant(&known));
        self.entries.iter().filter(reads).map(|entry| entry.file.path.clone()).collect()
    }

    /// All chain files and impulse files.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.entries.iter().flat_map(Entry::paths)
    }

    /// A chain with its live values, to be planned.
    pub(crate) fn to_plan(&self, name: &str) -> Result<ToPlan, ChainError> {
        let entry = self.find(name)?;
        let mut spec = entry.file.spec.clone();
        entry.values.apply(&mut spec);
        Ok(ToPlan { file: Arc::clone(&entry.file), spec })
    }

    /// Pads a plan to the station's latency.
    pub fn padded(&self, plan: &Plan) -> Result<Plan, ChainError> {
        if plan.latency > self.latency {
            let ms = |frames: usize| frames as f64 * 1000.0 / self.rate;
            let (needed_ms, total_ms) = (ms(plan.latency), ms(self.latency));
            return Err(ChainError::TooLate { needed_ms, total_ms });
        }
        let mut plan = plan.clone();
        plan.pad(self.latency);
        Ok(plan)
    }

    /// Replaces one chain, or all of them, by what was read again. A live value is kept where the file did not change
    /// it, unless `reset`. Returns the chains whose live values are not those of the file, so that the plan of the
    /// file is not theirs.
    pub fn reread(&mut self, files: Vec<(ChainFile, Arc<Plan>)>, is_all: bool, reset: bool) -> Vec<String> {
        let mut moved = Vec::new();
        let mut entries = Vec::new();
        for (file, plan) in files {
            let in_file = Values::of(&Arc::new(Addresses::of(&plan)), &file.spec);
            let values = match self.values(&file.name) {
                Some(old) if !reset => old.reread(in_file),
                _ => in_file,
            };
            if values.changed().next().is_some() {
                moved.push(file.name.clone());
            }
            entries.push(Entry { file: Arc::new(file), values, latency: Some(plan.latency) });
        }
        if is_all {
            self.entries = entries;
        } else {
            for new in entries {
                if let Some(old) = self.entries.iter_mut().find(|old| old.file.path == new.file.path) {
                    *old = new;
                }
            }
        }
        moved
    }

    /// Gives a chain that cannot be planned with its live values those of its file: the texts first, then all.
    pub(crate) fn reset_values(&mut self, name: &str, texts_only: bool) {
        let Some(entry) = self.entry_mut(name) else { return };
        if texts_only {
            entry.values.reset_texts();
        } else {
            entry.values.reset();
        }
    }
}

impl Entry {
    /// The chain file and its impulse files.
    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let impulses = self.values.impulses().map(|text| self.file.folder().join(text));
        std::iter::once(self.file.path.clone()).chain(impulses)
    }
}

/// Frames in `ms` milliseconds at `rate` Hz, rounded.
pub fn frames(ms: f64, rate: f64) -> usize {
    (ms * rate / 1000.0).round() as usize
}
