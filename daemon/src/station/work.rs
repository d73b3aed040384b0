//! What may take long: planning, building, reading files. The worker does it; each result goes back to the desk as an
//! input.

use crate::process::worker::{Failed, Worker};
use crate::station::impulses::{cached_loader, loader};
use crate::station::{Station, load};
use basedrop::{Collector, Handle, Owned};
use crossbeam_channel::Receiver;
use lacquer_control::desk::chains::{ChainError, ToPlan};
use lacquer_control::desk::turn::{Files, Input, Ticket, ToLoad};
use lacquer_graph::Chain;
use lacquer_graph::file::error::Report;
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::plan::{Io, Plan};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Period in which the worker frees chains.
const FREE_PERIOD: Duration = Duration::from_millis(50);
/// Time limit to plan and to read files: impulses may be long, and disks slow.
pub(crate) const READ_LIMIT: Duration = Duration::from_secs(10);
/// Time limit to build a chain.
const BUILD_LIMIT: Duration = Duration::from_secs(10);

/// The result of a task.
pub(crate) enum Done {
    /// Chains were planned.
    Planned(Vec<Result<Arc<Plan>, ChainError>>),
    /// A chain was built.
    Built(u64, Owned<Chain>),
    /// Files were read.
    Loaded(Result<(Box<Files>, Option<Box<Station>>), String>),
}

/// Plans a chain with its live values.
pub(crate) fn plan(chain: &ToPlan, io: &Io, rate: f64, is_cache_allowed: bool) -> Result<Plan, ChainError> {
    let (folder, own) = (chain.file.folder(), &chain.file.spec);
    let planned = match is_cache_allowed {
        true => Plan::with(&chain.spec, io, rate, &cached_loader(folder, own)),
        false => Plan::with(&chain.spec, io, rate, &loader(folder, own)),
    };
    planned.map_err(ChainError::Mistakes)
}

/// The station file as it was read last, the worker and its tasks, and the chains that it has built.
pub(crate) struct Work {
    path: PathBuf,
    /// The station file as it is in use.
    pub station: Station,
    worker: Worker<Done>,
    /// The desk's numbers of the tasks.
    tickets: BTreeMap<u64, Ticket>,
    /// Chains that were built and not sent yet, by generation.
    built: BTreeMap<u64, Owned<Chain>>,
    /// Of the collector that frees chains, on the worker.
    freed: Handle,
}

impl Work {
    /// Starts the worker, which also frees chains. `path` is the station file, and `station` what was read from it.
    ///
    /// # Errors
    /// The system cannot start a thread.
    pub(crate) fn new(path: PathBuf, station: Station) -> io::Result<Self> {
        let (mut collector, worker) = (Collector::new(), Worker::new()?);
        let freed = collector.handle();
        worker.every(FREE_PERIOD, "freeing chains", move || collector.collect());
        Ok(Self { path, station, worker, tickets: BTreeMap::new(), built: BTreeMap::new(), freed })
    }

    fn run(
        &mut self,
        ticket: Ticket,
        what: String,
        limit: Duration,
        task: impl FnOnce() -> Done + Send + 'static,
    ) {
        let number = self.worker.run(what, limit, task);
        self.tickets.insert(number, ticket);
    }

    /// Plans chains.
    pub(crate) fn plan(
        &mut self,
        ticket: Ticket,
        chains: Vec<ToPlan>,
        io: Io,
        rate: f64,
        is_cache_allowed: bool,
    ) {
        let names: Vec<_> = chains.iter().map(|chain| format!("\"{}\"", chain.file.name)).collect();
        let what = format!("planning chain {}", names.join(", "));
        self.run(ticket, what, READ_LIMIT, move || {
            let plan = |chain| plan(chain, &io, rate, is_cache_allowed).map(Arc::new);
            Done::Planned(chains.iter().map(plan).collect())
        });
    }

    /// Builds a chain, and keeps it until [`Self::take`].
    pub(crate) fn build(&mut self, ticket: Ticket, generation: u64, plan: Arc<Plan>, diff: Option<Diff>) {
        let freed = self.freed.clone();
        let what = format!("building chain \"{}\"", plan.name);
        self.run(ticket, what, BUILD_LIMIT, move || {
            let mut chain = Chain::new(&plan, generation);
            diff.iter().for_each(|diff| chain.follow(diff));
            Done::Built(generation, Owned::new(&freed, chain))
        });
    }

    /// A chain that was built.
    pub(crate) fn take(&mut self, generation: u64) -> Option<Owned<Chain>> {
        self.built.remove(&generation)
    }

    /// Frees a chain that was built and is not needed.
    pub(crate) fn discard(&mut self, generation: u64) {
        self.take(generation).into_iter().for_each(|chain| self.worker.free(chain));
    }

    /// Reads files.
    pub(crate) fn load(&mut self, ticket: Ticket, what: ToLoad, io: Io, rate: f64) {
        let reading = |path: &Path| format!("reading {}", path.display());
        match what {
            ToLoad::Chain(path) => self.run(ticket, reading(&path), READ_LIMIT, move || {
                let read = load::chain(&path, Some(&io), rate).map_err(|report| report.to_string());
                Done::Loaded(read.map(|chain| {
                    let (start, fixed) = (String::new(), Vec::new());
                    (Box::new(Files { station: None, chains: vec![chain], start, fixed }), None)
                }))
            }),
            ToLoad::Station => {
                let (path, old) = (self.path.clone(), self.station.clone());
                self.run(ticket, reading(&path), READ_LIMIT, move || {
                    let read = load::again(&path, old, rate);
                    let text = |reports: Vec<Report>| {
                        reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                    };
                    Done::Loaded(read.map(|(files, station)| (files, Some(station))).map_err(text))
                });
            }
        }
    }

    /// Receives the results of the tasks, to be passed to [`Self::finish`].
    pub(crate) fn results(&self) -> &Receiver<(u64, Result<Done, Failed>)> {
        self.worker.results()
    }

    /// The input that a result is for the desk; none where its task was given up before.
    pub(crate) fn finish(&mut self, number: u64, done: Result<Done, Failed>) -> Option<Input> {
        let ticket = self.tickets.remove(&number)?;
        Some(match done {
            Err(failed) => Input::Failed { ticket, why: failed.to_string() },
            Ok(Done::Planned(plans)) => Input::Planned { ticket, plans },
            Ok(Done::Built(generation, chain)) => {
                self.built.insert(generation, chain);
                Input::Built { ticket, generation }
            }
            Ok(Done::Loaded(Ok((files, station)))) => {
                station.into_iter().for_each(|station| self.station = *station);
                Input::Loaded { ticket, files: Ok(files) }
            }
            Ok(Done::Loaded(Err(text))) => Input::Loaded { ticket, files: Err(text) },
        })
    }

    /// The tasks that came to no end, as inputs for the desk.
    pub(crate) fn check(&mut self, now: Instant) -> Vec<Input> {
        let failed = self.worker.check(now);
        failed.into_iter().filter_map(|failed| self.finish(failed.ticket, Err(failed))).collect()
    }
}
