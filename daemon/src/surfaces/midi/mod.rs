//! The MIDI thread: controllers on the ALSA sequencer and on JACK's ports, each with its map.

mod alsa;

use crate::audio::midi_ports::Port;
use crate::process::state_file;
use crate::process::supervise::{self, Pulse};
use crate::station::midi::Controller;
use alsa::Alsa;
use crossbeam_channel::{Receiver, Sender, bounded, select};
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use lacquer_control::subscribe::{Recipients, SurfaceMessage};
use lacquer_control::surface::midi::learn::{Learned, insert};
use lacquer_control::surface::midi::map::Map;
use lacquer_control::surface::midi::{Device, Outcome};
use std::fs;
use std::io;
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};
use tracing::{info, warn};

/// Between two looks at what is due, and at JACK's ports.
const LOOK: Duration = Duration::from_millis(3);
/// Between two looks for controllers that have come or gone, and for maps that have changed.
const SCAN: Duration = Duration::from_secs(1);

/// Starts the thread. `ports` brings the ports of each new connection to JACK, in the order of `entries`.
pub fn spawn(
    entries: Vec<Controller>,
    asks: Sender<RequestBundle>,
    told: Receiver<SurfaceMessage>,
    ports: Receiver<Vec<Port>>,
) -> io::Result<JoinHandle<()>> {
    // Those of JACK come once a link, so they outlive a restart.
    let mut at_hand: Vec<Option<Port>> = entries.iter().map(|_| None).collect();
    let mut has_run = false;
    supervise::keep_running("midi", move |pulse| {
        // What was learned since is in the files.
        let is_restart = std::mem::replace(&mut has_run, true);
        let slots = entries.iter().cloned().map(|entry| Slot::new(entry, is_restart)).collect();
        run(slots, &asks, &told, &ports, &mut at_hand, pulse);
        Ok(())
    })
}

/// A controller: its map, and the ways to it.
struct Slot {
    entry: Controller,
    device: Device,
    connections: u64,
    read: Option<SystemTime>,
}

fn run(
    mut slots: Vec<Slot>,
    asks: &Sender<RequestBundle>,
    told: &Receiver<SurfaceMessage>,
    new_ports: &Receiver<Vec<Port>>,
    ports: &mut [Option<Port>],
    pulse: &Pulse,
) {
    let wants_alsa = slots.iter().any(|slot| !slot.entry.is_jack);
    let (hears, heard) = bounded(4_096);
    let mut alsa = wants_alsa.then(|| Alsa::new(hears));
    let mut learner: Option<Peer> = None;
    let mut next_scan = Instant::now();
    loop {
        pulse.beat();
        select! {
            recv(heard) -> bytes => if let Ok((at, bytes)) = bytes {
                hear(asks, &mut slots[at], at, &bytes);
            },
            recv(told) -> notice => match notice {
                Ok(SurfaceMessage::End) | Err(_) => return,
                Ok(notice) => take(&mut slots, &mut learner, notice),
            },
            recv(new_ports) -> new => if let Ok(new) = new {
                let on_jack = slots.iter_mut().zip(&mut *ports).filter(|(slot, _)| slot.entry.is_jack);
                for ((slot, port), new) in on_jack.zip(new) {
                    (*port, slot.connections) = (Some(new), 0);
                    slot.device.refresh();
                }
            },
            default(LOOK) => {}
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
            while let Some(bytes) = ports[at].as_mut().and_then(Port::hear) {
                hear(asks, &mut slots[at], at, &bytes);
            }
            let connections = ports[at].as_ref().map_or(0, Port::connections);
            if connections != std::mem::replace(&mut slots[at].connections, connections) {
                slots[at].device.refresh();
            }
            let (heard, messages) = slots[at].device.tick(now);
            ask(asks, at, due(&mut slots, at, heard, &mut learner));
            for message in messages {
                match &mut ports[at] {
                    Some(port) => port.say(&message),
                    None => alsa.iter_mut().for_each(|alsa| alsa.say(at, &message)),
                }
            }
        }
    }
}

fn hear(asks: &Sender<RequestBundle>, slot: &mut Slot, at: usize, bytes: &[u8]) {
    ask(asks, at, slot.device.receive_bytes(bytes, Instant::now()));
}

fn ask(asks: &Sender<RequestBundle>, at: usize, requests: Vec<Request>) {
    if !requests.is_empty() {
        asks.send(RequestBundle { by: Peer::Midi(at), requests, due: None }).ok();
    }
}

/// What the controller at `at` asks for by now.
fn due(slots: &mut [Slot], at: usize, heard: Outcome, learner: &mut Option<Peer>) -> Vec<Request> {
    let mut requests = heard.requests;
    if let Some(learned) = heard.learned {
        // One control is wanted, wherever it is.
        slots.iter_mut().for_each(|slot| slot.device.learn(None));
        let what = match slots[at].write(&learned) {
            Ok(()) => format!("{} of {} moves it", learned.what, slots[at].entry.map.name),
            Err(why) => format!("not bound: {}: {why}", slots[at].entry.path.display()),
        };
        info!("{}: {what}", learned.address);
        if let Some(to) = learner.take() {
            requests.push(Request::Learned { to, address: learned.address, what });
        }
    }
    requests
}

fn take(slots: &mut [Slot], learner: &mut Option<Peer>, notice: SurfaceMessage) {
    match notice {
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

fn changed(path: &Path) -> Option<SystemTime> {
    path.metadata().and_then(|meta| meta.modified()).ok()
}

impl Slot {
    /// Its map is read again where its file may have changed since the entry was made.
    fn new(entry: Controller, may_have_changed: bool) -> Self {
        let read = changed(&entry.path).filter(|_| !may_have_changed);
        Self { device: Device::new(entry.map.clone()), read, entry, connections: 0 }
    }

    /// Takes the map over where its file has changed; one with mistakes changes nothing.
    fn reread(&mut self) {
        let time = changed(&self.entry.path);
        if time == self.read {
            return;
        }
        self.read = time;
        let path = self.entry.path.display();
        match fs::read(&self.entry.path).map(|bytes| Map::parse(&bytes)) {
            Ok((Some(map), mistakes)) if mistakes.is_empty() => {
                info!("{path} read again");
                self.set_map(map);
            }
            Ok((_, mistakes)) => {
                let first = mistakes.first().map_or_else(String::new, |mistake| mistake.problem.to_string());
                warn!("{path} is not taken over, the map plays on as it was: {first}");
            }
            Err(error) => warn!("{path}: {error}; the map plays on as it was"),
        }
    }

    fn set_map(&mut self, map: Map) {
        self.entry.map = map.clone();
        self.device.set_map(map);
    }

    /// Writes a learned control into the map file: whole, or not at all.
    fn write(&mut self, learned: &Learned) -> Result<(), String> {
        let path = &self.entry.path;
        let told = |error: io::Error| error.to_string();
        let text = insert(&fs::read_to_string(path).map_err(told)?, learned)?;
        state_file::replace(path, text.as_bytes()).map_err(told)?;
        self.read = changed(path);
        if let (Some(map), _) = Map::parse(text.as_bytes()) {
            self.set_map(map);
        }
        Ok(())
    }
}
