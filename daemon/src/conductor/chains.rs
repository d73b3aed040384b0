//! The chains of the station with their live values, ready to be planned and built.

use crate::station::impulses::{loader, patient_loader};
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
    /// The station has none of this name.
    #[error("no chain \"{name}\"{hint}; there are {allowed}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The nearest name.
        hint: Hint,
        /// All names.
        allowed: String,
    },
    /// With its values it has mistakes.
    #[error("{}", problems(.0))]
    Mistakes(Vec<Mistake>),
    /// It is later than the chains of the station are.
    #[error(
        "it needs {needed_ms:.2} ms and the station has {total_ms:.2} ms; raise latency: in the station file and reload"
    )]
    TooLate {
        /// Its own latency.
        needed_ms: f64,
        /// The station's.
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
    /// The files that it is made of.
    fn reads(&self) -> impl Iterator<Item = PathBuf> {
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
    total: usize,
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
            total: 0,
        };
        chains.align();
        chains
    }

    /// Finds the latency that all chains are padded to.
    fn align(&mut self) {
        let own = |entry: &Entry| {
            self.own_plan(entry, &patient_loader(entry.file.folder(), &entry.file.spec))
                .map(|plan| plan.latency)
        };
        let largest = self.entries.iter().filter_map(|entry| own(entry).ok()).max().unwrap_or(0);
        self.total = largest.max(self.latency_ms.map_or(0, |ms| frames(ms, self.rate)));
    }

    /// After values were brought back: a chain that cannot be with them takes those of its file.
    pub fn settle(&mut self) {
        self.align();
        let names: Vec<String> = self.names().map(str::to_owned).collect();
        for name in names {
            if let Err(why) = self.plan(&name)
                && let Some(values) = self.values_mut(&name)
            {
                warn!("chain {name} takes the texts of its file: {why}");
                values.take_texts_of_file();
                // Until now nobody knew how late it is.
                self.align();
            }
            if let Err(why) = self.plan(&name)
                && let Some(entry) = self.entries.iter_mut().find(|entry| entry.file.name == name)
            {
                warn!("chain {name} takes the values of its file: {why}");
                entry.values = Values::of(&entry.file.spec);
                self.align();
            }
        }
    }

    /// Frames from input to output, of every chain.
    pub fn latency(&self) -> usize {
        self.total
    }

    /// Hz.
    pub fn rate(&self) -> f64 {
        self.rate
    }

    /// Goes on at another sample rate, with all values.
    pub fn set_rate(&mut self, rate: f64) {
        self.rate = rate;
        self.align();
    }

    /// What the station is fed by and feeds.
    pub fn io(&self) -> &Io {
        &self.io
    }

    /// The names of the chains.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.file.name.as_str())
    }

    /// Whether there is a chain of this name; else what to say.
    pub fn check(&self, name: &str) -> Result<(), ChainError> {
        self.known(name).map(drop)
    }

    fn known(&self, name: &str) -> Result<&Entry, ChainError> {
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

    /// The live values of a chain, to be changed.
    pub fn values_mut(&mut self, name: &str) -> Option<&mut Values> {
        self.entries.iter_mut().find(|entry| entry.file.name == name).map(|entry| &mut entry.values)
    }

    /// The chain files that `path` is one of, or that have an impulse there.
    pub fn readers_of(&self, path: &Path) -> Vec<PathBuf> {
        let is_read = |entry: &&Entry| entry.reads().any(|known| known == path || same_file(&known, path));
        self.entries.iter().filter(is_read).map(|entry| entry.file.path.clone()).collect()
    }

    /// The files of the chains, and of their impulses.
    pub fn paths(&self) -> impl Iterator<Item = PathBuf> {
        self.entries.iter().flat_map(Entry::reads)
    }

    /// The plan of a chain with its live values, padded.
    pub fn plan(&self, name: &str) -> Result<Plan, ChainError> {
        let entry = self.known(name)?;
        self.padded(self.own_plan(entry, &loader(entry.file.folder(), &entry.file.spec))?)
    }

    /// The same, to go on after the audio was gone: what was read before serves for impulses that cannot be read now.
    pub fn plan_again(&self, name: &str) -> Result<Plan, ChainError> {
        let entry = self.known(name)?;
        self.padded(self.own_plan(entry, &patient_loader(entry.file.folder(), &entry.file.spec))?)
    }

    fn own_plan(&self, entry: &Entry, load: &Loader<'_>) -> Result<Plan, ChainError> {
        let mut spec = entry.file.spec.clone();
        entry.values.apply(&mut spec);
        Plan::with(&spec, &self.io, self.rate, load).map_err(ChainError::Mistakes)
    }

    fn padded(&self, mut plan: Plan) -> Result<Plan, ChainError> {
        if plan.latency > self.total {
            let ms = |frames: usize| frames as f64 * 1000.0 / self.rate;
            let (needed_ms, total_ms) = (ms(plan.latency), ms(self.total));
            return Err(ChainError::TooLate { needed_ms, total_ms });
        }
        plan.pad(self.total);
        Ok(plan)
    }

    /// Takes over the files of a reload. Live values stay where the file did not change them, unless
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

    /// The files as they are, but for one that was read again.
    pub fn with(&self, changed: ChainFile) -> Vec<ChainFile> {
        let keep = |entry: &Entry| {
            if entry.file.path == changed.path { changed.clone() } else { entry.file.clone() }
        };
        self.entries.iter().map(keep).collect()
    }

    /// The latency that the station file asks for.
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
