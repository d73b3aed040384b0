//! The state file: what is on air, and what was left of every chain, kept for the next start.
//!
//! It is JSON, and written whole beside the old one before it takes its place: whenever the machine stops, one of
//! the two is there.

use crate::process::named;
use crate::process::named::shown;
use crate::process::replacement::replace;
use lacquer_control::desk::compare::CompareState;
use lacquer_control::desk::scene::Scene;
use lacquer_control::value::ParamValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::warn;

/// The format that this version writes; it reads no newer one.
pub const FORMAT: u32 = 1;
/// Largest state file that is read, in bytes.
const MOST: u64 = 32 << 20;

/// What is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// [`FORMAT`].
    pub lacquer: u32,
    /// The station's name.
    pub station: String,
    /// The chain on air.
    pub chain: String,
    /// The scene that is on.
    pub scene: Option<String>,
    /// Whether the whole chain is in bypass.
    pub bypass: bool,
    /// Whether bypass is made as loud.
    pub bypass_matched: bool,
    /// Whether B is heard.
    pub b: bool,
    /// Whether A and B are made equally loud.
    pub matched: bool,
    /// The one of A and B that is not heard.
    pub other: Option<CompareState>,
    /// The scenes.
    pub scenes: Vec<Scene>,
    /// What was connected on the audio server: ours, theirs.
    #[serde(default)]
    pub cables: Vec<(String, String)>,
    /// What was moved away from the files, by chain.
    pub values: BTreeMap<String, Vec<KeptValue>>,
}

/// A value that was moved: its path, its value, and that of the file at that time.
pub type KeptValue = (String, ParamValue, ParamValue);

/// Where things of a station are kept: the folder that systemd gives, or that of the user.
pub fn folder() -> Option<PathBuf> {
    given("STATE_DIRECTORY")
        .or_else(|| set("XDG_STATE_HOME").map(|home| PathBuf::from(home).join("lacquer")))
        .or_else(|| set("HOME").map(|home| PathBuf::from(home).join(".local/state/lacquer")))
}

/// Where the logs of a station are kept: the folder that systemd gives for them, if it does.
pub fn logs() -> Option<PathBuf> {
    given("LOGS_DIRECTORY")
}

/// A folder that systemd gives. It lists several with colons; the first is ours.
fn given(name: &str) -> Option<PathBuf> {
    set(name).map(|list| PathBuf::from(list.to_string_lossy().split(':').next().unwrap_or_default()))
}

fn set(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What the files of a station begin with: its own name, and something of its path, since two may share the name.
pub fn stem(station: &Path) -> String {
    let whole = station.canonicalize().unwrap_or_else(|_| station.to_owned());
    // FNV-1a, 32 bits.
    let hash = whole
        .to_string_lossy()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let stem = station.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{stem}-{hash:08x}")
}

/// Reads a state file. One that is damaged or foreign is set aside, and that is said.
pub fn read(path: &Path) -> Option<Kept> {
    let bytes = match named::read(path, MOST) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!("{}: {error}; starting without it", shown(path));
            return None;
        }
    };
    let why = match serde_json::from_slice::<Kept>(&bytes) {
        _ if bytes.len() as u64 > MOST => format!("larger than {MOST} bytes"),
        Ok(kept) if kept.lacquer != FORMAT => {
            format!("format {}, and this version writes {FORMAT}", kept.lacquer)
        }
        Ok(kept) => return Some(kept),
        Err(error) => error.to_string(),
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = path.with_extension(format!("damaged-{seconds}"));
    match fs::rename(path, &aside) {
        Ok(()) => warn!("{}: {why}; set aside as {}", shown(path), shown(&aside)),
        Err(error) => warn!("{}: {why}; it cannot be set aside: {error}", shown(path)),
    }
    None
}

/// Writes a state file: whole, or not at all.
///
/// # Errors
/// What the system refuses; the old file is untouched then.
pub fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let mut json = serde_json::to_vec(kept)?;
    json.push(b'\n');
    replace(path, &json)
}
