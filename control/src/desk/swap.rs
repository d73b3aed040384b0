//! The way of a chain to the audio thread: planned, built, sent; each step a task whose result comes back.

use crate::desk::Desk;
use crate::desk::chains::ChainError;
use crate::desk::chains::frames;
use crate::desk::history::SwapMove;
use crate::desk::on_air::{Goal, Preparing, RunningChain, Wanted};
use crate::desk::turn::{About, Command, Effect, Level, Ticket, Turn};
use crate::desk::values::Values;
use crate::peer::Peer;
use crate::request::Step;
use crate::subscribe::Recipients;
use crate::update::Update;
use lacquer_graph::plan::Plan;
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::run::engine::Event;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Most peers that wait for the same chain.
const MOST_ALSO: usize = 64;

impl Desk {
    /// Swaps to a chain that a user requested. It is a new state for the A/B comparison.
    pub(super) fn request_swap(&mut self, turn: &mut Turn<'_>, by: Peer, name: &str) {
        let before = self.on_air.last_requested();
        self.glide = None;
        self.end_gesture(turn);
        self.swap(turn, Wanted::new(name.to_owned(), by, Goal::Swap { before, step: None }));
    }

    /// Swaps to the chain of a number, counted from 1.
    pub(super) fn request_swap_to_number(&mut self, turn: &mut Turn<'_>, by: Peer, number: usize) {
        let name = self.chains.names().nth(number.wrapping_sub(1)).map(str::to_owned);
        match name {
            Some(name) => self.request_swap(turn, by, &name),
            None => turn.error(by, "/program/chain", &format!("there is no chain number {number}")),
        }
    }

    /// Begins to prepare a chain, or queues it until the running swap is done; the last one wanted wins.
    pub(super) fn swap(&mut self, turn: &mut Turn<'_>, wanted: Wanted) {
        if let Err(why) = self.chains.check_name(&wanted.chain) {
            return turn.error(wanted.by, "/swap", &why.to_string());
        }
        let is_waiting = match &self.on_air.preparing {
            // What is being prepared is overtaken, unless it carries more than the wish for a chain.
            Some(preparing) => match preparing.wanted.goal {
                Goal::Start => true,
                Goal::Swap { .. } | Goal::Automatic => false,
                _ => preparing.wanted.chain != wanted.chain,
            },
            None => self.on_air.incoming.is_some(),
        };
        if is_waiting || self.on_air.incoming.is_some() {
            let name = wanted.chain.clone();
            let earlier = self.on_air.queued.take();
            self.on_air.queued = Some(merged(earlier, wanted));
            let text = format!("swap to chain \"{name}\": queued until the running swap is done");
            return turn.log(Level::Info, About::Chain(name), text);
        }
        let wanted = merged(self.on_air.preparing.take().map(|preparing| preparing.wanted), wanted);
        if !matches!(wanted.goal, Goal::Setting { .. }) {
            turn.event("swap", &["loading", &wanted.chain]);
        }
        self.prepare(turn, wanted, false);
    }

    /// Prepares a chain to start from silence.
    pub(super) fn prepare_start(&mut self, turn: &mut Turn<'_>, name: &str) {
        (self.on_air.incoming, self.on_air.queued) = (None, None);
        let wanted = Wanted::new(name.to_owned(), Peer::Station, Goal::Start);
        self.prepare(turn, wanted, true);
    }

    /// Prepares a chain whose plan is there already.
    pub(super) fn prepare_planned(&mut self, turn: &mut Turn<'_>, wanted: Wanted, plan: Arc<Plan>) {
        let ticket = self.next_ticket();
        self.on_air.preparing = Some(Preparing { ticket, wanted, build: None });
        self.planned_to_play(turn, Ok(plan));
    }

    fn prepare(&mut self, turn: &mut Turn<'_>, wanted: Wanted, is_cache_allowed: bool) {
        let chains = match self.chains.to_plan(&wanted.chain) {
            Ok(chain) => vec![chain],
            Err(why) => return self.not_prepared(turn, wanted, &why),
        };
        let ticket = self.next_ticket();
        self.on_air.preparing = Some(Preparing { ticket, wanted, build: None });
        let (io, rate) = (self.chains.io().clone(), self.chains.rate());
        turn.add(Effect::Plan { ticket, chains, io, rate, is_cache_allowed });
    }

    /// The plan of the chain that is being prepared has come, or the reason why there is none.
    pub(super) fn planned_to_play(&mut self, turn: &mut Turn<'_>, plan: Result<Arc<Plan>, ChainError>) {
        let Some(mut preparing) = self.on_air.preparing.take() else { return };
        if plan.as_ref().is_ok_and(|plan| plan.sample_rate != self.chains.rate()) {
            // The sample rate has changed since.
            return self.prepare(turn, preparing.wanted, true);
        }
        let plan = match plan.and_then(|plan| self.chains.padded(&plan)) {
            Ok(plan) => Arc::new(plan),
            Err(why) => {
                self.not_prepared(turn, preparing.wanted, &why);
                return self.after_preparing(turn);
            }
        };
        let is_start = matches!(preparing.wanted.goal, Goal::Start);
        let active = self.on_air.active.as_ref().filter(|_| !is_start);
        let diff = active.map(|active| Diff::between(&self.on_air.playing(&self.chains, active), &plan));
        if active.is_some_and(|active| !active.is_broken) && diff.as_ref().is_some_and(Diff::is_empty) {
            return self.already_on_air(turn, preparing.wanted);
        }
        if matches!(preparing.wanted.goal, Goal::Setting { .. }) {
            turn.event("swap", &["loading", &preparing.wanted.chain]);
        }
        let generation = self.on_air.next_generation();
        preparing.build = Some((generation, Arc::clone(&plan)));
        let ticket = preparing.ticket;
        self.on_air.preparing = Some(preparing);
        turn.add(Effect::Build { ticket, generation, plan, diff });
    }

    /// The chain that is wanted plays already, but for values: those are sent, and nothing is built.
    fn already_on_air(&mut self, turn: &mut Turn<'_>, wanted: Wanted) {
        let name = wanted.chain.clone();
        self.put_back(turn, &name, None);
        turn.save();
        self.reached(turn, wanted);
        turn.event("swap", &["done", &name]);
        self.after_preparing(turn);
    }

    /// A chain is built. It is sent to the audio thread, unless it is no longer wanted.
    pub(super) fn built(&mut self, turn: &mut Turn<'_>, ticket: Ticket, generation: u64) {
        let is_wanted = |preparing: &mut Preparing| {
            preparing.ticket == ticket && preparing.build.as_ref().is_some_and(|(is, _)| *is == generation)
        };
        let Some(Preparing { wanted, build: Some((_, plan)), .. }) = self.on_air.preparing.take_if(is_wanted)
        else {
            return turn.add(Effect::Discard { generation });
        };
        let Some(addresses) = self.chains.addresses(&wanted.chain).cloned() else {
            return turn.add(Effect::Discard { generation });
        };
        // What follows sends all values of the chain.
        self.tasks.has_stale_values = false;
        let running =
            RunningChain { name: wanted.chain.clone(), generation, plan, addresses, is_broken: false };
        let catch_up = self.on_air.catch_up(&self.chains, &running, false);
        if matches!(wanted.goal, Goal::Start) {
            self.on_air.active = Some(running);
            turn.send(Command::Start { generation });
            catch_up.into_iter().for_each(|command| turn.send(command));
            turn.send(Command::Bypass(self.bypass));
            turn.add(Effect::OnAir);
            self.send_full_state(turn);
        } else {
            self.on_air.incoming = Some(running);
            self.on_air.swapped_by = Some(turn.by);
            let frames = |ms: f64| frames(ms, self.chains.rate()) as u32;
            let (warmup, fade) = (frames(self.settings.warmup_ms), frames(self.settings.fade_ms));
            turn.send(Command::Swap { generation, warmup, fade });
            catch_up.into_iter().for_each(|command| turn.send(command));
            self.compare.restart_measurement(turn.now.monotonic);
            self.update_trims(turn);
            turn.save();
            turn.add(Effect::Watch);
            let name = wanted.chain.clone();
            turn.log(
                Level::Info,
                About::Chain(name.clone()),
                format!("swap to chain \"{name}\": warming up"),
            );
            turn.event("swap", &["warming", &name]);
            // From now on the addresses are those of the new chain.
            self.send_full_state(turn);
            self.reached(turn, wanted);
        }
        self.after_preparing(turn);
    }

    /// The chain that a peer asked for is on its way: what belongs to it is done.
    fn reached(&mut self, turn: &mut Turn<'_>, Wanted { chain, by, goal, .. }: Wanted) {
        // What is still on air; it fades out.
        let active = self.on_air.active().map(|active| active.name.clone());
        let step = match goal {
            Goal::Swap { step, .. } => Some(step),
            Goal::Scene { .. } | Goal::Compare { .. } => Some(None),
            _ => None,
        };
        if let (Some(step), Some(from)) = (step, active.filter(|active| *active != chain)) {
            self.record_swap(step, from, &chain);
        }
        match goal {
            Goal::Start | Goal::Automatic | Goal::Setting { .. } => {}
            Goal::Swap { before, step } => {
                if before != chain {
                    self.compare.forget_loudness();
                    let what = step.map_or_else(|| "swap".to_owned(), |step| format!("{} swap", step.word()));
                    self.audit(turn, by, &chain, &what, &before, &chain);
                    self.clear_scene(turn);
                }
            }
            Goal::Scene { name, .. } => self.finish_recall(turn, by, &chain, &name),
            Goal::Compare { b, other, .. } => {
                self.selected(turn, by, b, &chain, other);
                turn.save();
                turn.update(Recipients::All, self.compare_lines());
            }
        }
    }

    /// A swap of a user is on its way: the next one to undo, unless it is a step in the history of swaps itself.
    fn record_swap(&mut self, step: Option<Step>, from: String, to: &str) {
        let is_next = |step: &Step| {
            let next = self.history.next_swap(*step);
            next.is_some_and(|next| to == if *step == Step::Undo { &next.from } else { &next.to })
        };
        match step.filter(is_next) {
            Some(step) => self.history.step_swap(step, from),
            None => self.history.record_swap(SwapMove { from, to: to.to_owned() }),
        }
    }

    /// A chain cannot be prepared: the one on air plays on, and what was changed for it goes back.
    pub(super) fn not_prepared(&mut self, turn: &mut Turn<'_>, wanted: Wanted, why: &ChainError) {
        let Wanted { chain, by, goal, .. } = wanted;
        let why = why.to_string();
        match goal {
            Goal::Start => {
                let text = format!("chain \"{chain}\" cannot start: {why}; output is silent");
                return turn.log(Level::Error, About::Chain(chain), text);
            }
            Goal::Setting { changes } if !changes.is_empty() => {
                self.take_back(turn, &chain, &changes, &why);
                return self.put_back(turn, &chain, None);
            }
            Goal::Scene { values, .. } => {
                self.put_back(turn, &chain, Some(values));
                turn.event("swap", &["failed", &chain, &why]);
                return turn.error(by, "/scene/recall", &why);
            }
            Goal::Compare { values, .. } => {
                self.put_back(turn, &chain, Some(values));
                turn.event("swap", &["failed", &chain, &why]);
                return turn.error(by, "/ab", &why);
            }
            Goal::Setting { .. } | Goal::Automatic | Goal::Swap { .. } => self.put_back(turn, &chain, None),
        }
        let text = format!("swap to chain \"{chain}\" failed: {why}; running chain unchanged");
        turn.log(Level::Error, About::Chain(chain.clone()), text);
        turn.event("swap", &["failed", &chain, &why]);
        turn.error(by, "/swap", &why);
    }

    /// Gives a chain its values from before, if there are any. Where those of the chain on air have changed, here or by a
    /// reload, the audio thread and all subscribers receive them.
    fn put_back(&mut self, turn: &mut Turn<'_>, chain: &str, before: Option<Values>) {
        let mut is_stale = std::mem::take(&mut self.tasks.has_stale_values);
        if let (Some(values), Some(before)) = (self.chains.values_mut(chain), before) {
            *values = before;
            is_stale |= self.on_air.newest_name() == chain;
        }
        if let Some(newest) = self.on_air.newest().filter(|_| is_stale) {
            self.on_air
                .catch_up(&self.chains, newest, true)
                .into_iter()
                .for_each(|command| turn.send(command));
            self.send_full_state(turn);
        }
    }

    /// Nothing is being prepared: what waited for that goes on.
    fn after_preparing(&mut self, turn: &mut Turn<'_>) {
        if self.on_air.incoming.is_none()
            && let Some(next) = self.on_air.queued.take()
        {
            self.swap(turn, next);
        }
    }

    /// An event of the engine.
    pub(super) fn engine(&mut self, turn: &mut Turn<'_>, event: Event) {
        match event {
            Event::Fading { generation } => {
                if let Some(running) = self.on_air.newest().filter(|running| running.generation == generation)
                {
                    turn.event("swap", &["fading", &running.name]);
                }
            }
            Event::OnAir { generation } => self.on_air(turn, generation),
            Event::Fault { generation, node } => self.fault(turn, generation, node),
            Event::Meter { generation, node, reading, value } => {
                if let Some(node) = self.on_air.node(generation, node)
                    && let Some(row) = node.node_type.readings.get(reading)
                {
                    let path = format!("node/{}/{}", node.id, row.name);
                    self.readings.record(path, row, value.map(|value| row.in_unit(value)));
                }
            }
            Event::Learned { generation, node, band, level } => {
                self.learned(turn, (generation, node), band, level);
            }
            Event::InputFault | Event::Muted => {}
        }
    }

    /// A swap is done, or a start.
    fn on_air(&mut self, turn: &mut Turn<'_>, generation: u64) {
        let next = self.on_air.swap_done(generation);
        // Readings of the previous chain do not apply to this one.
        let known: BTreeSet<String> = self.node_rows().map(|(path, _)| path).collect();
        self.readings.clear(|path| known.contains(path));
        self.learning.only(generation);
        let name = self.on_air.active().map(|running| running.name.clone()).unwrap_or_default();
        turn.log(Level::Info, About::Chain(name.clone()), format!("{name} is on air"));
        turn.add(Effect::OnAir);
        turn.event("swap", &["done", &name]);
        if let Some(next) = next {
            self.swap(turn, next);
        }
    }

    /// The newest chain, as a name and as an on/off value for each chain.
    pub(super) fn running_lines(&self) -> Vec<Update> {
        let Some(running) = self.on_air.newest().map(|running| running.name.as_str()) else {
            return Vec::new();
        };
        let mut lines = vec![Update::words("/swap", &[running])];
        lines.extend(self.chains.names().map(|name| self.chain_line(name)));
        lines
    }

    /// Whether this is the newest chain.
    pub(super) fn chain_line(&self, name: &str) -> Update {
        let is_running = self.on_air.newest().is_some_and(|running| running.name == name);
        Update::number(format!("/chain/{name}"), f64::from(u8::from(is_running)))
    }
}

/// What is wanted in the end, of an earlier and a later wish: the later one, but what the earlier one changed in the same
/// chain stays.
fn merged(earlier: Option<Wanted>, mut later: Wanted) -> Wanted {
    let Some(earlier) = earlier.filter(|earlier| earlier.chain == later.chain) else { return later };
    // Who asked for it first waits for it too.
    let peers = earlier.also.iter().copied().chain([earlier.by]);
    for peer in peers {
        if !later.is_awaited_by(peer) && later.also.len() < MOST_ALSO {
            later.also.push(peer);
        }
    }
    later.goal = match (earlier.goal, later.goal) {
        (Goal::Setting { mut changes }, Goal::Setting { changes: more }) => {
            changes.extend(more);
            Goal::Setting { changes }
        }
        // A setting of a chain that is being prepared anyway.
        (goal @ Goal::Swap { .. }, Goal::Automatic) => goal,
        (goal @ (Goal::Scene { .. } | Goal::Compare { .. }), Goal::Setting { .. } | Goal::Automatic) => {
            later.by = earlier.by;
            goal
        }
        (goal @ Goal::Swap { .. }, Goal::Setting { changes }) if changes.is_empty() => goal,
        (Goal::Setting { changes }, Goal::Swap { .. } | Goal::Automatic) if !changes.is_empty() => {
            Goal::Setting { changes }
        }
        (_, goal) => goal,
    };
    later
}
