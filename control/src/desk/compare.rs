//! The two full states, A and B, that are compared.

use crate::value::ParamValue;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A full state: a chain and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareState {
    /// The chain.
    pub chain: String,
    /// Its values by path.
    pub values: BTreeMap<String, ParamValue>,
}
