//! Broken files: cut off, left open, no audio at all, or changed at random.

use std::fs;

use lacquer::files::{Depth, Sink};
use lacquer_tests::daemon::ends;

use super::{Folder, Random, ffmpeg, message, noise, read, run, sines, truncate, write};

#[test]
fn wav_that_is_cut_off_or_left_open() {
    let folder = Folder::new("wavs");
    let whole = folder.at("whole.wav");
    write(&whole, 44_100, Depth::Int16, &noise(2, 441_000, 0.5)).unwrap();
    truncate(&whole, &folder.at("take.wav"), 0.32);
    assert_eq!(
        message(&folder.at("take.wav")),
        "take.wav: ends after 3.2 s of 10.0 s (299894 frames are missing); get a whole copy"
    );
    let bytes = fs::read(&whole).unwrap();
    let data = bytes.windows(4).position(|word| word == b"data").unwrap() + 4;
    for (size, riff) in [(0u32, 0u32), (u32::MAX, u32::MAX), (0, 36), (0x7fff_f000, 0x7fff_f024)] {
        let mut open = bytes.clone();
        open[4..8].copy_from_slice(&riff.to_le_bytes());
        open[data..data + 4].copy_from_slice(&size.to_le_bytes());
        fs::write(folder.at("open.wav"), &open).unwrap();
        let (back, frames) = read(&folder.at("open.wav")).unwrap();
        assert_eq!((back[0].len(), frames), (441_000, None));
        fs::write(folder.at("open.wav"), &open[..open.len() - 3]).unwrap();
        assert!(message(&folder.at("open.wav")).contains("is cut off after"));
    }
    let sink = Sink::create(&folder.at("empty.wav"), 44_100, 2, Depth::Int16).unwrap();
    sink.finish().unwrap();
    assert_eq!(read(&folder.at("empty.wav")).unwrap(), (vec![vec![]; 2], Some(0)));
    truncate(&whole, &folder.at("head.wav"), 50.0 / bytes.len() as f64);
    message(&folder.at("head.wav"));
    let pipe = "ffmpeg -v error -i whole.wav -c:a pcm_f32le -f wav - | cat > pipe.wav; \
                sox whole.wav -b 24 -t wav - 2>sox.txt | cat > sox.wav; \
                ffmpeg -v error -i whole.wav -c:a pcm_f64le -rf64 always -f wav - | cat > rf64.wav";
    run("sh", &["-c", pipe], &folder);
    let (audio, _) = read(&whole).unwrap();
    for name in ["pipe.wav", "sox.wav", "rf64.wav"] {
        let (back, frames) = read(&folder.at(name)).unwrap();
        println!("{name}: {} frames, {frames:?} promised", back[0].len());
        // sox knows the length here and states it.
        assert!(back == audio && (frames.is_none() || name == "sox.wav"), "{name}");
    }
}

#[test]
fn what_is_no_audio() {
    let folder = Folder::new("none");
    let path = folder.at("take.wav");
    let mut random = Random::new(5);
    let junk: Vec<u8> = (0..3_000_000).map(|_| random.bits() as u8).collect();
    for bytes in [&b""[..], b"x", b"hello, this is a text\n", &[0; 100_000], &[0xff; 100_000], &junk] {
        fs::write(&path, bytes).unwrap();
        let text = message(&path);
        assert!(
            text.contains("not an audio file that can be read (wav, aiff, flac") || bytes.len() > 9000,
            "{text}"
        );
    }
    assert!(message(&folder.at("missing.wav")).contains("cannot be opened"));
    fs::create_dir(folder.at("dir.wav")).unwrap();
    message(&folder.at("dir.wav"));
    ffmpeg(&["-f", "lavfi", "-i", "anoisesrc=d=1", "-ac", "16", "many.wav"], &folder);
    assert!(message(&folder.at("many.wav")).contains("has 16 channels"));
}

#[test]
fn nothing_panics() {
    let folder = Folder::new("mutate");
    let mut files: Vec<&str> = vec!["a.wav", "a.flac", "b.wav"];
    write(&folder.at("a.wav"), 44_100, Depth::Int24, &sines(2, 3000)).unwrap();
    write(&folder.at("b.wav"), 44_100, Depth::Float64, &sines(1, 300)).unwrap();
    write(&folder.at("a.flac"), 44_100, Depth::Int16, &sines(2, 15_000)).unwrap();
    let made: [(&str, &[&str]); 8] = [
        ("a.mp3", &["-b:a", "128k"]),
        ("b.mp3", &["-b:a", "64k", "-write_xing", "0", "-ar", "22050"]),
        ("a.ogg", &["-c:a", "libvorbis"]),
        ("a.aac", &[]),
        ("a.m4a", &[]),
        ("f.m4a", &["-movflags", "+frag_keyframe+empty_moov"]),
        ("a.aiff", &[]),
        ("b.flac", &["-ac", "1"]),
    ];
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &noise(2, 12_000, 0.4)).unwrap();
    for (name, arguments) in made {
        ffmpeg(&[&["-i", "source.wav"], arguments, &[name]].concat(), &folder);
        files.push(name);
    }
    let rounds: usize = std::env::var("ROUNDS").map_or(150, |rounds| rounds.parse().unwrap());
    let seed: u64 = std::env::var("SEED").map_or(1, |seed| seed.parse().unwrap());
    let mut random = Random::new(0xdead_beef ^ seed << 20);
    let path = folder.at("broken");
    // The decoder library panics at some of these; that is caught and need not be shown.
    std::panic::set_hook(Box::new(|info| {
        let place = info.location().map_or("", |place| place.file());
        if !place.contains("symphonia") {
            eprintln!("{info}");
        } else if std::env::var_os("SHOW").is_some() {
            println!("caught: {info}");
        }
    }));
    for name in files {
        let bytes = fs::read(folder.at(name)).unwrap();
        let (mut refused, mut read_whole) = (0, 0);
        for round in 0..rounds {
            let mut broken = bytes.clone();
            // Half of the rounds hit the header, where most of the parsing is.
            let reach = if round % 2 == 0 { broken.len().min(600) } else { broken.len() };
            for _ in 0..1 + random.below(8) {
                let at = random.below(reach);
                broken[at] = match random.below(4) {
                    0 => 0,
                    1 => 0xff,
                    2 => broken[at] ^ 1 << random.below(8),
                    _ => random.bits() as u8,
                };
            }
            if random.below(8) == 0 {
                broken.truncate(random.below(broken.len()));
            }
            fs::write(&path, broken).unwrap();
            let opened = path.clone();
            match ends(name, move || read(&opened)) {
                Ok(_) => read_whole += 1,
                Err(_) => refused += 1,
            }
        }
        println!("{name}: {refused} refused, {read_whole} read");
    }
}
