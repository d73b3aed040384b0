//! Every chain's live values: what they were when the file was read, and what they are now.

use lacquer_graph::spec::{NodeSpec, Spec};
use std::collections::BTreeMap;

/// The live values of one chain, by node id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    nodes: BTreeMap<String, NodeValues>,
}

#[derive(Clone, Debug, PartialEq)]
struct NodeValues {
    kind: String,
    file: Setting,
    live: Setting,
}

/// Unit values of all rows, and whether the node is out of bypass.
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    rows: Vec<f64>,
    enabled: bool,
}

impl Values {
    /// The values as a chain file without mistakes has them.
    pub fn of(spec: &Spec) -> Self {
        let node = |node: &NodeSpec| {
            let file = Setting { rows: node.values.clone(), enabled: node.enabled };
            (node.id.clone(), NodeValues { kind: node.type_name.clone(), live: file.clone(), file })
        };
        Self { nodes: spec.nodes.iter().map(node).collect() }
    }

    /// The values after the file was read again as `spec`: what the file changed since it was last read
    /// is taken from it, all else stays as it was left.
    pub fn reread(&self, spec: &Spec) -> Self {
        let mut new = Self::of(spec);
        for (id, node) in &mut new.nodes {
            let Some(old) = self.nodes.get(id).filter(|old| old.kind == node.kind) else { continue };
            // Rows pair up by place, parts by number; what has no counterpart is new.
            for (at, live) in node.live.rows.iter_mut().enumerate() {
                if let (Some(was), Some(left)) = (old.file.rows.get(at), old.live.rows.get(at))
                    && *was == node.file.rows[at]
                {
                    *live = *left;
                }
            }
            if old.file.enabled == node.file.enabled {
                node.live.enabled = old.live.enabled;
            }
        }
        new
    }

    /// Writes the live values into `spec`, so that a chain planned from it starts with them.
    pub fn apply(&self, spec: &mut Spec) {
        for node in &mut spec.nodes {
            if let Some(values) = self.nodes.get(&node.id).filter(|values| values.kind == node.type_name) {
                node.values.clone_from(&values.live.rows);
                node.enabled = values.live.enabled;
            }
        }
    }

    /// The live unit value of a row.
    pub fn get(&self, id: &str, row: usize) -> Option<f64> {
        self.nodes.get(id)?.live.rows.get(row).copied()
    }

    /// Sets the live unit value of a row; the caller has clipped it.
    pub fn set(&mut self, id: &str, row: usize, value: f64) {
        if let Some(live) = self.nodes.get_mut(id).and_then(|node| node.live.rows.get_mut(row)) {
            *live = value;
        }
    }

    /// Whether a node is out of bypass.
    pub fn enabled(&self, id: &str) -> Option<bool> {
        self.nodes.get(id).map(|node| node.live.enabled)
    }

    /// Takes a node out of bypass, or into it.
    pub fn enable(&mut self, id: &str, on: bool) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.live.enabled = on;
        }
    }
}
