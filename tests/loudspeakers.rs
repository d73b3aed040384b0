//! What each channel counts in the loudness, by where its loudspeaker stands: every layout of WAV, FLAC and Vorbis, beside
//! libebur128 and ffmpeg.
//!
//! Both are independent of this code. libebur128 is given each position by its angle, as BS.2051 and BS.775 have it, and must
//! agree everywhere. ffmpeg gives 1.41 to all that stands behind; where BS.1770-5 does not, the difference is stated here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use ebur128::{Channel, EbuR128, Mode};
use lacquer::media::{Depth, Sink, Source};
use lacquer_graph::metering::Meters;
use lacquer_tests::daemon::{Folder, lacquer};
use lacquer_tests::signal::{Channels, noise, silence, sine};
use std::path::Path;
use std::process::Command;

const RATE: usize = 48_000;
/// Frames in which one channel plays alone, and after which its momentary loudness is read: whole tenths of a second.
const TURN: usize = RATE / 2;

/// Layouts as ffmpeg names them, and their masks; the last two it has no name for.
const LAYOUTS: [(&str, u32); 26] = [
    ("mono", 0x4),
    ("stereo", 0x3),
    ("2.1", 0xb),
    ("3.0", 0x7),
    ("3.0(back)", 0x103),
    ("4.0", 0x107),
    ("quad", 0x33),
    ("quad(side)", 0x603),
    ("3.1", 0xf),
    ("5.0", 0x37),
    ("5.0(side)", 0x607),
    ("4.1", 0x10f),
    ("5.1", 0x3f),
    ("5.1(side)", 0x60f),
    ("6.0", 0x707),
    ("6.0(front)", 0x6c3),
    ("hexagonal", 0x137),
    ("6.1", 0x70f),
    ("6.1(back)", 0x13f),
    ("7.0", 0x637),
    ("7.0(front)", 0x6c7),
    ("7.1", 0x63f),
    ("7.1(wide)", 0xff),
    ("octagonal", 0x737),
    ("", 0x503f),
    ("", 0x2_803f),
];
/// The layouts that Vorbis defines for 1 to 8 channels.
const VORBIS: [&str; 8] = ["mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1"];
const SIDES: u32 = 0x600;

fn positions(mask: u32) -> Vec<u32> {
    (0..18).filter(|bit| mask >> bit & 1 == 1).collect()
}

/// What libebur128 calls a position.
fn channel(bit: u32, mask: u32) -> Channel {
    let has_sides = mask & SIDES != 0;
    match bit {
        0 => Channel::Left,
        1 => Channel::Right,
        2 => Channel::Center,
        3 => Channel::Unused,
        4 if has_sides => Channel::Mp135,
        5 if has_sides => Channel::Mm135,
        4 => Channel::LeftSurround,
        5 => Channel::RightSurround,
        6 => Channel::MpSC,
        7 => Channel::MmSC,
        8 => Channel::Mp180,
        9 => Channel::Mp090,
        10 => Channel::Mm090,
        12 => Channel::Up045,
        14 => Channel::Um045,
        15 => Channel::Up135,
        17 => Channel::Um135,
        _ => panic!("no layout here has it"),
    }
}

/// Each channel in turn, alone.
fn turns(channels: usize) -> Channels {
    let mut input = silence(channels, channels * TURN);
    let source = sine(997.0, -20.0, RATE as f64, 1, TURN).remove(0);
    for (turn, samples) in input.iter_mut().enumerate() {
        samples[turn * TURN..(turn + 1) * TURN].copy_from_slice(&source);
    }
    input
}

fn write(path: &Path, mask: u32, input: &Channels) {
    let mut sink = Sink::create(path, RATE as u32, input.len(), Depth::Int16).unwrap();
    assert!(sink.set_speakers(mask));
    sink.write(&input.iter().map(Vec::as_slice).collect::<Vec<_>>()).unwrap();
    sink.finish().unwrap();
}

/// The momentary loudness at the end of each turn, as this code reads the file; and the mask that it sees.
fn ours(path: &Path) -> (u32, Vec<f64>) {
    let mut source = Source::open(path).unwrap();
    let mask = source.speakers();
    let mut input: Channels = vec![Vec::new(); source.channels()];
    while let Some(planes) = source.next().unwrap() {
        input.iter_mut().zip(planes).for_each(|(all, more)| all.extend(more));
    }
    let mut meters = Meters::placed(RATE as f64, input.len(), mask);
    let mut read = Vec::new();
    for turn in 0..input.len() {
        meters.add(&input.iter().map(|all| all[turn * TURN..(turn + 1) * TURN].to_vec()).collect::<Vec<_>>());
        read.push(meters.measure().momentary);
    }
    (mask, read)
}

fn libebur128(mask: u32, input: &Channels) -> Vec<f64> {
    let mut meter = EbuR128::new(input.len() as u32, RATE as u32, Mode::M).unwrap();
    let map: Vec<Channel> = positions(mask).into_iter().map(|bit| channel(bit, mask)).collect();
    meter.set_channel_map(&map).unwrap();
    let read = |turn: usize| {
        let frames = turn * TURN..(turn + 1) * TURN;
        let samples: Vec<f64> = frames.flat_map(|n| input.iter().map(move |all| all[n])).collect();
        meter.add_frames_f64(&samples).unwrap();
        meter.loudness_momentary().unwrap()
    };
    (0..input.len()).map(read).collect()
}

fn run(command: &mut Command) -> String {
    let out = command.output().expect("ffmpeg: installed by make test");
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{text}");
    text + &String::from_utf8_lossy(&out.stdout)
}

/// The layout that ffmpeg sees, and the momentary loudness at the end of each turn. At once it writes `copies`.
fn ffmpeg(path: &Path, channels: usize, copies: &[&str]) -> (String, Vec<f64>) {
    let filter = "ebur128=metadata=1,ametadata=print:key=lavfi.r128.M:file=-";
    let text = run(Command::new("ffmpeg")
        .current_dir(path.parent().unwrap())
        .args(["-hide_banner", "-nostats", "-y", "-i"])
        .arg(path)
        .args(["-af", filter, "-f", "null", "-"])
        .args(copies));
    let stream = text.lines().find(|line| line.contains("Audio:")).unwrap();
    let layout = stream.split(", ").nth(2).unwrap().to_owned();
    let read: Vec<f64> =
        text.lines().filter_map(|line| line.strip_prefix("lavfi.r128.M=")?.parse().ok()).collect();
    // Of a Vorbis file ffmpeg leaves out the first samples, and so the last reading.
    assert!(read.len() >= 5 * channels - 1, "{text}");
    (layout, (0..channels).map(|turn| read[(5 * turn + 4).min(read.len() - 1)]).collect())
}

/// How much more than this code ffmpeg reads, in dB.
fn ffmpeg_adds(bit: u32, mask: u32) -> f64 {
    let is_behind = bit == 8 || bit >= 15 || (4..=5).contains(&bit) && mask & SIDES != 0;
    if is_behind { 10.0 * 1.41_f64.log10() } else { 0.0 }
}

#[track_caller]
fn near(got: f64, wanted: f64, tolerance: f64, what: &str) {
    // Each has its own word for silence, and a lossy file is never quite silent.
    let [got, wanted] = [got, wanted].map(|level| level.max(-70.0));
    assert!((got - wanted).abs() <= tolerance, "{what}: {got:.2}, not {wanted:.2}");
}

#[test]
fn every_channel_of_every_layout_counts_what_the_standard_says() {
    let folder = Folder::new("loudspeakers");
    for (name, mask) in LAYOUTS {
        let positions = positions(mask);
        let input = turns(positions.len());
        let wav = folder.at("in.wav");
        write(&wav, mask, &input);
        let (seen, read) = ours(&wav);
        assert_eq!(seen, mask, "{name}");
        let reference = libebur128(mask, &input);
        // FLAC has a comment for layouts that are not its usual ones; ffmpeg writes it.
        let coder =
            if VORBIS.contains(&name) { &["-c:a", "libvorbis", "-q:a", "8", "in.ogg"][..] } else { &[] };
        let (layout, theirs) =
            ffmpeg(&wav, input.len(), &[&["-compression_level", "0", "in.flac"], coder].concat());
        assert!(name.is_empty() || layout == name, "ffmpeg sees {layout}, not {name}");
        for (turn, bit) in positions.iter().enumerate() {
            let what = format!("channel {turn} of {name} ({mask:#x})");
            println!(
                "{what}: {:.2}, libebur128 {:.2}, ffmpeg {:.2}",
                read[turn], reference[turn], theirs[turn]
            );
            near(read[turn], reference[turn], 0.02, &format!("{what} beside libebur128"));
            near(theirs[turn], read[turn] + ffmpeg_adds(*bit, mask), 0.02, &format!("ffmpeg, {what}"));
        }
        let (seen, from_flac) = ours(&folder.at("in.flac"));
        assert_eq!(from_flac, read, "{name} as FLAC");
        // It takes 5.0 and 5.1 with sides for the same with a back pair, as FLAC does; these count the same.
        assert!(seen == mask || [0x607, 0x60f].contains(&mask), "{name} as FLAC: {seen:#x}");
        if VORBIS.contains(&name) {
            let ogg = folder.at("in.ogg");
            let (seen, from_vorbis) = ours(&ogg);
            assert_eq!(seen, mask, "{name} as Vorbis");
            let (_, theirs) = ffmpeg(&ogg, input.len(), &[]);
            for (turn, bit) in positions.iter().enumerate() {
                let wanted = from_vorbis[turn] + ffmpeg_adds(*bit, mask);
                near(theirs[turn], wanted, 0.1, &format!("ffmpeg, channel {turn} of {name} as Vorbis"));
                // The coder filters an LFE.
                let tolerance = if *bit == 3 { 100.0 } else { 0.3 };
                near(
                    from_vorbis[turn],
                    read[turn],
                    tolerance,
                    &format!("channel {turn} of {name} as Vorbis"),
                );
            }
        }
    }
}

/// Takes the mask out of a WAV: a plain format, or an extensible one whose mask is 0.
fn unplaced(path: &Path, mask: Option<u32>) {
    let mut bytes = std::fs::read(path).unwrap();
    let format = bytes.windows(4).position(|word| word == b"fmt ").unwrap() + 8;
    match mask {
        Some(mask) => bytes[format + 20..format + 24].copy_from_slice(&mask.to_le_bytes()),
        // The rest of the chunk is then for nobody.
        None => bytes[format..format + 2].copy_from_slice(&1_u16.to_le_bytes()),
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn without_a_mask_the_usual_layout_of_so_many_channels_is_taken() {
    let folder = Folder::new("no-loudspeakers");
    let path = folder.at("in.wav");
    for (channels, usual) in [(3, 0x7), (4, 0x33), (5, 0x37), (6, 0x3f), (7, 0x70f), (8, 0x63f)] {
        let input = turns(channels);
        write(&path, usual, &input);
        let wanted = ours(&path);
        assert_eq!(wanted.0, usual);
        for mask in [None, Some(0)] {
            write(&path, usual, &input);
            unplaced(&path, mask);
            assert_eq!(ours(&path), wanted, "{channels} channels, mask {mask:?}");
        }
        // A live group, and any meter that is told nothing else.
        let mut meters = Meters::new(RATE as f64, channels);
        meters.add(&input.iter().map(|all| all[..TURN].to_vec()).collect::<Vec<_>>());
        near(meters.measure().momentary, wanted.1[0], 0.01, "a live group");
    }
    // A mask of too few bits leaves the last channels without a place; one of too many has its last ones left over.
    for (mask, weights) in [(0x3, [1.0; 6]), (0x63f, [1.0, 1.0, 1.0, 0.0, 1.0, 1.0])] {
        write(&path, 0x3f, &turns(6));
        unplaced(&path, Some(mask));
        let (_, read) = ours(&path);
        for (turn, weight) in weights.into_iter().enumerate() {
            near(read[turn], read[0] + 10.0 * f64::log10(weight), 0.01, &format!("{mask:#x}, {turn}"));
        }
    }
}

#[test]
fn the_command_and_what_is_rendered_keep_the_places() {
    let folder = Folder::new("kept-loudspeakers");
    let chain = folder.write("c.yaml", "nodes:\n  - gain\n");
    let integrated = |path: &Path| {
        let out = lacquer(&["meter", path.to_str().unwrap(), "--json"]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        let json: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        json["integrated"].as_f64()
    };
    // A bass in the LFE of 2.1 and of 7.1 counts nothing.
    for (mask, lfe) in [(0xb, 2), (0x63f, 3)] {
        let mut input = silence(positions(mask).len(), 4 * RATE);
        input[0] = noise(-30.0, 5, 1, 4 * RATE).remove(0);
        let [wav, out] = ["in.wav", "out.wav"].map(|name| folder.at(name));
        write(&wav, mask, &input);
        let alone = integrated(&wav);
        input[lfe] = noise(-3.0, 6, 1, 4 * RATE).remove(0);
        write(&wav, mask, &input);
        assert_eq!(integrated(&wav), alone, "{mask:#x}");
        let rendered = lacquer(&[
            "render",
            "--chain",
            chain.to_str().unwrap(),
            wav.to_str().unwrap(),
            out.to_str().unwrap(),
        ]);
        assert!(rendered.status.success() && rendered.stderr.is_empty());
        assert_eq!(Source::open(&out).unwrap().speakers(), mask);
        assert_eq!(integrated(&out), alone, "{mask:#x}, rendered");
        std::fs::remove_file(&out).unwrap();
    }
}
