//! What may take long: planning, building, reading files. The worker does it; the results go back to the desk.

use super::Conductor;
use crate::process::named::file_time;
use crate::process::worker::{Failed, Worker};
use crate::station::impulses::{cached_loader, loader};
use crate::station::{Station, load};
use basedrop::{Collector, Handle, Owned};
use lacquer_control::desk::chains::{ChainError, ToPlan};
use lacquer_control::desk::turn::{Files, Input, Ticket, ToLoad};
use lacquer_graph::Chain;
use lacquer_graph::file::error::Report;
use lacquer_graph::plan::{Io, Plan};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Period in which the worker frees chains.
const FREE_PERIOD: Duration = Duration::from_millis(50);
/// Time limit to plan and to read files: impulses may be long, and disks slow.
const READ_LIMIT: Duration = Duration::from_secs(10);
/// Time limit to build a chain.
const BUILD_LIMIT: Duration = Duration::from_secs(10);

/// The result of a task.
pub(super) enum Done {
    /// Chains were planned.
    Planned(Vec<Result<Arc<Plan>, ChainError>>),
    /// A chain was built.
    Built(u64, Owned<Chain>),
    /// Files were read.
    Loaded(Result<(Box<Files>, Option<Box<Station>>), String>),
}

/// Plans a chain with its live values.
pub(super) fn plan(chain: &ToPlan, io: &Io, rate: f64, is_cache_allowed: bool) -> Result<Plan, ChainError> {
    let (folder, own) = (chain.file.folder(), &chain.file.spec);
    let planned = match is_cache_allowed {
        true => Plan::with(&chain.spec, io, rate, &cached_loader(folder, own)),
        false => Plan::with(&chain.spec, io, rate, &loader(folder, own)),
    };
    planned.map_err(ChainError::Mistakes)
}

/// The worker, its tasks, and the chains that it has built.
pub(super) struct Work {
    pub worker: Worker<Done>,
    /// The desk's numbers of the tasks.
    tickets: BTreeMap<u64, Ticket>,
    /// Chains that were built and not sent yet, by generation.
    pub built: BTreeMap<u64, Owned<Chain>>,
    /// Of the collector that frees chains, on the worker.
    freed: Handle,
}

impl Work {
    /// Starts the worker, which also frees chains.
    pub(super) fn new() -> io::Result<Self> {
        let (mut collector, worker) = (Collector::new(), Worker::new()?);
        let freed = collector.handle();
        worker.every(FREE_PERIOD, "freeing chains", move || collector.collect());
        Ok(Self { worker, tickets: BTreeMap::new(), built: BTreeMap::new(), freed })
    }
}

impl Conductor {
    fn run_task(
        &mut self,
        ticket: Ticket,
        what: String,
        limit: Duration,
        task: impl FnOnce() -> Done + Send + 'static,
    ) {
        self.files.read_since.get_or_insert_with(file_time);
        let number = self.work.worker.run(what, limit, task);
        self.work.tickets.insert(number, ticket);
    }

    pub(super) fn plan(
        &mut self,
        ticket: Ticket,
        chains: Vec<ToPlan>,
        io: Io,
        rate: f64,
        is_cache_allowed: bool,
    ) {
        let names: Vec<_> = chains.iter().map(|chain| format!("\"{}\"", chain.file.name)).collect();
        let what = format!("planning chain {}", names.join(", "));
        self.run_task(ticket, what, READ_LIMIT, move || {
            let plan = |chain| plan(chain, &io, rate, is_cache_allowed).map(Arc::new);
            Done::Planned(chains.iter().map(plan).collect())
        });
    }

    pub(super) fn build(
        &mut self,
        ticket: Ticket,
        generation: u64,
        plan: Arc<Plan>,
        before: Option<Arc<Plan>>,
    ) {
        let freed = self.work.freed.clone();
        let what = format!("building chain \"{}\"", plan.name);
        self.run_task(ticket, what, BUILD_LIMIT, move || {
            let mut chain = Chain::new(&plan, generation);
            if let Some(before) = before {
                chain.follow(&plan, &before);
            }
            Done::Built(generation, Owned::new(&freed, chain))
        });
    }

    pub(super) fn load(&mut self, ticket: Ticket, what: ToLoad, io: Io, rate: f64) {
        match what {
            ToLoad::Chain(path) => {
                let text = format!("reading {}", path.display());
                self.run_task(ticket, text, READ_LIMIT, move || {
                    let read = load::chain(&path, Some(&io), rate).map_err(|report| report.to_string());
                    Done::Loaded(read.map(|chain| {
                        let (start, fixed) = (String::new(), Vec::new());
                        (Box::new(Files { station: None, chains: vec![chain], start, fixed }), None)
                    }))
                });
            }
            ToLoad::Station => {
                let (path, old) = (self.path.clone(), self.station.clone());
                let text = format!("reading {}", path.display());
                self.run_task(ticket, text, READ_LIMIT, move || {
                    let read = load::again(&path, old, rate);
                    let text = |reports: Vec<Report>| {
                        reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                    };
                    Done::Loaded(read.map(|(files, station)| (files, Some(station))).map_err(text))
                });
            }
        }
    }

    /// Passes the result of a task on to the desk.
    pub(super) fn finish_task(&mut self, number: u64, done: Result<Done, Failed>) {
        let Some(ticket) = self.work.tickets.remove(&number) else { return };
        let done = match done {
            Ok(done) => done,
            Err(failed) => return self.handle(Input::Failed { ticket, why: failed.to_string() }),
        };
        let input = match done {
            Done::Planned(plans) => Input::Planned { ticket, plans },
            Done::Built(generation, chain) => {
                self.work.built.insert(generation, chain);
                Input::Built { ticket, generation }
            }
            Done::Loaded(Ok((files, station))) => {
                if let Some(station) = station {
                    self.station = *station;
                }
                Input::Loaded { ticket, files: Ok(files) }
            }
            Done::Loaded(Err(text)) => Input::Loaded { ticket, files: Err(text) },
        };
        self.handle(input);
    }

    /// Passes on to the desk which tasks came to no end.
    pub(super) fn check_tasks(&mut self, now: Instant) {
        for failed in self.work.worker.check(now) {
            self.finish_task(failed.ticket, Err(failed));
        }
    }
}
