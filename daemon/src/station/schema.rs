//! The JSON Schema of chain and station files, made from the tables: for completion in editors.

use crate::station::{BACKENDS, SECTIONS};
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
            "name": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "description": "The chain's name; else that of its file."},
            "description": {"type": "string", "description": "What the chain is for."},
            "nodes": {"type": "array", "minItems": 1, "description": "The nodes, in the order of the sound.", "items": {"anyOf": [json!({"enum": names}), json!({"anyOf": nodes})]}},
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
    properties.insert("id".to_owned(), json!({"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$", "description": "Its name in addresses; else that of its type."}));
    properties.insert(
        "enabled".to_owned(),
        json!({"type": "boolean", "default": true, "description": "false: in bypass, latency kept."}),
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

/// A row takes a bare number in its own unit, or a text with the unit.
fn row(row: &Param) -> Value {
    let text = format!("{} ({}; default {})", row.help, row.range_text(), row.text(row.default));
    match row.unit {
        Unit::Switch => json!({"type": "boolean", "default": row.default >= 0.5, "description": row.help}),
        Unit::Choice(names) => json!({"enum": names, "description": text}),
        _ => {
            let number = json!({"type": "number", "minimum": row.min, "maximum": row.max});
            json!({"anyOf": [number, {"type": "string"}], "description": text})
        }
    }
}

/// The schema of a station file.
pub fn station() -> Value {
    let section = |name: &str| {
        SECTIONS.iter().find(|(section, _)| *section == name).map_or_else(Map::new, |(_, rows)| table(rows))
    };
    let object = |properties: Map<String, Value>| json!({"type": "object", "additionalProperties": false, "properties": properties});
    let groups = json!({"type": "object", "minProperties": 1, "additionalProperties": {"type": "integer", "minimum": 1, "maximum": 8}});
    let mut audio = section("audio");
    audio.insert(
        "backend".to_owned(),
        json!({"enum": BACKENDS, "description": "Where audio comes from and goes to."}),
    );
    audio.insert("inputs".to_owned(), groups.clone());
    audio.insert("outputs".to_owned(), groups);
    audio.insert("null".to_owned(), object(section("audio.null")));
    let mut cpal = section("audio.cpal");
    cpal.extend(crate::station::cpal::KEYS.map(|(key, help)| {
        let channels = json!({"type": "array", "items": {"type": "integer", "minimum": 1, "maximum": crate::station::cpal::MOST_CHANNELS}});
        let value = match key {
            "channels" => json!({"type": "object", "additionalProperties": channels, "description": help}),
            _ => json!({"type": "string", "description": help}),
        };
        (key.to_owned(), value)
    }));
    audio.insert("cpal".to_owned(), object(cpal));
    audio.insert("realtime".to_owned(), object(realtime(section("audio.realtime"))));
    audio.insert("jack".to_owned(), json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "client": {"type": "string", "description": "The name of the JACK client."},
            "library": {"type": "string", "default": "system", "description": "The JACK library: system, pipewire, or the full path of a file."},
            "connect": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}},
                        "description": "For each group the ports that its channels are connected to."},
        },
    }));
    let mut audio = object(audio);
    audio["required"] = json!(["backend"]);
    json!({
        "$schema": DRAFT,
        "title": "Lacquer station",
        "type": "object",
        "required": ["audio", "chains"],
        "additionalProperties": false,
        "properties": {
            "name": {"type": "string"},
            "audio": audio,
            "chains": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "Chain files, relative to this file."},
            "start": {"type": "string", "description": "The chain to start with; else the first."},
            "swap": object(section("swap")),
            "watch": {"type": "boolean", "description": "Whether a change of a chain file on disk is taken over."},
            "cues": {"type": "string", "description": "The file of the cue list, relative to this file."},
            "overload": {
                "type": "object",
                "additionalProperties": false,
                "description": "What is left out while the machine is too slow.",
                "properties": {
                    "bypass": {"type": "array", "items": {"type": "string"}, "description": "Ids of nodes that go into bypass, first first."},
                    "chain": {"type": "string", "description": "The chain to swap to where that is not enough."},
                },
            },
            "control": control(section("control.osc")),
        },
    })
}

fn realtime(mut rows: Map<String, Value>) -> Map<String, Value> {
    let cpu = row(&crate::station::realtime::CPU);
    rows.insert("cpus".to_owned(), json!({"type": "array", "items": cpu, "description": "The processors that the audio thread is kept to; else all."}));
    rows
}

fn control(mut osc: Map<String, Value>) -> Value {
    let listen = |port: u16| json!({"type": "string", "description": format!("Address and port; else 127.0.0.1:{port}.")});
    let list = |text: &str| json!({"type": "array", "items": {"type": "string"}, "description": text});
    osc.insert("allow".to_owned(), list("Networks that are let in, as in 192.168.1.0/24; else all."));
    osc.insert("read_only".to_owned(), list("Networks whose clients may only look."));
    // The web port has the same rules.
    let mut web: Map<String, Value> = osc.clone();
    web.retain(|key, _| ["rate", "allow", "read_only"].contains(&key.as_str()));
    web.insert("listen".to_owned(), listen(8600));
    web.insert("names".to_owned(), list("Names and addresses by which the station is reached, as in studio.lan, beside those of this machine: a proxy's, a forwarded port's."));
    osc.insert("listen".to_owned(), listen(9000));
    let object = |properties: Map<String, Value>| json!({"type": ["object", "null"], "additionalProperties": false, "properties": properties});
    let midi = [
        ("via".to_owned(), row(&crate::station::control::VIA)),
        ("map".to_owned(), json!({"type": "string", "description": "Its map, relative to this file."})),
        (
            "device".to_owned(),
            json!({"type": "string", "description": "The pattern of its port's name; else the map's."}),
        ),
    ];
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "osc": object(osc),
            "web": object(web),
            "announce": {"type": "boolean", "description": "Whether it is announced by mDNS; else where others than this machine can reach it."},
            "midi": {"type": "array", "items": {"anyOf": [{"type": "string"}, object(midi.into_iter().collect())]}, "description": "MIDI controllers, by their maps."},
        },
    })
}
