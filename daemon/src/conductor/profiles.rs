//! Profiles that nodes learn (noise, for example): received band by band, stored as a text of the node.

use super::Conductor;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::value::ParamValue;
use lacquer_graph::param::text::{Form, PROFILE_BANDS, Profile};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// A node: the generation of its chain, and its index in the plan.
type NodeKey = (u64, usize);

/// The received bands of incomplete profiles.
#[derive(Default)]
pub struct Learning(BTreeMap<NodeKey, Vec<Option<f64>>>);

impl Learning {
    /// Drops incomplete profiles of other chains than this one.
    pub fn only(&mut self, generation: u64) {
        self.0.retain(|(known, _), _| *known == generation);
    }
}

impl Conductor {
    /// A node has learned a band. With the last band the profile is stored.
    pub(super) fn learned(&mut self, key: NodeKey, band: usize, level: f64) {
        let bands = self.learning.0.entry(key).or_insert_with(|| vec![None; PROFILE_BANDS]);
        if let Some(entry) = bands.get_mut(band) {
            *entry = Some(level);
        }
        if band + 1 < PROFILE_BANDS {
            return;
        }
        let bands: Option<Vec<f64>> = self.learning.0.remove(&key).unwrap_or_default().into_iter().collect();
        match bands {
            Some(bands) => self.store_profile(key, &Profile::text(&bands)),
            None => warn!("profile incomplete because the event queue was full: not stored; learn it again"),
        }
    }

    /// Stores a profile as a text of the node that learned it. The node uses it already.
    fn store_profile(&mut self, (generation, node): NodeKey, profile: &str) {
        let Some(planned) = self.on_air.node(generation, node) else { return };
        let Some(at) = planned.node_type.texts.iter().position(|text| text.form == Form::Profile) else {
            return;
        };
        let (id, path) =
            (planned.id.clone(), format!("/{}/{}", planned.id, planned.node_type.texts[at].name));
        let chain = self.on_air.name(generation).unwrap_or_default().to_owned();
        info!(node = id, "node \"{id}\" of chain \"{chain}\" has learned its profile");
        let newest =
            self.on_air.newest().filter(|newest| newest.name == chain).map(|newest| newest.generation);
        let Some(newest) = newest else {
            // The chain is being swapped out; the profile is used when it is on air again.
            if let Some(values) = self.on_air.chains.values_mut(&chain) {
                values.set_text(&id, at, profile);
            }
            return self.state_saver.touch();
        };
        let mut changes = self.on_air.changes([(path.as_str(), ParamValue::Text(profile.to_owned()))]);
        // A chain that was built since does not have the profile.
        changes.iter_mut().for_each(|change| change.is_new = newest != generation);
        if let Err(error) = self.apply_and_record(Peer::Station, Recipients::All, changes) {
            warn!("node \"{id}\": profile not stored: {error}");
        }
    }
}
