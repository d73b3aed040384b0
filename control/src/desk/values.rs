//! The live values of a chain: those of its file, the current ones, and who changed each of them last.

use crate::address::{Addresses, ENABLED, Place, Target};
use crate::peer::Peer;
use crate::value::ParamValue;
use lacquer_graph::file::spec::{NodeSpec, Spec};
use lacquer_graph::param::Unit;
use lacquer_graph::param::text::Form;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::SystemTime;

/// A full state: a chain and its values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CompareState {
    /// The chain.
    pub chain: String,
    /// Its values by path.
    pub values: BTreeMap<String, ParamValue>,
}

/// The live values of one chain, each at the place of its address.
#[derive(Clone, Debug, PartialEq)]
pub struct Values {
    addresses: Arc<Addresses>,
    /// One for each place.
    values: Vec<LiveValue>,
}

#[derive(Clone, Debug, PartialEq)]
struct LiveValue {
    file: ParamValue,
    live: ParamValue,
    /// Who changed it last, and when.
    author: Option<(Peer, SystemTime)>,
}

impl Values {
    /// The values of `addresses` as a chain file without mistakes has them.
    pub fn of(addresses: &Arc<Addresses>, spec: &Spec) -> Self {
        let nodes: BTreeMap<&str, &NodeSpec> =
            spec.nodes.iter().map(|node| (node.id.as_str(), node)).collect();
        let in_file = |place: &Place| {
            let node = nodes.get(place.id())?;
            Some(match place.target {
                Target::Row { row, .. } => ParamValue::Number(*node.values.get(row)?),
                Target::Text { text, .. } => ParamValue::Text(node.texts.get(text)?.text.clone()),
                Target::Enabled { .. } => node.enabled.into(),
            })
        };
        let value = |place: &Arc<Place>| {
            let file = in_file(place).unwrap_or_else(|| place.default());
            LiveValue { live: file.clone(), file, author: None }
        };
        Self { values: addresses.all().iter().map(value).collect(), addresses: Arc::clone(addresses) }
    }

    /// The addresses that the values belong to.
    pub fn addresses(&self) -> &Arc<Addresses> {
        &self.addresses
    }

    /// The values after the file was read again: `new` as it has them now, but live where it has not changed them since
    /// it was read before.
    pub fn reread(&self, mut new: Self) -> Self {
        for (place, value) in new.addresses.all().iter().zip(&mut new.values) {
            let Some(old) = self.addresses.like(place).and_then(|old| self.values.get(old.at)) else {
                continue;
            };
            value.author = old.author;
            if value.file == old.file {
                value.live.clone_from(&old.live);
            }
        }
        new
    }

    /// Writes the live values into `spec`, so that a chain planned from it starts with them.
    pub fn apply(&self, spec: &mut Spec) {
        let mut nodes: BTreeMap<String, &mut NodeSpec> =
            spec.nodes.iter_mut().map(|node| (node.id.clone(), node)).collect();
        for (place, value) in self.addresses.all().iter().zip(&self.values) {
            let Some(node) = nodes.get_mut(place.id()) else { continue };
            match (place.target, &value.live) {
                (Target::Row { row, .. }, ParamValue::Number(live)) => node.values[row] = *live,
                (Target::Text { text, .. }, ParamValue::Text(live)) => node.texts[text].text.clone_from(live),
                (Target::Enabled { .. }, ParamValue::Number(live)) => node.enabled = *live >= 0.5,
                // `Place::clip` lets no other combination pass.
                _ => {}
            }
        }
    }

    fn all(&self) -> impl Iterator<Item = (&Arc<Place>, &LiveValue)> {
        self.addresses.all().iter().zip(&self.values)
    }

    /// Resets the live texts to those of the file.
    pub(crate) fn reset_texts(&mut self) {
        let values = self.addresses.all().iter().zip(&mut self.values);
        values.filter(|(place, _)| place.is_text()).for_each(|(_, value)| value.live.clone_from(&value.file));
    }

    /// Resets all live values to those of the file.
    pub(crate) fn reset(&mut self) {
        self.values.iter_mut().for_each(|value| value.live.clone_from(&value.file));
    }

    /// The paths of the impulses that the live texts name.
    pub fn impulses(&self) -> impl Iterator<Item = &str> {
        let impulses = self.all().filter(|(place, _)| place.row.unit == Unit::Text(Form::Impulse));
        impulses.filter_map(|(_, value)| value.live.text()).filter(|path| !path.is_empty())
    }

    /// Records who changed the value at a place.
    pub(crate) fn record_author(&mut self, at: usize, by: Peer, now: SystemTime) {
        if let Some(value) = self.values.get_mut(at) {
            value.author = Some((by, now));
        }
    }

    /// Who changed the value at a place last, and when.
    pub(crate) fn author(&self, at: usize) -> Option<(Peer, SystemTime)> {
        self.values.get(at)?.author
    }

    /// The values that differ from the file, without momentary ones: place, live value, value of the file.
    pub fn changed(&self) -> impl Iterator<Item = (&Place, &ParamValue, &ParamValue)> {
        let is_changed =
            |(place, value): &(&Arc<Place>, &LiveValue)| value.live != value.file && !place.row.is_momentary;
        self.all().filter(is_changed).map(|(place, value)| (&**place, &value.live, &value.file))
    }

    /// Restores a value that [`Self::changed`] returned: the live value, and that of the file at that time. Where the
    /// file has changed since, the value of the file stays.
    pub fn restore(&mut self, path: &str, live: &ParamValue, file: &ParamValue) {
        let Some(place) = self.addresses.at(path) else { return };
        if let Some(value) = self.values.get_mut(place.at).filter(|value| value.file == *file)
            && let Some(live) = place.clip(live)
        {
            value.live = live;
        }
    }

    /// The live value at a place.
    pub fn get(&self, at: usize) -> Option<&ParamValue> {
        Some(&self.values.get(at)?.live)
    }

    /// Sets the live value at a place; the caller has clipped it.
    pub fn set(&mut self, at: usize, value: ParamValue) {
        if let Some(live) = self.values.get_mut(at) {
            live.live = value;
        }
    }

    /// The place that says whether a node is enabled: not bypassed.
    fn switch(&self, id: &str) -> Option<&Arc<Place>> {
        self.addresses.at(&format!("/{id}/{ENABLED}"))
    }

    /// Whether a node is enabled: not bypassed.
    pub fn enabled(&self, id: &str) -> Option<bool> {
        Some(self.get(self.switch(id)?.at)?.number()? >= 0.5)
    }

    /// Enables or bypasses a node.
    pub fn enable(&mut self, id: &str, on: bool) {
        if let Some(place) = self.switch(id).cloned() {
            self.set(place.at, on.into());
        }
    }
}
