//! FLAC as the reference makes it: as small, within what it takes to stream, and true in all it states.

use std::f64::consts::TAU;
use std::fs;
use std::process::Command;

use lacquer::audio::backend::demo_signal::Programme;
use lacquer::media::Depth::{self, Int16, Int24};
use lacquer_tests::signal::{Channels, gain, noise, silence, sine};

use super::{Folder, ffmpeg, read, run, write};

/// A file to compare: what is in it, rate, depth, audio.
type Case = (String, u32, Depth, Channels);

/// Noise that falls by 3 dB an octave, by Kellet's filter.
fn pink(level_db: f64, seed: u64, channels: usize, frames: usize) -> Channels {
    let filter = |white: Vec<f64>| {
        let mut low = [0.0; 3];
        let filtered = white.into_iter().map(|x| {
            low[0] = 0.99765 * low[0] + x * 0.0990460;
            low[1] = 0.96300 * low[1] + x * 0.2965164;
            low[2] = 0.57000 * low[2] + x * 1.0526913;
            0.25 * (low.iter().sum::<f64>() + x * 0.1848)
        });
        filtered.collect()
    };
    noise(level_db, seed, channels, frames).into_iter().map(filter).collect()
}

/// The made programme from `skip` seconds on, on any number of channels.
fn programme(skip: f64, level_db: f64, rate: u32, channels: usize, frames: usize) -> Channels {
    let mut programme = Programme::new(f64::from(rate));
    for _ in 0..(skip * f64::from(rate)) as usize {
        programme.frame();
    }
    let stereo: Vec<[f64; 2]> = (0..frames).map(|_| programme.frame()).collect();
    let level = |channel: usize| gain(level_db) / channel.max(1) as f64;
    (0..channels).map(|c| stereo.iter().map(|frame| level(c) * frame[c % 2]).collect()).collect()
}

fn plane(frames: usize, sample: impl Fn(usize) -> f64) -> Vec<f64> {
    (0..frames).map(sample).collect()
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = Vec::new();
    let mut add = |what: &str, rate: u32, depth: Depth, planes: Channels| {
        cases.push((what.into(), rate, depth, planes));
    };
    for (level, depth) in
        [(0.0, Int24), (0.0, Int16), (-20.0, Int24), (-60.0, Int24), (-60.0, Int16), (-100.0, Int24)]
    {
        add(&format!("white noise at {level} dB"), 44_100, depth, noise(level, 1, 2, 22_050));
    }
    for (level, channels, depth) in [(0.0, 2, Int24), (0.0, 2, Int16), (-40.0, 1, Int24)] {
        add(&format!("pink noise at {level} dB"), 48_000, depth, pink(level, 2, channels, 48_000));
    }
    add("pink noise", 96_000, Int24, pink(0.0, 5, 5, 24_000));
    add("white noise", 88_200, Int16, noise(-10.0, 5, 3, 22_050));
    let white = noise(0.0, 3, 1, 22_050).remove(0);
    let sign = |at: usize, above: f64| if white[at] > above { 1.0 } else { -1.0 };
    for depth in [Int24, Int16] {
        let step = |at: usize, to: &dyn Fn(usize) -> f64| plane(22_050, |t| if t < at { 0.0 } else { to(t) });
        add("step to full scale", 44_100, depth, vec![step(13_000, &|_| 1.0); 2]);
        add(
            "step to noise",
            44_100,
            depth,
            vec![step(9000, &|t| white[t]), step(9999, &|t| white[22_049 - t])],
        );
        add("step to a sine", 44_100, depth, vec![step(9000, &|t| (t as f64 * 0.1).cos()); 2]);
        add(
            "step to either end",
            44_100,
            depth,
            vec![step(9000, &|t| sign(t, 0.0)), step(9000, &|t| sign(t, 0.3))],
        );
        let clap = |t: usize| (-((t % 11_025) as f64) / 700.0).exp() + 1e-4;
        add(
            "claps",
            44_100,
            depth,
            vec![plane(22_050, |t| white[t] * clap(t)), plane(22_050, |t| sign(t, 0.0) * clap(t))],
        );
        let pulse = |height: f64| plane(22_050, |t| if t % 5000 == 17 { height } else { 0.0 });
        add("pulses", 44_100, depth, vec![pulse(1.0), pulse(-1.0)]);
        add("sine of 997 Hz", 44_100, depth, sine(997.0, -1.0, 44_100.0, 2, 22_050));
        add(
            "square of 100 Hz",
            44_100,
            depth,
            vec![plane(22_050, |t| if t / 220 % 2 == 0 { 0.7 } else { -0.7 })],
        );
        let turns = |sign: f64| plane(22_050, |t| if t % 2 == 0 { sign } else { -sign });
        add("square of half the rate", 44_100, depth, vec![turns(1.0), turns(-1.0)]);
        add("programme", 48_000, depth, programme(5.5, 0.0, 48_000, 2, 48_000));
        add("programme", 48_000, depth, programme(5.5, 0.0, 48_000, 8, 12_000));
        add("programme", 192_000, depth, programme(1.0, 0.0, 192_000, 2, 24_000));
    }
    add("silence", 44_100, Int24, silence(2, 220_500));
    add("silence", 44_100, Int16, silence(8, 44_100));
    add("constant", 44_100, Int24, vec![vec![0.3; 44_100]; 2]);
    add("sine of 50 Hz", 192_000, Int24, sine(50.0, 0.0, 192_000.0, 2, 48_000));
    add("sine of 15 kHz", 48_000, Int24, sine(15_000.0, -3.0, 48_000.0, 1, 24_000));
    let three = |t: usize| {
        [(0.4, 0.02), (0.4, 0.023), (1e-4, 1.1)].iter().map(|(a, w)| a * (t as f64 * w).sin()).sum()
    };
    add("three sines", 48_000, Int24, vec![plane(24_000, three); 2]);
    // From 20 Hz over ten octaves in half a second.
    let sweep = |t: usize| 0.9 * (TAU * 20.0 / 13.86 * ((t as f64 / 48_000.0 * 13.86).exp() - 1.0)).sin();
    add("sweep", 48_000, Int24, vec![plane(24_000, sweep); 2]);
    add("programme, quiet", 48_000, Int24, programme(5.5, -40.0, 48_000, 2, 24_000));
    add("programme", 384_000, Int24, programme(1.0, 0.0, 384_000, 2, 24_000));
    add("programme", 8_000, Int16, programme(5.5, 0.0, 8_000, 1, 16_000));
    add("programme", 47_999, Int24, programme(5.5, 0.0, 47_999, 2, 24_000));
    let music = programme(5.5, 0.0, 48_000, 2, 24_000);
    let each =
        |f: fn(f64) -> f64| music.iter().map(|samples| samples.iter().map(|x| f(*x)).collect()).collect();
    add("16 bits in 24", 48_000, Int24, each(|x| (x * 32_768.0).round() / 32_768.0));
    add("both channels the same", 48_000, Int24, vec![music[0].clone(); 2]);
    add("one the other's opposite", 48_000, Int24, vec![music[0].clone(), each(|x| -x)[0].clone()]);
    for frames in [1, 2, 4, 5, 12, 13, 15, 16, 17, 31, 100, 4095, 4096, 4097, 8200] {
        let short: Channels = music.iter().map(|samples| samples[..frames].to_vec()).collect();
        add(&format!("programme of {frames} frames"), 48_000, Int24, short);
        add(&format!("noise of {frames} frames"), 48_000, Int16, noise(0.0, 9, 1, frames));
    }
    cases
}

/// The codes that stand for the samples, as bytes.
fn codes(planes: &Channels, depth: Depth) -> Vec<u8> {
    let full = f64::from(1_u32 << (depth.bits() - 1));
    let code = |sample: f64| (sample * full).round().clamp(-full, full - 1.0) as i32;
    let frames = (0..planes[0].len()).flat_map(|t| planes.iter().map(move |plane| code(plane[t])));
    frames.flat_map(|code| code.to_le_bytes().into_iter().take(depth.bits() as usize / 8)).collect()
}

#[test]
fn flac_is_as_small_as_the_reference_makes_it() {
    let folder = Folder::new("sizes");
    let cases = cases();
    assert!(cases.len() >= 30);
    fs::create_dir(folder.at("ours")).unwrap();
    let names = |extension: &str| (0..cases.len()).map(|n| format!("{n}.{extension}")).collect::<Vec<_>>();
    let command = |tool: &str, options: &[&str], files: &[String]| {
        let files = files.iter().map(String::as_str);
        run(tool, &options.iter().copied().chain(files).collect::<Vec<_>>(), &folder);
    };
    let ours: Vec<String> = names("flac").iter().map(|name| format!("ours/{name}")).collect();
    for (n, (_, rate, depth, planes)) in cases.iter().enumerate() {
        write(&folder.at(&format!("{n}.wav")), *rate, *depth, planes).unwrap();
        write(&folder.at(&ours[n]), *rate, *depth, planes).unwrap();
    }
    command("flac", &["-5", "-s", "-f", "--lax", "--no-padding", "--no-seektable"], &names("wav"));
    // Tags are not audio.
    command("metaflac", &["--remove-all", "--dont-use-padding"], &names("flac"));
    // The checksum of all samples, among others.
    command("flac", &["-t", "-s", "--warnings-as-errors"], &ours);
    let mut decode: Vec<String> = ours.iter().flat_map(|name| ["-i".into(), name.clone()]).collect();
    for (n, (_, _, depth, _)) in cases.iter().enumerate() {
        let kind = format!("s{}le", depth.bits());
        decode.extend(["-map".into(), format!("{n}:a"), "-c:a".into(), format!("pcm_{kind}")]);
        decode.extend(["-f".into(), kind, format!("{n}.raw")]);
    }
    ffmpeg(&decode.iter().map(String::as_str).collect::<Vec<_>>(), &folder);
    for (n, (what, rate, depth, planes)) in cases.iter().enumerate() {
        let size = |name: &str| fs::metadata(folder.at(name)).unwrap().len();
        let (theirs, ours) = (size(&format!("{n}.flac")), size(&ours[n]));
        let more = 100.0 * (ours as f64 / theirs as f64 - 1.0);
        let about = format!("{what}, {depth} bits, {} channels at {rate} Hz", planes.len());
        println!("{about}: {theirs} bytes by flac -5, {ours} here, {more:+.1} %");
        assert!(more <= 5.0, "{about}: {theirs} bytes by flac -5, {ours} here");
        assert!(fs::read(folder.at(&format!("{n}.raw"))).unwrap() == codes(planes, *depth), "{about}");
    }
}

#[test]
fn a_flac_says_what_it_holds() {
    let folder = Folder::new("says");
    let says = |what: &str| {
        let done = Command::new("metaflac").args([what, "a.flac"]).current_dir(&folder.0).output().unwrap();
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    for (rate, depth, channels, frames) in
        [(48_000, Int24, 2, 30_000), (192_000, Int16, 6, 4096), (47_999, Int24, 1, 17), (8000, Int16, 8, 0)]
    {
        let planes = programme(5.5, 0.0, rate, channels, frames);
        write(&folder.at("a.flac"), rate, depth, &planes).unwrap();
        assert_eq!(says("--show-sample-rate"), rate.to_string());
        assert_eq!(says("--show-bps"), depth.to_string());
        assert_eq!(says("--show-channels"), channels.to_string());
        assert_eq!(says("--show-total-samples"), frames.to_string());
        assert_eq!(
            (says("--show-min-blocksize"), says("--show-max-blocksize")),
            ("4096".into(), "4096".into())
        );
        // Each frame, as the reference decoder finds it.
        run("flac", &["-a", "-s", "-f", "a.flac"], &folder);
        let text = fs::read_to_string(folder.at("a.ana")).unwrap();
        let sizes: Vec<u64> = text
            .split_whitespace()
            .filter_map(|word| word.strip_prefix("bits="))
            .map(|bits| bits.parse::<u64>().unwrap() / 8)
            .collect();
        assert_eq!(sizes.len(), frames.div_ceil(4096));
        let (least, most) = (sizes.iter().min().unwrap_or(&0), sizes.iter().max().unwrap_or(&0));
        assert_eq!(
            (says("--show-min-framesize"), says("--show-max-framesize")),
            (least.to_string(), most.to_string())
        );
        assert_eq!(fs::metadata(folder.at("a.flac")).unwrap().len(), 42 + sizes.iter().sum::<u64>());
        // Of a file without frames it warns that no length is stated: 0 stands for that.
        let strict = if frames > 0 { "--warnings-as-errors" } else { "--silent" };
        run("flac", &["-t", "-s", strict, "a.flac"], &folder);
        let codes = codes(&planes, depth);
        fs::write(folder.at("a.raw"), &codes).unwrap();
        let sum = Command::new("md5sum").arg("a.raw").current_dir(&folder.0).output().unwrap();
        assert!(String::from_utf8(sum.stdout).unwrap().starts_with(&says("--show-md5sum")));
        if frames > 0 {
            assert_eq!(read(&folder.at("a.flac")).unwrap().1, Some(frames as u64));
        }
    }
}
