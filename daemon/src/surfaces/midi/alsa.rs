//! Controllers on the ALSA sequencer, through midir. It tells nothing of what comes and goes: that is looked for.

use crate::station::midi::Controller;
use crossbeam_channel::Sender;
use midir::{Ignore, MidiInput, MidiInputConnection, MidiOutput, MidiOutputConnection};
use std::collections::HashMap;
use std::path::Path;
use tracing::{info, warn};

/// Where the kernel has the sequencer. libasound writes to stderr by itself where there is none.
const SEQUENCER: &str = "/dev/snd/seq";

/// What is connected.
pub struct Alsa {
    hears: Sender<(usize, Vec<u8>)>,
    /// For looking at the ports: kept, so that no client comes and goes each second.
    probes: Option<(MidiInput, MidiOutput)>,
    has_complained: bool,
    open: HashMap<usize, Open>,
}

struct Open {
    name: String,
    /// Kept for as long as it is to be heard.
    _input: Option<MidiInputConnection<()>>,
    output: Option<MidiOutputConnection>,
}

impl Alsa {
    /// Nothing is connected yet. What is heard goes to `hears`, with the place of its controller.
    pub fn new(hears: Sender<(usize, Vec<u8>)>) -> Self {
        Self { hears, probes: None, has_complained: false, open: HashMap::new() }
    }

    /// Looks for what has come and gone. Gives the places of controllers that are new.
    pub fn scan<'a>(&mut self, wanted: impl Iterator<Item = (usize, &'a Controller)>) -> Vec<usize> {
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
            let is_there = |name: &str| {
                ins.iter()
                    .map(|(known, _)| known)
                    .chain(outs.iter().map(|(known, _)| known))
                    .any(|known| known == name)
            };
            if let Some(open) = self.open.get(&at) {
                if is_there(&open.name) {
                    continue;
                }
                warn!("MIDI: {} has gone; it is looked for", open.name);
                self.open.remove(&at);
            }
            // Ours and the system's own are no controllers.
            let fits = |name: &str| {
                !name.starts_with("lacquer") && !name.starts_with("Midi Through") && entry.fits(name)
            };
            let input = ins.iter().find(|(name, _)| fits(name));
            let output = outs.iter().find(|(name, _)| fits(name));
            let Some(name) = input.map(|(name, _)| name).or(output.map(|(name, _)| name)) else { continue };
            let hears = self.hears.clone();
            let input = input.and_then(|(_, port)| {
                let mut client = MidiInput::new("lacquer").ok()?;
                client.ignore(Ignore::All);
                let take = move |_: u64, bytes: &[u8], (): &mut ()| {
                    // A controller that floods loses what it says; its next move is heard.
                    hears.try_send((at, bytes.to_vec())).ok();
                };
                client.connect(port, "in", take, ()).ok()
            });
            let output =
                output.and_then(|(_, port)| MidiOutput::new("lacquer").ok()?.connect(port, "out").ok());
            info!("MIDI: {name} is {}", entry.map.name);
            self.open.insert(at, Open { name: name.clone(), _input: input, output });
            fresh.push(at);
        }
        fresh
    }

    fn probe(&mut self) -> Option<(MidiInput, MidiOutput)> {
        let is_there = Path::new(SEQUENCER).exists();
        let both = || Some((MidiInput::new("lacquer-scan").ok()?, MidiOutput::new("lacquer-scan").ok()?));
        let probes = is_there.then(both).flatten();
        if probes.is_none() && !std::mem::replace(&mut self.has_complained, true) {
            warn!("MIDI: no ALSA sequencer ({SEQUENCER}); it is looked for each second");
        }
        probes
    }

    /// Sends a message to a controller, if it is there.
    pub fn say(&mut self, at: usize, message: &[u8]) {
        if let Some(output) = self.open.get_mut(&at).and_then(|open| open.output.as_mut()) {
            // What does not arrive is a controller that has just gone.
            output.send(message).ok();
        }
    }
}
