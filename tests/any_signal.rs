//! Any signal is measured: every level, rate and length, and what is a NaN or an infinity is counted, left out, and said.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::taps::{meters, tap};
use lacquer::media::{Depth, Sink, Source};
use lacquer::offline::plot::{self, Measured};
use lacquer_graph::SUBBLOCK;
use lacquer_graph::metering::{FLOOR, Measurement, Meters, spectrum::Spectrum};
use lacquer_graph::param::Unit;
use lacquer_tests::daemon::{Folder, lacquer, root};
use lacquer_tests::random::Random;
use lacquer_tests::signal::{Channels, gain, noise, same_bits, sine};
use std::path::Path;

const RATE: f64 = 48_000.0;

fn write(path: &Path, rate: u32, depth: Depth, input: &Channels) {
    let mut sink = Sink::create(path, rate, input.len(), depth).unwrap();
    sink.write(&input.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
}

fn read(path: &Path) -> Channels {
    let mut source = Source::open(path).unwrap();
    let mut signal = vec![Vec::new(); source.channels()];
    while let Some(chunk) = source.next().unwrap() {
        signal.iter_mut().zip(chunk).for_each(|(all, more)| all.extend(more));
    }
    signal
}

fn measure(rate: f64, input: &Channels) -> Measurement {
    let mut meters = Meters::new(rate, input.len());
    meters.add(input);
    meters.finish();
    meters.measure()
}

#[track_caller]
fn near(got: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((got - wanted).abs() <= tolerance, "{what}: {got:.4}, not {wanted:.4}");
}

#[test]
fn loudness_is_as_right_at_2000_dbfs_as_at_minus_23() {
    // Three seconds loud, three 8 dB below, three that the relative gate leaves out.
    let mut shape = sine(1_000.0, 0.0, RATE, 2, 9 * 48_000);
    for samples in &mut shape {
        samples[144_000..288_000].iter_mut().for_each(|x| *x *= gain(-8.0));
        samples[288_000..].iter_mut().for_each(|x| *x *= gain(-25.0));
    }
    let at = |level: f64| {
        let scaled = |samples: &Vec<f64>| samples.iter().map(|x| x * gain(level)).collect();
        measure(RATE, &shape.iter().map(scaled).collect())
    };
    let usual = at(-23.0);
    for level in [0.0, 20.0, 30.0, 37.5, 40.0, 100.0, 770.0, 1_990.0] {
        for ((row, got), (_, wanted)) in at(level).all().zip(usual.all()) {
            let name = row.name;
            // The mean of whole periods is a rounding error, and clips are counted at full scale.
            let moves = matches!(row.unit, Unit::Dbfs | Unit::Dbtp | Unit::Lufs);
            if !matches!(name, "dc" | "clips") {
                near(
                    got,
                    wanted + if moves { level + 23.0 } else { 0.0 },
                    0.01,
                    &format!("{name} at {level} dBFS"),
                );
            }
        }
    }
}

#[test]
fn a_meter_takes_no_more_room_for_years_of_every_level() {
    let mut meters = Meters::new(1_000.0, 1);
    for level in (-70..2_000).step_by(10) {
        meters.add(&sine(100.0, f64::from(level), 1_000.0, 1, 1_000));
        meters.measure();
    }
    let bars = meters.loudness().histogram();
    near(bars.iter().sum(), 1.0, 1e-9, "all shares");
    assert!(bars.len() <= 2_100, "{}", bars.len());
    // A loud sound leaves nothing behind in the windows that it has left.
    meters.add(&sine(100.0, -30.0, 1_000.0, 1, 20_000));
    near(
        meters.measure().shortterm,
        measure(1_000.0, &sine(100.0, -30.0, 1_000.0, 1, 20_000)).shortterm,
        0.01,
        "after",
    );
}

/// A signal of any kind: its rate, its samples, and how many of them are a NaN or an infinity.
fn anything(random: &mut Random) -> (f64, Channels, u64) {
    let rates =
        [1.0, 2.0, 7.0, 99.0, 199.0, 200.0, 3_000.0, 8_000.0, 44_100.0, 384_000.0, f64::from(u32::MAX)];
    let lengths = [0, 1, 2, 63, 64, 65, 480, 4_801, 20_000];
    let (rate, length) = (*random.pick(&rates), *random.pick(&lengths));
    let magnitude =
        10.0_f64.powf(*random.pick(&[-320.0, -160.0, -100.0, -5.0, 0.0, 2.0, 38.0, 99.0, 160.0, 308.0]));
    let is_bad = random.below(3) == 0;
    let (is_wild, kind) = (random.below(3) == 0, random.below(4));
    let mut bad = 0;
    let mut sample = |n: usize| {
        if is_bad && random.below(50) == 0 {
            bad += 1;
            return *random.pick(&[f64::NAN, -f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
        }
        let value = match kind {
            0 => 1.0,
            1 => (n as f64 * 0.05).sin(),
            2 => [1.0, -1.0][n % 2],
            _ => 2.0 * random.unit() - 1.0,
        };
        if is_wild { f64::from_bits(random.bits()) } else { value * magnitude }
    };
    let channels = 1 + length % 8;
    let mut input: Channels =
        (0..channels).map(|_| (0..length / channels).map(&mut sample).collect()).collect();
    if is_wild {
        // Bits at random are now and then no number.
        input.iter_mut().flatten().filter(|x| !x.is_finite()).for_each(|x| *x = 0.0);
        bad = 0;
    }
    (rate, input, bad)
}

#[test]
fn whatever_the_signal_every_reading_is_a_number() {
    let mut random = Random::new(12);
    for round in 0..300 {
        let (rate, input, bad) = anything(&mut random);
        let what = format!("round {round}: {rate} Hz, {} channels, {} frames", input.len(), input[0].len());
        let mut meters = Meters::new(rate, input.len());
        let mut spectrum = Spectrum::new(rate, input.len());
        meters.add(&input);
        spectrum.add(&input);
        meters.finish();
        spectrum.finish();
        let reading = meters.measure();
        for (row, value) in reading.all() {
            assert!(value.is_finite(), "{what}: {} is {value}", row.name);
            let is_level = matches!(row.unit, Unit::Dbfs | Unit::Lufs | Unit::Dbtp);
            assert!(!is_level || (FLOOR..2_100.0).contains(&value), "{what}: {} is {value}", row.name);
        }
        assert_eq!(reading.nonfinite, bad as f64, "{what}");
        // The highest sample has the level that it has.
        let finite = input.iter().flatten().filter(|x| x.is_finite());
        let highest = finite.fold(0.0_f64, |highest, x| highest.max(x.abs())).min(1e100);
        near(reading.peak, (20.0 * highest.log10()).max(FLOOR), 1e-6, &what);
        assert!(reading.truepeak >= reading.peak - 1e-6 && reading.rms <= reading.peak + 1e-6, "{what}");
        assert!(
            reading.correlation.abs() <= 1.0 && reading.balance.abs() <= 99.0 && reading.range >= 0.0,
            "{what}"
        );
        let loudness = meters.loudness();
        let shares = loudness.histogram();
        assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{what}");
        let (thirds, curve) = (spectrum.thirds(), spectrum.curve(4.5));
        assert!(
            thirds.iter().chain(&curve).all(|(freq, level)| freq.is_finite() && *level < f64::INFINITY),
            "{what}"
        );
        let svg = plot::svg(&Measured {
            file: "any".to_owned(),
            rate,
            channels: input.len(),
            seconds: input[0].len() as f64 / rate,
            reading,
            intake: *meters.intake(),
            range_is_stable: loudness.range_is_stable(),
            over_time: vec![[loudness.momentary().max(FLOOR), loudness.shortterm().max(FLOOR)]; 3],
            points_a_second: 10.0,
            histogram: shares,
            thirds,
            slope: 4.5,
            curve,
        });
        assert!(!svg.contains("NaN") && !svg.contains("\"inf") && svg.len() < 200_000, "{what}");
    }
}

fn meter(path: &Path) -> (serde_json::Value, String) {
    let picture = path.with_extension("svg");
    let plot = picture.to_str().unwrap();
    let out = lacquer(&["meter", path.to_str().unwrap(), "--json", "--force", "--plot", plot]);
    let said = String::from_utf8(out.stderr).unwrap();
    assert!(out.status.success(), "{}: {said}", path.display());
    (serde_json::from_slice(&out.stdout).unwrap(), said)
}

#[test]
fn the_command_measures_files_at_both_ends() {
    let folder = Folder::new("any-files");
    let path = folder.at("in.wav");
    let file = |rate: u32, depth: Depth, input: &Channels| {
        write(&path, rate, depth, input);
        meter(&path)
    };
    // Level of the sine, and the loudness that it must have: BS.1770-5, two channels.
    for (rate, level) in [(48_000, 30.0), (48_000, 40.0), (384_000, 40.0), (8_000, 20.0), (48_000, 700.0)] {
        let (json, said) =
            file(rate, Depth::Float32, &sine(997.0, level, f64::from(rate), 2, 2 * rate as usize));
        near(json["integrated"].as_f64().unwrap(), level, 0.1, &format!("{level} dBFS at {rate} Hz"));
        assert_eq!(said, "");
    }
    let (json, _) = file(48_000, Depth::Float32, &vec![vec![f64::from(f32::MAX); 9_600]; 2]);
    near(json["peak"].as_f64().unwrap(), 770.64, 0.01, "the highest 32-bit float");
    let (json, said) = file(48_000, Depth::Float64, &vec![vec![1e300, -1e300, 1e300], vec![0.0; 3]]);
    assert_eq!((json["peak"].as_f64(), json["beyond"].as_u64()), (Some(2_000.0), Some(3)));
    assert!(said.contains("3 samples are above +2000 dBFS and clipped to +2000 dBFS"), "{said}");
    // Below 200 Hz there is no loudness, but levels there are.
    let (json, _) = file(1, Depth::Int16, &noise(-6.0, 3, 2, 5_000));
    assert!(json["integrated"].is_null() && json["rms"].as_f64().unwrap() > -20.0, "{json}");
    for frames in [0, 1] {
        let (json, _) = file(48_000, Depth::Float32, &vec![vec![0.5; frames]; 2]);
        assert_eq!(json["peak"].is_null(), frames == 0);
        assert_eq!(json["nonfinite"], 0.0);
        assert!(json["firstnonfinite"].is_null());
    }
}

#[test]
fn a_nan_in_a_file_is_counted_and_said_and_the_rest_is_measured() {
    let folder = Folder::new("any-nan");
    let [good, bad] = ["good.wav", "bad.wav"].map(|name| folder.at(name));
    let mut input = noise(-20.0, 9, 2, 5 * 48_000);
    let places = [(1, 12_000), (0, 12_001), (1, 200_000)];
    places.iter().for_each(|(channel, frame)| input[*channel][*frame] = 0.0);
    write(&good, 48_000, Depth::Float32, &input);
    for ((channel, frame), what) in places.into_iter().zip([f64::NAN, f64::INFINITY, f64::NEG_INFINITY]) {
        input[channel][frame] = what;
    }
    write(&bad, 48_000, Depth::Float32, &input);
    let ((mut wanted, silent), (mut got, said)) = (meter(&good), meter(&bad));
    let sentence =
        "3 samples are NaN or infinite, the first at 0.250 s in channel 2; each is replaced by silence";
    assert_eq!(said, format!("{}: {sentence}\n", bad.display()));
    assert_eq!(silent, "");
    assert_eq!(got["nonfinite"], 3.0);
    assert_eq!(got["firstnonfinite"], serde_json::json!({"seconds": 0.25, "channel": 2}));
    for json in [&mut wanted, &mut got] {
        for key in ["nonfinite", "firstnonfinite", "file", "warnings"] {
            json.as_object_mut().unwrap().remove(key).unwrap();
        }
    }
    assert_eq!(got, wanted, "all else is as if there were silence");
    let table = lacquer(&["meter", bad.to_str().unwrap()]);
    assert!(String::from_utf8_lossy(&table.stdout).contains("NaN or infinite              3\n"));
}

#[test]
fn render_says_what_it_replaced_and_nothing_else_changes() {
    let folder = Folder::new("any-render");
    let [good, bad, high, out] = ["good.wav", "bad.wav", "high.wav", "out.wav"].map(|name| folder.at(name));
    let mut input = noise(-20.0, 9, 2, 48_000);
    input[1][24_000] = 0.0;
    write(&good, 48_000, Depth::Float64, &input);
    input[1][24_000] = f64::NAN;
    write(&bad, 48_000, Depth::Float64, &input);
    let rendered = |from: &Path, chain: &str| {
        std::fs::remove_file(&out).ok();
        let chain = root().join("configs/chains").join(chain);
        let [chain, from, to] = [&chain, from, &out].map(|path| path.to_str().unwrap().to_owned());
        let done = lacquer(&["render", "--chain", &chain, "--bits", "f64", &from, &to]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        (read(&out), said)
    };
    for chain in ["transparent.yaml", "streaming.yaml"] {
        let (wanted, silent) = rendered(&good, chain);
        let (got, said) = rendered(&bad, chain);
        assert!(same_bits(&got, &wanted), "{chain}");
        let sentence =
            "1 sample is NaN or infinite, the first at 0.500 s in channel 2; each is replaced by silence";
        assert_eq!((silent.as_str(), said), ("", format!("{}: {sentence}\n", bad.display())));
        // What lies near the end of f64 is played as what can be squared, and nothing but numbers comes of it.
        for level in [1e39, 1e100, 1e300, f64::MAX] {
            let mut input = noise(-20.0, 9, 2, 24_000);
            input[0][9_000..9_100].fill(level);
            input[1][9_000..9_100].fill(-level);
            write(&high, 48_000, Depth::Float64, &input);
            let (out, said) = rendered(&high, chain);
            assert!(out.iter().flatten().all(|x| x.is_finite()), "{chain}, {level:e}");
            assert!(said.contains("200 samples are above +200 dBFS and clipped to +200 dBFS"), "{said}");
        }
    }
}

#[test]
fn the_highest_floats_are_held_and_leave_no_hole() {
    let folder = Folder::new("any-highest");
    let [input, out] = ["in.wav", "out.wav"].map(|name| folder.at(name));
    let limiter = folder.write("limiter.yaml", "nodes: [limiter: {ceiling: -1 dBTP}]\n");
    let low = folder.write("low.yaml", "nodes: [gain: {gain: 24 dB}, limiter: {ceiling: -24 dBTP}]\n");
    let mending = folder.write("mending.yaml", "nodes: [declick, declip, limiter: {ceiling: -1 dBTP}]\n");
    let streaming = root().join("configs/chains/streaming.yaml");
    let rendered = |chain: &Path, signal: &Channels| {
        write(&input, 48_000, Depth::Float32, signal);
        let [chain, from, to] = [chain, &input, &out].map(|path| path.to_str().unwrap().to_owned());
        let done = lacquer(&["render", "--force", "--chain", &chain, "--bits", "f64", &from, &to]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(done.status.success(), "{said}");
        (read(&out), said)
    };
    // As loud as the ceiling lets it be, within 3 dB, in each tenth of a second.
    let highest = sine(440.0, 770.0, 48_000.0, 2, 48_000);
    // 32-bit codes that were taken for samples: nothing is clipped.
    let codes = sine(440.0, 186.0, 48_000.0, 2, 48_000);
    for (chain, ceiling) in [(&limiter, -1.0), (&low, -24.0), (&mending, -1.0), (&streaming, -1.0)] {
        for (signal, is_said) in [(&highest, true), (&codes, false)] {
            let (heard, said) = rendered(chain, signal);
            let about = format!("{}: {said}", chain.display());
            assert_eq!(
                said.contains("samples are above +200 dBFS and clipped to +200 dBFS"),
                is_said,
                "{about}"
            );
            for part in heard[1].chunks(4_800) {
                let peak = 20.0 * part.iter().fold(0.0_f64, |peak, x| peak.max(x.abs())).log10();
                assert!((ceiling - 3.5..ceiling + 0.01).contains(&peak), "{about}: {peak} dBFS");
            }
        }
    }
    // One such sample: the programme is there again soon.
    let mut one = sine(440.0, -12.0, 48_000.0, 2, 96_000);
    one[0][48_000] = f64::from(f32::MAX);
    for chain in [&limiter, &mending, &streaming] {
        let (heard, said) = rendered(chain, &one);
        assert!(said.contains("1 sample is above +200 dBFS and clipped to +200 dBFS"), "{said}");
        for (at, part) in heard[1].chunks(2_400).enumerate() {
            let peak = part.iter().fold(0.0_f64, |peak, x| peak.max(x.abs()));
            // The high-pass of the other channel rings for a tenth of a second, and both are held down together.
            let least = if (20..23).contains(&at) { 0.01 } else { 0.03 };
            assert!((least..0.9).contains(&peak), "{}, {at}: {peak}", chain.display());
        }
    }
}

#[test]
fn a_live_tap_counts_what_is_a_nan_and_a_high_number_is_none() {
    let (mut probe, mut tap) = tap("input", 2, RATE);
    let mut meters = meters::Meters::new(&mut tap);
    let mut planes = [[0.25; SUBBLOCK]; 2];
    (planes[0][3], planes[1][9]) = (f64::NAN, f64::INFINITY);
    probe.copy(&planes, SUBBLOCK);
    let reading = meters.measure();
    assert_eq!((reading.nonfinite, reading.peak), (2.0, 20.0 * 0.25_f64.log10()));
    let lines = meters.lines(&reading);
    assert!(lines.iter().any(|line| line.address == "/meter/input/nonfinite"));
    // An infinity for 32-bit floats, but no infinity.
    probe.copy(&[[1e300; SUBBLOCK]; 2], SUBBLOCK);
    let reading = meters.measure();
    assert_eq!(reading.nonfinite, 2.0);
    near(reading.peak, 770.64, 0.01, "peak");
}
