//! The chains of the station with their live values, ready to be planned and built.

use crate::station::impulses::{cached_loader, loader};
use crate::station::load::{ChainFile, Loaded, frames};
use lacquer_control::desk::values::Values;
use lacquer_graph::file::error::Mistake;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::text::Loader;
use lacquer_graph::plan::{Io, Plan};
use std::path::{Path, PathBuf};
use thiserror::Error;
use tracing::warn;

/// Why a chain cannot go on air.
#[derive(Clone, Debug, Error)]
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
}

fn problems(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| mistake.problem.to_string()).collect::<Vec<_>>().join("; ")
}

/// A chain of the station.
struct Entry {
    file: ChainFile,
    values: Values,
}

impl Entry {
    /// The chain file and its impulse files.
    fn paths(&self) -> impl Iterator<Item = PathBuf> {
        let impulses = self.values.impulses().map(|text| self.file.folder().join(text));
        std::iter::once(self.file.path.clone()).chain(impulses)
    }
}

/// All chains of the station, at one sample rate.
pub struct Chains {
    entries: Vec<Entry>,
    io: Io,
    rate: f64,
    latency_ms: Option<f64>,
    latency: usize,
}

impl Chains {
    /// The chains of a station at `rate` Hz.
    pub fn new(loaded: &Loaded, rate: f64) -> Self {
        let entry = |file: &ChainFile| Entry { file: file.clone(), values: Values::of(&file.spec) };
        let mut chains = Self {
            entries: loaded.chains.iter().map(entry).collect(),
            io: loaded.station.audio.io.clone(),
            rate,
            latency_ms: loaded.station.audio.latency_ms,
            latency: 0,
        };
        chains.align();
        chains
    }

    /// Computes the latency that all chains are padded to.
    fn align(&mut self) {
        let own = |entry: &Entry| {
            self.unpadded_plan(entry, &cached_loader(entry.file.folder(), &entry.file.spec))
                .map(|plan| plan.latency)
        };
        let largest = self.entries.iter().filter_map(|entry| own(entry).ok()).max().unwrap_or(0);
        self.latency = largest.max(self.latency_ms.map_or(0, |ms| frames(ms, self.rate)));
    }

    /// After values were restored: a chain that cannot be planned with them takes the values of its file.
    pub fn drop_invalid_values(&mut self) {
        self.align();
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        for name in names {
            if let Err(why) = self.plan(&name)
                && let Some(values) = self.values_mut(&name)
            {
                warn!("chain \"{name}\": saved texts do not fit: {why}; using those of its file");
                values.reset_texts();
                // Until now its latency was unknown.
                self.align();
            }
            if let Err(why) = self.plan(&name)
                && let Some(entry) = self.entries.iter_mut().find(|entry| entry.file.name == name)
            {
                warn!("chain \"{name}\": saved values do not fit: {why}; using those of its file");
                entry.values = Values::of(&entry.file.spec);
                self.align();
            }
        }
    }

    /// Latency of every chain from input to output, in frames.
    pub fn latency(&self) -> usize {
        self.latency
    }

    /// Sample rate in Hz.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Changes the sample rate; all values are kept.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.align();
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
    pub fn check_name(&self, name: &str) -> Result<(), ChainError> {
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

    /// The live values of a chain.
    pub fn values(&self, name: &str) -> Option<&Values> {
        self.entry(name).map(|entry| &entry.values)
    }

    /// The live values of a chain, mutable.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut Values> {
        self.entries.iter_mut().find(|entry| entry.file.name == name).map(|entry| &mut entry.values)
    }

    /// The chain files that `path` is, or that read an impulse from `path`.
    pub fn readers_of(&self, path: &Path) -> Vec<PathBuf> {
        let is_read = |entry: &&Entry| entry.paths().any(|known| known == path || same_file(&known, path));
        self.entries.iter().filter(is_read).map(|entry| entry.file.path.clone()).collect()
    }

    /// All chain files and impulse files.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.entries.iter().flat_map(Entry::paths)
    }

    /// The plan of a chain with its live values, padded to the station's latency.
    pub fn plan(&self, name: &str) -> Result<Plan, ChainError> {
        let entry = self.find(name)?;
        self.padded(self.unpadded_plan(entry, &loader(entry.file.folder(), &entry.file.spec))?)
    }

    /// The same, for the start of a session. An impulse that cannot be read now is taken from the cache.
    pub fn plan_with_cached_files(&self, name: &str) -> Result<Plan, ChainError> {
        let entry = self.find(name)?;
        self.padded(self.unpadded_plan(entry, &cached_loader(entry.file.folder(), &entry.file.spec))?)
    }

    fn unpadded_plan(&self, entry: &Entry, load: &Loader<'_>) -> Result<Plan, ChainError> {
        let mut spec = entry.file.spec.clone();
        entry.values.apply(&mut spec);
        Plan::with(&spec, &self.io, self.rate, load).map_err(ChainError::Mistakes)
    }

    fn padded(&self, mut plan: Plan) -> Result<Plan, ChainError> {
        if plan.latency > self.latency {
            let ms = |frames: usize| frames as f64 * 1000.0 / self.rate;
            let (needed_ms, total_ms) = (ms(plan.latency), ms(self.latency));
            return Err(ChainError::TooLate { needed_ms, total_ms });
        }
        plan.pad(self.latency);
        Ok(plan)
    }

    /// Replaces the chains by those of a reload. A live value is kept where the file did not change it, unless
    /// `reset`. The sample rate and the groups stay.
    pub fn reread(&mut self, chains: &[ChainFile], latency_ms: Option<f64>, reset: bool) {
        let entries = chains.iter().map(|file| {
            let values = match self.values(&file.name) {
                Some(old) if !reset => old.reread(&file.spec),
                _ => Values::of(&file.spec),
            };
            Entry { file: file.clone(), values }
        });
        self.entries = entries.collect();
        self.latency_ms = latency_ms;
        self.align();
    }

    /// The current chain files, with one of them replaced by `changed`.
    pub fn files_with(&self, changed: ChainFile) -> Vec<ChainFile> {
        let keep = |entry: &Entry| {
            if entry.file.path == changed.path { changed.clone() } else { entry.file.clone() }
        };
        self.entries.iter().map(keep).collect()
    }

    /// The latency given in the station file, in ms.
    pub fn latency_ms(&self) -> Option<f64> {
        self.latency_ms
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
