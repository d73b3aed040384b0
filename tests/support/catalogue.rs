//! The catalogue as chains: every kind in settings of its own tables, so that a new kind is tested by existing.

use lacquer_graph::node::{Kind, Ports};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::{Param, Unit};

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
}

/// Every kind: as it is by default, with its rows at a quarter and at three quarters of their range, and
/// once for every choice that there is.
pub fn variants() -> Vec<Variant> {
    CATALOGUE.iter().flat_map(|kind| of(kind)).collect()
}

pub fn of(kind: &'static Kind) -> Vec<Variant> {
    let choices = kind.rows.iter().chain(kind.part_rows()).map(|row| match row.unit {
        Unit::Choice(names) => names.len(),
        _ => 1,
    });
    let most = choices.max().unwrap_or(1);
    let mut variants = vec![write(kind, None, 0)];
    for choice in 0..most {
        variants.push(write(kind, Some(0.25), choice));
        variants.push(write(kind, Some(0.75), choice));
    }
    if kind.has_key {
        let mut keyed = write(kind, Some(0.25), 0);
        keyed.yaml = keyed.yaml.replace("id: n", "id: n, key: input");
        variants.push(keyed);
    }
    variants
}

fn write(kind: &'static Kind, norm: Option<f64>, choice: usize) -> Variant {
    let row = |row: &Param, shift: f64| -> Option<String> {
        let value = match row.unit {
            Unit::Choice(names) => (choice % names.len()) as f64,
            // Channels are the tests' own choice, and what is switched off is not tested.
            Unit::Count if row.name == "channels" => return None,
            Unit::Switch => row.default,
            _ => row.from_norm((norm? + shift).fract())?,
        };
        Some(format!("{}: \"{}\"", row.name, row.text(value)))
    };
    let mut fields = vec!["id: n".to_owned()];
    fields.extend(kind.rows.iter().filter_map(|r| row(r, 0.0)));
    if let Some(parts) = kind.parts {
        let part = |shift: f64| {
            let rows: Vec<_> = parts.rows.iter().filter_map(|r| row(r, shift)).collect();
            format!("{{{}}}", rows.join(", "))
        };
        fields.push(format!("{}: [{}, {}]", parts.list, part(0.0), part(0.1)));
    }
    Variant { kind, yaml: format!("  - {}: {{{}}}\n", kind.name, fields.join(", ")) }
}
