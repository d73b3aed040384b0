//! Files: what is written is read back, what is broken is refused, nothing panics.
//!
//! Needs flac, ffmpeg and sox, which `make test` installs.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod broken;
mod cut;
mod lossy;
mod mutated;
mod ogg;
mod sizes;
mod written;

use std::fs;
use std::path::Path;
use std::process::Command;

use lacquer::media::{Accept, Depth, FileError, Sink, Source, Written};
use lacquer_tests::daemon::Folder;
use lacquer_tests::random::Random;
use lacquer_tests::signal;

fn noise(channels: usize, frames: usize, gain: f64) -> Vec<Vec<f64>> {
    signal::noise(signal::db(gain), channels as u64, channels, frames)
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
    Ok((drain(&mut source)?, source.frames()))
}

/// What there is of a file, and what is said of its end.
fn read_as_far(path: &Path) -> Result<(Vec<Vec<f64>>, Vec<String>), FileError> {
    let mut source = Source::open_as(path, Accept::Cut)?;
    Ok((drain(&mut source)?, source.warnings()))
}

/// What is said of a file where only whole ones are taken.
fn refusal(path: &Path) -> String {
    let read = Source::open_as(path, Accept::Whole).and_then(|mut source| drain(&mut source));
    read.expect_err("it was taken for whole").to_string()
}

fn drain(source: &mut Source) -> Result<Vec<Vec<f64>>, FileError> {
    let mut planes = vec![Vec::new(); source.channels()];
    while let Some(chunk) = source.next()? {
        assert!(chunk.iter().all(|plane| plane.len() == chunk[0].len() && !plane.is_empty()));
        planes.iter_mut().zip(chunk).for_each(|(plane, more)| plane.extend(more));
    }
    assert!(source.next()?.is_none());
    Ok(planes)
}

fn run(tool: &str, arguments: &[&str], folder: &Folder) {
    let output = Command::new(tool).args(arguments).current_dir(&folder.0).output();
    let output = output.unwrap_or_else(|error| panic!("{tool}: {error}; make test installs it"));
    assert!(output.status.success(), "{tool} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
}

fn ffmpeg(arguments: &[&str], folder: &Folder) {
    run("ffmpeg", &[&["-v", "error", "-y"], arguments].concat(), folder);
}

fn message(path: &Path) -> String {
    let error = read(path).expect_err("a broken file was read to its end");
    let text = error.to_string();
    assert_eq!(text, text.trim().to_owned());
    let said = text.strip_prefix(&format!("{}: ", path.display())).map(str::to_owned);
    said.unwrap_or_else(|| panic!("{text}"))
}

fn truncate(path: &Path, to: &Path, part: f64) {
    let bytes = fs::read(path).unwrap();
    fs::write(to, &bytes[..(bytes.len() as f64 * part) as usize]).unwrap();
}
