//! The cases that are counted: each is prepared, and then played once between two marks.

use crate::common::{self, RATE, noise};
use basedrop::{Collector, Owned};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::{Chain, Engine, Plane, SUBBLOCK};
use std::hint::black_box;

/// Sub-blocks that a chain plays before the count, and during it: whole periods of all periodic work.
const BEFORE: usize = 32;
const COUNTED: usize = 256;

macro_rules! ready {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../../configs/chains/", $name, ".yaml")))),*]
    };
}

/// Ready chains.
const READY: &[(&str, &str)] = ready!("streaming", "podcast", "vinyl-transfer");

/// A case, and its name in the figures.
pub(crate) struct Case {
    pub name: String,
    pub play: Box<dyn Fn()>,
}

/// All cases, in the order in which they are played.
pub(crate) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |name: String, play: Box<dyn Fn()>| cases.push(Case { name, play });
    for node_type in CATALOGUE {
        for workload in node_type.workloads {
            let yaml = format!("nodes:\n  - {}: {{{}}}\n", node_type.name, workload.settings);
            let moving = workload.moving;
            add(format!("{}{}", node_type.name, workload.name), Box::new(move || play(&yaml, moving)));
        }
    }
    for (name, yaml) in READY {
        add(format!("chain {name}"), Box::new(move || play(yaml, None)));
    }
    let [streaming, podcast, _] = READY else { unreachable!("three ready chains") };
    add("swap streaming to podcast".to_owned(), Box::new(|| swap(streaming.1, podcast.1)));
    add("plan podcast 64 times".to_owned(), Box::new(|| plans(podcast.1)));
    add("build podcast".to_owned(), Box::new(|| build(podcast.1)));
    cases
}

/// Runs what is counted: callgrind counts during this function, and writes its counts at the end.
#[inline(never)]
fn counted(work: &mut dyn FnMut()) {
    work();
}

fn plan(yaml: &str) -> Plan {
    common::plan(yaml).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Sub-blocks of a tone and noise whose level changes, so that dynamics have work.
fn input() -> Vec<[Plane; 2]> {
    let mut noise = noise();
    let subblock = |at: usize| {
        let level = [1.0, 0.1, 0.5, 0.02][at / 16 % 4];
        let mut planes = [[0.0; SUBBLOCK]; 2];
        for frame in 0..SUBBLOCK {
            let tone = (0.03 * (at * SUBBLOCK + frame) as f64).sin();
            planes
                .iter_mut()
                .for_each(|plane| plane[frame] = level * (0.5 * tone + 0.5 * noise.next().unwrap_or(0.0)));
        }
        planes
    };
    (0..BEFORE + COUNTED).map(subblock).collect()
}

/// Plays a chain; the rows of the given name move in all parts of its first node.
fn play(yaml: &str, moving: Option<&str>) {
    let plan = plan(yaml);
    let mut chain = Chain::new(&plan, 1);
    let is_moving =
        |row: &usize| plan.nodes[0].node_type.row(*row).is_some_and(|row| moving == Some(row.name));
    let rows: Vec<usize> = (0..plan.nodes[0].values.len()).filter(is_moving).collect();
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    let mut subblock = |at: usize| {
        rows.iter().for_each(|row| chain.set(0, *row, if at / 8 % 2 == 0 { 0.0 } else { 1.0 }));
        chain.process(black_box(&input[at]), &mut output, SUBBLOCK, None, |_| {});
        black_box(&output);
    };
    (0..BEFORE).for_each(&mut subblock);
    counted(&mut || (BEFORE..BEFORE + COUNTED).for_each(&mut subblock));
}

/// Plays a swap, from the sub-block in which it begins until it is done.
fn swap(from: &str, to: &str) {
    let collector = Collector::new();
    let plans = [from, to].map(plan);
    let mut engine = Engine::for_files(&Io::stereo(), RATE);
    engine.start(Owned::new(&collector.handle(), Chain::new(&plans[0], 1)));
    let mut next = Chain::new(&plans[1], 2);
    next.follow(&Diff::between(&plans[0], &plans[1]));
    let mut next = Some(Owned::new(&collector.handle(), next));
    let input = input();
    let mut subblock = |at: usize| {
        if let Some(next) = next.take_if(|_| at == BEFORE) {
            engine.swap(next, 4_800, 3_840);
        }
        engine.inputs().copy_from_slice(&input[at]);
        engine.process(SUBBLOCK, |_| true);
    };
    (0..BEFORE).for_each(&mut subblock);
    counted(&mut || (BEFORE..BEFORE + COUNTED).for_each(&mut subblock));
}

/// Reads and plans a chain file many times: a single time would depend on the allocator too much.
fn plans(yaml: &str) {
    counted(&mut || (0..64).for_each(|_| drop(black_box(plan(black_box(yaml))))));
}

/// Builds a chain.
fn build(yaml: &str) {
    let plan = plan(yaml);
    let mut chain = None;
    counted(&mut || chain = Some(Chain::new(black_box(&plan), 1)));
    black_box(&chain);
}
