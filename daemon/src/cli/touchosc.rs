//! `lacquer touchosc`: a TouchOSC layout for a tablet.

use super::{Outcome, complain};
use crate::media::Place;
use crate::process::named::shown;
use crate::station::load;
use lacquer_control::surface::touchosc;
use lacquer_graph::plan::Plan;
use std::iter;
use std::path::Path;

pub(super) fn run(path: &Path, output: &Path, force: bool, reply_port: Option<u16>) -> Outcome {
    let loaded = match load::station(path, None) {
        Ok(loaded) => loaded,
        Err(reports) => {
            return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
        }
    };
    let read: Vec<&Path> =
        iter::once(path).chain(loaded.chains.iter().map(|(chain, _)| chain.path.as_path())).collect();
    let place = match Place::new(output, &read, force) {
        Ok(place) => place,
        Err(error) => return complain(&error, (&error).into()),
    };
    let plans: Vec<Plan> = loaded.chains.iter().map(|(_, plan)| Plan::clone(plan)).collect();
    let layout = match touchosc::layout(&loaded.station.name, &plans, reply_port) {
        Ok(layout) => layout,
        Err(error) => return complain(&format!("{}: {error}", shown(output)), Outcome::Refused),
    };
    match place.write(&layout) {
        Ok(()) => Outcome::Done,
        Err(error) => complain(&error, (&error).into()),
    }
}
