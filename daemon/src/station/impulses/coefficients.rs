//! Coefficients of FIR filters, as CamillaDSP, BruteFIR and REW write them: text, one frame per line, or raw numbers.

use super::Read;
use super::error::ImpulseError;
use crate::process::named;
use lacquer_graph::param::text::{BadImpulse, LONGEST_IMPULSE_S};
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::Path;

/// Most bytes before the samples.
const MAX_HEADER_BYTES: usize = 1 << 16;
/// Most bytes of a frame: four numbers with all their digits, and spaces.
const MAX_FRAME_BYTES: f64 = 128.0;
/// Longest line that is read, in bytes.
const MAX_LINE_BYTES: u64 = 1_024;
/// Marks at the start of a comment.
const COMMENTS: [&str; 5] = ["#", "//", ";", "*", "%"];
/// The line before REW's samples.
const DATA: &str = "data start";

/// Reads a text file: in each line a number, or one per channel separated by spaces. Comments and blank lines are
/// ignored, except a comment that states the sample rate, or the sample interval as REW does.
pub(super) fn text(path: &Path, rate: f64) -> Result<Read, ImpulseError> {
    let reason = |error: io::Error| match error.kind() {
        ErrorKind::InvalidData => ImpulseError::NotText,
        _ => ImpulseError::File(error),
    };
    let mut header_bytes = 0;
    let mut header = lines(path).map_err(reason)?.map_while(Result::ok).take_while(|line| {
        header_bytes += line.len();
        header_bytes <= MAX_HEADER_BYTES
    });
    let has_header = header.any(|line| is_data(&line));
    let (mut channels, mut own): (Vec<Vec<f64>>, _) = (Vec::new(), None);
    let (mut is_header, mut bytes) = (has_header, 0);
    for (at, line) in lines(path).map_err(reason)?.enumerate() {
        let line = line.map_err(reason)?;
        bytes += line.len();
        let most =
            MAX_HEADER_BYTES + (MAX_FRAME_BYTES * LONGEST_IMPULSE_S * own.map_or(rate, f64::from)) as usize;
        if bytes > most {
            return Err(ImpulseError::TooManyBytes { most });
        }
        let line = line.trim().trim_start_matches('\u{feff}');
        if is_header || COMMENTS.iter().any(|mark| line.starts_with(mark)) {
            own = own.or(stated_rate(line));
            is_header &= !is_data(line);
            continue;
        }
        let end = ["#", "//", ";"].iter().filter_map(|mark| line.find(mark)).min().unwrap_or(line.len());
        let words: Vec<&str> = line[..end].split_whitespace().collect();
        if words.is_empty() {
            continue;
        }
        if channels.is_empty() {
            channels.resize(words.len(), Vec::new());
        }
        if words.len() != channels.len() {
            let (found, expected) = (words.len(), channels.len());
            return Err(ImpulseError::UnevenLine { line: at + 1, found, expected });
        }
        for (channel, word) in channels.iter_mut().zip(words) {
            let number = word.parse().ok().filter(|number: &f64| number.is_finite());
            channel.push(number.ok_or(ImpulseError::NotANumber { line: at + 1 })?);
        }
        if channels[0].len() as f64 > LONGEST_IMPULSE_S * own.map_or(rate, f64::from) {
            return Err(ImpulseError::TooManyLines);
        }
    }
    Ok(Read { channels, rate: own })
}

fn lines(path: &Path) -> io::Result<impl Iterator<Item = io::Result<String>>> {
    let mut file = BufReader::new(named::open(path)?);
    Ok(std::iter::from_fn(move || {
        let mut line = String::new();
        match io::Read::take(&mut file, MAX_LINE_BYTES).read_line(&mut line) {
            Ok(0) => None,
            done => Some(done.map(|_| line)),
        }
    }))
}

fn is_data(line: &str) -> bool {
    line.to_lowercase().trim_start_matches(['*', '#', ' ']).starts_with(DATA)
}

/// The sample rate stated in a comment, in Hz.
fn stated_rate(line: &str) -> Option<u32> {
    let line = line.to_lowercase();
    let number = || {
        line.split(|c: char| c.is_whitespace() || ":=/".contains(c)).find_map(|word| word.parse::<f64>().ok())
    };
    let rate = if line.contains("sample interval") {
        number()?.recip()
    } else if line.contains("sample rate") || line.contains("samplerate") {
        number()?
    } else {
        return None;
    };
    (1_000.0..=1_000_000.0).contains(&rate).then(|| rate.round() as u32)
}

/// Reads raw numbers of `N` bytes, one channel.
pub(super) fn raw<const N: usize>(
    path: &Path,
    rate: f64,
    number: impl Fn([u8; N]) -> f64,
) -> Result<Read, ImpulseError> {
    let most = (LONGEST_IMPULSE_S * rate) as u64 * N as u64;
    let mut bytes = Vec::new();
    let mut file = io::Read::take(named::open(path).map_err(ImpulseError::File)?, most + 1);
    io::Read::read_to_end(&mut file, &mut bytes).map_err(ImpulseError::File)?;
    if bytes.len() as u64 > most {
        let seconds = path.metadata().map_or(most, |meta| meta.len()) as f64 / N as f64 / rate;
        return Err(BadImpulse::TooLong(seconds).into());
    }
    if bytes.len() % N != 0 {
        return Err(ImpulseError::PartOfASample { bytes: bytes.len(), bits: 8 * N });
    }
    let (samples, _) = bytes.as_chunks::<N>();
    Ok(Read { channels: vec![samples.iter().map(|sample| number(*sample)).collect()], rate: None })
}
