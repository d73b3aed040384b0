//! MP4 that is cut off: the decoder library is told the length that the file states, else it leaves the last box out.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::trail::read_some;

/// The boxes that a file is made of. Anything else behind them is no part of it.
const BOXES: [&[u8]; 10] =
    [b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"styp", b"sidx"];

/// A file, as long as its boxes say.
pub(super) struct StatedLength {
    file: File,
    len: u64,
    /// Whether it is shorter than its boxes.
    pub is_cut: bool,
}

impl StatedLength {
    /// `file`, whose boxes begin at byte `start`.
    pub fn new(file: File, start: u64) -> io::Result<StatedLength> {
        let len = file.metadata()?.len();
        let (mut at, mut is_audio) = (start, false);
        while at < len {
            let mut head = [0; 16];
            let seen = read_some(&file, &mut head, at)?;
            if seen < 8 || !BOXES.contains(&&head[4..8]) {
                break;
            }
            let size = match u32::from_be_bytes([head[0], head[1], head[2], head[3]]) {
                1 => u64::from_be_bytes(std::array::from_fn(|byte| head[8 + byte])),
                size => size.into(),
            };
            is_audio = &head[4..8] == b"mdat";
            // Of size 0 is one that goes to the end.
            if size < 8 {
                break;
            }
            at = at.saturating_add(size);
        }
        // More than a file can have is no size.
        let is_cut = at > len && at < i64::MAX as u64;
        // A box of anything else is parsed, and is left out where it is cut.
        Ok(StatedLength { file, len: if is_cut && is_audio { at } else { len }, is_cut })
    }
}

impl Read for StatedLength {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.file.read(bytes)
    }
}

impl Seek for StatedLength {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(match to {
            SeekFrom::End(by) => SeekFrom::Start(self.len.saturating_add_signed(by)),
            to => to,
        })
    }
}

impl MediaSource for StatedLength {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.len)
    }
}
