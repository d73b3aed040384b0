//! Impulse responses from files: audio files as `lacquer render` reads them, and coefficients of FIR filters as text or
//! raw numbers. They are resampled to the chain's sample rate and cached, so planning a chain again reads no file.

mod coefficients;
mod error;

use crate::media::Source;
use crate::process::client_log::log_of;
use crate::process::named::{NotAFile, shown};
use error::ImpulseError;
use lacquer_control::peer::Peer;
use lacquer_graph::dsp::fir::impulse_resampler::{reach, resample};
use lacquer_graph::file::spec::Spec;
use lacquer_graph::param::gain_to_db;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::text::{BadImpulse, Data, Impulse, LONGEST_IMPULSE_S, LoadError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

/// Capacity of the cache in samples: 256 MiB.
const MAX_CACHED_SAMPLES: usize = 32 << 20;
/// Most bytes of a coded audio file: more than four channels of the longest impulse have at 192 kHz in 64 bits.
const MAX_AUDIO_BYTES: u64 = 64 << 20;
/// Most names in a folder among which a similar one is looked for.
const MAX_NAMES: usize = 4_096;
/// A peak above this, in dBFS, means that the file has another scale or format.
const MAX_PEAK_DB: f64 = 40.0;
/// Samples before an impulse are removed if they are below this fraction of its peak: -120 dB.
const SILENCE: f64 = 1e-6;

/// The samples of each channel, and the sample rate in the file.
struct Read {
    channels: Vec<Vec<f64>>,
    rate: Option<u32>,
}

/// What identifies an impulse in the cache.
#[derive(PartialEq)]
struct Key {
    path: PathBuf,
    modified: Option<SystemTime>,
    bytes: u64,
    rate: u64,
}

/// The cached impulses, the last used one at the end.
static CACHE: Mutex<Vec<(Key, Arc<Data>)>> = Mutex::new(Vec::new());

/// A loader for the impulses of the chain `file` in `folder`, for [`lacquer_graph::Plan::with`]. Only the file itself may
/// name impulses outside its folder, because all other names come from clients.
pub fn loader(folder: &Path, file: &Spec) -> impl Fn(&str, f64) -> Result<Arc<Data>, LoadError> {
    move |text, rate| Ok(load(&locate(folder, file, text)?, rate)?)
}

/// The same, but a file that can no longer be read is taken from the cache.
pub fn cached_loader(folder: &Path, file: &Spec) -> impl Fn(&str, f64) -> Result<Arc<Data>, LoadError> {
    move |text, rate| {
        let path = folder.join(text);
        let read = locate(folder, file, text).and_then(|path| load(&path, rate));
        let data = read.or_else(|why| {
            let kept = cached(|key| key.path == path && key.rate == rate.to_bits());
            if kept.is_some() {
                log_of!(Peer::Files, WARN, "{}: {why}; using the cached impulse", shown(&path));
            }
            kept.ok_or(why)
        });
        Ok(data?)
    }
}

/// The path of the impulse that `text` names.
fn locate(folder: &Path, file: &Spec, text: &str) -> Result<PathBuf, ImpulseError> {
    let path = folder.join(text);
    let is_own = file.nodes.iter().flat_map(|node| &node.texts).any(|own| own.text == text);
    if is_own {
        return Ok(path);
    }
    let root = std::path::absolute(folder).and_then(|folder| folder.canonicalize());
    let root = root.map_err(ImpulseError::File)?;
    match root.join(text).canonicalize() {
        Ok(real) if real.starts_with(&root) => Ok(path),
        Err(error) if is_missing_below(&root, &root.join(text)) => Err(missing(&path, error)),
        // The message is the same whether a file outside the folder exists or not.
        _ => Err(ImpulseError::OutsideFolder),
    }
}

/// Whether the existing part of a path lies in `root`.
fn is_missing_below(root: &Path, path: &Path) -> bool {
    let deepest = path.ancestors().find(|above| above.symlink_metadata().is_ok());
    deepest.and_then(|deepest| deepest.canonicalize().ok()).is_some_and(|real| real.starts_with(root))
}

fn load(path: &Path, rate: f64) -> Result<Arc<Data>, ImpulseError> {
    let meta = path.metadata().map_err(|error| missing(path, error))?;
    if let Some(what) = NotAFile::of(meta.file_type()) {
        return Err(what.into());
    }
    let key = Key {
        path: path.to_owned(),
        modified: meta.modified().ok(),
        bytes: meta.len(),
        rate: rate.to_bits(),
    };
    if let Some(data) = cached(|known| *known == key) {
        return Ok(data);
    }
    let data = Arc::new(Data::Impulse(read(path, rate)?));
    cache(key, &data);
    Ok(data)
}

/// That a file cannot be read, with the nearest name in its folder.
fn missing(path: &Path, error: io::Error) -> ImpulseError {
    let names = || -> Option<Vec<String>> {
        let entries = path.parent()?.read_dir().ok()?.flatten().take(MAX_NAMES);
        Some(entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect())
    };
    let near = match (error.kind(), path.file_name()) {
        (io::ErrorKind::NotFound, Some(name)) => {
            names().map(|names| Hint::nearest(&name.to_string_lossy(), names.iter().map(String::as_str)))
        }
        _ => None,
    };
    ImpulseError::Missing { error, near: near.unwrap_or_default() }
}

/// A cached impulse that `is` matches.
fn cached(is: impl Fn(&Key) -> bool) -> Option<Arc<Data>> {
    let mut entries = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = entries.iter().position(|(known, _)| is(known))?;
    let found = entries.remove(at);
    let data = Arc::clone(&found.1);
    entries.push(found);
    Some(data)
}

/// Stores an impulse in the cache. It replaces the old version of the same file; if the cache is full, the least recently
/// used ones are removed.
fn cache(key: Key, data: &Arc<Data>) {
    let mut entries = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
    entries.retain(|(known, _)| known.path != key.path || known.rate != key.rate);
    entries.push((key, Arc::clone(data)));
    let size = |data: &Data| match data {
        Data::Impulse(impulse) => impulse.channels.len() * impulse.frames(),
        Data::Profile(_) => 0,
    };
    let mut sum: usize = entries.iter().map(|(_, data)| size(data)).sum();
    while sum > MAX_CACHED_SAMPLES && entries.len() > 1 {
        sum -= size(&entries.remove(0).1);
    }
}

fn read(path: &Path, rate: f64) -> Result<Impulse, ImpulseError> {
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    let Read { mut channels, rate: own } = match ending.as_str() {
        "txt" | "csv" | "coef" | "fir" => coefficients::text(path, rate)?,
        "raw" | "f32" => {
            coefficients::raw(path, rate, |bytes: [u8; 4]| f64::from(f32::from_le_bytes(bytes)))?
        }
        "f64" | "dbl" => coefficients::raw(path, rate, f64::from_le_bytes)?,
        _ => audio(path)?,
    };
    let peak = channels.iter().flatten().fold(0.0, |peak: f64, sample| peak.max(sample.abs()));
    if gain_to_db(peak) > MAX_PEAK_DB {
        return Err(ImpulseError::TooLoud(gain_to_db(peak)));
    }
    let to = rate.round() as u32;
    if let Some(from) = own.filter(|from| *from != to) {
        channels.iter_mut().for_each(|channel| *channel = resample(channel, from, to));
        let lead = reach(from, to);
        let before = channels.iter().flat_map(|channel| &channel[..lead]);
        // The pre-ringing of the resampler is part of the impulse, so it is removed only where it is silent.
        if before.fold(0.0, |peak: f64, sample| peak.max(sample.abs()))
            < SILENCE * peak * f64::from(from) / rate
        {
            channels.iter_mut().for_each(|channel| _ = channel.drain(..lead));
        }
        channels.iter_mut().for_each(|channel| channel.truncate((LONGEST_IMPULSE_S * rate) as usize));
    }
    Ok(Impulse::new(channels, rate)?)
}

/// Reads an audio file up to the longest allowed impulse.
fn audio(path: &Path) -> Result<Read, ImpulseError> {
    let mut source = Source::open_within(path, MAX_AUDIO_BYTES).map_err(ImpulseError::Audio)?;
    let (count, rate) = (source.channels(), source.rate());
    if !matches!(count, 1 | 2 | 4) {
        return Err(BadImpulse::Channels(count).into());
    }
    let too_long = |frames: u64| {
        let seconds = frames as f64 / f64::from(rate);
        (seconds > LONGEST_IMPULSE_S).then_some(BadImpulse::TooLong(seconds))
    };
    let mut channels = vec![Vec::new(); count];
    if let Some(why) = source.frames().and_then(too_long) {
        return Err(why.into());
    }
    while let Some(planes) = source.next().map_err(ImpulseError::Audio)? {
        channels.iter_mut().zip(planes).for_each(|(channel, plane)| channel.extend(plane));
        if let Some(why) = too_long(channels[0].len() as u64) {
            return Err(why.into());
        }
    }
    Ok(Read { channels, rate: Some(rate) })
}
