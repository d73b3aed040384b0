//! Cost of long impulse responses at 64 frames: for each tick of the schedule the shortest time of some rounds, which
//! excludes other work of the machine; mean and worst of these, relative to the 1333 µs of a sub-block at 48 kHz.

mod common;

use basedrop::{Collector, Owned};
use common::RATE;
use lacquer_graph::dsp::fir::convolution::{Convolution, Path, TICK};
use lacquer_graph::param::text::{Data, Impulse};
use lacquer_graph::plan::diff::Diff;
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Chain, Engine, Io, Plan, Spec};
use std::sync::Arc;
use std::time::Instant;

/// Ticks in a period of the schedule.
const TICKS: usize = 256;
const ROUNDS: usize = 40;

fn main() {
    let name = |seconds: f64| format!("{seconds} s");
    for seconds in [0.02, 0.1, 0.7, 2.0, 10.0] {
        let impulse = noise((seconds * RATE) as usize);
        let path = |input, impulse, output| Path { input, impulse, output };
        let paths = [path(0, 0, 0), path(0, 1, 1), path(1, 2, 0), path(1, 3, 1)];
        let others: Vec<_> = (0..3).map(|_| impulse.clone()).collect();
        let four: Vec<&[f64]> = [&impulse].into_iter().chain(&others).map(Vec::as_slice).collect();
        let stereo = [path(0, 0, 0), path(1, 1, 1)];
        measure(&format!("{}, mono", name(seconds)), || Convolution::mono(&impulse));
        measure(&format!("{}, one on both channels", name(seconds)), || Convolution::each(&impulse, 2));
        measure(&format!("{}, stereo", name(seconds)), || Convolution::new(&four[..2], &stereo, 2, 2));
        measure(&format!("{}, true stereo", name(seconds)), || Convolution::new(&four, &paths, 2, 2));
    }
    let impulse = |level: f64| {
        let channel: Vec<f64> = noise(480_000).iter().map(|tap| tap * level).collect();
        match Impulse::new(vec![channel; 4], RATE) {
            Ok(impulse) => Arc::new(Data::Impulse(impulse)),
            Err(why) => panic!("{why}"),
        }
    };
    let [one, other] = [1.0, 0.5].map(impulse);
    measure_swap("to a chain with the same impulse", [&one, &one]);
    measure_swap("to one with another", [&one, &other]);
}

fn noise(count: usize) -> Vec<f64> {
    common::noise().take(count).map(|sample| 0.01 * sample).collect()
}

fn measure(name: &str, build: impl Fn() -> Convolution) {
    let began = now();
    let mut convolution = build();
    let built = began.elapsed();
    let input = noise(TICK);
    let mut inputs = [[0.0; TICK]; 2];
    inputs.iter_mut().for_each(|plane| plane.copy_from_slice(&input));
    let mut least = vec![f64::INFINITY; TICKS];
    let mut outputs = [[0.0; TICK]; 2];
    for round in 0..40 + ROUNDS {
        for least in &mut least {
            let began = now();
            convolution.process(&inputs, &mut outputs, TICK);
            let time = began.elapsed().as_secs_f64() * 1e6;
            // Before the input history is full there is less to do.
            if round >= 40 {
                *least = least.min(time);
            }
        }
    }
    let mean = least.iter().sum::<f64>() / TICKS as f64;
    let worst = least.iter().fold(0.0_f64, |worst, time| worst.max(*time));
    println!(
        "{name:32} mean {mean:7.2} µs, worst {worst:7.2} µs ({:.2} x), {:.2} % of real time, built in {:.0} ms",
        worst / mean,
        mean / 13.333,
        built.as_secs_f64() * 1e3,
    );
}

/// A swap between two chains with 10 s of true stereo each: the time of every callback from its beginning until it is
/// done, compared with those before.
fn measure_swap(name: &str, impulses: [&Arc<Data>; 2]) {
    let text = "nodes:\n  - convolver: {impulse: hall.wav}\n";
    let (spec, mistakes) = Spec::parse(text.as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let plan = |impulse: &Arc<Data>| {
        Plan::with(&spec, &Io::stereo(), RATE, &|_, _| Ok(Arc::clone(impulse)))
            .unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
    };
    let plans = impulses.map(plan);
    let mut collector = Collector::new();
    let mut engine = Engine::for_files(&Io::stereo(), RATE);
    engine.start(Owned::new(&collector.handle(), Chain::new(&plans[0], 0)));
    let input = noise(TICK);
    let play = |engine: &mut Engine, least: &mut f64| {
        engine.inputs().iter_mut().for_each(|plane| plane.copy_from_slice(&input));
        let mut is_done = false;
        let began = now();
        engine.process(TICK, |event| {
            is_done |= matches!(event, Event::OnAir { .. });
            true
        });
        *least = least.min(began.elapsed().as_secs_f64() * 1e6);
        is_done
    };
    (0..40 * TICKS).for_each(|_| _ = play(&mut engine, &mut f64::INFINITY.clone()));
    let (mut before, mut during) = (vec![f64::INFINITY; TICKS], Vec::new());
    let mut waited = 0;
    for round in 0..ROUNDS {
        before.iter_mut().for_each(|least| _ = play(&mut engine, least));
        let [from, to] = if round % 2 == 0 { [&plans[0], &plans[1]] } else { [&plans[1], &plans[0]] };
        let mut next = Chain::new(to, round as u64 + 1);
        next.follow(&Diff::between(from, to));
        let next = Owned::new(&collector.handle(), next);
        // Building the chain has emptied the caches, which does not happen on the audio thread.
        (0..TICKS).for_each(|_| _ = play(&mut engine, &mut f64::INFINITY.clone()));
        let (mut at, mut is_done) = (0, false);
        let began = now();
        engine.swap(next, 12_000, 3_840);
        let adopted = began.elapsed().as_secs_f64() * 1e6;
        // Continues to the beginning of a period, so that all rounds are alike.
        while !is_done || at % TICKS > 0 {
            if at == during.len() {
                during.push(f64::INFINITY);
            }
            let was_done = is_done;
            let mut time = f64::INFINITY;
            is_done |= play(&mut engine, &mut time);
            during[at] = during[at].min(if at == 0 { adopted + time } else { time });
            at += 1;
            if is_done && !was_done {
                waited = at;
            }
        }
        collector.collect();
    }
    let mean = before.iter().sum::<f64>() / before.len() as f64;
    let worst = during.iter().fold(0.0_f64, |worst, time| worst.max(*time));
    println!(
        "{name:32} mean {mean:7.2} µs, worst {worst:7.2} µs ({:.2} x) during the swap, {:.0} ms until it is done",
        worst / mean,
        waited as f64 * TICK as f64 / RATE * 1e3,
    );
}

#[expect(clippy::disallowed_methods, reason = "to measure takes a clock")]
fn now() -> Instant {
    Instant::now()
}
