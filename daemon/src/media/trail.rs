//! Checks that the frames of an MP3 or ADTS stream are contiguous in the file.
//!
//! Neither format has a length or a checksum of the whole, and the decoder library silently continues at the next frame it
//! finds. Here every decoded frame is located in the file: bytes between two frames, or after the last one, are a fault.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::fault::{Fault, broken};

/// Largest position of the first frame; only a Xing header may precede it.
const REACH: usize = 1 << 14;
/// Tags that may follow the last frame.
const TAGS: [&[u8]; 4] = [b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3"];

/// Most tags, or blocks of metadata, before the first frame: a file could have them without end.
const MAX_BLOCKS: u32 = 4_096;

/// Position in the file after the frames decoded so far.
pub(super) struct Trail {
    file: File,
    start: u64,
    end: Option<u64>,
    bytes: Vec<u8>,
}

impl Trail {
    /// Starts at byte `start` of `file`, after its leading tags.
    pub(super) fn new(file: File, start: u64) -> Trail {
        Trail { file, start, end: None, bytes: Vec::new() }
    }

    /// Checks that `frame` comes next. An ADTS frame comes without its header of 7 or 9 bytes.
    pub(super) fn follow(&mut self, frame: &[u8], adts: bool) -> Result<(), Fault> {
        let heads: &[usize] = if adts { &[7, 9] } else { &[0] };
        let first = self.end.is_none();
        let from = self.end.unwrap_or(self.start);
        let reach = if first { REACH } else { 9 };
        self.bytes.resize(reach + frame.len(), 0);
        let seen = read_some(&self.file, &mut self.bytes, from)?;
        let bytes = &self.bytes[..seen];
        let at = |head: usize| bytes.get(head..head + frame.len()) == Some(frame);
        let mut head = heads.iter().copied().find(|head| at(*head));
        if first && head.is_none() && !adts {
            head = (1..REACH).find(|head| at(*head)).filter(|head| is_header(&bytes[..*head]));
        }
        let Some(head) = head else {
            return Err(broken());
        };
        self.end = Some(from + (head + frame.len()) as u64);
        Ok(())
    }

    /// Checks that nothing but tags or zeros follows the last frame.
    pub(super) fn end(&self) -> Result<(), Fault> {
        let mut bytes = [0; REACH];
        let seen = read_some(&self.file, &mut bytes, self.end.unwrap_or(self.start))?;
        let rest = &bytes[..seen];
        let tag = TAGS.iter().any(|tag| rest.starts_with(tag));
        if tag || rest.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(Fault::Truncated) }
    }
}

/// Whether the bytes before the first frame of audio are padding and a Xing or like header.
fn is_header(bytes: &[u8]) -> bool {
    let names: [&[u8]; 3] = [b"Xing", b"Info", b"VBRI"];
    bytes.iter().all(|byte| *byte == 0) || bytes.windows(4).any(|word| names.contains(&word))
}

/// The position after the ID3v2 tags at the start of `file`, 0 if there are none.
pub(super) fn after_id3(file: &File) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..MAX_BLOCKS {
        let mut head = [0; 10];
        if read_some(file, &mut head, at)? < 10 || !head.starts_with(b"ID3") {
            return Ok(at);
        }
        // The size has 7 bits in each byte; a footer repeats the head.
        let size = head[6..].iter().fold(0, |size, byte| size << 7 | u64::from(byte & 0x7f));
        let footer = if head[5] & 0x10 != 0 { 10 } else { 0 };
        at += 10 + size + footer;
    }
    Ok(at)
}

/// The position of the first frame of a FLAC that starts at byte `start` of `file`.
pub(super) fn after_flac_header(file: &File, start: u64) -> io::Result<u64> {
    let mut at = start + 4;
    for _ in 0..MAX_BLOCKS {
        let mut head = [0; 4];
        if read_some(file, &mut head, at)? < 4 {
            return Ok(at);
        }
        at += 4 + u64::from(u32::from_be_bytes([0, head[1], head[2], head[3]]));
        if head[0] & 0x80 != 0 {
            return Ok(at);
        }
    }
    Ok(at)
}

/// Fills `bytes` from position `at`, up to the end of the file; returns the number of bytes read.
pub(super) fn read_some(file: &File, bytes: &mut [u8], at: u64) -> io::Result<usize> {
    let mut seen = 0;
    while seen < bytes.len() {
        match file.read_at(&mut bytes[seen..], at + seen as u64) {
            Ok(0) => break,
            Ok(more) => seen += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(seen)
}
