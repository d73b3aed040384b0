//! Cost of each node type, of chains and of a swap: time for a sub-block of 64 stereo frames at 48 kHz, and frames per
//! second. A sub-block lasts 1333 µs in real time.

#![allow(clippy::disallowed_methods, reason = "the ready chains are files")]

mod common;

use basedrop::{Collector, Owned};
use common::{RATE, noise, plan as plan_of};
use divan::Bencher;
use divan::counter::ItemsCount;
use lacquer_graph::file::error::Mistake;
use lacquer_graph::node::{NodeType, Workload};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::{Chain, Engine, Plane, SUBBLOCK};
use std::{fmt, fs};

/// The row that chooses a phase response, and its value for a constant delay.
const PHASE: &str = "phase";
const LINEAR: &str = "linear";
/// The folder of the ready chains.
const READY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../configs/chains");

/// A node type and work for it, as its table states them.
struct Case(&'static NodeType, &'static Workload);

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.0.name, self.1.name)
    }
}

fn main() {
    divan::main();
}

/// Every node type with all its work.
fn cases() -> impl Iterator<Item = Case> {
    CATALOGUE.iter().flat_map(|node_type| node_type.workloads.iter().map(|work| Case(node_type, work)))
}

/// The types that can have linear phase, with the work that does not name the phase itself.
fn linear_phase_cases() -> impl Iterator<Item = Case> {
    let has_linear =
        |row: &Param| row.name == PHASE && matches!(row.unit, Unit::Choice(names) if names.contains(&LINEAR));
    cases().filter(move |Case(node_type, work)| {
        node_type.rows.iter().any(has_linear) && !work.settings.contains(&format!("{PHASE}:"))
    })
}

/// A chain of a node with these settings.
fn plan(Case(node_type, work): &Case, more: &str) -> Plan {
    let chain = format!("nodes:\n  - {}: {{{more}{}}}\n", node_type.name, work.settings);
    plan_of(&chain).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Noise loud enough for dynamics.
fn input() -> [Plane; 2] {
    let mut planes = [[0.0; SUBBLOCK]; 2];
    planes.iter_mut().flatten().zip(noise()).for_each(|(sample, noise)| *sample = noise);
    planes
}

/// Sub-blocks of a chain. The rows named `moving` of its first node move all the time.
fn play(bencher: Bencher<'_, '_>, plan: &Plan, moving: Option<&str>) {
    let node = &plan.nodes[0];
    let is_moving = |row: &usize| node.node_type.row(*row).is_some_and(|row| moving == Some(row.name));
    let rows: Vec<usize> = (0..node.values.len()).filter(is_moving).collect();
    let mut chain = Chain::new(plan, 1);
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    let mut to = 0.0;
    bencher.counter(ItemsCount::new(SUBBLOCK)).bench_local(move || {
        to = 1.0 - to;
        rows.iter().for_each(|row| chain.set(0, *row, to));
        chain.process(divan::black_box(&input), &mut output, SUBBLOCK, None, |_| {});
        output[0][0]
    });
}

#[divan::bench(args = cases())]
fn subblock(bencher: Bencher<'_, '_>, case: &Case) {
    play(bencher, &plan(case, ""), case.1.moving);
}

/// Each sample is a sub-block, to compare mean and worst: what moves is always being designed or crossfaded to.
#[divan::bench(args = linear_phase_cases(), sample_size = 1, sample_count = 10_000)]
fn subblock_of_linear_phase(bencher: Bencher<'_, '_>, case: &Case) {
    play(bencher, &plan(case, &format!("{PHASE}: {LINEAR}, ")), case.1.moving);
}

/// The names of the ready chains, without those for other inputs and outputs.
fn ready_chains() -> Vec<String> {
    let files = fs::read_dir(READY).unwrap_or_else(|error| panic!("{READY}: {error}")).flatten();
    let paths =
        files.map(|file| file.path()).filter(|path| path.extension().is_some_and(|end| end == "yaml"));
    let mut names: Vec<String> =
        paths.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect();
    names.retain(|name| ready_plan(name).is_ok());
    names.sort();
    names
}

fn ready_plan(name: &str) -> Result<Plan, Vec<Mistake>> {
    let path = format!("{READY}/{name}.yaml");
    plan_of(&fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

#[divan::bench(args = ready_chains())]
fn ready_chain(bencher: Bencher<'_, '_>, name: &str) {
    let plan = ready_plan(name).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    play(bencher, &plan, None);
}

/// The sub-block in which a swap begins: the new chain adopts the state, and both chains play.
#[divan::bench]
fn first_subblock_of_a_swap(bencher: Bencher<'_, '_>) {
    let collector = Collector::new();
    let plan = ready_plan("streaming").unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let engine = || {
        let mut engine = Engine::for_files(&Io::stereo(), RATE);
        engine.start(Owned::new(&collector.handle(), Chain::new(&plan, 1)));
        engine.inputs().copy_from_slice(&input());
        engine.process(SUBBLOCK, |_| true);
        let mut next = Chain::new(&plan, 2);
        next.follow(&Diff::between(&plan, &plan));
        (engine, Owned::new(&collector.handle(), next))
    };
    bencher.counter(ItemsCount::new(SUBBLOCK)).with_inputs(engine).bench_local_values(
        |(mut engine, next)| {
            engine.swap(next, 12_000, 3_840);
            engine.process(SUBBLOCK, |_| true);
            engine
        },
    );
}
