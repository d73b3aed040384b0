//! `lacquer touchosc`: a layout for the tablet beside the desk.

use super::{Outcome, complain};
use crate::{reload, touchosc};
use lacquer_graph::plan::Plan;
use std::fs;
use std::path::Path;

pub(super) fn run(path: &Path, output: &Path, reply_port: Option<u16>) -> Outcome {
    let loaded = match reload::station(path, None) {
        Ok(loaded) => loaded,
        Err(reports) => {
            return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
        }
    };
    let io = &loaded.station.audio.io;
    // The chains were read without a mistake, so they can be planned.
    let plans: Vec<Plan> =
        loaded.chains.iter().filter_map(|chain| chain.plan(io, reload::NOMINAL_RATE).ok()).collect();
    let written = touchosc::layout(&loaded, &plans, reply_port).and_then(|file| fs::write(output, file));
    match written {
        Ok(()) => Outcome::Done,
        Err(error) => complain(&format!("{}: {error}", output.display()), Outcome::Refused),
    }
}
