//! The conductor and what nodes learn: a profile comes band by band, and becomes a text of its node.

use super::Conductor;
use lacquer_control::peer::Peer;
use lacquer_control::subscribe::Recipients;
use lacquer_control::value::ParamValue;
use lacquer_graph::param::text::{Form, PROFILE_BANDS, Profile};
use std::collections::BTreeMap;
use tracing::{info, warn};

/// A node: its chain's generation, and its place in the plan.
type Who = (u64, usize);

/// The bands that have come of profiles that are not whole yet.
#[derive(Default)]
pub struct Learning(BTreeMap<Who, Vec<Option<f64>>>);

impl Learning {
    /// Forgets what comes from other chains than this one.
    pub fn only(&mut self, generation: u64) {
        self.0.retain(|(known, _), _| *known == generation);
    }
}

impl Conductor {
    /// A node has learned a band; with the last one the profile is kept.
    pub(super) fn learned(&mut self, who: Who, band: usize, level: f64) {
        let bands = self.learning.0.entry(who).or_insert_with(|| vec![None; PROFILE_BANDS]);
        if let Some(noted) = bands.get_mut(band) {
            *noted = Some(level);
        }
        if band + 1 < PROFILE_BANDS {
            return;
        }
        let bands: Option<Vec<f64>> = self.learning.0.remove(&who).unwrap_or_default().into_iter().collect();
        match bands {
            Some(bands) => self.store_profile(who, &Profile::text(&bands)),
            None => warn!("a part of a profile was lost on its way: learn it again"),
        }
    }

    /// Makes a profile the text of the node that has learned it. The node uses it already.
    fn store_profile(&mut self, (generation, node): Who, profile: &str) {
        let Some(planned) = self.on_air.node(generation, node) else { return };
        let Some(at) = planned.node_type.texts.iter().position(|text| text.form == Form::Profile) else {
            return;
        };
        let (id, path) =
            (planned.id.clone(), format!("/{}/{}", planned.id, planned.node_type.texts[at].name));
        let chain = self.on_air.name(generation).unwrap_or_default().to_owned();
        info!(node = id, "node {id} of chain {chain} has learned its profile");
        let newest =
            self.on_air.newest().filter(|newest| newest.name == chain).map(|newest| newest.generation);
        let Some(newest) = newest else {
            // The chain is leaving; it comes back with what it has learned.
            if let Some(values) = self.on_air.chains.values_mut(&chain) {
                values.set_text(&id, at, profile);
            }
            return self.state_saver.touch();
        };
        let mut changes = self.on_air.changes([(path.as_str(), ParamValue::Text(profile.to_owned()))]);
        // A chain that was built meanwhile does not have it.
        changes.iter_mut().for_each(|change| change.is_new = newest != generation);
        if let Err(error) = self.apply_and_record(Peer::Station, Recipients::All, changes) {
            warn!("the profile of node {id} is not kept: {error}");
        }
    }
}
