//! The compressor: static curves, times, detectors, side-chain, and what it leaves alone.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_graph::run::engine::Event;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, noise, peak, rms, silence, sine};

fn node(fields: &str) -> String {
    format!("  - compressor: {{id: n, {fields}}}\n")
}

/// Level in dBFS (peak) that a steady sine of `level` comes out with, after four seconds.
fn level_out(fields: &str, freq: f64, level: f64) -> f64 {
    let out = Rig::of(&node(fields)).play(&sine(freq, level, RATE, 2, 192_000));
    db(rms(&out[0][144_000..]) * 2.0_f64.sqrt())
}

/// Output levels of Giannoulis et al. for T = -20 dBFS, R = 4.
#[test]
fn the_static_curve_is_the_papers_in_both_topologies() {
    let tables: [(&str, &[(f64, f64)]); 3] = [
        (
            "ratio: 4, knee: 0",
            &[(-40.0, -40.0), (-23.0, -23.0), (-18.0, -19.5), (-10.0, -17.5), (0.0, -15.0)],
        ),
        (
            "ratio: 4, knee: 12",
            &[(-26.0, -26.0), (-23.0, -23.281), (-20.0, -21.125), (-16.0, -19.125), (-3.0, -15.75)],
        ),
        ("ratio: inf, knee: 0", &[(-30.0, -30.0), (-20.0, -20.0), (-10.0, -20.0)]),
    ];
    for topology in ["feedforward", "feedback"] {
        for (fields, table) in tables {
            if topology == "feedback" && fields.contains("inf") {
                continue; // a loop cannot have an infinite ratio: it stops at 50:1
            }
            for (level, wanted) in table {
                // Fast up and slow down: what is measured is the peak.
                let fields = format!(
                    "threshold: -20 dB, attack: 0.05 ms, release: 4 s, topology: {topology}, {fields}"
                );
                let got = level_out(&fields, 1_000.0, *level);
                assert!((got - wanted).abs() < 0.05, "{fields}: {level} gives {got:.3}, not {wanted}");
            }
        }
    }
}

#[test]
fn an_rms_detector_reads_a_sine_three_db_lower_than_a_peak_detector() {
    let out = |detector: &str, level: f64| {
        let fields =
            format!("threshold: -20 dB, ratio: 4, knee: 0, detector: {detector}, rms_window: 100 ms");
        level_out(&fields, 1_000.0, level)
    };
    assert!((out("rms", -6.99) - (-6.99 - 7.5)).abs() < 0.05, "{}", out("rms", -6.99));
    assert!((out("rms", -18.0) + 18.0).abs() < 0.001, "3 dB lower is below the threshold");
}

/// Gain in dB, a millisecond at a time, of a 1 kHz tone that goes from -30 to 0 dBFS after a second, and back after
/// `loud_ms` more.
fn gains(fields: &str, loud_ms: usize) -> Vec<f64> {
    let mut input = sine(1_000.0, -30.0, RATE, 2, 48_000);
    for (level, frames) in [(0.0, loud_ms * 48), (-30.0, 240_000)] {
        let more = sine(1_000.0, level, RATE, 2, frames);
        input.iter_mut().zip(&more).for_each(|(input, more)| input.extend(more));
    }
    let mut rig = Rig::of(&node(fields));
    let out = rig.play(&input);
    let latency = rig.latency();
    let pairs = out[0][latency..].chunks_exact(48).zip(input[0].chunks_exact(48));
    pairs.map(|(y, x)| db(rms(y) / rms(x))).collect()
}

/// Milliseconds to 63.2 % of the way to the steady reduction, and back from it.
fn times(fields: &str, loud_ms: usize) -> (f64, f64) {
    let gains = gains(fields, loud_ms);
    let full = gains[1_000 + loud_ms - 2];
    let attack = gains[1_000..].iter().position(|gain| *gain <= full * 0.632).unwrap();
    let release = gains[1_000 + loud_ms..].iter().position(|gain| *gain >= full * 0.368).unwrap();
    (attack as f64, release as f64)
}

#[test]
fn attack_and_release_take_the_stated_time() {
    for (attack, release) in [(30.0, 200.0), (100.0, 400.0), (60.0, 80.0)] {
        let fields =
            format!("threshold: -20 dB, ratio: 4, knee: 0, attack: {attack} ms, release: {release} ms");
        let (got_attack, got_release) = times(&fields, 2_000);
        assert!((got_attack - attack).abs() <= 0.05 * attack + 1.0, "attack {attack}: {got_attack} ms");
        assert!((got_release - release).abs() <= 0.05 * release + 1.0, "release {release}: {got_release} ms");
    }
    // A loop is quicker than what is in it; a level under the threshold opens it.
    let fields = "threshold: -20 dB, ratio: 4, knee: 0, attack: 30 ms, release: 300 ms, topology: feedback";
    let (attack, release) = times(fields, 2_000);
    assert!((1.0..30.0).contains(&attack) && (release - 300.0).abs() <= 16.0, "{attack}, {release} ms");
}

#[test]
fn an_automatic_release_is_quick_after_a_peak_and_slow_after_a_dense_passage() {
    let recovery = |loud_ms| times("threshold: -20 dB, ratio: 4, attack: 1 ms, release: auto", loud_ms).1;
    let (peak, dense) = (recovery(5), recovery(5_000));
    assert!(peak < 100.0 && dense > 3.0 * peak, "{peak} and {dense} ms");
}

#[test]
fn a_hold_keeps_the_reduction_for_its_time() {
    let fields = "threshold: -20 dB, ratio: 4, knee: 0, attack: 1 ms, release: 50 ms, hold: 200 ms";
    let gains = gains(fields, 1_000);
    let full = gains[1_990];
    assert!((gains[2_190] - full).abs() < 0.1, "held: {:.2} dB, then {:.2} dB", full, gains[2_190]);
    assert!(gains[2_260] > full * 0.4, "then let go");
}

#[test]
fn a_range_is_the_end_of_the_reduction() {
    let got = level_out("threshold: -40 dB, ratio: inf, range: 6 dB, attack: 0.05 ms", 1_000.0, -10.0);
    assert!((got + 16.0).abs() < 0.05, "{got:.3} dBFS");
}

#[test]
fn upward_raises_what_is_below_the_threshold_and_never_silence() {
    let fields = "mode: upward, threshold: -20 dB, ratio: 2, knee: 0, range: 12 dB, release: 50 ms";
    for (level, wanted) in [(-10.0, -10.0), (-30.0, -25.0), (-40.0, -30.0), (-55.0, -43.0), (-85.0, -85.0)] {
        let got = level_out(fields, 1_000.0, level);
        assert!((got - wanted).abs() < 0.05, "{level} gives {got:.2}, not {wanted}");
    }
}

#[test]
fn the_links_end_is_one_gain_for_all_and_its_other_end_one_for_each() {
    let mut input = sine(1_000.0, -6.0, RATE, 2, 96_000);
    input[1].iter_mut().for_each(|x| *x *= gain(-30.0));
    let right = |link: &str| {
        let fields =
            format!("threshold: -20 dB, ratio: 4, knee: 0, attack: 0.05 ms, release: 4 s, link: {link}");
        let out = Rig::of(&node(&fields)).play(&input);
        [0, 1].map(|channel| db(rms(&out[channel][48_000..]) / rms(&input[channel][48_000..])))
    };
    let [left, linked] = right("100 %");
    assert!((left + 10.5).abs() < 0.05 && (linked - left).abs() < 1e-9, "{left}, {linked}");
    let [left, own] = right("0 %");
    assert!((left + 10.5).abs() < 0.05 && own.abs() < 1e-9, "{left}, {own}");
    let [_, half] = right("50 %");
    // Half way from -36 to -6 dBFS is -21: below the threshold. At 80 % it is -12.
    assert!(half.abs() < 1e-9, "{half}");
    let [_, most] = right("80 %");
    assert!((most + 6.0).abs() < 0.05, "{most}");
}

#[test]
fn mid_and_side_are_compressed_each_by_itself() {
    // The middle is loud, the side is not.
    let (mid, side) = (sine(1_000.0, -6.0, RATE, 1, 96_000), sine(3_000.0, -40.0, RATE, 1, 96_000));
    let input: Channels = vec![
        mid[0].iter().zip(&side[0]).map(|(m, s)| m + s).collect(),
        mid[0].iter().zip(&side[0]).map(|(m, s)| m - s).collect(),
    ];
    let fields =
        "split: midside, link: 0, threshold: -20 dB, ratio: 4, knee: 0, attack: 0.05 ms, release: 4 s";
    let out = Rig::of(&node(fields)).play(&input);
    let part = |sign: f64, of: &Channels| -> Vec<f64> {
        of[0].iter().zip(&of[1]).skip(48_000).map(|(l, r)| 0.5 * (l + sign * r)).collect()
    };
    let change = |sign| db(rms(&part(sign, &out)) / rms(&part(sign, &input)));
    assert!((change(1.0) + 10.5).abs() < 0.05, "middle {:.3} dB", change(1.0));
    assert!(change(-1.0).abs() < 1e-6, "side {:.3} dB", change(-1.0));
}

#[test]
fn the_side_chains_filters_decide_what_is_heard() {
    let reduction = |key: &str, freq: f64| {
        let fields = format!("threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s, {key}");
        level_out(&fields, freq, -10.0) + 10.0
    };
    assert!((reduction("mix: 100", 50.0) + 20.0).abs() < 0.1);
    // A second-order Butterworth high-pass is 12.30 dB down an octave below its corner.
    let got = reduction("key_highpass: 100 Hz", 50.0);
    assert!((got + 20.0 - 12.3).abs() < 0.1, "{got:.2} dB");
    let got = reduction("key_lowpass: 1 kHz", 2_000.0);
    assert!((got + 20.0 - 12.3).abs() < 0.2, "{got:.2} dB");
    let got = reduction("key_freq: 3 kHz, key_gain: 9 dB, key_q: 2", 3_000.0);
    assert!((got + 29.0).abs() < 0.1, "{got:.2} dB");
    let (wide, to_f32) = (
        reduction("key_freq: 3 kHz, key_gain: -12 dB, key_q: 0.3", 1_500.0),
        reduction("key_freq: 3 kHz, key_gain: -12 dB, key_q: 6", 1_500.0),
    );
    assert!(wide > to_f32 + 3.0, "a wide bell reaches an octave down: {wide:.2}, {to_f32:.2} dB");
}

#[test]
fn a_look_ahead_is_in_time_for_a_transient() {
    let mut input = sine(1_000.0, 0.0, RATE, 2, 9_600);
    input.iter_mut().for_each(|samples| samples[..4_800].fill(0.0));
    let first_peak = |lookahead: &str| {
        let fields = format!(
            "threshold: -20 dB, ratio: inf, knee: 0, attack: 1 ms, release: 500 ms, lookahead: {lookahead}"
        );
        let mut rig = Rig::of(&node(&fields));
        let out = rig.play(&input);
        let start = 4_800 + rig.latency();
        db(peak(&out[0][start..start + 96]))
    };
    let (without, with) = (first_peak("0 ms"), first_peak("5 ms"));
    assert!(without > -6.0 && with < -19.0, "{without:.1} and {with:.1} dBFS");
}

#[test]
fn a_mix_is_the_dry_signal_and_the_wet_one() {
    let wet =
        level_out("threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s", 1_000.0, -10.0);
    assert!((wet + 30.0).abs() < 0.1);
    let half = level_out(
        "threshold: -30 dB, ratio: inf, knee: 0, attack: 0.05 ms, release: 4 s, mix: 50 %",
        1_000.0,
        -10.0,
    );
    let expected = db(0.5 * gain(-10.0) + 0.5 * gain(-30.0));
    assert!((half - expected).abs() < 0.05, "{half:.2} dBFS, not {expected:.2}");
    let louder = level_out("threshold: 0 dB, knee: 0, makeup: 6 dB", 1_000.0, -20.0);
    assert!((louder + 14.0).abs() < 0.001, "{louder:.3} dBFS");
}

#[test]
fn a_program_detector_is_faster_on_peaks_than_on_tones() {
    let fields = "threshold: -20 dB, ratio: 4, knee: 0, detector: program, attack: 60 ms, release: 300 ms";
    // On a tone the times are those that are set, once the crest factor has settled.
    let gains = gains(fields, 3_000);
    let recovered = gains[4_000..].iter().position(|gain| *gain >= gains[3_990] * 0.368).unwrap() as f64;
    assert!((recovered - 300.0).abs() < 100.0, "{recovered} ms");
    // Gain at the beginning and at the end of a click, in dB.
    let on_clicks = |detector: &str| {
        let fields = fields.replace("program", detector);
        let mut input = silence(2, 48_000);
        // A millisecond each, a hundred apart: a crest factor far above a sine's.
        for n in (0..48_000).filter(|n| n % 4_800 < 48) {
            (input[0][n], input[1][n]) = (0.9, 0.9);
        }
        let out = Rig::of(&node(&fields)).play(&input);
        [43_200, 43_247].map(|n| db(out[0][n] / 0.9))
    };
    let [before, after] = on_clicks("program");
    assert!(before > -0.5 && after < -6.0, "it catches a click and lets go: {before:.2}, {after:.2} dB");
    let [before, _] = on_clicks("peak");
    assert!(before < -6.0, "a peak detector with these times holds on to them: {before:.2} dB");
}

#[test]
fn the_meter_tells_the_gain_that_is_applied() {
    for (fields, level) in [
        ("threshold: -20 dB, ratio: 4", -6.0),
        ("threshold: -20 dB, ratio: 4, mix: 50 %", -6.0),
        ("threshold: -20 dB, ratio: 4, mix: 0 %", -6.0),
        ("threshold: -20 dB, ratio: 2, mode: upward", -40.0),
        ("threshold: -20 dB, ratio: 2, mode: upward, mix: 40 %", -40.0),
        ("threshold: -20 dB, ratio: 2, mode: upward", -6.0),
    ] {
        // Upward, the release is what raises the level.
        let release = if fields.contains("upward") { "50 ms" } else { "4 s" };
        let input = sine(1_000.0, level, RATE, 2, 96_000);
        let mut rig = Rig::of(&node(&format!("{fields}, knee: 0, attack: 0.05 ms, release: {release}")));
        rig.play(&input);
        rig.events.clear();
        let out = rig.play(&input);
        let applied = db(rms(&out[0]) / rms(&input[0]));
        let told = rig.events.iter().rev().find_map(|event| match event {
            Event::Meter { value, .. } => *value,
            _ => None,
        });
        let told = db(told.unwrap());
        assert!((told - applied).abs() < 0.05, "{fields}: {told:.3} dB told, {applied:.3} dB applied");
        assert_eq!(rig.count(|event| matches!(event, Event::Fault { .. })), 0);
    }
}

#[test]
fn below_the_threshold_every_bit_stays() {
    let input = noise(-30.0, 4, 2, 9_600);
    for fields in [
        "threshold: -6 dB, knee: 6",
        "threshold: -6 dB, detector: rms, split: midside, lookahead: 3 ms",
        "threshold: -6 dB, topology: feedback, detector: program",
    ] {
        let mut rig = Rig::of(&node(fields));
        let out = rig.play(&input);
        let latency = rig.latency();
        assert_eq!(out[0][latency..], input[0][..9_600 - latency], "{fields}");
    }
}
