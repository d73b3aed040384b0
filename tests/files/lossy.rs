//! Lossy files: length, timing, tags; and what is seen when they, or a FLAC, are cut off.

use std::fs;

use lacquer::media::{Depth, Source};

use super::{Folder, Random, ffmpeg, message, read, run, sines, truncate, write};

/// Lossy files: name, how ffmpeg makes them, frames of encoder delay symphonia leaves in.
const LOSSY: [(&str, &[&str], usize); 9] = [
    ("xing.mp3", &["-b:a", "192k"], 0),
    ("vbr.mp3", &["-q:a", "2", "-metadata", "title=Take"], 0),
    ("low.mp3", &["-b:a", "32k", "-ar", "16000"], 0),
    ("plain.mp3", &["-b:a", "128k", "-write_xing", "0"], 1105),
    ("take.ogg", &["-c:a", "libvorbis", "-q:a", "6"], 0),
    ("take.aac", &["-b:a", "192k"], 1024),
    ("take.m4a", &["-b:a", "192k"], 1024),
    ("parts.m4a", &["-b:a", "192k", "-movflags", "+frag_keyframe+empty_moov"], 1024),
    ("fast.m4a", &["-b:a", "192k", "-movflags", "+faststart"], 1024),
];

/// Makes these files, by one call; gives what is in all of them.
fn lossy(folder: &Folder, made: &[(&str, &[&str], usize)]) -> Vec<Vec<f64>> {
    let planes = sines(2, 150_001);
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &planes).unwrap();
    let mut all = vec!["-i", "source.wav"];
    made.iter().for_each(|(name, arguments, _)| all.extend(arguments.iter().chain([name])));
    ffmpeg(&all, folder);
    planes
}

#[test]
fn lossy_formats_are_read_whole_and_in_time() {
    let folder = Folder::new("lossy");
    let planes = lossy(&folder, &LOSSY);
    for (name, _, delay) in LOSSY {
        let (back, frames) = read(&folder.at(name)).unwrap_or_else(|error| panic!("{error}"));
        println!("{name}: {} frames read, {frames:?} promised", back[0].len());
        if let Some(frames) = frames {
            assert_eq!(back[0].len() as u64, frames, "{name}");
        }
        if name == "low.mp3" {
            assert_eq!(Source::open(&folder.at(name)).unwrap().rate(), 16_000);
            continue;
        }
        let length = back[0].len();
        let exact = name != "plain.mp3" && name != "take.aac";
        assert!(if exact { length == 150_001 + delay } else { length >= 150_001 + delay }, "{name} {length}");
        // In time to the sample: the difference to the original is small, not a shifted sine.
        let worst = (10_000..140_000)
            .flat_map(|t| [0, 1].map(|c| (back[c][t + delay] - planes[c][t]).abs()))
            .fold(0.0, f64::max);
        assert!(worst < 0.05, "{name}: {worst}");
    }
}

#[test]
fn lossy_formats_cut_off() {
    let folder = Folder::new("cut");
    lossy(&folder, &LOSSY);
    for (name, _, _) in LOSSY {
        let cut = folder.at(&format!("cut-{name}"));
        for part in [0.3, 0.5, 0.777, 0.95, 0.999] {
            truncate(&folder.at(name), &cut, part);
            let text = message(&cut);
            println!("{text}");
        }
        // A hole in the middle. An MP4 has no checksum and no marks: there it may go unseen.
        let bytes = fs::read(folder.at(name)).unwrap();
        let hole = [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2 + 3000..]].concat();
        fs::write(&cut, hole).unwrap();
        if !name.ends_with("m4a") {
            println!("{}", message(&cut));
        } else {
            println!("{name} with a hole: {:?}", read(&cut).map(|(planes, _)| planes[0].len()));
        }
    }
    run("flac", &["-s", "-f", "source.wav", "-o", "a.flac"], &folder);
    let bytes = fs::read(folder.at("a.flac")).unwrap();
    let cut = folder.at("cut.flac");
    for part in [0.3, 0.5, 0.777, 0.95, 0.9999] {
        truncate(&folder.at("a.flac"), &cut, part);
        println!("{}", message(&cut));
    }
    // One wrong bit anywhere in the audio is seen.
    let mut random = Random::new(77);
    let mut seen = Vec::new();
    for _ in 0..100 {
        let mut broken = bytes.clone();
        // Behind the padding the flac tool leaves for tags.
        let at = 8500 + random.below(broken.len() - 8500);
        broken[at] ^= 1 << random.below(8);
        fs::write(&cut, broken).unwrap();
        seen.push(message(&cut));
    }
    seen.truncate(6);
    println!("{}", seen.join("\n"));
}

#[test]
fn a_wav_behind_a_tag_is_read_as_without_it() {
    let folder = Folder::new("tagged-wav");
    run("sox", &["-n", "-b", "24", "a.wav", "synth", "0.2", "sine", "997"], &folder);
    let tag = [b"ID3\x04\x00\x00\x00\x00\x00\x05".as_slice(), &[0; 5]].concat();
    let bytes = fs::read(folder.at("a.wav")).unwrap();
    fs::write(folder.at("b.wav"), [tag, bytes].concat()).unwrap();
    assert!(read(&folder.at("b.wav")).unwrap() == read(&folder.at("a.wav")).unwrap());
}

#[test]
fn tags_around_an_mp3() {
    let folder = Folder::new("tags");
    lossy(&folder, &[("a.mp3", &["-b:a", "192k"], 0)]);
    let (plain, _) = read(&folder.at("a.mp3")).unwrap();
    let bytes = fs::read(folder.at("a.mp3")).unwrap();
    // A picture larger than what symphonia would search through, with false frame marks in it.
    let mut tag = b"ID3\x04\x00\x00\x00\x7f\x7f\x7f".to_vec();
    tag.extend([0xff, 0xfb, 0x90, 0x64].repeat(((0x7f << 14) + (0x7f << 7) + 0x7f) / 4 + 1));
    tag.truncate(10 + (0x7f << 14) + (0x7f << 7) + 0x7f);
    let last = [b"TAG".to_vec(), vec![b' '; 125]].concat();
    fs::write(folder.at("b.mp3"), [tag, bytes, last].concat()).unwrap();
    assert!(read(&folder.at("b.mp3")).unwrap().0 == plain);
}
