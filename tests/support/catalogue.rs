//! The catalogue as chains: every type in settings of its own tables, so that a new type is tested by existing.

use crate::daemon::root;
use crate::rig::{Nodes, RATE, chain, read_data};
use crate::signal::{Channels, bursts, gain};
use lacquer_control::desk::chains::ChainFile;
use lacquer_graph::Spec;
use lacquer_graph::file::error::At;
use lacquer_graph::file::spec::{FeedSpec, NodeSpec, TextSpec};
use lacquer_graph::node::{Damage, NodeType, Ports, RowValues, Setup};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::text::{Form, PROFILE_BANDS, Profile};
use lacquer_graph::param::{Param, Unit};
use std::fmt;

/// A node of one type in some settings; its id is `n`. It prints as in a chain file.
#[derive(Clone)]
pub struct Variant {
    pub node_type: &'static NodeType,
    /// Where its rows are, and what was chosen: `default`, `25%`, `75%/mode=voice`.
    pub name: String,
    /// The node, as if it had been read.
    pub node: NodeSpec,
}

/// Every type: as it is by default, with its rows at a quarter and at three quarters of their range, once more so
/// for every choice that there is, alone and with those of other rows.
pub fn variants() -> Vec<Variant> {
    CATALOGUE.iter().flat_map(|node_type| of(node_type)).collect()
}

/// Those of one type; none is there twice.
pub fn of(node_type: &'static NodeType) -> Vec<Variant> {
    let rows: Vec<&Param> = node_type.rows.iter().chain(node_type.part_rows()).collect();
    let choices = |row: &&Param| match row.unit {
        Unit::Choice(names) => names.len(),
        _ => 1,
    };
    let most = rows.iter().map(choices).max().unwrap_or(1);
    let mut variants = vec![make(node_type, None, &|_| 0)];
    for choice in 0..most {
        variants.push(make(node_type, Some(0.25), &|_| choice));
        variants.push(make(node_type, Some(0.75), &|_| choice));
    }
    for row in rows.iter().filter(|row| choices(row) > 1) {
        for choice in 1..choices(row) {
            let alone = |other: &Param| if other.name == row.name { choice } else { 0 };
            variants.push(make(node_type, Some(0.25), &alone));
            variants.push(make(node_type, Some(0.75), &alone));
        }
    }
    if node_type.has_key {
        let mut keyed = make(node_type, Some(0.25), &|_| 0);
        let from = "input".to_owned();
        keyed.node.key = Some(vec![FeedSpec { from, gain_db: 0.0, at: At::default() }]);
        keyed.name += "/keyed";
        variants.push(keyed);
    }
    let mut different: Vec<Variant> = Vec::new();
    for variant in variants {
        if different.iter().all(|other| !other.is_same(&variant)) {
            different.push(variant);
        }
    }
    different
}

/// A text of each form: an impulse of 400 frames, or the profile of a noise.
pub fn some_text(form: Form) -> String {
    match form {
        Form::Impulse => impulse("impulse.txt"),
        Form::Profile => {
            Profile::text(&(0..PROFILE_BANDS).map(|band| -60.0 - 0.5 * band as f64).collect::<Vec<_>>())
        }
    }
}

fn impulse(file: &str) -> String {
    root().join("tests/golden").join(file).display().to_string()
}

fn make(node_type: &'static NodeType, norm: Option<f64>, choice: &dyn Fn(&Param) -> usize) -> Variant {
    let count = if node_type.parts.is_some() { 2 } else { 0 };
    let value = |row: &Param, shift: f64| -> Option<f64> {
        let value = match row.unit {
            Unit::Choice(names) => (choice(row) % names.len()) as f64,
            // Channels are the tests' own choice, and what is switched off is not tested.
            Unit::Count if node_type.channels_row() == Some(row) => return None,
            Unit::Count if node_type.parts.is_some_and(|parts| parts.picked_by == Some(row.name)) => {
                row.from_norm(norm?)?.min((count + 1) as f64)
            }
            Unit::Switch => row.default,
            _ => row.from_norm((norm? + shift).fract())?,
        };
        // As a file has it: rounded.
        row.parse(&row.text(value)).ok()
    };
    let mut node = NodeSpec {
        node_type: Some(node_type),
        type_name: node_type.name.to_owned(),
        id: "n".to_owned(),
        at: At::default(),
        enabled: true,
        feeds: None,
        key: None,
        values: node_type.defaults(count),
        written: vec![false; node_type.row_count(count)],
        parts: count,
        // At a quarter a node has none.
        texts: node_type
            .texts
            .iter()
            .map(|text| if norm == Some(0.75) { some_text(text.form) } else { String::new() })
            .map(|text| TextSpec { text, at: At::default() })
            .collect(),
    };
    for (at, row, part) in rows(node_type, count) {
        // The second part is not quite as the first.
        if let Some(value) = value(row, if part == Some(1) { 0.1 } else { 0.0 }) {
            (node.values[at], node.written[at]) = (value, true);
        }
    }
    let mut name = norm.map_or_else(|| "default".to_owned(), |norm| format!("{}%", 100.0 * norm));
    for row in node_type.rows.iter().chain(node_type.part_rows()).filter(|_| norm.is_some()) {
        let Unit::Choice(names) = row.unit else { continue };
        match choice(row) % names.len() {
            0 => {}
            chosen => name += &format!("/{}={}", row.name, names[chosen].replace(' ', "")),
        }
    }
    Variant { node_type, name, node }
}

/// The rows that a node of `count` parts has: where its value is, the row, and of which part it is.
fn rows(
    node_type: &'static NodeType,
    count: usize,
) -> impl Iterator<Item = (usize, &'static Param, Option<usize>)> {
    let base = node_type.rows.iter().enumerate().map(|(at, row)| (at, row, None));
    let parts = (0..count).flat_map(move |part| {
        let start = node_type.rows.len() + part * node_type.part_rows().len();
        let has = move |row: &&Param| node_type.parts.is_some_and(|parts| parts.has(part, count, row));
        node_type.part_rows().iter().filter(has).map(move |row| (start + row.slot, row, Some(part)))
    });
    base.chain(parts)
}

impl Variant {
    /// One in which nothing is written.
    pub fn plain(node_type: &'static NodeType) -> Self {
        let mut plain = make(node_type, None, &|_| 0);
        let count = node_type.parts.map_or(0, |parts| parts.least);
        plain.node.parts = count;
        plain.node.values = node_type.defaults(count);
        plain.node.written = vec![false; node_type.row_count(count)];
        plain
    }

    /// The same with other values: base rows, and those of all parts.
    pub fn with(&self, values: RowValues) -> Self {
        let mut changed = self.clone();
        for (row, value) in values {
            let is_named = |(_, other, _): &(usize, &Param, Option<usize>)| *other == row;
            for (at, ..) in rows(self.node_type, self.node.parts).filter(is_named) {
                (changed.node.values[at], changed.node.written[at]) = (*value, true);
            }
        }
        changed
    }

    /// The same, bypassed.
    pub fn bypassed(&self) -> Self {
        Self { node: NodeSpec { enabled: false, ..self.node.clone() }, ..self.clone() }
    }

    /// The same where every channel is treated alike; `None` where none such is.
    pub fn per_channel(&self) -> Option<Self> {
        let mut alike = self.with(self.node_type.per_channel?);
        for (text, row) in alike.node.texts.iter_mut().zip(self.node_type.texts) {
            // An impulse of two channels is another on each.
            if row.form == Form::Impulse && !text.text.is_empty() {
                text.text = impulse("impulse-mono.txt");
            }
        }
        Some(alike)
    }

    pub fn is_source(&self) -> bool {
        matches!(self.node_type.ports, Ports::Source(_))
    }

    /// A chain of this node alone.
    pub fn spec(&self) -> Spec {
        Spec { nodes: vec![self.node.clone()], ..Spec::default() }
    }

    /// What its type says of it, in stereo at the laws' rate.
    pub fn fact<T>(&self, fact: fn(&Setup<'_>) -> T) -> T {
        let data = read_data(&self.spec());
        fact(&Setup::new(self.node_type, RATE, 2, 2, &self.node.values, &data))
    }

    /// Frames after which nothing of an earlier signal is left of it.
    pub fn settles_in(&self) -> usize {
        (self.fact(self.node_type.settles_in) * RATE).ceil() as usize
    }

    /// Whether what it has learned stays.
    pub fn has_memory(&self) -> bool {
        self.fact(self.node_type.has_memory)
    }

    /// A programme that has something for every parameter of it.
    pub fn programme(&self) -> Channels {
        let learns_in = self.fact(self.node_type.learns_in);
        let mut input = bursts(12, 2, 48_000);
        // It falls away at the end: what opens and closes needs levels between loud and silent.
        for samples in &mut input {
            let end = samples[24_000..].iter_mut().enumerate();
            end.for_each(|(n, x)| *x *= gain(-80.0 * n as f64 / 24_000.0));
        }
        let tones = |level: f64, n: usize| {
            [0.019, 0.151, 0.363].map(|w| level * (w * n as f64).sin()).iter().sum::<f64>()
        };
        // What is repaired must be there.
        match self.node_type.repairs {
            // Of 1 to 60 samples, left only.
            Some(Damage::Clicks) => {
                for samples in &mut input {
                    samples.iter_mut().enumerate().for_each(|(n, x)| *x = 1e-3 * *x + tones(0.1, n));
                }
                for (at, x) in input[0].iter_mut().enumerate().filter(|(at, _)| at % 997 < at / 997 % 60) {
                    *x += if at % 3 == 0 { 0.5 } else { -0.4 } / (1 + at / 997) as f64;
                }
            }
            // Up to 3 kHz.
            Some(Damage::Hum) => {
                let wave =
                    |n: usize| (1..60).map(|k| (0.006_545 * f64::from(k) * n as f64).sin() / 500.0).sum();
                input = vec![(0..(learns_in * RATE) as usize).map(wave).collect(); 2];
            }
            Some(Damage::Clipping) => {
                input = vec![(0..48_000).map(|n| tones(0.4, n).clamp(-0.5, 0.5)).collect(); 2];
            }
            // What learns for seconds from any programme gets soft ones, loud ones, and then louder ones.
            None if learns_in >= 1.0 => {
                for samples in &mut input {
                    let second = samples.clone();
                    let levels = [(0.03, 10), (0.15, 16), (1.0, 12)];
                    let levels = levels.into_iter().flat_map(|(level, seconds)| vec![level; seconds]);
                    *samples = levels.flat_map(|level| second.iter().map(move |x| x * level)).collect();
                }
            }
            None => {}
        }
        // One side lower, so that what links or balances the sides has work to do; hot, so that ceilings have.
        input[1].iter_mut().for_each(|x| *x *= 0.3);
        input
    }

    fn is_same(&self, other: &Self) -> bool {
        let of = |node: &NodeSpec| (node.values.clone(), node.texts.clone(), node.key.clone());
        of(&self.node) == of(&other.node)
    }
}

impl Nodes for Variant {
    fn chain(&self, name: &str) -> ChainFile {
        chain(name, self.spec())
    }
}

impl fmt::Display for Variant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node_type, node, .. } = self;
        let mut fields = vec![format!("id: {}", node.id)];
        fields.extend((!node.enabled).then(|| "enabled: false".to_owned()));
        fields.extend(node.key.iter().flatten().map(|feed| format!("key: {}", feed.from)));
        let of = |wanted: Option<usize>| -> Vec<String> {
            rows(node_type, node.parts)
                .filter(|(at, _, part)| *part == wanted && node.written[*at])
                .map(|(at, row, _)| format!("{}: \"{}\"", row.name, row.text(node.values[at])))
                .collect()
        };
        fields.extend(of(None));
        let texts = node_type.texts.iter().zip(&node.texts).filter(|(_, text)| !text.text.is_empty());
        fields.extend(texts.map(|(row, text)| format!("{}: \"{}\"", row.name, text.text)));
        if let Some(parts) = node_type.parts {
            let list = (0..node.parts).map(|part| format!("{{{}}}", of(Some(part)).join(", ")));
            fields.push(format!("{}: [{}]", parts.list, list.collect::<Vec<_>>().join(", ")));
        }
        write!(f, "  - {}: {{{}}}", node_type.name, fields.join(", "))
    }
}
