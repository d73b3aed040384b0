//! Decodes all formats but WAV with symphonia, and adds checks that symphonia lacks.

use std::fs::File;
use std::io::{Cursor, Read, Seek, SeekFrom};
use std::panic::{self, AssertUnwindSafe};
use std::path::Path;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::well_known::{
    FORMAT_ID_ADTS, FORMAT_ID_FLAC, FORMAT_ID_ISOMP4, FORMAT_ID_MP3, FORMAT_ID_OGG,
};
use symphonia::core::formats::{FormatId, FormatReader, TrackType};
use symphonia::core::io::{MediaSource, MediaSourceStream, ReadOnlySource};
use symphonia::core::meta::RawValue;

use super::fault::{Fault, broken};
use super::limited::Limited;
use super::mp4::StatedLength;
use super::ogg::Vorbis;
use super::trail::{Trail, after_flac_header};
use super::{MAX_CHANNELS, aiff};
use crate::process::named;
use crate::process::panics::quietly;

/// The comment that states the loudspeakers in a FLAC file: RFC 9639, section 8.6.2.
const MASK: &str = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK";

/// Parses the number in that comment: 0x and hexadecimal digits.
fn hex(value: &RawValue) -> Option<u32> {
    let text = value.to_string();
    let digits = text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok()
}

/// A file that symphonia decodes.
pub(super) struct Coded {
    format: Box<dyn FormatReader>,
    /// The decoder; its parameters state rate, channels and bits.
    pub decoder: Box<dyn AudioDecoder>,
    id: FormatId,
    track: u32,
    /// Frames stated in the header, without encoder delay and padding.
    pub frames: Option<u64>,
    /// The time that the next packet must have, if packets carry a time.
    expected: Option<i64>,
    /// Whether a FLAC stream begins in the middle of another one; its checksum is that of the whole stream.
    is_excerpt: bool,
    trail: Option<Trail>,
    /// The reader for a Vorbis stream, which bypasses symphonia's demuxer.
    vorbis: Option<Box<Vorbis>>,
    /// Whether the file is shorter than its header states (MP4).
    is_cut: bool,
    /// Whether the header has no length.
    pub unclosed: bool,
    /// Whether the duration of a packet is in frames and excludes the padding at its end (MP4).
    padded: bool,
}

impl Coded {
    /// Opens `handle`, which is at byte `start` of `path` and has `magic` there. At most `max_bytes` are read.
    pub(super) fn open(
        handle: File,
        path: &Path,
        start: u64,
        magic: &[u8],
        max_bytes: u64,
    ) -> Result<Coded, Error> {
        guard(|| Self::start(handle, path, start, magic, max_bytes)).unwrap_or(Err(Error::DecodeError(PANIC)))
    }

    /// Decodes the next packet that holds audio into `planes`; false at the end. Not to be
    /// called again after a fault.
    pub(super) fn next(&mut self, rate: u32, planes: &mut Vec<Vec<f64>>) -> Result<bool, Fault> {
        guard(|| self.step(rate, planes)).unwrap_or_else(|| Err(Fault::Corrupt(PANIC.into())))
    }

    /// The loudspeaker mask of `channels` channels; 0 if the file states none. A FLAC with another layout than the default
    /// states it in a comment. All decoders, Vorbis too, return channels in the order of the mask's bits.
    pub(super) fn speakers(&mut self, channels: usize) -> u32 {
        let metadata = self.format.metadata();
        let revision = metadata.current();
        let mut tags = revision.into_iter().flat_map(|revision| {
            revision.media.tags.iter().chain(revision.per_track.iter().flat_map(|track| &track.metadata.tags))
        });
        let comment =
            tags.find(|tag| tag.raw.key.eq_ignore_ascii_case(MASK)).and_then(|tag| hex(&tag.raw.value));
        let stated = match self.decoder.codec_params().channels.as_ref() {
            Some(Channels::Positioned(positions)) => u32::try_from(positions.bits()).ok(),
            _ => None,
        };
        // The WAV mask has 18 positions; symphonia knows more, and names a single channel front left.
        let fits = |mask: &u32| channels > 1 && *mask < 1 << 18 && mask.count_ones() as usize == channels;
        comment.filter(fits).or(stated.filter(fits)).unwrap_or(0)
    }

    fn start(handle: File, path: &Path, start: u64, magic: &[u8], max_bytes: u64) -> Result<Coded, Error> {
        // Only these formats may seek. With a seekable MP3 without a Xing header symphonia guesses the length and trims
        // the end by that guess.
        let (is_ogg, is_mp4) = (magic.starts_with(b"OggS"), magic.get(4..8) == Some(b"ftyp"));
        let mut is_cut = false;
        let filled = aiff::filled(&handle, start, magic)?;
        let unclosed = filled.is_some();
        let media: Box<dyn MediaSource> = match filled {
            _ if is_ogg => Box::new(handle),
            _ if is_mp4 => {
                let stated = StatedLength::new(handle, start)?;
                is_cut = stated.is_cut;
                Box::new(stated)
            }
            Some((header, rest)) => Box::new(ReadOnlySource::new(Cursor::new(header).chain(rest))),
            None => Box::new(ReadOnlySource::new(handle)),
        };
        let stream = MediaSourceStream::new(Box::new(Limited::new(media, max_bytes)), Default::default());
        let format = symphonia::default::get_probe().probe(
            &Hint::new(),
            stream,
            Default::default(),
            Default::default(),
        )?;
        let id = format.format_info().format;
        let none = Error::Unsupported("no audio track of a known format");
        let Some(track) = format.default_track(TrackType::Audio) else {
            return Err(none);
        };
        let Some(params) = track.codec_params.as_ref().and_then(|params| params.audio()) else {
            return Err(none);
        };
        let options = AudioDecoderOptions::default().gapless(true).verify(true);
        let mut decoder = symphonia::default::get_codecs().make_audio_decoder(params, &options)?;
        let is_few = params.channels.as_ref().is_some_and(|channels| channels.count() <= MAX_CHANNELS);
        let vorbis = if id == FORMAT_ID_OGG && params.codec == CODEC_ID_VORBIS && is_few {
            let mut file = named::open(path)?;
            file.seek(SeekFrom::Start(start))?;
            Some(Box::new(Vorbis::open(file, max_bytes, track.id, &mut *decoder)?))
        } else {
            None
        };
        // An excerpt starts at a later time, and its frame count includes the frames before that.
        let begin = track.start_ts.get().max(0) as u64;
        let frames = track.num_frames.map(|frames| frames.saturating_sub(begin));
        // ADTS has no length, though symphonia guesses one. A fragmented MP4 states 0.
        let states = id != FORMAT_ID_ADTS && (id != FORMAT_ID_ISOMP4 || frames != Some(0)) && !unclosed;
        Ok(Coded {
            id,
            track: track.id,
            padded: id == FORMAT_ID_ISOMP4 && frames.is_some(),
            frames: vorbis.as_ref().map_or(frames.filter(|_| states), |vorbis| vorbis.frames),
            expected: None,
            is_excerpt: false,
            trail: match id {
                FORMAT_ID_MP3 | FORMAT_ID_ADTS => Some(Trail::new(named::open(path)?, start)),
                FORMAT_ID_FLAC => {
                    let file = named::open(path)?;
                    let first = after_flac_header(&file, start)?;
                    Some(Trail::new(file, first))
                }
                _ => None,
            },
            vorbis,
            is_cut,
            unclosed,
            format,
            decoder,
        })
    }

    fn step(&mut self, rate: u32, planes: &mut Vec<Vec<f64>>) -> Result<bool, Fault> {
        if let Some(vorbis) = &mut self.vorbis {
            return vorbis.next(rate, &mut *self.decoder, planes);
        }
        loop {
            let packet = match self.format.next_packet() {
                Ok(Some(packet)) if packet.track_id == self.track => packet,
                Ok(Some(_)) => continue,
                Ok(None) => return self.end().map(|()| false),
                Err(Error::IoError(error)) => return Err(error.into()),
                Err(Error::ResetRequired) => {
                    return Err(Fault::Corrupt("a second stream starts in the file".into()));
                }
                Err(_) => return Err(broken()),
            };
            if matches!(self.id, FORMAT_ID_FLAC | FORMAT_ID_OGG) {
                // Symphonia skips a frame or page with a wrong checksum; the times reveal the gap.
                let (time, length) = (packet.pts.get(), packet.block_dur().get());
                // Only the first frame distinguishes an excerpt from a stream whose first frames are broken.
                if self.id == FORMAT_ID_FLAC
                    && let Some(mut trail) = self.trail.take()
                    && time > 0
                {
                    trail.follow(&packet.data, false)?;
                    self.is_excerpt = true;
                    self.frames = self.frames.map(|frames| frames.saturating_sub(time.unsigned_abs()));
                }
                if time != self.expected.unwrap_or(time) {
                    return Err(broken());
                }
                self.expected = Some(time.saturating_add_unsigned(length));
            }
            if let Some(trail) = &mut self.trail {
                trail.follow(&packet.data, self.id == FORMAT_ID_ADTS)?;
            }
            let Ok(audio) = self.decoder.decode(&packet) else { return Err(broken()) };
            if audio.spec().rate() != rate || audio.num_planes() != planes.len() {
                return Err(Fault::Corrupt("sample rate or channel count changes".into()));
            }
            audio.copy_to_vecs_planar(planes);
            if self.padded {
                let length = usize::try_from(packet.dur.get()).unwrap_or(usize::MAX);
                planes.iter_mut().for_each(|plane| plane.truncate(length));
            }
            if planes.first().is_some_and(|plane| !plane.is_empty()) {
                return Ok(true);
            }
        }
    }

    fn end(&mut self) -> Result<(), Fault> {
        if self.is_cut {
            return Err(Fault::Truncated);
        }
        if let Some(trail) = &self.trail {
            trail.end()?;
        }
        match self.decoder.finalize().verify_ok {
            Some(false) if !self.is_excerpt => {
                Err(Fault::Corrupt("the audio does not match the checksum".into()))
            }
            _ => Ok(()),
        }
    }
}

/// The message for a file on which the decoder library panics.
pub(super) const PANIC: &str = "the decoder failed on broken data";

/// Runs `work`; None if it panics. Symphonia 0.6.1 panics on some corrupt files: mutated MP4 and others overran its stream
/// buffer and overflowed its arithmetic, release builds included. Its state is not used after a panic. The reported
/// message is [`PANIC`]; the library's own is not printed.
fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    quietly(|| panic::catch_unwind(AssertUnwindSafe(work)).ok())
}
