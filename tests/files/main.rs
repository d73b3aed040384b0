//! Files: what is written is read back, what is broken is refused, nothing panics.
//!
//! Needs flac, ffmpeg and sox (Debian packages of those names); a test whose tool is missing
//! says so and passes.

mod broken;
mod lossy;
mod written;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use files_crate::files::{Depth, FileError, Sink, Source, Written};

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("lacquer-files-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A seeded generator (xorshift), uniform over u64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// A sample in -1..1.
    fn sample(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

fn noise(channels: usize, frames: usize, gain: f64) -> Vec<Vec<f64>> {
    let mut random = Random(0x9e37_79b9_7f4a_7c15 + channels as u64);
    (0..channels).map(|_| (0..frames).map(|_| random.sample() * gain).collect()).collect()
}

fn sines(channels: usize, frames: usize) -> Vec<Vec<f64>> {
    let tone = |c: usize, t: usize| 0.5 * (t as f64 * 0.05 * (c + 1) as f64).sin();
    (0..channels).map(|c| (0..frames).map(|t| tone(c, t)).collect()).collect()
}

fn write(path: &Path, rate: u32, depth: Depth, planes: &[Vec<f64>]) -> Result<Written, FileError> {
    let mut sink = Sink::create(path, rate, planes.len(), depth)?;
    let frames = planes[0].len();
    let mut at = 0;
    // Uneven pieces, so that blocks and pieces do not coincide.
    for piece in [1usize, 1000, 77, 5000].into_iter().cycle() {
        let end = (at + piece).min(frames);
        let piece: Vec<&[f64]> = planes.iter().map(|plane| &plane[at..end]).collect();
        sink.write(&piece)?;
        at = end;
        if at == frames {
            break;
        }
    }
    sink.finish()
}

fn read(path: &Path) -> Result<(Vec<Vec<f64>>, Option<u64>), FileError> {
    let mut source = Source::open(path)?;
    let mut planes = vec![Vec::new(); source.channels()];
    while let Some(chunk) = source.next()? {
        assert!(chunk.iter().all(|plane| plane.len() == chunk[0].len() && !plane.is_empty()));
        planes.iter_mut().zip(chunk).for_each(|(plane, more)| plane.extend(more));
    }
    assert!(source.next()?.is_none());
    Ok((planes, source.frames()))
}

fn run(tool: &str, arguments: &[&str], folder: &Folder) -> bool {
    match Command::new(tool).args(arguments).current_dir(&folder.0).output() {
        Ok(output) => {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{tool} {arguments:?}: {text}");
            true
        }
        Err(_) => {
            eprintln!("{tool} is not installed; skipped");
            false
        }
    }
}

fn ffmpeg(arguments: &[&str], folder: &Folder) -> bool {
    run("ffmpeg", &[&["-v", "error", "-y"], arguments].concat(), folder)
}

fn message(path: &Path) -> String {
    let error = read(path).expect_err("a broken file was read to its end");
    let text = error.to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(text.starts_with(&format!("{name}: ")), "{text}");
    assert_eq!(text, text.trim().to_owned());
    text
}

fn truncate(path: &Path, to: &Path, part: f64) {
    let bytes = fs::read(path).unwrap();
    fs::write(to, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
}
