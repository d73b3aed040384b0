//! Decoding of everything but WAV, by symphonia, with the checks it leaves out.

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
use super::mp4::StatedLength;
use super::ogg::Vorbis;
use super::trail::{Trail, after_flac_header};
use super::{MAX_CHANNELS, aiff};
use crate::process::named;
use crate::process::panics::quietly;

/// The comment in which a FLAC file gives its loudspeakers: RFC 9639, section 8.6.2.
const MASK: &str = "WAVEFORMATEXTENSIBLE_CHANNEL_MASK";

/// A number as that comment has it: 0x and hexadecimal digits.
fn hex(value: &RawValue) -> Option<u32> {
    let text = value.to_string();
    let digits = text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X"))?;
    u32::from_str_radix(digits, 16).ok()
}

/// A file of a format symphonia decodes.
pub(super) struct Coded {
    format: Box<dyn FormatReader>,
    /// The decoder; its parameters state rate, channels and bits.
    pub decoder: Box<dyn AudioDecoder>,
    id: FormatId,
    track: u32,
    /// Frames promised, without encoder delay and padding.
    pub frames: Option<u64>,
    /// The time the next packet must have, where packets carry their own.
    expected: Option<i64>,
    /// What was cut out of a FLAC stream begins in its middle; its checksum is that of the whole.
    is_excerpt: bool,
    trail: Option<Trail>,
    /// A Vorbis stream goes its own way.
    vorbis: Option<Box<Vorbis>>,
    /// Whether the file is shorter than it says (MP4).
    is_cut: bool,
    /// Whether the length was never written.
    pub unclosed: bool,
    /// Whether a packet's duration is in frames and tells what at its end is padding (MP4).
    padded: bool,
}

impl Coded {
    /// Opens `handle`, which stands at byte `start` of `path` and reads `magic` there.
    pub fn open(handle: File, path: &Path, start: u64, magic: &[u8]) -> Result<Coded, Error> {
        guard(|| Self::start(handle, path, start, magic)).unwrap_or(Err(Error::DecodeError(PANIC)))
    }

    /// Decodes the next packet that holds audio into `planes`; false at the end. Not to be
    /// called again after a fault.
    pub fn next(&mut self, rate: u32, planes: &mut Vec<Vec<f64>>) -> Result<bool, Fault> {
        guard(|| self.step(rate, planes)).unwrap_or_else(|| Err(Fault::Corrupt(PANIC.into())))
    }

    /// The mask of the loudspeakers of `channels` channels; 0 where the file gives none. A FLAC that has not the usual ones says
    /// so in a comment. The decoders give channels in the order of the mask's bits, Vorbis too.
    pub fn speakers(&mut self, channels: usize) -> u32 {
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
        // The mask of WAV has 18 positions; symphonia has more.
        // It also calls a single channel left.
        let fits = |mask: &u32| channels > 1 && *mask < 1 << 18 && mask.count_ones() as usize == channels;
        comment.filter(fits).or(stated.filter(fits)).unwrap_or(0)
    }

    fn start(handle: File, path: &Path, start: u64, magic: &[u8]) -> Result<Coded, Error> {
        // Only these need to seek. The others must not: symphonia would then guess the length
        // of an MP3 without a Xing header and trim its end by the guess.
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
        let stream = MediaSourceStream::new(media, Default::default());
        let format = symphonia::default::get_probe().probe(
            &Hint::new(),
            stream,
            Default::default(),
            Default::default(),
        )?;
        let id = format.format_info().format;
        let none = Error::Unsupported("it has no audio track of a known kind");
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
            Some(Box::new(Vorbis::open(file, track.id, &mut *decoder)?))
        } else {
            None
        };
        // A stream cut out of another starts at a later time, up to which its count goes.
        let begin = track.start_ts.get().max(0) as u64;
        let frames = track.num_frames.map(|frames| frames.saturating_sub(begin));
        // An ADTS stream states no length; symphonia guesses one. A fragmented MP4 states 0.
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
                    return Err(Fault::Corrupt("another stream starts in it".into()));
                }
                Err(_) => return Err(broken()),
            };
            if matches!(self.id, FORMAT_ID_FLAC | FORMAT_ID_OGG) {
                // Symphonia leaves out a frame or page with a wrong checksum; the time tells.
                let (time, length) = (packet.pts.get(), packet.block_dur().get());
                // Only the first frame tells an excerpt from a stream whose first frames are broken.
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
                return Err(Fault::Corrupt("its rate or channels change".into()));
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
                Err(Fault::Corrupt("its audio does not match its checksum".into()))
            }
            _ => Ok(()),
        }
    }
}

/// What is said of a file the decoder library panics on.
pub(super) const PANIC: &str = "it is so broken that the decoder gave up";

/// Runs `work`; None if it panics. Symphonia 0.6.1 does on some corrupt files: mutated MP4 and
/// others overran its stream buffer and overflowed its arithmetic, release builds included.
/// What `work` leaves behind is not used again, so it cannot be seen in a half-changed state. The message for
/// whoever reads the file is [`PANIC`]; the library's own is not printed.
fn guard<T>(work: impl FnOnce() -> T) -> Option<T> {
    quietly(|| panic::catch_unwind(AssertUnwindSafe(work)).ok())
}
