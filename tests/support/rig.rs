//! A station in memory: the real desk, queues, callback and engine, and a clock that only moves when a test plays.

use crate::daemon::root;
use crate::signal::Channels;
use basedrop::{Collector, Owned};
use lacquer::audio::backend::file::Memory;
use lacquer::audio::callback::Callback;
use lacquer::station::impulses::loader;
use lacquer::station::load::plan;
use lacquer_control::address::Place;
use lacquer_control::desk::Desk;
use lacquer_control::desk::chains::{ChainError, ChainFile, Chains};
use lacquer_control::desk::on_air::RunningChain;
use lacquer_control::desk::settings::Settings;
use lacquer_control::desk::turn::{Command, Effect, Files, Input, Now};
use lacquer_control::message::{FromAudio, ToAudio};
use lacquer_control::peer::Peer;
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_control::request::Request;
use lacquer_control::subscribe::SurfaceMessage;
use lacquer_control::value::{ParamValue, Value};
use lacquer_graph::param::text::Data;
use lacquer_graph::plan::{Group, Io};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Chain, Engine, Plan, Spec};
use std::collections::{BTreeMap, VecDeque};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

pub const RATE: f64 = 48_000.0;

/// Reads a chain that must be right.
pub fn spec(yaml: &str) -> Spec {
    let (spec, mistakes) = Spec::parse(yaml.as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}\n{yaml}");
    spec
}

/// What the texts of the first node of a chain stand for.
pub fn read_data(spec: &Spec) -> Vec<Option<Arc<Data>>> {
    let plan = Plan::with(spec, &Io::stereo(), RATE, &loader(Path::new(""), spec)).unwrap();
    plan.nodes.into_iter().next().unwrap().data
}

/// A chain of the nodes in `nodes`, written as in a file.
pub fn chain_file(name: &str, nodes: &str) -> ChainFile {
    chain(name, spec(&format!("name: {name}\nnodes:\n{nodes}")))
}

/// A chain that is not in a file.
pub fn chain(name: &str, mut spec: Spec) -> ChainFile {
    spec.name = name.to_owned();
    ChainFile { name: name.to_owned(), path: format!("{name}.yaml").into(), spec }
}

/// What a chain can be made of: nodes written as in a file, or as data.
pub trait Nodes {
    /// The chain.
    fn chain(&self, name: &str) -> ChainFile;
}

impl Nodes for str {
    fn chain(&self, name: &str) -> ChainFile {
        chain_file(name, self)
    }
}

impl Nodes for String {
    fn chain(&self, name: &str) -> ChainFile {
        chain_file(name, self)
    }
}

/// A chain that is shipped, as it stands in its file.
pub fn ready(name: &str) -> ChainFile {
    let path = root().join(format!("configs/chains/{name}.yaml"));
    let spec = spec(&std::fs::read_to_string(&path).unwrap());
    ChainFile { name: name.to_owned(), path, spec }
}

/// Channels in groups: `&[("programme", 2)]`.
pub fn groups(groups: &[(&str, usize)]) -> Vec<Group> {
    groups.iter().map(|(name, channels)| Group { name: (*name).to_owned(), channels: *channels }).collect()
}

/// One channel in, one out.
pub fn mono() -> Io {
    Io { inputs: groups(&[("programme", 1)]), outputs: groups(&[("master", 1)]) }
}

fn written(chains: &[(&str, &str)]) -> Vec<ChainFile> {
    chains.iter().map(|(name, nodes)| chain_file(name, nodes)).collect()
}

/// Who asks.
const CLIENT: Peer = Peer::Osc(SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 9));

pub struct Rig {
    pub desk: Desk,
    pub control: ControlEnd,
    pub callback: Callback,
    pub collector: Collector,
    /// Frames in a block of the host's.
    pub block: usize,
    /// The events of the engine, in order.
    pub events: Vec<Event>,
    built: BTreeMap<u64, Owned<Chain>>,
    /// What a reload reads.
    files: Vec<ChainFile>,
    rate: f64,
    played: u64,
    memory: Memory,
}

impl Rig {
    /// Stereo, with these chains; the first is on air, heard from the first frame on.
    pub fn new(chains: &[(&str, &str)]) -> Self {
        Self::with(chains, &Io::stereo(), true)
    }

    /// One chain of these nodes, stereo.
    pub fn of(nodes: &(impl Nodes + ?Sized)) -> Self {
        Self::of_files(vec![nodes.chain("main")], &Io::stereo())
    }

    /// The same at another sample rate.
    pub fn at(rate: f64, nodes: &str) -> Self {
        Self::built(written(&[("main", nodes)]), &Io::stereo(), true, rate, None)
    }

    /// The same, in a station whose latency leaves room for longer settings.
    pub fn roomy(nodes: &impl Nodes) -> Self {
        Self::built(vec![nodes.chain("main")], &Io::stereo(), true, RATE, Some(420.0))
    }

    /// Any groups; where not `at_once`, the sound comes up as it does on air.
    pub fn with(chains: &[(&str, &str)], io: &Io, at_once: bool) -> Self {
        Self::built(written(chains), io, at_once, RATE, None)
    }

    /// Chains from files; the first is on air, heard from the first frame on.
    pub fn of_files(files: Vec<ChainFile>, io: &Io) -> Self {
        Self::built(files, io, true, RATE, None)
    }

    fn built(files: Vec<ChainFile>, io: &Io, at_once: bool, rate: f64, latency_ms: Option<f64>) -> Self {
        let first = files[0].name.clone();
        let settings = Settings {
            station: "rig".to_owned(),
            warmup_ms: 50.0,
            fade_ms: 80.0,
            latency_ms,
            ..Settings::default()
        };
        let planned = files.iter().map(|file| (file.clone(), Arc::new(plan(file, io, rate).unwrap())));
        let chains = Chains::new(planned.collect(), io.clone(), rate, latency_ms);
        let (control, audio) = queues();
        let engine = if at_once { Engine::for_files(io, rate) } else { Engine::new(io, rate) };
        let mut rig = Self {
            desk: Desk::new(settings, chains, Vec::new(), &first, Duration::ZERO),
            control,
            callback: Callback::new(audio, engine, rate, None),
            collector: Collector::new(),
            block: 64,
            events: Vec::new(),
            built: BTreeMap::new(),
            files,
            rate,
            played: 0,
            memory: Memory::new(io.input_channels(), io.output_channels()),
        };
        rig.ask(Input::Opened { rate, is_free: true }).unwrap();
        rig
    }

    /// Passes an input to the desk and does at once what it decides; the first error that it answers with, if any.
    pub fn ask(&mut self, input: Input) -> Result<(), String> {
        let monotonic = Duration::from_secs_f64(self.played as f64 / self.rate);
        let now = Now { monotonic, wall: SystemTime::UNIX_EPOCH + monotonic, utc_offset: 0 };
        let (mut inputs, mut outcome) = (VecDeque::from([input]), Ok(()));
        while let Some(input) = inputs.pop_front() {
            let mut effects = Vec::new();
            self.desk.handle(input, now, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Send(command) => self.send(command),
                    Effect::Plan { ticket, chains, io, rate, .. } => {
                        let plan = |chain: &lacquer_control::desk::chains::ToPlan| {
                            let files = loader(chain.file.folder(), &chain.file.spec);
                            Plan::with(&chain.spec, &io, rate, &files)
                                .map(Arc::new)
                                .map_err(ChainError::Mistakes)
                        };
                        inputs.push_back(Input::Planned { ticket, plans: chains.iter().map(plan).collect() });
                    }
                    Effect::Build { ticket, generation, plan, diff } => {
                        let mut chain = Chain::new(&plan, generation);
                        diff.iter().for_each(|diff| chain.follow(diff));
                        self.built.insert(generation, Owned::new(&self.collector.handle(), chain));
                        inputs.push_back(Input::Built { ticket, generation });
                    }
                    Effect::Discard { generation } => drop(self.built.remove(&generation)),
                    Effect::Load { ticket, io, rate, .. } => {
                        let planned =
                            |file: &ChainFile| (file.clone(), Arc::new(plan(file, &io, rate).unwrap()));
                        let files = Files {
                            station: None,
                            chains: self.files.iter().map(planned).collect(),
                            start: self.files[0].name.clone(),
                            fixed: Vec::new(),
                        };
                        inputs.push_back(Input::Loaded { ticket, files: Ok(Box::new(files)) });
                    }
                    Effect::Surfaces(SurfaceMessage::Updates { updates, .. }) => {
                        for update in updates.iter().filter(|update| update.address == "/error") {
                            let Some(Value::Text(why)) = update.values.get(1) else { continue };
                            outcome = outcome.and_then(|()| Err(why.clone()));
                        }
                    }
                    Effect::Log { level: lacquer_control::desk::turn::Level::Error, text, .. } => {
                        outcome = outcome.and(Err(text));
                    }
                    _ => {}
                }
            }
        }
        self.control.flush();
        outcome
    }

    fn send(&mut self, command: Command) {
        let mut built = |generation: u64| self.built.remove(&generation).unwrap();
        let command = match command {
            Command::Start { generation } => ToAudio::Start(built(generation)),
            Command::Swap { generation, warmup, fade } => {
                ToAudio::Swap { chain: built(generation), warmup, fade }
            }
            Command::Set { target, value } => ToAudio::Set { target, value },
            Command::Enable { generation, node, on } => ToAudio::Enable { generation, node, on },
            Command::Trim { generation, chain, dry } => ToAudio::Trim { generation, chain, dry },
            Command::Bypass(on) => ToAudio::Bypass(on),
        };
        self.control.enqueue(command);
    }

    /// Asks for something, as a client does.
    pub fn request(&mut self, request: Request) -> Result<(), String> {
        self.ask(Input::Request { by: CLIENT, request })
    }

    /// Reads these files in place of the first ones.
    pub fn reload(&mut self, files: Vec<ChainFile>, reset: bool) {
        self.files = files;
        self.request(Request::Reload { reset }).unwrap();
    }

    /// The newest chain.
    pub fn newest(&self) -> &RunningChain {
        self.desk.running().newest().unwrap()
    }

    /// The name of the active chain.
    pub fn active(&self) -> &str {
        &self.desk.running().active().unwrap().name
    }

    pub fn is_swapping(&self) -> bool {
        self.desk.running().is_swapping()
    }

    /// The current value of a parameter of the newest chain.
    pub fn value(&self, place: &Place) -> Option<ParamValue> {
        self.desk.running().value(self.desk.chains(), place)
    }

    /// Plays `input` in blocks of `block`, and gives what comes out: as long, latency and all.
    pub fn play(&mut self, input: &Channels) -> Channels {
        let frames = input[0].len();
        let mut output: Channels = vec![Vec::with_capacity(frames); self.memory.outputs.len()];
        let mut from = 0;
        while from < frames {
            let count = self.block.min(frames - from);
            for (channel, samples) in self.memory.inputs.iter_mut().zip(input) {
                channel.clear();
                channel.extend(&samples[from..from + count]);
            }
            self.memory.run(&mut self.callback);
            output.iter_mut().zip(&self.memory.outputs).for_each(|(all, block)| all.extend(block));
            from += count;
            self.played += count as u64;
            self.listen();
        }
        output
    }

    /// What the conductor does with events.
    fn listen(&mut self) {
        while let Some(reading) = self.control.next_event() {
            let FromAudio::Engine(event) = reading else { continue };
            self.ask(Input::Engine(event)).ok();
            self.events.push(event);
        }
        self.control.flush();
    }

    pub fn order(&mut self, order: ToAudio) {
        self.control.enqueue(order);
        self.control.flush();
    }

    pub fn swap(&mut self, name: &str) {
        self.request(Request::Swap(name.to_owned())).unwrap();
    }

    /// Sets an address, as a surface would; a number is in the row's unit.
    pub fn set(&mut self, address: &str, value: f64) {
        self.set_value(address, &Value::Number(value));
    }

    pub fn set_value(&mut self, address: &str, value: &Value) {
        self.try_set(address, value).unwrap();
    }

    /// Sets an address; why not, where it is refused.
    pub fn try_set(&mut self, address: &str, value: &Value) -> Result<(), String> {
        self.request(Request::Set { address: address.to_owned(), value: value.clone() })
    }

    /// For every live row of the newest chain, a value a little away from where it is.
    pub fn moves(&self) -> Vec<(String, f64)> {
        let newest = self.newest();
        let is_live = |place: &&Place| !place.row.is_setting && place.row.name != "enabled";
        let value = |place: &Place| {
            let now = place.row.to_norm(self.value(place).and_then(|value| value.number()).unwrap());
            place.row.from_norm((now + 0.1).fract()).unwrap()
        };
        newest
            .addresses
            .all()
            .iter()
            .map(|place| &**place)
            .filter(is_live)
            .map(|place| (place.address(), value(place)))
            .collect()
    }

    /// Moves every live row of the newest chain a little.
    pub fn move_all(&mut self) {
        for (address, value) in self.moves() {
            self.set(&address, value);
        }
    }

    pub fn latency(&self) -> usize {
        self.desk.chains().latency()
    }

    /// How often the engine sent such an event.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }
}
