//! Profiles that nodes learn (noise, for example): received band by band, stored as a text of the node.

use crate::address::Place;
use crate::desk::Desk;
use crate::desk::turn::{About, Level, Turn};
use crate::peer::Peer;
use crate::subscribe::Recipients;
use crate::value::ParamValue;
use lacquer_graph::param::text::{Form, PROFILE_BANDS, Profile};
use std::collections::BTreeMap;

/// A node: the generation of its chain, and its index in the plan.
type NodeKey = (u64, usize);

/// The received bands of incomplete profiles.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Learning(BTreeMap<NodeKey, Vec<Option<f64>>>);

impl Learning {
    /// Drops incomplete profiles of other chains than this one.
    pub(super) fn only(&mut self, generation: u64) {
        self.0.retain(|(known, _), _| *known == generation);
    }

    /// A node has learned a band. With the last band: all of them, or `None` where one is missing.
    fn add(&mut self, key: NodeKey, band: usize, level: f64) -> Option<Option<Vec<f64>>> {
        let bands = self.0.entry(key).or_insert_with(|| vec![None; PROFILE_BANDS]);
        if let Some(entry) = bands.get_mut(band) {
            *entry = Some(level);
        }
        (band + 1 >= PROFILE_BANDS).then(|| self.0.remove(&key).unwrap_or_default().into_iter().collect())
    }
}

impl Desk {
    /// A node has learned a band. With the last band the profile is stored.
    pub(super) fn learned(&mut self, turn: &mut Turn<'_>, key: NodeKey, band: usize, level: f64) {
        match self.learning.add(key, band, level) {
            None => {}
            Some(Some(bands)) => self.store_profile(turn, key, &Profile::text(&bands)),
            Some(None) => turn.log(
                Level::Warn,
                About::Station,
                "profile incomplete because the event queue was full: not stored; learn it again",
            ),
        }
    }

    /// Stores a profile as a text of the node that learned it. The node uses it already.
    fn store_profile(&mut self, turn: &mut Turn<'_>, (generation, node): NodeKey, profile: &str) {
        let Some(running) = self.on_air.chain(generation) else { return };
        let Some(planned) = running.plan.nodes.get(node) else { return };
        let Some(at) = planned.node_type.texts.iter().position(|text| text.form == Form::Profile) else {
            return;
        };
        let (id, path) =
            (planned.id.clone(), format!("/{}/{}", planned.id, planned.node_type.texts[at].name));
        let chain = running.name.clone();
        // It is the move of who had it learned.
        let is_button = |place: &&Place| place.id() == id && place.row.is_momentary;
        let button = running.addresses.all().iter().map(|place| &**place).find(is_button);
        let author = |button: &Place| running.author(&self.chains, button);
        let by = button.and_then(author).map_or(Peer::Station, |(by, _)| by);
        turn.by = by;
        let text = format!("node \"{id}\" of chain \"{chain}\" has learned its profile");
        turn.log(Level::Info, About::Node(id.clone()), text);
        let newest =
            self.on_air.newest().filter(|newest| newest.name == chain).map(|newest| newest.generation);
        let Some(newest) = newest else {
            // The chain is being swapped out; the profile is used when it is on air again.
            let place = running.addresses.at(&path).cloned();
            if let (Some(place), Some(running)) = (place, self.on_air.chain(generation)) {
                running.set_live(&mut self.chains, &place, ParamValue::Text(profile.to_owned()));
            }
            return turn.save();
        };
        let mut changes =
            self.on_air.changes(&self.chains, [(path.as_str(), ParamValue::Text(profile.to_owned()))]);
        // A chain that was built since does not have the profile.
        changes.iter_mut().for_each(|change| change.is_new = newest != generation);
        if let Err(error) = self.apply_and_record(turn, by, Recipients::All, changes, "/node") {
            turn.log(
                Level::Warn,
                About::Node(id.clone()),
                format!("node \"{id}\": profile not stored: {error}"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_profile_is_complete_with_all_its_bands_and_none_of_another_chain() {
        let mut learning = Learning::default();
        for band in 0..PROFILE_BANDS - 1 {
            assert_eq!(learning.add((1, 0), band, -80.0), None);
        }
        assert_eq!(learning.add((1, 0), PROFILE_BANDS - 1, -80.0), Some(Some(vec![-80.0; PROFILE_BANDS])));
        learning.add((1, 0), 0, -80.0);
        assert_eq!(learning.add((1, 0), PROFILE_BANDS - 1, -80.0), Some(None), "bands are missing");
        learning.add((1, 0), 0, -80.0);
        learning.only(2);
        assert_eq!(learning, Learning::default());
    }
}
