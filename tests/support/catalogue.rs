//! The catalogue as chains: every kind in settings of its own tables, so that a new kind is tested by existing.

use crate::daemon::root;
use lacquer_graph::node::{Kind, Ports};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::text::{Form, PROFILE_BANDS, Profile};

/// A node of one kind in some settings.
pub struct Variant {
    pub kind: &'static Kind,
    /// As it is written in a chain file; its id is `n`.
    pub yaml: String,
}

impl Variant {
    pub fn is_source(&self) -> bool {
        matches!(self.kind.ports, Ports::Source(_))
    }

    /// A network that has heard a voice cannot be copied or made new without allocating: it goes on from what it knows.
    pub fn remembers(&self) -> bool {
        self.yaml.contains("mode: \"voice\"")
    }
}

/// Every kind: as it is by default, with its rows at a quarter and at three quarters of their range, once more so
/// for every choice that there is, alone and with those of other rows.
pub fn variants() -> Vec<Variant> {
    CATALOGUE.iter().flat_map(|kind| of(kind)).collect()
}

pub fn of(kind: &'static Kind) -> Vec<Variant> {
    let rows: Vec<&Param> = kind.rows.iter().chain(kind.part_rows()).collect();
    let choices = |row: &&Param| match row.unit {
        Unit::Choice(names) => names.len(),
        _ => 1,
    };
    let most = rows.iter().map(choices).max().unwrap_or(1);
    let mut variants = vec![write(kind, None, &|_| 0)];
    for choice in 0..most {
        variants.push(write(kind, Some(0.25), &|_| choice));
        variants.push(write(kind, Some(0.75), &|_| choice));
    }
    for row in rows.iter().filter(|row| choices(row) > 1) {
        for choice in 1..choices(row) {
            let alone = |other: &Param| if other.name == row.name { choice } else { 0 };
            variants.push(write(kind, Some(0.25), &alone));
            variants.push(write(kind, Some(0.75), &alone));
        }
    }
    if kind.has_key {
        let mut keyed = write(kind, Some(0.25), &|_| 0);
        keyed.yaml = keyed.yaml.replace("id: n", "id: n, key: input");
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

fn write(kind: &'static Kind, norm: Option<f64>, choice: &dyn Fn(&Param) -> usize) -> Variant {
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
    fields.extend(kind.rows.iter().filter_map(|r| row(r, 0.0)));
    // At a quarter a node has none.
    if norm == Some(0.75) {
        fields.extend(kind.texts.iter().map(|text| format!("{}: \"{}\"", text.name, some_text(text.form))));
    }
    if let Some(parts) = kind.parts {
        let part = |index: usize, shift: f64| {
            let has = |r: &&Param| parts.has(index, 2, r);
            let rows: Vec<_> = parts.rows.iter().filter(has).filter_map(|r| row(r, shift)).collect();
            format!("{{{}}}", rows.join(", "))
        };
        fields.push(format!("{}: [{}, {}]", parts.list, part(0, 0.0), part(1, 0.1)));
    }
    Variant { kind, yaml: format!("  - {}: {{{}}}\n", kind.name, fields.join(", ")) }
}
