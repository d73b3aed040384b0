//! `lacquer check`: every error of stations and chains.

use super::{Outcome, print};
use crate::reload;
use lacquer_graph::yaml::{Item, parse};
use std::path::{Path, PathBuf};

pub(super) fn run(files: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::Done;
    for file in files {
        let reports = if is_station(file) {
            reload::station(file, None).err().unwrap_or_default()
        } else {
            reload::chain(file, None, reload::NOMINAL_RATE).err().into_iter().collect()
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
    let Ok(meta) = file.metadata() else { return false };
    if meta.len() > lacquer_graph::yaml::MAX_BYTES {
        return false;
    }
    let root = std::fs::read(file).ok().and_then(|bytes| parse(&bytes).ok());
    let Some((Item::Map(entries), _)) = root.map(|(root, mistakes)| (root.item, mistakes)) else {
        return false;
    };
    let has = |key: &str| entries.iter().any(|entry| entry.key == key);
    !has("nodes") && (has("audio") || has("chains") || has("control"))
}
