//! A station in memory: the real callback, wire, seat and conductor's picture of it, and a clock that only
//! moves when a test plays.

use crate::daemon::root;
use crate::signal::Channels;
use basedrop::Collector;
use lacquer::audio::backend::file::Memory;
use lacquer::audio::callback::Callback;
use lacquer::conductor::chains::Chains;
use lacquer::conductor::on_air::OnAir;
use lacquer::station::control::Control;
use lacquer::station::impulses::loader;
use lacquer::station::load::{ChainFile, Loaded};
use lacquer::station::overload::Overload;
use lacquer::station::realtime::Realtime;
use lacquer::station::{Audio, Backend, Null, Station};
use lacquer_control::address::Place;
use lacquer_control::message::{FromAudio, ToAudio};
use lacquer_control::queues::{ControlEnd, queues};
use lacquer_control::value::Value;
use lacquer_graph::param::text::Data;
use lacquer_graph::plan::{Group, Io};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Engine, Plan, Spec};
use std::path::Path;
use std::sync::Arc;

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

pub fn loaded(chains: Vec<ChainFile>, io: &Io) -> Loaded {
    let null = Null { rate: RATE, block: 64, free: true, programme: false };
    let audio = Audio {
        backend: Backend::Null(null),
        io: io.clone(),
        latency_ms: None,
        realtime: Realtime::default(),
    };
    let station = Station {
        name: "rig".to_owned(),
        audio,
        chains: Vec::new(),
        start: None,
        warmup_ms: 50.0,
        fade_ms: 80.0,
        watch: false,
        control: Control::default(),
        cues: None,
        overload: Overload::default(),
    };
    Loaded { station, chains, cues: Vec::new(), midi: Vec::new() }
}

fn written(chains: &[(&str, &str)]) -> Vec<ChainFile> {
    chains.iter().map(|(name, nodes)| chain_file(name, nodes)).collect()
}

pub struct Rig {
    pub air: OnAir,
    pub control: ControlEnd,
    pub callback: Callback,
    pub collector: Collector,
    /// Frames in a block of the host's.
    pub block: usize,
    /// What the seat told, in order.
    pub events: Vec<Event>,
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
        let mut loaded = loaded(files, io);
        loaded.station.audio.latency_ms = latency_ms;
        let collector = Collector::new();
        let swap_ms = (loaded.station.warmup_ms, loaded.station.fade_ms);
        let mut air = OnAir::new(Chains::new(&loaded, rate), collector.handle(), swap_ms);
        let (mut control, audio) = queues();
        control.enqueue(air.start(&first).unwrap());
        control.flush();
        let seat = if at_once { Engine::for_files(io, rate) } else { Engine::new(io, rate) };
        let memory = Memory::new(io.input_channels(), io.output_channels());
        let callback = Callback::new(audio, seat, rate, None);
        Self { air, control, callback, collector, block: 64, events: Vec::new(), memory }
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
            self.listen();
        }
        output
    }

    /// What the conductor does with readings.
    fn listen(&mut self) {
        while let Some(reading) = self.control.next_event() {
            let FromAudio::Engine(event) = reading else { continue };
            if let Event::OnAir { generation } = event
                && let Some(next) = self.air.swap_done(generation)
            {
                self.swap(&next);
            }
            self.events.push(event);
        }
        self.control.flush();
    }

    pub fn order(&mut self, order: ToAudio) {
        self.control.enqueue(order);
        self.control.flush();
    }

    pub fn swap(&mut self, name: &str) {
        if let Some(order) = self.air.swap(name).unwrap() {
            self.order(order);
        }
    }

    /// Sets an address, as a surface would; a number is in the row's unit.
    pub fn set(&mut self, address: &str, value: f64) {
        self.set_value(address, &Value::Number(value));
    }

    pub fn set_value(&mut self, address: &str, value: &Value) {
        let done = self.air.set(address, value).unwrap();
        done.commands.into_iter().for_each(|command| self.control.enqueue(command));
        self.control.flush();
        if done.rebuild {
            let name = self.air.newest().unwrap().name.clone();
            self.swap(&name);
        }
    }

    /// For every live row of the newest chain, a value a little away from where it is.
    pub fn moves(&self) -> Vec<(String, f64)> {
        let newest = self.air.newest().unwrap();
        let is_live = |place: &&Place| !place.row.is_setting && place.row.name != "enabled";
        let value = |place: &Place| {
            let now = place.row.to_norm(self.air.value(place).and_then(|value| value.number()).unwrap());
            place.row.from_norm((now + 0.1).fract()).unwrap()
        };
        newest.addresses.all().iter().filter(is_live).map(|place| (place.address(), value(place))).collect()
    }

    /// Moves every live row of the newest chain a little.
    pub fn move_all(&mut self) {
        for (address, value) in self.moves() {
            self.set(&address, value);
        }
    }

    pub fn latency(&self) -> usize {
        self.air.chains.latency()
    }

    /// How often the seat told such an event.
    pub fn count(&self, is: impl Fn(&Event) -> bool) -> usize {
        self.events.iter().filter(|event| is(event)).count()
    }
}
