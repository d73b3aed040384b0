//! The equaliser: curves, places, dynamic bands, automatic gain, and moves that are not heard.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{above_16_khz, db, gain, noise, peak, rms, silence, sine};
use std::f64::consts::TAU;

/// Response in dB, at each of `freqs`, of a chain's left (0) or right (1) channel to an impulse on `into`.
fn response(nodes: &str, into: [f64; 2], channel: usize, freqs: &[f64]) -> Vec<f64> {
    let mut rig = Rig::of(nodes);
    let mut impulse = silence(2, 65_536);
    (impulse[0][0], impulse[1][0]) = (into[0], into[1]);
    let out = rig.play(&impulse).remove(channel);
    let level = |freq: &f64| {
        let (mut re, mut im) = (0.0, 0.0);
        for (n, y) in out.iter().enumerate() {
            let angle = TAU * freq / RATE * n as f64;
            re += y * angle.cos();
            im -= y * angle.sin();
        }
        10.0 * (re * re + im * im).log10()
    };
    freqs.iter().map(level).collect()
}

fn assert_levels(nodes: &str, wanted: &[(f64, f64)], tolerance: f64) {
    let freqs: Vec<f64> = wanted.iter().map(|(freq, _)| *freq).collect();
    let got = response(nodes, [1.0, 1.0], 0, &freqs);
    for ((freq, wanted), got) in wanted.iter().zip(got) {
        assert!((got - wanted).abs() < tolerance, "{freq} Hz: {got:.3} dB, not {wanted} dB:\n{nodes}");
    }
}

/// Levels of the analogue prototypes (Audio EQ Cookbook, before the bilinear transform).
#[test]
fn curves_are_those_of_the_analogue_prototypes() {
    let band = |band: &str| format!("  - eq: {{bands: [{{{band}}}]}}\n");
    for (nodes, wanted) in [
        (
            band("freq: 10 kHz, q: 1, gain: 6"),
            vec![(1e3, 0.065), (4e3, 1.154), (8e3, 4.946), (12e3, 5.251), (16e3, 3.073), (20e3, 1.884)],
        ),
        (
            band("freq: 16 kHz, q: 2, gain: 6"),
            vec![(4e3, 0.113), (8e3, 0.634), (12e3, 2.558), (16e3, 6.0), (20e3, 3.303)],
        ),
        (
            band("freq: 10 kHz, q: 0.7071, gain: -6"),
            vec![(1e3, -0.129), (4e3, -1.909), (10e3, -6.0), (16e3, -4.031), (20e3, -2.830)],
        ),
        (
            band("shape: highshelf, freq: 10 kHz, gain: 6"),
            vec![(4e3, 0.161), (8e3, 1.783), (10e3, 3.0), (12e3, 4.013), (16e3, 5.166), (20e3, 5.624)],
        ),
        (
            band("shape: lowpass, freq: 10 kHz"),
            vec![
                (4e3, -0.110),
                (8e3, -1.491),
                (10e3, -3.010),
                (12e3, -4.876),
                (16e3, -8.782),
                (20e3, -12.304),
            ],
        ),
        (band("shape: highpass, freq: 30 Hz"), vec![(20.0, -7.827), (50.0, -0.529), (200.0, -0.002)]),
        (band("shape: lowshelf, freq: 100 Hz, gain: 6"), vec![(20.0, 5.990), (100.0, 3.0), (500.0, 0.010)]),
        (band("shape: tilt, freq: 1 kHz, gain: 6"), vec![(20.0, -3.0), (1e3, 0.0), (20e3, 2.992)]),
        (band("shape: bandpass, freq: 1 kHz, q: 1"), vec![(10.0, -40.0), (1e3, 0.0), (20e3, -26.007)]),
        (band("shape: notch, freq: 10 kHz, q: 1"), vec![(5e3, -1.597), (15e3, -3.877), (20e3, -1.597)]),
        (band("shape: allpass, freq: 1 kHz, q: 1"), vec![(100.0, 0.0), (1e3, 0.0), (15e3, 0.0)]),
    ] {
        assert_levels(&nodes, &wanted, 0.1);
    }
}

#[test]
fn pass_filters_are_butterworth_from_6_to_96_db_an_octave() {
    for (slope, order) in [(6, 1), (12, 2), (18, 3), (24, 4), (36, 6), (48, 8), (72, 12), (96, 16)] {
        for (shape, freq, octave) in [("highpass", 400.0, 0.5), ("lowpass", 6_000.0, 2.0)] {
            let nodes =
                format!("  - eq: {{bands: [{{shape: {shape}, freq: {freq} Hz, slope: {slope} dB/oct}}]}}\n");
            // Butterworth: 1 / (1 + (f/f0)^2n).
            let level = -10.0 * (1.0 + 2.0_f64.powi(2 * order)).log10();
            assert_levels(&nodes, &[(freq, -3.010), (freq * octave, level)], 0.1);
        }
    }
}

#[test]
fn a_band_works_where_it_is_placed() {
    let freqs = [100.0, 1_000.0];
    let nodes = |place| format!("  - eq: {{bands: [{{freq: 1 kHz, gain: 6, q: 4, place: {place}}}]}}\n");
    for (place, into, channel, level) in [
        ("stereo", [1.0, 0.0], 0, 6.0),
        ("left", [1.0, 1.0], 0, 6.0),
        ("left", [1.0, 1.0], 1, 0.0),
        ("right", [1.0, 1.0], 1, 6.0),
        ("right", [1.0, 1.0], 0, 0.0),
        ("mid", [1.0, 1.0], 0, 6.0),
        ("mid", [1.0, -1.0], 0, 0.0),
        ("side", [1.0, -1.0], 1, 6.0),
        ("side", [1.0, 1.0], 1, 0.0),
    ] {
        let got = response(&nodes(place), into, channel, &freqs);
        assert!((got[1] - level).abs() < 0.01, "{place}, {into:?} to {channel}: {got:?}");
        assert!(got[0].abs() < 0.02, "{place}: {got:?}");
    }
}

#[test]
fn bands_at_0_db_leave_every_bit_as_it_is() {
    let input = noise(-6.0, 1, 2, 4_800);
    let nodes = "  - eq: {bands: [{freq: 50 Hz}, {shape: highshelf, freq: 9 kHz}, {place: mid}, {on: false, gain: 9}]}\n";
    let out = Rig::of(nodes).play(&input);
    assert_eq!(out, input);
}

#[test]
fn no_move_of_a_band_that_stands_still_otherwise_is_heard_as_a_click() {
    let input = sine(1_000.0, -6.0, RATE, 2, 12_000);
    for (address, from, to) in [
        ("gain", "gain: -18", 18.0),
        ("gain", "gain: 12, freq: 60 Hz, q: 0.4", -12.0),
        ("freq", "gain: 12, freq: 20 Hz", 20_000.0),
        ("freq", "gain: -18, freq: 15 kHz, q: 4", 300.0),
        ("q", "gain: 12, q: 0.1", 24.0),
        ("q", "gain: -12, freq: 67 Hz, q: 0.39", 24.0),
        ("q", "gain: 12, freq: 8 kHz, q: 12", 0.3),
        ("on", "gain: 12, shape: highshelf, freq: 500 Hz", 0.0),
        ("freq", "shape: highpass, slope: 96 dB/oct, freq: 20 Hz", 2_000.0),
        ("freq", "shape: lowpass, slope: 24 dB/oct, freq: 15 kHz", 500.0),
    ] {
        let mut rig = Rig::of(&format!("  - eq: {{id: n, bands: [{{{from}}}]}}\n"));
        rig.play(&input);
        rig.set(&format!("/node/n/band/1/{address}"), to);
        let heard = above_16_khz(&rig.play(&input)[0], RATE);
        assert!(heard < -90.0, "{address} of {from} to {to}: {heard:.1} dBFS above 16 kHz");
    }
}

/// Level in dB that a chain adds to a steady sine, after two seconds.
fn added(nodes: &str, freq: f64, level_db: f64) -> f64 {
    let input = sine(freq, level_db, RATE, 2, 96_000);
    let out = Rig::of(nodes).play(&input);
    db(rms(&out[0][91_200..])) - db(rms(&input[0][91_200..]))
}

#[test]
fn a_dynamic_band_follows_its_static_curve() {
    for (band, level, expected) in [
        // 10 dB over the threshold at 2:1 are 5 dB, at 4:1 7.5 dB; the range is the end of it.
        ("range: -12, threshold: -30, ratio: 2", -20.0, -5.0),
        ("range: -12, threshold: -30, ratio: 4", -20.0, -7.5),
        ("range: -12, threshold: -30, ratio: inf", -20.0, -10.0),
        ("range: -4, threshold: -30, ratio: 4", -20.0, -4.0),
        ("range: 6, threshold: -30, ratio: 2", -22.0, 4.0),
        ("range: -12, threshold: -30, ratio: 4", -31.0, 0.0),
        ("gain: 3, range: -12, threshold: -30, ratio: 2", -20.0, -2.0),
        ("shape: lowshelf, range: -12, threshold: -30, ratio: inf", -20.0, -2.3),
    ] {
        let nodes = format!("  - eq: {{bands: [{{freq: 1 kHz, q: 2, {band}}}]}}\n");
        let got = added(&nodes, 1_000.0, level);
        let tolerance = if band.starts_with("shape") { 1.5 } else { 0.05 };
        assert!((got - expected).abs() < tolerance, "{band} at {level} dBFS: {got:.3} dB, not {expected} dB");
    }
}

#[test]
fn a_dynamic_band_hears_its_own_part_of_the_spectrum_and_no_other() {
    let nodes = "  - eq: {bands: [{freq: 1 kHz, q: 4, range: -12, threshold: -40, ratio: 4}]}\n";
    let far = added(nodes, 10_000.0, -12.0);
    assert!(far.abs() < 0.1, "{far:.3} dB at 10 kHz");
    let quiet = noise(-50.0, 2, 2, 9_600);
    let under = "  - eq: {bands: [{freq: 1 kHz, q: 4, range: -12, threshold: -10, ratio: 4}]}\n";
    assert_eq!(Rig::of(under).play(&quiet), quiet, "below the threshold nothing changes");
}

#[test]
fn a_dynamic_band_attacks_and_releases_in_its_time() {
    let nodes = "  - eq: {bands: [{freq: 1 kHz, q: 0.5, range: -24, threshold: -40, ratio: inf, attack: 50 ms, release: 300 ms}]}\n";
    let mut input = sine(1_000.0, -60.0, RATE, 2, 48_000);
    let loud = sine(1_000.0, -20.0, RATE, 2, 96_000);
    input.iter_mut().zip(&loud).for_each(|(input, loud)| input.extend(loud));
    let after = sine(1_000.0, -60.0, RATE, 2, 96_000);
    input.iter_mut().zip(&after).for_each(|(input, after)| input.extend(after));
    let out = Rig::of(nodes).play(&input);
    // One period at a time: gain in dB.
    let change: Vec<f64> =
        out[0].chunks(48).zip(input[0].chunks(48)).map(|(y, x)| db(rms(y) / rms(x))).collect();
    let reached = change[1_000..].iter().position(|gain| *gain <= -20.0 * 0.632).unwrap() as f64;
    assert!((reached - 50.0).abs() <= 2.5, "attack took {reached} ms");
    // The loud tone rings on in the filter for some periods.
    let recovered = change[3_010..].iter().position(|gain| *gain >= -20.0 * 0.368).unwrap() as f64 + 10.0;
    assert!((recovered - 300.0).abs() <= 15.0, "release took {recovered} ms");
}

#[test]
fn a_dynamic_band_can_be_keyed() {
    let nodes = "
  - gain: {id: quiet, in: input, gain: -60 dB}
  - eq: {in: quiet, key: input, bands: [{freq: 1 kHz, q: 2, range: -6, threshold: -40, ratio: inf}]}
";
    let got = added(nodes, 1_000.0, -12.0) + 60.0;
    assert!((got + 6.0).abs() < 0.05, "{got:.3} dB");
}

#[test]
fn the_automatic_gain_undoes_the_change_of_loudness() {
    // Pink noise through K-weighting: what it measures by ten octaves must be right within half a dB.
    for bands in [
        "{shape: lowshelf, freq: 200 Hz, gain: 9}",
        "{shape: highshelf, freq: 4 kHz, gain: -12}",
        "{freq: 1 kHz, gain: 12, q: 0.7}, {freq: 3 kHz, gain: -6, q: 1}",
        "{shape: highpass, freq: 500 Hz}",
    ] {
        let play = |auto| {
            let nodes = format!(
                "  - noise: {{colour: pink, level: -20 dB, channels: 2}}\n  - eq: {{auto_gain: {auto}, bands: [{bands}]}}\n"
            );
            loudness(&Rig::of(&nodes).play(&silence(2, 480_000))[0])
        };
        let flat = {
            let nodes = "  - noise: {colour: pink, level: -20 dB, channels: 2}\n";
            loudness(&Rig::of(nodes).play(&silence(2, 480_000))[0])
        };
        let (off, on) = (play(false), play(true));
        assert!(
            (off - flat).abs() > 1.0 && (on - flat).abs() < 0.6,
            "{bands}: {flat:.2}, {off:.2}, {on:.2} dB"
        );
    }
}

/// The frequency of a filter ends at 45 % of the rate, and so does the programme.
#[test]
fn the_automatic_gain_is_right_at_a_low_rate_too() {
    let rate = 16_000.0;
    for bands in ["{shape: highshelf, freq: 12 kHz, gain: 12}", "{freq: 20 kHz, gain: 12, q: 0.5}"] {
        let play = |eq: &str| {
            let nodes = format!("  - noise: {{colour: pink, level: -20 dB, channels: 2}}\n{eq}");
            loudness_at(rate, &Rig::at(rate, &nodes).play(&silence(2, 480_000))[0])
        };
        let flat = play("");
        let on = play(&format!("  - eq: {{auto_gain: true, bands: [{bands}]}}\n"));
        assert!((on - flat).abs() < 1.0, "{bands}: {flat:.2}, {on:.2} dB");
    }
}

fn loudness(samples: &[f64]) -> f64 {
    loudness_at(RATE, samples)
}

fn loudness_at(rate: f64, samples: &[f64]) -> f64 {
    let weighting = lacquer_graph::dsp::filter::k_weighting::Weighting::new(rate);
    let mut state = lacquer_graph::dsp::filter::k_weighting::State::default();
    let weighted: Vec<f64> = samples.iter().map(|sample| weighting.tick(&mut state, *sample)).collect();
    db(rms(&weighted[24_000..]))
}

#[test]
fn random_moves_at_every_block_never_make_it_unstable() {
    let mut rig = Rig::of(
        "  - eq: {id: n, bands: [{freq: 1 kHz}, {shape: lowpass, slope: 48 dB/oct}, {shape: highshelf}]}\n",
    );
    let mut random = lacquer_tests::random::Random::new(5);
    let input = noise(-6.0, 3, 2, 64);
    for _ in 0..4_000 {
        for band in 1..=3 {
            for (row, norm) in [("freq", random.unit()), ("q", random.unit()), ("gain", random.unit())] {
                rig.set_value(
                    &format!("/norm/n/band/{band}/{row}"),
                    &lacquer_control::value::Value::Number(norm),
                );
            }
        }
        let out = rig.play(&input);
        // 24 dB twice, and a resonance.
        assert!(peak(&out[0]) < gain(90.0), "{}", peak(&out[0]));
    }
    assert_eq!(rig.count(|event| matches!(event, lacquer_graph::run::engine::Event::Fault { .. })), 0);
}

#[test]
fn the_meter_tells_what_dynamic_bands_do_and_nothing_of_bands_that_stand_still() {
    let readings = |nodes: &str| {
        let mut rig = Rig::of(nodes);
        rig.play(&sine(1_000.0, -20.0, RATE, 2, 96_000));
        let told = rig.events.iter().filter_map(|event| match event {
            lacquer_graph::run::engine::Event::Meter { value, .. } => value.map(db),
            _ => None,
        });
        told.collect::<Vec<_>>()
    };
    for (range, wanted) in [(-12, -5.0), (12, 5.0)] {
        let band = format!("{{freq: 1 kHz, q: 2, range: {range}, threshold: -30, ratio: 2}}");
        let told = readings(&format!("  - eq: {{bands: [{band}]}}\n"));
        assert!((told.last().unwrap() - wanted).abs() < 0.05, "{told:?}");
    }
    assert!(readings("  - eq: {bands: [{freq: 1 kHz, gain: -5}]}\n").is_empty());
}

/// Up there the two sections of a band come near to each other and may change places.
#[test]
fn moves_at_the_top_of_the_range_are_not_heard_either() {
    let rate = 44_100.0;
    let input = sine(1_000.0, -6.0, rate, 2, 22_050);
    for (address, from, to) in [
        ("freq", "gain: 12, freq: 16 kHz, q: 0.7", 20_000.0),
        ("freq", "gain: -12, freq: 20 kHz, q: 1.4", 15_000.0),
        ("freq", "gain: 18, freq: 17 kHz, q: 1.68", 20_000.0),
        ("q", "gain: 12, freq: 18.2 kHz, q: 0.8", 6.0),
        ("q", "gain: 12, freq: 20 kHz, q: 6", 0.8),
    ] {
        let mut rig = Rig::at(rate, &format!("  - eq: {{id: n, bands: [{{{from}}}]}}\n"));
        rig.play(&input);
        rig.set(&format!("/node/n/band/1/{address}"), to);
        let heard = above_16_khz(&rig.play(&input)[0], rate);
        assert!(heard < -90.0, "{address} of {from} to {to}: {heard:.1} dBFS above 16 kHz");
    }
}
