//! The desk under a clock that is a number, with tasks that end when a test says so.

mod changed;
mod plan;
mod random;
mod undo;

use super::Desk;
use super::chains::{ChainError, ChainFile, Chains, ToPlan};
use super::settings::Settings;
use super::turn::{Command, Effect, Files, Input, Now, ToLoad};
use crate::peer::Peer;
use crate::request::{CompareRequest, Request, SceneRequest, Scope};
use crate::subscribe::{Recipients, SurfaceMessage};
use crate::value::{ParamValue, Value};
use lacquer_graph::file::spec::Spec;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::run::engine::Event;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

const RATE: f64 = 48_000.0;
const A: &str = "  - gain: {id: g}\n  - limiter: {id: n, lookahead: 1 ms}\n  - stereo: {id: wide}\n";
const B: &str = "  - gain: {id: g, gain: -3 dB}\n  - limiter: {id: n, lookahead: 2 ms}\n";
const C: &str = "  - gain: {id: other}\n";

/// A client.
fn client(port: u16) -> Peer {
    Peer::Osc(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port))
}

fn chain(name: &str, nodes: &str) -> ChainFile {
    let (spec, mistakes) = Spec::parse(format!("name: {name}\nnodes:\n{nodes}").as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    ChainFile { name: name.to_owned(), path: PathBuf::from(format!("{name}.yaml")), spec }
}

fn plan(spec: &Spec, rate: f64) -> Result<Arc<Plan>, ChainError> {
    Plan::new(spec, &Io::stereo(), rate).map(Arc::new).map_err(ChainError::Mistakes)
}

fn planned(files: &[ChainFile]) -> Vec<(ChainFile, Arc<Plan>)> {
    files.iter().map(|file| (file.clone(), plan(&file.spec, RATE).unwrap())).collect()
}

/// A task that the desk has asked for.
#[derive(Clone, Debug)]
enum Task {
    Plan(u64, Vec<ToPlan>, f64),
    Build(u64, u64),
    Load(u64, ToLoad),
}

/// A desk, and all around it.
struct Station {
    desk: Desk,
    now: Duration,
    tasks: VecDeque<Task>,
    /// What the audio thread was sent.
    sent: Vec<Command>,
    /// The chains that were built and neither sent nor discarded.
    built: BTreeSet<u64>,
    /// What a subscriber that changes nothing knows.
    known: BTreeMap<String, Vec<Value>>,
    /// Errors and events, in order, with who is sent them.
    lines: Vec<(Recipients, String)>,
    /// Answers to `/plan`, and how many to `/sync`.
    plans: Vec<String>,
    synced: usize,
    /// What a reload reads.
    files: Vec<ChainFile>,
}

impl Station {
    /// With chain `a` on air.
    fn new() -> Self {
        let files = vec![chain("a", A), chain("b", B), chain("c", C)];
        let chains = Chains::new(planned(&files), Io::stereo(), RATE, None);
        let settings = Settings { warmup_ms: 50.0, fade_ms: 80.0, ..Settings::default() };
        let mut station = Self {
            desk: Desk::new(settings, chains, Vec::new(), "a", Duration::ZERO),
            now: Duration::ZERO,
            tasks: VecDeque::new(),
            sent: Vec::new(),
            built: BTreeSet::new(),
            known: BTreeMap::new(),
            lines: Vec::new(),
            plans: Vec::new(),
            synced: 0,
            files,
        };
        station.handle(Input::Opened { rate: RATE, is_free: false });
        station.settle();
        station.lines.clear();
        station
    }

    fn handle(&mut self, input: Input) {
        let now = Now { monotonic: self.now, wall: SystemTime::UNIX_EPOCH + self.now, utc_offset: 0 };
        let mut effects = Vec::new();
        self.desk.handle(input, now, &mut effects);
        effects.into_iter().for_each(|effect| self.carry_out(effect));
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Send(command) => {
                if let Command::Start { generation } | Command::Swap { generation, .. } = command {
                    assert!(self.built.remove(&generation), "{generation} is sent once, after it was built");
                }
                self.sent.push(command);
            }
            Effect::Discard { generation } => {
                assert!(self.built.remove(&generation), "{generation} is discarded once");
            }
            Effect::Plan { ticket, chains, rate, .. } => {
                self.tasks.push_back(Task::Plan(ticket, chains, rate))
            }
            Effect::Build { ticket, generation, .. } => self.tasks.push_back(Task::Build(ticket, generation)),
            Effect::Load { ticket, what, .. } => self.tasks.push_back(Task::Load(ticket, what)),
            Effect::Surfaces(SurfaceMessage::Updates { to, updates }) => {
                for update in updates.iter().cloned() {
                    let is_own = matches!(update.address.as_str(), "/undo" | "/redo");
                    if update.address == "/error" || update.address.starts_with("/event/") || is_own {
                        let words = update.values.iter().filter_map(|value| match value {
                            Value::Text(text) => Some(text.as_str()),
                            _ => None,
                        });
                        let words: Vec<_> = std::iter::once(update.address.as_str()).chain(words).collect();
                        self.lines.push((to, words.join(" ")));
                    } else if update.address == "/synced" {
                        self.synced += 1;
                    } else if update.address == "/plan" {
                        let words: Vec<_> = update
                            .values
                            .iter()
                            .map(|value| match value {
                                Value::Text(text) => text.clone(),
                                value => format!("{value:?}"),
                            })
                            .collect();
                        self.plans.push(words.join(" "));
                    } else if !matches!(to, Recipients::One(_)) {
                        self.known.insert(update.address, update.values);
                    }
                }
            }
            _ => {}
        }
    }

    /// Ends the task that waits longest.
    fn end_task(&mut self) -> bool {
        let Some(task) = self.tasks.pop_front() else { return false };
        let input = self.result(task);
        self.handle(input);
        true
    }

    fn result(&mut self, task: Task) -> Input {
        match task {
            Task::Plan(ticket, chains, rate) => {
                Input::Planned { ticket, plans: chains.iter().map(|chain| plan(&chain.spec, rate)).collect() }
            }
            Task::Build(ticket, generation) => {
                self.built.insert(generation);
                Input::Built { ticket, generation }
            }
            Task::Load(ticket, what) => {
                let is_read = |file: &&ChainFile| match &what {
                    ToLoad::Station => true,
                    ToLoad::Chain(path) => file.path == *path,
                };
                let files: Vec<_> = self.files.iter().filter(is_read).cloned().collect();
                let chains = planned(&files);
                let files = Files { station: None, chains, start: "a".to_owned(), fixed: Vec::new() };
                Input::Loaded { ticket, files: Ok(Box::new(files)) }
            }
        }
    }

    /// The swap that runs ends.
    fn end_swap(&mut self) -> bool {
        let Some(incoming) = self.desk.running().newest().filter(|_| self.desk.running().is_swapping())
        else {
            return false;
        };
        let generation = incoming.generation;
        self.handle(Input::Engine(Event::OnAir { generation }));
        true
    }

    /// Until nothing is left to do.
    fn settle(&mut self) {
        while self.end_task() || self.end_swap() {}
    }

    fn ask(&mut self, by: u16, request: Request) {
        self.handle(Input::Request { by: client(by), request });
    }

    fn set(&mut self, by: u16, address: &str, value: f64) {
        self.ask(by, Request::Set { address: address.to_owned(), value: Value::Number(value) });
    }

    fn swap(&mut self, by: u16, name: &str) {
        self.ask(by, Request::Swap(name.to_owned()));
    }

    fn scene(&mut self, request: SceneRequest) {
        self.ask(1, Request::Scene(request));
    }

    fn wait(&mut self, ms: u64) {
        self.now += Duration::from_millis(ms);
        self.handle(Input::Time);
    }

    fn value(&self, address: &str) -> f64 {
        let newest = self.desk.running().newest().unwrap();
        let place = newest.addresses.find(address).unwrap()[0].0;
        self.desk.running().value(self.desk.chains(), place).and_then(|value| value.number()).unwrap()
    }

    fn newest(&self) -> String {
        self.desk.running().newest_name()
    }

    /// The values of all chains, as users see them.
    fn values(&self) -> Vec<BTreeMap<String, ParamValue>> {
        ["a", "b", "c"].map(|name| self.desk.chains().values_of(name)).to_vec()
    }

    fn swaps(&self) -> usize {
        self.sent.iter().filter(|command| matches!(command, Command::Swap { .. })).count()
    }

    fn has_line(&self, part: &str) -> bool {
        self.lines.iter().any(|(_, line)| line.contains(part))
    }
}

#[test]
fn a_swap_asked_for_during_a_build_overtakes_it_and_its_late_result_is_dropped() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.end_task();
    let late = station.tasks.pop_front().unwrap();
    station.swap(2, "c");
    let late = station.result(late);
    station.handle(late.clone());
    assert_eq!((station.newest().as_str(), station.swaps()), ("a", 0));
    station.settle();
    assert_eq!((station.newest().as_str(), station.swaps()), ("c", 1));
    // The same result a second time: the chain is freed, nothing else happens.
    if let Input::Built { generation, .. } = late {
        station.built.insert(generation);
    }
    station.handle(late);
    station.settle();
    assert_eq!((station.newest().as_str(), station.swaps()), ("c", 1));
    assert!(station.built.is_empty());
}

#[test]
fn a_swap_asked_for_while_one_runs_waits_and_the_last_one_wins() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.end_task();
    station.end_task();
    assert!(station.desk.running().is_swapping());
    station.swap(2, "c");
    station.swap(1, "a");
    assert!(station.tasks.is_empty(), "nothing is prepared while a swap runs");
    station.settle();
    assert_eq!((station.newest().as_str(), station.swaps()), ("a", 2));
}

#[test]
fn a_file_that_changes_during_a_build_is_read_and_swapped_in_after_it() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.end_task();
    station.files[1] = chain("b", &B.replace("-3 dB", "-4 dB"));
    station.handle(Input::FileChanged("b.yaml".into()));
    station.settle();
    assert_eq!((station.newest().as_str(), station.value("/node/g/gain")), ("b", -4.0));
    assert!(station.tasks.is_empty() && station.built.is_empty());
}

#[test]
fn a_reload_of_files_that_say_the_same_builds_nothing() {
    let mut station = Station::new();
    station.set(1, "/node/g/gain", -7.0);
    station.ask(1, Request::Reload { reset: false });
    station.settle();
    assert_eq!((station.swaps(), station.value("/node/g/gain")), (0, -7.0));
    station.ask(1, Request::Reload { reset: true });
    station.settle();
    // The chain is the same, so its values are sent and nothing is built.
    assert_eq!((station.swaps(), station.value("/node/g/gain")), (0, 0.0));
    assert!(station.sent.iter().any(|command| matches!(command, Command::Set { value: 1.0, .. })));
}

#[test]
fn a_swap_to_what_is_on_air_already_builds_nothing_and_is_done_all_the_same() {
    let mut station = Station::new();
    station.set(1, "/node/g/gain", -7.0);
    station.swap(1, "a");
    station.settle();
    assert_eq!((station.swaps(), station.value("/node/g/gain")), (0, -7.0));
    let told: Vec<_> = station.lines.iter().map(|(_, line)| line.as_str()).collect();
    assert_eq!(told, ["/event/swap loading a", "/event/swap done a"]);
}

#[test]
fn a_change_of_the_sample_rate_overtakes_what_was_planned_for_the_old_one() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.ask(2, Request::Reload { reset: true });
    station.handle(Input::Opened { rate: 96_000.0, is_free: false });
    station.settle();
    let running = station.desk.running();
    assert_eq!((running.newest_name().as_str(), running.newest().unwrap().plan.sample_rate), ("b", 96_000.0));
    assert!(station.tasks.is_empty() && station.built.is_empty());
    let latency = station.desk.chains().latency();
    assert_eq!(latency, plan(&station.files[1].spec, 96_000.0).unwrap().latency, "the largest of all");
    station.swap(1, "a");
    station.settle();
    assert_eq!(station.desk.running().newest().unwrap().plan.total, latency);
}

#[test]
fn a_task_that_fails_leaves_the_chain_on_air_and_says_why() {
    let mut station = Station::new();
    station.swap(1, "b");
    let Some(Task::Plan(ticket, ..)) = station.tasks.pop_front() else { panic!("a plan is asked for") };
    station.handle(Input::Failed { ticket, why: "the disk does not answer".to_owned() });
    assert_eq!(station.newest(), "a");
    let error = (Recipients::One(client(1)), "/error /swap the disk does not answer".to_owned());
    assert!(station.lines.contains(&error), "{:?}", station.lines);
    station.swap(1, "b");
    station.settle();
    assert_eq!(station.newest(), "b");
}

#[test]
fn what_a_client_sets_after_it_asked_for_a_chain_is_meant_for_that_chain() {
    let mut station = Station::new();
    station.swap(1, "b");
    station.set(1, "/node/g/gain", -9.0);
    station.set(2, "/node/g/gain", -1.0);
    assert_eq!(station.value("/node/g/gain"), -1.0, "others do not wait");
    station.ask(1, Request::Sync);
    station.settle();
    assert_eq!((station.newest().as_str(), station.value("/node/g/gain")), ("b", -9.0));
}

#[test]
fn a_value_sent_during_a_swap_goes_to_both_chains_and_one_sent_during_a_build_is_not_lost() {
    let mut station = Station::new();
    station.swap(1, "a");
    station.set(2, "/node/g/gain", -5.0);
    station.end_task();
    station.end_task();
    let generation = station.desk.running().newest().unwrap().generation;
    let is_told = |command: &&Command| matches!(command, Command::Set { target, .. } if target.generation == generation);
    assert_eq!(station.sent.iter().filter(is_told).count(), 1, "the chain was planned before");
    station.sent.clear();
    station.set(2, "/node/g/gain", -6.0);
    let both: BTreeSet<u64> = station
        .sent
        .iter()
        .filter_map(|command| match command {
            Command::Set { target, .. } => Some(target.generation),
            _ => None,
        })
        .collect();
    assert_eq!(both.len(), 2);
}

#[test]
fn a_setting_that_the_chain_cannot_have_goes_back_and_its_sender_is_told_why() {
    let mut station = Station::new();
    station.set(1, "/node/n/lookahead", 9.0);
    station.settle();
    assert_eq!((station.value("/node/n/lookahead"), station.swaps()), (1.0, 0));
    assert_eq!(station.known["/node/n/lookahead"], [Value::Number(1.0)], "all see it go back");
    let is_error = |(to, line): &(Recipients, String)| {
        *to == Recipients::One(client(1)) && line.starts_with("/error /node/n/lookahead the chain needs")
    };
    assert!(station.lines.iter().any(is_error), "{:?}", station.lines);
    station.ask(1, Request::Undo(Scope::Own));
    assert!(station.has_line("nothing to undo"), "{:?}", station.lines);
    station.set(1, "/node/n/lookahead", 1.5);
    station.settle();
    assert_eq!((station.value("/node/n/lookahead"), station.swaps()), (1.5, 1));
}

#[test]
fn a_move_of_a_client_stops_the_morph_of_that_parameter_alone() {
    let mut station = Station::new();
    station.set(1, "/node/g/gain", -12.0);
    station.set(1, "/node/wide/width", 0.5);
    station.scene(SceneRequest::Save { name: "soft".to_owned(), nodes: Vec::new() });
    station.set(1, "/node/g/gain", 0.0);
    station.set(1, "/node/wide/width", 1.0);
    station.scene(SceneRequest::Recall { name: "soft".to_owned(), morph: 1.0 });
    station.wait(500);
    assert!((-7.0..-5.0).contains(&station.value("/node/g/gain")));
    station.set(2, "/node/g/gain", 3.0);
    station.wait(600);
    assert_eq!((station.value("/node/g/gain"), station.value("/node/wide/width")), (3.0, 0.5));
}

#[test]
fn a_scene_of_another_chain_swaps_to_it_and_one_with_unknown_nodes_sets_the_rest() {
    let mut station = Station::new();
    station.set(1, "/node/g/gain", -12.0);
    station.scene(SceneRequest::Save { name: "soft".to_owned(), nodes: Vec::new() });
    station.set(1, "/node/g/gain", 0.0);
    // The file no longer has the node "wide".
    station.files[0] = chain("a", &A.replace("  - stereo: {id: wide}\n", ""));
    station.ask(1, Request::Reload { reset: false });
    station.settle();
    station.swap(1, "c");
    station.settle();
    station.scene(SceneRequest::Recall { name: "soft".to_owned(), morph: 0.0 });
    station.settle();
    assert_eq!((station.newest().as_str(), station.value("/node/g/gain")), ("a", -12.0));
    assert_eq!(station.known["/scene/1"], [Value::Number(1.0)]);
}

#[test]
fn undo_takes_back_what_was_done_on_the_chain_on_air_and_no_swap() {
    let mut station = Station::new();
    station.set(1, "/node/g/gain", -4.0);
    station.swap(1, "b");
    station.settle();
    station.ask(1, Request::Undo(Scope::Own));
    assert!(station.has_line("nothing to undo on chain \"b\""));
    station.swap(1, "a");
    station.settle();
    station.ask(1, Request::Undo(Scope::Own));
    assert_eq!(station.value("/node/g/gain"), 0.0);
    station.ask(1, Request::Redo(Scope::Own));
    assert_eq!(station.value("/node/g/gain"), -4.0);
}

#[test]
fn a_and_b_of_two_chains_change_places_when_the_other_one_is_ready() {
    let mut station = Station::new();
    station.ask(1, Request::Compare(CompareRequest::Chain("b".to_owned())));
    station.ask(1, Request::Compare(CompareRequest::Select(true)));
    assert_eq!(station.known["/ab"], [Value::Text("a".to_owned())], "not before it is ready");
    station.settle();
    assert_eq!(station.known["/ab"], [Value::Text("b".to_owned())]);
    assert_eq!(
        (station.newest().as_str(), &station.known["/ab/chain"][..]),
        ("b", &[Value::Text("a".to_owned())][..])
    );
}
