//! Values: as surfaces send and receive them, and as the station keeps them.

use serde::{Deserialize, Serialize};

/// A value as a surface sends and receives it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, in the unit of its address.
    Number(f64),
    /// On or off.
    Switch(bool),
    /// A word, or a number with its unit.
    Text(String),
}

/// Whether a number is the requested one: OSC sends numbers as 32-bit floats.
pub fn is_as_requested(is: f64, requested: f64) -> bool {
    (is - requested).abs() <= 1e-6 * requested.abs().max(1.0)
}

/// A live value. In files of state it is a number or a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ParamValue {
    /// In the row's unit.
    Number(f64),
    /// Of a text setting.
    Text(String),
}

impl ParamValue {
    /// The number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            ParamValue::Number(number) => Some(*number),
            ParamValue::Text(_) => None,
        }
    }

    /// The text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            ParamValue::Text(text) => Some(text),
            ParamValue::Number(_) => None,
        }
    }
}

impl From<f64> for ParamValue {
    fn from(number: f64) -> Self {
        ParamValue::Number(number)
    }
}

impl From<bool> for ParamValue {
    fn from(on: bool) -> Self {
        ParamValue::Number(f64::from(u8::from(on)))
    }
}
