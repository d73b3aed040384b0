//! The convolver: against the definition, trimmed and lined up, and in swaps with long tails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::plan::Io;
use lacquer_graph::run::engine::Event;
use lacquer_tests::daemon::{Folder, root};
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig, groups};
use lacquer_tests::signal::{Channels, db, distance, noise, peak, rms, same_bits, silence};
use std::f64::consts::{PI, TAU};
use std::fs;
use std::path::{Path, PathBuf};

/// Writes an impulse as a file of 64-bit floats, so that nothing of it is lost.
fn wav(folder: &Folder, name: &str, channels: &Channels) -> PathBuf {
    let (count, frames) = (channels.len(), channels[0].len());
    let size = (8 * count * frames) as u32;
    let mut bytes = Vec::with_capacity(44 + size as usize);
    bytes.extend(b"RIFF");
    bytes.extend((36 + size).to_le_bytes());
    bytes.extend(b"WAVEfmt \x10\0\0\0\x03\0");
    bytes.extend((count as u16).to_le_bytes());
    bytes.extend((RATE as u32).to_le_bytes());
    bytes.extend((RATE as u32 * 8 * count as u32).to_le_bytes());
    bytes.extend((8 * count as u16).to_le_bytes());
    bytes.extend(64_u16.to_le_bytes());
    bytes.extend(b"data");
    bytes.extend(size.to_le_bytes());
    for frame in 0..frames {
        channels.iter().for_each(|channel| bytes.extend(channel[frame].to_le_bytes()));
    }
    let path = folder.at(name);
    fs::write(&path, bytes).unwrap();
    path
}

/// A room: noise that falls by 60 dB.
fn room(seed: u64, channels: usize, frames: usize) -> Channels {
    let mut room = noise(-20.0, seed, channels, frames);
    let fall = |n: usize| 10.0_f64.powf(-3.0 * n as f64 / frames as f64);
    room.iter_mut().flat_map(|channel| channel.iter_mut().enumerate()).for_each(|(n, tap)| *tap *= fall(n));
    room
}

/// Samples at these places.
fn taps(count: usize, taps: &[(usize, f64)]) -> Vec<f64> {
    let mut channel = vec![0.0; count];
    taps.iter().for_each(|(at, value)| channel[*at] = *value);
    channel
}

fn chain(impulse: &Path, more: &str) -> String {
    format!("  - convolver: {{id: room, impulse: \"{}\"{more}}}\n", impulse.display())
}

/// The definition, for one frame, in sums of two numbers that round as good as nothing.
fn direct(signal: &[f64], impulse: &[f64], at: usize) -> f64 {
    let (mut sum, mut rest) = (0.0_f64, 0.0);
    for (age, tap) in impulse.iter().enumerate().take(at + 1) {
        let product = signal[at - age] * tap;
        let next = sum + product;
        let was = next - sum;
        rest += signal[at - age].mul_add(*tap, -product) + (sum - (next - was)) + (product - was);
        sum = next;
    }
    sum + rest
}

/// How much of `out` is left, in dB of its peak, beside the definition of true stereo; at some frames from `from` on.
fn left_of_true_stereo(out: &Channels, input: &Channels, room: &Channels, from: usize, count: usize) -> f64 {
    let mut random = Random::new(1);
    let mut left = 0.0_f64;
    for _ in 0..count {
        let at = from + (random.unit() * (out[0].len() - from) as f64) as usize;
        for side in 0..2 {
            let wanted = direct(&input[0], &room[side], at) + direct(&input[1], &room[2 + side], at);
            left = left.max((out[side][at] - wanted).abs());
        }
    }
    db(left.max(1e-300) / peak(&out[0]))
}

#[test]
fn it_nulls_against_direct_convolution_at_every_block_size() {
    let folder = Folder::new("convolver-null");
    let room = room(1, 4, 30_001);
    let nodes = chain(&wav(&folder, "room.wav", &room), "");
    let input = noise(-6.0, 2, 2, 50_000);
    let mut first: Option<Channels> = None;
    for block in [64, 1, 63, 480, 1024] {
        let mut rig = Rig::of(&nodes);
        rig.block = block;
        let out = rig.play(&input);
        let left = left_of_true_stereo(&out, &input, &room, 0, 300);
        println!("blocks of {block}: {left:.1} dB of the peak is left");
        assert!(left < -280.0, "blocks of {block}: {left:.1} dB");
        assert!(same_bits(&out, first.get_or_insert_with(|| out.clone())), "blocks of {block}");
    }
}

#[test]
fn ten_seconds_of_true_stereo_are_convolved_to_their_last_tap() {
    let folder = Folder::new("convolver-long");
    let mut room = room(3, 4, 480_000);
    room.iter_mut().for_each(|channel| channel[479_999] = 0.5);
    let mut rig = Rig::of(&chain(&wav(&folder, "room.wav", &room), ""));
    let input = noise(-6.0, 4, 2, 520_000);
    let left = left_of_true_stereo(&rig.play(&input), &input, &room, 480_000, 30);
    println!("{left:.1} dB of the peak is left");
    assert!(left < -280.0, "{left:.1} dB");
}

#[test]
fn one_channel_serves_all_two_are_sides_and_four_true_stereo() {
    let folder = Folder::new("convolver-channels");
    let impulse = [
        taps(300, &[(0, 0.5), (200, 0.25)]),
        taps(300, &[(3, 0.125)]),
        taps(300, &[(70, -0.5)]),
        taps(300, &[(299, 1.0)]),
    ];
    let late = |samples: &[f64], frames: usize, factor: f64| -> Vec<f64> {
        (0..samples.len()).map(|n| if n < frames { 0.0 } else { factor * samples[n - frames] }).collect()
    };
    let sum = |a: Vec<f64>, b: Vec<f64>| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
    let by = |samples: &[f64], at: usize| match at {
        0 => sum(late(samples, 0, 0.5), late(samples, 200, 0.25)),
        1 => late(samples, 3, 0.125),
        2 => late(samples, 70, -0.5),
        _ => late(samples, 299, 1.0),
    };
    for (channels, count) in [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 4), (4, 1), (4, 2), (4, 3)] {
        let input = noise(-6.0, 5, count, 4_000);
        let wanted: Channels = (0..count)
            .map(|at| match (channels, at % 2) {
                (1, _) => by(&input[at], 0),
                (2, side) => by(&input[at], side),
                // A channel without a partner is a left one.
                (_, 0) if at + 1 == count => by(&input[at], 0),
                (_, 0) => sum(by(&input[at], 0), by(&input[at + 1], 2)),
                _ => sum(by(&input[at - 1], 1), by(&input[at], 3)),
            })
            .collect();
        let nodes = chain(&wav(&folder, &format!("{channels}.wav"), &impulse[..channels].to_vec()), "");
        let io = Io { inputs: groups(&[("in", count)]), outputs: groups(&[("out", count)]) };
        let out = Rig::with(&[("main", &nodes)], &io, true).play(&input);
        assert!(distance(&out, &wanted) < 1e-14, "an impulse of {channels} on {count} channels");
    }
}

#[test]
fn wet_dry_predelay_and_gain_are_what_they_say() {
    let folder = Folder::new("convolver-levels");
    let path = wav(&folder, "echo.wav", &vec![taps(500, &[(480, 1.0)])]);
    let more = ", wet: -6 dB, dry: -12 dB, gain: 3 dB, predelay: 10 ms";
    let mut input = silence(2, 4_000);
    input.iter_mut().for_each(|channel| channel[0] = 1.0);
    let out = Rig::of(&chain(&path, more)).play(&input).remove(1);
    let wanted = taps(4_000, &[(0, 10.0_f64.powf(-9.0 / 20.0)), (960, 10.0_f64.powf(-3.0 / 20.0))]);
    assert!(distance(&vec![out], &vec![wanted]) < 1e-12);
    let input = noise(-6.0, 6, 2, 4_000);
    assert!(
        distance(&Rig::of("  - convolver\n").play(&input), &input) == 0.0,
        "without an impulse it is a wire"
    );
}

#[test]
fn an_impulse_is_cut_where_it_is_asked_fades_there_and_is_brought_to_a_level() {
    let folder = Folder::new("convolver-trim");
    let path = wav(&folder, "flat.wav", &vec![vec![0.25; 1_000]]);
    let mut input = silence(2, 2_000);
    input[0][0] = 1.0;
    let hear = |more: &str| Rig::of(&chain(&path, more)).play(&input).remove(0);
    let ends = |out: &[f64]| out.iter().rposition(|x| x.abs() > 1e-12).map_or(0, |at| at + 1);
    assert_eq!(ends(&hear("")), 1_000);
    let cut = hear(", start: 40 %, length: 50 %, fade: 50 %");
    assert_eq!(ends(&cut), 300);
    assert!((cut[149] - 0.25).abs() < 1e-12 && cut[299] < 1e-4, "the last half fades");
    assert!((cut[225] / 0.25 - 0.5).abs() < 0.01, "half way it is half: {}", cut[225]);
    assert!(cut.windows(2).all(|pair| pair[1] <= pair[0] + 1e-12));
    let energy: f64 = hear(", normalise: energy").iter().map(|x| x * x).sum();
    assert!((energy - 1.0).abs() < 1e-12, "{energy}");
    assert!((peak(&hear(", normalise: peak, length: 30 %")) - 1.0).abs() < 1e-12);
    // Noise comes out as loud as it came in, also of two channels and of four.
    for channels in [1, 2, 4] {
        let path = wav(&folder, "room.wav", &room(7, channels, 20_000));
        let input = noise(-6.0, 8, 2, 200_000);
        let mut rig = Rig::of(&chain(&path, ", normalise: energy"));
        let out = rig.play(&input);
        let level =
            |of: &Channels| db((of.iter().map(|x| rms(&x[40_000..]).powi(2)).sum::<f64>() / 2.0).sqrt());
        let change = level(&out) - level(&input);
        println!("{channels} channels: noise comes out {change:+.2} dB");
        assert!(change.abs() < 0.3, "{channels} channels: {change:+.2} dB");
    }
}

#[test]
fn the_delay_of_a_linear_phase_filter_is_declared_so_that_dry_signal_and_branches_line_up() {
    let folder = Folder::new("convolver-latency");
    // A low-pass of 4001 taps, around its middle.
    let low = |n: usize| {
        let t = n as f64 - 2_000.0;
        let sinc = if t == 0.0 { 0.05 } else { (0.05 * PI * t).sin() / (PI * t) };
        sinc * (0.5 + 0.5 * (PI * t / 2_001.0).cos())
    };
    let path = wav(&folder, "low.wav", &vec![(0..4_001).map(low).collect()]);
    let input = noise(-6.0, 9, 2, 24_000);
    // The input less what the filter takes of it, within the node and beside it.
    let inside = chain(&path, ", latency: peak, dry: 0 dB, gain: 0 dB");
    let beside = format!(
        "{}  - mix: {{id: dry, in: input}}\n  - mix: {{id: sum, in: [room, dry]}}\n",
        chain(&path, ", latency: peak")
    );
    let (mut inside, mut beside) = (Rig::of(&inside), Rig::of(&beside));
    assert_eq!((inside.latency(), beside.latency()), (2_000, 2_000));
    let outs = [inside.play(&input), beside.play(&input)];
    assert!(distance(&outs[0], &outs[1]) < 1e-14);
    // 300 Hz, which the filter lets through, comes out twice as loud; far above it as it was.
    let mut rig = Rig::of(&chain(&path, ", latency: peak, dry: 0 dB"));
    for (freq, gain) in [(300.0, 2.0), (8_000.0, 1.0)] {
        let wave = |n: usize| 0.25 * (TAU * freq * n as f64 / RATE).sin();
        let out = rig.play(&vec![(0..24_000).map(wave).collect(); 2]).remove(0);
        let off = (10_000..24_000).map(|n| (out[n] - gain * wave(n - 2_000)).abs()).fold(0.0, f64::max);
        assert!(off < 1e-3, "{freq} Hz is off by {off}");
    }
    assert_eq!(Rig::of(&chain(&path, "")).latency(), 0);
}

/// Swaps to chain `b` and plays until it is alone; gives what is heard, and how long it took.
fn swap(rig: &mut Rig, input: &mut impl FnMut(usize) -> Channels) -> (Channels, usize) {
    let done = |rig: &Rig| rig.count(|event| matches!(event, Event::OnAir { .. }));
    let before = done(rig);
    rig.swap("b");
    let (mut heard, mut frames) = (silence(2, 0), 0);
    while done(rig) == before {
        let out = rig.play(&input(64));
        heard.iter_mut().zip(out).for_each(|(heard, out)| heard.extend(out));
        frames += 64;
    }
    (heard, frames)
}

/// A programme that goes on.
fn programme() -> impl FnMut(usize) -> Channels {
    let mut seed = 100;
    move |frames| {
        seed += 1;
        noise(-12.0, seed, 2, frames)
    }
}

#[test]
fn a_swap_to_the_same_long_impulse_changes_not_one_bit() {
    let folder = Folder::new("convolver-same");
    for (frames, played) in [(480_000, 120_000), (30_000, 100_100), (700, 1_000)] {
        let nodes = chain(&wav(&folder, "room.wav", &room(10, 4, frames)), ", predelay: 30 ms, dry: -6 dB");
        let chains = [("a", nodes.as_str()), ("b", nodes.as_str())];
        let (mut rig, mut still) = (Rig::new(&chains), Rig::new(&chains));
        let (mut one, mut other) = (programme(), programme());
        assert!(same_bits(&rig.play(&one(played)), &still.play(&other(played))));
        let (heard, took) = swap(&mut rig, &mut one);
        println!("{frames} taps: the swap took {took} frames");
        assert!(took < 60_000, "{took} frames");
        let mut stayed = silence(2, 0);
        for _ in 0..took / 64 {
            let out = still.play(&other(64));
            stayed.iter_mut().zip(out).for_each(|(stayed, out)| stayed.extend(out));
        }
        assert!(same_bits(&heard, &stayed), "{frames} taps, during the swap");
        assert!(same_bits(&rig.play(&one(100_000)), &still.play(&other(100_000))), "{frames} taps, after it");
    }
}

#[test]
fn after_a_swap_to_another_impulse_its_tail_is_there_at_once() {
    let folder = Folder::new("convolver-other");
    let rooms: Vec<_> =
        [11, 12].map(|seed| chain(&wav(&folder, &format!("{seed}.wav"), &room(seed, 2, 96_000)), "")).into();
    let mut rig = Rig::new(&[("a", &rooms[0]), ("b", &rooms[1])]);
    let mut always = Rig::of(&rooms[1]);
    let (mut one, mut other) = (programme(), programme());
    rig.play(&one(150_000));
    always.play(&other(150_000));
    let (heard, took) = swap(&mut rig, &mut one);
    (0..took / 64).for_each(|_| _ = always.play(&other(64)));
    println!("the swap took {took} frames, {:.2} s", took as f64 / RATE);
    assert!(
        same_bits(&rig.play(&one(50_000)), &always.play(&other(50_000))),
        "as if it had always been there"
    );
    // Noise, faded into noise: no sample stands out.
    let loudest = |samples: &[f64]| peak(samples) / rms(samples);
    assert!(loudest(&heard[0]) < 6.0, "{}", loudest(&heard[0]));
}

#[test]
fn a_swap_while_the_convolver_is_switched_off_and_on_leaves_sound_behind() {
    let folder = Folder::new("convolver-switched");
    let nodes = chain(&wav(&folder, "room.wav", &room(13, 2, 48_000)), "");
    let mut rig = Rig::new(&[("a", &nodes), ("b", &nodes)]);
    let mut always = Rig::of(&nodes);
    let (mut one, mut other) = (programme(), programme());
    rig.play(&one(48_000));
    rig.swap("b");
    rig.play(&one(3_000));
    rig.set("/node/room/enabled", 0.0);
    rig.play(&one(2_000));
    rig.set("/node/room/enabled", 1.0);
    rig.play(&one(147_000));
    always.play(&other(48_000));
    for frames in [3_000, 2_000, 147_000] {
        always.play(&other(frames));
    }
    let distance = distance(&rig.play(&one(10_000)), &always.play(&other(10_000)));
    assert!(distance < 1e-12, "once all is heard again: {distance:e}");
}

/// A peak filter of a room, by its difference equation (R. Bristow-Johnson, *Audio EQ Cookbook*, "peakingEQ").
fn mode(samples: &mut [f64], freq_hz: f64, gain_db: f64, q: f64) {
    let (a, w) = (10.0_f64.powf(gain_db / 40.0), TAU * freq_hz / RATE);
    let alpha = w.sin() / (2.0 * q);
    let (mut x1, mut x2, mut y1, mut y2) = (0.0, 0.0, 0.0, 0.0);
    for sample in samples {
        let x = *sample;
        let y = ((1.0 + alpha * a) * x - 2.0 * w.cos() * (x1 - y1) + (1.0 - alpha * a) * x2
            - (1.0 - alpha / a) * y2)
            / (1.0 + alpha / a);
        (x2, x1, y2, y1, *sample) = (x1, x, y1, y, y);
    }
}

#[test]
fn the_room_correction_chain_makes_its_room_flat() {
    let text = fs::read_to_string(root().join("configs/chains/room-correction.yaml")).unwrap();
    let nodes = &text[text.find("\nnodes:\n").unwrap() + "\nnodes:\n".len()..];
    let nodes = nodes.replace("../impulses", &root().join("configs/impulses").display().to_string());
    let mut rig = Rig::of(&nodes);
    let mut input = silence(2, 65_536);
    input.iter_mut().for_each(|channel| channel[0] = 0.25);
    let corrected = rig.play(&input).remove(0)[rig.latency()..].to_vec();
    let in_room = |mut samples: Vec<f64>| {
        mode(&mut samples, 70.0, 8.0, 3.5);
        mode(&mut samples, 140.0, 5.0, 4.0);
        samples
    };
    let level = |samples: &[f64], freq: f64| {
        let turn = |n: usize| (TAU * freq * n as f64 / RATE).sin_cos();
        let (mut re, mut im) = (0.0, 0.0);
        for (n, x) in samples.iter().enumerate() {
            let (sin, cos) = turn(n);
            (re, im) = (re + x * cos, im - x * sin);
        }
        db(f64::hypot(re, im) / 0.25)
    };
    let freqs: Vec<f64> = (0..240).map(|step| 20.0 * 2.0_f64.powf(f64::from(step) / 24.0)).collect();
    let spread =
        |samples: Vec<f64>| freqs.iter().map(|freq| level(&samples, *freq).abs()).fold(0.0, f64::max);
    let (before, after) = (spread(in_room(input.remove(0))), spread(in_room(corrected)));
    println!("the room is off by {before:.2} dB before, {after:.3} dB after");
    assert!(before > 7.9 && after < 0.05, "{before:.2} dB before, {after:.3} dB after");
}
