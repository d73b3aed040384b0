//! Controllers on the ALSA sequencer, through midir. midir does not report when ports appear or disappear, so they are
//! scanned.

use crate::process::client_log::log_of;
use crate::station::midi::Controller;
use crossbeam_channel::Sender;
use lacquer_control::peer::Peer;
use midir::{Ignore, MidiInput, MidiInputConnection, MidiOutput, MidiOutputConnection};
use std::collections::HashMap;
use std::path::Path;
use tracing::warn;

/// The sequencer's device file. Without it libasound would print to stderr.
const SEQUENCER: &str = "/dev/snd/seq";

/// The connected controllers.
pub(super) struct Alsa {
    received: Sender<(usize, Vec<u8>)>,
    /// The clients that scan the ports; kept open, so that not every scan makes new ones.
    probes: Option<(MidiInput, MidiOutput)>,
    has_warned: bool,
    open: HashMap<usize, Open>,
}

struct Open {
    name: String,
    /// The connection lasts as long as this exists.
    _input: Option<MidiInputConnection<()>>,
    output: Option<MidiOutputConnection>,
}

impl Alsa {
    /// Nothing is connected yet. Messages go to `received`, with the index of their controller.
    pub(super) fn new(received: Sender<(usize, Vec<u8>)>) -> Self {
        Self { received, probes: None, has_warned: false, open: HashMap::new() }
    }

    /// Connects new controllers and removes those that have disappeared. Returns the indexes of the new ones.
    pub(super) fn scan<'a>(&mut self, wanted: impl Iterator<Item = (usize, &'a Controller)>) -> Vec<usize> {
        if self.probes.is_none() {
            self.probes = self.probe();
        }
        let Some((inputs, outputs)) = &self.probes else { return Vec::new() };
        let ins: Vec<_> = inputs
            .ports()
            .into_iter()
            .filter_map(|port| Some((inputs.port_name(&port).ok()?, port)))
            .collect();
        let outs: Vec<_> = outputs
            .ports()
            .into_iter()
            .filter_map(|port| Some((outputs.port_name(&port).ok()?, port)))
            .collect();
        let mut fresh = Vec::new();
        for (at, entry) in wanted {
            let exists = |name: &str| {
                ins.iter()
                    .map(|(known, _)| known)
                    .chain(outs.iter().map(|(known, _)| known))
                    .any(|known| known == name)
            };
            if let Some(open) = self.open.get(&at) {
                if exists(&open.name) {
                    continue;
                }
                log_of!(Peer::Midi(at), WARN, "MIDI controller {} disconnected; retrying", open.name);
                self.open.remove(&at);
            }
            // Our own ports and the system's are not controllers.
            let fits = |name: &str| {
                !name.starts_with("lacquer") && !name.starts_with("Midi Through") && entry.fits(name)
            };
            let input = ins.iter().find(|(name, _)| fits(name));
            let output = outs.iter().find(|(name, _)| fits(name));
            let Some(name) = input.map(|(name, _)| name).or(output.map(|(name, _)| name)) else { continue };
            let received = self.received.clone();
            let input = input.and_then(|(_, port)| {
                let mut client = MidiInput::new("lacquer").ok()?;
                client.ignore(Ignore::All);
                let on_message = move |_: u64, bytes: &[u8], (): &mut ()| {
                    // If the channel is full the message is lost.
                    received.try_send((at, bytes.to_vec())).ok();
                };
                client.connect(port, "in", on_message, ()).ok()
            });
            let output =
                output.and_then(|(_, port)| MidiOutput::new("lacquer").ok()?.connect(port, "out").ok());
            log_of!(
                Peer::Midi(at),
                INFO,
                "MIDI controller {name} connected, with the map {}",
                entry.map.name
            );
            self.open.insert(at, Open { name: name.clone(), _input: input, output });
            fresh.push(at);
        }
        fresh
    }

    fn probe(&mut self) -> Option<(MidiInput, MidiOutput)> {
        let has_sequencer = Path::new(SEQUENCER).exists();
        let both = || Some((MidiInput::new("lacquer-scan").ok()?, MidiOutput::new("lacquer-scan").ok()?));
        let probes = has_sequencer.then(both).flatten();
        if probes.is_none() && !std::mem::replace(&mut self.has_warned, true) {
            warn!("no ALSA sequencer ({SEQUENCER}): no MIDI controllers; retrying every second");
        }
        probes
    }

    /// Sends a message to a controller, if it is connected.
    pub(super) fn send(&mut self, at: usize, message: &[u8]) {
        if let Some(output) = self.open.get_mut(&at).and_then(|open| open.output.as_mut()) {
            // An error means that the controller was just disconnected: the next scan finds that.
            output.send(message).ok();
        }
    }
}
