//! `lacquer check`: every error of stations, chains, MIDI maps and cue lists.

use super::{Outcome, complain, print};
use crate::process::named::shown;
use crate::process::supervise::within;
use crate::process::worker::Reason;
use crate::station::load;
use crate::station::work::READ_LIMIT;
use lacquer_graph::file::error::Report;
use lacquer_graph::file::yaml::{Item, parse};
use std::path::{Path, PathBuf};

pub(super) fn run(files: &[PathBuf]) -> Outcome {
    let mut outcome = Outcome::Done;
    for file in files {
        let (given, limit) = (file.clone(), READ_LIMIT);
        let Some(reports) = within("check", limit, move || check(&given)) else {
            outcome = complain(&format!("{}: {}", shown(file), Reason::TooLong { limit }), Outcome::Refused);
            continue;
        };
        if reports.is_empty() {
            print(&format!("{}: ok", shown(file)));
        }
        for report in reports {
            outcome = complain(&report, Outcome::Wrong);
        }
    }
    outcome
}

/// All errors of a file. Its keys tell which type it is; it is read only once.
fn check(file: &Path) -> Vec<Report> {
    let bytes = match load::read(file) {
        Ok(bytes) => bytes,
        Err(report) => return vec![report],
    };
    let keys = keys(&bytes);
    let has = |wanted: &[&str]| keys.iter().any(|key| wanted.contains(&key.as_str()));
    if !has(&["nodes"]) && has(&["audio", "chains", "control"]) {
        return load::station_of(file, &bytes, None).err().unwrap_or_default();
    }
    let report = if has(&["controls", "device"]) {
        load::map_of(file, &bytes).err()
    } else if has(&["cues"]) {
        load::cue_list_of(file, &bytes).err()
    } else {
        load::chain_of(file, &bytes, None, load::NOMINAL_RATE).err()
    };
    report.into_iter().collect()
}

/// The top-level keys of a file.
fn keys(bytes: &[u8]) -> Vec<String> {
    match parse(bytes).map(|(root, _)| root.item) {
        Ok(Item::Map(entries)) => entries.into_iter().map(|entry| entry.key).collect(),
        _ => Vec::new(),
    }
}
