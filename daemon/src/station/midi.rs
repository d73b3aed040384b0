//! A MIDI controller of a station: its map and its port.

use lacquer_control::surface::midi::map::{Map, fits};
use std::path::PathBuf;

/// A MIDI controller with its map.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its map file.
    pub path: PathBuf,
    /// The parsed map.
    pub map: Map,
    /// Pattern for the port name, if it overrides the map's.
    pub device: Option<String>,
    /// Whether it uses JACK MIDI ports; else the ALSA sequencer.
    pub is_jack: bool,
}

impl Controller {
    /// Whether a port of this name belongs to the controller.
    pub fn fits(&self, port: &str) -> bool {
        self.patterns().iter().any(|pattern| fits(pattern, port))
    }

    /// The patterns for the port name.
    pub fn patterns(&self) -> Vec<String> {
        self.device.as_ref().map_or_else(|| self.map.devices.clone(), |device| vec![device.clone()])
    }

    /// The prefix of its port names, as in `x-touch_in`.
    pub fn port_name(&self) -> String {
        self.path.file_stem().map_or_else(|| "midi".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}
