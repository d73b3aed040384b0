//! What may take long: planning, building, reading files. The worker does it; the results go back to the desk.

use super::Conductor;
use super::files::needs_restart;
use crate::process::worker::Failed;
use crate::station::impulses::{cached_loader, loader};
use crate::station::{Station, load};
use basedrop::Owned;
use lacquer_control::desk::chains::{ChainError, ToPlan};
use lacquer_control::desk::turn::{Files, Input, Ticket, ToLoad};
use lacquer_graph::Chain;
use lacquer_graph::plan::{Io, Plan};
use std::sync::Arc;
use std::time::{Duration, Instant};

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

impl Conductor {
    fn run_task(
        &mut self,
        ticket: Ticket,
        what: String,
        limit: Duration,
        task: impl FnOnce() -> Done + Send + 'static,
    ) {
        let number = self.worker.run(what, limit, task);
        self.tasks.insert(number, ticket);
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
        let freed = self.freed.clone();
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
                self.run_task(ticket, text, READ_LIMIT, move || Done::Loaded(read_station(&path, old, rate)));
            }
        }
    }

    /// Passes the result of a task on to the desk.
    pub(super) fn finish_task(&mut self, number: u64, done: Result<Done, Failed>) {
        let Some(ticket) = self.tasks.remove(&number) else { return };
        let done = match done {
            Ok(done) => done,
            Err(failed) => return self.handle(Input::Failed { ticket, why: failed.to_string() }),
        };
        let input = match done {
            Done::Planned(plans) => Input::Planned { ticket, plans },
            Done::Built(generation, chain) => {
                self.built.insert(generation, chain);
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
        for failed in self.worker.check(now) {
            self.finish_task(failed.ticket, Err(failed));
        }
    }
}

/// Reads the station file and all its chains again.
fn read_station(
    path: &std::path::Path,
    old: Station,
    rate: f64,
) -> Result<(Box<Files>, Option<Box<Station>>), String> {
    let loaded = load::station(path, Some(rate))
        .map_err(|reports| reports.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    let fixed = needs_restart(&old, &loaded.station);
    let start = loaded.start().to_owned();
    let load::Loaded { station, chains, cues, .. } = loaded;
    let mut settings = station.settings();
    settings.has_midi = !old.control.midi.is_empty();
    let station = Station { audio: old.audio, control: old.control, ..station };
    let files = Files { station: Some((settings, cues)), chains, start, fixed };
    Ok((Box::new(files), Some(Box::new(station))))
}
