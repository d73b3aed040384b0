//! Reads at most so many bytes of a file: a sparse file, or one that never ends, may have more than anybody can wait for.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;
use thiserror::Error;

/// More bytes were needed than may be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("its audio does not end within the first {most} bytes; shorten it")]
pub(super) struct TooLarge {
    most: u64,
}

/// A file of which a limited number of bytes is read, wherever they are. The bytes are counted as they are read.
pub(super) struct Limited<F> {
    file: F,
    most: u64,
    left: u64,
}

impl<F> Limited<F> {
    /// `file`, of which at most so many bytes may be read.
    pub(super) fn new(file: F, most: u64) -> Self {
        Self { file, most, left: most }
    }
}

impl<F: Read> Read for Limited<F> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        // One byte more tells a file that is too large from one that ends here.
        let want = bytes.len().min(usize::try_from(self.left.saturating_add(1)).unwrap_or(usize::MAX));
        let read = self.file.read(&mut bytes[..want])?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => return Err(io::Error::new(io::ErrorKind::FileTooLarge, TooLarge { most: self.most })),
        }
        Ok(read)
    }
}

impl<F: Seek> Seek for Limited<F> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

impl MediaSource for Limited<Box<dyn MediaSource>> {
    fn is_seekable(&self) -> bool {
        self.file.is_seekable()
    }

    fn byte_len(&self) -> Option<u64> {
        self.file.byte_len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_that_are_read_are_counted_and_seeking_gives_none_back() {
        let zeros = || io::repeat(0).take(10);
        let mut all = Vec::new();
        assert_eq!(Limited::new(zeros(), 10).read_to_end(&mut all).unwrap(), 10);
        let error = Limited::new(zeros(), 9).read_to_end(&mut all).unwrap_err();
        assert_eq!(error.to_string(), "its audio does not end within the first 9 bytes; shorten it");
        let mut file = Limited::new(io::Cursor::new([0; 10]), 10);
        file.read_exact(&mut [0; 8]).unwrap();
        file.rewind().unwrap();
        assert!(file.read_exact(&mut [0; 8]).is_err());
    }
}
