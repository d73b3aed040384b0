//! The catalogue as chains: every kind in settings of its own tables, so that a new kind is tested by existing.

use crate::daemon::root;
use crate::signal::{Channels, bursts, gain};
use lacquer_graph::node::{NodeType, Ports};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::text::{Form, PROFILE_BANDS, Profile};
use lacquer_graph::param::{Param, Unit};

/// A node of one kind in some settings.
pub struct Variant {
    pub node_type: &'static NodeType,
    /// Where its rows are, and what was chosen: `default`, `25%`, `75%/mode=voice`.
    pub name: String,
    /// As it is written in a chain file; its id is `n`.
    pub yaml: String,
}

impl Variant {
    pub fn is_source(&self) -> bool {
        matches!(self.node_type.ports, Ports::Source(_))
    }

    /// A network that has heard a voice cannot be copied or made new without allocating: it goes on from what it knows.
    pub fn remembers(&self) -> bool {
        self.yaml.contains("mode: \"voice\"")
    }
}

/// Every kind: as it is by default, with its rows at a quarter and at three quarters of their range, once more so
/// for every choice that there is, alone and with those of other rows.
pub fn variants() -> Vec<Variant> {
    CATALOGUE.iter().flat_map(|node_type| of(node_type)).collect()
}

pub fn of(node_type: &'static NodeType) -> Vec<Variant> {
    let rows: Vec<&Param> = node_type.rows.iter().chain(node_type.part_rows()).collect();
    let choices = |row: &&Param| match row.unit {
        Unit::Choice(names) => names.len(),
        _ => 1,
    };
    let most = rows.iter().map(choices).max().unwrap_or(1);
    let mut variants = vec![write(node_type, None, &|_| 0)];
    for choice in 0..most {
        variants.push(write(node_type, Some(0.25), &|_| choice));
        variants.push(write(node_type, Some(0.75), &|_| choice));
    }
    for row in rows.iter().filter(|row| choices(row) > 1) {
        for choice in 1..choices(row) {
            let alone = |other: &Param| if other.name == row.name { choice } else { 0 };
            variants.push(write(node_type, Some(0.25), &alone));
            variants.push(write(node_type, Some(0.75), &alone));
        }
    }
    if node_type.has_key {
        let mut keyed = write(node_type, Some(0.25), &|_| 0);
        keyed.yaml = keyed.yaml.replace("id: n", "id: n, key: input");
        keyed.name += "/keyed";
        variants.push(keyed);
    }
    variants
}

/// A text of each form: an impulse of 400 frames, or the profile of a noise.
pub fn some_text(form: Form) -> String {
    match form {
        Form::Impulse => root().join("tests/golden/impulse.txt").display().to_string(),
        Form::Profile => {
            Profile::text(&(0..PROFILE_BANDS).map(|band| -60.0 - 0.5 * band as f64).collect::<Vec<_>>())
        }
    }
}

fn write(node_type: &'static NodeType, norm: Option<f64>, choice: &dyn Fn(&Param) -> usize) -> Variant {
    let row = |row: &Param, shift: f64| -> Option<String> {
        let value = match row.unit {
            Unit::Choice(names) => (choice(row) % names.len()) as f64,
            // Channels are the tests' own choice, and what is switched off is not tested.
            Unit::Count if row.name == "channels" => return None,
            // Two splits make three bands.
            Unit::Count if row.name == "band" => row.from_norm(norm?)?.min(3.0),
            Unit::Switch => row.default,
            _ => row.from_norm((norm? + shift).fract())?,
        };
        Some(format!("{}: \"{}\"", row.name, row.text(value)))
    };
    let mut fields = vec!["id: n".to_owned()];
    fields.extend(node_type.rows.iter().filter_map(|r| row(r, 0.0)));
    // At a quarter a node has none.
    if norm == Some(0.75) {
        fields.extend(
            node_type.texts.iter().map(|text| format!("{}: \"{}\"", text.name, some_text(text.form))),
        );
    }
    if let Some(parts) = node_type.parts {
        let part = |index: usize, shift: f64| {
            let has = |r: &&Param| parts.has(index, 2, r);
            let rows: Vec<_> = parts.rows.iter().filter(has).filter_map(|r| row(r, shift)).collect();
            format!("{{{}}}", rows.join(", "))
        };
        fields.push(format!("{}: [{}, {}]", parts.list, part(0, 0.0), part(1, 0.1)));
    }
    let mut name = norm.map_or_else(|| "default".to_owned(), |norm| format!("{}%", 100.0 * norm));
    for row in node_type.rows.iter().chain(node_type.part_rows()).filter(|_| norm.is_some()) {
        let Unit::Choice(names) = row.unit else { continue };
        match choice(row) % names.len() {
            0 => {}
            chosen => name += &format!("/{}={}", row.name, names[chosen].replace(' ', "")),
        }
    }
    Variant { node_type, name, yaml: format!("  - {}: {{{}}}\n", node_type.name, fields.join(", ")) }
}

/// A programme that has something for every parameter of these nodes.
pub fn programme(nodes: &str) -> Channels {
    let mut input = bursts(12, 2, 48_000);
    // It falls away at the end: what opens and closes needs levels between loud and silent.
    for samples in &mut input {
        samples[24_000..].iter_mut().enumerate().for_each(|(n, x)| *x *= gain(-80.0 * n as f64 / 24_000.0));
    }
    // A loudness is a matter of seconds: what follows one hears soft ones, loud ones, and then louder ones.
    if nodes.contains("leveler") {
        for samples in &mut input {
            let second = samples.clone();
            let levels = [(0.03, 10), (0.15, 16), (1.0, 12)];
            let levels = levels.into_iter().flat_map(|(level, seconds)| vec![level; seconds]);
            *samples = levels.flat_map(|level| second.iter().map(move |x| x * level)).collect();
        }
    }
    // What is repaired must be there: clicks of 1 to 60 samples, left only; seconds of hum up to 3 kHz; clipped peaks.
    if nodes.contains("declick") {
        let wave = |n: usize| [0.019, 0.151, 0.363].map(|w| 0.1 * (w * n as f64).sin()).iter().sum::<f64>();
        for samples in &mut input {
            samples.iter_mut().enumerate().for_each(|(n, x)| *x = 1e-3 * *x + wave(n));
        }
        for (at, x) in input[0].iter_mut().enumerate().filter(|(at, _)| at % 997 < at / 997 % 60) {
            *x += if at % 3 == 0 { 0.5 } else { -0.4 } / (1 + at / 997) as f64;
        }
    }
    if nodes.contains("dehum") {
        let wave = |n: usize| (1..60).map(|k| (0.006_545 * f64::from(k) * n as f64).sin() / 500.0).sum();
        input = vec![(0..8 * 48_000).map(wave).collect(); 2];
    }
    if nodes.contains("declip") {
        let wave = |n: usize| [0.019, 0.151, 0.363].map(|w| 0.4 * (w * n as f64).sin()).iter().sum::<f64>();
        input = vec![(0..48_000).map(|n| wave(n).clamp(-0.5, 0.5)).collect(); 2];
    }
    // One side lower, so that what links or balances the sides has work to do; hot, so that ceilings have.
    input[1].iter_mut().for_each(|x| *x *= 0.3);
    input
}
