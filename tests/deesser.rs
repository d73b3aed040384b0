//! The de-esser: what it cuts, how exactly, and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, distance, gain, noise, peak, rms, sine};

const SECOND: usize = 48_000;

fn rig(settings: &str) -> Rig {
    Rig::of(&format!("  - deesser: {{id: n, {settings}}}\n"))
}

fn add(a: &Channels, b: &Channels) -> Channels {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

/// Level in dBFS (peak) of the sine at `freq` in the last half second.
fn level_at(freq: f64, samples: &[f64]) -> f64 {
    let samples = &samples[samples.len() - SECOND / 2..];
    let w = std::f64::consts::TAU * freq / RATE;
    let sum = |f: fn(f64) -> f64| samples.iter().enumerate().map(|(n, x)| x * f(w * n as f64)).sum::<f64>();
    db(2.0 * sum(f64::cos).hypot(sum(f64::sin)) / samples.len() as f64)
}

/// How much a sine of `freq` at `level` comes out lower, beside nothing else.
fn cut(settings: &str, freq: f64, level: f64) -> f64 {
    let out = rig(settings).play(&sine(freq, level, RATE, 2, SECOND));
    level - level_at(freq, &out[0])
}

#[test]
fn the_static_curve_on_the_bands_level_is_the_published_one() {
    // Giannoulis, Massberg, Reiss 2012, eq. 4, for T = -20 dB and R = 4: level out for level in.
    // 9.6 kHz: five samples a period, one of them on the peak.
    let table = [-30.0, -26.0, -23.0, -22.0, -20.0, -17.0, -14.0, -10.0, -6.0, -3.0];
    for (knee, outs) in [
        (0, [-30.0, -26.0, -23.0, -22.0, -20.0, -19.25, -18.5, -17.5, -16.5, -15.75]),
        (6, [-30.0, -26.0, -23.0, -22.062, -20.562, -19.25, -18.5, -17.5, -16.5, -15.75]),
        (12, [-30.0, -26.0, -23.281, -22.5, -21.125, -19.531, -18.5, -17.5, -16.5, -15.75]),
    ] {
        for mode in ["split-band", "wide-band"] {
            for (level, out) in table.iter().zip(outs) {
                let settings =
                    format!("mode: {mode}, threshold: -20 dB, ratio: 4, knee: {knee} dB, range: 24 dB");
                // A cosine has its peak on a sample.
                let w = std::f64::consts::TAU * 9_600.0 / RATE;
                let wave: Vec<f64> = (0..SECOND).map(|n| gain(*level) * (w * n as f64).cos()).collect();
                let got = level_at(9_600.0, &rig(&settings).play(&vec![wave.clone(), wave])[0]);
                assert!((got - out).abs() < 0.05, "{settings}: {level} dB gives {got:.3}, not {out}");
            }
        }
    }
}

#[test]
fn below_the_threshold_the_output_is_the_input_delayed_bit_for_bit() {
    let input = noise(-30.0, 1, 2, SECOND);
    for shape in ["highpass", "bandpass"] {
        for mode in ["split-band", "wide-band"] {
            let mut rig =
                rig(&format!("mode: {mode}, shape: {shape}, threshold: -20 dB, knee: 6 dB, lookahead: 2 ms"));
            let out = rig.play(&input);
            let latency = rig.latency();
            assert_eq!(latency, 72 + 96, "1.5 ms and the look-ahead");
            assert!(out[0][latency..] == input[0][..SECOND - latency], "{mode}, {shape}");
        }
    }
}

/// Loud sibilance: a sine at `freq` that asks for 20 dB of reduction.
fn sibilance(freq: f64) -> Channels {
    sine(freq, -6.0, RATE, 2, SECOND)
}

const HARD: &str = "threshold: -40 dB, ratio: inf, range: 12 dB, knee: 0 dB";

#[test]
fn an_octave_outside_the_band_nothing_is_changed() {
    for (settings, freq, outside) in [
        ("freq: 6 kHz", 9_000.0, vec![100.0, 1_000.0, 2_000.0, 3_000.0]),
        ("freq: 2 kHz", 6_000.0, vec![100.0, 500.0, 1_000.0]),
        ("freq: 12 kHz", 15_000.0, vec![1_000.0, 6_000.0]),
        // Edges at 3.7 and 9.7 kHz, and at 4.2 and 5.9 kHz.
        ("freq: 6 kHz, shape: bandpass, q: 1", 6_000.0, vec![500.0, 1_850.0, 19_400.0]),
        ("freq: 5 kHz, shape: bandpass, q: 3", 5_000.0, vec![1_000.0, 2_100.0, 11_800.0]),
    ] {
        for probe in outside {
            let input = add(&sibilance(freq), &sine(probe, -50.0, RATE, 2, SECOND));
            let out = rig(&format!("{settings}, {HARD}")).play(&input);
            let changed = level_at(probe, &out[0]) + 50.0;
            let cut = -6.0 - level_at(freq, &out[0]);
            assert!(changed.abs() <= 0.1, "{settings}: {probe} Hz is changed by {changed:.3} dB");
            assert!((cut - 12.0).abs() < 0.1, "{settings}: the band is cut by {cut:.2} dB");
        }
    }
}

#[test]
fn wide_band_turns_all_down_alike() {
    let input = add(&sibilance(9_000.0), &sine(200.0, -20.0, RATE, 2, SECOND));
    let out = rig(&format!("mode: wide-band, freq: 6 kHz, {HARD}")).play(&input);
    assert!((level_at(200.0, &out[0]) + 32.0).abs() < 0.01);
    assert!((level_at(9_000.0, &out[0]) + 18.0).abs() < 0.01);
}

#[test]
fn the_frequency_and_the_q_say_where_the_band_is() {
    // At its edge a band has half its amplitude, so 12 dB of cut become 20 log(1 - 0.75 / 2).
    let half = -db(1.0 - 0.5 * (1.0 - gain(-12.0)));
    for freq in [3_000.0, 6_000.0] {
        let got = cut(&format!("freq: {freq} Hz, {HARD}"), freq, -6.0);
        assert!((got - half).abs() < 0.05, "{got:.2} dB at the edge of {freq} Hz, not {half:.2}");
    }
    // 8 kHz at q 2 is 4 kHz wide: 6.25 to 10.25 kHz.
    let settings = format!("freq: 8 kHz, shape: bandpass, q: 2, {HARD}");
    for (freq, wanted) in
        [(8_000.0, 12.0), (6_246.0, half), (10_246.0, half), (4_000.0, 0.0), (12_500.0, 0.0)]
    {
        let got = cut(&settings, freq, -6.0);
        assert!((got - wanted).abs() < 0.1, "{got:.2} dB at {freq} Hz, not {wanted:.2}");
    }
}

#[test]
fn speech_without_sibilance_does_not_set_it_off() {
    // Loud, but below the band.
    let input = sine(1_000.0, -3.0, RATE, 2, SECOND);
    let mut rig = rig("freq: 6 kHz, threshold: -60 dB, knee: 0 dB, ratio: inf, release: 10 ms");
    let out = rig.play(&input);
    let from = SECOND / 2;
    let late =
        |c: &Channels, at: usize| c.iter().map(|x| x[at..at + SECOND / 4].to_vec()).collect::<Channels>();
    assert!(late(&out, from + rig.latency()) == late(&input, from));
}

#[test]
fn attack_and_release_cover_63_per_cent_of_a_step_in_their_time() {
    // Wide-band, so that the gain is seen on what is below the band: here a constant. The filter smears the onset
    // over some three frames, so the shortest attack is many times that.
    for (attack, release) in [(2.0, 60.0), (10.0, 20.0), (40.0, 300.0)] {
        let settings = format!(
            "mode: wide-band, attack: {attack} ms, release: {release} ms, range: 20 dB, threshold: -40 dB, ratio: inf, knee: 0 dB"
        );
        let mut rig = rig(&settings);
        let burst = sine(9_600.0, -10.0, RATE, 1, SECOND).remove(0);
        let burst = [vec![0.0; SECOND / 2], burst, vec![0.0; SECOND]].concat();
        let input: Vec<f64> = burst.iter().map(|x| x + 0.5).collect();
        let out = rig.play(&vec![input.clone(), input.clone()]);
        let latency = rig.latency();
        // The gain, out of what is known of the input.
        let path: Vec<f64> = (0..input.len() - latency).map(|n| db(input[n] / out[0][n + latency])).collect();
        let opened = path[SECOND / 2..].iter().position(|db| *db >= 20.0 * 0.6321).unwrap() as f64;
        let end = SECOND * 3 / 2;
        let closed = path[end..].iter().position(|db| *db <= 20.0 * 0.3679).unwrap() as f64;
        // The detector holds the last peak for 2 ms.
        let (attacked, released) = (opened / 48.0, closed / 48.0 - 2.0);
        println!("attack {attack} ms: {attacked:.3}, release {release} ms: {released:.3}");
        assert!((attacked / attack - 1.0).abs() < 0.05, "attack {attack} ms took {attacked:.3} ms");
        assert!((released / release - 1.0).abs() < 0.05, "release {release} ms took {released:.3} ms");
    }
}

#[test]
fn the_range_is_the_most_that_is_cut_and_the_ratio_how_much() {
    for (settings, wanted) in [
        ("ratio: inf, range: 6 dB", 6.0),
        ("ratio: inf, range: 24 dB", 20.0),
        ("ratio: 2, range: 24 dB", 10.0),
        ("ratio: 1, range: 24 dB", 0.0),
        ("ratio: inf, range: 0 dB", 0.0),
    ] {
        let got = cut(&format!("threshold: -26 dB, knee: 0 dB, {settings}"), 9_000.0, -6.0);
        assert!((got - wanted).abs() < 0.1, "{settings}: {got:.3} dB, not {wanted}");
    }
}

#[test]
fn with_lookahead_the_reduction_is_there_before_the_sibilant() {
    let mut input = noise(-200.0, 5, 2, 4_800);
    input.iter_mut().zip(sibilance(9_000.0)).for_each(|(all, more)| all.extend(more));
    let first_ms = |lookahead: f64| {
        let mut rig = rig(&format!("{HARD}, attack: 1 ms, lookahead: {lookahead} ms"));
        let out = rig.play(&input);
        let begins = 4_800 + rig.latency();
        db(rms(&out[0][begins..begins + 48])) - db(rms(&input[0][4_800..4_848]))
    };
    assert!(
        first_ms(0.0) > -8.0 && first_ms(5.0) < -11.0,
        "{:.1} and {:.1} dB",
        first_ms(0.0),
        first_ms(5.0)
    );
}

#[test]
fn listening_lets_the_band_be_heard_alone() {
    let input = add(&sine(1_000.0, -10.0, RATE, 2, SECOND), &sine(9_000.0, -20.0, RATE, 2, SECOND));
    let out = rig(&format!("freq: 6 kHz, listen: true, {HARD}")).play(&input);
    assert!((level_at(9_000.0, &out[0]) + 20.0).abs() < 0.01, "the band as it comes in");
    assert!(level_at(1_000.0, &out[0]) < -75.0, "and nothing else: {:.1} dB", level_at(1_000.0, &out[0]));
}

#[test]
fn linked_channels_are_cut_alike_and_unlinked_ones_each_by_itself() {
    let mut input = sine(9_000.0, -10.0, RATE, 1, SECOND);
    input.extend(sine(9_000.0, -40.0, RATE, 1, SECOND));
    let right = |link: u32| {
        let settings = format!("threshold: -30 dB, ratio: 2, knee: 0 dB, range: 24 dB, link: {link} %");
        let out = rig(&settings).play(&input);
        assert!((level_at(9_000.0, &out[0]) + 20.0).abs() < 0.05);
        -40.0 - level_at(9_000.0, &out[1])
    };
    for (link, wanted) in [(100, 10.0), (0, 0.0), (60, 4.0)] {
        assert!((right(link) - wanted).abs() < 0.1, "link {link} %: {:.2} dB", right(link));
    }
}

#[test]
fn between_split_band_and_bypass_there_is_only_the_band() {
    // What split-band takes away of noise is what listening lets be heard, by 1 - gain.
    let input = noise(-12.0, 6, 2, SECOND);
    let mut split = rig(&format!("freq: 6 kHz, {HARD}"));
    let out = split.play(&input);
    let band = rig(&format!("freq: 6 kHz, listen: true, {HARD}")).play(&input);
    let latency = split.latency();
    let from = SECOND / 2;
    let taken: Channels =
        (0..2).map(|c| (from..SECOND).map(|n| input[c][n - latency] - out[c][n]).collect()).collect();
    let expected: Channels =
        band.iter().map(|x| x[from..].iter().map(|x| x * (1.0 - gain(-12.0))).collect()).collect();
    let off = db(distance(&taken, &expected) / peak(&taken[0]));
    println!("{off:.1} dB");
    assert!(off < -120.0, "{off:.1} dB");
}
