//! A MIDI controller as the station file names it: its map, its port.

use lacquer_control::surface::midi::map::{Map, fits};
use std::path::PathBuf;

/// A controller as the station has it.
#[derive(Clone, Debug)]
pub struct Controller {
    /// Its map file.
    pub path: PathBuf,
    /// What that says.
    pub map: Map,
    /// The pattern of its port's name, where it is not the map's.
    pub device: Option<String>,
    /// Whether it is reached through JACK's ports, or else through the ALSA sequencer.
    pub is_jack: bool,
}

impl Controller {
    /// Whether a port of this name is the controller's.
    pub fn fits(&self, port: &str) -> bool {
        self.patterns().iter().any(|pattern| fits(pattern, port))
    }

    /// The patterns of its port's name.
    pub fn patterns(&self) -> Vec<String> {
        self.device.as_ref().map_or_else(|| self.map.devices.clone(), |device| vec![device.clone()])
    }

    /// What its ports are named after: `x-touch_in`.
    pub fn port_name(&self) -> String {
        self.path.file_stem().map_or_else(|| "midi".to_owned(), |stem| stem.to_string_lossy().into_owned())
    }
}
