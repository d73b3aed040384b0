//! Files changed at random: each is read or refused; none panics, hangs or takes much memory.
//!
//! A process for each kind of file reads them, so that what it takes can be limited. 100 files of each kind;
//! 1,000 with `LACQUER_LONG=1`, or as many as `ROUNDS` says, others with another `SEED`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use lacquer::media::{Depth, FileError, Source};
use lacquer_tests::daemon::lacquer;

use super::{Folder, Random, ffmpeg, noise, run, write};

/// What may be resident, in kB. The decoders take some MB.
const MEMORY: u64 = 300_000;
/// Processor time for all files of a kind, in seconds: many times what they need, and soon over in a hang.
const SECONDS: &str = "300";

/// Kinds of file: name, what makes it of source.wav.
const MADE: [(&str, &str); 11] = [
    ("a.wav", "ffmpeg -c:a pcm_s24le"),
    ("float.wav", "ffmpeg -c:a pcm_f64le"),
    ("rf64.wav", "ffmpeg -c:a pcm_s16le -rf64 always"),
    ("a.aiff", "ffmpeg -c:a pcm_s24be"),
    ("a.flac", "flac -5"),
    ("a.mp3", "ffmpeg -b:a 128k"),
    ("plain.mp3", "ffmpeg -b:a 64k -write_xing 0 -ar 22050"),
    ("a.ogg", "ffmpeg -c:a libvorbis"),
    ("a.aac", "ffmpeg -b:a 128k"),
    ("a.m4a", "ffmpeg -b:a 128k"),
    ("parts.m4a", "ffmpeg -b:a 128k -movflags +frag_keyframe+empty_moov"),
];

#[test]
fn a_mutated_file_is_read_or_refused() {
    let folder = Folder::new("mutated");
    write(&folder.at("source.wav"), 44_100, Depth::Int24, &noise(2, 12_000, 0.4)).unwrap();
    let mut all = vec!["-i", "source.wav"];
    for (name, tool) in MADE {
        match tool.strip_prefix("ffmpeg ") {
            Some(how) => all.extend(how.split(' ').chain([name])),
            None => run("flac", &["-5", "-s", "-f", "source.wav", "-o", name], &folder),
        }
    }
    ffmpeg(&all, &folder);
    let names = Mutex::new(MADE.iter().map(|(name, _)| *name));
    let next = || names.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = next() {
                    read_in_a_process(&folder.at(name))
                }
            });
        }
    });
    // What made the decoder library panic, or was refused, as a user sees it.
    let shown = fs::read_dir(&folder.0).unwrap().map(|entry| entry.unwrap().path());
    let shown: Vec<PathBuf> = shown.filter(|path| path.to_string_lossy().contains("-shown-")).collect();
    assert!(shown.len() >= MADE.len());
    for path in shown {
        let done = lacquer(&["meter", "--json", path.to_str().unwrap()]);
        let said = String::from_utf8(done.stderr).unwrap();
        assert!(matches!(done.status.code(), Some(0 | 1)), "{said}");
        assert_eq!(said.trim_end().lines().count(), 1, "{said}");
        assert!(!said.contains("panicked"), "{said}");
    }
}

/// Runs [`reads_what_is_mutated`] by itself, on `path`.
fn read_in_a_process(path: &Path) {
    let limited = format!("ulimit -t {SECONDS}; exec \"$0\" \"$@\"");
    let done = Command::new("sh")
        .args(["-c", &limited])
        .arg(env::current_exe().unwrap())
        .args(["mutated::reads_what_is_mutated", "--exact", "--nocapture", "--test-threads=1"])
        .env("MUTATED", path)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let (out, error) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    let last = out.lines().rev().take(9).collect::<Vec<_>>().join("\n");
    assert!(done.status.success(), "{}: {}\n{last}\n{error}", path.display(), done.status);
    let all = out.lines().rfind(|line| line.contains(" refused, "));
    println!("{}", all.expect("a sum of what was read"));
}

/// Not a test by itself: the other process of the one above.
#[test]
fn reads_what_is_mutated() {
    let Some(path) = env::var_os("MUTATED").map(PathBuf::from) else { return };
    let number = |name: &str, usual: usize| env::var(name).map_or(usual, |number| number.parse().unwrap());
    let rounds = number("ROUNDS", if env::var_os("LACQUER_LONG").is_some() { 1000 } else { 100 });
    let mut random = Random::new(0xdead_beef ^ (number("SEED", 1) as u64) << 20);
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = fs::read(&path).unwrap();
    let (mut refused, mut whole, mut panics) = (0, 0, 0);
    // Those of the decoder library are caught, and counted; others are faults even where they are caught.
    static PANICS: Mutex<usize> = Mutex::new(0);
    static OURS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    std::panic::set_hook(Box::new(|info| {
        let is_theirs = is_of_the_decoder(&std::backtrace::Backtrace::force_capture().to_string());
        *PANICS.lock().unwrap() += 1;
        if !is_theirs {
            eprintln!("{info}");
            OURS.lock().unwrap().push(info.to_string());
        } else if env::var_os("SHOW").is_some() {
            println!("{info}");
        }
    }));
    let broken = path.with_file_name(format!("{name}-broken"));
    for round in 0..rounds {
        let mutated = mutate(&bytes, audio(&bytes), round, &mut random);
        fs::write(&broken, &mutated).unwrap();
        println!("{name}, file {round}");
        let result = read(&broken);
        match result {
            Ok(_) => whole += 1,
            Err(_) => refused += 1,
        }
        let before = std::mem::replace(&mut panics, *PANICS.lock().unwrap());
        let kind = match &result {
            Err(_) if panics > before => "panic",
            Err(_) => "refused",
            Ok(_) => "read",
        };
        // The first of its kind.
        let shown = path.with_file_name(format!("{name}-shown-{kind}"));
        if kind != "read" && !shown.exists() {
            fs::rename(&broken, shown).unwrap();
        }
    }
    fs::remove_file(&broken).ok();
    let ours = std::mem::take(&mut *OURS.lock().unwrap());
    assert!(ours.is_empty(), "{name}: {ours:?}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let most: u64 = most.trim().trim_end_matches(" kB").parse().unwrap();
    println!(
        "{name}: {refused} refused, {whole} read, {panics} panics of the decoder caught, {} MB",
        most / 1000
    );
    assert!(most < MEMORY, "{name}: {most} kB");
}

/// Whether the innermost function that is ours or the decoder library's is the library's; that of the
/// standard library which panics for it tells nothing.
fn is_of_the_decoder(backtrace: &str) -> bool {
    // Our functions stand there by place, in types with their whole names.
    let is_ours = |line: &str| line.contains("daemon/src/") || line.contains("lacquer::");
    let either = backtrace.lines().find(|line| is_ours(line) || line.contains("symphonia"));
    either.is_some_and(|line| !is_ours(line))
}

/// Reads to the end and keeps nothing.
fn read(path: &Path) -> Result<u64, FileError> {
    let mut source = Source::open(path)?;
    let mut frames = 0;
    while let Some(planes) = source.next()? {
        frames += planes[0].len() as u64;
    }
    Ok(frames)
}

/// Where the audio begins, about.
fn audio(bytes: &[u8]) -> usize {
    let after = |word: &[u8]| bytes.windows(word.len()).position(|at| at == word).map(|at| at + word.len());
    match bytes.get(..4) {
        Some(b"RIFF" | b"RF64") => after(b"data").unwrap() + 4,
        Some(b"FORM") => after(b"SSND").unwrap() + 12,
        Some(b"fLaC") => {
            let mut at = 4;
            loop {
                let head = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
                at += 4 + (head & 0xff_ffff) as usize;
                if head >> 31 == 1 {
                    break at;
                }
            }
        }
        // The third page, behind those of the headers.
        Some(b"OggS") => pages(bytes).get(2).unwrap().start,
        _ => after(b"mdat").unwrap_or(500),
    }
}

/// A third of the rounds hits the header, a third the audio, a third anything.
fn mutate(bytes: &[u8], audio: usize, round: usize, random: &mut Random) -> Vec<u8> {
    let mut broken = bytes.to_vec();
    let range = match round % 3 {
        0 => 0..audio,
        1 => audio..bytes.len(),
        _ => 0..bytes.len(),
    };
    for _ in 0..1 + random.below(8) {
        let at = range.start + random.below(range.len());
        broken[at] = match random.below(4) {
            0 => 0,
            1 => 0xff,
            2 => broken[at] ^ 1 << random.below(8),
            _ => random.bits() as u8,
        };
    }
    let at = range.start + random.below(range.len());
    let piece = at..(at + 1 + random.below(2000)).min(broken.len());
    match random.below(12) {
        0 => broken.truncate(at),
        1 => drop(broken.drain(piece)),
        2 => {
            let twice = broken[piece].to_vec();
            broken.splice(at..at, twice);
        }
        // Behind a right checksum, the change comes to the decoder.
        _ => pages(&broken).into_iter().for_each(|page| check(&mut broken[page])),
    }
    broken
}

/// The pages of an Ogg file, as far as they follow one another.
fn pages(bytes: &[u8]) -> Vec<std::ops::Range<usize>> {
    let (mut pages, mut at) = (Vec::new(), 0);
    while bytes[at..].starts_with(b"OggS") && bytes.len() > at + 27 {
        let pieces = usize::from(bytes[at + 26]);
        let lengths = bytes[at + 27..].iter().take(pieces);
        let end = at + 27 + pieces + lengths.map(|length| usize::from(*length)).sum::<usize>();
        if end > bytes.len() {
            break;
        }
        pages.push(at..end);
        at = end;
    }
    pages
}

/// Puts the checksum of an Ogg page right.
fn check(page: &mut [u8]) {
    page[22..26].fill(0);
    let sum = page.iter().fold(0_u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte) << 24, |sum, _| (sum << 1) ^ ((sum >> 31) * 0x04c1_1db7))
    });
    page[22..26].copy_from_slice(&sum.to_le_bytes());
}
