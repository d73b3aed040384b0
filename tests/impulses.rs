//! Impulses from files: every format, rate and number of channels comes out as the same filter, and what is no impulse is
//! told in words.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::media::{Depth, Sink};
use lacquer::station::impulses::{cached_loader, loader};
use lacquer_graph::file::spec::Spec;
use lacquer_graph::param::text::Data;
use lacquer_tests::daemon::{Folder, lacquer};
use lacquer_tests::signal::{Channels, db, noise};
use std::f64::consts::TAU;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

const RATE: f64 = 48_000.0;

/// A room: direct sound at 2 ms, then noise that decays.
fn room(channels: usize, rate: f64, seconds: f64) -> Channels {
    let mut room = noise(-20.0, 5, channels, (seconds * rate) as usize);
    for samples in &mut room {
        let first = (0.002 * rate) as usize;
        for (at, sample) in samples.iter_mut().enumerate() {
            *sample *= if at < first { 0.0 } else { (-(at as f64) / (0.02 * rate)).exp() };
        }
        samples[first] = 0.7;
    }
    room
}

fn write(path: &Path, rate: f64, depth: Depth, planes: &Channels) {
    let mut sink = Sink::create(path, rate as u32, planes.len(), depth).unwrap();
    sink.write(&planes.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
}

fn load(folder: &Folder, name: &str) -> Result<Channels, String> {
    let data = loader(&folder.0, &Spec::default())(name, RATE).map_err(|why| why.to_string())?;
    match &*data {
        Data::Impulse(impulse) => Ok(impulse.channels.clone()),
        Data::Profile(_) => panic!("an impulse"),
    }
}

/// Magnitude at `hz` in dB.
fn response_db(impulse: &[f64], rate: f64, hz: f64) -> f64 {
    let (mut re, mut im) = (0.0, 0.0);
    for (at, sample) in impulse.iter().enumerate() {
        let (sin, cos) = (TAU * hz * at as f64 / rate).sin_cos();
        (re, im) = (re + sample * cos, im + sample * sin);
    }
    10.0 * (re * re + im * im).log10()
}

/// Largest difference of the responses up to 20 kHz, in dB.
fn difference_db(a: (&[f64], f64), b: (&[f64], f64)) -> f64 {
    let points = (0..200).map(|at| 20.0 * 1_000.0_f64.powf(f64::from(at) / 199.0));
    points.map(|hz| (response_db(a.0, a.1, hz) - response_db(b.0, b.1, hz)).abs()).fold(0.0, f64::max)
}

#[test]
fn every_audio_format_is_read_to_the_last_bit_of_it() {
    let folder = Folder::new("impulse-formats");
    for (name, depth, bits) in [
        ("16.wav", "16", 16),
        ("24.wav", "24", 24),
        ("32.wav", "32", 32),
        ("f32.wav", "f32", 25),
        ("f64.wav", "f64", 64),
        ("16.flac", "16", 16),
        ("24.flac", "24", 24),
    ] {
        for channels in [1, 2, 4] {
            let room = room(channels, RATE, 0.1);
            let name = format!("{channels}-{name}");
            write(&folder.at(&name), RATE, depth.parse().unwrap(), &room);
            let read = load(&folder, &name).unwrap();
            assert_eq!((read.len(), read[0].len()), (channels, room[0].len()), "{name}");
            let step = 2.0_f64.powi(1 - bits);
            for (a, b) in room.iter().flatten().zip(read.iter().flatten()) {
                assert!((a - b).abs() <= step, "{name}: {a} {b}");
            }
        }
    }
}

#[test]
fn an_impulse_of_another_rate_is_the_same_filter() {
    let folder = Folder::new("impulse-rates");
    for rate in [44_100.0, 88_200.0, 96_000.0, 192_000.0] {
        let own = room(2, rate, 0.1);
        write(&folder.at("room.wav"), rate, Depth::Float64, &own);
        let read = load(&folder, "room.wav").unwrap();
        let worst = (0..2).map(|at| difference_db((&own[at], rate), (&read[at], RATE))).fold(0.0, f64::max);
        // What is silent before the direct sound stays so, and that sound in its place.
        let highest = |samples: &[f64]| (0..samples.len()).max_by(|a, b| samples[*a].total_cmp(&samples[*b]));
        let place = highest(&read[0]).unwrap() as f64 / RATE - 0.002;
        println!("{rate} Hz: within {worst:.5} dB up to 20 kHz; {:.1} us off", place * 1e6);
        assert!(worst < 0.01, "{rate}: {worst} dB");
        assert!(place.abs() <= 1.0 / 44_100.0, "{rate}: {place} s");
    }
    // A filter that begins at once is whole too: it begins within 1.5 ms.
    write(&folder.at("unit.wav"), 44_100.0, Depth::Float64, &vec![vec![0.5]]);
    let unit = &load(&folder, "unit.wav").unwrap()[0];
    let (flat, length) = (difference_db((&[0.5], 44_100.0), (unit, RATE)), unit.len() as f64 / RATE);
    println!("a single sample: flat within {flat:.5} dB");
    assert!(flat < 0.01 && length < 0.003, "{flat} dB, {length} s");
}

#[test]
fn coefficients_of_fir_filters_are_read() {
    let folder = Folder::new("impulse-coefficients");
    let taps = [0.5, -0.25, 1.0e-3, 0.0];
    let bytes = |of: &dyn Fn(f64) -> Vec<u8>| taps.iter().flat_map(|tap| of(*tap)).collect::<Vec<u8>>();
    for name in ["a.raw", "a.f32"] {
        fs::write(folder.at(name), bytes(&|tap| (tap as f32).to_le_bytes().to_vec())).unwrap();
        assert_eq!(load(&folder, name).unwrap(), [taps.map(|tap| f64::from(tap as f32)).to_vec()]);
    }
    for name in ["a.f64", "A.DBL"] {
        fs::write(folder.at(name), bytes(&|tap| tap.to_le_bytes().to_vec())).unwrap();
        assert_eq!(load(&folder, name).unwrap(), [taps.to_vec()]);
    }
    let text = "# a filter\r\n; sample rate: 48000 Hz\r\n\r\n0.5\r\n -0.25 // second\r\n1e-3\r\n0\r\n";
    folder.write("a.txt", text);
    assert_eq!(load(&folder, "a.txt").unwrap(), [taps.to_vec()]);
    folder.write("two.txt", "0.5 0.25\n-0.25\t0.125\n");
    assert_eq!(load(&folder, "two.txt").unwrap(), [[0.5, -0.25], [0.25, 0.125]]);
    // As REW exports it: words and numbers before the samples, the rate by its interval.
    let header = "Impulse Response data saved by REW\nIR is not normalised\n0.4 // Peak value\n4 // Response length\n\
                  2.2675736961451248E-5 // Sample interval (seconds)\n0.0 // Start time (seconds)\n* Data start\n";
    let ring: Vec<f64> = room(1, 44_100.0, 0.05).remove(0);
    let lines: String = ring.iter().map(|tap| format!("{tap:e}\n")).collect();
    folder.write("rew.txt", &format!("{header}{lines}"));
    let read = load(&folder, "rew.txt").unwrap();
    let difference = difference_db((&ring, 44_100.0), (&read[0], RATE));
    assert!(difference < 0.01, "{difference} dB");
}

#[test]
fn what_is_no_impulse_is_told() {
    let folder = Folder::new("impulse-errors");
    let told = |name: &str| load(&folder, name).unwrap_err();
    write(&folder.at("hall.wav"), RATE, Depth::Float32, &room(2, RATE, 0.01));
    assert_eq!(told("hal.wav"), "no such file, did you mean \"hall.wav\"?");
    assert_eq!(told("rooms/hall.wav"), "no such file");
    assert_eq!(told("."), "a folder, not a file");
    write(&folder.at("three.wav"), RATE, Depth::Float32, &room(3, RATE, 0.01));
    assert_eq!(told("three.wav"), "it has 3 channels; an impulse has 1, 2, or 4 (true stereo: LL LR RL RR)");
    let ten = (10.0 * RATE) as usize;
    write(&folder.at("ten.wav"), RATE, Depth::Float32, &vec![vec![0.1; ten]]);
    assert_eq!(load(&folder, "ten.wav").unwrap()[0].len(), ten);
    write(&folder.at("long.wav"), RATE, Depth::Float32, &vec![vec![0.1; ten + 4_800]]);
    let long = "it is 10.1 s long; at most 10 s are convolved: cut it";
    assert_eq!(told("long.wav"), long);
    fs::write(folder.at("long.raw"), vec![0; 4 * (ten + 4_800)]).unwrap();
    assert_eq!(told("long.raw"), long);
    folder.write("long.txt", &"0.1\n".repeat(ten + 4_800));
    assert_eq!(told("long.txt"), "longer than 10 s; shorten it");
    // At 10 s of a higher rate there is room for all of it.
    write(&folder.at("high.wav"), 96_000.0, Depth::Float32, &vec![vec![0.001; 960_000]]);
    assert_eq!(load(&folder, "high.wav").unwrap()[0].len(), ten);
    write(&folder.at("cut.wav"), RATE, Depth::Float32, &room(2, RATE, 0.1));
    let whole = fs::read(folder.at("cut.wav")).unwrap();
    fs::write(folder.at("cut.wav"), &whole[..whole.len() / 2]).unwrap();
    assert!(told("cut.wav").contains("get a complete copy"), "{}", told("cut.wav"));
    folder.write("notes.txt", &("# sample rate: 1000\n".to_owned() + &"# a note\n".repeat(200_000)));
    assert_eq!(told("notes.txt"), "more than 1345536 bytes, too many for 10 s; shorten it");
    folder.write("bad.txt", "0.5\nhalf\n");
    assert_eq!(told("bad.txt"), "line 2: not a number");
    folder.write("nan.txt", "0.5\nNaN\n");
    assert_eq!(told("nan.txt"), "line 2: not a number");
    folder.write("comma.txt", "0,5\n");
    assert_eq!(told("comma.txt"), "line 1: not a number");
    folder.write("ragged.txt", "0.5 0.5\n0.5\n");
    assert_eq!(told("ragged.txt"), "line 2: 1 numbers, but the first line has 2");
    folder.write("empty.txt", "# nothing\n");
    assert_eq!(told("empty.txt"), "it is empty");
    folder.write("odd.raw", "12345");
    assert_eq!(told("odd.raw"), "5 bytes, not a whole number of 32-bit samples");
    folder.write("codes.txt", "32767\n-1200\n");
    assert!(told("codes.txt").contains("1.0 is full scale"), "{}", told("codes.txt"));
    folder.write("nan.f32", "\u{0}");
    fs::write(folder.at("nan.f32"), f32::NAN.to_le_bytes()).unwrap();
    assert_eq!(told("nan.f32"), "frame 0 is not a finite number");
    folder.write("words.wav", "no audio at all");
    assert!(told("words.wav").contains("not a supported audio file"));
    fs::write(folder.at("binary.txt"), [0xff, 0xfe, 0, 1]).unwrap();
    assert_eq!(told("binary.txt"), "not a text file");
}

#[test]
fn only_the_chain_file_itself_names_impulses_outside_its_folder() {
    let outside = Folder::new("impulse-outside");
    write(&outside.at("hall.wav"), RATE, Depth::Float32, &room(1, RATE, 0.01));
    let folder = Folder::new("impulse-links");
    fs::create_dir(folder.at("rooms")).unwrap();
    write(&folder.at("rooms/hall.wav"), RATE, Depth::Float32, &room(1, RATE, 0.01));
    let link = |to: &Path, name: &str| symlink(to, folder.at(name)).unwrap();
    link(Path::new("hall.wav"), "rooms/within.wav");
    link(&folder.at("rooms/hall.wav"), "absolute.wav");
    link(&outside.at("hall.wav"), "rooms/link.wav");
    link(&outside.0, "rooms/outside");
    link(&outside.at("nothing.wav"), "rooms/nowhere.wav");
    link(Path::new("/proc/self/mem"), "rooms/mem.wav");
    for name in ["rooms/hall.wav", "rooms/within.wav", "absolute.wav", "./rooms/hall.wav"] {
        assert!(load(&folder, name).is_ok(), "{name}: {:?}", load(&folder, name));
    }
    let above = format!("../{}/hall.wav", outside.0.file_name().unwrap().to_string_lossy());
    let whole = outside.at("hall.wav").to_string_lossy().into_owned();
    let leads_out = [
        "rooms/link.wav",
        "rooms/outside/hall.wav",
        "rooms/outside/hal.wav",
        "rooms/outside/no/hall.wav",
        "rooms/nowhere.wav",
        "rooms/mem.wav",
        &above,
        &whole,
    ];
    for name in leads_out {
        assert_eq!(
            load(&folder, name).unwrap_err(),
            "the path leads out of the chain file's folder",
            "{name}"
        );
    }
    assert_eq!(load(&folder, "rooms/hal.wav").unwrap_err(), "no such file, did you mean \"hall.wav\"?");
    assert_eq!(load(&folder, "no/hall.wav").unwrap_err(), "no such file");
    for name in ["rooms/link.wav", &above, &whole] {
        let chain = format!("nodes: [{{convolver: {{id: room, impulse: \"{name}\"}}}}]");
        let (file, mistakes) = Spec::parse(chain.as_bytes());
        assert!(mistakes.is_empty(), "{mistakes:?}");
        assert!(loader(&folder.0, &file)(name, RATE).is_ok(), "{name}");
    }
}

#[test]
fn a_file_is_read_again_only_when_it_has_changed() {
    let folder = Folder::new("impulse-kept");
    let get = || loader(&folder.0, &Spec::default())("a.wav", RATE).unwrap();
    write(&folder.at("a.wav"), RATE, Depth::Float32, &vec![vec![0.5; 10]]);
    let first = get();
    assert!(Arc::ptr_eq(&first, &get()), "kept");
    write(&folder.at("a.wav"), RATE, Depth::Float32, &vec![vec![0.25; 11]]);
    let second = get();
    assert_ne!(first, second);
    fs::remove_file(folder.at("a.wav")).unwrap();
    assert_eq!(loader(&folder.0, &Spec::default())("a.wav", RATE).unwrap_err().to_string(), "no such file");
    let again = cached_loader(&folder.0, &Spec::default())("a.wav", RATE).unwrap();
    assert!(Arc::ptr_eq(&second, &again), "what played can go on when the audio server comes back");
    assert!(cached_loader(&folder.0, &Spec::default())("a.wav", 44_100.0).is_err(), "at its rate alone");
}

#[test]
fn check_names_the_line_of_a_missing_impulse() {
    let folder = Folder::new("impulse-check");
    write(&folder.at("hall.wav"), RATE, Depth::Float32, &room(2, RATE, 0.01));
    let chain = folder.write("chain.yaml", "nodes:\n  - convolver: {id: room, impulse: hal.wav}\n");
    let out = lacquer(&["check", chain.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(1));
    let told = String::from_utf8_lossy(&out.stderr).into_owned();
    let wanted = "chain.yaml:2:36: convolver \"room\": impulse = \"hal.wav\": no such file, did you mean \"hall.wav\"?";
    assert!(told.contains(wanted), "{told}");
}

#[test]
fn render_plays_through_an_impulse_beside_the_chain_file() {
    let folder = Folder::new("impulse-render");
    write(&folder.at("half.wav"), RATE, Depth::Float32, &vec![vec![0.5]]);
    let input = noise(-6.0, 9, 2, 4_800);
    write(&folder.at("in.wav"), RATE, Depth::Float64, &input);
    let chain = folder.write("chain.yaml", "nodes:\n  - convolver: {impulse: half.wav}\n");
    let args = ["render", "--bits", "f64", "--chain"].map(str::to_owned);
    let paths = [chain, folder.at("in.wav"), folder.at("out.wav")].map(|path| path.display().to_string());
    let args: Vec<String> = args.into_iter().chain(paths).collect();
    let out = lacquer(&args.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let output = load(&folder, "out.wav").unwrap();
    let residue = input.iter().flatten().zip(output.iter().flatten());
    let residue = residue.map(|(a, b)| (0.5 * a - b).abs()).fold(0.0, f64::max);
    assert!(db(residue) < -140.0, "{} dB", db(residue));
}

#[test]
fn impulses_of_other_programs_are_read() {
    let folder = Folder::new("impulse-ffmpeg");
    let room = room(2, RATE, 0.1);
    write(&folder.at("room.wav"), RATE, Depth::Float64, &room);
    for (name, codec) in
        [("a.wav", "pcm_s24le"), ("b.wav", "pcm_f32le"), ("c.flac", "flac"), ("d.aiff", "pcm_s24be")]
    {
        let done = Command::new("ffmpeg")
            .args(["-v", "error", "-i", "room.wav", "-c:a", codec, name])
            .current_dir(&folder.0)
            .status()
            .expect("ffmpeg, as make test installs it");
        assert!(done.success());
        let read = load(&folder, name).unwrap();
        let worst =
            room.iter().flatten().zip(read.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        assert!(worst < 2.0_f64.powi(-15), "{name}: {worst}");
    }
}
