//! `lacquer nodes`: the node types and their parameters.

use super::{Outcome, complain, print};
use lacquer_graph::node::{NodeType, Ports};
use lacquer_graph::nodes::{CATALOGUE, node_type};
use lacquer_graph::param::hint::Hint;
use lacquer_graph::param::text::Text;
use lacquer_graph::param::{Param, Taper, Unit};
use serde_json::{Value, json};

pub(super) fn run(node: Option<&str>, as_json: bool) -> Outcome {
    let node_types: Vec<&NodeType> = match node.map(|name| (name, node_type(name))) {
        None => CATALOGUE.to_vec(),
        Some((_, Some(node_type))) => vec![node_type],
        Some((name, None)) => {
            let names: Vec<_> = CATALOGUE.iter().map(|node_type| node_type.name).collect();
            let hint = Hint::nearest(name, names.iter().copied());
            let text = format!("no node type \"{name}\"{hint}; there are {}", names.join(", "));
            return complain(&text, Outcome::Wrong);
        }
    };
    if as_json {
        return print(&format!(
            "{:#}",
            Value::from(node_types.iter().map(|node_type| describe(node_type)).collect::<Vec<_>>())
        ));
    }
    if node.is_none() {
        let line = |node_type: &&NodeType| format!("{:<12}{}", node_type.name, node_type.help);
        let list: Vec<_> = node_types.iter().map(line).collect();
        return print(&format!("{}\n\nlacquer nodes TYPE shows the parameters of one.", list.join("\n")));
    }
    print(&node_types.iter().map(|node_type| page(node_type)).collect::<Vec<_>>().join("\n\n"))
}

fn ports(node_type: &NodeType) -> &'static str {
    match node_type.ports {
        Ports::Through => "1 to 8 channels, the same number out",
        Ports::Stereo => "2 channels",
        Ports::Source(_) => "generates a signal; \"channels\" sets the number of channels",
        Ports::Remix(_) => "1 to 8 channels in; \"channels\" sets the number out",
    }
}

/// The page of one node type, as text.
pub(super) fn page(node_type: &NodeType) -> String {
    let mut text = format!("{}: {}\n{}", node_type.name, node_type.help, ports(node_type));
    if node_type.has_key {
        text += "; has a side-chain input, \"key\"";
    }
    text += &rows(node_type.rows, "");
    for row in node_type.texts {
        text += &format!("\n  {:<20}{}", row.name, row.form.allowed());
        text += &format!("\n  {:<20}{}{REBUILDS}", "", row.help);
    }
    if let Some(parts) = node_type.parts {
        let count = if parts.least > 0 {
            format!("{} to {}", parts.least, parts.most)
        } else {
            format!("up to {}", parts.most)
        };
        text += &format!("\n\n\"{}\": {count}, each with", parts.list);
        if let Some(row) = parts.last_lacks {
            text += &format!(" (the last has no {row})");
        }
        text += &rows(parts.rows, &format!("{}/N/", parts.name));
    }
    for (at, reading) in node_type.readings.iter().enumerate() {
        text += if at == 0 { "\n\n" } else { "\n" };
        text += &format!("reports {} ({}): {}", reading.name, reading.unit.symbol(), reading.help);
    }
    text
}

fn rows(rows: &[Param], prefix: &str) -> String {
    let mut text = String::new();
    for row in rows {
        let name = format!("{prefix}{}", row.name);
        // A default that does not fit on the line goes below it.
        let range = row.range_text();
        let gap = if range.len() < 34 { String::new() } else { format!("\n  {:<54}", "") };
        text += &format!("\n  {name:<20}{range:<34}{gap}{}", row.text(row.default));
        text += &format!("\n  {:<20}{}", "", row.help);
        if row.is_setting {
            text += REBUILDS;
        }
        if let Some(best) = row.best {
            text += &format!(" Files at best quality: {}.", row.text(best));
        }
    }
    text
}

const REBUILDS: &str = " A change rebuilds the chain and swaps it in.";

/// A node type as JSON.
fn describe(node_type: &NodeType) -> Value {
    let readings: Vec<_> = node_type
        .readings
        .iter()
        .map(|reading| {
            json!({
                "name": reading.name,
                "unit": reading.unit.symbol(),
                "decimals": reading.decimals,
                "help": reading.help,
            })
        })
        .collect();
    let text = |text: &Text| json!({"name": text.name, "takes": text.form.allowed(), "help": text.help});
    let texts: Vec<_> = node_type.texts.iter().map(text).collect();
    let parts = node_type.parts.map(|parts| {
        json!({"name": parts.name, "list": parts.list, "most": parts.most, "parameters": table(parts.rows)})
    });
    json!({
        "type": node_type.name,
        "help": node_type.help,
        "channels": ports(node_type),
        "key": node_type.has_key,
        "parameters": table(node_type.rows),
        "parts": parts,
        "texts": texts,
        "readings": readings,
    })
}

fn table(rows: &[Param]) -> Vec<Value> {
    let row = |row: &Param| {
        let choices = match row.unit {
            Unit::Choice(names) => Some(names),
            _ => None,
        };
        json!({
            "name": row.name,
            "unit": row.unit.symbol(),
            "min": row.min,
            "max": row.max,
            "default": row.default,
            "default_text": row.text(row.default),
            "bottom": row.bottom,
            "top": row.top,
            "choices": choices,
            "taper": if row.taper == Taper::Log { "log" } else { "linear" },
            "setting": row.is_setting,
            "best": row.best,
            "help": row.help,
        })
    };
    rows.iter().map(row).collect()
}
