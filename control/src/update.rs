//! What subscribers are sent: addresses with values, which each surface writes its own way.

use crate::value::Value;
use lacquer_graph::reading::{Reading, Shape};

/// Whether an address is that of a reading.
pub fn is_meter(address: &str) -> bool {
    address.starts_with("/meter/") || address.starts_with("/text/meter/")
}

/// One line: an address and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// The address, as under `/node`, `/meter`, `/event`.
    pub address: String,
    /// Its values.
    pub values: Vec<Value>,
    /// What was measured, where it is a reading.
    pub measured: Option<Measured>,
}

/// A reading: its row, and its value in the row's unit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// The row.
    pub row: &'static Reading,
    /// The value; `None` where there is no reading, and of an array.
    pub value: Option<f64>,
}

impl Update {
    /// A line.
    pub fn new(address: impl Into<String>, values: Vec<Value>) -> Self {
        Self { address: address.into(), values, measured: None }
    }

    /// A line with one number.
    pub fn number(address: impl Into<String>, value: f64) -> Self {
        Self::new(address, vec![Value::Number(value)])
    }

    /// A line of words.
    pub fn words(address: impl Into<String>, words: &[&str]) -> Self {
        Self::new(address, words.iter().map(|word| Value::Text((*word).to_owned())).collect())
    }

    /// A reading at `/meter/PATH` and as people read it, at `/text/meter/PATH`. The first has no value where there
    /// is none: it is then not sent, but surfaces know that the address is there.
    pub fn reading(path: &str, row: &'static Reading, value: Option<f64>) -> [Self; 2] {
        let measured = Measured { row, value };
        [format!("/text/meter/{path}"), format!("/meter/{path}")].map(|address| {
            let values = measured.values(&address);
            Self { address, values, measured: Some(measured) }
        })
    }

    /// A reading of several numbers, at `/meter/PATH`.
    pub fn array(path: &str, row: &'static Reading, values: impl IntoIterator<Item = f64>) -> Self {
        let values = values.into_iter().map(Value::Number).collect();
        Self { address: format!("/meter/{path}"), values, measured: Some(Measured { row, value: None }) }
    }

    /// Whether it says that there is no reading. Such a line is never sent.
    pub fn is_none(&self) -> bool {
        self.measured.is_some() && self.values.is_empty()
    }

    /// Whether it is a reading.
    pub fn is_meter(&self) -> bool {
        is_meter(&self.address)
    }

    /// Whether it is a reading of several numbers.
    pub fn is_array(&self) -> bool {
        self.measured.is_some_and(|measured| matches!(measured.row.shape, Shape::Array(_)))
    }

    /// Whether it holds a state, of which only the newest counts; others are all sent.
    pub(crate) fn is_state(&self) -> bool {
        !(self.address.starts_with("/event/") || self.address == "/error" || self.values.is_empty())
    }

    /// What is left of an earlier line of the same address and this later one, where only one is sent.
    pub fn after(&self, earlier: &Self) -> Self {
        let (Some(measured), Some(before)) = (self.measured, earlier.measured) else { return self.clone() };
        let (Some(value), Some(before)) = (measured.value, before.value) else { return self.clone() };
        let measured = Measured { value: Some(measured.row.combine.of(before, value)), ..measured };
        Self {
            address: self.address.clone(),
            values: measured.values(&self.address),
            measured: Some(measured),
        }
    }
}

impl Measured {
    /// The values at `address`: a text or a number; nothing where there is no number.
    fn values(&self, address: &str) -> Vec<Value> {
        if address.starts_with("/text/") {
            return vec![Value::Text(self.row.text(self.value))];
        }
        self.value.map(Value::Number).into_iter().collect()
    }
}
