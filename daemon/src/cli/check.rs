//! `lacquer check`: every error of stations, chains, MIDI maps and cue lists.

use super::{Outcome, print};
use crate::station::load;
use lacquer_graph::file::yaml::{Item, parse};
use std::path::{Path, PathBuf};

pub(super) fn run(files: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::Done;
    for file in files {
        let reports = if is_station(file) {
            load::station(file, None).err().unwrap_or_default()
        } else if has(file, &["controls", "device"]) {
            load::map(file).err().flatten().into_iter().collect()
        } else if has(file, &["cues"]) {
            load::cue_list(file).err().into_iter().collect()
        } else {
            load::chain(file, None, load::NOMINAL_RATE).err().into_iter().collect()
        };
        if reports.is_empty() {
            print(&format!("{}: ok", file.display()));
        }
        for report in reports {
            outcome = super::complain(&report, Outcome::Wrong);
        }
    }
    outcome
}

/// Whether a file means to be a station: it speaks of audio or of chains, and not of nodes.
fn is_station(file: &Path) -> bool {
    !has(file, &["nodes"]) && has(file, &["audio", "chains", "control"])
}

/// Whether a file has one of these keys.
fn has(file: &Path, keys: &[&str]) -> bool {
    let Ok(meta) = file.metadata() else { return false };
    if meta.len() > lacquer_graph::file::yaml::MAX_BYTES {
        return false;
    }
    let root = std::fs::read(file).ok().and_then(|bytes| parse(&bytes).ok());
    let Some((Item::Map(entries), _)) = root.map(|(root, mistakes)| (root.item, mistakes)) else {
        return false;
    };
    entries.iter().any(|entry| keys.contains(&entry.key.as_str()))
}
