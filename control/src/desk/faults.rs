//! Faults of a chain: nodes whose output is NaN, that panic or that hung. They are bypassed, and every surface shows it.

use crate::address::Target;
use crate::desk::Desk;
use crate::desk::on_air::Change;
use crate::desk::turn::{About, Level, Turn};
use crate::peer::Peer;
use crate::subscribe::Recipients;
use crate::value::ParamValue;
use std::collections::BTreeMap;

/// A node in automatic bypass (fault, overload). It is not saved and not stored in scenes.
#[derive(Clone, Debug, PartialEq)]
pub struct AutoBypass {
    /// The chain of the node.
    pub chain: String,
    /// The id of the node.
    pub id: String,
    /// Generation of the chain in which it panicked: it runs again only in a chain built anew.
    broken: Option<u64>,
}

impl Desk {
    /// The live values of a chain as users set them: nodes in automatic bypass count as enabled.
    pub(super) fn user_values(&self, chain: &str) -> BTreeMap<String, ParamValue> {
        let mut values = self.chains.values_of(chain);
        let bypassed = self.auto_bypassed.iter().filter(|node| node.chain == chain);
        values.extend(bypassed.map(|node| (format!("/{}/enabled", node.id), true.into())));
        values
    }

    /// Bypasses or enables a node of the newest chain automatically; false if it is so already.
    pub(super) fn set_auto_bypass(&mut self, turn: &mut Turn<'_>, id: &str, on: bool) -> bool {
        let path = format!("/{id}/enabled");
        let changes = self.on_air.changes(&self.chains, [(path.as_str(), on.into())]);
        if changes.iter().all(|change| !change.is_move()) {
            return false;
        }
        self.release(&changes);
        let chain = self.on_air.newest_name();
        if self.apply_changes(turn, Peer::Station, Recipients::All, changes, "/node").is_err() {
            return false;
        }
        let [from, to] = if on { ["false", "true"] } else { ["true", "false"] };
        self.audit(turn, Peer::Station, &chain, &format!("/node{path}"), from, to);
        if !on {
            self.auto_bypassed.push(AutoBypass { chain, id: id.to_owned(), broken: None });
        }
        true
    }

    /// Removes the nodes that `changes` enable from automatic bypass. True if one of them has panicked, so that the
    /// chain must be rebuilt.
    pub(super) fn clear_auto_bypass(&mut self, chain: &str, changes: &[Change]) -> bool {
        let generation = self.on_air.newest().map(|running| running.generation);
        let is_enabled = |node: &AutoBypass| {
            let path = format!("/{}/enabled", node.id);
            let enables = |change: &Change| {
                matches!(change.place.target, Target::Enabled { .. })
                    && change.place.path == path
                    && change.value == true.into()
            };
            node.chain == chain && changes.iter().any(enables)
        };
        let mut rebuild = false;
        self.auto_bypassed.retain(|node| {
            let is_enabled = is_enabled(node);
            rebuild |= is_enabled && node.broken.is_some() && node.broken == generation;
            !is_enabled
        });
        rebuild
    }

    /// The output of a node was NaN or infinite.
    pub(super) fn fault(&mut self, turn: &mut Turn<'_>, generation: u64, node: usize) {
        self.on_air.record_fault(generation);
        let id = self.on_air.node(generation, node).map_or("?", |node| &node.id).to_owned();
        let text = format!("node \"{id}\" output NaN or infinite: bypassed for 250 ms or longer");
        turn.log(Level::Error, About::Node(id.clone()), text);
        turn.event("fault", &[&id, "output NaN or infinite; bypassed"]);
    }

    /// A node or a chain panicked on the audio thread and is bypassed.
    pub(super) fn panicked(
        &mut self,
        turn: &mut Turn<'_>,
        generation: u64,
        node: Option<usize>,
        message: &str,
    ) {
        self.on_air.record_fault(generation);
        let Some(node) = node.and_then(|node| self.on_air.node(generation, node)) else {
            let text = format!("chain panicked: {message}; bypassed until the next swap");
            turn.log(Level::Error, About::Station, text);
            return turn.event("fault", &["chain", &format!("panicked: {message}; bypassed")]);
        };
        let id = node.id.clone();
        let text = format!("node \"{id}\" panicked: {message}; bypassed until enabled");
        turn.log(Level::Error, About::Node(id.clone()), text);
        turn.event("fault", &[&id, &format!("panicked: {message}; bypassed")]);
        // The previous chain of a swap ends soon, and its nodes with it.
        if self.on_air.newest().is_some_and(|running| running.generation == generation)
            && self.set_auto_bypass(turn, &id, false)
            && let Some(node) = self.auto_bypassed.last_mut()
        {
            node.broken = Some(generation);
        }
    }

    /// Bypasses what hung before the process executed itself again: a node, or without `node` the chain and all its nodes.
    pub fn bypass_hung(&mut self, turn: &mut Turn<'_>, chain: &str, node: Option<&str>) {
        let ids = node.map_or_else(|| self.chains.node_ids(chain), |id| vec![id.to_owned()]);
        self.bypass |= node.is_none();
        for id in &ids {
            let path = format!("/{id}/enabled");
            let Some(values) = self.chains.values_mut(chain) else { continue };
            if values.enabled(id) == Some(true) {
                values.enable(id, false);
                if let Some(at) = values.addresses().at(&path).map(|place| place.at) {
                    values.record_author(at, Peer::Station, turn.now.wall);
                }
                self.audit(turn, Peer::Station, chain, &format!("/node{path}"), "true", "false");
            }
        }
    }
}
