//! What each address means, whatever surface it comes from.

use crate::intent::{CompareAsk, CueAsk, Intent, SceneAsk, Value};
use crate::notice::Wish;

/// Fastest that meters are told, a second.
const FASTEST_METERS: f64 = 60.0;
/// Longest that values glide, in seconds.
const LONGEST_MORPH: f64 = 3_600.0;

/// What `address` with these values asks for.
pub fn intent(address: &str, mut values: Vec<Value>) -> Intent {
    if ["/node/", "/norm/", "/text/"].iter().any(|tree| address.starts_with(tree)) {
        // Behind these there is more than nodes.
        if let Some(rest) = address.strip_prefix("/norm").filter(|rest| matches!(*rest, "/bypass" | "/ab")) {
            return intent(rest, values);
        }
        let address = address.to_owned();
        return match values.len() {
            0 => Intent::Get { address },
            1 => Intent::Set { address, value: values.remove(0) },
            _ => wrong(&address, "takes one value, or none to ask for it"),
        };
    }
    let (tree, rest) = address.get(1..).map_or(("", ""), |path| path.split_once('/').unwrap_or((path, "")));
    match tree {
        "scene" | "scenes" => scene(address, rest, &values),
        "cue" | "cues" => cue(address, rest, &values),
        "ab" => compare(address, rest, &values),
        "chain" if !rest.is_empty() => trigger(address, &values, Intent::Swap(rest.to_owned())),
        _ => station(address, &values),
    }
}

fn station(address: &str, values: &[Value]) -> Intent {
    match (address, values) {
        ("/swap", []) => Intent::Running,
        ("/swap", [Value::Text(name)]) => Intent::Swap(name.clone()),
        ("/swap", _) => wrong(address, "takes the name of a chain, or nothing to ask for it"),
        ("/chains", []) => Intent::Chains,
        ("/program/chain", [Value::Number(number)]) => Intent::ChainNumber(*number as usize),
        ("/program/scene", [Value::Number(number)]) => {
            Intent::Scene(SceneAsk::Recall { name: (*number as usize).to_string(), morph: 0.0 })
        }
        ("/program/chain" | "/program/scene", _) => wrong(address, "takes a number, counted from 1"),
        ("/bypass", []) => Intent::Bypassed,
        ("/bypass", [value]) => match switch(value) {
            Some(on) => Intent::Bypass(on),
            None => wrong(address, "takes true or false, or nothing to ask for it"),
        },
        ("/bypass/match", [value]) => match switch(value) {
            Some(on) => Intent::BypassMatched(on),
            None => wrong(address, "takes true or false"),
        },
        ("/undo", _) => trigger(address, values, Intent::Undo),
        ("/redo", _) => trigger(address, values, Intent::Redo),
        ("/who", [Value::Text(address)]) => Intent::Who { address: address.clone() },
        ("/who", _) => wrong(address, "takes the address of a value"),
        ("/learn", [Value::Text(address)]) => Intent::Learn { address: address.clone() },
        ("/learn", []) => Intent::Learn { address: String::new() },
        ("/learn", _) => wrong(address, "takes the address to bind, or nothing to call it off"),
        ("/subscribe", values) => match wish(values) {
            Ok(wish) => Intent::Subscribe(wish),
            Err(why) => wrong(address, &why),
        },
        ("/unsubscribe", []) => Intent::Unsubscribe,
        ("/ping", _) => Intent::Ping,
        ("/status", []) => Intent::Status,
        ("/reload", []) => Intent::Reload { reset: false },
        ("/reload", [value]) => match switch(value) {
            Some(reset) => Intent::Reload { reset },
            None => wrong(address, "takes true to take all values from the files, or nothing"),
        },
        ("/chains" | "/unsubscribe" | "/status", _) => wrong(address, "takes no values"),
        _ => wrong(
            address,
            "no such address; there are /node/ID/PARAMETER, /norm/..., /text/..., /swap, /chains, /chain/NAME, \
             /bypass, /scene/..., /cue/..., /ab, /undo, /redo, /who, /learn, /status, /reload, /subscribe, \
             /unsubscribe, /ping",
        ),
    }
}

/// `/subscribe [seconds] [words]`: `text`, `echo`, `meters HZ`, `port N`.
fn wish(values: &[Value]) -> Result<Wish, String> {
    let mut wish = Wish::default();
    for value in values {
        let text = match value {
            Value::Number(seconds) if (1.0..=86_400.0).contains(seconds) => {
                wish.seconds = *seconds as u32;
                continue;
            }
            Value::Text(text) => text.as_str(),
            _ => return Err("takes a number of seconds, 1 to 86400, or nothing for 10".to_owned()),
        };
        let (word, number) = text.split_once(' ').map_or((text, ""), |(word, number)| (word, number.trim()));
        match (word, number.parse::<f64>()) {
            ("text", _) if number.is_empty() => wish.text = true,
            ("echo", _) if number.is_empty() => wish.echo = true,
            ("meters", Ok(hz)) if (0.0..=FASTEST_METERS).contains(&hz) => wish.meters_hz = hz,
            ("port", Ok(_)) if number.parse::<u16>().is_ok_and(|port| port > 0) => {
                wish.port = number.parse().ok();
            }
            _ => {
                return Err(format!(
                    "\"{text}\" is not understood; there are \"text\", \"echo\", \"meters HZ\" (0 to {FASTEST_METERS}) and \"port N\""
                ));
            }
        }
    }
    Ok(wish)
}

fn scene(address: &str, rest: &str, values: &[Value]) -> Intent {
    let texts: Vec<String> = values.iter().filter_map(name).collect();
    let is_slot = rest.split('/').next().is_some_and(|slot| slot.parse::<usize>().is_ok());
    let ask = match (rest, values) {
        ("", []) => SceneAsk::List,
        ("save", _) if !texts.is_empty() && texts.len() == values.len() => {
            let mut texts = texts.into_iter();
            SceneAsk::Save { name: texts.next().unwrap_or_default(), nodes: texts.collect() }
        }
        ("save", _) => return wrong(address, "takes a name, and the ids of nodes where not all are meant"),
        ("recall", [scene]) if name(scene).is_some() => {
            SceneAsk::Recall { name: name(scene).unwrap_or_default(), morph: 0.0 }
        }
        ("recall", [scene, Value::Number(morph)])
            if name(scene).is_some() && (0.0..=LONGEST_MORPH).contains(morph) =>
        {
            SceneAsk::Recall { name: name(scene).unwrap_or_default(), morph: *morph }
        }
        ("recall", _) => return wrong(address, "takes a name, and the seconds to glide (0 to 3600)"),
        ("delete", [scene]) if name(scene).is_some() => SceneAsk::Delete(name(scene).unwrap_or_default()),
        ("delete", _) => return wrong(address, "takes a name"),
        _ if is_slot => return slot(address, rest, values),
        _ => {
            let why = "no such address; there are /scenes, /scene/save, /scene/recall, /scene/delete, /scene/N, /scene/N/save";
            return wrong(address, why);
        }
    };
    Intent::Scene(ask)
}

/// `/scene/3`, `/scene/3/save`: for buttons.
fn slot(address: &str, rest: &str, values: &[Value]) -> Intent {
    match rest.split_once('/') {
        None => {
            let recall = SceneAsk::Recall { name: rest.to_owned(), morph: 0.0 };
            trigger(address, values, Intent::Scene(recall))
        }
        Some((slot, "save")) => {
            let save = SceneAsk::Save { name: slot.to_owned(), nodes: Vec::new() };
            trigger(address, values, Intent::Scene(save))
        }
        Some((_, "name")) if values.is_empty() => Intent::Scene(SceneAsk::List),
        Some(_) => wrong(address, "no such address; there are /scene/N, /scene/N/save and /scene/N/name"),
    }
}

fn cue(address: &str, rest: &str, values: &[Value]) -> Intent {
    match (rest, values) {
        ("" | "name", []) => Intent::Cue(CueAsk::List),
        ("", [cue]) if name(cue).is_some() => Intent::Cue(CueAsk::Do(name(cue).unwrap_or_default())),
        ("go", _) => trigger(address, values, Intent::Cue(CueAsk::Go)),
        ("next", _) => trigger(address, values, Intent::Cue(CueAsk::Next)),
        ("previous", _) => trigger(address, values, Intent::Cue(CueAsk::Previous)),
        _ => wrong(address, "no such address; there are /cues, /cue NAME, /cue/go, /cue/next, /cue/previous"),
    }
}

fn compare(address: &str, rest: &str, values: &[Value]) -> Intent {
    let ask = match (rest, values) {
        ("", []) => Some(CompareAsk::Which),
        ("", [Value::Text(which)]) if which.eq_ignore_ascii_case("a") => Some(CompareAsk::Hear(false)),
        ("", [Value::Text(which)]) if which.eq_ignore_ascii_case("b") => Some(CompareAsk::Hear(true)),
        ("", [value]) => switch(value).map(CompareAsk::Hear),
        ("match", [value]) => switch(value).map(CompareAsk::Match),
        ("chain", [Value::Text(chain)]) => Some(CompareAsk::Chain(chain.clone())),
        ("copy", _) => return trigger(address, values, Intent::Compare(CompareAsk::Copy)),
        _ => None,
    };
    let why = "there are /ab with a or b, /ab/copy, /ab/chain NAME and /ab/match with true or false";
    ask.map_or_else(|| wrong(address, why), Intent::Compare)
}

/// What a button does when it is pressed; that it is let go means nothing.
fn trigger(address: &str, values: &[Value], intent: Intent) -> Intent {
    match values {
        [] => intent,
        [value] => match switch(value) {
            Some(true) => intent,
            Some(false) => Intent::Released,
            None => wrong(address, "takes nothing, or 1 where a button is pressed"),
        },
        _ => wrong(address, "takes nothing, or 1 where a button is pressed"),
    }
}

/// Something that cannot be done, and why.
pub fn wrong(address: &str, why: &str) -> Intent {
    Intent::Wrong { address: address.to_owned(), why: why.to_owned() }
}

/// A switch, however it is given.
pub fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Switch(on) => Some(*on),
        Value::Number(number) => Some(*number >= 0.5),
        Value::Text(text) => match text.as_str() {
            "true" | "on" => Some(true),
            "false" | "off" => Some(false),
            _ => None,
        },
    }
}

/// A name, or the number that stands for one.
fn name(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Number(number) if number.fract() == 0.0 && *number >= 0.0 => Some(number.to_string()),
        _ => None,
    }
}
