//! Comparison with direct convolution, at rest and during a crossfade of filters, and with adopted state.

use super::*;

const RATE: f64 = 48_000.0;

fn noise(seed: usize, count: usize) -> Vec<f64> {
    (0..count).map(|n| ((n * n * 7_919 + n * 31 + seed * 104_729) % 2_001) as f64 / 1_000.0 - 1.0).collect()
}

/// Two inputs and two filters; each output is the sum of both inputs, each through one filter.
fn bank(filters: &[Vec<f64>; 2]) -> FirBank {
    let sources = [[(0, 0), (1, 1)], [(0, 1), (1, 0)]].map(Box::from).to_vec();
    let mut bank = FirBank::new(RATE, filters[0].len(), 2, 2, sources);
    load(&mut bank, filters);
    bank.switch();
    bank
}

fn load(bank: &mut FirBank, filters: &[Vec<f64>; 2]) {
    for (at, filter) in filters.iter().enumerate() {
        (0..bank.parts()).for_each(|part| {
            bank.load(at, part, |n| filter.get(n).copied().unwrap_or(0.0));
        });
    }
    bank.begin_fade();
}

fn play(bank: &mut FirBank, inputs: &[Vec<f64>; 2]) -> [Vec<f64>; 2] {
    let mut out = [Vec::new(), Vec::new()];
    for (left, right) in inputs[0].iter().zip(&inputs[1]) {
        bank.set_input(0, *left);
        bank.set_input(1, *right);
        (0..2).for_each(|at| out[at].push(bank.output(at)));
        bank.advance();
    }
    out
}

/// Direct convolution, two blocks late.
fn direct(filters: &[Vec<f64>; 2], inputs: &[Vec<f64>; 2], output: usize) -> Vec<f64> {
    let late = 2 * block_frames(RATE);
    let sample = |n: usize| {
        let filtered = |input: usize, filter: usize| -> f64 {
            (0..filters[filter].len().min(n + 1)).map(|k| filters[filter][k] * inputs[input][n - k]).sum()
        };
        filtered(0, output) + filtered(1, 1 - output)
    };
    (0..inputs[0].len()).map(|n| n.checked_sub(late).map_or(0.0, sample)).collect()
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn it_is_direct_convolution_two_blocks_late() {
    for taps in [1, 256, 1_000] {
        let filters = [noise(1, taps), noise(2, taps)];
        let inputs = [noise(3, 4_000), noise(4, 4_000)];
        let out = play(&mut bank(&filters), &inputs);
        for (at, out) in out.iter().enumerate() {
            let error = worst(out, &direct(&filters, &inputs, at)) / taps as f64;
            assert!(error < 1e-14, "{taps} taps: {error:e}");
        }
    }
}

#[test]
fn filters_are_replaced_by_a_crossfade_of_their_outputs() {
    let (old, new) = ([noise(1, 700), noise(2, 700)], [noise(5, 700), noise(6, 700)]);
    let inputs = [noise(3, 6_000), noise(4, 6_000)];
    let halves = |from: usize| [0, 1].map(|at: usize| inputs[at][from..(from + 1_000).min(6_000)].to_vec());
    let mut bank = bank(&old);
    let mut out = play(&mut bank, &halves(0));
    load(&mut bank, &new);
    for from in (1_000..6_000).step_by(1_000) {
        out.iter_mut().zip(play(&mut bank, &halves(from))).for_each(|(out, more)| out.extend(more));
    }
    assert!(!bank.is_fading());
    let (before, after) = (direct(&old, &inputs, 0), direct(&new, &inputs, 0));
    // The input from the block at 768 on passes both filters; its output follows two blocks later.
    let (from, frames) = (768 + 2 * 256, 1_536);
    for n in 0..6_000_usize {
        let share = match n.checked_sub(from) {
            None => 0.0,
            Some(n) if n < frames => 0.5 - 0.5 * (PI * (n + 1) as f64 / frames as f64).cos(),
            Some(_) => 1.0,
        };
        let expected = before[n] + share * (after[n] - before[n]);
        assert!((out[0][n] - expected).abs() < 1e-10, "{n}: {} is not {expected}", out[0][n]);
    }
}

#[test]
fn a_new_bank_adopts_all_input_bit_for_bit() {
    for taps in [100, 700, 20_000] {
        let filters = [noise(1, taps), noise(2, taps)];
        let inputs = [noise(3, 60_000), noise(4, 60_000)];
        let cut = |from: usize, to: usize| [0, 1].map(|at: usize| inputs[at][from..to].to_vec());
        let (mut old, mut new) = (bank(&filters), bank(&filters));
        play(&mut old, &cut(0, 30_011));
        new.adopt(&old);
        let mut at = 30_011;
        while new.adopt_more(&old) > 0 {
            let piece = cut(at, at + 50);
            assert!(play(&mut old, &piece) == play(&mut new, &piece), "{taps} taps");
            at += 50;
        }
        println!("{taps} taps: complete after {} frames", at - 30_011);
        assert!(play(&mut old, &cut(at, 60_000)) == play(&mut new, &cut(at, 60_000)), "{taps} taps");
    }
}
