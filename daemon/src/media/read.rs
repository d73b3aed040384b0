//! Reading: an audio file as a stream of planar f64 chunks.

use std::fs::File;
use std::io::{ErrorKind, Seek, SeekFrom};
use std::path::Path;

use lacquer_graph::dsp::speakers::usual;
use symphonia::core::errors::Error;

use super::coded::{Coded, PANIC};
use super::fault::{BROKEN, Fault};
use super::nothing::EmptyFlac;
use super::trail::{after_id3, read_some};
use super::{FileError, Lack, MAX_CHANNELS, name, ogg, seconds, wav};
use crate::process::named;

/// Which files are accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accept {
    /// Complete files only.
    Whole,
    /// Also files without a length in their header, and WAV files with a partial frame at the end.
    Unclosed,
    /// Also truncated files, up to their end.
    Cut,
}

/// An audio file being read as a stream.
pub struct Source {
    file: String,
    input: Input,
    accept: Accept,
    lacks: Vec<Lack>,
    rate: u32,
    channels: usize,
    frames: Option<u64>,
    bits: Option<u32>,
    speakers: u32,
    done: u64,
    failed: bool,
    planes: Vec<Vec<f64>>,
}

enum Input {
    Wav(wav::Reader),
    Coded(Box<Coded>),
    /// A file without frames.
    Empty,
}

impl Source {
    /// Opens the audio file at `path` and reads its header. A truncated file is refused.
    ///
    /// # Errors
    ///
    /// As [`open_as`](Self::open_as).
    pub fn open(path: &Path) -> Result<Source, FileError> {
        Self::open_as(path, Accept::Unclosed)
    }

    /// The same for the files that `accept` allows.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`]; [`FileError::NotAFile`]; [`FileError::NotAudio`] if no known format is found;
    /// [`FileError::Unreadable`] for an unsupported variant or a broken header;
    /// [`FileError::Channels`]; [`FileError::Lacking`] if the header or a WAV's length on disk
    /// already shows what is not accepted.
    pub fn open_as(path: &Path, accept: Accept) -> Result<Source, FileError> {
        Self::open_limited(path, accept, u64::MAX)
    }

    /// The same as [`open`](Self::open), but at most `max_bytes` of the file are decoded. Of a WAV its header states how
    /// many frames there are, and it is not limited.
    ///
    /// # Errors
    ///
    /// As [`open_as`](Self::open_as); [`FileError::Io`] of the kind `FileTooLarge` for a larger file, here or while it is
    /// read.
    pub fn open_within(path: &Path, max_bytes: u64) -> Result<Source, FileError> {
        Self::open_limited(path, Accept::Unclosed, max_bytes)
    }

    fn open_limited(path: &Path, accept: Accept, max_bytes: u64) -> Result<Source, FileError> {
        let file = name(path);
        let failed = |source| FileError::Io { file: file.clone(), doing: "opened", source };
        let unreadable = |what| FileError::Unreadable { file: file.clone(), what };
        let mut handle = named::open(path).map_err(|error| match named::NotAFile::found(&error) {
            Some(what) => FileError::NotAFile { file: file.clone(), what },
            None => failed(error),
        })?;
        let start = after_id3(&handle).map_err(failed)?;
        let mut magic = [0; 12];
        let seen = read_some(&handle, &mut magic, start).map_err(failed)?;
        if matches!(&magic[..4], b"RIFF" | b"RF64" | b"BW64") && &magic[8..] == b"WAVE" {
            return Self::open_wav(file, handle, start, accept);
        }
        if let Some(of) = EmptyFlac::find(&handle, start, &magic[..seen]).map_err(failed)? {
            return Self::new(file, Input::Empty, of.rate, of.channels, Some(0), Some(of.bits));
        }
        if let Some(codec) = ogg::unsupported_codec(&handle, start).map_err(failed)? {
            return Err(unreadable(format!("its codec, {codec}, is not supported")));
        }
        handle.seek(SeekFrom::Start(start)).map_err(failed)?;
        let mut coded = match Coded::open(handle, path, start, &magic[..seen], max_bytes) {
            Ok(coded) => coded,
            Err(Error::Unsupported(what)) if what.starts_with("core (probe)") => {
                return Err(FileError::NotAudio { file });
            }
            // The library reads an Ogg file to its end, past all that is broken.
            Err(Error::IoError(error))
                if error.kind() == ErrorKind::UnexpectedEof && magic.starts_with(b"OggS") =>
            {
                return Err(FileError::Corrupt { file, at: None, what: BROKEN.to_owned() });
            }
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(unreadable("its header is truncated".into()));
            }
            Err(Error::IoError(error)) => return Err(failed(error)),
            Err(Error::DecodeError(what)) => {
                let what = if what == PANIC { PANIC } else { BROKEN }.to_owned();
                return Err(FileError::Corrupt { file, at: None, what });
            }
            Err(_) => return Err(unreadable("its codec is not supported".into())),
        };
        let params = coded.decoder.codec_params();
        let (Some(rate), Some(channels)) = (params.sample_rate, params.channels.as_ref()) else {
            return Err(unreadable("it does not state its sample rate and channels".into()));
        };
        let (channels, bits, frames) = (channels.count(), params.bits_per_sample, coded.frames);
        let (unclosed, speakers) = (coded.unclosed, coded.speakers(channels));
        let source = Self::new(file, Input::Coded(Box::new(coded)), rate, channels, frames, bits)?;
        source.with_speakers(speakers).accept(accept, unclosed.then_some(Lack::Unclosed))
    }

    fn open_wav(file: String, handle: File, start: u64, accept: Accept) -> Result<Source, FileError> {
        let reader = match wav::Reader::open(handle, start) {
            Ok(reader) => reader,
            Err(wav::Refusal::Io(source)) => {
                return Err(FileError::Io { file, doing: "opened", source });
            }
            Err(wav::Refusal::Header(what)) => return Err(FileError::Unreadable { file, what }),
        };
        let (rate, channels, bits) = (reader.rate, reader.channels, reader.bits);
        let (present, frames, speakers, partial_frame) =
            (reader.present, reader.frames, reader.speakers, reader.partial_frame);
        let source =
            Self::new(file, Input::Wav(reader), rate, channels, frames, bits)?.with_speakers(speakers);
        // Refused now, not after all frames have been processed.
        if accept < Accept::Cut && frames.is_some_and(|frames| frames > present) {
            return Err(source.incomplete(source.truncated(present)));
        }
        // If frames are missing or the length is unknown, that is reported already.
        let partial_frame = partial_frame.filter(|_| frames.is_some_and(|frames| frames <= present));
        let lack = if frames.is_none() { Some(Lack::Unclosed) } else { partial_frame };
        source.accept(accept, lack)
    }

    /// Checks `lack`, what is known to be incomplete at the start.
    fn accept(mut self, accept: Accept, lack: Option<Lack>) -> Result<Source, FileError> {
        self.accept = accept;
        if let Some(lack) = lack.filter(|_| accept < Accept::Unclosed) {
            return Err(self.incomplete(lack));
        }
        self.lacks.extend(lack);
        Ok(self)
    }

    fn new(
        file: String,
        input: Input,
        rate: u32,
        channels: usize,
        frames: Option<u64>,
        bits: Option<u32>,
    ) -> Result<Source, FileError> {
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(FileError::Channels { file, channels });
        }
        if rate == 0 {
            return Err(FileError::Unreadable { file, what: "its sample rate is 0".into() });
        }
        let planes = vec![Vec::new(); channels];
        let (accept, lacks, speakers) = (Accept::Whole, Vec::new(), usual(channels));
        Ok(Source {
            file,
            input,
            accept,
            lacks,
            rate,
            channels,
            frames,
            bits,
            speakers,
            done: 0,
            failed: false,
            planes,
        })
    }

    /// Sets the loudspeakers by a mask; 0 keeps the default layout.
    fn with_speakers(self, speakers: u32) -> Source {
        Source { speakers: if speakers == 0 { self.speakers } else { speakers }, ..self }
    }

    /// Frames per second.
    pub fn rate(&self) -> u32 {
        self.rate
    }

    /// Channels, 1 to 8.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The loudspeaker positions of the channels, as a mask in the order of the channels (see
    /// [`lacquer_graph::dsp::speakers`]): as stated in the file, else the default layout for this number of channels.
    pub fn speakers(&self) -> u32 {
        self.speakers
    }

    /// Frames stated in the header, without encoder delay and padding. None if it states none
    /// (ADTS, MP3 without a Xing header, WAV from a streaming writer).
    pub fn frames(&self) -> Option<u64> {
        self.frames
    }

    /// Bits of an integer sample that carry signal; None for float and lossy formats.
    pub fn bits(&self) -> Option<u32> {
        self.bits
    }

    /// Warnings about an incomplete file that was accepted; for a truncated file once its end was reached.
    pub fn warnings(&self) -> Vec<String> {
        self.lacks.iter().map(|lack| format!("{}: {lack}; read up to there", self.file)).collect()
    }

    /// The next frames: one plane per channel, all of one length of at least 1, full scale at
    /// 1.0. None at the end of a file that is complete, or truncated and accepted.
    ///
    /// # Errors
    ///
    /// [`FileError::Lacking`] if the file ends early, [`FileError::Corrupt`]
    /// if it cannot be decoded, [`FileError::Io`] if the system cannot read; from then on
    /// [`FileError::Failed`].
    #[expect(clippy::should_implement_trait, reason = "it lends its planes, which Iterator cannot")]
    pub fn next(&mut self) -> Result<Option<&[Vec<f64>]>, FileError> {
        if self.failed {
            return Err(FileError::Failed { file: self.file.clone() });
        }
        if self.lacks.iter().any(|lack| !lack.has_all_frames()) {
            return Ok(None);
        }
        match self.fill() {
            Ok(true) => Ok(Some(&self.planes)),
            Ok(false) => Ok(None),
            // A file without any frame is an error even if truncated files are accepted.
            Err(Fault::Truncated) if self.accept == Accept::Cut && self.done > 0 => {
                self.lacks.push(self.truncated(self.done));
                Ok(None)
            }
            Err(fault) => {
                self.failed = true;
                Err(self.error(fault))
            }
        }
    }

    /// Fills the planes; false at the end.
    fn fill(&mut self) -> Result<bool, Fault> {
        let more = match &mut self.input {
            Input::Empty => false,
            Input::Wav(reader) => {
                reader.next(&mut self.planes)?;
                !self.planes[0].is_empty()
            }
            Input::Coded(coded) => {
                let more = coded.next(self.rate, &mut self.planes)?;
                // The first frame may show that the file is an excerpt of a longer one.
                self.frames = coded.frames;
                more
            }
        };
        self.done += if more { self.planes[0].len() as u64 } else { 0 };
        match self.frames {
            Some(frames) if !more && self.done < frames => Err(Fault::Truncated),
            Some(frames) if self.done > frames => {
                Err(Fault::Corrupt(format!("it continues after its stated {frames} frames")))
            }
            _ => Ok(more),
        }
    }

    fn error(&self, fault: Fault) -> FileError {
        let file = self.file.clone();
        match fault {
            Fault::Truncated => self.incomplete(self.truncated(self.done)),
            Fault::Io(source) => FileError::Io { file, doing: "read", source },
            Fault::Corrupt(what) => {
                FileError::Corrupt { file, at: Some(seconds(self.done, self.rate)), what }
            }
        }
    }

    fn incomplete(&self, lack: Lack) -> FileError {
        FileError::Lacking { file: self.file.clone(), lack }
    }

    fn truncated(&self, done: u64) -> Lack {
        let found = seconds(done, self.rate);
        match self.frames {
            Some(frames) if frames > done => {
                let promised = seconds(frames, self.rate);
                Lack::Short { found, promised, missing: frames - done }
            }
            _ => Lack::Cut { found },
        }
    }
}
