//! Values: as surfaces give and take them, and as the station keeps them.

use serde::{Deserialize, Serialize};

/// A value as a surface gives and takes it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// A number, in the unit of its address.
    Number(f64),
    /// On or off.
    Switch(bool),
    /// A word, or a number with its unit.
    Text(String),
}

/// A live value. In files of state it is a number or a text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Live {
    /// In the row's unit.
    Number(f64),
    /// Of a text setting.
    Text(String),
}

impl Live {
    /// The number, where it is one.
    pub fn number(&self) -> Option<f64> {
        match self {
            Live::Number(number) => Some(*number),
            Live::Text(_) => None,
        }
    }
}

impl From<f64> for Live {
    fn from(number: f64) -> Self {
        Live::Number(number)
    }
}

impl From<bool> for Live {
    fn from(on: bool) -> Self {
        Live::Number(f64::from(u8::from(on)))
    }
}
