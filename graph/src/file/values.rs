//! The values of a section, read by the section's table; every mistake is reported.

use crate::file::error::{At, Mistake, Problem};
use crate::file::fields::{scalar, wrong_shape};
use crate::file::name::{bad_name, is_name};
use crate::file::table::{Holds, Key, List, Named, Rule, Section, Text};
use crate::file::yaml::{Entry, Item, Value};
use crate::param::Param;
use crate::param::hint::Hint;

/// The values of a section. A value with a mistake is missing; the mistake is reported.
#[derive(Clone, Debug)]
pub struct Values<'a> {
    /// Where the section stands.
    pub at: At,
    section: &'static Section,
    held: Vec<(&'static str, Held<'a>)>,
    /// The keys that are written, right or wrong.
    written: Vec<(&'static str, &'a Entry)>,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Held<'a> {
    /// Where it stands.
    pub at: At,
    /// What it is.
    pub what: What<'a>,
}

/// What a value is.
#[derive(Clone, Debug)]
pub enum What<'a> {
    /// The unit value of a row.
    Number(f64),
    /// A text.
    Text(&'a str),
    /// A list.
    List(Vec<Held<'a>>),
    /// A section.
    Section(Values<'a>),
    /// A map of any keys, each with its place.
    Named(Vec<(&'a str, At, Held<'a>)>),
    /// An item with a mistake, which is reported.
    Wrong,
}

impl<'a> Held<'a> {
    /// The number that it is.
    pub fn number(&self) -> Option<f64> {
        if let What::Number(number) = self.what { Some(number) } else { None }
    }

    /// The text that it is.
    pub fn text(&self) -> Option<&'a str> {
        if let What::Text(text) = self.what { Some(text) } else { None }
    }

    /// The items that it has.
    pub fn items(&self) -> &[Held<'a>] {
        if let What::List(items) = &self.what { items } else { &[] }
    }

    /// The section that it is.
    pub fn section(&self) -> Option<&Values<'a>> {
        if let What::Section(values) = &self.what { Some(values) } else { None }
    }
}

impl<'a> Values<'a> {
    /// Reads `value` as `section`: a map, or nothing at all.
    pub fn read(section: &'static Section, value: &'a Value, mistakes: &mut Vec<Mistake>) -> Self {
        Self::read_as(section.owner, section, value, mistakes)
    }

    /// A section of which nothing is written.
    pub fn none(section: &'static Section) -> Self {
        Self { at: At::default(), section, held: Vec::new(), written: Vec::new() }
    }

    fn read_as(
        owner: &str,
        section: &'static Section,
        value: &'a Value,
        mistakes: &mut Vec<Mistake>,
    ) -> Self {
        let mut values = Self { at: value.at, ..Self::none(section) };
        let entries = match &value.item {
            Item::Map(entries) => entries.as_slice(),
            _ if value.is_nothing() => &[],
            _ => {
                mistakes.push(wrong_shape(owner, "a map", value));
                return values;
            }
        };
        for entry in entries {
            let Some(key) = section.key(&entry.key) else {
                mistakes.push(Mistake::new(entry.at, unknown_key(owner, section, &entry.key)));
                continue;
            };
            if let Some((_, first)) = values.written.iter().find(|(name, _)| *name == key.name) {
                let text =
                    format!("{owner}: {} and {} are the same key; remove one of them", first.key, entry.key);
                mistakes.push(Mistake::new(entry.at, Problem::Other(text)));
                continue;
            }
            values.written.push((key.name, entry));
            let place = Place { owner, key: key.name, wanted: None, number: None };
            if let Some(what) = key.holds.read(&entry.value, &place, mistakes) {
                values.held.push((key.name, Held { at: entry.value.at, what }));
            }
        }
        for Key { name: key, .. } in section.keys.iter().filter(|key| key.is_needed) {
            if !values.has(key) {
                mistakes.push(Mistake::new(value.at, Problem::Missing { owner: owner.to_owned(), key }));
            }
        }
        section.rules.iter().for_each(|rule| values.check(rule, owner, mistakes));
        values
    }

    fn check(&self, rule: &Rule, owner: &str, mistakes: &mut Vec<Mistake>) {
        let written: Vec<_> = self.written.iter().filter(|(name, _)| rule.keys.contains(name)).collect();
        if written.len() < rule.least {
            mistakes.push(Mistake::new(self.at, Problem::Other(format!("{owner} {}", rule.why))));
        }
        for (name, entry) in written.iter().skip(rule.most) {
            let first = written.first().map_or("", |(name, _)| name);
            let text = format!("{owner} has \"{first}\" already; remove it, or \"{name}\"");
            mistakes.push(Mistake::new(entry.at, Problem::Other(text)));
        }
    }

    /// Whether a key is written, right or wrong.
    pub fn has(&self, key: &str) -> bool {
        self.written.iter().any(|(name, _)| *name == key)
    }

    /// The value of a key.
    pub fn get(&self, key: &str) -> Option<&Held<'a>> {
        debug_assert!(self.section.key(key).is_some(), "{} has no {key}", self.section.owner);
        self.held.iter().find(|(name, _)| *name == key).map(|(_, held)| held)
    }

    /// The number under a key, where it is written.
    pub fn written(&self, key: &str) -> Option<f64> {
        self.get(key).and_then(Held::number)
    }

    /// The number under a key, or its row's default.
    pub fn number(&self, key: &str) -> f64 {
        let default = || match self.section.key(key).map(|key| key.holds) {
            Some(Holds::Row(row)) => row.default,
            _ => 0.0,
        };
        self.written(key).unwrap_or_else(default)
    }

    /// The switch under a key, where it is written.
    pub fn switch(&self, key: &str) -> Option<bool> {
        self.written(key).map(|value| value >= 0.5)
    }

    /// The text under a key.
    pub fn text(&self, key: &str) -> Option<&'a str> {
        self.get(key).and_then(Held::text)
    }

    /// The text under a key, and its place.
    pub fn placed(&self, key: &str) -> Option<(String, At)> {
        let held = self.get(key)?;
        held.text().map(|text| (text.to_owned(), held.at))
    }

    /// The items of the list under a key.
    pub fn items(&self, key: &str) -> &[Held<'a>] {
        self.get(key).map_or(&[], Held::items)
    }

    /// The texts of the list under a key.
    pub fn texts(&self, key: &str) -> impl Iterator<Item = &'a str> {
        self.items(key).iter().filter_map(Held::text)
    }

    /// The section under a key, where it is written.
    pub fn section(&self, key: &str) -> Option<&Values<'a>> {
        self.get(key).and_then(Held::section)
    }

    /// The map of any keys under a key, where it is written.
    pub fn named(&self, key: &str) -> Option<&[(&'a str, At, Held<'a>)]> {
        match &self.get(key)?.what {
            What::Named(named) => Some(named),
            _ => None,
        }
    }
}

fn unknown_key(owner: &str, section: &Section, found: &str) -> Problem {
    let names: Vec<&str> = section.keys.iter().map(|key| key.name).collect();
    Problem::UnknownKey {
        owner: owner.to_owned(),
        key: found.to_owned(),
        hint: Hint::nearest(found, names.iter().copied()),
        allowed: names.join(", "),
    }
}

/// Where a value is read, for messages.
struct Place<'p> {
    owner: &'p str,
    key: &'p str,
    /// What the list around it is in words.
    wanted: Option<&'static str>,
    /// Which item of the list it is, from 1 on.
    number: Option<usize>,
}

impl Place<'_> {
    fn wrong_shape(&self, wanted: &'static str, value: &Value) -> Mistake {
        wrong_shape(&format!("{}: {}", self.owner, self.key), self.wanted.unwrap_or(wanted), value)
    }
}

impl Holds {
    fn read<'a>(
        &'static self,
        value: &'a Value,
        place: &Place<'_>,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<What<'a>> {
        match self {
            Holds::Row(row) => read_row(row, value, place, mistakes).map(What::Number),
            Holds::Text(text) => read_text(text, value, place, mistakes).map(What::Text),
            Holds::List(list) => read_list(list, value, place, mistakes).map(What::List),
            Holds::Named(named) => read_named(named, value, place, mistakes).map(What::Named),
            Holds::Section(section) => {
                let number = place.number.filter(|_| section.is_counted);
                let owner = number.map(|number| format!("{} {number}", section.owner));
                let owner = owner.as_deref().unwrap_or(section.owner);
                Some(What::Section(Values::read_as(owner, section, value, mistakes)))
            }
            Holds::Any(choices, wanted) => match choices.iter().find(|holds| holds.has_shape_of(value)) {
                Some(holds) => holds.read(value, place, mistakes),
                None => {
                    mistakes.push(Place { wanted: None, ..*place }.wrong_shape(wanted, value));
                    None
                }
            },
        }
    }

    fn has_shape_of(&self, value: &Value) -> bool {
        match self {
            _ if value.is_nothing() => match self {
                Holds::Section(section) => section.may_be_empty(),
                Holds::List(list) => list.least == 0,
                _ => false,
            },
            Holds::Row(_) | Holds::Text(_) => scalar(value).is_some(),
            Holds::List(_) => matches!(value.item, Item::List(_)),
            Holds::Section(_) | Holds::Named(_) => matches!(value.item, Item::Map(_)),
            Holds::Any(choices, _) => choices.iter().any(|holds| holds.has_shape_of(value)),
        }
    }
}

fn read_row(row: &Param, value: &Value, place: &Place<'_>, mistakes: &mut Vec<Mistake>) -> Option<f64> {
    let Some(text) = scalar(value).filter(|_| !value.is_nothing()) else {
        mistakes.push(place.wrong_shape("a single value", value));
        return None;
    };
    let problem = |error| Problem::Value { owner: place.owner.to_owned(), key: place.key.to_owned(), error };
    row.parse(text).map_err(|error| mistakes.push(Mistake::new(value.at, problem(error)))).ok()
}

fn read_text<'a>(
    text: &Text,
    value: &'a Value,
    place: &Place<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<&'a str> {
    // A bare `null` is a text only where it is one of the words.
    let Some(found) = scalar(value).filter(|found| !value.is_nothing() || text.words.contains(found)) else {
        mistakes.push(place.wrong_shape("a single value", value));
        return None;
    };
    if text.takes(found) {
        return Some(found);
    }
    let hint = Hint::nearest(found, text.words.iter().copied());
    let (owner, key, found) = (place.owner.to_owned(), place.key.to_owned(), format!("\"{found}\"{hint}"));
    let allowed = match text.allowed {
        "" => format!("there are {}", text.words.join(", ")),
        allowed => allowed.to_owned(),
    };
    mistakes.push(Mistake::new(value.at, Problem::Text { owner, key, found, allowed }));
    None
}

fn read_list<'a>(
    list: &List,
    value: &'a Value,
    place: &Place<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Vec<Held<'a>>> {
    let values = match &value.item {
        Item::List(values) => values.as_slice(),
        _ if value.is_nothing() => &[],
        _ => std::slice::from_ref(value),
    };
    if !(list.least..=list.most).contains(&values.len()) {
        let found = match &value.item {
            Item::List(values) if values.is_empty() => "an empty list",
            Item::List(_) => "a list of another length",
            _ => value.shape(),
        };
        let (what, wanted) = (format!("{}: {}", place.owner, place.key), list.wanted);
        mistakes.push(Mistake::new(value.at, Problem::WrongShape { what, wanted, found }));
        return None;
    }
    let items = values.iter().enumerate().map(|(at, value)| {
        let place = Place { wanted: Some(list.wanted), number: Some(at + 1), ..*place };
        Held { at: value.at, what: list.of.read(value, &place, mistakes).unwrap_or(What::Wrong) }
    });
    Some(items.collect())
}

fn read_named<'a>(
    named: &Named,
    value: &'a Value,
    place: &Place<'_>,
    mistakes: &mut Vec<Mistake>,
) -> Option<Vec<(&'a str, At, Held<'a>)>> {
    let entries = match &value.item {
        Item::Map(entries) => entries.as_slice(),
        _ if value.is_nothing() => &[],
        _ => {
            mistakes.push(wrong_shape(place.key, "a map", value));
            return None;
        }
    };
    let read = entries.iter().map(|entry| {
        if let Some(of) = named.names.filter(|_| !is_name(&entry.key)) {
            mistakes.push(bad_name(entry.at, place.key, of, &entry.key));
        }
        let place = Place { owner: place.key, key: &entry.key, wanted: None, number: None };
        let what = named.of.read(&entry.value, &place, mistakes).unwrap_or(What::Wrong);
        (entry.key.as_str(), entry.at, Held { at: entry.value.at, what })
    });
    Some(read.collect())
}
