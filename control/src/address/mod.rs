//! `/node/glue/threshold` <-> (node, row): the only place that knows names.

pub mod arguments;
pub mod commands;
pub mod pattern;
pub mod router;

use crate::address::pattern::{Pattern, PatternError, is_pattern, trimmed};
use crate::update::Update;
use crate::value::{ParamValue, Value};
use lacquer_graph::node::NodeType;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::text::Form;
use lacquer_graph::param::{Param, Unit, ValueError};
use lacquer_graph::plan::Plan;
use std::collections::HashMap;
use std::path::{Component, Path};
use std::sync::Arc;
use thiserror::Error;

/// The name of the parameter that every node has beside its table.
pub(crate) const ENABLED: &str = "enabled";
const ENABLED_ROW: Param = Param::new(0, ENABLED, Unit::Switch)
    .default(1.0)
    .help("On: the node processes. Off: it is bypassed, its latency stays.");

/// The path and the row of value `at` of a node that has `count` of them.
pub(crate) fn path_of(node_type: &NodeType, id: &str, at: usize, count: usize) -> Option<(String, Param)> {
    let row = node_type.row(at)?;
    let path = match (at.checked_sub(node_type.rows.len()), node_type.parts) {
        (Some(rest), Some(parts)) => {
            let count = (count - node_type.rows.len()) / parts.rows.len();
            if !parts.has(rest / parts.rows.len(), count, row) {
                return None;
            }
            format!("/{id}/{}/{}/{}", parts.name, rest / parts.rows.len() + 1, row.name)
        }
        _ => format!("/{id}/{}", row.name),
    };
    Some((path, *row))
}

/// What an address stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Target {
    /// A row of a node.
    Row {
        /// The node, by its place in the plan.
        node: usize,
        /// The row.
        row: usize,
    },
    /// A text setting of a node.
    Text {
        /// The node, by its place in the plan.
        node: usize,
        /// The text, by its place in the texts of its type.
        text: usize,
    },
    /// Whether a node is enabled: not bypassed.
    Enabled {
        /// The node, by its place in the plan.
        node: usize,
    },
}

impl Target {
    /// The node, by its place in the plan.
    pub fn node(self) -> usize {
        match self {
            Target::Row { node, .. } | Target::Text { node, .. } | Target::Enabled { node } => node,
        }
    }
}

/// The three trees that hold every value. A pattern that matches a value in several sets it in the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// In the value's own unit: `/node`.
    Node,
    /// 0..1 along the taper: `/norm`.
    Norm,
    /// As text with its unit: `/text`.
    Text,
}

impl Tree {
    /// All of them.
    pub(crate) const ALL: [Tree; 3] = [Tree::Node, Tree::Norm, Tree::Text];

    /// What its addresses begin with.
    pub fn root(self) -> &'static str {
        match self {
            Tree::Node => "/node",
            Tree::Norm => "/norm",
            Tree::Text => "/text",
        }
    }

    /// The tree that an address is in, and its path there; `None` for an address that is no value of a node.
    pub fn split(address: &str) -> Option<(Tree, &str)> {
        Tree::ALL.into_iter().find_map(|tree| {
            let path = address.strip_prefix(tree.root())?;
            path.starts_with('/').then_some((tree, path))
        })
    }
}

/// One address of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its number among the addresses of the chain, counted from 0.
    pub at: usize,
    /// Its part behind `/node`: `/glue/threshold`.
    pub path: String,
    /// What it stands for.
    pub target: Target,
    /// Its table row.
    pub row: Param,
}

impl Place {
    /// The id of its node.
    pub fn id(&self) -> &str {
        self.path.split('/').nth(1).unwrap_or_default()
    }

    /// Its address in the row's unit.
    pub fn address(&self) -> String {
        format!("/node{}", self.path)
    }

    /// Its address along the taper.
    pub fn norm_address(&self) -> String {
        format!("/norm{}", self.path)
    }

    /// Its address as text.
    pub fn text_address(&self) -> String {
        format!("/text{}", self.path)
    }

    /// Its address in a tree.
    pub(crate) fn address_in(&self, tree: Tree) -> String {
        format!("{}{}", tree.root(), self.path)
    }

    /// Whether its value is a text, and no number.
    pub fn is_text(&self) -> bool {
        matches!(self.row.unit, Unit::Text(_))
    }

    /// The trees that it stands in: a text has no taper.
    pub fn trees(&self) -> &'static [Tree] {
        if self.is_text() { &[Tree::Node, Tree::Text] } else { &[Tree::Node, Tree::Norm, Tree::Text] }
    }

    /// The updates of a value in all its trees.
    pub fn lines(&self, value: &ParamValue) -> Vec<Update> {
        self.trees().iter().map(|tree| self.line(*tree, value)).collect()
    }

    /// The update of a value in one tree.
    pub fn line(&self, tree: Tree, value: &ParamValue) -> Update {
        let value = match (tree, value) {
            (Tree::Norm, ParamValue::Number(number)) => Value::Number(self.row.to_norm(*number)),
            (Tree::Node, value) => self.value(value),
            (_, value) => Value::Text(self.text(value)),
        };
        Update::new(self.address_in(tree), vec![value])
    }

    /// A value as text with its unit.
    pub fn text(&self, value: &ParamValue) -> String {
        match value {
            ParamValue::Number(number) => self.row.text(*number),
            ParamValue::Text(text) => text.clone(),
        }
    }

    /// The value where the file writes none.
    pub fn default(&self) -> ParamValue {
        if self.is_text() { ParamValue::Text(String::new()) } else { self.row.default.into() }
    }

    /// The nearest value in range; `None` where the type does not fit.
    pub fn clip(&self, value: &ParamValue) -> Option<ParamValue> {
        match value {
            ParamValue::Number(number) if !self.is_text() => self.row.clip(*number).map(ParamValue::Number),
            ParamValue::Text(text) if self.is_text() => Some(ParamValue::Text(text.clone())),
            _ => None,
        }
    }

    /// The value that a surface sent, in this row's form; numbers are clipped to the range. A surface may name files only
    /// in the chain file's folder and below, for anybody may use it.
    pub fn read(&self, value: &Value, tree: Tree) -> Result<ParamValue, AddressError> {
        if let Unit::Text(form) = self.row.unit {
            return match value {
                Value::Text(text) if form == Form::Impulse && !stays_below(text) => {
                    Err(AddressError::Outside(text.clone()))
                }
                Value::Text(text) => Ok(ParamValue::Text(text.clone())),
                _ => Err(AddressError::IsText),
            };
        }
        let number = match value {
            Value::Number(number) if !number.is_finite() => return Err(AddressError::NotANumber),
            Value::Switch(on) => f64::from(u8::from(*on)),
            Value::Number(number) if tree == Tree::Norm => self.row.from_norm(*number).unwrap_or(f64::NAN),
            Value::Number(number) if self.row.unit == Unit::Switch => f64::from(u8::from(*number >= 0.5)),
            Value::Number(number) => *number,
            Value::Text(text) => self.row.parse(text)?,
        };
        self.row.clip(number).map(ParamValue::Number).ok_or(AddressError::NotANumber)
    }

    /// A value as surfaces send it.
    pub fn value(&self, value: &ParamValue) -> Value {
        match (value, self.row.unit) {
            (ParamValue::Number(number), Unit::Switch) => Value::Switch(*number >= 0.5),
            (ParamValue::Number(number), Unit::Choice(_)) => Value::Text(self.row.text(*number)),
            (ParamValue::Number(number), _) => Value::Number(*number),
            (ParamValue::Text(text), _) => Value::Text(text.clone()),
        }
    }
}

/// Why an address cannot be answered.
#[derive(Debug, Error, PartialEq)]
pub enum AddressError {
    /// There is no such address.
    #[error("no such address in chain \"{chain}\"{hint}")]
    Unknown {
        /// The chain on air.
        chain: String,
        /// The nearest address.
        hint: Hint,
    },
    /// The pattern matches nothing.
    #[error("no address in chain \"{0}\" matches")]
    NoMatch(String),
    /// The pattern is not valid.
    #[error("not a valid address pattern: {0}")]
    BadPattern(#[from] PatternError),
    /// A number for a text, or a step of it.
    #[error("takes a text")]
    IsText,
    /// A path that a surface must not name.
    #[error("\"{0}\" lies outside the chain file's folder; only the file itself may name that")]
    Outside(String),
    /// NaN or infinite.
    #[error("not a finite number")]
    NotANumber,
    /// The text is not a value of the row.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// All addresses of one chain; by default of none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Addresses {
    chain: String,
    places: Vec<Arc<Place>>,
    exact: HashMap<String, usize>,
}

impl Addresses {
    /// The addresses of the nodes of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut places = Vec::new();
        for (node, planned) in plan.nodes.iter().enumerate() {
            let id = &planned.id;
            let mut add = |path: String, target: Target, row: Param| {
                places.push(Arc::new(Place { at: places.len(), path, target, row }));
            };
            add(format!("/{id}/{ENABLED}"), Target::Enabled { node }, ENABLED_ROW);
            let node_type = planned.node_type;
            let count = planned.values.len();
            for at in 0..count {
                if let Some((path, row)) = path_of(node_type, id, at, count) {
                    add(path, Target::Row { node, row: at }, row);
                }
            }
            for (text, row) in node_type.texts.iter().enumerate() {
                add(format!("/{id}/{}", row.name), Target::Text { node, text }, row.row());
            }
        }
        let exact = places.iter().enumerate().map(|(at, place)| (place.path.clone(), at)).collect();
        Self { chain: plan.name.clone(), places, exact }
    }

    /// Every address.
    pub fn all(&self) -> &[Arc<Place>] {
        &self.places
    }

    /// The place with this path.
    pub fn at(&self, path: &str) -> Option<&Arc<Place>> {
        self.exact.get(path).and_then(|at| self.places.get(*at))
    }

    /// The same parameter as that of another chain, or of the same chain read before: the same address and row.
    pub fn like(&self, other: &Place) -> Option<&Arc<Place>> {
        self.at(&other.path).filter(|place| place.row == other.row)
    }

    /// The places that an address or pattern stands for, each with its tree. Never an empty list.
    ///
    /// # Errors
    /// Why there is no such place.
    pub fn find(&self, address: &str) -> Result<Vec<(&Arc<Place>, Tree)>, AddressError> {
        if is_pattern(address) {
            let found = self.matching(&Pattern::new(address)?);
            return if found.is_empty() { Err(AddressError::NoMatch(self.chain.clone())) } else { Ok(found) };
        }
        let address = trimmed(address);
        let found = Tree::split(address).and_then(|(tree, path)| {
            Some((self.at(path).filter(|place| place.trees().contains(&tree))?, tree))
        });
        found.map(|found| vec![found]).ok_or_else(|| self.unknown(address))
    }

    /// The places that a pattern matches, tree by tree.
    pub fn matching(&self, pattern: &Pattern) -> Vec<(&Arc<Place>, Tree)> {
        let mut found = Vec::new();
        for tree in Tree::ALL {
            let mut within = pattern.within(tree.root());
            if within.is_possible() {
                let places = self.places.iter().filter(|place| place.trees().contains(&tree));
                found.extend(places.filter(|place| within.matches(&place.path)).map(|place| (place, tree)));
            }
        }
        found
    }

    fn unknown(&self, address: &str) -> AddressError {
        let addresses: Vec<_> = self.places.iter().map(|place| place.address()).collect();
        let hint = Hint::nearest(address, addresses.iter().map(String::as_str));
        AddressError::Unknown { chain: self.chain.clone(), hint }
    }
}

/// Whether a path stays in the folder that it is relative to.
fn stays_below(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_split_into_its_tree_and_its_path() {
        assert_eq!(Tree::split("/node/glue/threshold"), Some((Tree::Node, "/glue/threshold")));
        assert_eq!(Tree::split("/norm/eq/band/1/gain"), Some((Tree::Norm, "/eq/band/1/gain")));
        assert_eq!(Tree::split("/text/glue/threshold"), Some((Tree::Text, "/glue/threshold")));
        for address in ["/node", "/nodes/glue", "/meter/node/glue/reduction", "node/glue/threshold", ""] {
            assert_eq!(Tree::split(address), None, "{address}");
        }
    }
}
