//! A check by a JSON Schema, with the keywords of draft 7 that our schemas use; another one fails the test. What editors
//! say of a file is so known without an editor.

use crate::random::Random;
use regex_lite::Regex;
use serde_json::{Map, Number, Value, json};
use std::cell::RefCell;
use std::collections::HashMap;

/// Keywords that say something to people only.
const NOTES: [&str; 6] = ["$schema", "title", "description", "default", "examples", "deprecated"];

/// Whether `value` is right by `schema`.
pub fn is_right(schema: &Value, value: &Value) -> bool {
    let rules = schema.as_object().expect("a schema is an object");
    rules.iter().all(|(keyword, rule)| keeps(keyword, rule, schema, value))
}

fn keeps(keyword: &str, rule: &Value, schema: &Value, value: &Value) -> bool {
    let all = |rule: &Value| rule.as_array().unwrap().clone();
    let count = |found: Option<usize>, fits: fn(usize, usize) -> bool| {
        found.is_none_or(|found| fits(found, rule.as_u64().unwrap() as usize))
    };
    let object = value.as_object();
    match keyword {
        keyword if NOTES.contains(&keyword) => true,
        "type" if rule.is_array() => all(rule).iter().any(|kind| has_type(kind, value)),
        "type" => has_type(rule, value),
        "enum" => {
            all(rule).iter().any(|one| one == value || (one.is_number() && one.as_f64() == value.as_f64()))
        }
        "anyOf" => all(rule).iter().any(|schema| is_right(schema, value)),
        "allOf" => all(rule).iter().all(|schema| is_right(schema, value)),
        "not" => !is_right(rule, value),
        "minimum" => value.as_f64().is_none_or(|number| number >= rule.as_f64().unwrap()),
        "maximum" => value.as_f64().is_none_or(|number| number <= rule.as_f64().unwrap()),
        "pattern" => value.as_str().is_none_or(|text| matches(rule.as_str().unwrap(), text)),
        "items" => value.as_array().is_none_or(|items| items.iter().all(|item| is_right(rule, item))),
        "minItems" => count(value.as_array().map(Vec::len), |found, least| found >= least),
        "maxItems" => count(value.as_array().map(Vec::len), |found, most| found <= most),
        "minProperties" => count(object.map(Map::len), |found, least| found >= least),
        "maxProperties" => count(object.map(Map::len), |found, most| found <= most),
        "required" => {
            object.is_none_or(|object| all(rule).iter().all(|key| object.contains_key(key.as_str().unwrap())))
        }
        "propertyNames" => object.is_none_or(|object| object.keys().all(|key| is_right(rule, &json!(key)))),
        "properties" => object.is_none_or(|object| {
            let known =
                |(key, value): (&String, &Value)| rule.get(key).is_none_or(|rule| is_right(rule, value));
            object.iter().all(known)
        }),
        "additionalProperties" => object.is_none_or(|object| {
            let mut others = object.iter().filter(|(key, _)| schema["properties"].get(key).is_none());
            others.all(|(_, value)| match rule.as_bool() {
                Some(may) => may,
                None => is_right(rule, value),
            })
        }),
        unknown => panic!("no check knows \"{unknown}\""),
    }
}

fn has_type(kind: &Value, value: &Value) -> bool {
    match kind.as_str().unwrap() {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "string" => value.is_string(),
        "number" => value.is_number(),
        "integer" => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        "array" => value.is_array(),
        "object" => value.is_object(),
        unknown => panic!("no type {unknown}"),
    }
}

fn matches(pattern: &str, text: &str) -> bool {
    thread_local! {
        static READ: RefCell<HashMap<String, Regex>> = RefCell::default();
    }
    READ.with_borrow_mut(|read| {
        let regex = read.entry(pattern.to_owned()).or_insert_with(|| Regex::new(pattern).unwrap());
        regex.is_match(text)
    })
}

/// Some value that is right by `schema`.
pub fn some(schema: &Value, random: &mut Random) -> Value {
    for _ in 0..1_000 {
        let value = attempt(schema, random);
        if is_right(schema, &value) {
            return value;
        }
    }
    panic!("no value is right by {schema:#}");
}

fn attempt(schema: &Value, random: &mut Random) -> Value {
    let mut shown: Vec<&Value> = schema["examples"].as_array().into_iter().flatten().collect();
    shown.extend(schema.get("default"));
    if !shown.is_empty() && random.below(3) == 0 {
        return (*random.pick(&shown)).clone();
    }
    if let Some(choices) = schema["anyOf"].as_array() {
        return attempt(random.pick(choices), random);
    }
    if let Some(words) = schema["enum"].as_array() {
        return random.pick(words).clone();
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => random.pick(kinds).as_str().unwrap(),
        kind => kind.as_str().unwrap(),
    };
    match kind {
        "null" => Value::Null,
        "boolean" => json!(random.below(2) == 1),
        "integer" | "number" => number(schema, kind == "integer", random),
        "string" if shown.is_empty() || schema.get("pattern").is_none() => text(schema, random),
        "string" => (*random.pick(&shown)).clone(),
        "array" => {
            let least = schema["minItems"].as_u64().unwrap_or(0) as usize;
            let most = schema["maxItems"].as_u64().unwrap_or(4).min(4) as usize;
            let count = least + random.below(most + 1 - least);
            (0..count).map(|_| some(&schema["items"], random)).collect()
        }
        "object" => object(schema, random),
        unknown => panic!("no type {unknown}"),
    }
}

fn number(schema: &Value, is_whole: bool, random: &mut Random) -> Value {
    let end = |key: &str, default: f64| schema[key].as_f64().unwrap_or(default);
    let (least, most) = (end("minimum", -1_000.0), end("maximum", 1_000.0));
    let number = match random.below(4) {
        0 => least,
        1 => most,
        _ => least + random.unit() * (most - least),
    };
    if is_whole { json!(number.round() as i64) } else { tidy(number) }
}

/// A number as it is written: a whole one without a fraction.
pub fn tidy(number: f64) -> Value {
    if number.fract() == 0.0 && number.abs() < 1e15 {
        return json!(number as i64);
    }
    Number::from_f64(number).map_or(Value::Null, Value::Number)
}

/// Texts of all the forms that files hold.
const TEXTS: [&str; 22] = [
    "Studio A",
    "x",
    "on",
    "OFF",
    "12",
    "0.5",
    "1e2",
    "null",
    "true",
    "auto",
    "/a/b",
    "00:07",
    "F0 7E 00 F7",
    "::1",
    "10.0.0.0/8",
    "[::1]:9000",
    "studio.lan",
    "system:capture_1",
    "*USB*",
    "-6 dB",
    "é",
    "Real",
];

fn text(schema: &Value, random: &mut Random) -> Value {
    let Some(pattern) = schema["pattern"].as_str() else { return json!(random.pick(&TEXTS)) };
    let right: Vec<_> = TEXTS.iter().filter(|text| matches(pattern, text)).collect();
    // A pattern of other words: its value is taken from what stands beside it.
    right.get(random.below(right.len().max(1))).map_or(Value::Null, |text| json!(text))
}

fn object(schema: &Value, random: &mut Random) -> Value {
    let mut object = Map::new();
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let sparse = 1 + random.below(6);
    for (key, inner) in schema["properties"].as_object().into_iter().flatten() {
        if required.contains(&key.as_str()) || random.below(sparse) == 0 {
            object.insert(key.clone(), some(inner, random));
        }
    }
    if schema["additionalProperties"].is_object() {
        for name in ["programme", "master", "talk-2"] {
            if random.below(2) == 0 {
                object.insert(name.to_owned(), some(&schema["additionalProperties"], random));
            }
        }
    }
    Value::Object(object)
}

/// What a person, or a wrong idea of the format, puts in the place of something.
fn junk(random: &mut Random) -> Value {
    let all = json!([
        null, true, false, 0, 1, -1, 2.5, 200, 1_000_000_000, "", "x", "null", "none", "real", "REAL", "48 kHz", "5 bananas",
        "0.1 s", "/x", "x y", "2.5", "99999 ms", "10.0.0.0/99", "24:00", "1:2:3", "80", [], [1], ["a", "b"], [null], [[]],
        {}, {"a": 1}, {"map": "x"}, {"address": "/x"}
    ]);
    random.pick(all.as_array().unwrap()).clone()
}

/// One small change somewhere in `value`.
pub fn mutate(value: &mut Value, random: &mut Random) {
    let down = random.below(4) > 0;
    match value {
        Value::Object(object) if down && !object.is_empty() => {
            let at = random.below(object.len());
            mutate(object.values_mut().nth(at).unwrap(), random);
        }
        Value::Array(items) if down && !items.is_empty() => {
            let at = random.below(items.len());
            mutate(&mut items[at], random);
        }
        Value::Object(object) if random.below(4) > 0 => {
            let keys: Vec<String> = object.keys().cloned().collect();
            let found = keys.get(random.below(keys.len().max(1))).cloned().unwrap_or_default();
            match random.below(3) {
                0 => drop(object.remove(&found)),
                1 => {
                    let old = object.remove(&found).unwrap_or_default();
                    object.insert(format!("{found}e"), old);
                }
                _ => {
                    let names = [
                        "bogus", "null", "none", "cc", "note", "chain", "scene", "light", "ring", "rate",
                        "name",
                    ];
                    object.insert((*random.pick(&names)).to_owned(), junk(random));
                }
            }
        }
        Value::Number(number) if random.below(2) == 0 => {
            let factor = *random.pick(&[-1.0, 1_000.0, 0.001, 0.5]);
            *value = tidy(number.as_f64().unwrap() * factor);
        }
        value if random.below(4) == 0 => *value = json!([value.clone()]),
        value => *value = junk(random),
    }
}
