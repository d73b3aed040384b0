//! AIFF: sizes that a recorder did not fill in, because it wrote to a pipe or was interrupted.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};

use super::trail::read_some;

/// Most bytes searched for the sample chunk.
const REACH: usize = 1 << 20;
/// Most chunks before the samples: in a sparse file there are as many empty ones as it claims.
const MAX_CHUNKS: usize = 4_096;
/// The size of the sample chunk that sox writes to a pipe.
const SOX: u32 = 0x7f00_0008;

/// For an AIFF (`magic` at byte `start`) whose length was not written: its header with the actual length, and a handle at
/// the samples.
pub(super) fn filled(file: &File, start: u64, magic: &[u8]) -> io::Result<Option<(Vec<u8>, File)>> {
    if !magic.starts_with(b"FORM") || !matches!(magic.get(8..12), Some(b"AIFF" | b"AIFC")) {
        return Ok(None);
    }
    let there = file.metadata()?.len().saturating_sub(start);
    let mut bytes = vec![0; REACH];
    let seen = read_some(file, &mut bytes, start)?;
    bytes.truncate(seen);
    let number = |at: usize| bytes.get(at..at + 4).map(|n| u32::from_be_bytes([n[0], n[1], n[2], n[3]]));
    let (mut at, mut chunks) = (12, 0);
    let stated = loop {
        chunks += 1;
        if chunks > MAX_CHUNKS {
            let text = format!("it has no samples among its first {MAX_CHUNKS} chunks");
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        match (bytes.get(at..at + 4), number(at + 4)) {
            (Some(b"SSND"), Some(size)) => break size,
            // Chunks are padded to an even size.
            (Some(_), Some(size)) => at += 8 + (size as usize).next_multiple_of(2),
            _ => return Ok(None),
        }
    };
    let (rest, form) = (there - (at as u64 + 8), number(4).unwrap_or(0));
    let is_open = match stated {
        0..=8 => u64::from(form) + 8 != there && rest > 8,
        SOX | u32::MAX => rest < u64::from(stated),
        _ => false,
    };
    if !is_open {
        return Ok(None);
    }
    let size = |bytes: u64| u32::try_from(bytes).unwrap_or(u32::MAX).to_be_bytes();
    bytes.truncate(at + 8);
    bytes[4..8].copy_from_slice(&size(there - 8));
    bytes[at + 4..].copy_from_slice(&size(rest));
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(start + bytes.len() as u64))?;
    Ok(Some((bytes, file)))
}
