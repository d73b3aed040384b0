//! Kinds whose work is spread over several quanta, or cannot be: for each quantum of their schedule the least time of some
//! rounds, so that what else the machine does is left out; of those the mean and the worst.

#![allow(clippy::disallowed_methods, reason = "a bench has a clock")]

use lacquer_graph::plan::{Group, Io, Plan};
use lacquer_graph::{Chain, Plane, QUANTUM, Spec};
use std::time::Instant;

/// Quanta after which every schedule begins anew.
const QUANTA: usize = 480;
const ROUNDS: usize = 40;

fn main() {
    for channels in [1, 2, 8] {
        for rate in [48_000.0, 96_000.0] {
            measure("denoise", "", channels, rate);
            measure("denoise of a voice", ": {mode: voice}", channels, rate);
        }
    }
}

fn measure(name: &str, settings: &str, channels: usize, rate: f64) {
    let (spec, mistakes) = Spec::parse(format!("nodes:\n  - denoise{settings}\n").as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let groups = |name: &str| vec![Group { name: name.to_owned(), channels }];
    let io = Io { inputs: groups("in"), outputs: groups("out") };
    let mut chain = match Plan::new(&spec, &io, rate) {
        Ok(plan) => Chain::new(&plan, 1),
        Err(mistakes) => panic!("{mistakes:?}"),
    };
    let mut seed = 1_u64;
    let (mut input, mut output) = (vec![[0.0; QUANTUM]; channels], vec![[0.0; QUANTUM]; channels]);
    let mut least = [f64::INFINITY; QUANTA];
    for round in 0..ROUNDS {
        for least in &mut least {
            for sample in input.iter_mut().flat_map(|plane: &mut Plane| plane) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *sample = 0.1 * ((seed >> 40) as f64 / (1 << 23) as f64 - 1.0);
            }
            let began = Instant::now();
            chain.process(&input, &mut output, QUANTUM, None, |_| {});
            let time = began.elapsed().as_secs_f64() * 1e6;
            if round > 0 {
                *least = least.min(time);
            }
        }
    }
    let mean = least.iter().sum::<f64>() / QUANTA as f64;
    let worst = least.iter().copied().fold(0.0, f64::max);
    println!(
        "{name:20} {channels} channels, {:3} kHz: mean {mean:6.1} µs, worst {worst:6.1} µs ({:.1} x), of {:.0} µs",
        rate / 1_000.0,
        worst / mean,
        QUANTUM as f64 / rate * 1e6
    );
}
