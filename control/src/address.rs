//! `/node/glue/threshold` <-> (node, row): the only place that knows names.

use crate::intent::Value;
use lacquer_graph::error::Hint;
use lacquer_graph::param::{Param, Unit, ValueError};
use lacquer_graph::plan::Plan;
use rosc::address::{Matcher, OscAddress};
use std::collections::HashMap;
use thiserror::Error;

/// The parameter that every node has besides its table.
const ENABLED: Param = Param::new(0, "enabled", Unit::Switch).default(1.0).help("Out of bypass.");

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

/// One address of a chain.
#[derive(Clone, Debug)]
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

    /// The unit value that a surface's value means; numbers are clipped to the range.
    pub fn read(&self, value: &Value, is_norm: bool) -> Result<f64, AddressError> {
        let number = match value {
            Value::Number(number) if !number.is_finite() => return Err(AddressError::NotANumber),
            Value::Switch(on) => f64::from(u8::from(*on)),
            Value::Number(number) if is_norm => self.row.from_norm(*number).unwrap_or(f64::NAN),
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
                row: ENABLED,
            });
            let kind = planned.kind;
            for at in 0..planned.values.len() {
                let Some(row) = kind.row(at) else { continue };
                let path = match (at.checked_sub(kind.rows.len()), kind.parts) {
                    (Some(rest), Some(parts)) => {
                        let count = (planned.values.len() - kind.rows.len()) / parts.rows.len();
                        if !parts.has(rest / parts.rows.len(), count, row) {
                            continue;
                        }
                        format!("/{id}/{}/{}/{}", parts.name, rest / parts.rows.len() + 1, row.name)
                    }
                    _ => format!("/{id}/{}", row.name),
                };
                places.push(Place { path, target: Target::Row { node, row: at }, row: *row });
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

    /// The places that an address or pattern under `/node` or `/norm` stands for, and whether it is under
    /// `/norm`. Never an empty list.
    pub fn find(&self, address: &str) -> Result<(Vec<&Place>, bool), AddressError> {
        let split = |tree: &str| address.strip_prefix(tree).filter(|rest| rest.starts_with('/'));
        let (path, is_norm) = match (split("/node"), split("/norm")) {
            (Some(path), _) => (path, false),
            (None, Some(path)) => (path, true),
            (None, None) => return Err(self.unknown(address)),
        };
        if let Some(place) = self.at(path) {
            return Ok((vec![place], is_norm));
        }
        if !is_pattern(path) {
            return Err(self.unknown(address));
        }
        let matcher = Matcher::new(path).map_err(|error| AddressError::BadPattern(error.to_string()))?;
        let matches =
            self.patterns.iter().zip(&self.places).filter(|(address, _)| matcher.match_address(address));
        let places: Vec<_> = matches.map(|(_, place)| place).collect();
        if places.is_empty() { Err(AddressError::NoMatch(self.chain.clone())) } else { Ok((places, is_norm)) }
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
