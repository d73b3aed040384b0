//! `lacquer render`: the same engine on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::files::{Depth, Sink, Source};
use lacquer_tests::daemon::{Folder, lacquer, root};
use lacquer_tests::rig::Rig;
use lacquer_tests::signal::{Channels, bursts, db, distance, noise, peak, true_peak};
use std::path::Path;
use std::process::Command;

fn write(path: &Path, rate: u32, depth: Depth, signal: &Channels) {
    let mut sink = Sink::create(path, rate, signal.len(), depth).unwrap();
    let planes: Vec<&[f64]> = signal.iter().map(Vec::as_slice).collect();
    sink.write(&planes).unwrap();
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

fn render(chain: &str, more: &[&str], input: &Path, output: &Path) -> std::process::Output {
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    lacquer(&[&["render", "--chain", chain], more, &[input, output]].concat())
}

#[test]
fn the_output_lines_up_with_the_input_and_is_as_long() {
    let folder = Folder::new("render-line-up");
    let chain = folder.write("c.yaml", "nodes:\n  - limiter: {lookahead: 10 ms}\n  - limiter: {id: again}\n");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    for (rate, frames) in [(44_100, 50_001), (48_000, 1), (96_000, 4_096), (192_000, 100_000)] {
        let signal = noise(-20.0, 1, 2, frames);
        write(&input, rate, Depth::Float64, &signal);
        let out = render(chain.to_str().unwrap(), &["--bits", "f64"], &input, &output);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert!(out.stdout.is_empty() && out.stderr.is_empty(), "a pipe is left alone");
        assert_eq!(read(&output), signal, "{frames} frames at {rate} Hz");
    }
}

#[test]
fn a_file_sounds_as_the_daemon_does() {
    let folder = Folder::new("render-same");
    let nodes = "  - eq: {id: e, bands: [{freq: 300 Hz, gain: 5 dB}]}\n  - compressor: {id: c, threshold: -30 dB}\n  - limiter: {id: l, ceiling: -6 dBTP}\n";
    let chain = folder.write("c.yaml", &format!("nodes:\n{nodes}"));
    let signal = bursts(2, 2, 30_000);
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    write(&input, 48_000, Depth::Float64, &signal);
    assert!(render(chain.to_str().unwrap(), &["--bits", "f64"], &input, &output).status.success());
    let mut rig = Rig::of(nodes);
    let latency = rig.latency();
    let live = rig.play(&signal);
    let rendered = read(&output);
    for (live, rendered) in live.iter().zip(&rendered) {
        assert_eq!(live[latency..], rendered[..30_000 - latency], "bit for bit");
    }
}

#[test]
fn every_format_goes_in_and_wav_and_flac_come_out() {
    let folder = Folder::new("render-formats");
    let wav = folder.0.join("in.wav");
    let signal = lacquer_tests::signal::sine(997.0, -12.0, 44_100.0, 2, 44_100);
    write(&wav, 44_100, Depth::Int24, &signal);
    for name in ["in.flac", "in.mp3", "in.ogg", "in.m4a", "in.aac"] {
        let path = folder.0.join(name);
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-i"])
            .arg(&wav)
            .args(if name.ends_with("ogg") { &["-c:a", "libvorbis"][..] } else { &[] })
            .arg(&path)
            .status();
        assert!(made.expect("ffmpeg: installed by make test").success());
    }
    let chain = root().join("configs/chains/transparent.yaml");
    for name in ["in.wav", "in.flac", "in.mp3", "in.ogg", "in.m4a", "in.aac"] {
        for out in ["out.wav", "out.flac"] {
            let output = folder.0.join(out);
            let done = render(chain.to_str().unwrap(), &[], &folder.0.join(name), &output);
            assert!(done.status.success(), "{name}: {}", String::from_utf8_lossy(&done.stderr));
            let level = db(peak(&read(&output)[0][10_000..30_000]));
            // The encoders of lossy formats change the level of a sine by themselves.
            let tolerance = if name.ends_with("wav") || name.ends_with("flac") { 0.001 } else { 0.6 };
            assert!((level + 12.0).abs() < tolerance, "{name} to {out}: {level:.2} dBFS");
        }
    }
}

#[test]
fn every_depth_comes_out_as_asked() {
    let folder = Folder::new("render-depths");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    let signal = noise(-20.0, 3, 2, 4_800);
    write(&input, 48_000, Depth::Float64, &signal);
    for (bits, error) in [
        ("16", 2.0_f64.powi(-16)),
        ("24", 2.0_f64.powi(-24)),
        ("32", 2.0_f64.powi(-32)),
        ("f32", 2.0_f64.powi(-25)),
        ("f64", 0.0),
    ] {
        let done = render("configs/chains/transparent.yaml", &["--bits", bits], &input, &output);
        assert!(done.status.success());
        let off = distance(&read(&output), &signal);
        assert!(off <= error * 1.0001, "{bits}: {off:e}");
    }
}

#[test]
fn a_broken_file_is_an_error_and_leaves_nothing_behind() {
    let folder = Folder::new("render-broken");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    write(&input, 48_000, Depth::Int16, &noise(-6.0, 4, 2, 48_000));
    let whole = std::fs::read(&input).unwrap();
    let before = |folder: &Folder| std::fs::read_dir(&folder.0).unwrap().count();
    for (bytes, words) in [
        (&whole[..100_000], "ends after"),
        (&b"no audio at all"[..], "not an audio file"),
        (&[][..], "not an audio file"),
    ] {
        std::fs::write(&input, bytes).unwrap();
        let count = before(&folder);
        let done = render("configs/chains/transparent.yaml", &[], &input, &output);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{error}");
        assert!(error.contains(words) && error.contains("in.wav"), "{error}");
        assert_eq!(before(&folder), count, "a file is left behind");
    }
    // What was there before stays.
    std::fs::write(&output, "precious").unwrap();
    assert_eq!(render("configs/chains/transparent.yaml", &[], &input, &output).status.code(), Some(1));
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
    std::fs::write(&input, &whole).unwrap();
    let mp3 = folder.0.join("out.mp3");
    let done = render("configs/chains/transparent.yaml", &[], &input, &mp3);
    assert_eq!(done.status.code(), Some(1));
    assert!(!mp3.exists());
}

#[test]
fn a_bad_chain_says_all_that_is_wrong() {
    let folder = Folder::new("render-chain");
    let input = folder.0.join("in.wav");
    write(&input, 48_000, Depth::Int16, &noise(-6.0, 5, 1, 480));
    let chain = folder.write("c.yaml", "nodes:\n  - stereo\n  - gain: {gain: 3 Hz}\n");
    let done = render(chain.to_str().unwrap(), &[], &input, &folder.0.join("out.wav"));
    assert_eq!(done.status.code(), Some(1));
    let error = String::from_utf8_lossy(&done.stderr);
    assert!(
        error.contains("it takes 2 channels and is given 1") && error.contains("3 Hz has the wrong unit"),
        "{error}"
    );
}

#[test]
fn what_is_above_full_scale_is_clipped_and_said() {
    let folder = Folder::new("render-clip");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.flac"));
    write(&input, 48_000, Depth::Float32, &lacquer_tests::signal::sine(997.0, 0.0, 48_000.0, 2, 4_800));
    let chain = folder.write("c.yaml", "nodes:\n  - gain: {gain: 6 dB}\n");
    let done = render(chain.to_str().unwrap(), &[], &input, &output);
    assert!(done.status.success());
    assert!(String::from_utf8_lossy(&done.stderr).contains("samples were above full scale"));
}

#[test]
fn best_quality_takes_what_the_chain_leaves_open_to_its_better_settings() {
    let folder = Folder::new("render-best");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    let signal: Channels =
        bursts(6, 2, 96_000).iter().map(|samples| samples.iter().map(|x| 0.9 * x).collect()).collect();
    write(&input, 48_000, Depth::Float64, &signal);
    let over = |nodes: &str, more: &[&str]| {
        let chain = folder.write("c.yaml", &format!("nodes:\n{nodes}"));
        let more = [&["--bits", "f64"], more].concat();
        let done = render(chain.to_str().unwrap(), &more, &input, &output);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let peaks = read(&output).iter().map(|samples| true_peak(samples)).fold(0.0, f64::max);
        (db(peaks) + 9.0, String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let nodes = "  - declick: {id: clicks, passes: 1}\n  - limiter: {id: final, ceiling: -9 dBTP}\n";
    let ((live, silent), (best, said)) = (over(nodes, &[]), over(nodes, &["--quality", "best"]));
    println!("true peak over the ceiling: {live:.4} dB live, {best:.4} dB at best quality");
    assert!(best <= live && live < 0.1, "{best:.4} dB, {live:.4} dB live");
    assert_eq!(silent, "");
    assert_eq!(
        said,
        "best quality: declick \"clicks\": order = 48 (32)\n\
         best quality: limiter \"final\": lookahead = 5 ms (1.5 ms)\n",
        "what the file gives stays: passes"
    );
    let given = "  - limiter: {id: final, ceiling: -9 dBTP, lookahead: 1.5 ms}\n";
    let (same, said) = over(given, &["--quality", "best"]);
    assert_eq!((said.as_str(), same), ("", over(given, &[]).0));
}

#[test]
fn what_is_best_is_listed() {
    let page = lacquer(&["nodes", "limiter"]);
    let page = String::from_utf8_lossy(&page.stdout).into_owned();
    assert!(page.contains("Files at best quality: 5 ms."), "{page}");
}

/// 24 bits out of silence: an encoder once took 4 GiB for it and did not end.
#[test]
fn a_step_to_full_scale_is_written_as_flac_in_little_memory() {
    let folder = Folder::new("render-step");
    let chain = folder.write("c.yaml", "nodes:\n  - gain: {id: g}\n");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.flac"));
    let step = |to: fn(usize) -> f64| (0..48_000).map(|t| if t < 30_000 { 0.0 } else { to(t) }).collect();
    let signal: Channels = vec![step(|_| 0.99), step(|t| if t % 3 == 0 { -0.99 } else { 0.99 })];
    write(&input, 48_000, Depth::Float64, &signal);
    let done = Command::new("sh")
        .args(["-c", "ulimit -v 1000000; ulimit -t 300; exec \"$0\" \"$@\""])
        .arg(lacquer_tests::daemon::binary())
        .args(["render", "--bits", "24", "--chain"])
        .args([&chain, &input, &output])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(distance(&read(&output), &signal) < 1e-6);
    assert!(std::fs::metadata(&output).unwrap().len() < 100_000);
}

#[test]
fn ctrl_c_ends_a_long_flac_and_leaves_nothing() {
    let folder = Folder::new("render-interrupted");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.flac"));
    write(&input, 48_000, Depth::Int16, &vec![vec![0.0; 480]; 2]);
    // Hours of silence that take no place on the disk.
    let mut header = std::fs::read(&input).unwrap();
    let data = header.windows(4).position(|word| word == b"data").unwrap() + 4;
    let length = 1_900_000_000_u32;
    header[4..8].copy_from_slice(&(length + data as u32 - 4).to_le_bytes());
    header[data..data + 4].copy_from_slice(&length.to_le_bytes());
    std::fs::write(&input, header).unwrap();
    let file = std::fs::OpenOptions::new().write(true).open(&input).unwrap();
    file.set_len(u64::from(length) + data as u64 + 4).unwrap();
    let mut child = Command::new(lacquer_tests::daemon::binary())
        .args(["render", "--chain", "configs/chains/transparent.yaml"])
        .args([&input, &output])
        .current_dir(root())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let files = || std::fs::read_dir(&folder.0).unwrap().count();
    lacquer_tests::daemon::eventually("a file is begun", || (files() > 1).then_some(()));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(files(), 1, "a file is left behind");
}
