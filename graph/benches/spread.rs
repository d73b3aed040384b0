//! Node types whose work is spread over several sub-blocks, or cannot be: for each sub-block of a passage the shortest
//! time of some rounds, which excludes other work of the machine; mean and worst of these.

#![allow(clippy::disallowed_methods, reason = "a bench has a clock")]

mod common;

use common::Noise;
use lacquer_graph::plan::{Group, Io, Plan};
use lacquer_graph::{Chain, Plane, SUBBLOCK, Spec};
use std::f64::consts::TAU;
use std::time::Instant;

/// Sub-blocks that are measured, after those that fill the delays.
const SUBBLOCKS: usize = 480;
const BEFORE: usize = 480;
const ROUNDS: usize = 20;

const EIGHT_BANDS: &str = "eq: {phase: linear, bands: [{freq: 30 Hz, shape: highpass}, {freq: 80 Hz, gain: 2 dB}, {freq: 200 Hz, gain: -2 dB}, \
     {freq: 500 Hz, gain: 1 dB}, {freq: 1 kHz, gain: -1 dB}, {freq: 3 kHz, gain: 2 dB}, {freq: 8 kHz, gain: 1 dB}, \
     {freq: 12 kHz, shape: highshelf, gain: 2 dB}]}";
const THREE_BANDS: &str = "multiband: {phase: linear, bands: [{to: 200 Hz, threshold: -30 dB}, {to: 2 kHz, threshold: -30 dB}, {threshold: -30 dB}]}";

/// A node, its input, and rows that alternate between two values all the time.
#[derive(Clone, Copy)]
struct Case {
    name: &'static str,
    node: &'static str,
    sound: fn(&mut Noise, usize) -> f64,
    moves: Option<(&'static str, [f64; 2])>,
}

fn main() {
    let case = |name, node, sound| Case { name, node, sound, moves: None };
    let moving = |name, node, row, ends| Case { name, node, sound: noise, moves: Some((row, ends)) };
    let cases = [
        case("eq at rest", EIGHT_BANDS, noise),
        moving("eq moving", EIGHT_BANDS, "gain", [0.0, 1.0]),
        case("multiband at rest", THREE_BANDS, noise),
        moving("multiband moving", THREE_BANDS, "to", [200.0, 300.0]),
        case("declick, no clicks", "declick", programme),
        case("declick, crackle", "declick", crackle),
        case("declip, not clipped", "declip", programme),
        case("declip, clipped", "declip", clipped),
        case("dehum, no hum", "dehum", programme),
        case("denoise", "denoise", noise),
        case("denoise of a voice", "denoise: {mode: voice}", noise),
    ];
    let wanted: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    for case in
        cases.iter().filter(|case| wanted.is_empty() || wanted.iter().any(|w| case.name.contains(w.as_str())))
    {
        for (channels, rate) in [(1, 48_000.0), (2, 48_000.0), (2, 96_000.0), (8, 48_000.0)] {
            measure(case, channels, rate);
        }
    }
}

/// From -1 to 1.
fn next(noise: &mut Noise) -> f64 {
    noise.next().unwrap_or(0.0)
}

fn noise(seed: &mut Noise, _: usize) -> f64 {
    0.1 * next(seed)
}

/// Some tones with varying levels, and noise.
fn programme(seed: &mut Noise, frame: usize) -> f64 {
    let turns = frame as f64 / 48_000.0;
    let tone = |n: f64| (TAU * 97.3 * n * turns).sin() / n * (1.5 + (TAU * n * turns).sin());
    (1..10).map(|n| 0.2 * tone(f64::from(n * n))).sum::<f64>() + 0.003 * next(seed)
}

/// Clicks of up to 20 samples, 250 per second at 48 kHz.
fn crackle(seed: &mut Noise, frame: usize) -> f64 {
    let length = frame / 192 * 7 % 20 + 1;
    programme(seed, frame) + if frame % 192 < length { 0.8 * next(seed) } else { 0.0 }
}

/// The same with clipped peaks.
fn clipped(seed: &mut Noise, frame: usize) -> f64 {
    (2.0 * programme(seed, frame)).clamp(-0.5, 0.5)
}

fn measure(case: &Case, channels: usize, rate: f64) {
    let (spec, mistakes) = Spec::parse(format!("nodes:\n  - {}\n", case.node).as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let groups = |name: &str| vec![Group { name: name.to_owned(), channels }];
    let io = Io { inputs: groups("in"), outputs: groups("out") };
    let plan = match Plan::new(&spec, &io, rate) {
        Ok(plan) => plan,
        Err(mistakes) => panic!("{mistakes:?}"),
    };
    let mut least = [f64::INFINITY; SUBBLOCKS];
    for _ in 0..ROUNDS {
        play(case, &plan, channels, &mut least);
    }
    let mean = least.iter().sum::<f64>() / SUBBLOCKS as f64;
    let worst = least.iter().copied().fold(0.0, f64::max);
    println!(
        "{:20} {channels} channels, {:3} kHz: mean {mean:6.1} µs, worst {worst:6.1} µs ({:.1} x), of {:.0} µs",
        case.name,
        rate / 1_000.0,
        worst / mean,
        SUBBLOCK as f64 / rate * 1e6
    );
}

/// A round: all are the same, each with a new chain.
fn play(case: &Case, plan: &Plan, channels: usize, least: &mut [f64; SUBBLOCKS]) {
    let mut chain = Chain::new(plan, 1);
    let rows = |name: &str| -> Vec<usize> {
        let node_type = plan.nodes[0].node_type;
        let is_named = |row: &usize| node_type.row(*row).is_some_and(|row| row.name == name);
        (0..plan.nodes[0].values.len()).filter(is_named).collect()
    };
    let moves = case.moves.map(|(name, ends)| (rows(name), ends));
    let (mut seed, mut output) = (common::noise(), vec![[0.0; SUBBLOCK]; channels]);
    let mut input: Vec<Plane> = vec![[0.0; SUBBLOCK]; channels];
    for subblock in 0..BEFORE + SUBBLOCKS {
        for frame in 0..SUBBLOCK {
            let sample = (case.sound)(&mut seed, subblock * SUBBLOCK + frame);
            input.iter_mut().for_each(|plane| plane[frame] = sample);
        }
        if let Some((rows, ends)) = &moves {
            rows.iter().for_each(|row| chain.set(0, *row, ends[subblock % 2]));
        }
        let began = Instant::now();
        chain.process(&input, &mut output, SUBBLOCK, None, |_| {});
        let time = began.elapsed().as_secs_f64() * 1e6;
        if let Some(least) = subblock.checked_sub(BEFORE).map(|at| &mut least[at]) {
            *least = least.min(time);
        }
    }
}
