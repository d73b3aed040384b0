//! `lacquer run`: the daemon, in the foreground.

use super::{Outcome, complain};
use crate::air::Air;
use crate::link::Link;
use crate::screen::Screen;
use crate::shelf::Shelf;
use crate::threads::conductor::Conductor;
use crate::threads::signals;
use crate::threads::surfaces::{Osc, osc};
use crate::{log, reload};
use basedrop::Collector;
use crossbeam_channel::bounded;
use std::path::Path;

/// Intents that may wait for the conductor.
const ASKED: usize = 4096;

pub(super) fn run(path: &Path, report_seconds: u32) -> Outcome {
    let loaded = match reload::station(path, None) {
        Ok(loaded) => loaded,
        Err(reports) => {
            return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::BadStation));
        }
    };
    let mut screen = Screen::new(report_seconds);
    log::start(&screen.bars);
    let (asks, asked) = bounded(ASKED);
    if let Err(error) = signals::spawn(asks.clone()) {
        return complain(&format!("signals: {error}"), Outcome::Refused);
    }
    let osc: Option<Osc> = match loaded.station.osc.map(|address| (address, osc(address, asks.clone()))) {
        None => None,
        Some((_, Ok(osc))) => Some(osc),
        Some((address, Err(error))) => {
            let text = format!("{}: osc: cannot listen on {address}: {error}", path.display());
            return complain(&text, Outcome::Refused);
        }
    };
    let link = match Link::open(&loaded.station.audio) {
        Ok(link) => link,
        Err(error) => return complain(&format!("{}: {error}", path.display()), Outcome::Refused),
    };
    let collector = Collector::new();
    let swap_ms = (loaded.station.warmup_ms, loaded.station.fade_ms);
    let air = Air::new(Shelf::new(&loaded, link.rate), collector.handle(), swap_ms);
    let surfaces = osc.iter().map(|osc| osc.notices.clone()).chain(screen.notices()).collect();
    if let Some(osc) = &osc {
        tracing::info!("OSC on {}", osc.address);
    }
    screen.start(&loaded, osc.as_ref().map(|osc| osc.address), path);
    let start = loaded.start().to_owned();
    let conductor =
        Conductor::new(path.to_owned(), loaded.station, air, link, collector, (asks, asked), surfaces);
    conductor.run(&start);
    if let Some(osc) = osc {
        osc.end();
    }
    screen.end();
    Outcome::Done
}
