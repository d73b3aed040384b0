//! Every chain's live values: what they were when the file was read, what they are now, and who moved them last.

use crate::address::{ENABLED, path_of};
use crate::intent::Peer;
use lacquer_graph::nodes;
use lacquer_graph::param::Param;
use lacquer_graph::spec::{NodeSpec, Spec};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// The live values of one chain, by node id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    nodes: BTreeMap<String, NodeValues>,
    /// Who moved a value last, and when, by its path.
    authors: BTreeMap<String, (Peer, SystemTime)>,
}

#[derive(Clone, Debug, PartialEq)]
struct NodeValues {
    kind: String,
    file: Setting,
    live: Setting,
}

impl NodeValues {
    /// The path and the row of a value.
    fn place(&self, id: &str, at: usize) -> Option<(String, Param)> {
        let kind = nodes::kind(&self.kind)?;
        path_of(kind, id, at, self.live.rows.len())
    }
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
        Self { nodes: spec.nodes.iter().map(node).collect(), authors: BTreeMap::new() }
    }

    /// The values after the file was read again as `spec`: what the file changed since it was last read
    /// is taken from it, all else stays as it was left.
    pub fn reread(&self, spec: &Spec) -> Self {
        let mut new = Self::of(spec);
        new.authors.clone_from(&self.authors);
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

    /// Notes who moved a value.
    pub fn sign(&mut self, path: &str, by: Peer, now: SystemTime) {
        self.authors.insert(path.to_owned(), (by, now));
    }

    /// Who moved a value last, and when.
    pub fn author(&self, path: &str) -> Option<(Peer, SystemTime)> {
        self.authors.get(path).copied()
    }

    /// What was moved away from the file: path, live unit value, and that of the file.
    pub fn moved(&self) -> Vec<(String, f64, f64)> {
        let mut moved = Vec::new();
        for (id, node) in &self.nodes {
            let switches = [node.live.enabled, node.file.enabled].map(|on| f64::from(u8::from(on)));
            if switches[0] != switches[1] {
                moved.push((format!("/{id}/{ENABLED}"), switches[0], switches[1]));
            }
            for (at, (live, file)) in node.live.rows.iter().zip(&node.file.rows).enumerate() {
                if live != file
                    && let Some((path, _)) = node.place(id, at)
                {
                    moved.push((path, *live, *file));
                }
            }
        }
        moved
    }

    /// Brings a value back that [`Self::moved`] gave: live, and that of the file at that time. Where the file has
    /// changed since, the file holds.
    pub fn restore(&mut self, path: &str, live: f64, file: f64) {
        let id = path.split('/').nth(1).unwrap_or_default();
        let Some(node) = self.nodes.get_mut(id) else { return };
        if path == format!("/{id}/{ENABLED}") {
            if node.file.enabled == (file >= 0.5) {
                node.live.enabled = live >= 0.5;
            }
            return;
        }
        let places = (0..node.file.rows.len()).filter_map(|at| Some((at, node.place(id, at)?)));
        let found = places.into_iter().find(|(_, (known, _))| known == path);
        if let Some((at, (_, row))) = found
            && node.file.rows[at] == file
            && let Some(live) = row.clip(live)
        {
            node.live.rows[at] = live;
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
