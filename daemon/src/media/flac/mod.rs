//! FLAC: writing, frame by frame, with the stream header filled in at the end.
//!
//! The library writes the frames. Predictions and partitions are chosen here, because the library's own search limits
//! prediction coefficients to 12 bits, too few for tones at 24 bits.

mod linear;
mod rice;
mod subframe;

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::num::NonZero;

use bitstream_io::SignedBitCount;
use flac_codec::metadata::{Streaminfo, write_blocks};
use flac_codec::stream::{ChannelAssignment, Frame, FrameHeader, FrameNumber, Independent, SubframeWidth};

use subframe::{Coded, Search};

/// Frames of audio in a FLAC frame; the last may have fewer.
const BLOCK: u16 = 4096;

/// A FLAC file being written.
pub(super) struct Writer {
    output: BufWriter<File>,
    /// The stream header, as far as it is known.
    info: Streaminfo,
    digest: md5::Context,
    search: Search,
    /// Interleaved codes of the current block.
    pending: Vec<i32>,
    /// The block being encoded: channels, and for stereo the mean and the difference.
    planes: Vec<Vec<i32>>,
    /// The encoded block.
    bytes: Vec<u8>,
    bits: u32,
    frames: u64,
    number: FrameNumber,
}

fn other(error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("flac encoder: {error}"))
}

/// Whether FLAC supports this sample rate, in STREAMINFO and in frame headers.
pub(super) fn supports_rate(rate: u32) -> bool {
    rate > 0 && (rate <= 65_535 || rate <= 655_350 && rate.is_multiple_of(10))
}

impl Writer {
    /// Starts `file` with room for the stream header. `bits` is 16 or 24.
    pub(super) fn new(file: File, rate: u32, channels: usize, bits: u32) -> io::Result<Writer> {
        let count = u8::try_from(channels).ok().and_then(NonZero::new);
        let info = Streaminfo {
            minimum_block_size: BLOCK,
            maximum_block_size: BLOCK,
            minimum_frame_size: None,
            maximum_frame_size: None,
            sample_rate: rate,
            channels: count.ok_or_else(|| other("no channels"))?,
            bits_per_sample: SignedBitCount::try_from(bits).map_err(other)?,
            total_samples: None,
            md5: None,
        };
        let mut output = BufWriter::new(file);
        write_blocks(&mut output, [&info]).map_err(other)?;
        Ok(Writer {
            output,
            info,
            digest: md5::Context::new(),
            search: Search::new(bits),
            pending: Vec::with_capacity(usize::from(BLOCK) * channels),
            planes: vec![Vec::new(); if channels == 2 { 4 } else { channels }],
            bytes: Vec::new(),
            bits,
            frames: 0,
            number: FrameNumber::default(),
        })
    }

    fn channels(&self) -> usize {
        usize::from(self.info.channels.get())
    }

    /// Writes one integer code; codes come interleaved.
    pub(super) fn int(&mut self, code: i32) -> io::Result<()> {
        self.pending.push(code);
        if self.pending.len() == usize::from(BLOCK) * self.channels() {
            self.block()?;
        }
        Ok(())
    }

    fn block(&mut self) -> io::Result<()> {
        let channels = self.channels();
        self.bytes.clear();
        for code in &self.pending {
            self.bytes.extend(&code.to_le_bytes()[..self.bits as usize / 8]);
        }
        self.digest.consume(&self.bytes);
        for (channel, plane) in self.planes.iter_mut().take(channels).enumerate() {
            plane.clear();
            plane.extend(self.pending.iter().skip(channel).step_by(channels));
        }
        let frames = self.pending.len() / channels;
        self.pending.clear();
        let (channel_assignment, subframes) = self.subframes()?;
        let frame = Frame {
            header: FrameHeader {
                blocking_strategy: false,
                block_size: u16::try_from(frames).map_err(other)?.try_into().map_err(other)?,
                sample_rate: self.info.sample_rate.try_into().map_err(other)?,
                channel_assignment,
                bits_per_sample: self.info.bits_per_sample.into(),
                frame_number: self.number,
            },
            subframes: subframes.into_iter().map(|coded| SubframeWidth::Common(coded.subframe)).collect(),
        };
        self.bytes.clear();
        frame.write_subset(&mut self.bytes).map_err(other)?;
        self.number.try_increment().map_err(other)?;
        self.frames += frames as u64;
        let size = u32::try_from(self.bytes.len()).ok().and_then(NonZero::new);
        let least = self.info.minimum_frame_size;
        self.info.minimum_frame_size = least.map_or(size, |least| size.map(|size| size.min(least)));
        self.info.maximum_frame_size = self.info.maximum_frame_size.max(size);
        self.output.write_all(&self.bytes)
    }

    /// The smallest encoding of the planes.
    fn subframes(&mut self) -> io::Result<(ChannelAssignment, Vec<Coded>)> {
        if let ([left, right, mean, difference], 2) = (self.planes.as_mut_slice(), self.info.channels.get()) {
            let pairs = || left.iter().zip(&*right);
            mean.clear();
            mean.extend(pairs().map(|(left, right)| (left + right) >> 1));
            difference.clear();
            difference.extend(pairs().map(|(left, right)| left - right));
            let left = self.search.best(left, self.bits)?;
            let right = self.search.best(right, self.bits)?;
            let mean = self.search.best(mean, self.bits)?;
            // The difference of two codes needs one more bit.
            let side = self.search.best(difference, self.bits + 1)?;
            let both = ChannelAssignment::Independent(Independent::Stereo);
            let ways = [
                (left.bits + right.bits, both),
                (left.bits + side.bits, ChannelAssignment::LeftSide),
                (side.bits + right.bits, ChannelAssignment::SideRight),
                (mean.bits + side.bits, ChannelAssignment::MidSide),
            ];
            let (_, best) = ways.into_iter().min_by_key(|(bits, _)| *bits).unwrap_or((0, both));
            let subframes = match best {
                ChannelAssignment::Independent(_) => [left, right],
                ChannelAssignment::LeftSide => [left, side],
                ChannelAssignment::SideRight => [side, right],
                ChannelAssignment::MidSide => [mean, side],
            };
            return Ok((best, subframes.into()));
        }
        let count = Independent::try_from(self.planes.len()).map_err(|()| other("too many channels"))?;
        let each = self.planes.iter().map(|plane| self.search.best(plane, self.bits));
        Ok((ChannelAssignment::Independent(count), each.collect::<io::Result<_>>()?))
    }

    /// Writes the last block and the stream header, and returns the file, all bytes written.
    pub(super) fn finish(mut self) -> io::Result<File> {
        if !self.pending.is_empty() {
            self.block()?;
        }
        // A length that does not fit into the header is stored as unknown.
        self.info.total_samples =
            NonZero::new(self.frames).filter(|frames| *frames <= Streaminfo::MAX_TOTAL_SAMPLES);
        self.info.md5 = Some(self.digest.finalize().0);
        self.output.seek(SeekFrom::Start(0))?;
        write_blocks(&mut self.output, [&self.info]).map_err(other)?;
        self.output.into_inner().map_err(io::IntoInnerError::into_error)
    }
}
