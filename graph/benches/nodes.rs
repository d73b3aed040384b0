//! Cost of each node type, of chains and of a swap: time for a sub-block of 64 stereo frames at 48 kHz, and frames per
//! second. A sub-block lasts 1333 µs in real time.

use basedrop::{Collector, Owned};
use divan::Bencher;
use divan::counter::ItemsCount;
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::{Chain, Engine, Plane, SUBBLOCK, Spec};

const RATE: f64 = 48_000.0;

const EIGHT_BANDS: &str = "  - eq: {bands: [{freq: 30 Hz, shape: highpass}, {freq: 80 Hz, gain: 2 dB}, {freq: 200 Hz, gain: -2 dB}, \
     {freq: 500 Hz, gain: 1 dB}, {freq: 1 kHz, gain: -1 dB}, {freq: 3 kHz, gain: 2 dB}, {freq: 8 kHz, gain: 1 dB}, \
     {freq: 12 kHz, shape: highshelf, gain: 2 dB}]}\n";
const LOW_BANDS: &str = "  - eq: {bands: [{freq: 30 Hz, shape: highpass}, {freq: 40 Hz, gain: 2 dB}, {freq: 50 Hz, gain: -2 dB}, \
     {freq: 60 Hz, gain: 1 dB}, {freq: 70 Hz, gain: -1 dB}, {freq: 80 Hz, gain: 2 dB}, {freq: 90 Hz, gain: 1 dB}, \
     {freq: 100 Hz, gain: 2 dB}]}\n";
const DYNAMIC_BANDS: &str = "  - eq: {bands: [{freq: 60 Hz, range: -6 dB}, {freq: 120 Hz, range: -6 dB}, {freq: 250 Hz, range: -6 dB}, \
     {freq: 500 Hz, range: -6 dB}, {freq: 1 kHz, range: -6 dB}, {freq: 2 kHz, range: -6 dB}, {freq: 4 kHz, range: -6 dB}, \
     {freq: 8 kHz, range: -6 dB}]}\n";
const MASTER: &str = "  - eq: {bands: [{freq: 25 Hz, shape: highpass}, {freq: 3 kHz, gain: 1.5 dB}, {freq: 10 kHz, shape: highshelf, gain: 1 dB}]}
  - compressor: {threshold: -20 dB, ratio: 2, release: auto}
  - stereo: {width: 105 %}
  - limiter: {ceiling: -1 dBTP}
";
const THREE_BANDS: &str = "  - multiband: {bands: [{to: 200 Hz, threshold: -30 dB}, {to: 2 kHz, threshold: -30 dB}, {threshold: -30 dB}]}\n";
const NODES: &[(&str, &str)] = &[
    ("clipper", "  - clipper: {drive: 3 dB}\n"),
    ("compressor", "  - compressor: {threshold: -30 dB}\n"),
    ("crossover", "  - crossover: {band: 2, splits: [{freq: 200 Hz}, {freq: 2 kHz}]}\n"),
    ("declick", "  - declick\n"),
    ("declip", "  - declip\n"),
    ("deesser", "  - deesser: {threshold: -20 dB}\n"),
    ("dehum", "  - dehum\n"),
    ("delay", "  - delay: {time: 100 ms}\n"),
    ("denoise", "  - denoise\n"),
    ("denoise of a voice", "  - denoise: {mode: voice}\n"),
    ("dither", "  - dither: {bits: 16, shaping: lipshitz}\n"),
    ("eq of 8 bands", EIGHT_BANDS),
    ("eq of 8 low bands", LOW_BANDS),
    ("eq of 8 dynamic bands", DYNAMIC_BANDS),
    ("exciter", "  - exciter\n"),
    ("expander", "  - expander: {threshold: -6 dB, key_highpass: 100 Hz}\n"),
    ("gain", "  - gain: {gain: -3 dB}\n"),
    ("leveler", "  - leveler\n"),
    ("limiter", "  - limiter: {ceiling: -12 dBTP}\n"),
    ("mix", "  - mix: {gain: -3 dB}\n"),
    ("multiband of 3 bands", THREE_BANDS),
    ("noise", "  - noise: {colour: pink}\n"),
    ("phase", "  - phase: {time: 0.3 ms, stages: 4}\n"),
    ("stereo", "  - stereo: {width: 120 %}\n"),
    ("tone", "  - tone\n"),
    ("master", MASTER),
];

fn main() {
    divan::main();
}

/// The same with linear phase.
fn linear(nodes: &str) -> String {
    nodes.replace("bands:", "phase: linear, bands:")
}

fn plan(nodes: &str) -> Plan {
    let (spec, mistakes) = Spec::parse(format!("nodes:\n{nodes}").as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    match Plan::new(&spec, &Io::stereo(), RATE) {
        Ok(plan) => plan,
        Err(mistakes) => panic!("{mistakes:?}"),
    }
}

/// Noise loud enough for dynamics.
fn input() -> [Plane; 2] {
    let mut planes = [[0.0; SUBBLOCK]; 2];
    let mut seed = 1_u64;
    for sample in planes.iter_mut().flatten() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        *sample = (seed >> 40) as f64 / (1 << 23) as f64 - 1.0;
    }
    planes
}

#[divan::bench(args = ["eq of 8 bands", "multiband of 3 bands"])]
fn subblock_of_linear_phase(bencher: Bencher<'_, '_>, name: &str) {
    let nodes = NODES.iter().find(|(known, _)| *known == name).map_or("", |(_, nodes)| nodes);
    let mut chain = Chain::new(&plan(&linear(nodes)), 1);
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    bencher.counter(ItemsCount::new(SUBBLOCK)).bench_local(move || {
        chain.process(divan::black_box(&input), &mut output, SUBBLOCK, None, |_| {});
        output[0][0]
    });
}

#[divan::bench(args = NODES.iter().map(|(name, _)| *name))]
fn subblock(bencher: Bencher<'_, '_>, name: &str) {
    let nodes = NODES.iter().find(|(known, _)| *known == name).map_or("", |(_, nodes)| nodes);
    let mut chain = Chain::new(&plan(nodes), 1);
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    bencher.counter(ItemsCount::new(SUBBLOCK)).bench_local(move || {
        chain.process(divan::black_box(&input), &mut output, SUBBLOCK, None, |_| {});
        output[0][0]
    });
}

macro_rules! ready {
    ($($name:literal),*) => {
        &[$(($name, include_str!(concat!("../../configs/chains/", $name, ".yaml")))),*]
    };
}

/// The ready chains, as shipped.
const READY: &[(&str, &str)] = ready!(
    "apple",
    "broadcast-a85",
    "broadcast-r128",
    "club",
    "loud",
    "night",
    "parallel",
    "podcast",
    "remote-interview",
    "streaming",
    "tape-hiss",
    "transparent",
    "vinyl",
    "vinyl-transfer",
    "warm"
);

#[divan::bench(args = READY.iter().map(|(name, _)| *name))]
fn ready_chain(bencher: Bencher<'_, '_>, name: &str) {
    let text = READY.iter().find(|(known, _)| *known == name).map_or("", |(_, text)| text);
    let (spec, mistakes) = Spec::parse(text.as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let Ok(plan) = Plan::new(&spec, &Io::stereo(), RATE) else { panic!("{name} has no plan") };
    let mut chain = Chain::new(&plan, 1);
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    bencher.counter(ItemsCount::new(SUBBLOCK)).bench_local(move || {
        chain.process(divan::black_box(&input), &mut output, SUBBLOCK, None, |_| {});
        output[0][0]
    });
}

/// Every row `name` of a chain's only node moves all the time; each sample is a sub-block, so the slowest is reported
/// too.
fn while_moving(bencher: Bencher<'_, '_>, nodes: &str, name: &str, [one, other]: [f64; 2]) {
    let plan = plan(nodes);
    let mut chain = Chain::new(&plan, 1);
    let rows = 0..plan.nodes[0].values.len();
    let named = |index: &usize| plan.nodes[0].node_type.row(*index).is_some_and(|row| row.name == name);
    let rows: Vec<usize> = rows.filter(named).collect();
    let (input, mut output) = (input(), [[0.0; SUBBLOCK]; 2]);
    let mut to = one;
    bencher.counter(ItemsCount::new(SUBBLOCK)).bench_local(move || {
        to = if to == one { other } else { one };
        rows.iter().for_each(|row| chain.set(0, *row, to));
        chain.process(divan::black_box(&input), &mut output, SUBBLOCK, None, |_| {});
        output[0][0]
    });
}

#[divan::bench]
fn eq_while_all_bands_move(bencher: Bencher<'_, '_>) {
    while_moving(bencher, EIGHT_BANDS, "gain", [0.0, 1.0]);
}

/// A filter is always being designed or crossfaded to. Each sample is a sub-block, to compare mean and worst.
#[divan::bench(sample_size = 1, sample_count = 10_000)]
fn eq_of_linear_phase_while_all_bands_move(bencher: Bencher<'_, '_>) {
    while_moving(bencher, &linear(EIGHT_BANDS), "gain", [0.0, 1.0]);
}

/// The same at rest.
#[divan::bench(sample_size = 1, sample_count = 10_000)]
fn eq_of_linear_phase_at_rest(bencher: Bencher<'_, '_>) {
    while_moving(bencher, &linear(EIGHT_BANDS), "none", [0.0, 1.0]);
}

#[divan::bench(sample_size = 1, sample_count = 10_000)]
fn multiband_of_linear_phase_while_all_splits_move(bencher: Bencher<'_, '_>) {
    while_moving(bencher, &linear(THREE_BANDS), "to", [200.0, 300.0]);
}

/// The sub-block in which a swap begins: the new chain adopts the state, and both chains play.
#[divan::bench]
fn first_subblock_of_a_swap(bencher: Bencher<'_, '_>) {
    let collector = Collector::new();
    let plan = plan(MASTER);
    let engine = || {
        let mut engine = Engine::for_files(&Io::stereo(), RATE);
        engine.start(Owned::new(&collector.handle(), Chain::new(&plan, 1)));
        engine.inputs().copy_from_slice(&input());
        engine.process(SUBBLOCK, |_| {});
        let mut next = Chain::new(&plan, 2);
        next.follow(&plan, &plan);
        (engine, Owned::new(&collector.handle(), next))
    };
    bencher.counter(ItemsCount::new(SUBBLOCK)).with_inputs(engine).bench_local_values(
        |(mut engine, next)| {
            engine.swap(next, 12_000, 3_840);
            engine.process(SUBBLOCK, |_| {});
            engine
        },
    );
}
