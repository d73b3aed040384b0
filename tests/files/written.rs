//! Files that are written: round trips, rounding, other programs, nothing half done.

use std::fs;
use std::process::Command;

use lacquer::media::{Depth, Sink, Source, Written};

use super::{Folder, ffmpeg, message, noise, read, run, sines, truncate, write};

#[test]
fn wav_round_trip_at_every_depth() {
    let folder = Folder::new("wav");
    for (word, lsb) in [("16", 2f64.powi(-15)), ("24", 2f64.powi(-23)), ("32", 2f64.powi(-31))] {
        for channels in 1..=8 {
            let depth: Depth = word.parse().unwrap();
            let planes = noise(channels, 10_001, 0.99);
            let path = folder.at("take.wav");
            let written = write(&path, 48_000, depth, &planes).unwrap();
            assert_eq!(written, Written { frames: 10_001, clipped: 0 });
            let source = Source::open(&path).unwrap();
            assert_eq!((source.rate(), source.channels()), (48_000, channels));
            assert_eq!(source.bits(), Some(depth.bits()));
            let (back, frames) = read(&path).unwrap();
            assert_eq!(frames, Some(10_001));
            for (a, b) in planes.iter().flatten().zip(back.iter().flatten()) {
                assert!((a - b).abs() <= lsb / 2.0, "{word}: {a} {b}");
            }
            // The codes themselves go through a second time unchanged.
            write(&folder.at("again.wav"), 48_000, depth, &back).unwrap();
            assert_eq!(fs::read(&path).unwrap(), fs::read(folder.at("again.wav")).unwrap());
        }
    }
    let mut planes = noise(3, 5000, 4.0);
    planes[0][7] = f64::MIN_POSITIVE / 8.0;
    planes[1][8] = -0.0;
    let path = folder.at("float.wav");
    assert_eq!(write(&path, 44_100, Depth::Float64, &planes).unwrap().clipped, 0);
    let (back, _) = read(&path).unwrap();
    assert!(planes.iter().flatten().zip(back.iter().flatten()).all(|(a, b)| a.to_bits() == b.to_bits()));
    assert_eq!(Source::open(&path).unwrap().bits(), None);
    write(&path, 44_100, Depth::Float32, &planes).unwrap();
    let (back, _) = read(&path).unwrap();
    for (a, b) in planes.iter().flatten().zip(back.iter().flatten()) {
        assert_eq!(f64::from(*a as f32), *b);
    }
}

#[test]
fn other_programs_read_our_wav() {
    let folder = Folder::new("others");
    for (word, channels) in [("16", 2), ("24", 2), ("32", 6), ("f32", 2), ("f64", 1), ("f64", 8), ("24", 1)] {
        let planes = noise(channels, 4999, 0.9);
        write(&folder.at("a.wav"), 44_100, word.parse().unwrap(), &planes).unwrap();
        let (ours, _) = read(&folder.at("a.wav")).unwrap();
        ffmpeg(&["-i", "a.wav", "-f", "f64le", "a.raw"], &folder);
        let raw = fs::read(folder.at("a.raw")).unwrap();
        let theirs: Vec<f64> = raw.chunks(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect();
        assert_eq!(theirs.len(), 4999 * channels, "{word}");
        for (at, sample) in theirs.iter().enumerate() {
            assert_eq!(*sample, ours[at % channels][at / channels], "{word} {channels}");
        }
        run("sox", &["a.wav", "-n", "stat"], &folder);
    }
}

#[test]
fn rounding_and_clipping() {
    let folder = Folder::new("clip");
    for name in ["a.wav", "a.flac"] {
        let lsb = 1.0 / 32768.0;
        let plane =
            vec![1.0, -1.0, -1.0 - lsb, 0.5 * lsb, -0.5 * lsb, 0.49 * lsb, 32767.4 * lsb, f64::NAN, 1e300];
        let written = write(&folder.at(name), 44_100, Depth::Int16, &[plane]).unwrap();
        assert_eq!(written, Written { frames: 9, clipped: 4 });
        let (back, _) = read(&folder.at(name)).unwrap();
        let codes: Vec<i32> = back[0].iter().map(|sample| (sample / lsb) as i32).collect();
        assert_eq!(codes, [32767, -32768, -32768, 1, -1, 0, 32767, 0, 32767]);
    }
    let plane = vec![1.0, -1.0, 1.0 - 2f64.powi(-31), 2f64.powi(-32), 2f64.powi(-33)];
    assert_eq!(write(&folder.at("b.wav"), 44_100, Depth::Int32, &[plane]).unwrap().clipped, 1);
    let (back, _) = read(&folder.at("b.wav")).unwrap();
    let full = 2f64.powi(31);
    assert_eq!(back[0], [1.0 - 1.0 / full, -1.0, 1.0 - 1.0 / full, 1.0 / full, 0.0]);
}

#[test]
fn flac_round_trip() {
    let folder = Folder::new("flac");
    let path = folder.at("take.flac");
    let mut cases = Vec::new();
    for depth in [Depth::Int16, Depth::Int24] {
        for channels in 1..=8 {
            cases.push((depth, 48_000, sines(channels, 9_000)));
        }
        for rate in [8_000, 11_025, 44_100, 88_200, 96_000, 176_400, 192_000, 384_000, 47_999] {
            cases.push((depth, rate, noise(2, 5_000, 1.0)));
        }
        for frames in [1, 15, 16, 31, 32, 63, 64, 65, 4095, 4096, 4097, 8192, 20_000] {
            cases.push((depth, 44_100, noise(2, frames, 0.1)));
        }
        // The worst for a side channel: full scale, opposite, changing sign with every sample.
        let square = |sign: f64| (0..9000).map(|t| if t % 2 == 0 { sign } else { -sign }).collect();
        cases.push((depth, 44_100, vec![square(1.0), square(-1.0)]));
        cases.push((depth, 44_100, vec![vec![0.0; 10_000]; 2]));
        let impulse: Vec<f64> = (0..10_000).map(|t| if t % 5000 == 17 { 1.0 } else { 0.0 }).collect();
        cases.push((depth, 44_100, vec![impulse.clone(), impulse]));
    }
    for (depth, rate, planes) in cases {
        let about = format!("{depth} {rate} {}x{}", planes.len(), planes[0].len());
        write(&path, rate, depth, &planes).unwrap();
        let source = Source::open(&path).unwrap();
        assert_eq!((source.rate(), source.channels()), (rate, planes.len()), "{about}");
        assert_eq!(source.bits(), Some(depth.bits()));
        let (back, frames) = read(&path).unwrap();
        assert_eq!(frames, Some(planes[0].len() as u64), "{about}");
        let full = 2f64.powi(depth.bits() as i32 - 1);
        for (a, b) in planes.iter().flatten().zip(back.iter().flatten()) {
            assert!((a - b).abs() <= 0.5 / full || *a >= 1.0 - 0.5 / full, "{about}: {a} {b}");
        }
        run("flac", &["-t", "-s", "--warnings-as-errors", "take.flac"], &folder);
    }
}

#[test]
fn flac_of_other_encoders() {
    let folder = Folder::new("flacs");
    write(&folder.at("a.wav"), 44_100, Depth::Int24, &sines(2, 100_000)).unwrap();
    run("flac", &["-8", "-s", "-f", "a.wav", "-o", "a.flac"], &folder);
    let (a, b) = (read(&folder.at("a.wav")).unwrap(), read(&folder.at("a.flac")).unwrap());
    assert!(a == b);
    ffmpeg(&["-i", "a.wav", "b.flac"], &folder);
    assert!(a.0 == read(&folder.at("b.flac")).unwrap().0);
    ffmpeg(&["-i", "a.wav", "-f", "s32be", "-c:a", "pcm_s24be", "-f", "aiff", "c.aiff"], &folder);
    assert!(a.0 == read(&folder.at("c.aiff")).unwrap().0);
    truncate(&folder.at("c.aiff"), &folder.at("cut.aiff"), 0.5);
    assert!(message(&folder.at("cut.aiff")).contains("ends after 1.1 s of 2.3 s"));
}

#[test]
fn a_sink_leaves_nothing_half_done() {
    let folder = Folder::new("sink");
    let list = || fs::read_dir(&folder.0).unwrap().count();
    for name in ["a.wav", "a.flac"] {
        fs::write(folder.at(name), "before").unwrap();
        let mut sink = Sink::create(&folder.at(name), 44_100, 2, Depth::Int16).unwrap();
        sink.write(&[&[0.5; 10_000], &[0.5; 10_000]]).unwrap();
        assert!(sink.write(&[&[0.5; 10]]).is_err());
        assert!(sink.write(&[&[0.5; 10], &[0.5; 9]]).is_err());
        drop(sink);
        assert_eq!(fs::read(folder.at(name)).unwrap(), b"before");
    }
    assert_eq!(list(), 2);
    for (name, depth) in [("a.mp3", Depth::Int16), ("a", Depth::Int16), ("b.flac", Depth::Float32)] {
        assert!(Sink::create(&folder.at(name), 44_100, 2, depth).is_err());
    }
    assert!(Sink::create(&folder.at("b.wav"), 44_100, 9, Depth::Int16).is_err());
    assert!(Sink::create(&folder.at("b.wav"), 44_100, 0, Depth::Int16).is_err());
    assert!(Sink::create(&folder.at("b.wav"), 0, 2, Depth::Int16).is_err());
    assert!(Sink::create(&folder.at("none/b.wav"), 44_100, 2, Depth::Int16).is_err());
    // The name is taken by a folder, before it is written or meanwhile: nothing stays behind.
    let sink = Sink::create(&folder.at("c.wav"), 44_100, 2, Depth::Int16).unwrap();
    fs::create_dir(folder.at("c.wav")).unwrap();
    assert!(sink.finish().is_err());
    assert!(Sink::create(&folder.at("c.wav"), 44_100, 2, Depth::Int16).is_err());
    assert_eq!(list(), 3);
    assert!("8".parse::<Depth>().unwrap_err().contains("f64"));
    for word in ["16", "24", "32", "f32", "f64"] {
        assert_eq!(word.parse::<Depth>().unwrap().to_string(), word);
    }
}

/// Writes 4.3 GB, so only where tests may take long: `LACQUER_LONG=1`.
#[test]
fn past_4_gib() {
    if std::env::var_os("LACQUER_LONG").is_none() {
        return;
    }
    let folder = Folder::new("long");
    let path = folder.at("long.wav");
    let mut sink = Sink::create(&path, 192_000, 8, Depth::Float64).unwrap();
    let plane: Vec<f64> = (0..1_000_000).map(|t| t as f64 / 1e6).collect();
    for _ in 0..68 {
        sink.write(&[plane.as_slice(); 8]).unwrap();
    }
    assert_eq!(sink.finish().unwrap().frames, 68_000_000);
    let mut source = Source::open(&path).unwrap();
    assert_eq!(source.frames(), Some(68_000_000));
    let mut frames = 0;
    while let Some(chunk) = source.next().unwrap() {
        assert_eq!(chunk[7][0], (frames % 1_000_000) as f64 / 1e6);
        frames += chunk[0].len();
    }
    run("sox", &["--i", "long.wav"], &folder);
    let probe = ["-v", "error", "-show_entries", "format=duration", "long.wav"];
    let output = Command::new("ffprobe").args(probe).current_dir(&folder.0).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("354.16"));
}
