//! A FLAC without audio: only its header. The decoder library reports it as a truncated header.

use std::fs::File;
use std::io;

use super::trail::{after_flac_header, read_some};

/// The checksum (MD5) of no audio. An interrupted recorder leaves zeros there instead.
const NO_AUDIO: [u8; 16] =
    [0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0, 0xb2, 4, 0xe9, 0x80, 9, 0x98, 0xec, 0xf8, 0x42, 0x7e];

/// The sample format in the header of a FLAC without audio.
pub(super) struct EmptyFlac {
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: usize,
    /// Bits of a sample.
    pub bits: u32,
}

impl EmptyFlac {
    /// Detects a FLAC without audio that begins with `magic` at byte `start`.
    pub(super) fn find(file: &File, start: u64, magic: &[u8]) -> io::Result<Option<EmptyFlac>> {
        // The marker, the header of STREAMINFO, STREAMINFO.
        let mut head = [0; 4 + 4 + 34];
        if !magic.starts_with(b"fLaC") || read_some(file, &mut head, start)? < head.len() {
            return Ok(None);
        }
        let is_empty = head[4] & 0x7f == 0 && head[26..] == NO_AUDIO;
        if !is_empty || after_flac_header(file, start)? != file.metadata()?.len() {
            return Ok(None);
        }
        // 20 bits of rate, 3 of channels, 5 of bits, then the count of frames.
        let fields = u32::from_be_bytes([head[18], head[19], head[20], head[21]]);
        let (channels, bits) = ((fields >> 9 & 7) as usize + 1, (fields >> 4 & 31) + 1);
        Ok(Some(EmptyFlac { rate: fields >> 12, channels, bits }))
    }
}
