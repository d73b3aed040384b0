//! What long impulses cost at 64 frames: for each tick of the schedule the least time of some rounds, so that what else
//! the machine does is left out; of those the mean and the worst, against the 1333 µs that a quantum lasts at 48 kHz.

use lacquer_graph::dsp::convolution::{Convolution, Path, TICK};
use std::time::Instant;

/// Ticks after which the schedule begins anew.
const TICKS: usize = 256;
const ROUNDS: usize = 12;

fn main() {
    let name = |seconds: f64| format!("{seconds} s");
    for seconds in [0.02, 0.1, 0.7, 2.0, 10.0] {
        let impulse = noise((seconds * 48_000.0) as usize);
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
}

fn noise(count: usize) -> Vec<f64> {
    let mut seed = 1_u64;
    let next = |_| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        ((seed >> 40) as f64 / (1 << 23) as f64 - 1.0) * 0.01
    };
    (0..count).map(next).collect()
}

fn measure(name: &str, build: impl Fn() -> Convolution) {
    let began = Instant::now();
    let mut convolution = build();
    let built = began.elapsed();
    let input = noise(TICK);
    let mut inputs = [[0.0; TICK]; 2];
    inputs.iter_mut().for_each(|plane| plane.copy_from_slice(&input));
    let mut least = vec![f64::INFINITY; TICKS];
    let mut outputs = [[0.0; TICK]; 2];
    for round in 0..40 + ROUNDS {
        for least in &mut least {
            let began = Instant::now();
            convolution.process(&inputs, &mut outputs, TICK);
            let time = began.elapsed().as_secs_f64() * 1e6;
            // Until the past is full there is less to do.
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
