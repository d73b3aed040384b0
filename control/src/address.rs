//! `/node/glue/threshold` <-> (node, row): the only place that knows names.

use crate::intent::Value;
use crate::notice::Line;
use lacquer_graph::error::Hint;
use lacquer_graph::node::Kind;
use lacquer_graph::param::{Param, Unit, ValueError};
use lacquer_graph::plan::Plan;
use rosc::address::{Matcher, OscAddress};
use std::collections::HashMap;
use thiserror::Error;

/// The name of the parameter that every node has besides its table.
pub(crate) const ENABLED: &str = "enabled";
const ENABLED_ROW: Param = Param::new(0, ENABLED, Unit::Switch).default(1.0).help("Out of bypass.");

/// The path and the row of value `at` of a node that has `count` of them.
pub(crate) fn path_of(kind: &Kind, id: &str, at: usize, count: usize) -> Option<(String, Param)> {
    let row = kind.row(at)?;
    let path = match (at.checked_sub(kind.rows.len()), kind.parts) {
        (Some(rest), Some(parts)) => {
            let count = (count - kind.rows.len()) / parts.rows.len();
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
    /// Whether a node is out of bypass.
    Enabled {
        /// The node, by its place in the plan.
        node: usize,
    },
}

impl Target {
    /// The node, by its place in the plan.
    pub fn node(self) -> usize {
        match self {
            Target::Row { node, .. } | Target::Enabled { node } => node,
        }
    }
}

/// The three trees in which every value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tree {
    /// In the value's own unit: `/node`.
    Node,
    /// 0..1 along the taper: `/norm`.
    Norm,
    /// As people read it: `/text`.
    Text,
}

/// One address of a chain.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// Its part behind `/node`: `/glue/threshold`.
    pub path: String,
    /// What it stands for.
    pub target: Target,
    /// Its table row.
    pub row: Param,
}

impl Place {
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

    /// A unit value in all three trees: in its unit, along the taper, as text.
    pub fn lines(&self, value: f64) -> [Line; 3] {
        [Tree::Node, Tree::Norm, Tree::Text].map(|tree| self.line(tree, value))
    }

    /// A unit value as a line of one tree.
    pub fn line(&self, tree: Tree, value: f64) -> Line {
        match tree {
            Tree::Node => Line::new(self.address(), vec![self.value(value)]),
            Tree::Norm => Line::number(self.norm_address(), self.row.to_norm(value)),
            Tree::Text => Line::words(self.text_address(), &[&self.row.text(value)]),
        }
    }

    /// The unit value that a surface's value means; numbers are clipped to the range.
    pub fn read(&self, value: &Value, tree: Tree) -> Result<f64, AddressError> {
        let number = match value {
            Value::Number(number) if !number.is_finite() => return Err(AddressError::NotANumber),
            Value::Switch(on) => f64::from(u8::from(*on)),
            Value::Number(number) if tree == Tree::Norm => self.row.from_norm(*number).unwrap_or(f64::NAN),
            Value::Number(number) if self.row.unit == Unit::Switch => f64::from(u8::from(*number >= 0.5)),
            Value::Number(number) => *number,
            Value::Text(text) => self.row.parse(text)?,
        };
        self.row.clip(number).ok_or(AddressError::NotANumber)
    }

    /// A unit value as surfaces show it.
    pub fn value(&self, value: f64) -> Value {
        match self.row.unit {
            Unit::Switch => Value::Switch(value >= 0.5),
            Unit::Choice(_) => Value::Text(self.row.text(value)),
            _ => Value::Number(value),
        }
    }
}

/// Why an address cannot be answered.
#[derive(Debug, Error)]
pub enum AddressError {
    /// There is no such address.
    #[error("no such address in chain \"{chain}\"{hint}")]
    Unknown {
        /// The chain that was asked.
        chain: String,
        /// The nearest address.
        hint: Hint,
    },
    /// The pattern matches nothing.
    #[error("no address in chain \"{0}\" matches")]
    NoMatch(String),
    /// The pattern is none.
    #[error("not a pattern: {0}")]
    BadPattern(String),
    /// NaN or infinite.
    #[error("not a finite number")]
    NotANumber,
    /// The text is no value of the row.
    #[error(transparent)]
    Value(#[from] ValueError),
}

/// All addresses of one chain.
pub struct Addresses {
    chain: String,
    places: Vec<Place>,
    exact: HashMap<String, usize>,
    /// The same, for patterns.
    patterns: Vec<OscAddress>,
}

impl Addresses {
    /// The addresses of the nodes of `plan`.
    pub fn of(plan: &Plan) -> Self {
        let mut places = Vec::new();
        for (node, planned) in plan.nodes.iter().enumerate() {
            let id = &planned.id;
            places.push(Place {
                path: format!("/{id}/enabled"),
                target: Target::Enabled { node },
                row: ENABLED_ROW,
            });
            let kind = planned.kind;
            let count = planned.values.len();
            for at in 0..count {
                if let Some((path, row)) = path_of(kind, id, at, count) {
                    places.push(Place { path, target: Target::Row { node, row: at }, row });
                }
            }
        }
        let exact = places.iter().enumerate().map(|(at, place)| (place.path.clone(), at)).collect();
        // Ids and names are made of letters that an address may hold.
        let patterns = places.iter().filter_map(|place| OscAddress::new(place.path.clone()).ok()).collect();
        Self { chain: plan.name.clone(), places, exact, patterns }
    }

    /// Every address.
    pub fn all(&self) -> &[Place] {
        &self.places
    }

    /// The place with this path.
    pub fn at(&self, path: &str) -> Option<&Place> {
        self.exact.get(path).and_then(|at| self.places.get(*at))
    }

    /// The places that an address or pattern stands for, and its tree. Never an empty list.
    pub fn find(&self, address: &str) -> Result<(Vec<&Place>, Tree), AddressError> {
        let trees = [("/node", Tree::Node), ("/norm", Tree::Norm), ("/text", Tree::Text)];
        let split = |name: &str| address.strip_prefix(name).filter(|rest| rest.starts_with('/'));
        let found = trees.into_iter().find_map(|(name, tree)| Some((split(name)?, tree)));
        let Some((path, tree)) = found else { return Err(self.unknown(address)) };
        if let Some(place) = self.at(path) {
            return Ok((vec![place], tree));
        }
        if !is_pattern(path) {
            return Err(self.unknown(address));
        }
        let matcher = Matcher::new(path).map_err(|error| AddressError::BadPattern(error.to_string()))?;
        let matches =
            self.patterns.iter().zip(&self.places).filter(|(address, _)| matcher.match_address(address));
        let places: Vec<_> = matches.map(|(_, place)| place).collect();
        if places.is_empty() { Err(AddressError::NoMatch(self.chain.clone())) } else { Ok((places, tree)) }
    }

    fn unknown(&self, address: &str) -> AddressError {
        let addresses: Vec<_> = self.places.iter().map(Place::address).collect();
        let hint = Hint::nearest(address, addresses.iter().map(String::as_str));
        AddressError::Unknown { chain: self.chain.clone(), hint }
    }
}

/// Whether an address holds any of the characters that make a pattern.
pub fn is_pattern(address: &str) -> bool {
    address.contains(['?', '*', '[', '{'])
}
