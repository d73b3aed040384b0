//! The ready chains on programme: each reaches the loudness and keeps the ceiling that its description states.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::metering::{Measurement, Meters};
use lacquer_tests::daemon::root;
use lacquer_tests::material;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, harmonics, noise, rms};
use std::f64::consts::TAU;
use std::sync::LazyLock;

/// Seconds that a chain has to settle, and that are measured.
const SETTLE: usize = 20;
const MEASURED: usize = 30;

// Made once for all tests.
static MUSIC: LazyLock<Channels> = LazyLock::new(music);
static SPEECH: LazyLock<Channels> = LazyLock::new(speech);

/// Music-like: bass notes, a beat and a bed of noise, wide, with swells of some dB, at about -20 LUFS.
fn music() -> Channels {
    let mut channels = noise(0.0, 21, 2, (SETTLE + MEASURED) * 48_000);
    for (channel, samples) in channels.iter_mut().enumerate() {
        let mut low = 0.0;
        for (n, x) in samples.iter_mut().enumerate() {
            let time = n as f64 / RATE;
            low += 0.15 * (*x - low);
            let beat = (-8.0 * (time * 2.0).fract()).exp();
            let kick = (-10.0 * time.fract()).exp() * (TAU * 55.0 * time).sin();
            let note = [82.4, 110.0, 98.0, 73.4][time as usize % 4];
            let bass = (TAU * note * time).sin() + 0.4 * (TAU * 2.0 * note * time).sin();
            let pad = (TAU * (330.0 + 4.0 * channel as f64) * time).sin() + 0.5 * (TAU * 660.0 * time).sin();
            let swell = 0.8 + 0.2 * (TAU * time / 9.0).sin();
            *x = 0.3 * swell * (0.5 * kick + 0.3 * bass + 0.15 * pad + 0.3 * beat * *x + 0.2 * low);
        }
    }
    channels
}

/// Speech-like: syllables of a noisy tone with pauses, the same on both channels, at about -26 LUFS.
fn speech() -> Channels {
    let hiss = noise(0.0, 22, 1, (SETTLE + MEASURED) * 48_000).remove(0);
    let mut phase = 0.0;
    let weights: Vec<f64> = (0..12).map(|k| f64::from(k).powf(-1.2)).collect();
    let wave: Vec<f64> = hiss
        .iter()
        .enumerate()
        .map(|(n, hiss)| {
            let time = n as f64 / RATE;
            let syllable = (TAU * 1.9 * time).sin().max(0.0).powf(0.6);
            let is_pause = time % 6.0 > 4.8;
            phase += TAU * (125.0 + 20.0 * (TAU * 0.4 * time).sin()) / RATE;
            let voice = harmonics(phase, 11, |k, _, cos| weights[k] * cos);
            let sibilant = if (time * 1.9).fract() > 0.85 { 0.25 * hiss } else { 0.02 * hiss };
            if is_pause { 1e-4 * hiss } else { 0.11 * syllable * (0.6 * voice + sibilant) }
        })
        .collect();
    vec![wave; 2]
}

/// What a chain makes of a programme.
fn play(name: &str, input: &Channels) -> Channels {
    let text = std::fs::read_to_string(root().join(format!("configs/chains/{name}.yaml"))).unwrap();
    let nodes = &text[text.find("\nnodes:\n").unwrap() + "\nnodes:\n".len()..];
    let mut rig = Rig::of(nodes);
    rig.block = 1_024;
    rig.play(input)
}

/// What it reads after it has settled.
fn read(name: &str, out: &Channels) -> Measurement {
    let mut meters = Meters::new(RATE, 2);
    meters.add(&out.iter().map(|x| x[SETTLE * 48_000..].to_vec()).collect::<Vec<_>>());
    meters.finish();
    let reading = meters.measure();
    println!(
        "{name:<16} I {:.2} LUFS, TP {:.2} dBTP, LRA {:.1} LU, PLR {:.1} LU",
        reading.integrated, reading.truepeak, reading.range, reading.plr
    );
    reading
}

fn measure(name: &str, input: &Channels) -> Measurement {
    read(name, &play(name, input))
}

/// Loudness in LUFS and its tolerance in LU, ceiling in dBTP.
#[track_caller]
fn assert_reaches(name: &str, input: &Channels, loudness: f64, tolerance: f64, ceiling: f64) -> Measurement {
    assert_reads(name, &play(name, input), loudness, tolerance, ceiling)
}

#[track_caller]
fn assert_reads(name: &str, out: &Channels, loudness: f64, tolerance: f64, ceiling: f64) -> Measurement {
    let reading = read(name, out);
    let off = reading.integrated - loudness;
    assert!(off.abs() <= tolerance, "{name}: {:.2} LUFS, not {loudness}", reading.integrated);
    assert!(reading.truepeak <= ceiling + 0.1, "{name}: {:.2} dBTP over {ceiling}", reading.truepeak);
    reading
}

#[test]
fn chains_with_a_target_reach_it_live_within_a_lu() {
    for (name, loudness, ceiling) in [
        ("streaming", -14.0, -1.0),
        ("apple", -16.0, -1.0),
        ("broadcast-r128", -23.0, -1.0),
        ("broadcast-a85", -24.0, -2.0),
        ("vinyl", -16.0, -3.0),
        ("night", -24.0, -10.0),
    ] {
        assert_reaches(name, &MUSIC, loudness, 1.0, ceiling);
    }
}

#[test]
fn speech_comes_to_the_podcasts_level() {
    assert_reaches("podcast", &SPEECH, -16.0, 1.0, -1.0);
}

#[test]
fn loud_chains_are_as_loud_as_they_say() {
    assert_reaches("club", &MUSIC, -10.0, 1.0, -0.5);
    let loud = assert_reaches("loud", &MUSIC, -8.0, 1.0, -1.0);
    assert!(loud.plr > 6.0, "it is not a square: PLR {:.1} LU", loud.plr);
}

#[test]
fn transparent_and_warm_leave_the_level() {
    let music = &*MUSIC;
    let mut meters = Meters::new(RATE, 2);
    meters.add(&music.iter().map(|x| x[SETTLE * 48_000..].to_vec()).collect::<Vec<_>>());
    let before = meters.measure().integrated;
    assert_reaches("transparent", music, before, 0.05, -1.0);
    assert_reaches("warm", music, before, 1.5, -1.0);
    // Driven hard, the ceiling still holds.
    let hot: Channels = music.iter().map(|x| x.iter().map(|x| x * gain(15.0)).collect()).collect();
    let reading = measure("transparent", &hot);
    assert!(reading.truepeak <= -0.95, "{:.2} dBTP", reading.truepeak);
}

#[test]
fn night_has_less_range_than_the_programme() {
    // Quiet and loud stretches of ten seconds, 20 dB apart.
    let mut input = MUSIC.clone();
    for samples in &mut input {
        for (n, x) in samples.iter_mut().enumerate() {
            *x *= if n / 480_000 % 2 == 0 { 1.0 } else { 0.1 };
        }
    }
    let mut meters = Meters::new(RATE, 2);
    meters.add(&input.iter().map(|x| x[SETTLE * 48_000..].to_vec()).collect::<Vec<_>>());
    let before = meters.measure().range;
    let after = measure("night", &input).range;
    assert!(before > 15.0 && after < 0.6 * before, "{before:.1} LU before, {after:.1} LU after");
}

/// Level in dB of the seconds `from` to `to` of every `period`, of what has settled.
fn level(channels: &Channels, [from, to, period]: [f64; 3]) -> f64 {
    let within = |n: &usize| (from..to).contains(&(*n as f64 / RATE % period));
    let picked: Vec<f64> =
        (SETTLE * 48_000..channels[0].len()).filter(within).map(|n| channels[0][n]).collect();
    db(rms(&picked))
}

#[test]
fn a_tape_loses_its_hiss_and_nothing_else() {
    // It stops for two of eight seconds.
    let mut input = MUSIC.clone();
    for (samples, hiss) in input.iter_mut().zip(noise(-50.0, 31, 2, (SETTLE + MEASURED) * 48_000)) {
        for (n, (x, hiss)) in samples.iter_mut().zip(hiss).enumerate() {
            *x = if n / 48_000 % 8 > 5 { 0.0 } else { *x } + hiss;
        }
    }
    let out = play("tape-hiss", &input);
    let change = |place| level(&out, place) - level(&input, place);
    let (hiss, programme) = (change([6.5, 7.9, 8.0]), change([0.5, 5.5, 8.0]));
    println!("hiss {hiss:+.2} dB, programme {programme:+.3} dB");
    assert!((hiss + 12.0).abs() < 2.0, "the hiss falls by {hiss:.2} dB");
    assert!(programme.abs() < 0.2, "the programme changes by {programme:.3} dB");
    assert!(read("tape-hiss", &out).truepeak <= -0.95);
}

#[test]
fn an_interview_comes_without_its_room_at_the_podcasts_level() {
    let mut input = SPEECH.clone();
    let room = noise(-44.0, 32, 1, (SETTLE + MEASURED) * 48_000).remove(0);
    for samples in &mut input {
        let mut low = 0.0;
        for (n, (x, room)) in samples.iter_mut().zip(&room).enumerate() {
            // A fan: noise that falls towards the highs, and what its motor hums.
            low += 0.2 * (room - low);
            *x += low + 0.3 * room + 0.002 * (TAU * 118.0 * n as f64 / RATE).sin();
        }
    }
    let (before, after) = (read("before", &input), play("remote-interview", &input));
    let reading = assert_reads("remote-interview", &after, -16.0, 1.0, -1.0);
    // Against the voice: the leveler turns both up.
    let pause = [5.1, 5.9, 6.0];
    let room = |channels: &Channels, reading: &Measurement| level(channels, pause) - reading.integrated;
    let fall = room(&after, &reading) - room(&input, &before);
    println!("the room falls by {fall:.1} dB against the voice");
    assert!(fall < -10.0);
}

#[test]
fn a_record_comes_off_its_clicks_hum_and_rumble() {
    // A lead-in, then music; over all of it hum, and rumble that is vertical and below 20 Hz.
    let seconds = 20;
    let mut programme = material::music(seconds, 31);
    let clicks = material::clicks(&programme, 150, 32);
    programme[..6 * 48_000].fill(0.0);
    let hiss = noise(-70.0, 33, 2, seconds * 48_000);
    let clean: Channels =
        hiss.iter().map(|x| x.iter().zip(&programme).map(|(a, b)| a + b).collect()).collect();
    let mut dirty = clean.clone();
    for (channel, samples) in dirty.iter_mut().enumerate() {
        *samples = material::with(samples, &clicks);
        for (n, x) in samples.iter_mut().enumerate() {
            let time = TAU * n as f64 / RATE;
            *x += gain(-40.0) * harmonics(50.03 * time, 7, |k, sin, _| sin / k as f64);
            *x += gain(-34.0)
                * ((9.0 * time).sin() + (35.0 * time).sin())
                * if channel == 0 { 1.0 } else { -1.0 };
        }
    }
    let text = std::fs::read_to_string(root().join("configs/chains/vinyl-transfer.yaml")).unwrap();
    let nodes = &text[text.find("\nnodes:\n").unwrap() + "\nnodes:\n".len()..];
    let play = |input: &Channels| {
        let mut rig = Rig::of(nodes);
        rig.block = 1_024;
        let latency = rig.latency();
        let padded = input.iter().map(|x| x.iter().copied().chain(vec![0.0; latency]).collect()).collect();
        rig.play(&padded).into_iter().map(|mut out| out.split_off(latency)).collect::<Channels>()
    };
    // Against the chain's own way with the clean record.
    let (out, wanted) = (play(&dirty), play(&clean));
    let off = |a: &Channels, b: &Channels, from: usize, to: usize| {
        let range = from * 48_000..to * 48_000;
        rms(&a[0][range.clone()].iter().zip(&b[0][range]).map(|(a, b)| a - b).collect::<Vec<_>>())
    };
    let lead_in = db(off(&dirty, &clean, 5, 6) / off(&out, &wanted, 5, 6));
    let under = db(off(&dirty, &clean, 8, 20) / off(&out, &wanted, 8, 20));
    let better = material::repaired(&wanted[0], &dirty[0], &out[0], &clicks[60..]);
    println!(
        "vinyl-transfer: noise of the record {lead_in:.1} dB down in the lead-in, {under:.1} dB under the music; clicks {better:+.1} dB"
    );
    assert!(lead_in > 10.0 && under > 12.0 && better > 15.0);
}
