//! The MIDI thread: controllers on the ALSA sequencer and on JACK's MIDI ports, each with its map.

mod alsa;

use crate::audio::midi_ports::Port;
use crate::process::client_log::log_of;
use crate::process::named::shown;
use crate::process::os_error::plain;
use crate::process::replacement::replace;
use crate::process::supervise::Pulse;
use crate::process::{named, supervise};
use crate::station::load;
use crate::station::midi::Controller;
use alsa::Alsa;
use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use lacquer_control::subscribe::access::{Access, Rules};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::surface::midi::Device;
use lacquer_control::surface::midi::learn::{InsertError, Learned, insert};
use lacquer_control::surface::midi::map::Map;
use lacquer_graph::file::yaml::MAX_BYTES;
use std::io;
use std::net::Ipv4Addr;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use thiserror::Error;

/// Time between two checks of what is due, and of JACK's ports.
const CHECK: Duration = Duration::from_millis(3);
/// Time between two scans for controllers, and for changed map files.
const SCAN: Duration = Duration::from_secs(1);

/// Starts the thread. `ports` delivers the ports of each new session on JACK, in the order of `entries`.
pub(crate) fn spawn(
    entries: Vec<Controller>,
    requests: Sender<RequestBundle>,
    messages: Receiver<SurfaceMessage>,
    ports: Receiver<Vec<Port>>,
) -> io::Result<JoinHandle<()>> {
    // JACK's ports come once in a session, so they are kept when this thread is restarted.
    let mut jack_ports: Vec<Option<Port>> = entries.iter().map(|_| None).collect();
    let mut has_run = false;
    supervise::keep_running("midi", move |pulse| {
        // What was learned since then is in the map files.
        let is_restart = std::mem::replace(&mut has_run, true);
        let slots = entries.iter().cloned().map(|entry| Slot::new(entry, is_restart)).collect();
        run(slots, &requests, &messages, &ports, &mut jack_ports, pulse);
        Ok(())
    })
}

/// A controller and its map.
struct Slot {
    entry: Controller,
    device: Device,
    /// How often its JACK ports were connected.
    connections: u64,
    /// When the map file that was read had been changed.
    read: Option<SystemTime>,
}

fn run(
    mut slots: Vec<Slot>,
    requests: &Sender<RequestBundle>,
    messages: &Receiver<SurfaceMessage>,
    new_ports: &Receiver<Vec<Port>>,
    ports: &mut [Option<Port>],
    pulse: &Pulse,
) {
    // A channel without a sender would always be ready.
    let (mut alsa, mut received) = (None, never());
    if slots.iter().any(|slot| !slot.entry.is_jack) {
        let (from_alsa, bytes) = bounded(4_096);
        (alsa, received) = (Some(Alsa::new(from_alsa)), bytes);
    }
    let mut new_ports = new_ports.clone();
    let mut learner: Option<Peer> = None;
    let mut next_scan = Instant::now();
    let mut to = Conductor { requests, access: Access::new(Rules::default()) };
    loop {
        pulse.beat();
        select! {
            recv(received) -> bytes => if let Ok((at, bytes)) = bytes {
                to.send(at, slots[at].device.receive_bytes(&bytes, Instant::now()));
            },
            recv(messages) -> message => match message {
                Ok(SurfaceMessage::End) | Err(_) => return,
                Ok(message) => update(&mut slots, &mut learner, message),
            },
            recv(new_ports) -> new => match new {
                Ok(new) => {
                    let on_jack = slots.iter_mut().zip(&mut *ports).filter(|(slot, _)| slot.entry.is_jack);
                    for ((slot, port), new) in on_jack.zip(new) {
                        (*port, slot.connections) = (Some(new), 0);
                        slot.device.refresh();
                    }
                }
                Err(_) => new_ports = never(),
            },
            default(CHECK) => {}
        }
        let now = Instant::now();
        if now >= next_scan {
            next_scan = now + SCAN;
            slots.iter_mut().for_each(Slot::reread);
            if let Some(alsa) = &mut alsa {
                let wanted = slots.iter().enumerate().filter(|(_, slot)| !slot.entry.is_jack);
                let fresh = alsa.scan(wanted.map(|(at, slot)| (at, &slot.entry)));
                fresh.into_iter().for_each(|at| slots[at].device.refresh());
            }
        }
        for at in 0..slots.len() {
            while let Some(bytes) = ports[at].as_mut().and_then(Port::receive) {
                to.send(at, slots[at].device.receive_bytes(&bytes, Instant::now()));
            }
            let connections = ports[at].as_ref().map_or(0, Port::connections);
            if connections != std::mem::replace(&mut slots[at].connections, connections) {
                slots[at].device.refresh();
            }
            let (outcome, replies) = slots[at].device.tick(now);
            if let Some(learned) = outcome.learned {
                to.send_learned(at, finish_learning(&mut slots, at, &learned, &mut learner));
            }
            to.send(at, outcome.requests);
            for bytes in replies {
                match &mut ports[at] {
                    Some(port) => port.send(&bytes),
                    None => alsa.iter_mut().for_each(|alsa| alsa.send(at, &bytes)),
                }
            }
        }
        to.send_delayed(now);
    }
}

/// Sends what the controllers ask for. One that sends too much is throttled as every client is.
struct Conductor<'a> {
    requests: &'a Sender<RequestBundle>,
    access: Access,
}

impl Conductor<'_> {
    fn send(&mut self, at: usize, requests: Vec<Request>) {
        if requests.is_empty() {
            return;
        }
        let bundle = RequestBundle { by: Peer::Midi(at), requests, due: None };
        let admitted = self.access.admit(bundle, Ipv4Addr::LOCALHOST.into(), Instant::now());
        admitted.into_iter().for_each(|bundle| _ = self.requests.send(bundle));
    }

    /// Sends values that were delayed, as far as the rate allows.
    fn send_delayed(&mut self, now: Instant) {
        if self.access.is_waiting() {
            self.access.drain_due(now).into_iter().for_each(|bundle| _ = self.requests.send(bundle));
        }
    }

    /// Sends what came of learning; a controller that is moved much does not delay it.
    fn send_learned(&self, at: usize, learned: Option<Request>) {
        let bundle = |request| RequestBundle { by: Peer::Midi(at), requests: vec![request], due: None };
        learned.map(bundle).into_iter().for_each(|bundle| _ = self.requests.send(bundle));
    }
}

/// Binds the control that was moved on the controller at `at`, and returns what came of it for the client that asked.
fn finish_learning(
    slots: &mut [Slot],
    at: usize,
    learned: &Learned,
    learner: &mut Option<Peer>,
) -> Option<Request> {
    // One control is learned, on whichever controller: the others stop to learn.
    slots.iter_mut().for_each(|slot| slot.device.learn(None));
    let written = slots[at].write(learned);
    let is_bound = written.is_ok();
    let what = match written {
        Ok(()) => format!("bound to {} of {}", learned.what, slots[at].entry.map.name),
        Err(why) => format!("not bound: {}: {why}", shown(&slots[at].entry.path)),
    };
    let address = learned.address.clone();
    let by = learner.take();
    log_of!(by.unwrap_or(Peer::Midi(at)), INFO, "{address}: {what}");
    by.map(|to| Request::Learned { to, address, what, is_bound })
}

/// Updates the controllers with a message from the conductor.
fn update(slots: &mut [Slot], learner: &mut Option<Peer>, message: SurfaceMessage) {
    match message {
        SurfaceMessage::Places(places) => slots.iter_mut().for_each(|slot| slot.device.set_places(&places)),
        SurfaceMessage::Updates { to, updates: lines } => {
            for (at, slot) in slots.iter_mut().enumerate() {
                match to {
                    Recipients::One(peer) if peer != Peer::Midi(at) => {}
                    _ => slot.device.receive_updates(&lines, to == Recipients::Others(Peer::Midi(at))),
                }
            }
        }
        SurfaceMessage::Learn { by, address } => {
            *learner = (!address.is_empty()).then_some(by);
            let address = Some(address.as_str()).filter(|address| !address.is_empty());
            slots.iter_mut().for_each(|slot| slot.device.learn(address));
        }
        _ => {}
    }
}

/// When a file was changed.
fn change_time(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

/// Why a learned control is not in the map file.
#[derive(Debug, Error)]
enum WriteError {
    #[error(transparent)]
    Insert(#[from] InsertError),
    #[error("{}", plain(.0))]
    System(#[from] io::Error),
    #[error("larger than {MAX_BYTES} bytes")]
    TooLarge,
    #[error("not UTF-8 text: {0}")]
    NotText(#[from] std::str::Utf8Error),
}

impl Slot {
    /// If the map file `may_have_changed` since the entry was made, the first scan reads it again.
    fn new(entry: Controller, may_have_changed: bool) -> Self {
        let read = change_time(&entry.path).filter(|_| !may_have_changed);
        Self { device: Device::new(entry.map.clone()), read, entry, connections: 0 }
    }

    /// Reads the map file again if it has changed. If the file has mistakes, the previous map stays active.
    fn reread(&mut self) {
        let time = change_time(&self.entry.path);
        if time == self.read {
            return;
        }
        self.read = time;
        let path = shown(&self.entry.path);
        match load::read(&self.entry.path).map(|bytes| Map::parse(&bytes)) {
            Ok((Some(map), mistakes)) if mistakes.is_empty() => {
                log_of!(Peer::Files, INFO, "{path}: MIDI map read again");
                self.set_map(map);
            }
            Ok((_, mistakes)) => {
                let first = mistakes.first().map_or_else(String::new, |mistake| mistake.problem.to_string());
                log_of!(
                    Peer::Files,
                    WARN,
                    "{path}: MIDI map has errors: {first}; the previous map stays active"
                );
            }
            Err(report) => log_of!(Peer::Files, WARN, "{report}; the previous map stays active"),
        }
    }

    fn set_map(&mut self, map: Map) {
        self.entry.map = map.clone();
        self.device.set_map(map);
    }

    /// Writes a learned control into the map file: whole, or not at all.
    fn write(&mut self, learned: &Learned) -> Result<(), WriteError> {
        let path = &self.entry.path;
        let bytes = named::read(path, MAX_BYTES)?;
        if bytes.len() as u64 > MAX_BYTES {
            return Err(WriteError::TooLarge);
        }
        let text = insert(std::str::from_utf8(&bytes)?, learned)?;
        // What is larger could not be read again.
        if text.len() as u64 > MAX_BYTES {
            return Err(WriteError::TooLarge);
        }
        replace(path, text.as_bytes())?;
        self.read = change_time(path);
        if let (Some(map), _) = Map::parse(text.as_bytes()) {
            self.set_map(map);
        }
        Ok(())
    }
}
