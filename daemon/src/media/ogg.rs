//! Reads Vorbis from Ogg pages, by their granule positions.
//!
//! The demuxer of the decoder library skips broken pages and miscounts frames trimmed at the start. Here page numbers and
//! checksums are verified, and the decoded frames of a page are aligned to its granule position: frames before position 0
//! are trimmed at the start, frames after the position of the last page at the end.

use std::fs::File;
use std::io::{self, BufRead, BufReader};

use symphonia::core::checksum::Crc32;
use symphonia::core::codecs::audio::AudioDecoder;
use symphonia::core::io::Monitor;
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};

use super::fault::{Fault, broken};
use super::limited::Limited;
use super::trail::read_some;

/// Bytes of a page header before its lacing values.
const HEADER: usize = 27;
/// Most bytes of a page.
const MAX_PAGE: usize = HEADER + 255 + 255 * 255;
/// Most bytes of a packet.
const MAX_PACKET: usize = 1 << 24;

/// One page, as its bytes.
struct Page(Vec<u8>);

impl Page {
    /// Reads the next page of `input`; None at its end.
    fn read(input: &mut impl BufRead) -> Result<Option<Page>, Fault> {
        if input.fill_buf()?.is_empty() {
            return Ok(None);
        }
        let mut bytes = vec![0; 4];
        input.read_exact(&mut bytes)?;
        if bytes != b"OggS" {
            return Err(broken());
        }
        for to in
            [|_: &[u8]| HEADER, |bytes: &[u8]| HEADER + usize::from(bytes[26]), |bytes: &[u8]| size(bytes)]
        {
            let from = bytes.len();
            bytes.resize(to(&bytes), 0);
            input.read_exact(&mut bytes[from..])?;
        }
        if is_intact(&bytes) { Ok(Some(Page(bytes))) } else { Err(broken()) }
    }

    fn field<const N: usize>(&self, at: usize) -> [u8; N] {
        std::array::from_fn(|byte| self.0[at + byte])
    }

    fn is_continued(&self) -> bool {
        self.0[5] & 1 != 0
    }

    fn is_first(&self) -> bool {
        self.0[5] & 2 != 0
    }

    fn is_last(&self) -> bool {
        self.0[5] & 4 != 0
    }

    /// Granule position: frames of the stream up to the last packet that ends in this page.
    fn granule(&self) -> i64 {
        i64::from_le_bytes(self.field(6))
    }

    fn serial(&self) -> u32 {
        u32::from_le_bytes(self.field(14))
    }

    fn number(&self) -> u32 {
        u32::from_le_bytes(self.field(18))
    }

    /// The packet pieces in the page, and whether each ends its packet.
    fn pieces(&self) -> impl Iterator<Item = (&[u8], bool)> {
        let head = HEADER + usize::from(self.0[26]);
        let (lacing, mut body) = (&self.0[HEADER..head], &self.0[head..]);
        lacing.chunk_by(|before, _| *before == 255).map(move |values| {
            let (piece, rest) = body.split_at(values.iter().map(|value| usize::from(*value)).sum());
            body = rest;
            (piece, values.last().is_some_and(|value| *value < 255))
        })
    }
}

/// Size of the page whose header and lacing values are at the start of `bytes`.
fn size(bytes: &[u8]) -> usize {
    let head = HEADER + usize::from(bytes[26]);
    head + bytes[HEADER..head].iter().map(|value| usize::from(*value)).sum::<usize>()
}

/// Whether the checksum of a page is right. It is computed with 0 in the checksum field.
fn is_intact(bytes: &[u8]) -> bool {
    let mut sum = Crc32::new(0);
    sum.process_buf_bytes(&bytes[..22]);
    sum.process_buf_bytes(&[0; 4]);
    sum.process_buf_bytes(&bytes[26..]);
    bytes[4] == 0 && bytes[22..26] == sum.crc().to_le_bytes()
}

/// The codec of the Ogg file at byte `start`, if it is not supported.
pub(super) fn unsupported_codec(file: &File, start: u64) -> io::Result<Option<&'static str>> {
    // The first page has one packet in one piece.
    let mut bytes = [0; HEADER + 1 + 8];
    let seen = read_some(file, &mut bytes, start)?;
    let codecs: [(&[u8], _); 2] = [(b"OpusHead", "Opus"), (b"Speex   ", "Speex")];
    let is = |mark: &[u8]| {
        bytes[..seen].starts_with(b"OggS") && bytes[HEADER + 1..seen.max(HEADER + 1)].starts_with(mark)
    };
    Ok(codecs.into_iter().find(|(mark, _)| is(mark)).map(|(_, name)| name))
}

/// The granule position of the last page in `file`, if it belongs to stream `serial` and ends it.
fn last_granule(file: &File, serial: u32) -> io::Result<Option<i64>> {
    let from = file.metadata()?.len().saturating_sub(2 * MAX_PAGE as u64);
    let mut bytes = vec![0; 2 * MAX_PAGE];
    let seen = read_some(file, &mut bytes, from)?;
    for at in (0..seen).rev().filter(|at| bytes[*at..seen].starts_with(b"OggS")) {
        let page = &bytes[at..seen];
        if page.len() < HEADER || page.len() < HEADER + usize::from(page[26]) || page.len() < size(page) {
            continue;
        }
        let page = Page(page[..size(page)].to_vec());
        if is_intact(&page.0) {
            let ends = page.serial() == serial && page.is_last() && page.granule() >= 0;
            return Ok(ends.then(|| page.granule()));
        }
    }
    Ok(None)
}

/// A Vorbis stream being read, a page at a time.
pub(super) struct Vorbis {
    input: BufReader<Limited<File>>,
    serial: u32,
    /// The number of the previous page of the stream.
    number: Option<u32>,
    /// The start of a packet that continues in the next page.
    packet: Vec<u8>,
    /// Whether a packet of audio was seen.
    has_begun: bool,
    /// Whether the page that ends the stream was seen.
    has_ended: bool,
    /// Granule position reached so far.
    at: Option<i64>,
    one: Vec<Vec<f64>>,
    /// The decoded first page; it was read ahead to find where the stream begins.
    first: Option<Result<Vec<Vec<f64>>, Fault>>,
    /// Frames of the stream, without the trimmed ones.
    pub frames: Option<u64>,
}

impl Vorbis {
    /// Opens the stream `serial` of `file`, which is at its first page. At most `max_bytes` are read.
    pub(super) fn open(
        file: File,
        max_bytes: u64,
        serial: u32,
        decoder: &mut dyn AudioDecoder,
    ) -> io::Result<Vorbis> {
        let end = last_granule(&file, serial)?;
        let params = decoder.codec_params();
        let channels = params.channels.as_ref().map_or(0, |channels| channels.count());
        let mut stream = Vorbis {
            input: BufReader::with_capacity(1 << 16, Limited::new(file, max_bytes)),
            serial,
            number: None,
            packet: Vec::new(),
            has_begun: false,
            has_ended: false,
            at: None,
            one: vec![Vec::new(); channels],
            first: None,
            frames: None,
        };
        let rate = params.sample_rate.unwrap_or(0);
        let mut first = vec![Vec::new(); channels];
        let result = stream.page(rate, decoder, &mut first).map(|_| first);
        if let (Ok(first), Some(at), Some(end)) = (&result, stream.at, end) {
            let begin = at.saturating_sub_unsigned(first.first().map_or(0, Vec::len) as u64);
            stream.frames = u64::try_from(end.saturating_sub(begin)).ok();
        }
        stream.first = Some(result);
        Ok(stream)
    }

    /// Decodes the next page that holds audio into `planes`; false at the end.
    pub(super) fn next(
        &mut self,
        rate: u32,
        decoder: &mut dyn AudioDecoder,
        planes: &mut Vec<Vec<f64>>,
    ) -> Result<bool, Fault> {
        if let Some(first) = self.first.take() {
            *planes = first?;
            if planes.first().is_some_and(|plane| !plane.is_empty()) {
                return Ok(true);
            }
        }
        self.page(rate, decoder, planes)
    }

    fn page(
        &mut self,
        rate: u32,
        decoder: &mut dyn AudioDecoder,
        planes: &mut [Vec<f64>],
    ) -> Result<bool, Fault> {
        planes.iter_mut().for_each(Vec::clear);
        loop {
            let page = match Page::read(&mut self.input) {
                Ok(Some(page)) => page,
                Ok(None) if !self.has_ended => return Err(Fault::Truncated),
                Err(fault) if !self.has_ended || matches!(fault, Fault::Io(_)) => return Err(fault),
                // Data after the end is not part of the stream; most likely a tag.
                Ok(None) | Err(_) => return Ok(false),
            };
            if page.is_first() && (self.has_begun || self.has_ended) {
                return Err(Fault::Corrupt("a second stream starts in the file".into()));
            }
            if page.serial() == self.serial && self.decode_packets(&page, rate, decoder, planes)? {
                self.trim(&page, planes)?;
                if planes.first().is_some_and(|plane| !plane.is_empty()) {
                    return Ok(true);
                }
            }
        }
    }

    /// Decodes the packets that end in `page`; true if one of them was audio.
    fn decode_packets(
        &mut self,
        page: &Page,
        rate: u32,
        decoder: &mut dyn AudioDecoder,
        planes: &mut [Vec<f64>],
    ) -> Result<bool, Fault> {
        let follows = self.number.is_none_or(|number| number.wrapping_add(1) == page.number());
        self.number = Some(page.number());
        self.has_ended |= page.is_last();
        // A recorded broadcast has the headers of the stream, then continues at a later page.
        if !follows && !self.has_begun {
            self.packet.clear();
        }
        // The end of a packet whose start was not recorded.
        let mut joins = !self.has_begun && page.is_continued() && self.packet.is_empty();
        if self.has_begun && !follows || !joins && page.is_continued() == self.packet.is_empty() {
            return Err(broken());
        }
        let mut any = false;
        for (piece, ends) in page.pieces() {
            if std::mem::take(&mut joins) {
                continue;
            }
            self.packet.extend(piece);
            if self.packet.len() > MAX_PACKET {
                return Err(broken());
            }
            if !ends {
                continue;
            }
            let packet = std::mem::take(&mut self.packet);
            // Headers have an odd first byte. Empty packets are ignored.
            if packet.first().is_none_or(|byte| byte & 1 != 0) {
                continue;
            }
            (self.has_begun, any) = (true, true);
            let packet = Packet::new(self.serial, Timestamp::ZERO, Duration::ZERO, packet);
            let audio = decoder.decode(&packet).map_err(|_| broken())?;
            if audio.spec().rate() != rate || audio.num_planes() != planes.len() {
                return Err(Fault::Corrupt("sample rate or channel count changes".into()));
            }
            audio.copy_to_vecs_planar(&mut self.one);
            planes.iter_mut().zip(&self.one).for_each(|(plane, more)| plane.extend(more));
        }
        Ok(any)
    }

    /// Trims the decoded frames of `page` by its granule position.
    fn trim(&mut self, page: &Page, planes: &mut [Vec<f64>]) -> Result<(), Fault> {
        let (granule, count) = (page.granule(), planes.first().map_or(0, Vec::len));
        if count == 0 && self.at.is_none() {
            // The first packet decodes to no frames. Some encoders put it in a header page with position 0, although the
            // next page begins before that.
            return Ok(());
        }
        let begin = match self.at {
            Some(at) => at,
            // A stream of one page is trimmed at its end.
            None if page.is_last() && granule <= count as i64 => 0,
            None => granule.saturating_sub(count as i64),
        };
        let end = begin.saturating_add(count as i64);
        if granule == -1 || granule != end && !page.is_last() {
            return Err(Fault::Corrupt("granule positions do not match the audio".into()));
        }
        self.at = Some(if page.is_last() { granule } else { end });
        let share = |frames: i64| usize::try_from(frames).unwrap_or(0).min(count);
        let (before, after) = (share(begin.saturating_neg()), share(end.saturating_sub(granule)));
        for plane in planes {
            plane.truncate(count - after);
            plane.drain(..before.min(plane.len()));
        }
        Ok(())
    }
}
