//! Broken files: cut off, left open, or no audio at all.

use std::fs;

use lacquer::media::{Accept, Depth, Sink, Source};

use super::{Folder, Random, ffmpeg, message, noise, read, read_as_far, refusal, run, truncate, write};

#[test]
fn wav_that_is_cut_off_or_left_open() {
    let folder = Folder::new("wavs");
    let whole = folder.at("whole.wav");
    write(&whole, 44_100, Depth::Int16, &noise(2, 441_000, 0.5)).unwrap();
    truncate(&whole, &folder.at("take.wav"), 0.32);
    assert_eq!(
        message(&folder.at("take.wav")),
        "ends after 3.2 s of 10.0 s (299894 frames are missing); get a complete copy"
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
        assert!(message(&folder.at("open.wav")).contains("truncated after"));
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
fn a_flac_without_audio_is_read_and_one_that_was_cut_off_behind_its_header_is_not() {
    let folder = Folder::new("no-frames");
    let sink = Sink::create(&folder.at("ours.flac"), 44_100, 2, Depth::Int24).unwrap();
    sink.finish().unwrap();
    write(&folder.at("empty.wav"), 96_000, Depth::Int16, &[vec![]]).unwrap();
    ffmpeg(&["-i", "empty.wav", "theirs.flac"], &folder);
    for (name, rate, channels, bits) in [("ours.flac", 44_100, 2, 24), ("theirs.flac", 96_000, 1, 16)] {
        let path = folder.at(name);
        let source = Source::open_as(&path, Accept::Whole).unwrap();
        assert_eq!((source.rate(), source.channels(), source.bits()), (rate, channels, Some(bits)), "{name}");
        assert_eq!(read(&path).unwrap(), (vec![vec![]; channels], Some(0)), "{name}");
        // Something follows, or the header says that there was audio.
        let bytes = fs::read(&path).unwrap();
        for change in [|bytes: &mut Vec<u8>| bytes.push(0xff), |bytes: &mut Vec<u8>| bytes[26..42].fill(0)] {
            let mut bytes = bytes.clone();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
            message(&path);
        }
    }
}

#[test]
fn a_wav_that_ends_within_a_frame_is_read_and_said() {
    let folder = Folder::new("torn");
    let path = folder.at("a.wav");
    write(&path, 44_100, Depth::Int16, &noise(2, 1_000, 0.5)).unwrap();
    let (audio, _) = read(&path).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let data = bytes.windows(4).position(|word| word == b"data").unwrap() + 4;
    bytes[data..data + 4].copy_from_slice(&4_002_u32.to_le_bytes());
    bytes.extend([1, 2]);
    fs::write(&path, &bytes).unwrap();
    let said = "the data ends within a frame (2 of 4 bytes present)";
    let (there, warnings) = read_as_far(&path).unwrap();
    assert!(there == audio);
    assert_eq!(warnings, [format!("{}: {said}; read up to there", path.display())]);
    assert_eq!(refusal(&path), format!("{}: {said}; get a complete copy", path.display()));
    // The byte that pads an odd size is no part of a frame, though some count it.
    write(&path, 44_100, Depth::Int24, &noise(1, 1_001, 0.5)).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let data = bytes.windows(4).position(|word| word == b"data").unwrap() + 4;
    bytes[data..data + 4].copy_from_slice(&3_004_u32.to_le_bytes());
    fs::write(&path, &bytes).unwrap();
    assert_eq!(read_as_far(&path).unwrap().1, Vec::<String>::new());
}

#[test]
fn what_the_decoder_library_finds_is_told_in_our_words() {
    let folder = Folder::new("our-words");
    write(&folder.at("source.wav"), 48_000, Depth::Int16, &noise(2, 100_000, 0.3)).unwrap();
    let made: [(&str, &[&str]); 5] = [
        ("a.flac", &[]),
        ("a.ogg", &["-c:a", "libvorbis"]),
        ("b.ogg", &["-c:a", "flac"]),
        ("a.aac", &[]),
        ("a.m4a", &[]),
    ];
    let mut random = Random::new(11);
    let all = made.iter().flat_map(|(name, arguments)| arguments.iter().copied().chain([*name]));
    ffmpeg(&["-i", "source.wav"].into_iter().chain(all).collect::<Vec<_>>(), &folder);
    for (name, _) in made {
        let whole = fs::read(folder.at(name)).unwrap();
        let mut told = 0;
        for _ in 0..20 {
            let mut bytes = whole.clone();
            // Where all pages behind a place are broken, FLAC in Ogg looks as if it ended there.
            for _ in 0..if name == "b.ogg" { 1 } else { 6 } {
                let at = whole.len() / 4 + random.bits() as usize % (whole.len() / 2);
                bytes[at] ^= 1 << (random.bits() % 8);
            }
            fs::write(folder.at("bad"), bytes).unwrap();
            let Err(error) = read(&folder.at("bad")) else { continue };
            let text = error.to_string();
            told +=
                usize::from(text.ends_with(": part of the data is broken or missing; get a complete copy"));
            let theirs = ["crc", "invalid", "bitstream", "aac:", "ogg:", "flac:", "core ("];
            assert!(!theirs.iter().any(|word| text.contains(word)), "{name}: {text}");
        }
        assert!(told > 10, "{name}: {told}");
    }
    for (name, codec, what) in [("a.opus", "libopus", "its codec, Opus,"), ("b.m4a", "alac", "its codec")] {
        ffmpeg(&["-i", "source.wav", "-c:a", codec, name], &folder);
        let advice = "convert it to wav or flac, or get a complete copy";
        assert_eq!(message(&folder.at(name)), format!("cannot be read: {what} is not supported; {advice}"));
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
        assert!(text.contains("not a supported audio file (wav, aiff, flac") || bytes.len() > 9000, "{text}");
    }
    assert!(message(&folder.at("missing.wav")).contains("cannot be opened"));
    fs::create_dir(folder.at("dir.wav")).unwrap();
    assert_eq!(message(&folder.at("dir.wav")), "a folder, not a file; give the name of an audio file");
    ffmpeg(&["-f", "lavfi", "-i", "anoisesrc=d=1", "-ac", "16", "many.wav"], &folder);
    assert!(message(&folder.at("many.wav")).contains("16 channels; 1 to 8 are supported"));
}
