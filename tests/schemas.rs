//! What editors say of a file by its JSON Schema is what `lacquer check` says of it: both come from one table.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::station::{Backend, Station, cues, schema};
use lacquer_control::surface::midi::map::Map;
use lacquer_graph::file::error::{Mistake, Problem};
use lacquer_graph::param::ValueError;
use lacquer_tests::daemon::root;
use lacquer_tests::json_schema::{is_right, mutate, some};
use lacquer_tests::random::Random;
use serde_json::{Value, json};
use std::fs;

const SEED: u64 = 20_261_130;
const FILES: usize = 300;

fn mistakes(kind: &str, text: &str) -> Vec<Mistake> {
    match kind {
        "station" => Station::parse(text.as_bytes()).1,
        "map" => Map::parse(text.as_bytes()).1,
        _ => cues::parse(text.as_bytes()).1,
    }
}

fn kinds() -> [(&'static str, Value); 3] {
    [("station", schema::station()), ("map", schema::map()), ("cues", schema::cues())]
}

/// Both ways to write a file: as JSON, which is YAML too, or in lines.
fn written(value: &Value, random: &mut Random) -> String {
    if random.below(2) == 0 { value.to_string() } else { serde_yaml::to_string(value).unwrap() }
}

/// Whether a mistake is one that no JSON Schema can tell.
fn is_beyond(mistake: &Mistake) -> bool {
    match &*mistake.problem {
        // A pattern does not know how many Hz there are in `900 kHz`.
        Problem::Value { error: ValueError::OutOfRange { .. }, .. } => true,
        // Nor all of the forms of an address.
        Problem::Text { key, .. } => {
            ["listen", "allow", "read_only", "names", "init"].contains(&key.as_str())
        }
        // What one key says of another's value.
        Problem::UnknownKey { owner, .. } => ["connect", "channels"].contains(&owner.as_str()),
        Problem::Other(text) => {
            let begins = ["connect: ", "channels: ", "another cue is named"]
                .iter()
                .any(|begin| text.starts_with(begin));
            begins
                || text.contains("channels in total")
                || text == "a control needs what it sends: cc, cc14, nrpn, bend, note or program"
        }
        _ => false,
    }
}

/// Makes a file that is right by its schema right in what the schema cannot know: groups and names that others name.
fn settle(value: &mut Value) {
    let mut groups = Vec::new();
    for (path, default) in [("/audio/inputs", "programme"), ("/audio/outputs", "master")] {
        let Some(found) = object(value, path) else {
            groups.push((default.to_owned(), 2));
            continue;
        };
        for (name, channels) in found {
            let count = channels.as_u64().unwrap_or(2);
            *channels = json!(count);
            groups.push((name.clone(), count as usize));
        }
    }
    let count = |name: &str| groups.iter().find(|(group, _)| group == name).map(|(_, count)| *count);
    if let Some(connect) = object(value, "/audio/jack/connect") {
        connect.retain(|name, ports| count(name) >= ports.as_array().map(Vec::len).or(Some(1)));
    }
    if let Some(channels) = object(value, "/audio/cpal/channels") {
        channels.retain(|name, _| count(name).is_some());
        channels.iter_mut().for_each(|(name, channels)| *channels = json!(vec![1; count(name).unwrap()]));
    }
    for (at, cue) in value.pointer_mut("/cues").into_iter().flat_map(each).enumerate() {
        cue["name"] = json!(format!("cue {at}"));
    }
    for control in value.pointer_mut("/controls").into_iter().flat_map(each) {
        for switch in ["/bend", "/program"] {
            control.pointer_mut(switch).into_iter().for_each(|switch| *switch = json!(true));
        }
    }
}

fn object<'v>(value: &'v mut Value, path: &str) -> Option<&'v mut serde_json::Map<String, Value>> {
    value.pointer_mut(path).and_then(Value::as_object_mut)
}

/// The items of a list, or the one that stands without the brackets.
fn each(value: &mut Value) -> Box<dyn Iterator<Item = &mut Value> + '_> {
    match value {
        Value::Array(items) => Box::new(items.iter_mut()),
        Value::Object(_) => Box::new(std::iter::once(value)),
        _ => Box::new(std::iter::empty()),
    }
}

#[test]
fn what_a_schema_takes_the_parser_takes() {
    let mut random = Random::new(SEED);
    for (kind, schema) in kinds() {
        let mut clean = 0;
        for _ in 0..FILES {
            let mut value = some(&schema, &mut random);
            settle(&mut value);
            assert!(is_right(&schema, &value), "{kind}: {value:#}");
            let text = written(&value, &mut random);
            let told = mistakes(kind, &text);
            // A text in another unit may lie outside its range, and a number may be no byte.
            assert!(told.iter().all(is_beyond), "{kind}: {told:#?}\n{text}");
            clean += usize::from(told.is_empty());
        }
        assert!(clean > FILES / 2, "{kind}: {clean} of {FILES}");
    }
}

#[test]
fn what_a_schema_refuses_the_parser_refuses_and_the_other_way_round() {
    let mut random = Random::new(SEED + 1);
    for (kind, schema) in kinds() {
        let (mut taken, mut refused) = (0, 0);
        for _ in 0..4 * FILES {
            let mut value = some(&schema, &mut random);
            settle(&mut value);
            for _ in 0..=random.below(2) {
                mutate(&mut value, &mut random);
            }
            let text = written(&value, &mut random);
            let told = mistakes(kind, &text);
            if is_right(&schema, &value) {
                assert!(told.iter().all(is_beyond), "{kind}: only the parser refuses it: {told:#?}\n{text}");
                taken += 1;
            } else {
                assert!(!told.is_empty(), "{kind}: only the schema refuses it:\n{text}");
                refused += 1;
            }
        }
        assert!(taken > FILES / 4 && refused > FILES, "{kind}: {taken} taken, {refused} refused");
    }
}

#[test]
fn every_shipped_file_is_right_by_its_schema() {
    let chain = schema::chain();
    let [(_, station), (_, map), _] = kinds();
    let mut count = 0;
    for folder in ["configs", "configs/chains", "configs/midi"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "yaml") {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let (name, schema) = match folder {
                "configs/midi" => ("../map.schema.json", &map),
                "configs/chains" => ("../chain.schema.json", &chain),
                _ => ("station.schema.json", &station),
            };
            let first = format!("# yaml-language-server: $schema={name}");
            assert_eq!(text.lines().next(), Some(first.as_str()), "{}", path.display());
            let value: Value = serde_yaml::from_str(&text).unwrap();
            assert!(is_right(schema, &value), "{}", path.display());
            count += 1;
        }
    }
    assert!(count > 20, "{count} files");
}

#[test]
fn the_null_backend_goes_by_none_and_by_every_spelling_of_null() {
    let [(_, schema), ..] = kinds();
    for (word, section) in
        [("none", "none"), ("\"null\"", "\"null\""), ("null", "null"), ("none", "null"), ("null", "none")]
    {
        let text =
            format!("audio: {{backend: {word}, {section}: {{block: 64, clock: free}}}}\nchains: [a.yaml]\n");
        let (station, told) = Station::parse(text.as_bytes());
        assert!(told.is_empty(), "{text}{told:#?}");
        let Backend::Null(null) = station.unwrap().audio.backend else { panic!("{text}") };
        assert!(null.block == 64 && null.free, "{text}");
    }
    for backend in [json!("none"), json!("null"), Value::Null] {
        let station = json!({"audio": {"backend": backend, "none": {"block": 64}}, "chains": ["a.yaml"]});
        assert!(is_right(&schema, &station), "{station}");
    }
    let both = "audio:\n  backend: none\n  none: {block: 64}\n  \"null\": {block: 32}\nchains: [a.yaml]\n";
    let told = mistakes("station", both);
    assert_eq!(told[0].problem.to_string(), "audio: none and null are the same key; remove one of them");
    assert_eq!(told[0].at.unwrap().line, 4);
}

#[test]
fn nothing_by_another_word_is_nothing() {
    for nothing in ["", "~", "null", "Null", "NULL"] {
        let text = format!("audio: {{backend: none}}\nchains: [a.yaml]\ncontrol:\n  osc: {nothing}\n");
        let (station, told) = Station::parse(text.as_bytes());
        assert!(told.is_empty() && station.unwrap().control.osc.is_some(), "{text}{told:#?}");
        let text = format!("audio: {{backend: none}}\nchains: [a.yaml]\nstart: {nothing}\n");
        let told = mistakes("station", &text);
        assert_eq!(told[0].problem.to_string(), "a station: start must be a single value, found nothing");
        let chain = format!("nodes:\n  - gain: {nothing}\n");
        assert!(lacquer_graph::Spec::parse(chain.as_bytes()).1.is_empty(), "{chain}");
    }
}
