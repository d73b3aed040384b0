//! `lacquer run`: the daemon, in the foreground.

use super::{Outcome, complain};
use crate::audio::realtime;
use crate::audio::session::{self, PortSetup};
use crate::conductor::{Conductor, ConductorParts};
use crate::process::named::{file_time, shown};
use crate::process::os_error::plain;
use crate::process::restart::HangRecord;
use crate::process::supervise::{self, join_within};
use crate::process::{log, state_writer};
use crate::station::load;
use crate::station::load::Loaded;
use crate::surfaces::mdns::announce;
use crate::surfaces::osc::{Osc, osc};
use crate::surfaces::terminal::Screen;
use crate::surfaces::{midi as midi_thread, signals};
use crate::surfaces::{net, osc};
use crossbeam_channel::bounded;
use lacquer_control::desk::Desk;
use lacquer_control::desk::chains::Chains;
use lacquer_control::subscribe::SurfaceMessage;
use std::path::Path;
use std::time::Duration;

/// Time limit for the server to open before everything else starts.
const OPEN_LIMIT: Duration = Duration::from_secs(2);
/// Time limit for each surface to send what is left at the end.
const END_LIMIT: Duration = Duration::from_secs(1);
/// Time limit for the last state to reach the disk.
const WRITE_LIMIT: Duration = Duration::from_secs(3);
/// Capacity of the conductor's request queue.
const MAX_REQUESTS: usize = 4096;

pub(super) fn run(path: &Path, report_seconds: u32) -> Outcome {
    let read_since = file_time();
    let loaded = match load::station(path, None) {
        Ok(loaded) => loaded,
        Err(reports) => {
            return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::BadStation));
        }
    };
    let mut screen = Screen::new(report_seconds);
    let _log = match log::start(&screen.bars, &loaded.station.name) {
        Ok(log) => log,
        Err(error) => return complain(&format!("threads: {}", plain(&error)), Outcome::Refused),
    };
    supervise::read_faults_from_stdin();
    tracing::info!("{}", realtime::lock_memory());
    realtime::raise_open_files();
    let (request_sender, requests) = bounded(MAX_REQUESTS);
    if let Err(error) = signals::spawn(request_sender.clone()) {
        return complain(&format!("signals: {}", plain(&error)), Outcome::Refused);
    }
    let osc: Option<Osc> = match &loaded.station.control.osc {
        None => None,
        Some(config) => match osc(config, request_sender.clone()) {
            Ok(osc) => Some(osc),
            Err(error) => {
                let text =
                    format!("{}: osc: cannot listen on {}: {}", shown(path), config.listen, plain(&error));
                return complain(&text, Outcome::Refused);
            }
        },
    };
    let control = loaded.station.control.clone();
    let bound = match net::bind(&control) {
        Ok(bound) => bound,
        Err(error) => return complain(&format!("{}: {error}", shown(path)), Outcome::Refused),
    };
    let (ports, new_ports) = bounded(4);
    let station = loaded.station.name.clone();
    let mut port_setup =
        PortSetup { entries: loaded.midi.clone(), ports: Some(ports), station, ..PortSetup::default() };
    let mut files = state_writer::Files::of(path);
    let kept = files.as_mut().and_then(state_writer::Files::read_state);
    // After a restart because of a hang, the station continues with the state it had.
    let hang_record = HangRecord::read();
    let is_continued = hang_record.is_some() || loaded.station.starts_where_it_ended();
    if let Some(kept) = kept.as_ref().filter(|_| is_continued) {
        port_setup.kept = kept.cables.iter().cloned().collect();
    }
    let opening = match session::open_in_background(&loaded.station.audio, &port_setup, hang_record.is_some())
    {
        Ok(opening) => opening,
        Err(error) => return complain(&format!("threads: {}", plain(&error)), Outcome::Refused),
    };
    let opened = opening.recv_timeout(OPEN_LIMIT);
    // If it takes longer, the conductor waits for it.
    let opening = opened.is_err().then_some(opening);
    let session = match opened {
        Ok(Ok(session)) => Some(session),
        // The conductor logs it and retries.
        Ok(Err(error)) if error.is_transient() => None,
        Ok(Err(error)) => return complain(&format!("{}: {error}", shown(path)), Outcome::Refused),
        Err(_) => None,
    };
    let mut surfaces: Vec<_> =
        osc.iter().map(|osc| osc.surface_sender.clone()).chain(screen.surface_sender()).collect();
    let net = bound.map(|bound| osc::net(bound, &loaded.station.name, &control, request_sender.clone()));
    let net = match net.transpose() {
        Ok(net) => net,
        Err(error) => return complain(&format!("threads: {}", plain(&error)), Outcome::Refused),
    };
    let (midi_sender, midi_messages) = bounded(osc::MESSAGES);
    let midi_thread = (!port_setup.entries.is_empty()).then(|| {
        midi_thread::spawn(port_setup.entries.clone(), request_sender.clone(), midi_messages, new_ports)
    });
    let midi_thread = match midi_thread.transpose() {
        Ok(thread) => thread.map(|thread| (midi_sender, thread)),
        Err(error) => return complain(&format!("threads: {}", plain(&error)), Outcome::Refused),
    };
    surfaces.extend(midi_thread.iter().map(|(sender, _)| sender.clone()));
    surfaces.extend(net.iter().map(|(sender, _)| sender.clone()));
    let announced = announce(&loaded.station.name, &control);
    if let Some(osc) = &osc {
        tracing::info!("OSC on {}", osc.address);
    }
    if let Some(web) = &control.web {
        tracing::info!("OSCQuery on http://{}", web.listen);
    }
    screen.start(&loaded, osc.as_ref().map(|osc| osc.address), path);
    let writer_thread = files.and_then(|files| match state_writer::spawn(files) {
        Ok(writer_thread) => Some(writer_thread),
        Err(error) => {
            tracing::warn!("cannot start the writer thread: {}; state not saved", plain(&error));
            None
        }
    });
    let has_chain = |name: &&String| loaded.chains.iter().any(|(chain, _)| chain.name == **name);
    let before = kept.iter().filter(|_| is_continued).map(|kept| &kept.chain);
    let before = before.chain(hang_record.iter().map(|record| &record.chain)).find(has_chain);
    let start = before.map_or_else(|| loaded.start().to_owned(), String::clone);
    let (writer, writer_thread) = writer_thread.unzip();
    let Loaded { station, chains, cues, .. } = loaded;
    let settings = station.settings();
    let rate = chains.first().map_or(load::NOMINAL_RATE, |(_, plan)| plan.sample_rate);
    let chains = Chains::new(chains, station.audio.io.clone(), rate, settings.latency_ms);
    let desk = Desk::new(settings, chains, cues, &start, Duration::ZERO);
    let parts = ConductorParts {
        path: path.to_owned(),
        station,
        request_sender,
        requests,
        surfaces,
        desk,
        writer,
        kept,
        hang_record,
        port_setup,
        opening,
        read_since,
    };
    match Conductor::new(session, parts) {
        Ok(conductor) => conductor.run(),
        Err(error) => return complain(&format!("threads: {}", plain(&error)), Outcome::Refused),
    }
    drop(announced);
    for (sender, thread) in net.into_iter().chain(midi_thread) {
        sender.send_timeout(SurfaceMessage::End, END_LIMIT).ok();
        join_within(thread, END_LIMIT);
    }
    if let Some(osc) = osc {
        osc.end();
    }
    screen.end();
    if writer_thread.is_some_and(|thread| !join_within(thread, WRITE_LIMIT)) {
        let seconds = WRITE_LIMIT.as_secs();
        tracing::warn!(
            "last state not written within {seconds} s: the disk does not answer; ending without it"
        );
    }
    Outcome::Done
}
