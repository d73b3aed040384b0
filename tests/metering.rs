//! The meters: the cases of EBU Tech 3341 and 3342 from synthesised signals, true peaks in closed form, other meters.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::media::{Depth, Sink};
use lacquer_graph::metering::{FLOOR, Measurement, Meters, spectrum::Spectrum};
use lacquer_tests::daemon::lacquer;
use lacquer_tests::signal::{Channels, db, gain, kaiser, noise, silence, sine};
use std::f64::consts::{PI, TAU};
use std::path::PathBuf;
use std::process::Command;

const RATE: f64 = 48_000.0;

/// Stretches of a stereo tone of 1 kHz: seconds, peak level in dBFS; minus infinity is silence.
fn tone(stretches: &[(f64, f64)]) -> Channels {
    let mut samples = Vec::new();
    for (seconds, level) in stretches {
        let start = samples.len();
        let count = (seconds * RATE).round() as usize;
        let level = gain(*level);
        samples.extend((start..start + count).map(|n| level * (TAU * 1_000.0 / RATE * n as f64).sin()));
    }
    vec![samples; 2]
}

const SILENT: f64 = f64::NEG_INFINITY;

/// Plays `input` in pieces of 10 ms, and does something after each.
fn play(rate: f64, input: &Channels, mut act: impl FnMut(f64, &mut Meters)) -> Measurement {
    let mut meters = Meters::new(rate, input.len());
    let hop = (rate / 100.0) as usize;
    let mut from = 0;
    while from < input[0].len() {
        let to = (from + hop).min(input[0].len());
        meters.add(&input.iter().map(|x| x[from..to].to_vec()).collect::<Vec<_>>());
        act(to as f64 / rate, &mut meters);
        from = to;
    }
    meters.finish();
    meters.measure()
}

/// The same, and looks after each.
fn watch(input: &Channels, mut look: impl FnMut(f64, &Measurement)) {
    play(RATE, input, |time, meters| look(time, &meters.measure()));
}

/// What is measured at the end.
fn measure(input: &Channels) -> Measurement {
    play(RATE, input, |_, _| {})
}

#[track_caller]
fn near(got: f64, wanted: f64, tolerance: f64, what: &str) {
    assert!((got - wanted).abs() <= tolerance, "{what}: {got:.3}, not {wanted}");
}

#[test]
fn a_live_spectrum_and_histogram_show_what_is_there() {
    // Of the thirds of an octave 1 kHz is the 18th, 100 Hz the 8th.
    for (freq, at) in [(1_000.0, 17), (100.0, 7)] {
        let mut spectrum = Spectrum::new(RATE, 2);
        assert_eq!(spectrum.take_thirds(), None, "nothing was measured");
        spectrum.add(&sine(freq, -20.0, RATE, 2, 98_304));
        let levels = spectrum.take_thirds().unwrap();
        assert_eq!(levels.len(), 31);
        near(levels[at], -23.01, 0.1, &format!("{freq} Hz"));
        // What was there before the last report counts no more, but for half a piece that reaches over.
        spectrum.add(&silence(2, 32_768));
        spectrum.take_thirds();
        spectrum.add(&silence(2, 65_536));
        assert!(spectrum.take_thirds().unwrap().iter().all(|level| *level == FLOOR));
    }
    let mut meters = Meters::new(RATE, 2);
    assert_eq!(meters.loudness().bars(), None);
    meters.add(&sine(1_000.0, -23.5, RATE, 2, 96_000));
    // EBU Tech 3341: a stereo sine of -23.5 dBFS reads -23.5 LUFS; the bar from -24 to -23 is the 47th.
    let bars = meters.loudness().bars().unwrap();
    assert!(bars[46] > 99.9, "{bars:?}");
}

#[test]
fn ebu_3341_cases_1_and_2_steady_tones() {
    for (case, level) in [(1, -23.0), (2, -33.0)] {
        let reading = measure(&tone(&[(20.0, level)]));
        for (name, value) in [("M", reading.momentary), ("S", reading.shortterm), ("I", reading.integrated)] {
            near(value, level, 0.1, &format!("case {case}, {name}"));
        }
    }
}

#[test]
fn ebu_3341_cases_3_to_5_gating() {
    for (case, stretches) in [
        (3, vec![(10.0, -36.0), (60.0, -23.0), (10.0, -36.0)]),
        (4, vec![(10.0, -72.0), (10.0, -36.0), (60.0, -23.0), (10.0, -36.0), (10.0, -72.0)]),
        (5, vec![(20.0, -26.0), (20.1, -20.0), (20.0, -26.0)]),
    ] {
        near(measure(&tone(&stretches)).integrated, -23.0, 0.1, &format!("case {case}"));
    }
}

#[test]
fn ebu_3341_case_6_five_channels() {
    let tones = [-28.0, -28.0, -24.0, -30.0, -30.0];
    let input = tones.map(|level| tone(&[(20.0, level)]).remove(0)).to_vec();
    near(measure(&input).integrated, -23.0, 0.1, "case 6");
}

#[test]
fn ebu_3341_case_9_shortterm_stays() {
    let pattern: Vec<_> = [(1.34, -20.0), (1.66, -30.0)].into_iter().cycle().take(10).collect();
    watch(&tone(&pattern), |time, reading| {
        if time >= 3.0 {
            near(reading.shortterm, -23.0, 0.1, &format!("case 9 at {time:.2} s"));
        }
    });
}

#[test]
fn ebu_3341_case_12_momentary_stays() {
    let pattern: Vec<_> = [(0.18, -20.0), (0.22, -30.0)].into_iter().cycle().take(50).collect();
    watch(&tone(&pattern), |time, reading| {
        if time >= 1.0 {
            near(reading.momentary, -23.0, 0.1, &format!("case 12 at {time:.2} s"));
        }
    });
}

#[test]
fn ebu_3341_cases_10_and_13_highest_of_files() {
    for i in 0..20 {
        let late = f64::from(i);
        let reading = measure(&tone(&[(0.15 * late, SILENT), (3.0, -23.0), (1.0, SILENT)]));
        near(reading.maxshortterm, -23.0, 0.1, &format!("case 10, {i}"));
        let reading = measure(&tone(&[(0.02 * late, SILENT), (0.4, -23.0), (1.0, SILENT)]));
        near(reading.maxmomentary, -23.0, 0.1, &format!("case 13, {i}"));
    }
}

#[test]
fn ebu_3341_cases_11_and_14_highest_of_a_live_stream() {
    let (mut slow, mut fast) = (Vec::new(), Vec::new());
    for i in (0..20).map(f64::from) {
        slow.extend([(0.15 * i, SILENT), (3.0, -38.0 + i), (3.0 - 0.15 * i, SILENT)]);
        fast.extend([(0.02 * i, SILENT), (0.4, -38.0 + i), (0.4 - 0.02 * i, SILENT)]);
    }
    let highest = |stretches: &[(f64, f64)], every: f64, of: fn(&Measurement) -> f64| {
        let mut highest = vec![-200.0_f64; 21];
        watch(&tone(stretches), |time, reading| {
            let at = ((time - 0.001) / every) as usize;
            highest[at] = highest[at].max(of(reading));
        });
        highest
    };
    let (slow, fast) = (highest(&slow, 6.0, |r| r.shortterm), highest(&fast, 0.8, |r| r.momentary));
    for i in 0..20 {
        near(slow[i], -38.0 + i as f64, 0.1, &format!("case 11, {i}"));
        near(fast[i], -38.0 + i as f64, 0.1, &format!("case 14, {i}"));
    }
}

/// One second with fades of 10 ms.
fn faded(rate: f64, frame: impl Fn(usize) -> f64) -> Vec<f64> {
    let (frames, fade) = (rate as usize, rate / 100.0);
    let edge = |n: usize| (n.min(frames - 1 - n) as f64 / fade).min(1.0);
    (0..frames).map(|n| edge(n) * frame(n)).collect()
}

#[test]
fn ebu_3341_cases_15_to_19_true_peaks_of_tones() {
    for (case, divider, level, phase, wanted) in [
        (15, 4.0, 0.5, 0.0, -6.0),
        (16, 4.0, 0.5, 45.0, -6.0),
        (17, 6.0, 0.5, 60.0, -6.0),
        (18, 8.0, 0.5, 67.5, -6.0),
        (19, 4.0, 1.41, 45.0, 3.0),
    ] {
        let wave = faded(RATE, |n| level * (TAU * n as f64 / divider + f64::to_radians(phase)).sin());
        let got = measure(&vec![wave; 2]).truepeak;
        assert!((-0.4..=0.2).contains(&(got - wanted)), "case {case}: {got:.3} dBTP, not {wanted}");
    }
}

/// Cases 20 to 23: made at four times the rate, band-limited, and decimated at each of four places.
#[test]
fn ebu_3341_cases_20_to_23_true_peaks_between_the_samples() {
    let rate = 4.0 * RATE;
    // Whole periods of fs/6, one of fs/4 at full scale, fs/6 again.
    let middle = 96_000;
    let raw = faded(rate, |n| match n {
        n if n < middle => 0.5 * (TAU * n as f64 / 24.0).sin(),
        n if n < middle + 16 => (TAU * (n - middle) as f64 / 16.0).sin(),
        n => 0.5 * (TAU * (n - middle - 16) as f64 / 24.0).sin(),
    });
    let taps: Vec<f64> = (-511..=511)
        .map(|t| {
            let t = f64::from(t);
            let window = kaiser(t / 511.0, 10.0);
            let sinc = if t == 0.0 { 0.25 } else { (PI * t / 4.0).sin() / (PI * t) };
            sinc * window
        })
        .collect();
    for (case, offset) in (20..=23).zip(0..) {
        let wave: Vec<f64> = raw
            .windows(taps.len())
            .skip(offset)
            .step_by(4)
            .map(|window| window.iter().zip(&taps).map(|(x, tap)| x * tap).sum())
            .collect();
        let got = measure(&vec![wave; 2]).truepeak;
        assert!((-0.4..=0.2).contains(&got), "case {case}: {got:.3} dBTP, not 0");
    }
}

#[test]
fn ebu_3342_cases_1_to_4_loudness_range() {
    for (case, levels, wanted) in [
        (1, vec![-20.0, -30.0], 10.0),
        (2, vec![-20.0, -15.0], 5.0),
        (3, vec![-40.0, -20.0], 20.0),
        (4, vec![-50.0, -35.0, -20.0, -35.0, -50.0], 15.0),
    ] {
        let stretches: Vec<_> = levels.into_iter().map(|level| (20.0, level)).collect();
        near(measure(&tone(&stretches)).range, wanted, 1.0, &format!("case {case}"));
    }
}

/// ... -1 +1 -1 +1 | +1 -1 +1 -1 ...: the true peak is 4/pi times the sum of 1/(2k+1).
#[test]
fn peaks_between_alternating_samples_are_found() {
    for n in [1, 2, 3, 4, 8] {
        let mut samples = vec![0.0; 4_000];
        for k in 0..n {
            let sign = if k % 2 == 0 { 1.0 } else { -1.0 };
            (samples[2_000 + k], samples[1_999 - k]) = (sign, sign);
        }
        let exact = db(4.0 / PI * (0..n).map(|k| 1.0 / (2 * k + 1) as f64).sum::<f64>());
        near(measure(&vec![samples; 2]).truepeak, exact, 0.05, &format!("N = {n}"));
    }
}

/// A minute of music-like noise: pink, in beats and swells, with a pause.
fn programme(seconds: usize) -> Channels {
    let mut low = [0.0; 2];
    let mut channels = noise(0.0, 77, 2, seconds * 48_000);
    for (samples, low) in channels.iter_mut().zip(&mut low) {
        for (n, x) in samples.iter_mut().enumerate() {
            let time = n as f64 / RATE;
            *low += 0.05 * (*x - *low);
            let beat = (-6.0 * (time * 2.0).fract()).exp();
            let swell = 0.4 + 0.3 * (TAU * time / 17.0).sin();
            let pause = if (20.0..24.0).contains(&time) { 0.001 } else { 1.0 };
            *x = pause * swell * (0.25 * beat * *x + 1.2 * *low);
        }
    }
    channels
}

#[test]
fn programme_reads_as_another_library_reads_it() {
    // Not its range: it looks at the short-term loudness once a second, where EBU Tech 3342 asks for ten times.
    let input = programme(60);
    for (rate, channels) in [(48_000, 2), (44_100, 2), (96_000, 1)] {
        let input: Channels = input[..channels].to_vec();
        let ours = play(f64::from(rate), &input, |_, _| {});
        let mode = ebur128::Mode::all();
        let mut theirs = ebur128::EbuR128::new(channels as u32, rate, mode).unwrap();
        let interleaved: Vec<f64> =
            (0..input[0].len()).flat_map(|n| input.iter().map(move |x| x[n])).collect();
        theirs.add_frames_f64(&interleaved).unwrap();
        near(ours.integrated, theirs.loudness_global().unwrap(), 0.05, "integrated");
        near(
            ours.truepeak,
            db(theirs.true_peak(0).unwrap().max(theirs.true_peak(channels as u32 - 1).unwrap())),
            0.4,
            "true peak",
        );
    }
}

/// Writes a WAV, and gives its path.
fn wav(name: &str, input: &Channels) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}.wav", std::process::id()));
    let mut sink = Sink::create(&path, RATE as u32, input.len(), Depth::Float32).unwrap();
    sink.write(&input.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
    path
}

#[test]
fn programme_reads_as_ffmpeg_reads_it() {
    let input = programme(60);
    let path = wav("ffmpeg", &input);
    let out = Command::new("ffmpeg")
        .args(["-nostats", "-hide_banner", "-i"])
        .arg(&path)
        .args(["-af", "ebur128=peak=true", "-f", "null", "-"])
        .output()
        .unwrap();
    std::fs::remove_file(&path).unwrap();
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    let summary = text.rsplit("Summary:").next().unwrap().to_owned();
    let number = |name: &str| -> f64 {
        let line = summary.lines().find(|line| line.trim().starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    };
    let ours = measure(&input);
    near(ours.integrated, number("I:"), 0.1, "integrated");
    near(ours.range, number("LRA:"), 0.2, "range");
    near(ours.truepeak, number("Peak:"), 0.4, "true peak");
}

#[test]
fn correlation_and_balance_are_those_of_the_phases_and_levels() {
    for (degrees, wanted) in
        [(0.0, 1.0), (45.0, 0.5_f64.sqrt()), (60.0, 0.5), (90.0, 0.0), (120.0, -0.5), (180.0, -1.0)]
    {
        let wave =
            |phase: f64| (0..48_000).map(|n| (TAU * n as f64 / 48.0 + phase).sin()).collect::<Vec<_>>();
        let mut meters = Meters::new(RATE, 2);
        meters.add(&[wave(0.0), wave(f64::to_radians(degrees))]);
        near(meters.measure().correlation, wanted, 0.01, &format!("{degrees} degrees"));
    }
    let mut input = sine(1_000.0, -12.0, RATE, 2, 48_000);
    input[1].iter_mut().for_each(|x| *x *= gain(4.0));
    let mut meters = Meters::new(RATE, 2);
    meters.add(&input);
    near(meters.measure().balance, 4.0, 0.001, "balance");
    let silence = meters.measure();
    assert_eq!((silence.correlation, silence.balance, silence.peak), (0.0, 0.0, -120.0), "nothing since");
}

#[test]
fn levels_dc_and_clips_are_counted() {
    let reading = {
        let mut input = sine(1_000.0, -18.0, RATE, 2, 240_000);
        input[0].iter_mut().for_each(|x| *x += 0.01);
        input[1][100..103].fill(1.0);
        input[1][200..202].fill(1.0);
        input[1][300..320].fill(-1.0);
        let mut meters = Meters::new(RATE, 2);
        meters.add(&input);
        meters.measure()
    };
    near(reading.dc, -40.0, 0.01, "mean");
    assert_eq!(reading.clips, 2.0, "two samples in a row are no clip");
    near(reading.peak, 0.0, 0.001, "peak");
    let reading = {
        let mut meters = Meters::new(RATE, 2);
        meters.add(&sine(1_000.0, -18.0, RATE, 2, 240_000));
        meters.finish();
        meters.measure()
    };
    near(reading.rms, -21.01, 0.01, "RMS");
    near(reading.crest, 3.01, 0.01, "crest");
    near(reading.plr, 0.0, 0.1, "PLR");
    near(reading.psr, 0.0, 0.1, "PSR");
}

#[test]
fn thirds_of_an_octave_have_the_levels_of_their_tones() {
    for freq in [31.5, 100.0, 1_000.0, 5_000.0, 12_500.0] {
        let mut spectrum = Spectrum::new(RATE, 2);
        spectrum.add(&sine(freq, -20.0, RATE, 2, 144_000));
        spectrum.finish();
        let thirds = spectrum.thirds();
        assert_eq!(thirds.len(), 31);
        let (centre, level) = thirds.iter().copied().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        assert!((centre / freq - 1.0).abs() < 0.02, "{freq} Hz is in the band at {centre:.1}");
        near(level, -23.01, 0.1, &format!("{freq} Hz"));
        let far = thirds.iter().filter(|(centre, _)| (centre / freq).log2().abs() > 1.0);
        assert!(far.clone().all(|(_, level)| *level < -80.0), "{freq} Hz: {far:?}");
    }
    // White noise has 3 dB more in each octave; tilted by -3 dB an octave it lies level.
    let mut spectrum = Spectrum::new(RATE, 2);
    spectrum.add(&noise(-10.0, 5, 2, 960_000));
    let curve = spectrum.curve(-3.01);
    let levels: Vec<f64> = curve.iter().filter(|(freq, _)| *freq > 300.0).map(|point| point.1).collect();
    let (low, high) = levels.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    assert!(high - low < 1.5, "{:.2} dB between the lowest and the highest", high - low);
}

#[test]
fn pink_noise_has_as_much_in_each_third_of_an_octave_at_every_rate() {
    use lacquer_tests::rig::Rig;
    for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
        let mut rig = Rig::at(rate, "  - noise: {colour: pink, level: -20 dB, channels: 2}\n");
        let out = rig.play(&vec![vec![0.0; 40 * rate as usize]; 2]);
        let mut spectrum = Spectrum::new(rate, 2);
        spectrum.add(&out);
        // Below 100 Hz chance alone is some tenths of a dB.
        let levels: Vec<f64> =
            spectrum.thirds().iter().filter(|band| band.0 > 100.0).map(|band| band.1).collect();
        let (low, high) =
            levels.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
        assert!(high - low < 0.9, "{rate} Hz: {:.2} dB between the lowest and the highest", high - low);
    }
}

#[test]
fn the_command_prints_a_table_json_and_a_picture() {
    let path = wav("command", &tone(&[(10.0, -23.0)]));
    let picture = path.with_extension("svg");
    let run = |args: &[&str]| {
        let out = lacquer(&[&["meter", path.to_str().unwrap()], args].concat());
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let table = run(&[]);
    assert!(table.contains("integrated loudness      -23.0 LUFS"), "{table}");
    assert!(table.contains("true peak                -23.0 dBTP"), "{table}");
    assert!(table.contains("shorter than a minute"), "{table}");
    let json: serde_json::Value = serde_json::from_str(&run(&["--json"])).unwrap();
    for key in ["integrated", "momentary", "shortterm", "truepeak"] {
        near(json[key].as_f64().unwrap(), -23.0, 0.1, key);
    }
    assert_eq!(json["thirds"].as_array().unwrap().len(), 31);
    assert_eq!(json["overtime"]["momentary_shortterm"].as_array().unwrap().len(), 100);
    near(json["histogram"][0]["loudness"].as_f64().unwrap(), -23.0, 0.1, "histogram");
    run(&["--plot", picture.to_str().unwrap()]);
    let svg = std::fs::read_to_string(&picture).unwrap();
    assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && svg.contains(">-23.0<"));
    let (opened, closed) = (svg.matches("<text").count(), svg.matches("</text>").count());
    assert!(opened == closed && svg.matches("<polyline").count() == 3 && !svg.contains("NaN"));
    assert_eq!(json["warnings"], serde_json::json!([]));
    // A picture that is there stays, but by force, and what is measured stays for ever.
    let asks = |args: &[&str]| {
        let out = lacquer(&[&["meter", path.to_str().unwrap()], args].concat());
        (out.status.code(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    std::fs::write(&picture, "precious").unwrap();
    let (code, said) = asks(&["--plot", picture.to_str().unwrap()]);
    assert!(code == Some(2) && said.starts_with(&format!("{}: exists; ", picture.display())), "{said}");
    assert_eq!(std::fs::read(&picture).unwrap(), b"precious");
    assert_eq!(asks(&["--force", "--plot", picture.to_str().unwrap()]).0, Some(0));
    assert!(std::fs::read_to_string(&picture).unwrap() == svg);
    let (code, said) = asks(&["--force", "--plot", path.to_str().unwrap()]);
    assert!(code == Some(2) && said.contains("the output is also an input, which"), "{said}");
    std::fs::remove_file(&path).unwrap();
    std::fs::remove_file(&picture).unwrap();
}

#[test]
fn the_command_measures_what_is_there_of_a_file_that_is_cut_off() {
    let path = wav("cut", &tone(&[(3.0, -23.0), (3.0, -43.0)]));
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let run = |args: &[&str]| lacquer(&[&["meter", path.to_str().unwrap()], args].concat());
    let out = run(&["--json"]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(0), "{said}");
    let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
    near(json["integrated"].as_f64().unwrap(), -23.0, 0.1, "of what is there");
    near(json["seconds"].as_f64().unwrap(), 3.0, 0.01, "seconds");
    let [warning] = &json["warnings"].as_array().unwrap()[..] else { panic!("{json}") };
    assert_eq!(said, format!("{}\n", warning.as_str().unwrap()));
    assert!(said.starts_with(path.to_str().unwrap()) && said.contains("ends after 3.0 s of 6.0 s"), "{said}");
    let out = run(&["--json", "--strict"]);
    assert!(out.status.code() == Some(1) && out.stdout.is_empty());
    std::fs::remove_file(&path).unwrap();
}

#[test]
fn the_command_refuses_what_it_cannot_read_or_write() {
    let fails = |args: &[&str], code: i32, word: &str| {
        let out = lacquer(&[&["meter"], args].concat());
        let text = String::from_utf8_lossy(&out.stderr).into_owned();
        assert!(out.status.code() == Some(code) && text.contains(word), "{:?}: {text}", out.status);
    };
    fails(&["/nowhere/at/all.wav"], 1, "all.wav: cannot be opened");
    fails(&["--jason"], 2, "--jason");
    let path = wav("unwritable", &tone(&[(1.0, -23.0)]));
    fails(&[path.to_str().unwrap(), "--plot", "/nowhere/at/all.svg"], 3, "cannot be written");
    std::fs::remove_file(&path).unwrap();
}
