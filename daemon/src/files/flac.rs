//! FLAC: writing, frame by frame, with the stream header filled in at the end.
//!
//! The encoder library would keep the whole stream in memory and refuses rates above 96 kHz;
//! here only its frames are used, and each goes to the file as soon as it is full.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};

use flacenc::bitsink::ByteSink;
use flacenc::component::{BitRepr, Frame, FrameHeader, FrameOffset, StreamInfo};
use flacenc::config::Encoder;
use flacenc::error::{Verified, Verify};
use flacenc::source::{Context, Fill, FrameBuf};

/// Frames of audio in a FLAC frame; the last may have fewer.
const BLOCK: usize = 4096;
/// The highest rate the encoder library takes by itself.
const LIBRARY_RATE: u32 = 96_000;

/// A FLAC file being written.
pub(super) struct Writer {
    output: BufWriter<File>,
    config: Verified<Encoder>,
    info: StreamInfo,
    buffer: FrameBuf,
    digest: Context,
    pending: Vec<i32>,
    rate: u32,
    channels: usize,
    bits: u32,
    blocks: u32,
    /// Smallest and largest FLAC frame in bytes.
    sizes: (usize, usize),
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("flac encoder: {error}"))
}

/// Whether a FLAC file can have this rate (frames per second), in STREAMINFO and frames.
pub(super) fn takes(rate: u32) -> bool {
    rate > 0 && (rate <= 65_535 || rate <= 655_350 && rate.is_multiple_of(10))
}

impl Writer {
    /// Starts `file` with room for the stream header. `bits` is 16 or 24.
    pub fn new(file: File, rate: u32, channels: usize, bits: u32) -> io::Result<Writer> {
        let width = bits as usize;
        let library_rate = rate.min(LIBRARY_RATE) as usize;
        let config = Encoder::default().into_verified().map_err(|(_, error)| other(error))?;
        let mut output = BufWriter::new(file);
        output.write_all(&[0; 42])?;
        Ok(Writer {
            output,
            config,
            info: StreamInfo::new(library_rate, channels, width).map_err(other)?,
            buffer: FrameBuf::with_size(channels, BLOCK).map_err(other)?,
            digest: Context::new(width, channels),
            pending: Vec::with_capacity(BLOCK * channels),
            rate,
            channels,
            bits,
            blocks: 0,
            sizes: (usize::MAX, 0),
        })
    }

    /// Takes one integer code; codes come interleaved.
    pub fn int(&mut self, code: i32) -> io::Result<()> {
        self.pending.push(code);
        if self.pending.len() == BLOCK * self.channels {
            self.block()?;
        }
        Ok(())
    }

    fn block(&mut self) -> io::Result<()> {
        self.buffer.fill_interleaved(&self.pending).map_err(other)?;
        self.digest.fill_interleaved(&self.pending).map_err(other)?;
        self.pending.clear();
        let number = self.blocks as usize;
        let mut frame = flacenc::encode_fixed_size_frame(&self.config, &self.buffer, number, &self.info)
            .map_err(other)?;
        if self.rate > LIBRARY_RATE {
            // The frame was made for another rate; only its header knows.
            let (header, subframes) = frame.into_parts();
            let header = FrameHeader::new(
                header.block_size(),
                header.channel_assignment().clone(),
                self.bits as usize,
                self.rate as usize,
                FrameOffset::Frame(self.blocks),
            )
            .map_err(other)?;
            frame = Frame::new(header, subframes.into_iter()).map_err(other)?;
        }
        let mut bytes = ByteSink::new();
        frame.write(&mut bytes).map_err(other)?;
        let size = bytes.as_slice().len();
        self.sizes = (self.sizes.0.min(size), self.sizes.1.max(size));
        self.blocks += 1;
        self.output.write_all(bytes.as_slice())
    }

    /// Writes what is left and the stream header, and hands the file back, all bytes passed on.
    pub fn finish(mut self) -> io::Result<File> {
        if !self.pending.is_empty() {
            self.block()?;
        }
        let mut head = Vec::from(*b"fLaC");
        // The only metadata block, and so marked as the last: STREAMINFO, 34 bytes.
        head.extend([0x80, 0, 0, 34]);
        head.extend([(BLOCK as u16).to_be_bytes(); 2].concat());
        let least = if self.blocks == 0 { 0 } else { self.sizes.0 as u32 };
        head.extend(&least.to_be_bytes()[1..]);
        head.extend(&(self.sizes.1 as u32).to_be_bytes()[1..]);
        let packed = u64::from(self.rate) << 44
            | (self.channels as u64 - 1) << 41
            | u64::from(self.bits - 1) << 36
            | self.digest.total_samples() as u64;
        head.extend(packed.to_be_bytes());
        head.extend(self.digest.md5_digest());
        self.output.seek(SeekFrom::Start(0))?;
        self.output.write_all(&head)?;
        self.output.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
