//! The JSON Schemas of chains, stations, MIDI maps and cue lists for editors, made from their tables.

use lacquer_graph::file::table::{Holds, Key, Section, Text};
use lacquer_graph::node::{NodeType, Ports};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::{Param, Unit};
use serde_json::{Map, Value, json};

const DRAFT: &str = "http://json-schema.org/draft-07/schema#";

/// The schema of a chain file.
pub fn chain() -> Value {
    let nodes: Vec<Value> = CATALOGUE
        .iter()
        .map(|node_type| json!({"type": "object", "additionalProperties": false, "required": [node_type.name], "maxProperties": 1, "properties": {node_type.name: node(node_type)}}))
        .collect();
    let names: Vec<&str> = CATALOGUE.iter().map(|node_type| node_type.name).collect();
    json!({
        "$schema": DRAFT,
        "title": "Lacquer chain",
        "type": "object",
        "required": ["nodes"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string", "pattern": Text::NAME.pattern, "description": "The name of the chain; default: the file name."},
            "description": {"type": "string", "description": "What the chain is for."},
            "nodes": {"type": "array", "minItems": 1, "description": "The nodes, in the order of the signal.", "items": {"anyOf": [json!({"enum": names}), json!({"anyOf": nodes})]}},
            "outputs": {"type": "object", "description": "What feeds which output group; the first is fed by the last node.", "additionalProperties": feeds()},
        },
    })
}

fn feeds() -> Value {
    let gain = Param { help: "Gain of this source.", ..lacquer_graph::file::spec::FEED_GAIN };
    let one = json!({"anyOf": [
        {"type": "string"},
        {"type": "object", "required": ["from"], "additionalProperties": false,
         "properties": {"from": {"type": "string"}, "gain": row(&gain)}},
    ]});
    json!({"anyOf": [one, {"type": "array", "minItems": 1, "items": one}]})
}

fn node(node_type: &NodeType) -> Value {
    let mut properties = table(node_type.rows);
    properties.insert("id".to_owned(), json!({"type": "string", "pattern": Text::NAME.pattern, "description": "The name in addresses; default: the node type."}));
    properties.insert(
        "enabled".to_owned(),
        json!({"type": "boolean", "default": true, "description": "false: bypassed, latency kept."}),
    );
    if !matches!(node_type.ports, Ports::Source(_)) {
        properties.insert("in".to_owned(), feeds());
    }
    if node_type.has_key {
        properties.insert("key".to_owned(), feeds());
    }
    for text in node_type.texts {
        let help = format!("{} ({})", text.help, text.form.allowed());
        properties.insert(text.name.to_owned(), json!({"type": "string", "description": help}));
    }
    if let Some(parts) = node_type.parts {
        let part = json!({"type": "object", "additionalProperties": false, "properties": table(parts.rows)});
        properties.insert(
            parts.list.to_owned(),
            json!({"type": "array", "minItems": parts.least, "maxItems": parts.most, "items": part}),
        );
    }
    json!({"type": ["object", "null"], "description": node_type.help, "additionalProperties": false, "properties": properties})
}

fn table(rows: &[Param]) -> Map<String, Value> {
    rows.iter().map(|param| (param.name.to_owned(), row(param))).collect()
}

/// A row accepts a number in its own unit, or a text with a unit.
fn row(row: &Param) -> Value {
    let mut schema = row_of(row);
    schema["default"] = match row.unit {
        Unit::Switch => json!(row.default >= 0.5),
        _ => json!(row.text(row.default)),
    };
    schema["description"] = match row.unit {
        Unit::Switch => json!(row.help),
        _ => json!(format!("{} ({}; default {})", row.help, row.range_text(), row.text(row.default))),
    };
    schema
}

/// The values that a row accepts, without its default and help.
fn row_of(row: &Param) -> Value {
    let text = json!({"type": "string", "pattern": row.pattern()});
    match row.unit {
        Unit::Switch => json!({"anyOf": [{"type": "boolean"}, {"enum": [0, 1]}, text]}),
        Unit::Choice(names) => json!({"anyOf": [{"enum": names}, text]}),
        _ => {
            let kind = if row.is_whole() { "integer" } else { "number" };
            json!({"anyOf": [{"type": kind, "minimum": row.min, "maximum": row.max}, text]})
        }
    }
}

/// The schema of a station file.
pub fn station() -> Value {
    file("Lacquer station", &crate::station::SECTION)
}

/// The schema of a MIDI map.
pub fn map() -> Value {
    file("Lacquer MIDI map", &lacquer_control::surface::midi::table::SECTION)
}

/// The schema of a cue list.
pub fn cues() -> Value {
    file("Lacquer cue list", &crate::station::cues::SECTION)
}

fn file(title: &str, table: &Section) -> Value {
    let mut schema = section(table);
    // An empty file is a mistake, even if all keys are optional.
    schema["type"] = json!("object");
    (schema["$schema"], schema["title"]) = (json!(DRAFT), json!(title));
    schema
}

fn section(section: &Section) -> Value {
    let mut properties = Map::new();
    let mut rules = Vec::new();
    for key in section.keys {
        properties.insert(key.name.to_owned(), self::key(key));
        if let Some(other) = key.other {
            let mut schema = self::key(key);
            // Editors do not suggest a deprecated key.
            schema["deprecated"] = json!(true);
            properties.insert(other.to_owned(), schema);
            rules.push(json!({"not": {"required": [key.name, other]}}));
        }
    }
    for rule in section.rules {
        let keys = || rule.keys.iter();
        if rule.least > 0 {
            rules.push(json!({"anyOf": keys().map(|key| json!({"required": [key]})).collect::<Vec<_>>()}));
        }
        if rule.most == 1 {
            let pairs = keys().enumerate().flat_map(|(at, a)| keys().skip(at + 1).map(move |b| (a, b)));
            rules.extend(pairs.map(|(a, b)| json!({"not": {"required": [a, b]}})));
        }
    }
    let kind = if section.may_be_empty() { json!(["object", "null"]) } else { json!("object") };
    let mut schema = json!({"type": kind, "additionalProperties": false, "properties": properties});
    let needed: Vec<_> = section.keys.iter().filter(|key| key.is_needed).map(|key| key.name).collect();
    if !needed.is_empty() {
        schema["required"] = json!(needed);
    }
    if !rules.is_empty() {
        schema["allOf"] = json!(rules);
    }
    schema
}

fn key(key: &Key) -> Value {
    let mut schema = match &key.holds {
        Holds::Row(row) if key.has_default => return self::row(row),
        other => holds(other),
    };
    schema["description"] = match &key.holds {
        Holds::Row(row) if row.unit != Unit::Switch => json!(format!("{} ({})", key.help, row.range_text())),
        _ => json!(key.help),
    };
    schema
}

fn holds(holds: &Holds) -> Value {
    match holds {
        Holds::Row(row) => row_of(row),
        Holds::Text(text) => self::text(text),
        Holds::Section(section) => self::section(section),
        Holds::Any(choices, _) => json!({"anyOf": choices.iter().map(self::holds).collect::<Vec<_>>()}),
        Holds::List(list) => {
            let mut items = json!({"type": "array", "items": self::holds(list.of)});
            if list.least > 0 {
                items["minItems"] = json!(list.least);
            }
            if list.most < usize::MAX {
                items["maxItems"] = json!(list.most);
            }
            let mut choices = vec![items];
            // A single item may be written without brackets.
            choices.extend((list.least <= 1).then(|| self::holds(list.of)));
            choices.extend((list.least == 0).then(|| json!({"type": "null"})));
            if choices.len() == 1 { choices.remove(0) } else { json!({"anyOf": choices}) }
        }
        Holds::Named(named) => {
            let kind = if named.least == 0 { json!(["object", "null"]) } else { json!("object") };
            let mut schema = json!({"type": kind, "additionalProperties": self::holds(named.of)});
            if named.least > 0 {
                schema["minProperties"] = json!(named.least);
            }
            if named.names.is_some() {
                schema["propertyNames"] = json!({"pattern": Text::NAME.pattern});
            }
            schema
        }
    }
}

/// In YAML some texts are numbers or booleans, such as the name `2024`; the schema accepts these too.
fn text(text: &Text) -> Value {
    let mut kinds = vec!["string"];
    for (kind, samples) in
        [("boolean", ["true", "false"]), ("number", ["2.5", "0.5"]), ("integer", ["5", "90"])]
    {
        let is_more = kind != "integer" || !kinds.contains(&"number");
        kinds.extend((is_more && samples.iter().any(|sample| (text.fits)(sample))).then_some(kind));
    }
    let mut schema = json!({"type": kinds});
    if !text.pattern.is_empty() {
        schema["pattern"] = json!(text.pattern);
    }
    if !text.example.is_empty() {
        schema["examples"] = json!([text.example]);
    }
    if text.words.is_empty() {
        return schema;
    }
    let mut words: Vec<Value> = text.words.iter().map(|word| json!(word)).collect();
    words.extend(text.words.contains(&"null").then_some(Value::Null));
    let words = json!({"enum": words});
    if text.is_closed() { words } else { json!({"anyOf": [words, schema]}) }
}
