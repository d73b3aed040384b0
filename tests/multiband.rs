//! The multiband compressor and the crossover: flat sums, a compressor for each band, solo and mute.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{db, distance, noise, rms, silence, sine};
use std::f64::consts::TAU;

/// Response of a chain in dB at each of `freqs`.
fn response(nodes: &str, freqs: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(nodes);
    let mut impulse = silence(2, 48_000);
    (impulse[0][0], impulse[1][0]) = (0.001, 0.001);
    let out = rig.play(&impulse).remove(0);
    let level = |freq: &f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, y) in out.iter().enumerate() {
            let angle = TAU * freq / RATE * n as f64;
            re += 1_000.0 * y * angle.cos();
            im -= 1_000.0 * y * angle.sin();
        }
        10.0 * (re * re + im * im).log10()
    };
    freqs.iter().map(level).collect()
}

const FREQS: [f64; 9] = [20.0, 60.0, 300.0, 424.0, 600.0, 1_000.0, 3_000.0, 9_000.0, 20_000.0];
/// Nothing reaches these thresholds.
const QUIET: &str = "threshold: 0 dB";

#[test]
fn bands_at_unity_add_up_to_flat_for_any_legal_splits() {
    for slope in ["24 dB/oct", "48 dB/oct"] {
        for splits in [&[300, 600][..], &[1_000], &[120, 120], &[60, 250, 2_000], &[40, 80, 160, 320, 18_000]]
        {
            let bands: Vec<_> = splits.iter().map(|to| format!("{{to: {to} Hz, {QUIET}}}")).collect();
            let nodes =
                format!("  - multiband: {{slope: {slope}, bands: [{}, {{{QUIET}}}]}}\n", bands.join(", "));
            for (freq, level) in FREQS.iter().zip(response(&nodes, &FREQS)) {
                assert!(level.abs() < 0.01, "{freq} Hz: {level:.4} dB:\n{nodes}");
            }
        }
    }
}

#[test]
fn crossovers_with_the_same_splits_add_up_to_flat() {
    let band = |band: u32| {
        format!(
            "  - crossover: {{id: b{band}, in: input, band: {band}, splits: [{{freq: 300 Hz}}, {{freq: 600 Hz}}]}}\n"
        )
    };
    let nodes = format!("{}{}{}  - mix: {{in: [b1, b2, b3]}}\n", band(1), band(2), band(3));
    for (freq, level) in FREQS.iter().zip(response(&nodes, &FREQS)) {
        assert!(level.abs() < 0.01, "{freq} Hz: {level:.4} dB");
    }
    let alone = "  - crossover: {band: 2, splits: [{freq: 300 Hz}, {freq: 3 kHz}], slope: 48 dB/oct}\n";
    let levels = response(alone, &[75.0, 300.0, 950.0, 3_000.0]);
    for (level, wanted) in levels.iter().zip([-96.3, -6.02, 0.0, -6.02]) {
        assert!((level - wanted).abs() < 0.4, "{levels:?}");
    }
    let none = "  - crossover: {band: 3, splits: [{freq: 300 Hz}]}\n";
    assert_eq!(rms(&Rig::of(none).play(&noise(0.0, 1, 2, 960))[0]), 0.0);
}

/// Gain in dB that a steady sine gets.
fn gain_at(nodes: &str, freq: f64, level: f64) -> f64 {
    let input = sine(freq, level, RATE, 2, 192_000);
    let out = Rig::of(nodes).play(&input);
    db(rms(&out[0][144_000..]) / rms(&input[0][144_000..]))
}

#[test]
fn each_band_has_a_compressor_of_its_own() {
    let nodes = "  - multiband: {bands: [
        {to: 200 Hz, threshold: -30 dB, ratio: 4, knee: 0, attack: 0.05 ms, release: 4 s},
        {to: 2 kHz, threshold: 0 dB, makeup: 3 dB},
        {threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s, range: 6 dB}]}\n";
    for (freq, wanted) in [(30.0, -15.0), (640.0, 3.0), (10_000.0, -6.0)] {
        let got = gain_at(nodes, freq, -10.0);
        // The neighbours are some 60 dB down.
        assert!((got - wanted).abs() < 0.1, "{freq} Hz: {got:.2} dB, not {wanted} dB");
    }
}

#[test]
fn solo_mute_and_on_do_what_they_say() {
    let nodes = |low: &str, high: &str| {
        format!(
            "  - multiband: {{id: n, bands: [{{to: 1 kHz, threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s, {low}}}, {{{QUIET}, {high}}}]}}\n"
        )
    };
    assert!((gain_at(&nodes("solo: false", "mute: false"), 100.0, -10.0) + 20.0).abs() < 0.1);
    assert!(gain_at(&nodes("on: false", "mute: false"), 100.0, -10.0).abs() < 0.05, "off is not compressed");
    assert!(gain_at(&nodes("mute: true", "mute: false"), 100.0, -10.0) < -70.0, "muted");
    assert!(gain_at(&nodes("on: true", "solo: true"), 100.0, -10.0) < -70.0, "another is soloed");
    assert!(gain_at(&nodes("on: true", "solo: true"), 10_000.0, -40.0).abs() < 0.05, "soloed");
    assert!(
        gain_at(&nodes("mute: true, solo: true", "mute: false"), 100.0, -10.0) < -70.0,
        "mute is stronger"
    );
}

#[test]
fn a_mix_adds_up_with_the_dry_signal() {
    let bands = "bands: [{to: 300 Hz, threshold: 0 dB}, {to: 600 Hz, threshold: 0 dB}, {threshold: 0 dB}]";
    for mix in ["0 %", "50 %"] {
        let nodes = format!("  - multiband: {{mix: {mix}, {bands}}}\n");
        for (freq, level) in FREQS.iter().zip(response(&nodes, &FREQS)) {
            assert!(level.abs() < 0.01, "mix {mix}, {freq} Hz: {level:.4} dB");
        }
    }
    let nodes = "  - multiband: {mix: 50 %, bands: [{to: 10 kHz, threshold: -40 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s}, {}]}\n";
    let got = gain_at(nodes, 500.0, -10.0);
    let wanted = db(0.5 + 0.5 * 10.0_f64.powf(-30.0 / 20.0));
    assert!((got - wanted).abs() < 0.05, "{got:.2} dB, not {wanted:.2} dB");
}

#[test]
fn a_key_works_band_by_band() {
    // The key is loud in the lows only.
    let nodes = "
  - tone: {id: bass, freq: 50 Hz, level: -10 dB}
  - multiband: {in: input, key: bass, bands: [{to: 1 kHz, threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s}, {threshold: -30 dB, ratio: inf, knee: 0}]}
";
    assert!((gain_at(nodes, 100.0, -40.0) + 20.0).abs() < 0.1);
    assert!(gain_at(nodes, 10_000.0, -40.0).abs() < 0.1);
}

#[test]
fn a_look_ahead_delays_all_bands_alike() {
    let nodes = |lookahead: &str| {
        format!("  - multiband: {{lookahead: {lookahead}, bands: [{{to: 500 Hz, {QUIET}}}, {{{QUIET}}}]}}\n")
    };
    let input = noise(-30.0, 3, 2, 9_600);
    let (now, later) = (Rig::of(&nodes("0 ms")).play(&input), Rig::of(&nodes("5 ms")).play(&input));
    let cut = |out: &Vec<Vec<f64>>, from: usize| out.iter().map(|x| x[from..from + 9_000].to_vec()).collect();
    assert_eq!(distance(&cut(&now, 0), &cut(&later, 240)), 0.0);
}

#[test]
fn a_split_can_be_moved_while_it_plays() {
    let mut rig = Rig::of("  - multiband: {id: n, bands: [{to: 200 Hz, threshold: 0 dB}, {mute: true}]}\n");
    let input = sine(1_000.0, -20.0, RATE, 2, 48_000);
    let before = rms(&rig.play(&input)[0][24_000..]);
    rig.set("/node/n/band/1/to", 5_000.0);
    let after = rms(&rig.play(&input)[0][24_000..]);
    assert!(db(before / after) < -30.0, "{:.1} dB", db(before / after));
    assert!(rig.newest().addresses.at("/n/band/2/to").is_none(), "the last band has no upper edge");
}

/// Gain of a chain in dB, five milliseconds at a time, on a tone that goes up and down.
fn gains(nodes: &str) -> Vec<f64> {
    let mut input = sine(1_000.0, 0.0, RATE, 2, 96_000);
    for samples in &mut input {
        // From level to level in some milliseconds: the split's answer to a step is no matter here.
        let mut level = 0.05;
        for (n, x) in samples.iter_mut().enumerate() {
            level += 0.002 * ([0.05, 0.7, 0.02, 0.3][n / 24_000] - level);
            *x *= level;
        }
    }
    input[1].iter_mut().for_each(|x| *x *= 0.3);
    let out = Rig::of(nodes).play(&input);
    let pairs = out.iter().zip(&input).flat_map(|(y, x)| y.chunks_exact(240).zip(x.chunks_exact(240)));
    pairs.map(|(y, x)| db(rms(y) / rms(x))).collect()
}

#[test]
fn a_bands_rows_mean_what_they_mean_for_the_compressor() {
    for fields in [
        "threshold: -30 dB, ratio: 4, knee: 0",
        "threshold: -30 dB, ratio: 2, knee: 20 dB",
        "threshold: -30 dB, attack: 50 ms, release: 30 ms",
        "threshold: -30 dB, release: auto",
        "threshold: -30 dB, range: 3 dB, makeup: 2 dB",
        "threshold: -30 dB, hold: 100 ms, release: 20 ms",
        "threshold: -30 dB, detector: rms, rms_window: 100 ms",
        "threshold: -30 dB, detector: program, attack: 60 ms",
        "threshold: -20 dB, mode: upward, ratio: 3",
        "threshold: -30 dB, link: 0 %",
    ] {
        let alone = gains(&format!("  - compressor: {{{fields}}}\n"));
        let banded =
            gains(&format!("  - multiband: {{bands: [{{to: 20 Hz, threshold: 0 dB}}, {{{fields}}}]}}\n"));
        let off: Vec<f64> = alone.iter().zip(&banded).map(|(a, b)| (a - b).abs()).collect();
        let mut sorted = off.clone();
        sorted.sort_by(f64::total_cmp);
        // Times that follow the crest factor follow the split's phase a little.
        let tolerance = if fields.contains("program") { 0.2 } else { 0.1 };
        assert!(
            sorted[sorted.len() * 9 / 10] < tolerance,
            "{fields}: {:.3} dB",
            sorted[sorted.len() * 9 / 10]
        );
        assert!(alone.iter().any(|gain| gain.abs() > 1.0), "{fields} does something");
    }
}

#[test]
fn the_steeper_slope_keeps_the_bands_further_apart() {
    // An octave above the split, the low band is muted: what is left of it tells the slope.
    let left = |slope: &str| {
        let nodes = format!(
            "  - multiband: {{slope: {slope}, bands: [{{to: 500 Hz, threshold: 0 dB}}, {{mute: true}}]}}\n"
        );
        gain_at(&nodes, 1_000.0, -20.0)
    };
    assert!(
        (left("24 dB/oct") + 24.6).abs() < 0.2 && (left("48 dB/oct") + 48.4).abs() < 0.3,
        "{:.1}, {:.1} dB",
        left("24 dB/oct"),
        left("48 dB/oct")
    );
}

#[test]
fn the_meters_tell_the_gain_of_each_band_and_the_largest_of_all() {
    let nodes = "  - multiband: {mix: 50 %, bands: [\
        {to: 1 kHz, threshold: -20 dB, ratio: 4, knee: 0, attack: 0.05 ms, release: 4 s}, \
        {threshold: -20 dB, ratio: 4, knee: 0, mode: upward, attack: 0.05 ms, release: 50 ms}]}\n";
    let mut rig = Rig::of(nodes);
    // The lows are 10 dB above the threshold, the highs 20 dB below it.
    let (low, high) = (sine(100.0, -10.0, RATE, 2, 192_000), sine(10_000.0, -40.0, RATE, 2, 192_000));
    let input: Vec<Vec<f64>> =
        low.iter().zip(&high).map(|(low, high)| low.iter().zip(high).map(|(a, b)| a + b).collect()).collect();
    rig.play(&input);
    rig.events.clear();
    rig.play(&input.iter().map(|samples| samples[..48_000].to_vec()).collect());
    let told = |wanted: usize| {
        let told = rig.events.iter().rev().find_map(|event| match event {
            lacquer_graph::run::engine::Event::Meter { reading, value, .. } if *reading == wanted => *value,
            _ => None,
        });
        db(told.unwrap())
    };
    let half = |change: f64| db(0.5 + 0.5 * 10.0_f64.powf(change / 20.0));
    for (reading, wanted) in [(0, half(15.0)), (1, half(-7.5)), (2, half(15.0))] {
        assert!(
            (told(reading) - wanted).abs() < 0.3,
            "{reading}: {:.2} dB, not {wanted:.2} dB",
            told(reading)
        );
    }
}
