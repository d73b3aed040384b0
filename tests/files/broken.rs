//! Broken files: cut off, left open, or no audio at all.

use std::fs;

use lacquer::media::{Depth, Sink};

use super::{Folder, Random, ffmpeg, message, noise, read, run, truncate, write};

#[test]
fn wav_that_is_cut_off_or_left_open() {
    let folder = Folder::new("wavs");
    let whole = folder.at("whole.wav");
    write(&whole, 44_100, Depth::Int16, &noise(2, 441_000, 0.5)).unwrap();
    truncate(&whole, &folder.at("take.wav"), 0.32);
    assert_eq!(
        message(&folder.at("take.wav")),
        "ends after 3.2 s of 10.0 s (299894 frames are missing); get a whole copy"
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
