//! Files that are cut off or were never closed, read as far as they go; and what was cut out of a FLAC.

use std::fs;

use lacquer::media::{Accept, Depth, Source};

use super::{Folder, ffmpeg, message, read, read_as_far, refusal, run, sines, truncate, write};

#[test]
fn what_is_there_of_a_file_that_is_cut_off_is_read_and_said() {
    let folder = Folder::new("cut-read");
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 150_001)).unwrap();
    let made: [(&str, &[&str]); 11] = [
        ("a.wav", &["-c:a", "pcm_s24le"]),
        ("a.aiff", &["-c:a", "pcm_s24be"]),
        ("a.flac", &[]),
        ("xing.mp3", &["-b:a", "192k"]),
        ("vbr.mp3", &["-q:a", "2", "-id3v2_version", "3"]),
        ("plain.mp3", &["-b:a", "128k", "-write_xing", "0"]),
        ("a.ogg", &["-c:a", "libvorbis", "-page_duration", "200000"]),
        ("b.ogg", &["-c:a", "flac", "-page_duration", "200000"]),
        ("a.aac", &["-b:a", "192k"]),
        ("fast.m4a", &["-b:a", "192k", "-movflags", "+faststart"]),
        (
            "parts.m4a",
            &["-b:a", "192k", "-movflags", "+frag_keyframe+empty_moov", "-frag_duration", "300000"],
        ),
    ];
    let all = made.iter().flat_map(|(name, arguments)| arguments.iter().copied().chain([*name]));
    ffmpeg(&["-i", "source.wav"].into_iter().chain(all).collect::<Vec<_>>(), &folder);
    for (name, _) in made {
        let (whole, _) = read(&folder.at(name)).unwrap_or_else(|error| panic!("{error}"));
        let cut = folder.at(&format!("cut-{name}"));
        for part in [0.3, 0.5, 0.5004, 0.777, 0.95, 0.999] {
            truncate(&folder.at(name), &cut, part);
            let said = message(&cut);
            let (there, warnings) = read_as_far(&cut).unwrap_or_else(|error| panic!("{part}: {error}"));
            let (count, all) = (there[0].len(), whole[0].len());
            let about = format!("{name}, {part}: {count} frames of {all}, {warnings:?}");
            // At most headers and a page, a fragment or a frame are lost; and nothing where an index at the end is cut.
            assert!(count <= all && count as f64 > (part - 0.3) * all as f64, "{about}");
            for (there, whole) in there.iter().zip(&whole) {
                assert!(there[..] == whole[..count], "{about}");
            }
            let [warning] = &warnings[..] else { panic!("{about}") };
            let lack = said.trim_end_matches("; get a complete copy");
            assert_eq!(*warning, format!("{}: {lack}; read up to there", cut.display()));
            assert!(lack.contains("truncated after") || lack.contains("ends after"), "{about}");
        }
    }
    // Nothing can be had of a file of which only its header is there.
    for (name, bytes) in [("a.wav", 60), ("a.flac", 8_300), ("a.ogg", 4_000), ("xing.mp3", 100)] {
        let start = fs::read(folder.at(name)).unwrap();
        fs::write(folder.at("head"), &start[..bytes]).unwrap();
        assert!(read_as_far(&folder.at("head")).is_err(), "{name}");
    }
}

#[test]
fn a_file_that_is_corrupt_is_refused_however_it_is_asked_for() {
    let folder = Folder::new("cut-corrupt");
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 150_001)).unwrap();
    ffmpeg(&["-i", "source.wav", "a.flac", "-c:a", "libvorbis", "a.ogg", "a.mp3", "a.aac"], &folder);
    for name in ["a.flac", "a.ogg", "a.mp3", "a.aac"] {
        let bytes = fs::read(folder.at(name)).unwrap();
        let hole = [&bytes[..bytes.len() / 2], &bytes[bytes.len() / 2 + 3000..]].concat();
        fs::write(folder.at("hole"), hole).unwrap();
        let error = read_as_far(&folder.at("hole")).expect_err(name).to_string();
        assert!(error.contains("corrupt after"), "{name}: {error}");
    }
}

#[test]
fn a_recording_whose_length_was_never_written_is_read_and_said() {
    let folder = Folder::new("cut-open");
    let planes = sines(2, 50_001);
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &planes).unwrap();
    let (audio, _) = read(&folder.at("source.wav")).unwrap();
    let pipes = "ffmpeg -v error -i source.wav -c:a pcm_f32le -f wav - | cat >ffmpeg.wav
        ffmpeg -v error -i source.wav -c:a pcm_f64le -rf64 always -f wav - | cat >ffmpeg-rf64.wav
        ffmpeg -v error -i source.wav -c:a pcm_s24be -f aiff - | cat >ffmpeg.aiff
        sox source.wav -t raw - | sox -t raw -r 44100 -c 2 -e signed -b 16 - -t wav - 2>sox.txt | cat >sox.wav
        sox source.wav -t raw - | sox -t raw -r 44100 -c 2 -e signed -b 16 - -t aiff - 2>sox.txt | cat >sox.aiff";
    run("sh", &["-c", pipes], &folder);
    // A recorder that was killed has written its header only: without sizes, or with those of the moment.
    let mut names = vec!["ffmpeg.wav", "ffmpeg-rf64.wav", "ffmpeg.aiff", "sox.wav", "sox.aiff"];
    let bytes = fs::read(folder.at("source.wav")).unwrap();
    let data = bytes.windows(4).position(|word| word == b"data").unwrap() + 4;
    for (name, size, riff) in [("zero.wav", 0, 0), ("most.wav", u32::MAX, u32::MAX), ("head.wav", 0, 72)] {
        let mut open = bytes.clone();
        open[4..8].copy_from_slice(&u32::to_le_bytes(riff));
        open[data..data + 4].copy_from_slice(&u32::to_le_bytes(size));
        fs::write(folder.at(name), open).unwrap();
        names.push(name);
    }
    for (name, wide) in [("rf64-zero.wav", 0), ("rf64-most.wav", u64::MAX)] {
        let mut open = bytes.clone();
        open[..8].copy_from_slice(b"RF64\xff\xff\xff\xff");
        let at = open.windows(4).position(|word| word == b"JUNK").unwrap();
        open[at..at + 4].copy_from_slice(b"ds64");
        [0, 8].iter().for_each(|field| open[at + 8 + field..][..8].copy_from_slice(&u64::to_le_bytes(wide)));
        open[data..data + 4].fill(0xff);
        fs::write(folder.at(name), open).unwrap();
        names.push(name);
    }
    for name in names {
        let path = folder.at(name);
        let (there, warnings) = read_as_far(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(there == audio, "{name}: {} frames", there[0].len());
        let said = "its length was never written, so its end may be missing";
        assert_eq!(warnings, [format!("{}: {said}; read up to there", path.display())]);
        assert_eq!(refusal(&path), format!("{}: {said}; get a complete copy", path.display()));
        // An impulse is one too, though nothing is said of it.
        assert!(read(&path).unwrap() == (there, None), "{name}");
        // With a piece of a frame at its end.
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() - 3]).unwrap();
        assert_eq!(read_as_far(&path).unwrap().0[0].len(), 50_000, "{name}");
    }
    // Those that do not state a length, and need not.
    let pipes = "flac -s -c source.wav | cat >a.flac
        ffmpeg -v error -i source.wav -f flac - | cat >b.flac
        ffmpeg -v error -i source.wav -f mp3 - | cat >a.mp3
        ffmpeg -v error -i source.wav -f adts - | cat >a.aac
        ffmpeg -v error -i source.wav -c:a libvorbis -f ogg - | cat >a.ogg
        ffmpeg -v error -i source.wav -movflags +frag_keyframe+empty_moov -f mp4 - | cat >a.m4a";
    run("sh", &["-c", pipes], &folder);
    for name in ["a.flac", "b.flac", "a.mp3", "a.aac", "a.ogg", "a.m4a"] {
        let mut source = Source::open_as(&folder.at(name), Accept::Whole).unwrap();
        let there = super::drain(&mut source).unwrap_or_else(|error| panic!("{error}"));
        assert!(there[0].len() >= 50_001 && source.warnings().is_empty(), "{name}: {}", there[0].len());
    }
}

#[test]
fn the_byte_that_pads_64_bit_sizes_is_skipped() {
    let folder = Folder::new("cut-padded");
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 1_001)).unwrap();
    let mut bytes = fs::read(folder.at("source.wav")).unwrap();
    let data = bytes.windows(4).position(|word| word == b"data").unwrap() + 4;
    bytes[data..data + 4].fill(0xff);
    bytes[..8].copy_from_slice(b"RF64\xff\xff\xff\xff");
    let at = bytes.windows(4).position(|word| word == b"JUNK").unwrap();
    bytes[at..at + 8].copy_from_slice(b"ds64\x1d\0\0\0");
    bytes[at + 16..at + 24].copy_from_slice(&u64::to_le_bytes(1_001 * 4));
    // One byte more than the standard's, and the pad.
    bytes.splice(at + 36..at + 36, [0, 0]);
    fs::write(folder.at("odd.wav"), bytes).unwrap();
    assert!(read(&folder.at("odd.wav")).unwrap() == read(&folder.at("source.wav")).unwrap());
}

#[test]
fn what_is_cut_out_of_a_flac_is_read() {
    let folder = Folder::new("cut-flac");
    write(&folder.at("source.wav"), 44_100, Depth::Int16, &sines(2, 441_000)).unwrap();
    let (audio, _) = read(&folder.at("source.wav")).unwrap();
    run("flac", &["-s", "-f", "source.wav", "-o", "a.flac"], &folder);
    ffmpeg(&["-ss", "3.3", "-i", "a.flac", "-c", "copy", "b.flac"], &folder);
    let mut source = Source::open_as(&folder.at("b.flac"), Accept::Whole).unwrap();
    let there = super::drain(&mut source).unwrap_or_else(|error| panic!("{error}"));
    let count = there[0].len();
    assert!((290_000..300_000).contains(&count) && source.frames() == Some(count as u64), "{count}");
    assert!(there[1][..] == audio[1][441_000 - count..]);
    // It does not reach as far as it says.
    ffmpeg(&["-ss", "3.3", "-t", "2", "-i", "a.flac", "-c", "copy", "c.flac"], &folder);
    let (there, warnings) = read_as_far(&folder.at("c.flac")).unwrap();
    assert!(there[1][..] == audio[1][441_000 - count..][..there[1].len()]);
    assert!(warnings[0].contains("ends after 2.1 s of 6.7 s"), "{warnings:?}");
    // Where the first frame is broken, that is said, and it is not taken for an excerpt.
    let mut bytes = fs::read(folder.at("a.flac")).unwrap();
    let first = 4 + 4 + 34;
    let mut at = 4;
    while bytes[at] & 0x80 == 0 {
        at += 4 + u32::from_be_bytes([0, bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    }
    at += 4 + u32::from_be_bytes([0, bytes[at + 1], bytes[at + 2], bytes[at + 3]]) as usize;
    assert!(at >= first && bytes[at] == 0xff);
    bytes[at + 30] ^= 1;
    fs::write(folder.at("d.flac"), bytes).unwrap();
    assert!(message(&folder.at("d.flac")).contains("broken or missing"));
}
