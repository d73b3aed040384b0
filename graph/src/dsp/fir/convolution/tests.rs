//! Comparison with direct convolution, for all block sizes, and with adopted state.

use super::*;
use crate::dsp::random::Xorshift;

/// Decaying noise, the same each time.
fn noise(seed: u64, count: usize, fall: f64) -> Vec<f64> {
    let mut random = Xorshift::new(seed);
    let next = |n: usize| (2.0 * random.unit() - 1.0) * (-fall * n as f64 / count as f64).exp();
    (0..count).map(next).collect()
}

fn planes(signals: &[Vec<f64>], from: usize, frames: usize) -> Vec<[f64; TICK]> {
    let plane = |signal: &Vec<f64>| {
        let mut plane = [0.0; TICK];
        plane[..frames].copy_from_slice(&signal[from..from + frames]);
        plane
    };
    signals.iter().map(plane).collect()
}

/// Output of `convolution` for the frames `range` of `signals`, in blocks of `block`.
fn play(
    convolution: &mut Convolution,
    signals: &[Vec<f64>],
    range: std::ops::Range<usize>,
    block: usize,
) -> Vec<Vec<f64>> {
    let mut out = vec![Vec::new(); convolution.level_output.len()];
    let mut from = range.start;
    while from < range.end {
        // Like the engine, cut longer blocks into sub-blocks.
        let whole = from + block.min(range.end - from);
        while from < whole {
            let frames = (whole - from).min(TICK);
            let mut made = vec![[0.0; TICK]; out.len()];
            convolution.process(&planes(signals, from, frames), &mut made, frames);
            out.iter_mut().zip(made).for_each(|(out, made)| out.extend(&made[..frames]));
            from += frames;
        }
    }
    out
}

/// Direct convolution at one frame, with compensated summation.
fn direct(signal: &[f64], impulse: &[f64], at: usize) -> f64 {
    let (mut sum, mut rest) = (0.0, 0.0);
    for (age, tap) in impulse.iter().enumerate().take(at + 1) {
        let product = signal[at - age] * tap;
        rest += f64::mul_add(signal[at - age], *tap, -product);
        let next: f64 = sum + product;
        rest += if f64::abs(sum) >= product.abs() { sum - next + product } else { product - next + sum };
        sum = next;
    }
    sum + rest
}

const TRUE_STEREO: [Path; 4] = [
    Path { input: 0, impulse: 0, output: 0 },
    Path { input: 0, impulse: 1, output: 1 },
    Path { input: 1, impulse: 2, output: 0 },
    Path { input: 1, impulse: 3, output: 1 },
];

fn true_stereo(seed: u64, taps: usize) -> Convolution {
    let impulses: Vec<_> = (0..4).map(|at| noise(seed + at, taps, 3.0)).collect();
    let impulses: Vec<_> = impulses.iter().map(Vec::as_slice).collect();
    Convolution::new(&impulses, &TRUE_STEREO, 2, 2)
}

#[test]
fn it_nulls_against_direct_convolution_whatever_its_length() {
    for taps in [1, 63, 64, 65, 449, 2_000, 9_001, 100_000] {
        let impulse = noise(taps as u64, taps, 4.0);
        let signal = noise(7, 3 * taps.max(2_000), 0.0);
        let mut convolution = Convolution::mono(&impulse);
        let out = play(&mut convolution, std::slice::from_ref(&signal), 0..signal.len(), 64).remove(0);
        let peak = out.iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
        let left = (0..out.len())
            .step_by(1 + out.len() / 3_000)
            .map(|at| (out[at] - direct(&signal, &impulse, at)).abs())
            .fold(0.0, f64::max);
        let db = 20.0 * (left / peak).max(1e-20).log10();
        println!("{taps} taps, {} levels: {db:.1} dB of the peak is left", convolution.levels.len());
        assert!(db < -280.0, "{taps} taps: {db:.1} dB of the peak is left");
    }
}

#[test]
fn every_path_leads_from_its_input_by_its_impulse_to_its_output() {
    let impulses: Vec<_> = (0..4).map(|at| noise(10 + at, 20_000, 3.0)).collect();
    let signals = [noise(20, 30_000, 0.0), noise(21, 30_000, 0.0)];
    let mut convolution = true_stereo(10, 20_000);
    let out = play(&mut convolution, &signals, 0..30_000, 64);
    for (output, out) in out.iter().enumerate() {
        for at in (0..30_000).step_by(101) {
            let wanted =
                direct(&signals[0], &impulses[output], at) + direct(&signals[1], &impulses[2 + output], at);
            assert!(
                (out[at] - wanted).abs() < 1e-11,
                "output {output}, frame {at}: {} not {wanted}",
                out[at]
            );
        }
    }
}

#[test]
fn the_output_does_not_depend_on_the_block_size() {
    let signals = [noise(30, 60_000, 0.0), noise(31, 60_000, 0.0)];
    let whole = play(&mut true_stereo(32, 70_000), &signals, 0..60_000, 64);
    for block in [1, 63, 480, 1024] {
        assert!(whole == play(&mut true_stereo(32, 70_000), &signals, 0..60_000, block), "blocks of {block}");
    }
}

#[test]
fn the_processors_vectors_make_no_audible_difference() {
    let signals = [noise(33, 20_000, 0.0), noise(34, 20_000, 0.0)];
    let outs: Vec<_> = Vectors::all()
        .into_iter()
        .map(|vectors| {
            let mut convolution = true_stereo(35, 9_000);
            convolution.vectors = vectors;
            convolution.levels.iter_mut().for_each(|level| level.vectors = vectors);
            play(&mut convolution, &signals, 0..20_000, 64)
        })
        .collect();
    for out in &outs {
        let differences = out.iter().flatten().zip(outs[0].iter().flatten()).map(|(a, b)| (a - b).abs());
        assert!(differences.fold(0.0, f64::max) < 1e-11);
    }
}

#[test]
fn after_a_reset_it_is_as_new() {
    let mut used = true_stereo(40, 50_000);
    play(&mut used, &[vec![f64::NAN; 30_011], noise(41, 30_011, 0.0)], 0..30_011, 64);
    used.reset();
    let signals = [noise(42, 90_000, 0.0), noise(43, 90_000, 0.0)];
    assert!(
        play(&mut used, &signals, 0..90_000, 64)
            == play(&mut true_stereo(40, 50_000), &signals, 0..90_000, 64)
    );
}

/// Plays both until the new one is complete; returns the frame of that.
fn hand_over(
    old: &mut Convolution,
    new: &mut Convolution,
    signals: &[Vec<f64>],
    from: usize,
    block: usize,
) -> usize {
    new.adopt(old);
    let (mut at, mut left) = (from, new.adopt_more(old, 0));
    while left > 0 {
        let frames = block.min(left);
        play(old, signals, at..at + frames, frames);
        play(new, signals, at..at + frames, frames);
        at += frames;
        left = new.adopt_more(old, frames);
    }
    at
}

#[test]
fn a_new_convolution_adopts_all_input_bit_for_bit() {
    let signals = [noise(50, 400_000, 0.0), noise(51, 400_000, 0.0)];
    for (taps, from, block) in
        [(70_000, 150_000, 64), (70_000, 16_384, 17), (300, 1_000, 64), (480_000, 200_011, 64)]
    {
        let (mut old, mut new) = (true_stereo(52, taps), true_stereo(52, taps));
        play(&mut old, &signals, 0..from, 64);
        let at = hand_over(&mut old, &mut new, &signals, from, block);
        println!("{taps} taps: complete after {} frames", at - from);
        let end = at + 100_000;
        assert!(
            play(&mut old, &signals, at..end, 64) == play(&mut new, &signals, at..end, 64),
            "{taps} taps"
        );
    }
}

#[test]
fn a_newcomer_with_another_impulse_sounds_as_if_it_had_always_been_there() {
    let signals = [noise(60, 400_000, 0.0), noise(61, 400_000, 0.0)];
    for (theirs, mine) in [(80_000, 80_000), (80_000, 20_000), (70_000, 80_000), (3_000, 80_000)] {
        let (mut old, mut new, mut always) =
            (true_stereo(62, theirs), true_stereo(63, mine), true_stereo(63, mine));
        play(&mut old, &signals, 0..120_000, 64);
        play(&mut always, &signals, 0..120_000, 64);
        let at = hand_over(&mut old, &mut new, &signals, 120_000, 64);
        play(&mut always, &signals, 120_000..at, 64);
        println!("{theirs} to {mine} taps: complete after {} frames", at - 120_000);
        // Partitions of other lengths have no use for each other; one impulse later that does not matter.
        for is_late in [false, true] {
            let range = if is_late { at + 130_000..at + 200_000 } else { at..at + 130_000 };
            let [new, always] = [&mut new, &mut always].map(|one| play(one, &signals, range.clone(), 64));
            assert!(new == always || (theirs != mine && !is_late), "{theirs} to {mine}, late: {is_late}");
        }
    }
}

#[test]
fn no_call_hands_over_much_more_than_its_share() {
    let signals = [noise(70, 200_000, 0.0), noise(71, 200_000, 0.0)];
    let (mut old, mut new) = (true_stereo(72, 70_000), true_stereo(72, 70_000));
    play(&mut old, &signals, 0..100_000, 64);
    for level in &mut new.levels {
        level.blocks.fill(f64::NAN);
        level.history.as_flattened_mut().fill(f64::NAN);
    }
    let missing = |new: &Convolution| -> usize {
        let count = |samples: &[f64]| samples.iter().filter(|x| x.is_nan()).count();
        new.levels.iter().map(|level| count(&level.blocks) + count(level.history.as_flattened())).sum()
    };
    // A group of bins is copied as a whole.
    let group = |level: &level::Level| level.history.as_flattened().len() / level.groups();
    let most = 64 * handover::SHARE + new.levels.iter().map(group).max().unwrap_or(0);
    let whole = missing(&new);
    new.adopt(&old);
    let (mut at, mut left, mut by_hand) = (100_000, new.adopt_more(&old, 0), 0);
    while left > 0 {
        for one in [&mut old, &mut new] {
            play(one, &signals, at..at + 64, 64);
        }
        let before = missing(&new);
        left = new.adopt_more(&old, 64);
        let went = before - missing(&new);
        assert!(went <= most, "{went} samples at once, of {whole}");
        (at, by_hand) = (at + 64, by_hand + went);
    }
    assert!(by_hand > whole / 2, "{by_hand} samples were handed over, of {whole}");
}
