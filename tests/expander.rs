//! The expander: its curve, its times, and what keeps it from chattering.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, peak, silence, sine};

/// Frames that the detector holds a peak for: 10 ms.
const DETECTOR: usize = 480;

fn frames(ms: f64) -> usize {
    (ms * RATE / 1000.0).round() as usize
}

fn rig(settings: &str) -> Rig {
    Rig::of(&format!("  - expander: {{id: n, {settings}}}\n"))
}

/// A level that holds: what a gain does is seen on every sample.
fn steps(levels: &[(f64, usize)]) -> Channels {
    let samples: Vec<f64> = levels.iter().flat_map(|(level, frames)| vec![gain(*level); *frames]).collect();
    vec![samples.clone(), samples]
}

/// Reduction in dB at every frame of the first channel; no latency.
fn reduction(settings: &str, input: &Channels) -> Vec<f64> {
    let out = rig(settings).play(input);
    input[0].iter().zip(&out[0]).map(|(x, y)| db(x / y)).collect()
}

/// Reduction in dB of a 1 kHz sine at `level`, at the end of a second.
fn steady(settings: &str, level: f64) -> f64 {
    let input = sine(1000.0, level, RATE, 2, 48_000);
    let out = rig(settings).play(&input);
    level - db(peak(&out[0][43_200..]))
}

#[test]
fn the_static_curve_is_the_compressors_turned_round() {
    // T = -40 dB, R = 3: out = in below T - (R - 1)(T - in); in the knee a parabola.
    for (settings, curve) in [
        (
            "knee: 0 dB",
            [(-30.0, 0.0), (-40.0, 0.0), (-42.0, 4.0), (-45.0, 10.0), (-50.0, 20.0), (-60.0, 40.0)],
        ),
        (
            "knee: 6 dB",
            [(-37.0, 0.0), (-38.0, 1.0 / 6.0), (-40.0, 1.5), (-41.0, 8.0 / 3.0), (-43.0, 6.0), (-50.0, 20.0)],
        ),
        (
            "knee: 12 dB",
            [(-34.0, 0.0), (-37.0, 0.75), (-40.0, 3.0), (-43.0, 6.75), (-46.0, 12.0), (-50.0, 20.0)],
        ),
    ] {
        let settings = format!(
            "{settings}, threshold: -40 dB, ratio: 3, range: 90 dB, release: 20 ms, hysteresis: 0 dB"
        );
        for (level, reduction) in curve {
            let got = steady(&settings, level);
            assert!((got - reduction).abs() < 0.05, "{settings}: {got:.3} dB at {level}, not {reduction}");
        }
    }
}

#[test]
fn the_range_is_the_most_that_is_reduced_and_exact() {
    for range in [0.0, 6.0, 20.0, 80.0] {
        for (ratio, level) in [("inf", -30.1), ("inf", -70.0), ("20:1", -60.0)] {
            let got = steady(
                &format!("threshold: -30 dB, ratio: {ratio}, range: {range} dB, release: 20 ms"),
                level,
            );
            assert!((got - range).abs() < 0.001, "{got:.4} dB at {level}, range {range}");
        }
    }
}

#[test]
fn a_ratio_of_one_and_a_signal_above_the_threshold_are_left_bit_for_bit() {
    let input = sine(997.0, -20.0, RATE, 2, 24_000);
    for settings in ["ratio: 1", "range: 0 dB, threshold: 0 dB"] {
        assert!(rig(settings).play(&input) == input, "{settings}");
    }
    // The first cycle opens it.
    let out = rig("threshold: -30 dB, ratio: inf").play(&input);
    assert!(out[0][4_800..] == input[0][4_800..]);
}

#[test]
fn attack_and_release_cover_63_per_cent_of_a_step_in_their_time() {
    // Quiet at first, until it is closed; then loud, then quiet again: 40 dB each way.
    let input = steps(&[(-50.0, 96_000), (-10.0, 96_000), (-50.0, 96_000)]);
    for (attack, release) in [(1.0, 50.0), (10.0, 20.0), (50.0, 300.0)] {
        let settings = format!(
            "threshold: -30 dB, ratio: inf, range: 40 dB, attack: {attack} ms, release: {release} ms, hold: 1 ms"
        );
        let path = reduction(&settings, &input);
        let opened = path[96_000..].iter().position(|db| *db <= 40.0 * 0.3679).unwrap() as f64;
        let closed = path[192_000..].iter().position(|db| *db >= 40.0 * 0.6321).unwrap() as f64;
        // It begins to close when the detector's 10 ms and the hold are over.
        let closed = closed - (DETECTOR + 48) as f64;
        println!("attack {attack} ms: {:.3}, release {release} ms: {:.3}", opened / 48.0, closed / 48.0);
        assert!(
            (opened / 48.0 / attack - 1.0).abs() < 0.05,
            "attack {attack} ms took {:.3} ms",
            opened / 48.0
        );
        assert!(
            (closed / 48.0 / release - 1.0).abs() < 0.05,
            "release {release} ms took {:.3} ms",
            closed / 48.0
        );
    }
}

#[test]
fn it_holds_to_the_frame() {
    for hold in [1.0, 20.0, 250.0] {
        let input = steps(&[(-10.0, 4_800), (-60.0, 24_000)]);
        let path = reduction(&format!("threshold: -30 dB, ratio: inf, hold: {hold} ms"), &input);
        let closes = path.iter().position(|db| *db > 0.0).unwrap();
        assert_eq!(closes, 4_800 + DETECTOR - 1 + frames(hold), "hold {hold} ms");
    }
}

#[test]
fn between_the_two_thresholds_it_stays_as_it_was() {
    let settings = "threshold: -30 dB, ratio: inf, hysteresis: 6 dB, hold: 1 ms, attack: 0.1 ms, release: 5 ms, range: 40 dB";
    // A level that wavers between, from above and from below.
    let wavering: Vec<(f64, usize)> =
        (0..40).map(|n| (if n % 2 == 0 { -31.0 } else { -35.0 }, 1_200)).collect();
    let after = |first: f64| {
        let path = reduction(settings, &steps(&[&[(first, 24_000)], &wavering[..]].concat()));
        path[24_000..].to_vec()
    };
    assert!(after(-20.0).iter().all(|db| *db == 0.0), "once open it stays open");
    assert!(after(-50.0).iter().all(|db| (*db - 40.0).abs() < 0.01), "once closed it stays closed");
    // Without hysteresis it chatters on a level that wavers about the threshold.
    let about: Vec<(f64, usize)> = (0..40).map(|n| (if n % 2 == 0 { -29.0 } else { -31.0 }, 1_200)).collect();
    let moves = |hysteresis: f64| {
        let path = reduction(
            &settings.replace("hysteresis: 6", &format!("hysteresis: {hysteresis}")),
            &steps(&about),
        );
        path.iter().fold(0.0, |most: f64, db| most.max(*db))
    };
    assert!(
        moves(0.0) > 30.0 && moves(3.0) < moves(0.0) / 30.0 + 1e-9,
        "{} and {} dB",
        moves(0.0),
        moves(3.0)
    );
}

#[test]
fn the_hysteresis_lies_below_the_level_that_opens_it() {
    // Falls by 10 dB a second from -20 dB; opens at -30 dB and so closes at -34.
    let fall: Vec<f64> = (0..96_000).map(|n| gain(-20.0 - 10.0 * f64::from(n) / RATE)).collect();
    let path =
        reduction("threshold: -30 dB, ratio: inf, hysteresis: 4 dB, hold: 1 ms", &vec![fall.clone(), fall]);
    let closes = path.iter().position(|db| *db > 0.0).unwrap() as f64 - (DETECTOR + 48) as f64;
    let level = -20.0 - 10.0 * closes / RATE;
    assert!((level + 34.0).abs() < 0.01, "closes at {level:.3} dB");
}

#[test]
fn with_lookahead_it_is_open_before_the_sound() {
    let lookahead = 5.0;
    let mut onset = silence(2, 9_600);
    onset.iter_mut().zip(sine(1000.0, -10.0, RATE, 2, 4_800)).for_each(|(all, sine)| all.extend(sine));
    let settings = "threshold: -30 dB, ratio: inf, range: 60 dB, attack: 1 ms, release: 5 ms";
    let left = |lookahead: f64| {
        let mut rig = rig(&format!("{settings}, lookahead: {lookahead} ms"));
        assert_eq!(rig.latency(), frames(lookahead));
        let out = rig.play(&onset);
        let begins = 9_600 + rig.latency();
        // The first cycle: what is left of its peak, in dB.
        db(peak(&out[0][begins..begins + 48]) / gain(-10.0))
    };
    assert!(left(0.0) < -1.0, "without, the first cycle is cut: {:.2} dB", left(0.0));
    assert!(left(lookahead) > -0.05, "with 5 ms it is whole: {:.3} dB", left(lookahead));
}

#[test]
fn it_listens_to_its_key() {
    // Two channels; the key is the input through a gain, so quieter or louder than what is heard.
    let chain = |gain: &str| {
        format!(
            "  - gain: {{id: k, gain: {gain}}}\n  - expander: {{id: n, in: input, key: k, threshold: -30 dB, ratio: inf, range: 30 dB, release: 20 ms}}\n"
        )
    };
    let input = sine(1000.0, -20.0, RATE, 2, 48_000);
    let level = |gain: &str| db(peak(&Rig::of(&chain(gain)).play(&input)[0][43_200..]));
    assert!((level("0 dB") + 20.0).abs() < 0.001);
    assert!((level("-20 dB") + 50.0).abs() < 0.01, "{:.2} dB", level("-20 dB"));
}

#[test]
fn the_keys_filters_are_of_second_order() {
    // Butterworth, 12 dB/oct: an octave outside the level is down by 12.3 dB, so the reduction at 2:1 is that.
    for (settings, freq) in [("key_highpass: 200 Hz", 100.0), ("key_lowpass: 1 kHz", 2000.0)] {
        let settings =
            format!("{settings}, threshold: -20 dB, ratio: 2, knee: 0 dB, range: 60 dB, release: 50 ms");
        let input = sine(freq, -20.0, RATE, 2, 96_000);
        let out = rig(&settings).play(&input);
        let got = -20.0 - db(peak(&out[0][90_000..]));
        assert!((got - 12.3).abs() < 0.15, "{settings}: {got:.2} dB at {freq} Hz");
    }
    let off = "key_highpass: off, key_lowpass: off, threshold: -20.1 dB, ratio: inf";
    let input = sine(100.0, -20.0, RATE, 2, 48_000);
    assert!(rig(off).play(&input)[0][4_800..] == input[0][4_800..]);
}

#[test]
fn linked_channels_open_together_and_unlinked_ones_each_by_itself() {
    let mut input = sine(1000.0, -20.0, RATE, 1, 48_000);
    input.extend(sine(1000.0, -50.0, RATE, 1, 48_000));
    let right = |link: f64| {
        let settings =
            format!("threshold: -40 dB, ratio: 2, knee: 0 dB, range: 60 dB, release: 20 ms, link: {link} %");
        let out = rig(&settings).play(&input);
        assert!(out[0][4_800..] == input[0][4_800..], "the loud one stays open");
        -50.0 - db(peak(&out[1][43_200..]))
    };
    // Half linked the quiet one hears the middle between: -35 dB, which is above.
    for (link, reduction) in [(100.0, 0.0), (50.0, 0.0), (0.0, 10.0), (20.0, 4.0)] {
        assert!((right(link) - reduction).abs() < 0.05, "link {link} %: {:.2} dB", right(link));
    }
}

#[test]
fn it_tells_its_reduction() {
    let mut rig = rig("threshold: -30 dB, ratio: inf, range: 12 dB, release: 20 ms");
    rig.play(&sine(1000.0, -40.0, RATE, 2, 48_000));
    let told = rig.events.iter().rev().find_map(|event| match event {
        lacquer_graph::run::engine::Event::Meter { value, .. } => value.map(db),
        _ => None,
    });
    assert!((told.unwrap() + 12.0).abs() < 0.01, "{told:?}");
}
