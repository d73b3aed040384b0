//! The files of the station, read again; and the chains planned again for another sample rate.

use crate::desk::Desk;
use crate::desk::chains::ChainError;
use crate::desk::on_air::{Goal, Preparing, Wanted};
use crate::desk::turn::{About, Effect, Files, Level, Ticket, ToLoad, Turn};
use crate::peer::Peer;
use crate::subscribe::Recipients;
use crate::update::Update;
use crate::value::Value;
use lacquer_graph::plan::Plan;
use lacquer_graph::plan::diff::Diff;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Most reloads that wait for their files.
const MOST: usize = 16;
/// Most files that are being read when another one is read because it has changed: people come first.
const MOST_CHANGED: usize = MOST / 2;

/// Files that are being read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Loading {
    pub ticket: Ticket,
    pub by: Peer,
    what: ToLoad,
    /// Whether all values are reset to those of the files.
    resets: bool,
}

/// Chains that are being planned for what follows.
#[derive(Clone, Debug)]
pub(super) struct Planning {
    pub ticket: Ticket,
    names: Vec<String>,
    then: Then,
}

impl Planning {
    /// Who asked for what follows.
    pub(super) fn by(&self) -> Option<Peer> {
        match &self.then {
            Then::Start(_) => None,
            Then::Reload(reloaded) => Some(reloaded.by),
            Then::Show { by, .. } => Some(*by),
        }
    }

    /// Whether it is made only to be shown to this peer.
    pub(super) fn is_shown_to(&self, peer: Peer) -> bool {
        matches!(self.then, Then::Show { by, .. } if by == peer)
    }
}

/// What follows when the latencies of the chains are known.
#[derive(Clone, Debug)]
enum Then {
    /// The chain starts.
    Start(String),
    /// The reload ends.
    Reload(Box<Reloaded>),
    /// A peer is answered with what a swap to the chain would do.
    Show { by: Peer, name: String },
}

/// A reload whose files are applied.
#[derive(Clone, Debug)]
struct Reloaded {
    by: Peer,
    what: ToLoad,
    /// The chain requested last, and what was on air of it: its plan with its live values.
    name: String,
    before: Option<Plan>,
    /// The chain to start with.
    start: String,
    /// Changes that need a restart.
    fixed: Vec<String>,
    /// The plans of the chains that were read.
    plans: BTreeMap<String, Result<Arc<Plan>, ChainError>>,
}

impl Desk {
    /// Reads the station and all its chains again.
    pub(super) fn reload(&mut self, turn: &mut Turn<'_>, by: Peer, resets: bool) {
        self.load(turn, by, ToLoad::Station, resets);
    }

    /// A chain file has changed on disk.
    pub(super) fn file_changed(&mut self, turn: &mut Turn<'_>, path: PathBuf) {
        self.tasks.changed.insert(path);
        self.load_changed(turn);
    }

    /// Reads the files that have changed, as many at a time as may be.
    fn load_changed(&mut self, turn: &mut Turn<'_>) {
        while self.tasks.loading.len() < MOST_CHANGED
            && let Some(path) = self.tasks.changed.pop_first()
        {
            self.load(turn, Peer::Files, ToLoad::Chain(path), false);
        }
    }

    fn load(&mut self, turn: &mut Turn<'_>, by: Peer, what: ToLoad, resets: bool) {
        if self.tasks.loading.len() >= MOST {
            return turn.error(by, "/reload", "too many reloads wait for their files; try again later");
        }
        if what == ToLoad::Station {
            turn.add(Effect::Reload { by, outcome: None });
        }
        let ticket = self.next_ticket();
        let (io, rate) = (self.chains.io().clone(), self.chains.rate());
        turn.add(Effect::Load { ticket, what: what.clone(), io, rate });
        self.tasks.loading.push(Loading { ticket, by, what, resets });
    }

    /// Files were read, or their mistakes are known. Returns whether they were asked for.
    pub(super) fn loaded(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        files: Result<Box<Files>, String>,
    ) -> bool {
        let Some(at) = self.tasks.loading.iter().position(|loading| loading.ticket == ticket) else {
            return false;
        };
        let Loading { by, what, resets, .. } = self.tasks.loading.remove(at);
        self.load_changed(turn);
        let files = match files {
            Ok(files) => *files,
            Err(text) => {
                self.reload_failed(turn, by, &text);
                if what == ToLoad::Station {
                    let outcome = Some(format!("reload failed, running chain unchanged: {text}"));
                    turn.add(Effect::Reload { by, outcome });
                }
                return true;
            }
        };
        if let ToLoad::Chain(_) = &what
            && let Some((file, _)) = files.chains.first()
        {
            turn.info(format!("{} changed on disk", file.path.display()));
        }
        self.apply_files(turn, by, what, resets, files);
        true
    }

    fn apply_files(&mut self, turn: &mut Turn<'_>, by: Peer, what: ToLoad, resets: bool, files: Files) {
        let Files { station, chains, start, fixed } = files;
        let name = self.on_air.last_requested();
        let newest = self.on_air.newest().filter(|newest| newest.name == name);
        let before = newest.map(|newest| self.on_air.playing(&self.chains, newest));
        let is_all = what == ToLoad::Station;
        if let Some((settings, cues)) = station {
            self.chains.set_latency_ms(settings.latency_ms);
            self.settings = settings;
            self.cues.reread(cues);
        }
        let plans = chains.iter().map(|(file, plan)| (file.name.clone(), Ok(Arc::clone(plan)))).collect();
        self.tasks.has_stale_values |= chains.iter().any(|(file, _)| file.name == self.on_air.newest_name());
        let is_of_now = chains.iter().all(|(_, plan)| plan.sample_rate == self.chains.rate());
        let read = chains.iter().map(|(file, _)| file.name.clone()).collect();
        let moved = self.chains.reread(chains, is_all, resets);
        // Where the sample rate has changed since, all are planned again.
        let names = if is_of_now { moved } else { read };
        let start = if is_all { start } else { self.on_air.newest_name() };
        let reloaded = Box::new(Reloaded { by, what, name, before, start, fixed, plans });
        if names.is_empty() {
            return self.finish_reload(turn, *reloaded);
        }
        self.plan_again(turn, names, Then::Reload(reloaded), false);
    }

    /// Plans chains with their live values, for their latencies.
    fn plan_again(
        &mut self,
        turn: &mut Turn<'_>,
        names: Vec<String>,
        then: Then,
        is_cache_allowed: bool,
    ) -> Ticket {
        let chains = names.iter().filter_map(|name| self.chains.to_plan(name).ok()).collect();
        let ticket = self.next_ticket();
        let (io, rate) = (self.chains.io().clone(), self.chains.rate());
        self.tasks.planning.push(Planning { ticket, names, then });
        turn.add(Effect::Plan { ticket, chains, io, rate, is_cache_allowed });
        ticket
    }

    /// Plans have come: of the chain that is being prepared, or of several for their latencies.
    pub(super) fn planned(
        &mut self,
        turn: &mut Turn<'_>,
        ticket: Ticket,
        plans: Vec<Result<Arc<Plan>, ChainError>>,
    ) {
        let Some(at) = self.tasks.planning.iter().position(|planning| planning.ticket == ticket) else {
            if self.on_air.preparing.as_ref().is_some_and(|preparing| preparing.ticket == ticket) {
                let none = || Err(ChainError::Unfinished("it was not planned".to_owned()));
                self.planned_to_play(turn, plans.into_iter().next().unwrap_or_else(none));
            }
            return;
        };
        let Planning { names, then, .. } = self.tasks.planning.remove(at);
        if plans.iter().flatten().any(|plan| plan.sample_rate != self.chains.rate()) {
            // The sample rate has changed since.
            self.plan_again(turn, names, then, true);
            return;
        }
        let mut known: BTreeMap<_, _> = names.into_iter().zip(plans).collect();
        // What is only shown changes nothing.
        let is_shown = matches!(then, Then::Show { .. });
        for (name, plan) in known.iter().filter(|_| !is_shown) {
            self.chains.set_own_latency(name, plan.as_ref().ok().map(|plan| plan.latency));
        }
        match then {
            Then::Start(name) => {
                self.on_air.preparing = None;
                self.chains.align();
                turn.add(Effect::Latency(self.chains.latency()));
                let wanted = Wanted::new(name.clone(), Peer::Station, Goal::Start);
                match known.remove(&name) {
                    Some(Ok(plan)) => self.prepare_planned(turn, wanted, plan),
                    Some(Err(why)) => self.not_prepared(turn, wanted, &why),
                    None => self.prepare_start(turn, &name),
                }
            }
            Then::Show { by, name } => {
                let plan = known.get(&name).map_or(Err("it was not planned".to_owned()), |plan| {
                    plan.as_deref().map_err(ToString::to_string)
                });
                self.answer_plan(turn, by, &name, plan);
            }
            Then::Reload(mut reloaded) => {
                reloaded.plans.extend(known);
                self.finish_reload(turn, *reloaded);
            }
        }
    }

    /// The files are applied and all latencies known: the chain on air is swapped where it differs from its file.
    fn finish_reload(&mut self, turn: &mut Turn<'_>, reloaded: Reloaded) {
        let Reloaded { by, what, name, before, start, fixed, mut plans } = reloaded;
        let old_latency = self.chains.latency();
        self.chains.align();
        let latency = self.chains.latency();
        if latency != old_latency {
            let text = format!(
                "latency changes from {old_latency} to {latency} frames: this swap is not time-aligned"
            );
            turn.log(Level::Warn, About::Station, text);
            turn.add(Effect::Latency(latency));
        }
        turn.info("files read again");
        let wanted = |chain: String| Wanted::new(chain, by, Goal::Automatic);
        match plans.remove(&name) {
            Some(Ok(plan)) if !self.is_same(before.as_ref(), &plan) => {
                let wanted = wanted(name);
                if self.on_air.preparing.is_none() && self.on_air.incoming.is_none() {
                    turn.event("swap", &["loading", &wanted.chain]);
                    self.prepare_planned(turn, wanted, plan);
                } else {
                    self.swap(turn, wanted);
                }
            }
            Some(Ok(_)) => {}
            // With its live values it cannot play, or the station has it no longer.
            Some(Err(_)) => self.swap(turn, wanted(start)),
            None if self.chains.check_name(&name).is_err() => self.swap(turn, wanted(start)),
            // It was not read, but is to be padded anew.
            None if latency != old_latency => self.swap(turn, wanted(name)),
            None => {}
        }
        turn.add(Effect::Watch);
        turn.save();
        let mut words = vec!["done"];
        words.extend(fixed.iter().map(String::as_str));
        turn.event("reload", &words);
        if what == ToLoad::Station {
            for text in &fixed {
                turn.log(Level::Warn, About::Station, text.clone());
            }
            turn.update(Recipients::One(by), vec![Update::words("/reload", &words)]);
            let outcome = std::iter::once("files read again").chain(fixed.iter().map(String::as_str));
            let outcome = Some(outcome.collect::<Vec<_>>().join("; "));
            turn.add(Effect::Reload { by, outcome });
        }
    }

    /// Whether a plan, padded, is what is on air with its live values.
    fn is_same(&self, before: Option<&Plan>, plan: &Plan) -> bool {
        before.is_some_and(|before| {
            self.chains.padded(plan).is_ok_and(|plan| Diff::between(before, &plan).is_empty())
        })
    }

    /// Plans a chain, and answers `by` with what a swap to it would do.
    pub(super) fn show_plan(&mut self, turn: &mut Turn<'_>, by: Peer, name: String) {
        if let Err(why) = self.chains.check_name(&name) {
            return turn.error(by, "/plan", &why.to_string());
        }
        if self.tasks.planning.len() >= MOST {
            return turn.error(by, "/plan", "too many plans are being made; try again later");
        }
        self.plan_again(turn, vec![name.clone()], Then::Show { by, name }, false);
    }

    /// Answers with what differs between the chain on air and the planned one.
    fn answer_plan(&self, turn: &mut Turn<'_>, by: Peer, name: &str, plan: Result<&Plan, String>) {
        let newest = self.on_air.newest().ok_or("no chain is on air".to_owned());
        let (newest, plan) = match newest.and_then(|newest| Ok((newest, plan?))) {
            Ok(both) => both,
            Err(why) => return turn.error(by, "/plan", &why),
        };
        let playing = self.on_air.playing(&self.chains, newest);
        let diff = Diff::between(&playing, plan);
        let mut lines: Vec<Update> = Vec::new();
        for (word, ids) in diff.lists(&playing, plan) {
            lines.push(Update::words("/plan", &[&[name, word][..], &ids].concat()));
        }
        let words = [name, "latency"].map(|word| Value::Text(word.to_owned()));
        let frames = diff.latency.map(|frames| Value::Number(frames as f64));
        lines.push(Update::new("/plan", words.into_iter().chain(frames).collect()));
        turn.update(Recipients::One(by), lines);
    }

    fn reload_failed(&self, turn: &mut Turn<'_>, by: Peer, text: &str) {
        turn.log(Level::Error, About::Station, format!("reload failed: running chain unchanged:\n{text}"));
        turn.event("reload", &["failed", text]);
        if !matches!(by, Peer::Signal | Peer::Files | Peer::Station | Peer::Cues) {
            turn.error(by, "/reload", text);
        }
    }

    /// A session is open: the chain requested last starts from silence, or at first the one that the station starts with.
    pub(super) fn opened(&mut self, turn: &mut Turn<'_>, rate: f64) {
        let requested = self.on_air.last_requested();
        let name = if requested.is_empty() { self.session.first_chain.clone() } else { requested };
        if rate == self.chains.rate() {
            turn.add(Effect::Latency(self.chains.latency()));
            return self.prepare_start(turn, &name);
        }
        self.chains.set_rate(rate);
        (self.on_air.incoming, self.on_air.queued) = (None, None);
        let names = self.chains.names().map(str::to_owned).collect();
        // Another rate while these are being planned makes them useless.
        self.tasks.planning.retain(|planning| !matches!(planning.then, Then::Start(_)));
        let wanted = Wanted::new(name.clone(), Peer::Station, Goal::Start);
        let ticket = self.plan_again(turn, names, Then::Start(name), true);
        self.on_air.preparing = Some(Preparing { ticket, wanted, build: None });
    }

    /// A task came to no end: what waited for it goes on without it.
    pub(super) fn failed(&mut self, turn: &mut Turn<'_>, ticket: Ticket, why: &str) {
        if self.loaded(turn, ticket, Err(why.to_owned())) {
            return;
        }
        let error = || Err(ChainError::Unfinished(why.to_owned()));
        if let Some(planning) = self.tasks.planning.iter().find(|planning| planning.ticket == ticket) {
            let plans = planning.names.iter().map(|_| error()).collect();
            return self.planned(turn, ticket, plans);
        }
        if self.on_air.preparing.as_ref().is_some_and(|preparing| preparing.ticket == ticket) {
            self.planned_to_play(turn, error());
        }
    }
}
