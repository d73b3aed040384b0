//! Truncated MP4: the decoder library is given the length stated in the file, because it ignores a last box that is
//! longer than the file.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

use super::trail::read_some;

/// The top-level boxes of a file. Other data after them does not belong to it.
const BOXES: [&[u8]; 10] =
    [b"ftyp", b"moov", b"mdat", b"moof", b"mfra", b"free", b"skip", b"wide", b"styp", b"sidx"];

/// Most boxes that are followed: a long file has two for each second.
const MAX_BOXES: u32 = 1 << 20;

/// A file that reports the length stated by its boxes.
pub(super) struct StatedLength {
    file: File,
    len: u64,
    /// Whether it is shorter than its boxes.
    pub is_cut: bool,
}

impl StatedLength {
    /// `file`, whose boxes begin at byte `start`.
    pub(super) fn new(file: File, start: u64) -> io::Result<StatedLength> {
        let len = file.metadata()?.len();
        let (mut at, mut is_audio) = (start, false);
        for _ in 0..MAX_BOXES {
            if at >= len {
                break;
            }
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
            // Size 0 means up to the end of the file.
            if size < 8 {
                break;
            }
            at = at.saturating_add(size);
        }
        // A size beyond the largest possible file is invalid.
        let is_cut = at > len && at < i64::MAX as u64;
        // Other boxes are parsed as a whole, so a truncated one is ignored.
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
