//! What a station keeps: its state file and its audit log, where the tests let the daemon keep them.

use crate::daemon::state_home;
use std::fs;
use std::path::{Path, PathBuf};

/// The file of a station's state folder that has this in its name, such as `.state.json` or `.audit.log`; not one that is
/// still being written. Of several the first by name.
pub fn kept(station: &Path, part: &str) -> Option<PathBuf> {
    let files = fs::read_dir(state_home(station).join("lacquer")).ok()?;
    let is_meant = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.contains(part) && !name.ends_with(".part")
    };
    files.flatten().map(|file| file.path()).filter(is_meant).min()
}

/// What is in that file.
pub fn read_kept(station: &Path, part: &str) -> Option<String> {
    fs::read_to_string(kept(station, part)?).ok()
}
