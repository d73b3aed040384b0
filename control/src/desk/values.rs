//! The live values of a chain: those of its file, the current ones, and who changed each of them last.

use crate::address::{ENABLED, path_of};
use crate::peer::Peer;
use crate::value::ParamValue;
use lacquer_graph::file::spec::{NodeSpec, Spec};
use lacquer_graph::nodes;
use lacquer_graph::param::Param;
use lacquer_graph::param::text::Form;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::SystemTime;

/// A full state: a chain and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareState {
    /// The chain.
    pub chain: String,
    /// Its values by path.
    pub values: BTreeMap<String, ParamValue>,
}

/// The live values of one chain, by node id.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values {
    nodes: BTreeMap<String, NodeValues>,
    /// Who changed a value last, and when, by its path.
    authors: BTreeMap<String, (Peer, SystemTime)>,
}

#[derive(Clone, Debug, PartialEq)]
struct NodeValues {
    node_type: String,
    file: Setting,
    live: Setting,
}

impl NodeValues {
    /// The path and the row of a value.
    fn place(&self, id: &str, at: usize) -> Option<(String, Param)> {
        let node_type = nodes::node_type(&self.node_type)?;
        path_of(node_type, id, at, self.live.rows.len())
    }

    /// The paths of its texts.
    fn text_paths(&self, id: &str) -> Vec<String> {
        let texts = nodes::node_type(&self.node_type).map_or(&[][..], |node_type| node_type.texts);
        texts.iter().map(|text| format!("/{id}/{}", text.name)).collect()
    }
}

/// Unit values of all rows, the texts, and whether the node is enabled (not bypassed).
#[derive(Clone, Debug, PartialEq)]
struct Setting {
    rows: Vec<f64>,
    texts: Vec<String>,
    enabled: bool,
}

impl Values {
    /// The values as a chain file without mistakes has them.
    pub fn of(spec: &Spec) -> Self {
        let node = |node: &NodeSpec| {
            let texts = node.texts.iter().map(|text| text.text.clone()).collect();
            let file = Setting { rows: node.values.clone(), texts, enabled: node.enabled };
            (node.id.clone(), NodeValues { node_type: node.type_name.clone(), live: file.clone(), file })
        };
        Self { nodes: spec.nodes.iter().map(node).collect(), authors: BTreeMap::new() }
    }

    /// The values after the file was read again as `spec`: values that the file changed since it was last read are
    /// those of the file, all others keep their live values.
    pub fn reread(&self, spec: &Spec) -> Self {
        let mut new = Self::of(spec);
        new.authors.clone_from(&self.authors);
        for (id, node) in &mut new.nodes {
            let Some(old) = self.nodes.get(id).filter(|old| old.node_type == node.node_type) else {
                continue;
            };
            let NodeValues { live, file, .. } = node;
            keep_live(&mut live.rows, &file.rows, &old.file.rows, &old.live.rows);
            keep_live(&mut live.texts, &file.texts, &old.file.texts, &old.live.texts);
            if old.file.enabled == node.file.enabled {
                node.live.enabled = old.live.enabled;
            }
        }
        new
    }

    /// Writes the live values into `spec`, so that a chain planned from it starts with them.
    pub fn apply(&self, spec: &mut Spec) {
        for node in &mut spec.nodes {
            if let Some(values) = self.nodes.get(&node.id).filter(|values| values.node_type == node.type_name)
            {
                node.values.clone_from(&values.live.rows);
                node.enabled = values.live.enabled;
                for (text, live) in node.texts.iter_mut().zip(&values.live.texts) {
                    text.text.clone_from(live);
                }
            }
        }
    }

    /// Resets the live texts to those of the file.
    pub(crate) fn reset_texts(&mut self) {
        self.nodes.values_mut().for_each(|node| node.live.texts.clone_from(&node.file.texts));
    }

    /// The paths of the impulses that the live texts name.
    pub fn impulses(&self) -> impl Iterator<Item = &str> {
        self.nodes.values().flat_map(|node| {
            let texts = nodes::node_type(&node.node_type).map_or(&[][..], |node_type| node_type.texts);
            let paths = texts.iter().zip(&node.live.texts);
            paths
                .filter(|(text, path)| text.form == Form::Impulse && !path.is_empty())
                .map(|(_, path)| path.as_str())
        })
    }

    /// Records who changed a value.
    pub(crate) fn record_author(&mut self, path: &str, by: Peer, now: SystemTime) {
        self.authors.insert(path.to_owned(), (by, now));
    }

    /// Who changed a value last, and when.
    pub(crate) fn author(&self, path: &str) -> Option<(Peer, SystemTime)> {
        self.authors.get(path).copied()
    }

    /// The values that differ from the file, without momentary ones: path, live value, value of the file.
    pub fn changed(&self) -> Vec<(String, ParamValue, ParamValue)> {
        let mut changed = Vec::new();
        for (id, node) in &self.nodes {
            if node.live.enabled != node.file.enabled {
                changed.push((
                    format!("/{id}/{ENABLED}"),
                    node.live.enabled.into(),
                    node.file.enabled.into(),
                ));
            }
            for (at, (live, file)) in node.live.rows.iter().zip(&node.file.rows).enumerate() {
                if live != file
                    && let Some((path, _)) = node.place(id, at).filter(|(_, row)| !row.is_momentary)
                {
                    changed.push((path, (*live).into(), (*file).into()));
                }
            }
            for (path, (live, file)) in
                node.text_paths(id).into_iter().zip(node.live.texts.iter().zip(&node.file.texts))
            {
                if live != file {
                    changed.push((path, ParamValue::Text(live.clone()), ParamValue::Text(file.clone())));
                }
            }
        }
        changed
    }

    /// Restores a value that [`Self::changed`] returned: the live value, and that of the file at that time. Where the
    /// file has changed since, the value of the file stays.
    pub fn restore(&mut self, path: &str, live: &ParamValue, file: &ParamValue) {
        let id = path.split('/').nth(1).unwrap_or_default();
        let Some(node) = self.nodes.get_mut(id) else { return };
        let (live, file) = match (live, file) {
            (ParamValue::Number(live), ParamValue::Number(file)) => (*live, *file),
            (ParamValue::Text(live), ParamValue::Text(file)) => {
                let at = node.text_paths(id).iter().position(|known| known == path);
                if let Some(at) = at.filter(|at| node.file.texts.get(*at) == Some(file)) {
                    node.live.texts[at].clone_from(live);
                }
                return;
            }
            _ => return,
        };
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

    /// The live text `at` of a node.
    pub fn text(&self, id: &str, at: usize) -> Option<&str> {
        self.nodes.get(id)?.live.texts.get(at).map(String::as_str)
    }

    /// Sets the live text `at` of a node.
    pub(crate) fn set_text(&mut self, id: &str, at: usize, text: &str) {
        if let Some(live) = self.nodes.get_mut(id).and_then(|node| node.live.texts.get_mut(at)) {
            text.clone_into(live);
        }
    }

    /// Whether a node is enabled: not bypassed.
    pub fn enabled(&self, id: &str) -> Option<bool> {
        self.nodes.get(id).map(|node| node.live.enabled)
    }

    /// Enables or bypasses a node.
    pub fn enable(&mut self, id: &str, on: bool) {
        if let Some(node) = self.nodes.get_mut(id) {
            node.live.enabled = on;
        }
    }
}

/// Keeps the live values where the file has not changed. Values pair up by place, parts by number; one without a
/// counterpart is new.
fn keep_live<T: Clone + PartialEq>(live: &mut [T], file: &[T], was: &[T], left: &[T]) {
    for ((live, file), (was, left)) in live.iter_mut().zip(file).zip(was.iter().zip(left)) {
        if was == file {
            live.clone_from(left);
        }
    }
}
