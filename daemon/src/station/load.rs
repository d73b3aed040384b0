//! Loads a station and its chains: everything is read and checked before anything is applied.

use crate::process::named;
use crate::process::named::shown;
use crate::process::os_error::plain;
use crate::station::impulses::loader;
use crate::station::midi::Controller;
use crate::station::{Backend, LAST, Station, cues};
use lacquer_control::desk::chains::{ChainFile, frames};
use lacquer_control::desk::cues::Cue;
use lacquer_control::desk::turn::Files;
use lacquer_control::surface::midi::map::Map;
use lacquer_graph::file::error::{At, Mistake, Problem, Report};
use lacquer_graph::file::name::is_name;
use lacquer_graph::file::spec::Spec;
use lacquer_graph::file::yaml::MAX_BYTES;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::plan::{Io, Plan};
use std::path::Path;
use std::sync::Arc;

/// Sample rate at which chains are checked while the backend's is unknown, in Hz.
pub const NOMINAL_RATE: f64 = 48_000.0;

/// Plans a chain for a station with `io` at `rate` Hz.
///
/// # Errors
/// All mistakes.
pub fn plan(file: &ChainFile, io: &Io, rate: f64) -> Result<Plan, Vec<Mistake>> {
    Plan::with(&file.spec, io, rate, &loader(file.folder(), &file.spec))
}

fn folder(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// A valid station with its chains.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The station.
    pub station: Station,
    /// Its chains, in the order of the file, each with its plan.
    pub chains: Vec<(ChainFile, Arc<Plan>)>,
    /// Its cue list.
    pub cues: Vec<Cue>,
    /// Its MIDI controllers.
    pub midi: Vec<Controller>,
}

impl Loaded {
    /// The chain to start with.
    pub fn start(&self) -> &str {
        match (&self.station.start, self.chains.first()) {
            (Some((name, _)), _) if name != LAST => name,
            (_, Some((first, _))) => &first.name,
            (_, None) => "",
        }
    }
}

/// Reads a chain or station file. A file above the size limit is not read to its end.
///
/// # Errors
/// The reason if it cannot be read.
pub fn read(path: &Path) -> Result<Vec<u8>, Report> {
    let problem = match named::read(path, MAX_BYTES) {
        Ok(bytes) if bytes.len() as u64 > MAX_BYTES => {
            let found = path.metadata().map_or(0, |meta| meta.len()).max(bytes.len() as u64);
            Problem::TooLarge { found, most: MAX_BYTES }
        }
        Ok(bytes) => return Ok(bytes),
        Err(error) => Problem::Other(plain(&error)),
    };
    Err(report(path, &[], vec![Mistake::of_file(problem)]))
}

fn report(path: &Path, bytes: &[u8], mistakes: Vec<Mistake>) -> Report {
    Report::new(shown(path), &String::from_utf8_lossy(bytes), mistakes)
}

/// Reads one chain file and checks it against `io`, or against the groups it assumes itself if there is none.
pub fn chain(path: &Path, io: Option<&Io>, rate: f64) -> Result<(ChainFile, Arc<Plan>), Report> {
    chain_of(path, &read(path)?, io, rate)
}

/// The same for a file that was read already.
pub fn chain_of(
    path: &Path,
    bytes: &[u8],
    io: Option<&Io>,
    rate: f64,
) -> Result<(ChainFile, Arc<Plan>), Report> {
    let (mut spec, mut mistakes) = Spec::parse(bytes);
    let assumed = Io::assumed(&spec);
    let planned = Plan::with(&spec, io.unwrap_or(&assumed), rate, &loader(folder(path), &spec));
    let mut plan = match planned {
        Ok(plan) if mistakes.is_empty() => plan,
        planned => {
            mistakes.extend(planned.err().unwrap_or_default());
            return Err(report(path, bytes, mistakes));
        }
    };
    if spec.name.is_empty() {
        let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        if !is_name(&stem) {
            let text = "the file name is not a valid chain name; add a \"name:\" of letters, digits, - and _";
            return Err(report(path, bytes, vec![Mistake::of_file(Problem::Other(text.to_owned()))]));
        }
        plan.name.clone_from(&stem);
        spec.name = stem;
    }
    Ok((ChainFile { name: spec.name.clone(), path: path.to_owned(), spec }, Arc::new(plan)))
}

/// Reads a station file and all its chains; reports the mistakes of all of them.
pub fn station(path: &Path, rate: Option<f64>) -> Result<Loaded, Vec<Report>> {
    station_of(path, &read(path).map_err(|report| vec![report])?, rate)
}

/// Reads the station file and all its chains again, for a station that runs: what needs a restart stays as it was in
/// `old`.
///
/// # Errors
/// The mistakes of all files.
pub fn again(path: &Path, old: Station, rate: f64) -> Result<(Box<Files>, Box<Station>), Vec<Report>> {
    let loaded = station(path, Some(rate))?;
    let fixed = old.needs_restart(&loaded.station);
    let start = loaded.start().to_owned();
    let Loaded { station, chains, cues, .. } = loaded;
    let mut settings = station.settings();
    settings.has_midi = !old.control.midi.is_empty();
    let station = Station { audio: old.audio, control: old.control, ..station };
    let files = Files { station: Some((settings, cues)), chains, start, fixed };
    Ok((Box::new(files), Box::new(station)))
}

/// The same for a station file that was read already.
pub fn station_of(path: &Path, bytes: &[u8], rate: Option<f64>) -> Result<Loaded, Vec<Report>> {
    let (station, mut mistakes) = Station::parse(bytes);
    let Some(station) = station else { return Err(vec![report(path, bytes, mistakes)]) };
    let rate = rate.unwrap_or(match &station.audio.backend {
        Backend::Null(null) => null.rate,
        Backend::Cpal(cpal) => f64::from(cpal.rate),
        Backend::Jack { .. } => NOMINAL_RATE,
    });
    let folder = folder(path);
    // Chains are checked against the groups only if these are valid.
    let io = mistakes.is_empty().then_some(&station.audio.io);
    let mut chains: Vec<(ChainFile, Arc<Plan>, At)> = Vec::new();
    let mut reports = Vec::new();
    for (name, at) in &station.chains {
        let file = folder.join(name);
        if let Err(error) = named::open(&file) {
            let text = format!("chain file {}: {}", shown(&file), plain(&error));
            mistakes.push(Mistake::new(*at, Problem::Other(text)));
            continue;
        }
        match chain(&file, io, rate) {
            Ok((chain, plan)) => chains.push((chain, plan, *at)),
            Err(report) => reports.push(report),
        }
    }
    for (i, (chain, plan, at)) in chains.iter().enumerate() {
        if let Some((twin, ..)) = chains[..i].iter().find(|(other, ..)| other.name == chain.name) {
            let text = format!("chain \"{}\" is defined in {} already", chain.name, shown(&twin.path));
            mistakes.push(Mistake::new(*at, Problem::Other(text)));
        }
        mistakes.extend(too_late(&station, plan, *at, rate));
    }
    // If a chain could not be read, it may be the one named here.
    if let (Some((start, at)), true) = (&station.start, reports.is_empty())
        && start != LAST
        && chains.iter().all(|(chain, ..)| chain.name != *start)
    {
        let names: Vec<_> = chains.iter().map(|(chain, ..)| chain.name.as_str()).collect();
        let hint = Hint::nearest(start, names.iter().copied());
        let allowed = format!("there are {}", names.join(", "));
        let (owner, found) = ("a station".to_owned(), format!("\"{start}\"{hint}"));
        mistakes.push(Mistake::new(*at, Problem::Text { owner, key: "start".to_owned(), found, allowed }));
    }
    if reports.is_empty() {
        mistakes.extend(station.overload.mistakes(chains.iter().map(|(chain, ..)| chain)));
    }
    let cues = read_cues(&station, folder, &mut mistakes, &mut reports);
    let midi = read_maps(&station, folder, &mut mistakes, &mut reports);
    if !mistakes.is_empty() {
        reports.insert(0, report(path, bytes, mistakes));
    }
    if !reports.is_empty() {
        return Err(reports);
    }
    let chains = chains.into_iter().map(|(chain, plan, _)| (chain, plan)).collect();
    Ok(Loaded { station, chains, cues, midi })
}

/// Reads the cue list of a station, if it has one.
fn read_cues(
    station: &Station,
    folder: &Path,
    mistakes: &mut Vec<Mistake>,
    reports: &mut Vec<Report>,
) -> Vec<Cue> {
    let Some((name, at)) = &station.cues else { return Vec::new() };
    let path = folder.join(name);
    if let Err(error) = named::open(&path) {
        let text = format!("cue list {}: {}", shown(&path), plain(&error));
        mistakes.push(Mistake::new(*at, Problem::Other(text)));
        return Vec::new();
    }
    cue_list(&path).unwrap_or_else(|report| {
        reports.push(report);
        Vec::new()
    })
}

/// Reads a cue list by itself.
///
/// # Errors
/// All its mistakes.
pub fn cue_list(path: &Path) -> Result<Vec<Cue>, Report> {
    cue_list_of(path, &read(path)?)
}

/// The same for a cue list that was read already.
///
/// # Errors
/// All its mistakes.
pub fn cue_list_of(path: &Path, bytes: &[u8]) -> Result<Vec<Cue>, Report> {
    match cues::parse(bytes) {
        (cues, mistakes) if mistakes.is_empty() => Ok(cues),
        (_, mistakes) => Err(report(path, bytes, mistakes)),
    }
}

/// Reads the maps of a station's MIDI controllers.
fn read_maps(
    station: &Station,
    folder: &Path,
    mistakes: &mut Vec<Mistake>,
    reports: &mut Vec<Report>,
) -> Vec<Controller> {
    let mut entries = Vec::new();
    for midi in &station.control.midi {
        let path = folder.join(&midi.map);
        if let Err(error) = named::open(&path) {
            let text = format!("MIDI map {}: {}", shown(&path), plain(&error));
            mistakes.push(Mistake::new(midi.at, Problem::Other(text)));
            continue;
        }
        match map(&path) {
            Ok(map) => {
                let has_jack = matches!(station.audio.backend, Backend::Jack { .. });
                let is_jack = midi.is_jack.unwrap_or(has_jack);
                if is_jack && !has_jack {
                    let text = "\"via: jack\" needs \"backend: jack\"".to_owned();
                    mistakes.push(Mistake::new(midi.at, Problem::Other(text)));
                }
                entries.push(Controller { path, map, device: midi.device.clone(), is_jack });
            }
            Err(report) => reports.push(report),
        }
    }
    entries
}

/// Reads one MIDI map.
///
/// # Errors
/// All its mistakes.
pub fn map(path: &Path) -> Result<Map, Report> {
    map_of(path, &read(path)?)
}

/// The same for a map that was read already.
///
/// # Errors
/// All its mistakes.
pub fn map_of(path: &Path, bytes: &[u8]) -> Result<Map, Report> {
    match Map::parse(bytes) {
        (Some(map), mistakes) if mistakes.is_empty() => Ok(map),
        (_, mistakes) => Err(report(path, bytes, mistakes)),
    }
}

/// The mistake if a chain needs more latency than the station file allows.
fn too_late(station: &Station, plan: &Plan, at: At, rate: f64) -> Option<Mistake> {
    let allowed = station.audio.latency_ms?;
    let needed = plan.latency as f64 * 1000.0 / rate;
    (plan.latency > frames(allowed, rate)).then(|| {
        let text =
            format!("chain \"{}\" needs {needed:.2} ms of latency; latency: is {allowed} ms", plan.name);
        Mistake::new(at, Problem::Other(text))
    })
}
