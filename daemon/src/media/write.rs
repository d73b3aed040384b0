//! Writing: planar f64 to a WAV or FLAC file that appears only when it is complete.

use std::io;
use std::path::Path;

use super::depth::Depth;
use super::place::{Part, Place};
use super::{FileError, MAX_CHANNELS, flac, wav};
use lacquer_graph::dsp::speakers::usual;

/// What a finished file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Written {
    /// Frames written (one sample of every channel each).
    pub frames: u64,
    /// Samples of all channels that the depth cannot represent: for integers beyond the range of the codes, or NaN (stored
    /// as 0); for 32-bit floats beyond their range; always 0 for 64-bit floats.
    pub clipped: u64,
}

/// An audio file being written.
///
/// The bytes go to a hidden temporary file in the same folder; [`finish`](Sink::finish) puts it
/// in its [`Place`]. A sink dropped before that leaves the folder unchanged.
/// Memory use does not grow with the length of the audio.
pub struct Sink {
    place: Place,
    part: Part,
    encoder: Option<Encoder>,
    depth: Depth,
    channels: usize,
    written: Written,
}

enum Encoder {
    Wav(wav::Writer),
    Flac(Box<flac::Writer>),
}

impl Sink {
    /// Starts the file at `path`; replaces an existing file.
    ///
    /// # Errors
    ///
    /// As [`Place::new`] and [`create_at`](Self::create_at).
    pub fn create(path: &Path, rate: u32, channels: usize, depth: Depth) -> Result<Sink, FileError> {
        Self::create_at(&Place::new(path, &[], true)?, rate, channels, depth)
    }

    /// Starts the file at `place`, WAV or FLAC by its extension, with `rate` frames per second and 1
    /// to 8 `channels`.
    ///
    /// # Errors
    ///
    /// [`FileError::Output`] for another extension, a rate of 0, or a FLAC of other than 16 or
    /// 24 bits or with a rate FLAC cannot state; [`FileError::Channels`]; [`FileError::Io`] if
    /// the folder cannot be written to.
    pub fn create_at(place: &Place, rate: u32, channels: usize, depth: Depth) -> Result<Sink, FileError> {
        let file = place.given().to_owned();
        let refuse = |what: String| Err(FileError::Output { file: file.clone(), what });
        let extension = Path::new(&file).extension().unwrap_or_default().to_string_lossy().to_lowercase();
        let is_flac = match extension.as_str() {
            "wav" => false,
            "flac" => true,
            _ => return refuse("the name must end in .wav or .flac".into()),
        };
        if is_flac && !matches!(depth, Depth::Int16 | Depth::Int24) {
            return refuse(format!(
                "flac supports 16 or 24 bits, not {depth}; use one of these, or write a .wav"
            ));
        }
        if rate == 0 || is_flac && !flac::supports_rate(rate) {
            return refuse(format!("this file type cannot have a sample rate of {rate} Hz"));
        }
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(FileError::Channels { file, channels });
        }
        let (part, output) = place.begin()?;
        let failed = |source| place.failed(source);
        // From here on, dropping the sink removes the temporary file.
        let written = Written { frames: 0, clipped: 0 };
        let mut sink = Sink { place: place.clone(), part, encoder: None, depth, channels, written };
        sink.encoder = Some(if is_flac {
            let writer = flac::Writer::new(output, rate, channels, depth.bits());
            Encoder::Flac(Box::new(writer.map_err(failed)?))
        } else {
            Encoder::Wav(wav::Writer::new(output, rate, channels, depth).map_err(failed)?)
        });
        Ok(sink)
    }

    /// Sets the loudspeaker positions of the channels, as a mask (see [`lacquer_graph::dsp::speakers`]); without it they are
    /// the default layout. False if this file type does not store them: readers then assume the default layout.
    pub fn set_speakers(&mut self, speakers: u32) -> bool {
        match &mut self.encoder {
            Some(Encoder::Wav(writer)) => {
                writer.speakers = speakers;
                true
            }
            _ => speakers == usual(self.channels),
        }
    }

    /// Appends frames: one plane per channel, all of one length, full scale at 1.0. Integer
    /// depths round half away from zero, without dither, and clip at the range of the codes.
    ///
    /// # Errors
    ///
    /// [`FileError::Output`] if the planes do not fit the file; [`FileError::Io`] if the system
    /// cannot write, after which nothing but dropping the sink works ([`FileError::Failed`]).
    pub fn write(&mut self, planes: &[&[f64]]) -> Result<(), FileError> {
        let frames = planes.first().map_or(0, |plane| plane.len());
        if planes.len() != self.channels || planes.iter().any(|plane| plane.len() != frames) {
            let what =
                format!("{} planes of one length are needed, {} were given", self.channels, planes.len());
            return Err(FileError::Output { file: self.place.given().to_owned(), what });
        }
        let Some(encoder) = &mut self.encoder else {
            return Err(FileError::Failed { file: self.place.given().to_owned() });
        };
        match encode(encoder, self.depth, planes, frames) {
            Ok(clipped) => {
                self.written.frames += frames as u64;
                self.written.clipped += clipped;
                Ok(())
            }
            Err(source) => {
                self.encoder = None;
                Err(self.place.failed(source))
            }
        }
    }

    /// Completes the file, syncs it to disk and renames it to its target.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`] if the system cannot write or rename; [`FileError::Exists`] if a file was
    /// created at the target since; [`FileError::Failed`] after a failed write. The target is then unchanged.
    pub fn finish(mut self) -> Result<Written, FileError> {
        let Some(encoder) = self.encoder.take() else {
            return Err(FileError::Failed { file: self.place.given().to_owned() });
        };
        let done = match encoder {
            Encoder::Wav(writer) => writer.finish(self.written.frames),
            Encoder::Flac(writer) => writer.finish(),
        };
        self.part.finish(done.map_err(|source| self.place.failed(source))?)?;
        Ok(self.written)
    }
}

/// Encodes the frames and returns how many samples were clipped.
fn encode(encoder: &mut Encoder, depth: Depth, planes: &[&[f64]], frames: usize) -> io::Result<u64> {
    let mut clipped = 0;
    for frame in 0..frames {
        for plane in planes {
            let sample = plane[frame];
            match encoder {
                Encoder::Wav(writer) if depth.is_float() => {
                    clipped += u64::from(depth == Depth::Float32 && overflows_f32(sample));
                    writer.float(sample)?;
                }
                Encoder::Wav(writer) => writer.int(quantise(sample, depth, &mut clipped))?,
                Encoder::Flac(writer) => writer.int(quantise(sample, depth, &mut clipped))?,
            }
        }
    }
    Ok(clipped)
}

/// Whether a sample becomes infinite as a 32-bit float.
fn overflows_f32(sample: f64) -> bool {
    sample.is_finite() && sample.abs() > f64::from(f32::MAX)
}

/// The nearest integer code, half away from zero; counts a sample out of range.
fn quantise(sample: f64, depth: Depth, clipped: &mut u64) -> i32 {
    let full = f64::from(1u32 << (depth.bits() - 1));
    let code = (sample * full).round();
    if !(-full..full).contains(&code) {
        *clipped += 1;
    }
    // The cast turns NaN into 0.
    code.clamp(-full, full - 1.0) as i32
}
