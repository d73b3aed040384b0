//! What a station saves, and restores at its next start.

use crate::address::Place;
use crate::desk::Desk;
use crate::desk::scene::Scene;
use crate::desk::values::CompareState;
use crate::value::ParamValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The format that this version writes. It does not read other formats.
pub const FORMAT: u32 = 1;

/// What a station saves.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// [`FORMAT`].
    pub lacquer: u32,
    /// The station's name.
    pub station: String,
    /// The chain on air.
    pub chain: String,
    /// The active scene.
    pub scene: Option<String>,
    /// Whether the whole chain is bypassed.
    pub bypass: bool,
    /// Whether bypass is matched in loudness.
    pub bypass_matched: bool,
    /// Whether B is active.
    pub b: bool,
    /// Whether A and B are matched in loudness.
    pub matched: bool,
    /// The inactive one of A and B.
    pub other: Option<CompareState>,
    /// The scenes.
    pub scenes: Vec<Scene>,
    /// The connections on the audio server: our port, the other port.
    #[serde(default)]
    pub cables: Vec<(String, String)>,
    /// The live values that differ from the chain files, by chain.
    pub values: BTreeMap<String, Vec<KeptValue>>,
}

/// A live value: its path, the value, and the file's value at that time.
pub type KeptValue = (String, ParamValue, ParamValue);

impl Desk {
    /// What is saved; `cables` are the connections on the audio server.
    pub fn kept(&self, cables: Vec<(String, String)>) -> Kept {
        let moved = |name: &str| {
            let mut values = self.chains.values(name)?.clone();
            // Automatic bypass is not saved.
            self.auto_bypassed
                .iter()
                .filter(|node| node.chain == name)
                .for_each(|node| values.enable(&node.id, true));
            let kept = |(place, live, file): (&Place, &ParamValue, &ParamValue)| {
                (place.path.clone(), live.clone(), file.clone())
            };
            Some(values.changed().map(kept).collect::<Vec<_>>())
        };
        let chain = |name: &str| (name.to_owned(), moved(name).unwrap_or_default());
        Kept {
            lacquer: FORMAT,
            station: self.settings.station.clone(),
            chain: self.overload.replaced_chain().map_or_else(|| self.on_air.last_requested(), str::to_owned),
            scene: self.scene.clone(),
            bypass: self.bypass,
            bypass_matched: self.compare.bypass_matched,
            b: self.compare.b,
            matched: self.compare.matched,
            other: self.compare.other.clone(),
            cables,
            scenes: self.scenes.all().to_vec(),
            values: self.chains.names().map(chain).filter(|(_, moved)| !moved.is_empty()).collect(),
        }
    }

    /// Restores what was saved: the scenes always, everything else if the station starts as it ended (`is_all`). The
    /// values are checked by [`Desk::check_restored`].
    pub fn restore(&mut self, kept: Kept, is_all: bool) {
        for scene in kept.scenes {
            self.scenes.insert(scene);
        }
        if !is_all {
            return;
        }
        for (chain, moved) in &kept.values {
            if let Some(values) = self.chains.values_mut(chain) {
                for (path, live, file) in moved {
                    values.restore(path, live, file);
                }
            }
        }
        self.scene = kept.scene.filter(|name| self.scenes.find(name).is_some());
        self.bypass = kept.bypass;
        let compare = &mut self.compare;
        (compare.b, compare.matched, compare.bypass_matched) = (kept.b, kept.matched, kept.bypass_matched);
        compare.other = kept.other.filter(|state| self.chains.check_name(&state.chain).is_ok());
    }
}
