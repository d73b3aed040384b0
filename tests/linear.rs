//! Linear and mixed phase of the equaliser and the multiband: symmetry, curves, splits that null, moves that are not heard.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{
    Channels, above_16_khz, bursts, db, distance, line, noise, peak, rms, same_bits, silence, sine,
};
use realfft::RealFftPlanner;

/// An equaliser of these bands in a phase.
fn eq(phase: &str, bands: &str) -> String {
    format!("  - eq: {{id: n, phase: {phase}, bands: [{bands}]}}\n")
}

/// The impulse responses from `into` to both channels, long enough for all that is tested, and the latency.
fn impulse_responses(rate: f64, nodes: &str, into: [f64; 2]) -> (Channels, usize) {
    let mut rig = Rig::at(rate, nodes);
    rig.block = 1024;
    let mut impulse = silence(2, (1.4 * rate) as usize);
    (impulse[0][0], impulse[1][0]) = (into[0], into[1]);
    (rig.play(&impulse), rig.latency())
}

/// From both channels to the left.
fn impulse_response(rate: f64, nodes: &str, level: f64) -> (Vec<f64>, usize) {
    let (mut responses, latency) = impulse_responses(rate, nodes, [level, level]);
    (responses.remove(0), latency)
}

fn level(samples: &[f64], freq: f64, rate: f64) -> f64 {
    let [re, im] = line(samples.iter().copied(), freq, rate);
    10.0 * (re * re + im * im).log10()
}

/// Frequencies, and levels there in dB: the lines of one transform that are nearest to those of [`freqs`].
fn curve(samples: &[f64], count: u32, rate: f64) -> Vec<[f64; 2]> {
    let mut padded = samples.to_vec();
    padded.resize(samples.len().next_power_of_two(), 0.0);
    let spacing = rate / padded.len() as f64;
    let transform = RealFftPlanner::new().plan_fft_forward(padded.len());
    let mut lines = transform.make_output_vec();
    transform.process(&mut padded, &mut lines).unwrap();
    let line = |freq: f64| (freq / spacing).round();
    freqs(count).map(|freq| [line(freq) * spacing, db(lines[line(freq) as usize].norm())]).collect()
}

/// Group delay in frames: the real part of the transform of n x[n] over that of x[n].
fn group_delay(samples: &[f64], freq: f64, rate: f64) -> f64 {
    let [re, im] = line(samples.iter().copied(), freq, rate);
    let late = samples.iter().enumerate().map(|(n, x)| n as f64 * x);
    let [late_re, late_im] = line(late, freq, rate);
    (late_re * re + late_im * im) / (re * re + im * im)
}

fn freqs(count: u32) -> impl Iterator<Item = f64> {
    (0..=count).map(move |i| 20.0 * 1_000.0_f64.powf(f64::from(i) / f64::from(count)))
}

const EIGHT: &str = "{shape: highpass, freq: 25 Hz}, {shape: lowshelf, freq: 90 Hz, gain: 4}, {freq: 60 Hz, gain: 6, q: 2}, \
     {freq: 250 Hz, gain: -8, q: 3}, {freq: 1 kHz, gain: 9, q: 6}, {freq: 3.1 kHz, gain: -5}, \
     {shape: highshelf, freq: 9 kHz, gain: 5}, {shape: lowpass, freq: 19 kHz}";

#[test]
fn the_impulse_is_symmetric_and_every_frequency_is_as_late() {
    for reach in [20, 85, 170, 400] {
        let nodes = eq("linear", EIGHT).replace("id: n", &format!("id: n, reach: {reach} ms"));
        let (response, latency) = impulse_response(RATE, &nodes, 1.0);
        assert_eq!(latency, reach * 48, "the latency is the reach");
        let uneven = (1..=latency).map(|n| (response[latency - n] - response[latency + n]).abs());
        let uneven = uneven.fold(0.0, f64::max) / response[latency].abs();
        let late = freqs(60).map(|freq| (group_delay(&response, freq, RATE) - latency as f64).abs());
        let late = late.fold(0.0, f64::max);
        println!(
            "reach {reach} ms: uneven by {uneven:.1e} of the peak, group delay within {late:.1e} frames"
        );
        assert!(uneven < 1e-14 && late < 0.01, "{uneven:e} {late}");
    }
}

/// What the reach of 170 ms is said to be enough for.
const CURVES: [&str; 16] = [
    EIGHT,
    "{freq: 30 Hz, gain: 12, q: 1}",
    "{freq: 30 Hz, gain: -12, q: 1}",
    "{freq: 60 Hz, gain: 6, q: 4}",
    "{freq: 100 Hz, gain: -12, q: 8}",
    "{freq: 500 Hz, gain: 12, q: 24}",
    "{freq: 16 kHz, gain: 9, q: 2}",
    "{shape: lowshelf, freq: 40 Hz, gain: 9}",
    "{shape: tilt, freq: 700 Hz, gain: -6}",
    "{shape: highpass, freq: 20 Hz, slope: 24 dB/oct}",
    "{shape: highpass, freq: 50 Hz, slope: 48 dB/oct}",
    "{shape: highpass, freq: 100 Hz, slope: 96 dB/oct}",
    "{shape: highpass, freq: 80 Hz, slope: 6 dB/oct}",
    "{shape: lowpass, freq: 8 kHz, slope: 72 dB/oct}",
    "{shape: bandpass, freq: 400 Hz, q: 4}",
    "{shape: notch, freq: 1 kHz, q: 2}",
];

/// Largest difference of two phases' curves, where they are above -60 dB; of a notch, above -20 dB: its sides are steep.
fn unlike(rate: f64, phase: &str, bands: &str) -> [f64; 2] {
    let [linear, twin] =
        [phase, "minimum"].map(|phase| curve(&impulse_response(rate, &eq(phase, bands), 1.0).0, 150, rate));
    let floor = if bands.contains("notch") { -20.0 } else { -60.0 };
    let unlike = linear.iter().zip(&twin).map(|([freq, got], [_, wanted])| match wanted {
        wanted if *wanted > floor => [(got - wanted).abs(), *freq],
        _ => [0.0, *freq],
    });
    unlike.max_by(|a, b| a[0].total_cmp(&b[0])).unwrap()
}

#[test]
fn the_curve_is_within_a_tenth_of_a_db_of_the_minimum_phase_twin() {
    for (rate, phase) in
        [(48_000.0, "linear"), (48_000.0, "mixed"), (44_100.0, "linear"), (96_000.0, "linear")]
    {
        // With 20 ms before its middle a mixed filter has no room for what is very narrow or steep.
        let is_fit = |bands: &&&str| {
            phase != "mixed" || !["q: 24", "48 dB/oct", "96 dB/oct"].iter().any(|much| bands.contains(much))
        };
        let curves = CURVES.iter().filter(is_fit).take(if rate == 48_000.0 { CURVES.len() } else { 4 });
        let worst = curves.map(|bands| {
            let [off, freq] = unlike(rate, phase, bands);
            println!("{rate} Hz, {phase}, {bands}: {off:.4} dB at {freq:.1} Hz");
            off
        });
        let worst = worst.fold(0.0, f64::max);
        assert!(worst < 0.1, "{phase} at {rate} Hz: {worst:.3} dB");
    }
}

#[test]
fn mixed_phase_is_minimum_in_the_lows_and_linear_above() {
    let bands = "{shape: highpass, freq: 30 Hz, slope: 24 dB/oct}, {freq: 50 Hz, gain: 6, q: 2}, {freq: 2 kHz, gain: 6, q: 2}";
    let (mixed, latency) = impulse_response(RATE, &eq("mixed", bands), 1.0);
    let (minimum, _) = impulse_response(RATE, &eq("minimum", bands), 1.0);
    let (linear, linear_latency) = impulse_response(RATE, &eq("linear", bands), 1.0);
    for freq in [30.0, 50.0, 70.0, 90.0] {
        let [got, wanted] = [&mixed, &minimum].map(|response| group_delay(response, freq, RATE));
        let off = got - latency as f64 - wanted;
        println!("{freq} Hz: {wanted:.1} frames in minimum phase, {off:+.2} in mixed");
        assert!(off.abs() < 0.02 * wanted.abs() + 1.0, "{freq} Hz: {off}");
    }
    for freq in [450.0, 1_000.0, 2_000.0, 2_200.0, 10_000.0] {
        let off = group_delay(&mixed, freq, RATE) - latency as f64;
        println!("{freq} Hz: {off:+.4} frames from linear");
        assert!(off.abs() < 0.05, "{freq} Hz: {off}");
    }
    // What sounds before 20 ms before the middle, of what linear phase has there.
    let before = |response: &[f64], latency: usize| rms(&response[..latency - 960]);
    let (rings, less) = (before(&linear, linear_latency), before(&mixed, latency));
    println!("earlier than 20 ms before: {:.1} dB in linear, {:.1} dB in mixed phase", db(rings), db(less));
    assert!(less < rings * 1e-6 && latency < linear_latency / 4);
}

#[test]
fn bands_on_one_side_the_middle_and_both_at_once_work_where_they_are_placed() {
    // At its own frequency a bell turns no phase, so there the twin is a real matrix too.
    for (bands, what) in [
        ("{freq: 1 kHz, gain: 6, place: left}", "left"),
        ("{freq: 1 kHz, gain: 6, place: side}, {freq: 1 kHz, gain: -3}", "side and stereo"),
        ("{freq: 1 kHz, gain: 6, place: left}, {freq: 1 kHz, gain: -9, place: side}", "crossed"),
        (
            "{freq: 1 kHz, gain: -9, place: mid}, {freq: 1 kHz, gain: 5, place: right}, {freq: 1 kHz, gain: 6, place: side}",
            "crossed and back",
        ),
    ] {
        for into in [[1.0, 0.0], [0.0, 1.0]] {
            let at_1_khz = |phase: &str| {
                let (responses, _) = impulse_responses(RATE, &eq(phase, bands), into);
                [0, 1].map(|channel| level(&responses[channel], 1_000.0, RATE).max(-100.0))
            };
            let (got, wanted) = (at_1_khz("linear"), at_1_khz("minimum"));
            let is_near = got.iter().zip(wanted).all(|(got, wanted)| (got - wanted).abs() < 0.01);
            assert!(is_near, "{what}, from {into:?}: {got:.3?}, not {wanted:.3?} dB");
        }
    }
}

/// Plays `input` in pieces, and does something before each.
fn play_and(rig: &mut Rig, input: &Channels, piece: usize, mut act: impl FnMut(&mut Rig, usize)) -> Channels {
    let mut out = silence(input.len(), 0);
    for (index, from) in (0..input[0].len()).step_by(piece).enumerate() {
        act(rig, index);
        let part = input.iter().map(|x| x[from..(from + piece).min(x.len())].to_vec()).collect();
        out.iter_mut().zip(rig.play(&part)).for_each(|(out, more)| out.extend(more));
    }
    out
}

#[test]
fn no_move_is_heard_as_a_click_however_fast_they_come() {
    let input = sine(1_000.0, -6.0, RATE, 2, 96_000);
    for (phase, address, from, to) in [
        ("linear", "gain", "gain: -18", 18.0),
        ("linear", "freq", "gain: 12, freq: 20 Hz", 20_000.0),
        ("linear", "q", "gain: 12, freq: 8 kHz, q: 12", 0.3),
        ("linear", "on", "gain: 12, shape: highshelf, freq: 500 Hz", 0.0),
        ("linear", "freq", "shape: highpass, slope: 96 dB/oct, freq: 20 Hz", 2_000.0),
        ("mixed", "gain", "gain: -18", 18.0),
        ("mixed", "freq", "shape: lowpass, slope: 24 dB/oct, freq: 15 kHz", 500.0),
    ] {
        let address = format!("/node/n/band/1/{address}");
        let mut rig = Rig::of(&eq(phase, &format!("{{{from}}}")));
        rig.play(&sine(1_000.0, -6.0, RATE, 2, 24_000));
        let place = rig.newest().addresses.find(&address).unwrap()[0].0.clone();
        let back = rig.value(&place).and_then(|value| value.number()).unwrap();
        // Every 10 ms somewhere else, then to rest.
        let out = play_and(&mut rig, &input, 480, |rig, index| {
            if index < 100 {
                rig.set(&address, if index % 3 == 0 { back } else { to });
            }
        });
        let heard = above_16_khz(&out[0], RATE);
        println!("{phase}, {from} to {to}: {heard:.1} dBFS above 16 kHz");
        assert!(heard < -90.0, "{phase}, {address} of {from} to {to}: {heard:.1} dBFS above 16 kHz");
    }
}

#[test]
fn after_moves_it_is_to_the_bit_what_was_built_so() {
    let input = noise(-12.0, 1, 2, 96_000);
    for phase in ["linear", "mixed"] {
        let mut moved = Rig::of(&eq(
            phase,
            "{freq: 100 Hz, gain: 3}, {shape: highpass, freq: 40 Hz}, {shape: notch, place: side}",
        ));
        let mut random = lacquer_tests::random::Random::new(3);
        let out = play_and(&mut moved, &input, 700, |rig, index| {
            for (row, value) in
                [("1/freq", 20.0 + 900.0 * random.unit()), ("2/freq", 20.0 + 90.0 * random.unit())]
            {
                rig.set(&format!("/node/n/band/{row}"), if index < 30 { value } else { 77.0 });
            }
            rig.set("/node/n/band/3/on", if index < 30 { (index % 2) as f64 } else { 0.0 });
        });
        let mut still = Rig::of(&eq(
            phase,
            "{freq: 77 Hz, gain: 3}, {shape: highpass, freq: 77 Hz}, {shape: notch, place: side, on: false}",
        ));
        let expected = still.play(&input);
        let late = |out: &Channels| out.iter().map(|samples| samples[60_000..].to_vec()).collect();
        assert!(same_bits(&late(&out), &late(&expected)), "{phase}");
    }
}

#[test]
fn a_move_is_heard_within_a_fifth_of_a_second_beyond_the_latency() {
    let mut rig = Rig::of(&eq("linear", EIGHT));
    rig.play(&sine(1_000.0, -20.0, RATE, 2, 24_000));
    rig.set("/node/n/band/5/gain", -9.0);
    let out = rig.play(&sine(1_000.0, -20.0, RATE, 2, 24_000)).remove(0);
    let settled = rms(&out[22_000..]);
    let arrived = out.chunks(48).rposition(|chunk| (db(rms(chunk) / settled)).abs() > 0.1).unwrap() + 1;
    println!("a move of one of eight bands is done after {arrived} ms");
    assert!(arrived < 200);
}

#[test]
fn a_dynamic_band_follows_its_static_curve_after_the_linear_part() {
    let added = |phase: &str, band: &str, level_db: f64| {
        let input = sine(1_000.0, level_db, RATE, 2, 96_000);
        let out = Rig::of(&eq(phase, &format!("{{freq: 1 kHz, q: 2, {band}}}"))).play(&input);
        db(rms(&out[0][91_200..])) - db(rms(&input[0][91_200..]))
    };
    for (band, level, expected) in [
        ("range: -12, threshold: -30, ratio: 2", -20.0, -5.0),
        ("range: -12, threshold: -30, ratio: inf", -20.0, -10.0),
        ("gain: 3, range: -12, threshold: -30, ratio: 2", -20.0, -2.0),
        ("gain: 3, range: -12, threshold: -30, ratio: 2", -40.0, 3.0),
    ] {
        for phase in ["linear", "mixed"] {
            let got = added(phase, band, level);
            assert!((got - expected).abs() < 0.05, "{phase}, {band}: {got:.3}, not {expected} dB");
        }
    }
    // It hears a burst when that is heard, not when it comes in.
    let mut input = silence(2, 24_000);
    input.iter_mut().for_each(|x| x[12_000..].copy_from_slice(&sine(1_000.0, -6.0, RATE, 1, 12_000)[0]));
    let bands = |range| format!("{{freq: 1 kHz, range: {range}, threshold: -60, ratio: inf, attack: 20 ms}}");
    let [fixed, dynamic] = [0, -24].map(|range| Rig::of(&eq("linear", &bands(range))).play(&input));
    let first = (0..24_000).find(|n| (fixed[0][*n] - dynamic[0][*n]).abs() > 1e-3).unwrap();
    let latency = Rig::of(&eq("linear", "")).latency();
    assert!((12_000 + latency..12_000 + latency + 100).contains(&first), "{first}, of {}", 12_000 + latency);
}

/// A multiband of linear phase, in which nothing reaches the thresholds.
fn multiband(slope: u32, splits: &[u32]) -> String {
    let bands: String = splits.iter().map(|to| format!("{{to: {to} Hz, threshold: 0 dB}}, ")).collect();
    format!(
        "  - multiband: {{id: n, phase: linear, slope: {slope} dB/oct, bands: [{bands}{{threshold: 0 dB}}]}}\n"
    )
}

#[test]
fn splits_null_against_the_delayed_input_while_they_move_too() {
    let input = noise(-20.0, 2, 2, 72_000);
    for (slope, splits) in [(24, &[1_000][..]), (48, &[60, 300, 2_000]), (24, &[40, 80, 160, 320, 18_000])] {
        let mut rig = Rig::of(&multiband(slope, splits));
        let latency = rig.latency();
        let out = play_and(&mut rig, &input, 4_000, |rig, index| {
            if index > 3 {
                rig.set("/node/n/band/1/to", 30.0 + 100.0 * index as f64);
            }
        });
        let late =
            |from: usize, x: &Channels| x.iter().map(|x| x[from..from + 72_000 - latency].to_vec()).collect();
        let left = db(distance(&late(latency, &out), &late(0, &input)).max(1e-20) / peak(&input[0]));
        println!("{slope} dB/oct, {} bands: {left:.1} dB is left of the delayed input", splits.len() + 1);
        assert!(left < -120.0, "{slope} dB/oct, {splits:?}: {left:.1} dB");
        assert_eq!(latency, 170 * 48);
    }
}

#[test]
fn a_linear_band_alone_has_the_curve_of_its_minimum_phase_twin() {
    for slope in [24, 48] {
        for band in 1..=3 {
            let nodes = multiband(slope, &[150, 2_500]);
            let mut bands = 0;
            let nodes: String = nodes
                .split_inclusive("threshold")
                .map(|part| {
                    bands += 1;
                    if bands == band {
                        part.replace("threshold", "solo: true, threshold")
                    } else {
                        part.to_owned()
                    }
                })
                .collect();
            let play = |nodes: &str| curve(&impulse_response(RATE, nodes, 0.001).0, 60, RATE);
            let (linear, twin) = (play(&nodes), play(&nodes.replace("phase: linear, ", "")));
            for ([freq, got], [_, wanted]) in linear.into_iter().zip(twin) {
                let (got, wanted) = (got + 60.0, wanted + 60.0);
                assert!(
                    wanted < -60.0 || (got - wanted).abs() < 0.1,
                    "{slope} dB/oct, band {band}, {freq:.1} Hz: {got:.3}, not {wanted:.3} dB"
                );
            }
        }
    }
}

#[test]
fn phases_and_reaches_are_swapped_without_a_click() {
    let input = sine(440.0, -12.0, RATE, 2, 96_000);
    let chains = [
        ("a", "  - eq: {id: n, phase: linear, bands: [{freq: 300 Hz, gain: 6}]}\n"),
        ("b", "  - eq: {id: n, bands: [{freq: 300 Hz, gain: 6}]}\n"),
        ("c", "  - eq: {id: n, phase: mixed, reach: 90 ms, bands: [{freq: 300 Hz, gain: 6}]}\n"),
        (
            "d",
            "  - multiband: {id: n, phase: linear, reach: 40 ms, bands: [{threshold: 0 dB}, {threshold: 0 dB}]}\n",
        ),
    ];
    let mut rig = Rig::new(&chains);
    rig.play(&sine(440.0, -12.0, RATE, 2, 48_000));
    let out = play_and(&mut rig, &input, 24_000, |rig, index| rig.swap(["b", "c", "d", "a"][index]));
    let heard = above_16_khz(&out[0][1_000..], RATE);
    assert!(heard < -90.0, "{heard:.1} dBFS above 16 kHz");
    let out = rig.play(&bursts(4, 2, 24_000));
    assert!(out.iter().flatten().all(|x| x.is_finite()));
}
