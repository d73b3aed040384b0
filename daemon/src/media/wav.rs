//! WAV: reading and writing of the header and the samples.
//!
//! Implemented here and not by the decoder library, so that every depth is exact, sizes that streaming writers leave
//! unknown are handled, and files above 4 GiB (RF64) work.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};

use super::Lack;
use super::depth::Depth;
use lacquer_graph::block::to_f32;
use lacquer_graph::dsp::speakers::usual;

/// Data sizes left by a writer to a pipe, which cannot seek back: the largest possible, or that of sox, which rounds it
/// down to whole frames.
const UNKNOWN_SIZES: [u64; 3] = [u64::MAX, 0xffff_ffff, 0x7fff_f000];
/// The common tail of sub-format GUIDs that contain a plain format code.
const GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 16, 0, 128, 0, 0, 170, 0, 56, 155, 113];
/// Most chunks before the samples: in a sparse file there are as many empty ones as it claims.
const MAX_CHUNKS: u32 = 4_096;
/// Frames decoded at a time.
const CHUNK: usize = 4096;

/// How one sample is stored.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Code {
    U8,
    I16,
    I24,
    I32,
    F32,
    F64,
}

/// A WAV file being read; the position is in the data chunk.
pub(super) struct Reader {
    input: BufReader<File>,
    code: Code,
    /// Bytes of data left, by the header, or by the file's length if the size is unknown.
    left: u64,
    bytes: Vec<u8>,
    /// Frames per second.
    pub rate: u32,
    /// Samples per frame.
    pub channels: usize,
    /// Bits of an integer sample that carry signal; None for float.
    pub bits: Option<u32>,
    /// Loudspeaker mask of the channels; 0 if the file states none.
    pub speakers: u32,
    /// Frames stated in the header; None if a streaming writer left the size unknown.
    pub frames: Option<u64>,
    /// Frames present.
    pub present: u64,
    /// The partial frame at the end, if there is one.
    pub partial_frame: Option<Lack>,
}

/// Why a WAV file cannot be opened.
pub(super) enum Refusal {
    /// The system's reason.
    Io(io::Error),
    /// What was found.
    Header(String),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Refusal::Header("its header is truncated".into()),
            _ => Refusal::Io(error),
        }
    }
}

fn header<T>(what: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal::Header(what.into()))
}

fn le(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

impl Reader {
    /// Reads the header that begins at byte `start` of `file`, up to the samples.
    pub(super) fn open(file: File, start: u64) -> Result<Reader, Refusal> {
        let len = file.metadata()?.len();
        let mut input = BufReader::new(file);
        let mut head = [0; 12];
        input.seek(SeekFrom::Start(start))?;
        input.read_exact(&mut head)?;
        let riff = le(&head[4..8]);
        let (mut wide, mut format): (Option<u64>, Option<Format>) = (None, None);
        for _ in 0..MAX_CHUNKS {
            let mut chunk = [0; 8];
            if let Err(error) = input.read_exact(&mut chunk) {
                return match error.kind() {
                    io::ErrorKind::UnexpectedEof => header("it has no data chunk"),
                    _ => Err(error.into()),
                };
            }
            let mut size = le(&chunk[4..]);
            match &chunk[..4] {
                b"data" => {
                    let Some((code, channels, rate, bits, speakers)) = format else {
                        return header("its data comes before its format");
                    };
                    let present = len.saturating_sub(input.stream_position()?);
                    if let (0xffff_ffff, Some(wide)) = (size, wide) {
                        size = wide;
                    }
                    let frame = channels as u64 * code.bytes() as u64;
                    // A size of 0 is unknown unless the file was finished.
                    let open = present < size
                        && UNKNOWN_SIZES.iter().any(|open| size / frame == open / frame)
                        || size == 0 && start + riff + 8 != len;
                    // Some writers count the byte that pads an odd size.
                    let bytes = size.min(present) % frame;
                    let is_pad = bytes == 1 && size.is_multiple_of(2) && size <= present;
                    let partial_frame = (bytes > 0 && !is_pad).then_some(Lack::PartialFrame { bytes, frame });
                    return Ok(Reader {
                        input,
                        code,
                        left: if open { present } else { size.min(present) },
                        // Larger frames are refused by the caller.
                        bytes: vec![0; CHUNK * frame.min(64) as usize],
                        rate,
                        channels,
                        bits,
                        speakers,
                        frames: (!open).then_some(size / frame),
                        present: present / frame,
                        partial_frame,
                    });
                }
                b"ds64" if (28..1 << 16).contains(&size) => {
                    let mut body = vec![0; size as usize];
                    input.read_exact(&mut body)?;
                    wide = Some(le(&body[8..16]));
                    size &= 1;
                }
                b"fmt " if (16..1 << 16).contains(&size) => {
                    let mut body = vec![0; size as usize];
                    input.read_exact(&mut body)?;
                    format = Some(parse(&body)?);
                    size &= 1;
                }
                b"fmt " => return header("its format chunk is broken"),
                _ => size += size & 1,
            }
            input.seek_relative(size as i64)?;
        }
        header(format!("it has no data chunk among its first {MAX_CHUNKS} chunks"))
    }

    /// Reads the next chunk into `planes` (one per channel, cleared first). Empty at the end.
    /// An error of kind `UnexpectedEof` means the data stops early or within a frame.
    pub(super) fn next(&mut self, planes: &mut [Vec<f64>]) -> io::Result<()> {
        planes.iter_mut().for_each(Vec::clear);
        let size = self.code.bytes();
        let frame = size * self.channels;
        // Less than a frame at the end of a data chunk of known size is only padding.
        if self.left < frame as u64 && (self.left == 0 || self.frames.is_some()) {
            return Ok(());
        }
        let want = self.left.min(self.bytes.len() as u64) as usize / frame * frame;
        let want = want.max(frame);
        let bytes = &mut self.bytes[..want];
        self.input.read_exact(bytes)?;
        self.left = self.left.saturating_sub(want as u64);
        for (channel, plane) in planes.iter_mut().enumerate() {
            let at = channel * size;
            let samples = bytes.chunks_exact(frame).map(|f| &f[at..at + size]);
            plane.extend(samples.map(|sample| self.code.decode(sample)));
        }
        Ok(())
    }
}

type Format = (Code, usize, u32, Option<u32>, u32);

fn parse(body: &[u8]) -> Result<Format, Refusal> {
    let field = |at: usize| le(&body[at..at + 2]);
    let (mut tag, channels, rate) = (field(0), field(2) as usize, le(&body[4..8]) as u32);
    let stored = field(14);
    let (mut bits, mut speakers) = (stored, 0);
    if tag == 0xfffe {
        if body.len() < 40 || body[26..40] != GUID_TAIL {
            return header("its extensible format is unknown");
        }
        speakers = le(&body[20..24]) as u32;
        (tag, bits) = (field(24), field(18));
    }
    let code = match (tag, stored) {
        (1, 8) => Code::U8,
        (1, 16) => Code::I16,
        (1, 24) => Code::I24,
        (1, 32) => Code::I32,
        (3, 32) => Code::F32,
        (3, 64) => Code::F64,
        _ => {
            return header(format!("sample format {tag} with {stored} bits is not supported"));
        }
    };
    if field(12) != channels as u64 * code.bytes() as u64 && channels <= 8 {
        return header("its frame size does not match its channels and bits");
    }
    if rate == 0 || channels == 0 {
        return header("its sample rate or channel count is 0");
    }
    if bits == 0 || bits > stored {
        bits = stored;
    }
    Ok((code, channels, rate, (tag == 1).then_some(bits as u32), speakers))
}

impl Code {
    fn bytes(self) -> usize {
        match self {
            Code::U8 => 1,
            Code::I16 => 2,
            Code::I24 => 3,
            Code::I32 | Code::F32 => 4,
            Code::F64 => 8,
        }
    }

    fn decode(self, sample: &[u8]) -> f64 {
        let n = le(sample);
        match self {
            Code::U8 => (n as f64 - 128.0) / 128.0,
            Code::I16 => f64::from(n as u16 as i16) / 32768.0,
            Code::I24 => f64::from(((n as u32) << 8) as i32) / 2147483648.0,
            Code::I32 => f64::from(n as u32 as i32) / 2147483648.0,
            Code::F32 => f64::from(f32::from_bits(n as u32)),
            Code::F64 => f64::from_bits(n),
        }
    }
}

/// A WAV file being written.
pub(super) struct Writer {
    output: BufWriter<File>,
    depth: Depth,
    rate: u32,
    channels: usize,
    /// Loudspeaker mask of the channels.
    pub speakers: u32,
}

impl Writer {
    /// Starts `file` with a header that [`finish`](Self::finish) fills in.
    pub(super) fn new(file: File, rate: u32, channels: usize, depth: Depth) -> io::Result<Writer> {
        let speakers = usual(channels);
        let mut writer = Writer { output: BufWriter::new(file), depth, rate, channels, speakers };
        let head = writer.head(0);
        writer.output.write_all(&head)?;
        Ok(writer)
    }

    /// Writes one integer code of the file's depth.
    pub(super) fn int(&mut self, code: i32) -> io::Result<()> {
        self.output.write_all(&code.to_le_bytes()[..self.depth.bits() as usize / 8])
    }

    /// Writes one float sample of the file's depth.
    pub(super) fn float(&mut self, sample: f64) -> io::Result<()> {
        match self.depth {
            Depth::Float64 => self.output.write_all(&sample.to_le_bytes()),
            _ => self.output.write_all(&to_f32(sample).to_le_bytes()),
        }
    }

    /// Fills in the header for `frames` frames and returns the file, all bytes written.
    pub(super) fn finish(mut self, frames: u64) -> io::Result<File> {
        let head = self.head(frames);
        // Chunks are padded to an even size.
        if self.data(frames) & 1 == 1 {
            self.output.write_all(&[0])?;
        }
        self.output.seek(SeekFrom::Start(0))?;
        self.output.write_all(&head)?;
        self.output.into_inner().map_err(io::IntoInnerError::into_error)
    }

    fn data(&self, frames: u64) -> u64 {
        frames * self.channels as u64 * u64::from(self.depth.bits() / 8)
    }

    /// The header, of the same length for any number of frames: a JUNK chunk reserves the space for the 64-bit sizes of
    /// files above 4 GiB.
    fn head(&self, frames: u64) -> Vec<u8> {
        let (bits, float) = (self.depth.bits() as u16, self.depth.is_float());
        let channels = self.channels as u16;
        let block = channels * (bits / 8);
        let tag: u16 = if float { 3 } else { 1 };
        let placed = self.speakers != usual(self.channels);
        let extensible = channels > 2 || placed || bits > 16 && !float;
        let mut format = Vec::new();
        format.extend(if extensible { 0xfffe } else { tag }.to_le_bytes());
        format.extend(channels.to_le_bytes());
        format.extend(self.rate.to_le_bytes());
        format.extend(self.rate.wrapping_mul(u32::from(block)).to_le_bytes());
        format.extend(block.to_le_bytes());
        format.extend(bits.to_le_bytes());
        if extensible {
            format.extend(22u16.to_le_bytes());
            format.extend(bits.to_le_bytes());
            format.extend(self.speakers.to_le_bytes());
            format.extend(tag.to_le_bytes());
            format.extend(GUID_TAIL);
        } else if float {
            format.extend([0, 0]);
        }
        let data = self.data(frames);
        let rest = 4 + 36 + 8 + format.len() as u64 + if float { 12 } else { 0 } + 8;
        let total = rest + data + (data & 1);
        let size_bytes = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).to_le_bytes();
        let wide = total >= u64::from(u32::MAX);
        let mut head = Vec::new();
        head.extend(if wide { b"RF64" } else { b"RIFF" });
        head.extend(size_bytes(total));
        head.extend(b"WAVE");
        head.extend(if wide { b"ds64" } else { b"JUNK" });
        head.extend(28u32.to_le_bytes());
        for size in [total, data, frames] {
            head.extend(if wide { size } else { 0 }.to_le_bytes());
        }
        head.extend([0; 4]);
        head.extend(b"fmt ");
        head.extend((format.len() as u32).to_le_bytes());
        head.extend(format);
        if float {
            head.extend(b"fact");
            head.extend(4u32.to_le_bytes());
            head.extend(size_bytes(frames));
        }
        head.extend(b"data");
        head.extend(size_bytes(if wide { u64::MAX } else { data }));
        head
    }
}
