//! What subscribers are sent: addresses with values, which each surface writes its own way.

use crate::value::Value;

/// One line: an address and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The address, as under `/node`, `/meter`, `/event`.
    pub address: String,
    /// Its values.
    pub values: Vec<Value>,
}

impl Update {
    /// A line.
    pub fn new(address: impl Into<String>, values: Vec<Value>) -> Self {
        Self { address: address.into(), values }
    }

    /// A line with one number.
    pub fn number(address: impl Into<String>, value: f64) -> Self {
        Self::new(address, vec![Value::Number(value)])
    }

    /// A line of words.
    pub fn words(address: impl Into<String>, words: &[&str]) -> Self {
        Self::new(address, words.iter().map(|word| Value::Text((*word).to_owned())).collect())
    }
}
