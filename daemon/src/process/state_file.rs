//! The state file: the chain on air, and the live values of every chain, for the next start.
//!
//! It is JSON. A new file is written beside the old one and then renamed: if the machine stops at any time, one of the
//! two is complete.

use crate::process::named;
use crate::process::named::{NotAFile, shown};
use crate::process::os_error::plain;
use crate::process::replacement::replace;
use lacquer_control::desk::kept::{FORMAT, Kept};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::warn;

/// Largest state file that is read, in bytes.
const MOST: u64 = 32 << 20;

/// The state folder: the one that systemd assigns (`STATE_DIRECTORY`), or the user's.
pub(crate) fn folder() -> Option<PathBuf> {
    systemd_folder("STATE_DIRECTORY")
        .or_else(|| variable("XDG_STATE_HOME").map(|folder| PathBuf::from(folder).join("lacquer")))
        .or_else(|| variable("HOME").map(|user| PathBuf::from(user).join(".local/state/lacquer")))
}

/// The log folder that systemd assigns (`LOGS_DIRECTORY`), if it does.
pub(crate) fn logs() -> Option<PathBuf> {
    systemd_folder("LOGS_DIRECTORY")
}

/// A folder that systemd assigns. It lists several with colons; the first is ours.
fn systemd_folder(name: &str) -> Option<PathBuf> {
    variable(name).map(|list| PathBuf::from(list.to_string_lossy().split(':').next().unwrap_or_default()))
}

fn variable(name: &str) -> Option<OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// What the names of a station's files begin with: the station's name, and a hash of its path, because two stations may
/// have the same name.
pub(crate) fn stem(station: &Path) -> String {
    let whole = station.canonicalize().unwrap_or_else(|_| station.to_owned());
    // FNV-1a, 32 bits.
    let hash = whole
        .to_string_lossy()
        .bytes()
        .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let stem = station.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    format!("{stem}-{hash:08x}")
}

/// Reads a state file. One that is damaged, of another format or not readable is renamed, and a warning is logged.
///
/// # Errors
/// The file is not usable and cannot be renamed: it must not be replaced, for it may hold what a person needs.
pub(crate) fn read(path: &Path) -> Result<Option<Kept>, ()> {
    let why = match named::read(path, MOST) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        // What is no file holds no state.
        Err(error) if NotAFile::found(&error).is_some() => {
            warn!("cannot read {}: {error}; starting without saved state", shown(path));
            return Ok(None);
        }
        Err(error) => plain(&error),
        Ok(bytes) if bytes.len() as u64 > MOST => format!("larger than {MOST} bytes"),
        Ok(bytes) => match serde_json::from_slice::<Kept>(&bytes) {
            Ok(kept) if kept.lacquer != FORMAT => {
                format!("format {}; this version reads format {FORMAT}", kept.lacquer)
            }
            Ok(kept) => return Ok(Some(kept)),
            Err(error) => error.to_string(),
        },
    };
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let aside = path.with_extension(format!("damaged-{seconds}"));
    let (state, aside_shown) = (shown(path), shown(&aside));
    fs::rename(path, &aside).map_err(|error| {
        let error = plain(&error);
        warn!("{state} is not usable: {why}; cannot rename it: {error}; starting without saved state, which is not saved");
    })?;
    warn!("{state} is not usable: {why}; renamed to {aside_shown}; starting without saved state");
    Ok(None)
}

/// Writes a state file: whole, or not at all.
///
/// # Errors
/// What the system refuses; the old file is untouched then.
pub(crate) fn write(path: &Path, kept: &Kept) -> io::Result<()> {
    let mut json = serde_json::to_vec(kept)?;
    json.push(b'\n');
    replace(path, &json)
}
