//! Reads a map key by key. Keys that were not read are errors.

use crate::file::error::{At, Mistake, Problem};
use crate::file::yaml::{Entry, Item, Value};
use crate::param::hint::Hint;
use crate::param::{Param, ValueError};

/// The fields of a map that are not read yet.
pub(crate) struct Fields<'a> {
    /// What the map describes, for messages: `limiter "final"`.
    pub owner: String,
    /// Its place in the file.
    pub at: At,
    entries: Vec<&'a Entry>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`, which must be a map or empty. Anything else is an error.
    pub(crate) fn of(value: &'a Value, owner: impl Into<String>, mistakes: &mut Vec<Mistake>) -> Self {
        let owner = owner.into();
        let entries = match &value.item {
            Item::Map(entries) => entries.iter().collect(),
            _ if value.is_nothing() => Vec::new(),
            _ => {
                mistakes.push(wrong_shape(&owner, "a map", value));
                Vec::new()
            }
        };
        Self { owner, at: value.at, entries }
    }

    /// Reads the entry named `key`.
    pub(crate) fn take(&mut self, key: &str) -> Option<&'a Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Reads the text of `key`.
    pub(crate) fn text(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<(&'a str, At)> {
        let entry = self.take(key)?;
        match scalar(&entry.value) {
            Some(text) => Some((text, entry.value.at)),
            None => {
                mistakes.push(wrong_shape(key, "a single value", &entry.value));
                None
            }
        }
    }

    /// Reads the list of `key`; a single value counts as a list of one.
    pub(crate) fn list(&mut self, key: &str) -> Option<&'a [Value]> {
        let entry = self.take(key)?;
        Some(match &entry.value.item {
            Item::List(values) => values,
            Item::Null => &[],
            _ => std::slice::from_ref(&entry.value),
        })
    }

    /// Reads `true` or `false` of `key`.
    pub(crate) fn switch(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        const ROW: Param = Param::new(0, "", crate::param::Unit::Switch);
        let row = Param { name: key, ..ROW };
        self.row(&row, mistakes).map(|value| value >= 0.5)
    }

    /// Reads the unit value of a table row.
    pub(crate) fn row(&mut self, row: &Param, mistakes: &mut Vec<Mistake>) -> Option<f64> {
        let entry = self.take(row.name)?;
        let Some(text) = scalar(&entry.value) else {
            let what = format!("{}: {}", self.owner, row.name);
            mistakes.push(wrong_shape(&what, "a single value", &entry.value));
            return None;
        };
        row.parse(text).map_err(|error| mistakes.push(self.value_mistake(entry, error))).ok()
    }

    fn value_mistake(&self, entry: &Entry, error: ValueError) -> Mistake {
        let (owner, key) = (self.owner.clone(), entry.key.clone());
        Mistake::new(entry.value.at, Problem::Value { owner, key, error })
    }

    /// Returns all remaining entries, for maps whose keys are free names.
    pub(crate) fn rest(&mut self) -> Vec<&'a Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Ends the reading: every remaining key is an error. `allowed` are the valid keys, for the message.
    pub(crate) fn finish(self, allowed: &[&str], mistakes: &mut Vec<Mistake>) {
        for entry in self.entries {
            mistakes.push(Mistake::new(
                entry.at,
                Problem::UnknownKey {
                    owner: self.owner.clone(),
                    key: entry.key.clone(),
                    hint: Hint::nearest(&entry.key, allowed.iter().copied()),
                    allowed: allowed.join(", "),
                },
            ));
        }
    }
}

/// The text of a single value; `None` for a list, a map or nothing.
pub(crate) fn scalar(value: &Value) -> Option<&str> {
    match &value.item {
        Item::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// The error that `what` is a value of another shape than `wanted`.
pub fn wrong_shape(what: &str, wanted: &'static str, value: &Value) -> Mistake {
    let found = value.shape();
    Mistake::new(value.at, Problem::WrongShape { what: what.to_owned(), wanted, found })
}
