//! A chain as written, read from YAML, with the place of every item.

use crate::file::error::{At, Mistake, Problem};
use crate::file::fields::{Fields, scalar, wrong_shape};
use crate::file::name::{bad_name, is_name};
use crate::file::yaml::{self, Item, Value};
use crate::node::NodeType;
use crate::nodes;
use crate::param::hint::Hint;
use crate::param::{Param, Unit};
use std::collections::BTreeMap;

/// Largest number of nodes in a chain.
pub(crate) const MAX_NODES: usize = 1000;

/// The gain of a feed, as a table row. It is constant for the life of a chain.
pub const FEED_GAIN: Param = Param::new(0, "gain", Unit::Gain)
    .range(-90.0, 24.0)
    .bottom("-inf")
    .setting()
    .help("Gain of one source in a sum.");

/// A chain as written.
#[derive(Clone, Debug, Default)]
pub struct Spec {
    /// Its name; empty if the file gives none.
    pub name: String,
    /// Its description.
    pub description: String,
    /// The nodes, in the order written.
    pub nodes: Vec<NodeSpec>,
    /// The feeds of each output group that the file names.
    pub outputs: Vec<OutputSpec>,
}

/// A node as written.
#[derive(Clone, Debug)]
pub struct NodeSpec {
    /// Its type; `None` if the file names an unknown type.
    pub node_type: Option<&'static NodeType>,
    /// The name of the type as written.
    pub type_name: String,
    /// Its id, unique in the chain.
    pub id: String,
    /// Its place in the file.
    pub at: At,
    /// False if it starts bypassed.
    pub enabled: bool,
    /// Its feeds, if the file gives them.
    pub feeds: Option<Vec<FeedSpec>>,
    /// The feeds of its side-chain input.
    pub key: Option<Vec<FeedSpec>>,
    /// Unit values of all its rows: the base rows, then those of each part.
    pub values: Vec<f64>,
    /// Whether the file gives the value, for each of them.
    pub written: Vec<bool>,
    /// Number of its parts.
    pub parts: usize,
    /// Its text settings, one for each of its type; empty if the file gives none.
    pub texts: Vec<TextSpec>,
}

/// A text setting as written.
#[derive(Clone, Debug, PartialEq)]
pub struct TextSpec {
    /// The text.
    pub text: String,
    /// Its place in the file.
    pub at: At,
}

/// One source in an `in:` or `key:`.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedSpec {
    /// A node's id, `input`, or `input.NAME`.
    pub from: String,
    /// Gain in dB, in the range of [`FEED_GAIN`].
    pub gain_db: f64,
    /// Its place in the file.
    pub at: At,
}

/// The feeds of one output group.
#[derive(Clone, Debug)]
pub struct OutputSpec {
    /// The name of the group.
    pub name: String,
    /// Its place in the file.
    pub at: At,
    /// Its sources, summed.
    pub feeds: Vec<FeedSpec>,
}

impl NodeSpec {
    /// Its name in messages: `limiter "final"`.
    pub fn owner(&self) -> String {
        format!("{} \"{}\"", self.type_name, self.id)
    }
}

impl Spec {
    /// `[control]` Reads a chain file. It returns what could be read even if there are errors, so that the rest can be
    /// checked too; a spec with errors must not be played.
    pub fn parse(bytes: &[u8]) -> (Self, Vec<Mistake>) {
        match yaml::parse(bytes) {
            Ok((root, mut mistakes)) => {
                let spec = Self::read(&root, &mut mistakes);
                (spec, mistakes)
            }
            Err(mistake) => (Self::default(), vec![mistake]),
        }
    }

    /// `[control]` Sets every setting that has a value for best quality, and that the file does not give, to that value.
    /// Returns the changes: `limiter "final": lookahead = 5 ms (1.5 ms)`.
    pub fn at_best(&mut self) -> Vec<String> {
        let mut changes = Vec::new();
        for node in &mut self.nodes {
            let owner = node.owner();
            let Some(node_type) = node.node_type else { continue };
            let rows =
                node.values.iter_mut().zip(&node.written).enumerate().filter(|(_, (_, written))| !**written);
            for (at, (value, _)) in rows {
                if let Some((row, best)) = node_type.row(at).and_then(|row| Some((row, row.best?))) {
                    changes.push(format!(
                        "{owner}: {} = {} ({})",
                        row.name,
                        row.text(best),
                        row.text(*value)
                    ));
                    *value = best;
                }
            }
        }
        changes
    }

    fn read(root: &Value, mistakes: &mut Vec<Mistake>) -> Self {
        let mut spec = Self::default();
        if !matches!(root.item, Item::Map(_)) {
            mistakes.push(wrong_shape("a chain file", "a map with \"nodes\"", root));
            return spec;
        }
        let mut fields = Fields::of(root, "a chain", mistakes);
        if let Some((name, at)) = fields.text("name", mistakes) {
            if is_name(name) {
                spec.name = name.to_owned();
            } else {
                mistakes.push(bad_name(at, "a chain", "name", name));
            }
        }
        spec.description =
            fields.text("description", mistakes).map_or_else(String::new, |(text, _)| text.to_owned());
        match fields.take("nodes") {
            None => {
                let problem = Problem::Missing { owner: "a chain".to_owned(), key: "nodes" };
                mistakes.push(Mistake::new(root.at, problem));
            }
            Some(entry) => match &entry.value.item {
                Item::List(list) if list.is_empty() => {
                    mistakes.push(Mistake::new(entry.at, Problem::EmptyChain))
                }
                Item::Null => mistakes.push(Mistake::new(entry.at, Problem::EmptyChain)),
                Item::List(list) => spec.nodes = read_nodes(list, mistakes),
                _ => mistakes.push(wrong_shape("nodes", "a list", &entry.value)),
            },
        }
        if let Some(entry) = fields.take("outputs") {
            for output in Fields::of(&entry.value, "outputs", mistakes).rest() {
                spec.outputs.push(OutputSpec {
                    name: output.key.clone(),
                    at: output.at,
                    feeds: read_feeds(&output.value, "outputs", mistakes),
                });
            }
        }
        fields.finish(&["name", "description", "nodes", "outputs"], mistakes);
        spec
    }
}

fn read_nodes(list: &[Value], mistakes: &mut Vec<Mistake>) -> Vec<NodeSpec> {
    if let Some(first_over) = list.get(MAX_NODES) {
        let problem = Problem::TooManyNodes { found: list.len(), most: MAX_NODES };
        mistakes.push(Mistake::new(first_over.at, problem));
    }
    let mut lines = BTreeMap::new();
    let mut nodes = Vec::new();
    for value in list.iter().take(MAX_NODES) {
        let Some(node) = read_node(value, mistakes) else { continue };
        match lines.insert(node.id.clone(), node.at.line) {
            None => nodes.push(node),
            Some(first) => {
                let problem = Problem::DuplicateId { id: node.id.clone(), first };
                mistakes.push(Mistake::new(node.at, problem));
                lines.insert(node.id, first);
            }
        }
    }
    nodes
}

fn read_node(value: &Value, mistakes: &mut Vec<Mistake>) -> Option<NodeSpec> {
    const NOTHING: Value = Value { at: At { line: 0, column: 0, length: 0 }, item: Item::Null };
    let (type_name, at, body) = match &value.item {
        Item::Map(entries) if entries.len() == 1 => (&entries[0].key, entries[0].at, &entries[0].value),
        Item::Scalar { text, .. } => (text, value.at, &NOTHING),
        Item::Map(entries) => {
            let keys: Vec<_> = entries.iter().map(|entry| entry.key.as_str()).collect();
            let found = format!("a map of {} ({})", entries.len(), keys.join(", "));
            mistakes.push(Mistake::new(value.at, Problem::NotANode { found }));
            return None;
        }
        _ => {
            mistakes.push(Mistake::new(value.at, Problem::NotANode { found: value.shape().to_owned() }));
            return None;
        }
    };
    let node_type = nodes::node_type(type_name);
    if node_type.is_none() {
        let names: Vec<_> = nodes::CATALOGUE.iter().map(|node_type| node_type.name).collect();
        let hint = Hint::nearest(type_name, names.iter().copied());
        let problem = Problem::UnknownKind { found: type_name.clone(), hint, allowed: names.join(", ") };
        mistakes.push(Mistake::new(at, problem));
    }
    let mut fields = Fields::of(body, type_name.as_str(), mistakes);
    let (id, id_at) = fields.text("id", mistakes).unwrap_or((type_name, at));
    fields.owner = format!("{type_name} \"{id}\"");
    // An unknown type name has its own message already.
    if !is_name(id) && (node_type.is_some() || id != type_name) {
        mistakes.push(bad_name(id_at, type_name, "id", id));
    } else if matches!(id, "input" | "output") {
        let allowed = "this name is reserved for the ends of the chain".to_owned();
        let (owner, key, found) = (type_name.clone(), "id".to_owned(), format!("\"{id}\""));
        let problem = Problem::Text { owner, key, found, allowed };
        mistakes.push(Mistake::new(id_at, problem));
    }
    // No feed may find the node by a reserved name.
    let id = if matches!(id, "input" | "output") { format!("{id}?") } else { id.to_owned() };
    let mut node = NodeSpec {
        node_type,
        type_name: type_name.clone(),
        id,
        at: id_at,
        enabled: fields.switch("enabled", mistakes).unwrap_or(true),
        feeds: fields.take("in").map(|entry| read_feeds(&entry.value, &fields.owner, mistakes)),
        key: None,
        values: Vec::new(),
        written: Vec::new(),
        parts: 0,
        texts: Vec::new(),
    };
    if let Some(entry) = fields.take("key") {
        node.key = Some(read_feeds(&entry.value, &fields.owner, mistakes));
        if node_type.is_some_and(|node_type| !node_type.has_key) {
            mistakes.push(Mistake::new(entry.at, Problem::NoKey { owner: fields.owner.clone() }));
        }
    }
    if let Some(node_type) = node_type {
        read_rows(node_type, &mut node, fields, mistakes);
    }
    Some(node)
}

fn read_rows(
    node_type: &'static NodeType,
    node: &mut NodeSpec,
    mut fields: Fields<'_>,
    mistakes: &mut Vec<Mistake>,
) {
    let list = node_type.parts.and_then(|parts| fields.list(parts.list)).unwrap_or_default();
    let most = node_type.parts.map_or(0, |parts| parts.most);
    if let Some(first_over) = list.get(most) {
        let (owner, name) = (fields.owner.clone(), node_type.parts.map_or("parts", |parts| parts.list));
        let problem = Problem::TooManyParts { owner, list: name, found: list.len(), most };
        mistakes.push(Mistake::new(first_over.at, problem));
    }
    if let Some(parts) = node_type.parts.filter(|parts| list.len() < parts.least) {
        let (owner, list, found) = (fields.owner.clone(), parts.list, list.len());
        let problem = Problem::TooFewParts { owner, list, found, least: parts.least, most };
        mistakes.push(Mistake::new(fields.at, problem));
    }
    node.parts = list.len().min(most);
    node.values = node_type.defaults(node.parts);
    node.written = vec![false; node.values.len()];
    for row in node_type.rows {
        if let Some(value) = fields.row(row, mistakes) {
            (node.values[row.slot], node.written[row.slot]) = (value, true);
        }
    }
    if let Some(parts) = node_type.parts {
        for (index, part) in list.iter().take(most).enumerate() {
            let rows = || parts.rows.iter().filter(|row| parts.has(index, node.parts, row));
            let allowed: Vec<_> = rows().map(|row| row.name).collect();
            let owner = format!("{}, {} {}", fields.owner, parts.name, index + 1);
            let mut part = Fields::of(part, owner, mistakes);
            let start = node_type.rows.len() + index * parts.rows.len();
            for row in rows() {
                if let Some(value) = part.row(row, mistakes) {
                    (node.values[start + row.slot], node.written[start + row.slot]) = (value, true);
                }
            }
            part.finish(&allowed, mistakes);
        }
    }
    for text in node_type.texts {
        let (written, at) = fields.text(text.name, mistakes).unwrap_or(("", node.at));
        node.texts.push(TextSpec { text: written.to_owned(), at });
    }
    let mut allowed = vec!["id", "enabled"];
    if !matches!(node_type.ports, crate::node::Ports::Source(_)) {
        allowed.push("in");
    }
    if node_type.has_key {
        allowed.push("key");
    }
    allowed.extend(node_type.rows.iter().map(|row| row.name));
    allowed.extend(node_type.parts.map(|parts| parts.list));
    allowed.extend(node_type.texts.iter().map(|text| text.name));
    fields.finish(&allowed, mistakes);
}

/// Reads `tone`, `{from: tone, gain: -6 dB}`, or a list of these.
fn read_feeds(value: &Value, owner: &str, mistakes: &mut Vec<Mistake>) -> Vec<FeedSpec> {
    let list = match &value.item {
        Item::List(list) if list.is_empty() => {
            mistakes.push(wrong_shape(&format!("{owner}: a source"), "a name", value));
            return Vec::new();
        }
        Item::List(list) => list.as_slice(),
        _ => std::slice::from_ref(value),
    };
    list.iter().filter_map(|value| read_feed(value, owner, mistakes)).collect()
}

fn read_feed(value: &Value, owner: &str, mistakes: &mut Vec<Mistake>) -> Option<FeedSpec> {
    if let Some(name) = scalar(value) {
        return Some(FeedSpec { from: name.to_owned(), gain_db: 0.0, at: value.at });
    }
    if !matches!(value.item, Item::Map(_)) {
        mistakes.push(wrong_shape(
            &format!("{owner}: a source"),
            "a name, or {from: NAME, gain: N dB}",
            value,
        ));
        return None;
    }
    let mut fields = Fields::of(value, format!("{owner}: a source"), mistakes);
    let from = fields.text("from", mistakes);
    if from.is_none() {
        mistakes.push(Mistake::new(value.at, Problem::Missing { owner: fields.owner.clone(), key: "from" }));
    }
    let gain_db = fields.row(&FEED_GAIN, mistakes).unwrap_or(0.0);
    fields.finish(&["from", "gain"], mistakes);
    from.map(|(from, at)| FeedSpec { from: from.to_owned(), gain_db, at })
}
