//! The stereo node, the phase node and the delay: images, times and phases by numbers.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, db, gain, noise, peak, rms, sine};
use std::f64::consts::TAU;

fn stereo(fields: &str) -> String {
    format!("  - stereo: {{id: n, {fields}}}\n")
}

fn play(nodes: &str, input: &Channels) -> Channels {
    Rig::of(nodes).play(input)
}

/// Two signals as left and right.
fn pair(left: &[f64], right: &[f64]) -> Channels {
    vec![left.to_vec(), right.to_vec()]
}

/// Middle and side of the later part.
fn mid_side(of: &Channels) -> [Vec<f64>; 2] {
    [1.0, -1.0].map(|sign| of[0].iter().zip(&of[1]).skip(24_000).map(|(l, r)| 0.5 * (l + sign * r)).collect())
}

#[test]
fn in_its_neutral_place_every_bit_stays() {
    let input = noise(0.0, 1, 2, 4_800);
    assert_eq!(play(&stereo("width: 100 %"), &input), input);
}

/// r = (1-w²)/(1+w²) for independent equal noises.
#[test]
fn the_width_gives_the_correlation_that_follows_from_it() {
    let input = noise(-12.0, 2, 2, 480_000);
    for (width, wanted) in [(0, 1.0), (50, 0.6), (100, 0.0), (150, -0.3846), (200, -0.6)] {
        let out = play(&stereo(&format!("width: {width} %")), &input);
        let both: f64 = out[0].iter().zip(&out[1]).map(|(l, r)| l * r).sum();
        let power = |x: &[f64]| x.iter().map(|x| x * x).sum::<f64>();
        let r = both / (power(&out[0]) * power(&out[1])).sqrt();
        assert!((r - wanted).abs() < 0.01, "{width} %: {r:.4}, not {wanted}");
    }
}

#[test]
fn the_mono_sum_never_changes_with_what_is_done_to_the_side() {
    let input = noise(-6.0, 3, 2, 48_000);
    for fields in [
        "width: 30 %",
        "width_low: 0, width_high: 200 %",
        "mono_below: 150 Hz",
        "side: -inf",
        "side_delay: 7 ms",
    ] {
        let out = play(&stereo(fields), &input);
        let sums = out[0].iter().zip(&out[1]).zip(input[0].iter().zip(&input[1]));
        let left = sums.map(|((l, r), (a, b))| ((l + r) - (a + b)).abs()).fold(0.0, f64::max);
        assert!(db(left + 1e-20) < -280.0, "{fields}: {:.0} dB", db(left));
    }
}

/// Level of the side of a chain at `freq`, in dB.
fn side_at(fields: &str, freq: f64) -> f64 {
    let wave = sine(freq, -20.0, RATE, 1, 96_000).remove(0);
    let minus: Vec<f64> = wave.iter().map(|x| -x).collect();
    let out = play(&stereo(fields), &pair(&wave, &minus));
    db(rms(&mid_side(&out)[1]) / rms(&wave[24_000..]))
}

/// Butterworth high-passes of the first and second order at 150 Hz.
#[test]
fn below_the_corner_the_side_falls_away() {
    for (freq, six, twelve) in [
        (20.0, -17.6, -35.0),
        (75.0, -7.0, -12.3),
        (150.0, -3.01, -3.01),
        (300.0, -0.97, -0.26),
        (600.0, -0.26, -0.02),
    ] {
        for (slope, wanted) in [("6 dB/oct", six), ("12 dB/oct", twelve)] {
            let got = side_at(&format!("mono_below: 150 Hz, mono_slope: {slope}"), freq);
            assert!((got - wanted).abs() < 0.1, "{freq} Hz, {slope}: {got:.2} dB, not {wanted}");
        }
    }
    assert!(side_at("mono_below: off", 20.0).abs() < 1e-9);
}

#[test]
fn widths_of_bands_act_on_their_bands() {
    let fields = "width_low: 0 %, low_split: 200 Hz, width_high: 200 %, high_split: 4 kHz";
    assert!(side_at(fields, 20.0) < -19.0);
    assert!(side_at(fields, 900.0).abs() < 0.75, "{:.2}", side_at(fields, 900.0));
    assert!((side_at(fields, 20_000.0) - 6.0).abs() < 0.2);
    // At the splits themselves a first-order filter is 3 dB down.
    assert!((side_at("width_low: 0 %, low_split: 500 Hz", 500.0) + 3.01).abs() < 0.01);
    assert!((side_at("width_high: 0 %, high_split: 2 kHz", 2_000.0) + 3.01).abs() < 0.01);
}

#[test]
fn levels_of_middle_and_side_are_what_is_set() {
    let input = noise(-12.0, 4, 2, 48_000);
    let out = play(&stereo("mid: -3 dB, side: 4 dB"), &input);
    let ([m, s], [a, b]) = (mid_side(&out), mid_side(&input));
    assert!((db(rms(&m) / rms(&a)) + 3.0).abs() < 1e-9 && (db(rms(&s) / rms(&b)) - 4.0).abs() < 1e-9);
}

#[test]
fn the_side_can_come_later_than_the_middle_and_earlier() {
    let input = noise(-12.0, 5, 2, 48_000);
    let [a, b] = mid_side(&input);
    for (ms, late_mid, late_side) in [(10, 0, 480), (-5, 240, 0)] {
        let [m, s] = mid_side(&play(&stereo(&format!("side_delay: {ms} ms")), &input));
        assert!(m[late_mid..].iter().zip(&a).all(|(x, y)| (x - y).abs() < 1e-12), "{ms} ms");
        assert!(s[late_side..].iter().zip(&b).all(|(x, y)| (x - y).abs() < 1e-12), "{ms} ms");
    }
}

#[test]
fn rotation_balance_swap_and_polarity_do_what_they_say() {
    let left = sine(1_000.0, -6.0, RATE, 1, 48_000).remove(0);
    let right = sine(3_000.0, -12.0, RATE, 1, 48_000).remove(0);
    let (input, alone) = (pair(&left, &right), pair(&left, &vec![0.0; 48_000]));
    let out = play(&stereo("rotation: 45"), &alone);
    assert!(
        out[0].iter().zip(&out[1]).all(|(l, r)| (l - r).abs() < 1e-12),
        "the left comes out in the middle"
    );
    assert!((db(rms(&out[0]) / rms(&left)) + 3.01).abs() < 0.01);
    for (fields, on_left, on_right) in [
        ("balance: 50 %", -2.499, 0.0),
        ("balance: -50 %", 0.0, -2.499),
        ("balance: 50 %, balance_law: power", -5.333, 2.323),
        ("balance: 100 %", -400.0, 0.0),
    ] {
        let out = play(&stereo(fields), &input);
        let got = [db(rms(&out[0]) / rms(&left) + 1e-20), db(rms(&out[1]) / rms(&right))];
        assert!((got[0] - on_left).abs() < 0.01, "{fields}: {got:?}");
        assert!((got[1] - on_right).abs() < 0.01, "{fields}: {got:?}");
    }
    assert!(play(&stereo("swap: true"), &input) == pair(&right, &left));
    let minus = |x: &[f64]| x.iter().map(|x| -x).collect::<Vec<f64>>();
    assert!(play(&stereo("invert_left: true"), &input) == pair(&minus(&left), &right));
    assert!(play(&stereo("invert_right: true"), &input) == pair(&left, &minus(&right)));
}

/// Phase of the right channel behind the left at `freq`, in radians, of steady sines.
fn lag(out: &Channels, freq: f64) -> f64 {
    let phase = |samples: &[f64]| {
        let (mut a, mut b) = (0.0, 0.0);
        for (n, y) in samples.iter().enumerate().skip(24_000).take(48_000) {
            let angle = TAU * freq / RATE * n as f64;
            a += y * angle.cos();
            b += y * angle.sin();
        }
        a.atan2(b)
    };
    (phase(&out[0]) - phase(&out[1])).rem_euclid(TAU)
}

#[test]
fn phase_delays_one_side_to_parts_of_a_frame_and_keeps_the_level() {
    for ms in [0.013, 0.1, 0.377, 3.3333, -0.2217, -19.99] {
        for freq in [100.0, 1_000.0, 15_000.0, 20_000.0] {
            let out = play(&format!("  - phase: {{time: {ms} ms}}\n"), &sine(freq, -6.0, RATE, 2, 96_000));
            let wanted = (TAU * freq * ms / 1000.0).rem_euclid(TAU);
            let off = (lag(&out, freq) - wanted + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
            assert!(off.abs() / (TAU * freq) < 1e-7, "{ms} ms at {freq} Hz: {off} rad off");
            let level = db(rms(&out[usize::from(ms > 0.0)][24_000..72_000]) * 2.0_f64.sqrt()) + 6.0;
            assert!(level.abs() < 0.01, "{ms} ms at {freq} Hz: {level:.4} dB");
        }
    }
}

#[test]
fn phase_in_its_neutral_place_is_a_delay_bit_for_bit_and_inverts() {
    let input = noise(-6.0, 6, 2, 4_800);
    let mut rig = Rig::of("  - phase\n");
    let out = rig.play(&input);
    assert_eq!(rig.latency(), 48);
    assert_eq!(out[0][48..], input[0][..4_752]);
    let out = play("  - phase: {invert_left: true, time: 1 ms}\n", &input);
    assert!(out[0][48..].iter().zip(&input[0]).all(|(y, x)| *y == -x));
    assert_eq!(out[1][96..], input[1][..4_704], "a whole number of frames is exact");
    let out = play("  - phase: {invert_right: true}\n", &input);
    assert!(out[1][48..].iter().zip(&input[1]).all(|(y, x)| *y == -x));
}

#[test]
fn phase_rotation_is_flat_and_evens_out_an_asymmetric_voice() {
    // A pulse train of harmonics in phase: tall one way, flat the other.
    let wave: Vec<f64> = (0..96_000)
        .map(|n| {
            (1..=12)
                .map(|k| gain(-3.0 * f64::from(k)) * (TAU * 120.0 * f64::from(k) / RATE * n as f64).cos())
                .sum()
        })
        .collect();
    let asymmetry = |x: &[f64]| {
        let (up, down) = x.iter().fold((0.0_f64, 0.0_f64), |(up, down), x| (up.max(*x), down.max(-x)));
        db(up / down)
    };
    let before = asymmetry(&wave[48_000..]);
    let out = play("  - phase: {stages: 4, rotate_freq: 200 Hz}\n", &vec![wave; 2]);
    let after = asymmetry(&out[0][48_000..]);
    assert!(before > 12.0 && after.abs() < 4.0, "{before:.1} dB before, {after:.1} dB after");
    for freq in [50.0, 200.0, 5_000.0] {
        let input = sine(freq, -6.0, RATE, 2, 96_000);
        let out = play("  - phase: {stages: 4, rotate_freq: 200 Hz}\n", &input);
        let change = db(rms(&out[0][48_000..]) / rms(&input[0][48_000..]));
        assert!(change.abs() < 0.01, "{freq} Hz: {change:.4} dB");
    }
    // Each second-order all-pass turns by half a turn at its frequency.
    let one = |stages: u32| {
        play(
            &format!("  - phase: {{stages: {stages}, rotate_freq: 1 kHz}}\n"),
            &sine(1_000.0, -6.0, RATE, 2, 96_000),
        )
    };
    let (plain, turned) = (one(0), one(1));
    let sum: Vec<f64> = plain[0].iter().zip(&turned[0]).skip(48_000).map(|(a, b)| a + b).collect();
    assert!(peak(&sum) < 1e-6);
}

#[test]
fn a_delay_is_late_by_its_time_and_moves_without_a_step() {
    let input = noise(-6.0, 7, 2, 48_000);
    for (ms, frames) in [(0.0, 0), (1.0, 48), (123.4, 5_923), (500.0, 24_000)] {
        let out = play(&format!("  - delay: {{time: {ms} ms}}\n"), &input);
        assert_eq!(out[0][frames..], input[0][..48_000 - frames], "{ms} ms");
        assert_eq!(peak(&out[0][..frames]), 0.0);
    }
}

#[test]
fn a_long_delay_survives_a_swap_for_itself() {
    let mut rig = Rig::new(&[
        ("a", "  - delay: {id: d, time: 400 ms}\n"),
        ("b", "  - delay: {id: d, time: 400 ms}\n  - gain\n"),
    ]);
    let input = noise(-6.0, 8, 2, 96_000);
    rig.play(&input);
    rig.swap("b");
    let out = rig.play(&input);
    let before = &input[0][96_000 - 19_200..];
    assert!(out[0][..19_200].iter().zip(before).all(|(y, x)| (y - x).abs() < 1e-12), "nothing is missing");
}

#[test]
fn an_angle_has_degrees() {
    let rotation = |text: &str| {
        let rig = Rig::of(&format!("  - stereo: {{id: n, rotation: {text}}}\n"));
        let place = rig.newest().addresses.find("/node/n/rotation").unwrap()[0].0.clone();
        let value = rig.value(&place).and_then(|value| value.number()).unwrap();
        (value, place.row.text(value))
    };
    for text in ["10", "10 °", "10°", "10 deg"] {
        assert_eq!(rotation(text), (10.0, "10 °".to_owned()), "{text}");
    }
}
