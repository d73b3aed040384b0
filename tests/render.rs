//! `lacquer render`: the same engine on files.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::media::{Depth, Sink, Source};
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

/// Renders, over what is there.
fn render(chain: &str, more: &[&str], input: &Path, output: &Path) -> std::process::Output {
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    lacquer(&[&["render", "--force", "--chain", chain], more, &[input, output]].concat())
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
fn a_node_that_panics_is_named_and_nothing_is_written() {
    let folder = Folder::new("render-panic");
    let chain = folder.write("c.yaml", "nodes:\n  - gain: {id: g}\n  - fault: {id: bad, what: panic}\n");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    write(&input, 48_000, Depth::Float64, &noise(-20.0, 1, 2, 48_000));
    let out = render(chain.to_str().unwrap(), &[], &input, &output);
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{text}");
    assert!(
        text.contains("node \"bad\" panicked: asked to panic") && text.contains("no output written"),
        "{text}"
    );
    assert!(!output.exists());
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
        (&whole[..100_000], "ends after 0.5 s of 1.0 s"),
        (&b"no audio at all"[..], "not a supported audio file"),
        (&[][..], "not a supported audio file"),
    ] {
        std::fs::write(&input, bytes).unwrap();
        let count = before(&folder);
        let done = render("configs/chains/transparent.yaml", &["--strict"], &input, &output);
        let error = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(1), "{error}");
        assert!(error.contains(words) && error.starts_with(input.to_str().unwrap()), "{error}");
        assert_eq!(before(&folder), count, "a file is left behind");
    }
    // What was there before stays.
    std::fs::write(&output, "precious").unwrap();
    assert_eq!(render("configs/chains/transparent.yaml", &[], &input, &output).status.code(), Some(1));
    assert_eq!(std::fs::read(&output).unwrap(), b"precious");
    std::fs::write(&input, &whole).unwrap();
    let mp3 = folder.0.join("out.mp3");
    let done = render("configs/chains/transparent.yaml", &[], &input, &mp3);
    assert_eq!(done.status.code(), Some(2));
    assert!(!mp3.exists());
}

#[test]
fn what_is_cut_off_is_rendered_as_far_as_it_goes_and_said() {
    let folder = Folder::new("render-cut");
    let (input, output) = (folder.0.join("in.wav"), folder.0.join("out.wav"));
    let signal = noise(-6.0, 4, 2, 48_000);
    write(&input, 48_000, Depth::Float64, &signal);
    let whole = std::fs::read(&input).unwrap();
    std::fs::write(&input, &whole[..whole.len() - 16 * 12_000 - 3]).unwrap();
    // Its lookahead has to be played out behind the cut.
    let chain = folder.write("c.yaml", "nodes:\n  - limiter: {lookahead: 10 ms, ceiling: 0 dBTP}\n");
    let done = render(chain.to_str().unwrap(), &["--bits", "f64"], &input, &output);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(0), "{said}");
    let lack = "ends after 0.7 s of 1.0 s (12001 frames are missing)";
    assert_eq!(said, format!("{}: {lack}; read up to there\n", input.display()));
    let there: Channels = signal.iter().map(|samples| samples[..35_999].to_vec()).collect();
    assert_eq!(read(&output), there);
    let done = render(chain.to_str().unwrap(), &["--strict"], &input, &output);
    assert_eq!(done.status.code(), Some(1));
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(said, format!("{}: {lack}; get a complete copy\n", input.display()));
    // Of a recording that was not closed its length is not known.
    let mut open = whole.clone();
    let data = open.windows(4).position(|word| word == b"data").unwrap() + 4;
    open[data..data + 4].fill(0xff);
    std::fs::write(&input, &open[..open.len() - 16]).unwrap();
    let done = render(chain.to_str().unwrap(), &[], &input, &output);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("its length was never written"), "{said}");
    assert_eq!(read(&output)[0].len(), 47_999);
    assert_eq!(render(chain.to_str().unwrap(), &["--strict"], &input, &output).status.code(), Some(1));
}

/// Renders with no more than is given; its exit code and what it says.
fn try_render(args: &[&str]) -> (Option<i32>, String) {
    let done = lacquer(&[&["render", "--chain", "configs/chains/transparent.yaml"], args].concat());
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

#[test]
fn an_existing_file_is_replaced_only_by_force_and_the_input_never() {
    let folder = Folder::new("render-force");
    let at = |name: &str| folder.at(name).display().to_string();
    let input = at("in.wav");
    write(&folder.at("in.wav"), 48_000, Depth::Int16, &noise(-6.0, 4, 2, 4_800));
    let whole = std::fs::read(&input).unwrap();
    std::fs::write(at("out.wav"), "precious").unwrap();
    let (code, said) = try_render(&[&input, &at("out.wav")]);
    let wanted = format!("{}: exists; give another name, or use --force to replace it\n", at("out.wav"));
    assert_eq!((code, said), (Some(2), wanted));
    assert_eq!(std::fs::read(at("out.wav")).unwrap(), b"precious");
    // Before the work: nothing of a long file is read.
    std::fs::create_dir(at("below")).unwrap();
    std::os::unix::fs::symlink("in.wav", at("link.wav")).unwrap();
    std::fs::hard_link(&input, at("same.wav")).unwrap();
    for name in ["in.wav", "link.wav", "same.wav", "below/../in.wav", "./in.wav"] {
        for force in [&[][..], &["--force"]] {
            let (code, said) = try_render(&[force, &[&input, &at(name)]].concat());
            assert_eq!(code, Some(2), "{name}: {said}");
            assert_eq!(
                said,
                format!(
                    "{}: the output is also an input, which is never replaced; give another name\n",
                    at(name)
                )
            );
            assert!(std::fs::read(&input).unwrap() == whole, "{name}");
        }
    }
    // By another name of the input, too.
    assert_eq!(try_render(&["--force", &at("link.wav"), &at("same.wav")]).0, Some(2));
    assert_eq!(try_render(&["--force", &input, &at("out.wav")]), (Some(0), String::new()));
    assert_eq!(read(&folder.at("out.wav"))[0].len(), 4_800);
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 5, "nothing else is left there");
}

#[test]
fn what_the_chain_reads_is_not_replaced_either() {
    let folder = Folder::new("render-impulse");
    let at = |name: &str| folder.at(name).display().to_string();
    for name in ["in.wav", "room.wav"] {
        write(&folder.at(name), 48_000, Depth::Float64, &noise(-6.0, 4, 2, 480));
    }
    let room = std::fs::read(at("room.wav")).unwrap();
    let chain = folder.write("c.yaml", "nodes:\n  - convolver: {impulse: room.wav}\n");
    let done = render(chain.to_str().unwrap(), &[], &folder.at("in.wav"), &folder.at("room.wav"));
    assert_eq!(done.status.code(), Some(2), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(std::fs::read(at("room.wav")).unwrap() == room);
}

#[test]
fn a_link_as_output_stays_a_link() {
    let folder = Folder::new("render-link");
    let at = |name: &str| folder.at(name).display().to_string();
    let input = at("in.wav");
    write(&folder.at("in.wav"), 48_000, Depth::Int16, &noise(-6.0, 4, 2, 4_800));
    std::fs::create_dir(at("disk")).unwrap();
    std::os::unix::fs::symlink("disk/take.wav", at("out.wav")).unwrap();
    std::os::unix::fs::symlink("out.wav", at("again.wav")).unwrap();
    let is_link = |name: &str| folder.at(name).symlink_metadata().unwrap().file_type().is_symlink();
    // To nothing yet, then to a file.
    assert_eq!(try_render(&[&input, &at("again.wav")]), (Some(0), String::new()));
    assert_eq!(read(&folder.at("disk/take.wav"))[0].len(), 4_800);
    assert_eq!(try_render(&[&input, &at("out.wav")]).0, Some(2));
    std::fs::write(at("disk/take.wav"), "old").unwrap();
    assert_eq!(try_render(&["--force", &input, &at("again.wav")]), (Some(0), String::new()));
    assert_eq!(read(&folder.at("disk/take.wav"))[0].len(), 4_800);
    assert!(is_link("out.wav") && is_link("again.wav") && !is_link("disk/take.wav"));
    std::os::unix::fs::symlink("loop.wav", at("loop.wav")).unwrap();
    assert_eq!(try_render(&["--force", &input, &at("loop.wav")]).0, Some(3));
}

#[test]
fn what_a_killed_run_left_is_cleared_and_what_a_running_one_writes_is_not() {
    let folder = Folder::new("render-left");
    let at = |name: &str| folder.at(name).display().to_string();
    let input = at("in.wav");
    write(&folder.at("in.wav"), 48_000, Depth::Int16, &noise(-6.0, 4, 2, 480_000));
    let parts = || {
        let names = std::fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.retain(|name| name.ends_with(".part"));
        names.sort();
        names
    };
    let mut child = std::process::Command::new(lacquer_tests::daemon::binary())
        .args(["render", "--chain", "configs/chains/broadcast-r128.yaml", &input, &at("out.wav")])
        .current_dir(root())
        .spawn()
        .unwrap();
    while parts().is_empty() {
        assert!(child.try_wait().unwrap().is_none(), "it writes beside its output");
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(parts().len() == 1 && !folder.at("out.wav").exists());
    // Another's, of another file, and no leftover at all.
    for name in [".other.wav.1-0.part", ".out.wav.part", ".out.wav.mine-0.part"] {
        std::fs::write(at(name), "").unwrap();
    }
    let running = lacquer::media::Sink::create(&folder.at("out.wav"), 48_000, 2, Depth::Int16).unwrap();
    assert_eq!(parts().len(), 4, "what was killed is gone, what runs is there: {:?}", parts());
    assert_eq!(try_render(&[&input, &at("out.wav")]), (Some(0), String::new()));
    assert_eq!(parts().len(), 4, "{:?}", parts());
    running.finish().unwrap();
    assert_eq!(parts(), [".other.wav.1-0.part", ".out.wav.mine-0.part", ".out.wav.part"]);
}

#[test]
fn what_comes_to_be_there_meanwhile_is_not_replaced() {
    let folder = Folder::new("render-meanwhile");
    let path = folder.at("out.wav");
    let place = lacquer::media::Place::new(&path, &[], false).unwrap();
    let sink = Sink::create_at(&place, 48_000, 2, Depth::Int16).unwrap();
    std::fs::write(&path, "another's").unwrap();
    assert!(sink.finish().unwrap_err().to_string().contains("exists"));
    assert_eq!(std::fs::read(&path).unwrap(), b"another's");
    assert_eq!(std::fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn errors_name_the_file_as_it_was_given_and_have_the_documented_codes() {
    let folder = Folder::new("render-codes");
    let at = |name: &str| folder.at(name).display().to_string();
    let input = at("in.wav");
    write(&folder.at("in.wav"), 48_000, Depth::Int16, &noise(-6.0, 4, 2, 480));
    std::fs::write(at("text.wav"), "no audio").unwrap();
    std::fs::create_dir(at("folder.wav")).unwrap();
    let long = format!("{}.wav", "x".repeat(251));
    for (code, input, output, about) in [
        (1, at("none.wav"), at("out.wav"), 0),
        (1, at("text.wav"), at("out.wav"), 0),
        (1, at("folder.wav"), at("out.wav"), 0),
        (2, input.clone(), at("out.mp3"), 1),
        (2, input.clone(), at("folder.wav"), 1),
        (3, input.clone(), at("none/out.wav"), 1),
        (3, input.clone(), at("in.wav/out.wav"), 1),
        (3, input.clone(), "/proc/out.wav".to_owned(), 1),
        (0, input.clone(), at(&long), 1),
        (3, input.clone(), at(&format!("x{long}")), 1),
    ] {
        let given = [&input, &output][about];
        let (found, said) = try_render(&["--force", &input, &output]);
        assert_eq!(found, Some(code), "{given}: {said}");
        assert!(
            said.is_empty() == (code == 0) && (said.is_empty() || said.starts_with(&format!("{given}: "))),
            "{said}"
        );
    }
    // Relative to where it was called, and so it is said.
    let (code, said) = try_render(&["configs/none.wav", "out.wav"]);
    assert!(code == Some(1) && said.starts_with("configs/none.wav: cannot be opened: "), "{said}");
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
        error.contains("it needs 2 channels, and its input has 1")
            && error.contains("3 Hz has the wrong unit"),
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
    assert!(String::from_utf8_lossy(&done.stderr).contains("samples above full scale were clipped"));
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
    assert_eq!(
        (said.as_str(), same),
        ("", over(given, &["--quality", "live"]).0),
        "live is what is not said"
    );
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
