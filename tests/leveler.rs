//! The leveler against made-up speech and music, read by a meter of the tests' own.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::backend::demo_signal::Programme;
use lacquer_graph::plan::Io;
use lacquer_graph::run::engine::Event;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig, groups};
use lacquer_tests::signal::{Channels, click, db, gain, noise, peak, silence, sine};
use std::f64::consts::{PI, TAU};
use std::sync::LazyLock;

fn frames(seconds: f64) -> usize {
    (seconds * RATE) as usize
}

/// Stereo of one wave.
fn stereo(samples: Vec<f64>) -> Channels {
    vec![samples.clone(), samples]
}

/// Powers of sections of 100 ms, weighted by the tables of BS.1770-5 for 48 kHz, both channels summed.
fn sections(signal: &Channels) -> Vec<f64> {
    const TABLES: [[f64; 5]; 2] = [
        [
            1.535_124_859_586_97,
            -2.691_696_189_406_38,
            1.198_392_810_852_85,
            -1.690_659_293_182_41,
            0.732_480_774_215_85,
        ],
        [1.0, -2.0, 1.0, -1.990_047_454_833_98, 0.990_072_250_366_21],
    ];
    let mut powers = vec![0.0; signal[0].len() / 4_800];
    // Where both channels are the same, one is read for both.
    let is_twice = signal.len() == 2 && signal[0] == signal[1];
    let (read, share) = if is_twice { (&signal[..1], 2.0) } else { (&signal[..], 1.0) };
    for samples in read {
        let mut past = [[0.0; 4]; 2];
        for (n, sample) in samples.iter().enumerate() {
            let mut x = *sample;
            for ([b0, b1, b2, a1, a2], [x1, x2, y1, y2]) in TABLES.iter().zip(&mut past) {
                let y = b0 * x + b1 * *x1 + b2 * *x2 - a1 * *y1 - a2 * *y2;
                (*x2, *x1, *y2, *y1) = (*x1, x, *y1, y);
                x = y;
            }
            if let Some(power) = powers.get_mut(n / 4_800) {
                *power += share * x * x / 4_800.0;
            }
        }
    }
    powers
}

/// Integrated loudness in LUFS: blocks of 400 ms, gates at -70 LUFS and 10 LU below what is above.
fn integrated(signal: &Channels) -> f64 {
    let lufs = |power: f64| -0.691 + 10.0 * power.log10();
    let blocks: Vec<f64> = sections(signal).windows(4).map(|four| four.iter().sum::<f64>() / 4.0).collect();
    let above = |gate: f64| {
        let passed: Vec<f64> = blocks.iter().copied().filter(|power| lufs(*power) > gate).collect();
        lufs(passed.iter().sum::<f64>() / passed.len() as f64)
    };
    above(above(-70.0) - 10.0)
}

/// Speech-like: noise with the spectrum of a voice, four syllables a second of differing stress, phrases of about
/// three seconds, and between them breaths of about half a second with the room alone.
fn speech(seconds: f64, seed: u64) -> Channels {
    let mut random = Random::new(seed);
    let hiss = noise(0.0, seed + 1, 1, frames(seconds)).remove(0);
    let mut wave = Vec::with_capacity(hiss.len());
    let (mut low, mut rumble) = (0.0, 0.0);
    let (mut left, mut length, mut stress, mut syllables) = (0, 1, 0.0, 0);
    for sample in hiss {
        if left == 0 {
            if syllables == 0 {
                syllables = 9 + random.below(7);
                (length, stress) = (frames(0.3 + 0.4 * random.unit()), 0.003);
            } else {
                syllables -= 1;
                (length, stress) = (frames(0.18 + 0.14 * random.unit()), gain(-9.0 * random.unit()));
            }
            left = length;
        }
        left -= 1;
        // Between about 150 and 1500 Hz.
        low += 0.18 * (sample - low);
        rumble += 0.02 * (low - rumble);
        let swell = (PI * left as f64 / length as f64).sin().powi(2);
        wave.push((low - rumble) * (0.003 + stress * swell));
    }
    stereo(wave)
}

/// Music-like: chords on a steady beat, and a swell of 3 dB over 16 beats.
fn music(seconds: f64) -> Channels {
    swelling(seconds, 1.5)
}

/// The chord and its beat, which are the same again after ten seconds.
static CHORD: LazyLock<Vec<f64>> = LazyLock::new(|| {
    let beat = frames(0.5);
    let wave = |n: usize| {
        let t = n as f64 / RATE;
        let chord: f64 = [110.0, 220.0, 277.2, 329.6, 1108.7, 2217.5]
            .iter()
            .enumerate()
            .map(|(i, freq)| (TAU * freq * t).sin() / (1.0 + i as f64))
            .sum();
        chord * (0.4 + 0.6 * (-3.0 * (n % beat) as f64 / beat as f64).exp())
    };
    (0..frames(10.0)).map(wave).collect()
});

/// The same with a swell of this many dB up and down.
fn swelling(seconds: f64, depth: f64) -> Channels {
    let swell = |n: usize| gain(depth * (TAU * n as f64 / RATE / 8.0).sin());
    let wave = CHORD.iter().cycle().take(frames(seconds)).enumerate().map(|(n, chord)| chord * swell(n));
    stereo(wave.collect())
}

/// The signal at an integrated loudness.
fn at(lufs: f64, signal: Channels) -> Channels {
    let factor = gain(lufs - integrated(&signal));
    signal.into_iter().map(|samples| samples.into_iter().map(|x| x * factor).collect()).collect()
}

fn join(parts: &[&Channels]) -> Channels {
    (0..parts[0].len()).map(|channel| parts.iter().flat_map(|part| part[channel].clone()).collect()).collect()
}

/// What the leveler did: its output, and its gain in dB every 100 ms.
struct Played {
    out: Channels,
    gains: Vec<f64>,
}

fn play_on(rig: &mut Rig, input: &Channels) -> Played {
    rig.block = 480;
    rig.events.clear();
    let out = rig.play(input);
    let gain_of = |(x, y): (&f64, &f64)| (x.abs() > 1e-9).then(|| db(y / x));
    // Where the input is silent the gain is that of before.
    let mut last = 0.0;
    let gains = input[0]
        .chunks_exact(4_800)
        .zip(out[0].chunks_exact(4_800))
        .map(|(x, y)| {
            last = x.iter().zip(y).rev().find_map(gain_of).unwrap_or(last);
            last
        })
        .collect();
    Played { out, gains }
}

fn play(settings: &str, input: &Channels) -> Played {
    play_on(&mut Rig::of(&format!("  - leveler: {{id: n, {settings}}}\n")), input)
}

/// How long until the gain stays within `tolerance` dB of `wanted`, in seconds.
fn arrival(gains: &[f64], wanted: f64, tolerance: f64) -> f64 {
    gains
        .iter()
        .rposition(|gain| (gain - wanted).abs() > tolerance)
        .map_or(0.0, |last| (last + 1) as f64 / 10.0)
}

/// Fastest rise of the gain over a second, in dB.
fn rise(gains: &[f64]) -> f64 {
    gains.windows(11).map(|w| w[10] - w[0]).fold(0.0, f64::max)
}

fn spread(gains: &[f64]) -> f64 {
    let highest = gains.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    highest - gains.iter().copied().fold(f64::INFINITY, f64::min)
}

/// Seconds after which a step of 12 dB is done with, where the programme is even.
const IN_TIME: f64 = 12.0;

#[test]
fn a_step_of_an_even_programme_is_made_up_in_time_and_no_faster_than_the_rate() {
    for (from, to) in [(-23.0, -35.0), (-23.0, -11.0), (-35.0, -23.0), (-20.0, -26.0)] {
        let played = play("", &join(&[&at(from, music(20.0)), &at(to, music(30.0))]));
        let late: Channels = played.out.iter().map(|out| out[frames(20.0 + IN_TIME)..].to_vec()).collect();
        let (seconds, loudness) = (arrival(&played.gains[200..], -23.0 - to, 0.5), integrated(&late));
        println!("{from} to {to} LUFS: there in {seconds:.1} s, {loudness:.2} LUFS from {IN_TIME} s on");
        assert!(seconds <= IN_TIME, "{from} to {to} LUFS takes {seconds} s");
        assert!((loudness + 23.0).abs() <= 0.5, "{from} to {to} LUFS comes out at {loudness:.2} LUFS");
        assert!(rise(&played.gains) <= 3.02, "{:.2} dB/s up", rise(&played.gains));
    }
}

/// How far the gain is from the one that the whole of the second programme asks for, 15 s after it began: for
/// eight speakers, the nearest first.
fn off_after_15_s(from: f64, to: f64) -> Vec<f64> {
    let off = |seed: u64| {
        let gains = play("", &join(&[&at(from, speech(20.0, seed)), &at(to, speech(40.0, seed + 50))])).gains;
        (gains[350] + 23.0 + to).abs()
    };
    let mut all: Vec<f64> = (100..108).map(off).collect();
    all.sort_by(f64::total_cmp);
    println!("{from} to {to} LUFS: {all:.2?} dB");
    all
}

// Ten seconds of speech are not as loud as a minute of it to the decibel: half of the speakers within 0.5 dB,
// every one within 1 dB.
#[test]
fn a_step_down_in_speech_is_made_up_in_15_seconds() {
    let off = off_after_15_s(-23.0, -35.0);
    assert!(off[4] <= 0.5 && off[7] <= 1.0, "{off:?}");
}

#[test]
fn a_step_up_in_speech_is_made_up_in_15_seconds() {
    let off = off_after_15_s(-23.0, -11.0);
    assert!(off[4] <= 0.5 && off[7] <= 1.0, "{off:?}");
}

#[test]
fn from_speech_to_music_and_back_a_step_is_made_up_in_15_seconds() {
    for (first, then) in [(music(20.0), speech(40.0, 22)), (speech(20.0, 12), music(40.0))] {
        let gains = play("", &join(&[&at(-11.0, first), &at(-23.0, then)])).gains;
        assert!(gains[350].abs() <= 1.0, "{:.2} dB", gains[350]);
        assert!(arrival(&gains[200..], gains[599], 1.0) <= 15.0);
    }
}

#[test]
fn from_the_start_a_programme_of_any_level_comes_to_the_target() {
    for level in [-30.0, -8.0] {
        for programme in [speech(30.0, 31), music(30.0)] {
            let played = play("", &at(level, programme));
            let late: Channels = played.out.iter().map(|out| out[frames(IN_TIME)..].to_vec()).collect();
            let loudness = integrated(&late);
            println!("{level} LUFS: {loudness:.2} LUFS from {IN_TIME} s on");
            assert!((loudness + 23.0).abs() <= 0.5, "{level} LUFS comes out at {loudness:.2} LUFS");
            assert!(arrival(&played.gains, played.gains[299], 0.5) <= IN_TIME);
        }
    }
}

#[test]
fn a_pause_of_three_seconds_does_not_move_the_gain() {
    let before = at(-30.0, speech(25.0, 41));
    let rooms = [
        ("silence", silence(2, frames(3.0))),
        ("a room", noise(-55.0, 42, 2, frames(3.0))),
        ("a crowd", at(-43.0, speech(3.0, 44))),
    ];
    for (name, room) in rooms {
        let played = play("", &join(&[&before, &room]));
        let moved = spread(&played.gains[240..]);
        println!("{name}: {moved:.2} dB");
        assert!(moved < 0.5, "{name} for 3 s moves the gain by {moved:.2} dB");
    }
}

#[test]
fn a_minute_of_room_noise_does_not_move_the_gain() {
    // -60 dBFS rms: uniform noise has its peaks 4.77 dB above.
    let room = noise(-60.0 + 4.77, 51, 2, frames(60.0));
    let played = play("", &join(&[&at(-30.0, speech(20.0, 52)), &room]));
    let moved = spread(&played.gains[190..]);
    assert!(moved <= 0.5, "{moved:.2} dB");
    assert!(played.gains[799] > 6.0, "and it is not turned back either");
}

#[test]
fn silence_in_the_middle_of_a_move_stops_it() {
    let gains = play(
        "rate: 2 dB/s",
        &join(&[&at(-35.0, music(4.0)), &silence(2, frames(5.0)), &at(-35.0, music(1.0))]),
    )
    .gains;
    // The last block of programme ends 0.4 s late, and then the gain comes to rest: its smoothing is 0.23 s behind.
    assert!((2.0..8.0).contains(&gains[39]), "{:.2} dB", gains[39]);
    assert!(gains[90] - gains[39] < 1.3, "from {:.2} to {:.2} dB in silence", gains[39], gains[90]);
}

#[test]
fn the_gain_never_moves_before_there_is_a_programme() {
    let played = play("", &noise(-60.0, 53, 2, frames(10.0)));
    assert!(played.gains.iter().all(|gain| *gain == 0.0));
}

/// Music at -23 LUFS that goes up and down by `depth` dB every `seconds`.
fn fluctuating(depth: f64, seconds: f64) -> Channels {
    let level = |n: usize| if (n / frames(seconds)).is_multiple_of(2) { gain(depth) } else { gain(-depth) };
    let wave = swelling(60.0, 0.0).remove(0).iter().enumerate().map(|(n, x)| x * level(n)).collect();
    at(-23.0, stereo(wave))
}

#[test]
fn what_fluctuates_within_the_window_is_left_alone_and_what_goes_beyond_is_not() {
    for seconds in [2.0, 5.0, 12.0] {
        let moved = spread(&play("", &fluctuating(2.0, seconds)).gains[250..]);
        println!("+-2 dB every {seconds} s: {moved:.2} dB");
        assert!(moved <= 0.5, "+-2 dB every {seconds} s moves the gain by {moved:.2} dB");
    }
    let moved = |window: &str| {
        spread(&play(&format!("window: {window}, fast: 0 dB"), &fluctuating(3.0, 15.0)).gains[250..])
    };
    assert!(moved("1 dB") > 3.0 && moved("8 dB") <= 0.6, "{} and {} dB", moved("1 dB"), moved("8 dB"));
}

#[test]
fn the_most_that_it_turns_up_or_down_is_exact() {
    for (settings, level, most) in [
        ("max_gain: 10 dB", -40.0, 10.0),
        ("max_gain: 3 dB", -30.0, 3.0),
        ("max_cut: 8 dB", -5.0, -8.0),
        ("max_cut: 0 dB", -5.0, 0.0),
    ] {
        let gains = play(settings, &at(level, music(20.0))).gains;
        assert!((gains[199] - most).abs() <= 0.1, "{settings}: {:.2} dB", gains[199]);
        assert!(gains.iter().all(|gain| gain.abs() <= most.abs() + 0.1), "{settings}");
    }
}

#[test]
fn the_rate_is_the_most_that_the_gain_rises_in_a_second() {
    for rate in [0.5, 6.0] {
        let gains = play(&format!("rate: {rate} dB/s"), &at(-35.0, music(20.0))).gains;
        assert!((0.9 * rate..=1.01 * rate).contains(&rise(&gains)), "{:.2} dB, not {rate}", rise(&gains));
    }
}

#[test]
fn the_time_is_how_much_programme_counts() {
    // A step of 5 dB stays above the relative gate, so the mean alone tells.
    let input = join(&[&at(-23.0, music(20.0)), &at(-28.0, music(40.0))]);
    let seconds = |time: &str| {
        let gains = play(&format!("time: {time}, window: 0 dB"), &input).gains;
        gains[200..].iter().position(|gain| *gain > 4.0).unwrap() as f64 / 10.0
    };
    let (short, long) = (seconds("3 s"), seconds("24 s"));
    assert!((2.0..6.0).contains(&short) && (18.0..28.0).contains(&long), "{short} s and {long} s");
}

#[test]
fn the_fast_stage_turns_a_sudden_loud_passage_down_at_once() {
    let input = join(&[&at(-23.0, music(20.0)), &at(-9.0, music(2.0))]);
    // A second after the step, from -23 to -9 LUFS.
    let after = |fast: &str| play(&format!("fast: {fast}, rate: 2 dB/s"), &input).gains[211];
    let (with, without) = (after("6 dB"), after("0 dB"));
    assert!((-2.3..-0.5).contains(&without), "the slow stage alone: {without:.1} dB");
    assert!((-8.5..-6.0).contains(&with), "both: {with:.1} dB");
}

#[test]
fn below_the_gate_nothing_is_turned_up() {
    let gained = |gate: &str| play(&format!("gate: {gate}"), &at(-33.0, music(12.0))).gains[119];
    assert!(gained("-40 LUFS") > 8.0);
    assert_eq!(gained("-25 LUFS"), 0.0);
}

#[test]
fn the_target_is_a_number_or_the_name_of_a_practice_and_can_be_moved() {
    let input = at(-20.0, music(32.0));
    for (target, lufs) in
        [("ebu-r128", -23.0), ("ATSC-A85", -24.0), ("podcast", -16.0), ("-27.5 LKFS", -27.5)]
    {
        let played = play(&format!("target: {target}"), &input);
        let late: Channels = played.out.iter().map(|out| out[frames(16.0)..].to_vec()).collect();
        assert!((integrated(&late) - lufs).abs() < 0.5, "{target}: {:.2} LUFS", integrated(&late));
    }
    let mut rig = Rig::of("  - leveler: {id: n, target: -23 LUFS}\n");
    play_on(&mut rig, &input);
    rig.set("/node/n/target", -18.0);
    let gains = play_on(&mut rig, &input).gains;
    assert!((gains[60] - 2.0).abs() < 0.5, "5 dB at 3 dB/s: {:.1} dB after 6 s", gains[60]);
}

#[test]
fn speech_and_music_in_turn_come_out_at_the_target() {
    let parts: Vec<Channels> = (0..8)
        .map(|turn| match turn % 2 {
            0 => at(-27.0 + f64::from(turn), speech(25.0, 60 + turn as u64)),
            _ => at(-19.0 - f64::from(turn), music(35.0)),
        })
        .collect();
    let played = play("", &join(&parts.iter().collect::<Vec<_>>()));
    let loudness = integrated(&played.out);
    println!("{loudness:.2} LUFS");
    assert!((loudness + 23.0).abs() <= 1.0, "{loudness:.2} LUFS over four minutes");
}

#[test]
fn a_mix_with_sections_of_all_levels_comes_out_near_the_target() {
    // The whole piece once: sections of 2 to 20 s that differ by up to 18 LU. Each step is made up anew, and there is no
    // looking ahead.
    let mut programme = Programme::new(RATE);
    let mut input = silence(2, 0);
    for _ in 0..frames(47.5) {
        let frame = programme.frame();
        input.iter_mut().zip(frame).for_each(|(samples, sample)| samples.push(sample));
    }
    let played = play("", &input);
    let (before, after) = (integrated(&input), integrated(&played.out));
    println!("{before:.2} LUFS becomes {after:.2} LUFS");
    assert!((after + 23.0).abs() <= 2.0, "{before:.2} LUFS becomes {after:.2} LUFS");
}

#[test]
fn a_swap_does_not_start_it_anew() {
    let chain = "  - leveler: {id: n}\n";
    let mut rig = Rig::new(&[("one", chain), ("two", &format!("  - gain: {{id: g}}\n{chain}"))]);
    let programme = at(-30.0, music(20.0));
    let before = play_on(&mut rig, &programme).gains[199];
    rig.swap("two");
    let after = play_on(&mut rig, &programme).gains;
    assert_eq!(rig.count(|event| matches!(event, Event::OnAir { .. })), 1);
    assert!(
        after.iter().all(|gain| (gain - before).abs() < 0.5),
        "{:.2} dB beside {before:.2}",
        spread(&after)
    );
}

#[test]
fn the_gain_moves_without_a_corner() {
    let input = sine(997.0, -8.0, RATE, 2, frames(8.0));
    let mut rig = Rig::of("  - leveler: {id: n, rate: 20 dB/s, fast: 12 dB}\n");
    let out = rig.play(&input);
    assert!(db(peak(&out[0][frames(7.0)..])) < -20.0, "it was turned down");
    // What is left of the sine is its own modulation, which falls with the square of the frequency; a step of
    // 0.01 dB would leave -67 dB here.
    let left = db(click(&out[0], 997.0, RATE));
    println!("{left:.1} dB");
    assert!(left < -85.0, "{left:.1} dB");
}

#[test]
fn surrounds_count_more_and_the_lfe_does_not_count() {
    let gain_for = |channels: usize, heard: usize| {
        let io = Io { inputs: groups(&[("in", channels)]), outputs: groups(&[("out", channels)]) };
        let mut rig = Rig::with(&[("main", "  - leveler: {id: n}\n")], &io, true);
        let mut input = silence(channels, frames(10.0));
        input[heard] = sine(997.0, -30.0, RATE, 1, frames(10.0)).remove(0);
        db(peak(&rig.play(&input)[heard][frames(9.5)..])) + 30.0
    };
    // BS.1770-5: a full-scale sine in one front channel is -3.01 LUFS; so -30 dBFS is -33.01.
    assert!((gain_for(5, 0) - 10.01).abs() < 0.05, "{}", gain_for(5, 0));
    assert!((gain_for(5, 4) - (10.01 - 10.0 * 1.41_f64.log10())).abs() < 0.05, "{}", gain_for(5, 4));
    assert_eq!(gain_for(6, 3), 0.0);
    assert!((gain_for(6, 5) - (10.01 - 10.0 * 1.41_f64.log10())).abs() < 0.05);
    // The meter and it have one table: quad, 6.1 and 7.1 with their LFE.
    let gains: Vec<f64> =
        [(4, 3), (7, 3), (7, 5), (8, 3), (8, 4), (8, 7)].map(|(n, i)| gain_for(n, i)).into();
    let surround = 10.01 - 10.0 * 1.41_f64.log10();
    for (gain, wanted) in gains.into_iter().zip([surround, 0.0, surround, 0.0, 10.01, surround]) {
        assert!((gain - wanted).abs() < 0.05, "{gain}, not {wanted}");
    }
}

#[test]
fn it_tells_its_gain_and_what_it_hears() {
    let mut rig = Rig::of("  - leveler: {id: n}\n");
    let played = play_on(&mut rig, &at(-33.0, music(15.0)));
    let last = |wanted: usize| {
        let value = |event: &Event| match event {
            Event::Meter { reading, value, .. } if *reading == wanted => *value,
            _ => None,
        };
        rig.events.iter().rev().find_map(value).unwrap()
    };
    assert!((db(last(0)) - played.gains[149]).abs() < 0.1);
    assert!((last(1) + 33.0).abs() < 0.5, "{:.2} LUFS", last(1));
}
