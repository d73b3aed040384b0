//! Denoise: hiss by a profile and without one, beside other programs; what it must leave alone; learning; a voice.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::param::text::Profile;
use lacquer_graph::run::engine::Event;
use lacquer_tests::material::ffmpeg;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, distance, gain, harmonics, line, noise, rms, silence, sine};
use realfft::RealFftPlanner;
use std::f64::consts::TAU;

const SECOND: usize = 48_000;

/// Hiss with a Gaussian spread, another for each seed.
fn hiss(level_db: f64, seed: u64, frames: usize) -> Vec<f64> {
    let mut random = Random::new(seed);
    let mut gauss = || (0..12).map(|_| random.unit()).sum::<f64>() - 6.0;
    (0..frames).map(|_| gain(level_db) * gauss()).collect()
}

fn mix(a: &[f64], b: &[f64]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| a + b).collect()
}

/// A melody of bells over held bass notes: overtones that fall as pink noise does.
fn bells(seconds: usize) -> Vec<f64> {
    let mut wave = vec![0.0; seconds * SECOND];
    let mut random = Random::new(7);
    for start in (0..wave.len()).step_by(SECOND / 2) {
        let note = *random.pick(&[293.7, 329.6, 392.0, 440.0, 523.3, 587.3]);
        for (n, x) in wave[start..].iter_mut().take(2 * SECOND).enumerate() {
            let time = n as f64 / RATE;
            let rise = 1.0 - (-400.0 * time).exp();
            let partial = |k: i32| {
                let k = f64::from(k);
                (-(2.0 + 0.8 * k) * time).exp() / k * (TAU * k * note * time).sin()
            };
            *x += 0.12 * rise * (1..8).map(partial).sum::<f64>();
        }
    }
    for (n, x) in wave.iter_mut().enumerate() {
        let time = n as f64 / RATE;
        let note = [73.4, 98.0, 110.0, 82.4][(time / 2.0) as usize % 4];
        let within = (time / 2.0).fract();
        let swell = (TAU * within / 2.0).sin().powf(0.5);
        *x += 0.2 * swell * (TAU * note * time).sin() + 0.05 * swell * (TAU * 2.0 * note * time).sin();
    }
    wave
}

/// Four strings with vibrato, one note on the heels of another, without a pause.
fn strings(seconds: usize) -> Vec<f64> {
    let mut wave = vec![0.0; seconds * SECOND];
    let weights: Vec<f64> = (0..25).map(|k| f64::from(k).powf(-1.3)).collect();
    for (voice, base) in [196.0, 246.9, 293.7, 392.0].into_iter().enumerate() {
        let mut phase = voice as f64;
        for (n, x) in wave.iter_mut().enumerate() {
            let (time, voice) = (n as f64 / RATE, voice as f64);
            let note = base * [1.0, 1.122, 0.891, 1.0][(time / 1.5 + 0.25 * voice) as usize % 4];
            phase += TAU * note * (1.0 + 0.004 * (TAU * (5.0 + 0.3 * voice) * time).sin()) / RATE;
            *x += 0.05 * harmonics(phase, 24, |k, sin, _| weights[k] * sin);
        }
    }
    wave
}

/// Speech-like: vowels with formants that change, hisses, and pauses of a second every four.
fn speech(seconds: usize) -> Vec<f64> {
    let breath = noise(0.0, 22, 1, seconds * SECOND).remove(0);
    let mut phase = 0.0;
    let wave = breath.iter().enumerate().map(|(n, breath)| {
        let time = n as f64 / RATE;
        phase += TAU * (120.0 + 25.0 * (TAU * 0.7 * time).sin() + 8.0 * (TAU * 2.3 * time).sin()) / RATE;
        let formants =
            [550.0 + 250.0 * (TAU * 1.9 * time).sin(), 1_600.0 + 500.0 * (TAU * 1.3 * time).cos(), 2_700.0];
        let pitch = phase_rate(time);
        let partial = |k: usize, _, cos: f64| {
            let near = |f: f64| 1.0 / (1.0 + ((k as f64 * pitch - f) / 110.0).powi(2));
            (formants.iter().map(|f| near(*f)).sum::<f64>() + 0.02) * cos
        };
        let is_pause = time % 4.0 > 3.0;
        let syllable = (TAU * 1.9 * time).sin().max(0.0).powf(0.6);
        let is_hiss = (time * 1.9).fract() > 0.88;
        let voice = syllable * harmonics(phase, 33, partial);
        let sound = if is_hiss { 0.15 * breath } else { 0.12 * voice };
        if is_pause { 0.0 } else { sound }
    });
    wave.collect()
}

/// Roughly the pitch of [`speech`].
fn phase_rate(time: f64) -> f64 {
    120.0 + 25.0 * (TAU * 0.7 * time).sin()
}

/// What `nodes` makes of a wave, in stereo, without its latency.
fn play(nodes: &str, wave: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(nodes);
    play_on(&mut rig, wave)
}

fn play_on(rig: &mut Rig, wave: &[f64]) -> Vec<f64> {
    rig.block = 1_024;
    let latency = rig.latency();
    let input: Channels = vec![[wave, &vec![0.0; latency]].concat(); 2];
    rig.play(&input).remove(0).split_off(latency)
}

/// Signal to distortion in dB, whatever the gain.
///
/// Source: J. Le Roux et al., *SDR - half-baked or well done?*, ICASSP 2019.
fn si_sdr(clean: &[f64], heard: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let scale = dot(clean, heard) / dot(clean, clean);
    let rest: Vec<f64> = clean.iter().zip(heard).map(|(clean, heard)| heard - scale * clean).collect();
    10.0 * (scale * scale * dot(clean, clean) / dot(&rest, &rest)).log10()
}

/// Kurtosis of the magnitudes of short-time spectra, mean over the lines from 500 Hz to 20 kHz: single spikes raise it.
fn kurtosis(wave: &[f64]) -> f64 {
    let transform = RealFftPlanner::new().plan_fft_forward(1_024);
    let mut lines = vec![Vec::new(); 513];
    for frame in wave.windows(1_024).step_by(512) {
        let mut frame: Vec<f64> = frame
            .iter()
            .enumerate()
            .map(|(n, x)| x * (0.5 - 0.5 * (TAU * n as f64 / 1_024.0).cos()))
            .collect();
        let mut spectrum = transform.make_output_vec();
        transform.process(&mut frame, &mut spectrum).unwrap();
        lines.iter_mut().zip(&spectrum).for_each(|(line, x)| line.push(x.norm()));
    }
    let of = |line: &Vec<f64>| {
        let count = line.len() as f64;
        let mean = line.iter().sum::<f64>() / count;
        let moment = |power: i32| line.iter().map(|x| (x - mean).powi(power)).sum::<f64>() / count;
        moment(4) / moment(2).powi(2)
    };
    lines[11..427].iter().map(of).sum::<f64>() / 416.0
}

/// Level of a sine in dB.
fn level(wave: &[f64], freq_hz: f64) -> f64 {
    let [a, b] = line(wave.iter().copied(), freq_hz, RATE);
    db(2.0 * a.hypot(b) / wave.len() as f64)
}

/// What ffmpeg's filter makes of a wave, lined up with it.
fn theirs(filter: &str, wave: &[f64], clean: &[f64]) -> Vec<f64> {
    let mut heard = ffmpeg(filter, wave);
    // It does not always take its own delay away.
    let piece = &clean[4 * SECOND..4 * SECOND + SECOND / 5];
    let like =
        |late: usize| -> f64 { heard[4 * SECOND + late..].iter().zip(piece).map(|(a, b)| a * b).sum() };
    let late = (0..6_000).max_by(|a, b| like(*a).total_cmp(&like(*b))).unwrap();
    heard.drain(..late);
    heard.resize(wave.len(), 0.0);
    heard
}

/// Two seconds of hiss, then programme, then hiss again: clean, and with hiss 30 dB below.
struct Tape {
    clean: Vec<f64>,
    noisy: Vec<f64>,
    noise_db: f64,
}

const PROGRAMME: std::ops::Range<usize> = 3 * SECOND..10 * SECOND;
const PAUSE: std::ops::Range<usize> = 11 * SECOND..13 * SECOND;

impl Tape {
    /// Of eight seconds of programme.
    fn of(programme: &[f64]) -> Self {
        let mut clean = silence(1, 14 * SECOND).remove(0);
        clean[2 * SECOND..10 * SECOND].copy_from_slice(programme);
        let noise_db = db(rms(&clean[PROGRAMME])) - 30.0;
        let noisy = mix(&clean, &hiss(noise_db, 5, clean.len()));
        Self { clean, noisy, noise_db }
    }

    fn adaptive(&self, reduction_db: f64) -> Vec<f64> {
        play(&format!("  - denoise: {{reduction: {reduction_db} dB}}\n"), &self.noisy)
    }

    /// Lets it learn on the hiss before the programme, then plays all.
    fn learned(&self, reduction_db: f64) -> Vec<f64> {
        let mut rig = Rig::of(&format!("  - denoise: {{id: n, reduction: {reduction_db} dB}}\n"));
        rig.set("/node/n/learn", 1.0);
        rig.play(&vec![self.noisy[..SECOND].to_vec(); 2]);
        rig.set("/node/n/learn", 0.0);
        play_on(&mut rig, &self.noisy)
    }

    /// By how many dB the hiss falls, and how much more its spectra peak.
    fn pause(&self, heard: &[f64]) -> (f64, f64) {
        let fall = db(rms(&heard[PAUSE]) / rms(&self.noisy[PAUSE]));
        (fall, kurtosis(&heard[PAUSE]) / kurtosis(&self.noisy[PAUSE]))
    }
}

#[test]
fn hiss_goes_by_12_db_and_the_programme_stays() {
    for (programme, wave) in [("bells", bells(8)), ("strings", strings(8)), ("speech", speech(8))] {
        let tape = Tape::of(&wave);
        let afftdn = format!("afftdn=nr=12:nf={:.1}", tape.noise_db);
        let rows = [
            ("learned", tape.learned(12.0)),
            ("adaptive", tape.adaptive(12.0)),
            ("ffmpeg afftdn", theirs(&afftdn, &tape.noisy, &tape.clean)),
        ];
        let before = si_sdr(&tape.clean[PROGRAMME], &tape.noisy[PROGRAMME]);
        println!("SI-SDR before {before:.2} dB, hiss {:.1} dBFS", tape.noise_db);
        println!("{programme:<14} {:>9} {:>8} {:>9}", "noise dB", "SI-SDR", "kurtosis");
        for (name, heard) in &rows {
            let (fall, spikes) = tape.pause(heard);
            let gained = si_sdr(&tape.clean[PROGRAMME], &heard[PROGRAMME]) - before;
            println!("{name:<14} {fall:>9.2} {gained:>+8.2} {spikes:>9.2}");
            if !name.starts_with("ffmpeg") {
                assert!((fall + 12.0).abs() <= 2.0, "{programme}, {name}: the hiss falls by {fall:.2} dB");
                assert!(gained >= 6.0, "{programme}, {name}: {gained:.2} dB of SI-SDR");
                assert!(spikes <= 2.0, "{programme}, {name}: kurtosis {spikes:.2} times the input's");
            }
        }
    }
}

#[test]
fn hiss_goes_by_what_is_asked_for_without_twitter() {
    let tape = Tape::of(&speech(8));
    for reduction in [6.0, 18.0, 24.0, 30.0] {
        for (name, heard) in [("learned", tape.learned(reduction)), ("adaptive", tape.adaptive(reduction))] {
            let (fall, spikes) = tape.pause(&heard);
            println!("{name}, {reduction} dB: {fall:.2} dB, kurtosis {spikes:.2}");
            assert!((fall + reduction).abs() <= 2.0, "{name}: {fall:.2} dB, {reduction} asked for");
            assert!(spikes <= 2.0, "{name}, {reduction} dB: kurtosis {spikes:.2} times the input's");
        }
    }
}

#[test]
fn a_held_tone_in_hiss_keeps_its_level() {
    let tone = &sine(1_000.0, -20.0, RATE, 1, 12 * SECOND)[0];
    let noisy = mix(tone, &hiss(-53.0, 6, tone.len()));
    let heard = play("  - denoise: {reduction: 12 dB}\n", &noisy);
    for from in [SECOND, 5 * SECOND, 10 * SECOND] {
        let piece = from..from + SECOND;
        let change = level(&heard[piece.clone()], 1_000.0) - level(&noisy[piece], 1_000.0);
        println!("1 kHz after {} s: {change:+.4} dB", from / SECOND);
        assert!(change.abs() <= 0.2);
    }
}

#[test]
fn what_has_no_noise_passes() {
    let glide = (0..8 * SECOND).map(|n| {
        let time = n as f64 / RATE;
        0.3 * (TAU * (100.0 * time + 600.0 * time * time)).sin()
    });
    for (name, wave) in
        [("bells", bells(8)), ("strings", strings(8)), ("speech", speech(8)), ("glide", glide.collect())]
    {
        let heard = play("  - denoise: {reduction: 12 dB}\n", &wave);
        let off: Vec<f64> = heard.iter().zip(&wave).map(|(a, b)| a - b).collect();
        let null = db(rms(&off) / rms(&wave));
        println!("{name}: {null:.1} dB");
        assert!(null <= -60.0, "{name}: {null:.1} dB");
    }
}

#[test]
fn what_is_left_and_what_is_taken_make_the_input() {
    let wave = mix(&bells(3), &hiss(-50.0, 8, 3 * SECOND));
    for mode in ["broadband", "voice"] {
        let node = |listen| format!("  - denoise: {{mode: {mode}, listen: {listen}}}\n");
        let (left, taken) = (play(&node(false), &wave), play(&node(true), &wave));
        let off = distance(&vec![mix(&left, &taken)], &vec![wave.clone()]);
        println!("{mode}: {off:e} of the input is missing, {:.1} dB is taken", db(rms(&taken) / rms(&wave)));
        assert!(off < 1e-12);
        assert!(rms(&taken) > gain(-70.0) * rms(&wave), "something is taken");
    }
}

#[test]
fn a_learned_profile_comes_back_from_its_text() {
    let tape = Tape::of(&bells(8));
    let mut rig = Rig::of("  - denoise: {id: n}\n");
    rig.set("/node/n/learn", 1.0);
    let learning = play_on(&mut rig, &tape.noisy[..SECOND]);
    let passed = db(rms(&learning[SECOND / 2..]) / rms(&tape.noisy[SECOND / 2..SECOND]));
    assert!(passed.abs() < 1e-6, "what is learned is heard as it is: {passed} dB");
    rig.set("/node/n/learn", 0.0);
    let heard = play_on(&mut rig, &tape.noisy);
    let bands: Vec<f64> = rig
        .events
        .iter()
        .filter_map(|event| match event {
            Event::Learned { level, .. } => Some(*level),
            _ => None,
        })
        .collect();
    let profile = Profile::text(&bands);
    println!("{profile}");
    let whole = 10.0 * bands.iter().map(|level| 10.0_f64.powf(level / 10.0)).sum::<f64>().log10();
    // Its bands end at 20 of 24 kHz.
    let due = tape.noise_db + 10.0 * (20.0_f64 / 24.0).log10();
    assert!((whole - due).abs() < 0.5, "its bands add up to {whole:.2} dBFS, not {due:.2}");
    let again = play(&format!("  - denoise: {{id: n, profile: \"{profile}\"}}\n"), &tape.noisy);
    for place in [PROGRAMME, PAUSE] {
        let change = db(rms(&again[place.clone()]) / rms(&heard[place.clone()]));
        let off = distance(&vec![again[place.clone()].to_vec()], &vec![heard[place].to_vec()]);
        println!("from the text: {change:+.5} dB, largest difference {off:e}");
        assert!(change.abs() < 0.1);
    }
    // A rate of its own does not change what it says.
    let mut other = Rig::at(96_000.0, &format!("  - denoise: {{id: n, profile: \"{profile}\"}}\n"));
    let twice = hiss(tape.noise_db + 3.01, 9, 4 * SECOND);
    let heard = play_on(&mut other, &twice);
    let fall = db(rms(&heard[2 * SECOND..]) / rms(&twice[2 * SECOND..]));
    println!("the same noise at 96 kHz falls by {fall:.2} dB");
    assert!((fall + 12.0).abs() < 2.0);
}

#[test]
fn the_image_of_a_stereo_programme_stands() {
    let wave = mix(&bells(3), &hiss(-50.0, 10, 3 * SECOND));
    let half = wave.iter().map(|x| -0.5 * x).collect();
    let out = Rig::of("  - denoise\n").play(&vec![wave, half]);
    let off = out[0].iter().zip(&out[1]).map(|(left, right)| (right + 0.5 * left).abs()).fold(0.0, f64::max);
    assert!(off < 1e-14, "{off:e}");
}

#[test]
fn noise_is_not_brought_below_its_floor() {
    let wave = hiss(-50.0, 11, 4 * SECOND);
    for (floor, due) in [("-inf", -70.0), ("-60 dBFS", -60.0), ("-45 dBFS", -50.0)] {
        let heard =
            play(&format!("  - denoise: {{reduction: 20 dB, floor: {floor}, smoothing: 100}}\n"), &wave);
        let level = db(rms(&heard[2 * SECOND..]));
        println!("floor {floor}: {level:.2} dBFS");
        assert!((level - due).abs() < 2.0);
    }
}

#[test]
fn a_voice_is_left_and_the_room_goes() {
    let clean = speech(16);
    let loud = rms(&clean);
    let noisy = mix(&clean, &hiss(db(loud) - 12.0, 12, clean.len()));
    let pauses = |wave: &[f64], rate: usize| -> f64 {
        let parts: Vec<f64> = (2..4)
            .flat_map(|k| wave[(4 * k * rate + 3 * rate + rate / 4)..(4 * k + 4) * rate - rate / 4].to_vec())
            .collect();
        db(rms(&parts))
    };
    let mut rows = Vec::new();
    for rate in [48_000.0, 44_100.0, 96_000.0] {
        // The same voice at each rate: what is played slower or faster is no voice.
        let at = |n: usize| {
            let place = n as f64 * RATE / rate;
            let (from, share) = (place as usize, place.fract());
            if from + 1 < noisy.len() { noisy[from] + share * (noisy[from + 1] - noisy[from]) } else { 0.0 }
        };
        let wave: Vec<f64> = (0..(16.0 * rate) as usize).map(at).collect();
        let mut rig = Rig::at(rate, "  - denoise: {mode: voice, reduction: 30 dB}\n");
        let latency_ms = rig.latency() as f64 / rate * 1_000.0;
        let heard = play_on(&mut rig, &wave);
        let rate = rate as usize;
        let fall = pauses(&heard, rate) - pauses(&wave, rate);
        let talk = 9 * rate..11 * rate;
        let kept = db(rms(&heard[talk.clone()]) / rms(&wave[talk]));
        println!("{rate} Hz: pauses {fall:.1} dB, speech {kept:+.2} dB, latency {latency_ms:.1} ms");
        rows.push((rate, fall, kept));
    }
    for (rate, fall, kept) in rows {
        assert!(fall < -15.0, "{rate} Hz: the room falls by {fall:.1} dB");
        assert!(kept > -4.0, "{rate} Hz: the voice is left: {kept:.1} dB");
    }
}

#[test]
fn where_there_is_no_noise_there_is_no_level_of_it() {
    let mut rig = Rig::of("  - denoise: {id: n}\n");
    let tone = |n: usize| 0.1 * (0.05 * n as f64).sin() + 1e-9 * (0.7 * n as f64).sin();
    rig.play(&vec![(0..5 * SECOND).map(tone).collect(); 2]);
    let levels = rig.events.iter().filter_map(|event| match event {
        Event::Meter { reading: 1, value, .. } => *value,
        _ => None,
    });
    let levels: Vec<f64> = levels.collect();
    println!("{levels:?}");
    assert!(levels.iter().all(|level| *level > -140.0), "{levels:?}");
}
