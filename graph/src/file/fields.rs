//! Reading a map key by key: what is taken is known, what is left over is a mistake.

use crate::file::error::{At, Mistake, Problem};
use crate::file::yaml::{Entry, Item, Value};
use crate::param::hint::Hint;
use crate::param::{Param, ValueError};

/// A map being read. `owner` names it in messages: `limiter "final"`.
pub struct Fields<'a> {
    /// What the map describes.
    pub owner: String,
    /// Where it stands.
    pub at: At,
    entries: Vec<&'a Entry>,
}

impl<'a> Fields<'a> {
    /// The fields of `value`: a map, or nothing at all. Anything else is a mistake.
    pub fn of(value: &'a Value, owner: impl Into<String>, mistakes: &mut Vec<Mistake>) -> Self {
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

    /// Takes the entry named `key`.
    pub fn take(&mut self, key: &str) -> Option<&'a Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes the text under `key`.
    pub fn text(&mut self, key: &str, mistakes: &mut Vec<Mistake>) -> Option<(&'a str, At)> {
        let entry = self.take(key)?;
        match scalar(&entry.value) {
            Some(text) => Some((text, entry.value.at)),
            None => {
                mistakes.push(wrong_shape(key, "a single value", &entry.value));
                None
            }
        }
    }

    /// Takes the list under `key`; a single value counts as a list of one.
    pub fn list(&mut self, key: &str) -> Option<&'a [Value]> {
        let entry = self.take(key)?;
        Some(match &entry.value.item {
            Item::List(values) => values,
            Item::Null => &[],
            _ => std::slice::from_ref(&entry.value),
        })
    }

    /// Takes `true` or `false` under `key`.
    pub fn switch(&mut self, key: &'static str, mistakes: &mut Vec<Mistake>) -> Option<bool> {
        const ROW: Param = Param::new(0, "", crate::param::Unit::Switch);
        let row = Param { name: key, ..ROW };
        self.row(&row, mistakes).map(|value| value >= 0.5)
    }

    /// Takes the unit value of a table row.
    pub fn row(&mut self, row: &Param, mistakes: &mut Vec<Mistake>) -> Option<f64> {
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

    /// Takes all that is left, where any name may stand.
    pub fn rest(&mut self) -> Vec<&'a Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Ends the reading: what was not taken has no meaning here. `allowed` are the names that have.
    pub fn finish(self, allowed: &[&str], mistakes: &mut Vec<Mistake>) {
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

/// The text of a single value.
pub fn scalar(value: &Value) -> Option<&str> {
    match &value.item {
        Item::Scalar { text, .. } => Some(text),
        _ => None,
    }
}

/// `what` should have been something else.
pub fn wrong_shape(what: &str, wanted: &'static str, value: &Value) -> Mistake {
    let found = value.shape();
    Mistake::new(value.at, Problem::WrongShape { what: what.to_owned(), wanted, found })
}
