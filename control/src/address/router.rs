//! What each address means, whatever surface it comes from.

use crate::address::commands;
use crate::address::commands::{Bare, COMMANDS, Nature};
use crate::address::pattern::{is_pattern, trimmed};
use crate::request::{CompareRequest, CueRequest, Request, SceneRequest, Subscription};
use crate::value::Value;
use lacquer_graph::param::hint::Hint;

/// Fastest that meters are told, a second.
const FASTEST_METERS: f64 = 60.0;
/// Longest that values glide, in seconds.
const LONGEST_MORPH: f64 = 3_600.0;

/// What `address` with these values asks for. Without values a state is asked for, and so is all that a pattern means.
/// What is answered names it as it was written.
pub fn request_for(written: &str, values: Vec<Value>) -> Request {
    let address = trimmed(written);
    if is_pattern(address) {
        return value(written, values);
    }
    // Of these trees only `/norm` holds anything else.
    if ["/node/", "/text/"].iter().any(|tree| address.starts_with(tree)) {
        return value(written, values);
    }
    match commands::of(address) {
        Some((command, _)) if values.is_empty() && command.address == "/ping" => Request::Ping,
        Some((command, _)) if values.is_empty() && command.nature.bare() == Bare::Reads => {
            Request::Get { address: written.to_owned() }
        }
        Some((command, part)) => asked(command.address, written, part, &values),
        None if address.starts_with("/norm/") => value(written, values),
        None => wrong(written, &unknown(address, values.is_empty())),
    }
}

/// Why there is nothing at an address. Who only reads is told of nothing that acts when it is sent alone.
fn unknown(address: &str, is_read: bool) -> String {
    let is_meant = |nature: Nature| match is_read {
        true => nature.bare() == Bare::Reads,
        false => nature != Nature::Reading,
    };
    let rows = COMMANDS.iter().filter(|row| is_meant(row.nature)).map(|row| row.address);
    // Slashes alone are like every address.
    let hint = if address.is_empty() { Hint::default() } else { Hint::nearest(address, rows) };
    let there_is = match is_read {
        true => {
            "what can be read is /node/ID/PARAMETER, /norm/..., /text/..., /swap, /chains, /chain/NAME, /bypass, \
             /scenes, /scene/N, /cues, /ab, /status"
        }
        false => {
            "there are /node/ID/PARAMETER, /norm/..., /text/..., /swap, /chains, /chain/NAME, /bypass, /scene/..., \
             /cue/..., /ab, /undo, /redo, /who, /learn, /status, /reload, /subscribe, /unsubscribe, /ping"
        }
    };
    format!("no such address{hint}; {there_is}")
}

/// What is asked of a value of a node, or of all that a pattern means.
fn value(address: &str, mut values: Vec<Value>) -> Request {
    let address = address.to_owned();
    match values.len() {
        0 => Request::Get { address },
        1 => Request::Set { address, value: values.remove(0) },
        _ => wrong(&address, "takes one value, or none to ask for it"),
    }
}

/// What is asked of the command of this row; `part` is what stands for its word in capitals.
fn asked(row: &str, address: &str, part: &str, values: &[Value]) -> Request {
    match (row, values) {
        ("/swap", [Value::Text(name)]) => Request::Swap(name.clone()),
        ("/swap", _) => wrong(address, "takes the name of a chain, or nothing to ask for it"),
        ("/chain/NAME", _) => trigger(address, values, Request::Swap(part.to_owned())),
        ("/program/chain", [Value::Number(number)]) => Request::ChainNumber(*number as usize),
        ("/program/scene", [Value::Number(number)]) => {
            Request::Scene(SceneRequest::Recall { name: (*number as usize).to_string(), morph: 0.0 })
        }
        ("/program/chain" | "/program/scene", _) => {
            wrong(address, "takes a number, counted from 1, or nothing to ask for it")
        }
        ("/bypass" | "/norm/bypass", [value]) => match switch(value) {
            Some(on) => Request::Bypass(on),
            None => wrong(address, "takes true or false, or nothing to ask for it"),
        },
        ("/bypass/match", [value]) => match switch(value) {
            Some(on) => Request::BypassMatched(on),
            None => wrong(address, "takes true or false, or nothing to ask for it"),
        },
        ("/ab" | "/norm/ab" | "/ab/match" | "/ab/chain" | "/ab/copy", _) => compare(row, address, values),
        ("/undo", _) => trigger(address, values, Request::Undo),
        ("/redo", _) => trigger(address, values, Request::Redo),
        ("/who", [Value::Text(address)]) => Request::Who { address: address.clone() },
        ("/who", _) => wrong(address, "takes the address of a value"),
        ("/scene/save" | "/scene/recall" | "/scene/delete", _) => scene(row, address, values),
        ("/scene/N", _) => {
            let recall = SceneRequest::Recall { name: part.to_owned(), morph: 0.0 };
            trigger(address, values, Request::Scene(recall))
        }
        ("/scene/N/save", []) => {
            wrong(address, "takes 1, as a button that is pressed sends it; nothing was saved")
        }
        ("/scene/N/save", _) => {
            let save = SceneRequest::Save { name: part.to_owned(), nodes: Vec::new() };
            trigger(address, values, Request::Scene(save))
        }
        ("/cue", [cue]) if name(cue).is_some() => Request::Cue(CueRequest::Do(name(cue).unwrap_or_default())),
        ("/cue", _) => wrong(address, "takes the name of a cue, or nothing to ask for the list"),
        ("/cue/go", _) => trigger(address, values, Request::Cue(CueRequest::Go)),
        ("/cue/next", _) => trigger(address, values, Request::Cue(CueRequest::Next)),
        ("/cue/previous", _) => trigger(address, values, Request::Cue(CueRequest::Previous)),
        ("/learn", [Value::Text(address)]) => Request::Learn { address: address.clone() },
        ("/learn", []) => Request::Learn { address: String::new() },
        ("/learn", _) => wrong(address, "takes the address to bind, or nothing to call it off"),
        ("/subscribe", values) => match wish(values) {
            Ok(wish) => Request::Subscribe(wish),
            Err(why) => wrong(address, &why),
        },
        ("/unsubscribe", []) => Request::Unsubscribe,
        ("/unsubscribe", _) => wrong(address, "takes no values"),
        ("/ping", _) => Request::Ping,
        ("/reload", []) => Request::Reload { reset: false },
        ("/reload", [value]) => match switch(value) {
            Some(reset) => Request::Reload { reset },
            None => wrong(address, "takes true to take all values from the files, or nothing"),
        },
        ("/reload", _) => wrong(address, "takes true to take all values from the files, or nothing"),
        _ => wrong(address, "is told, never set: takes no values"),
    }
}

/// `/subscribe [seconds] [words]`: `text`, `arrays`, `echo`, `meters HZ`, `port N`.
fn wish(values: &[Value]) -> Result<Subscription, String> {
    let mut wish = Subscription::default();
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
            ("arrays", _) if number.is_empty() => wish.arrays = true,
            ("echo", _) if number.is_empty() => wish.echo = true,
            ("meters", Ok(hz)) if (0.0..=FASTEST_METERS).contains(&hz) => wish.meters_hz = hz,
            ("port", Ok(_)) if number.parse::<u16>().is_ok_and(|port| port > 0) => {
                wish.port = number.parse().ok();
            }
            _ => {
                return Err(format!(
                    "\"{text}\" is not understood; there are \"text\", \"arrays\", \"echo\", \"meters HZ\" (0 to {FASTEST_METERS}) and \"port N\""
                ));
            }
        }
    }
    Ok(wish)
}

fn scene(row: &str, address: &str, values: &[Value]) -> Request {
    let texts: Vec<String> = values.iter().filter_map(name).collect();
    let ask = match (row, values) {
        ("/scene/save", _) if !texts.is_empty() && texts.len() == values.len() => {
            let mut texts = texts.into_iter();
            SceneRequest::Save { name: texts.next().unwrap_or_default(), nodes: texts.collect() }
        }
        ("/scene/save", _) => {
            return wrong(address, "takes a name, and the ids of nodes where not all are meant");
        }
        ("/scene/recall", [scene]) if name(scene).is_some() => {
            SceneRequest::Recall { name: name(scene).unwrap_or_default(), morph: 0.0 }
        }
        ("/scene/recall", [scene, Value::Number(morph)])
            if name(scene).is_some() && (0.0..=LONGEST_MORPH).contains(morph) =>
        {
            SceneRequest::Recall { name: name(scene).unwrap_or_default(), morph: *morph }
        }
        ("/scene/recall", _) => return wrong(address, "takes a name, and the seconds to glide (0 to 3600)"),
        (_, [scene]) if name(scene).is_some() => SceneRequest::Delete(name(scene).unwrap_or_default()),
        _ => return wrong(address, "takes a name"),
    };
    Request::Scene(ask)
}

fn compare(row: &str, address: &str, values: &[Value]) -> Request {
    let ask = match (row, values) {
        ("/ab" | "/norm/ab", [value]) => which(value).map(CompareRequest::Hear),
        ("/ab/match", [value]) => switch(value).map(CompareRequest::Match),
        ("/ab/chain", [Value::Text(chain)]) => Some(CompareRequest::Chain(chain.clone())),
        ("/ab/copy", _) => return trigger(address, values, Request::Compare(CompareRequest::Copy)),
        _ => None,
    };
    let why = "there are /ab with a or b, /ab/copy, /ab/chain NAME and /ab/match with true or false";
    ask.map_or_else(|| wrong(address, why), Request::Compare)
}

/// Whether B is meant, else A.
fn which(value: &Value) -> Option<bool> {
    match value {
        Value::Text(which) if which.eq_ignore_ascii_case("a") => Some(false),
        Value::Text(which) if which.eq_ignore_ascii_case("b") => Some(true),
        value => switch(value),
    }
}

/// What a button does when it is pressed; that it is let go means nothing.
fn trigger(address: &str, values: &[Value], request: Request) -> Request {
    match values {
        [] => request,
        [value] => match switch(value) {
            Some(true) => request,
            Some(false) => Request::Released,
            None => wrong(address, "takes nothing, or 1 where a button is pressed"),
        },
        _ => wrong(address, "takes nothing, or 1 where a button is pressed"),
    }
}

/// Something that cannot be done, and why.
pub fn wrong(address: &str, why: &str) -> Request {
    Request::Wrong { address: address.to_owned(), why: why.to_owned() }
}

/// A switch, however it is given.
pub fn switch(value: &Value) -> Option<bool> {
    match value {
        Value::Switch(on) => Some(*on),
        Value::Number(number) => number.is_finite().then_some(*number >= 0.5),
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
