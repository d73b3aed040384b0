//! The words of a session: how requests are taken apart, and what is said of replies.

use serde_json::Value as Json;

/// Longest JSON that stands on one line, in characters.
const WIDE: usize = 110;

/// The words of a line; one in quotes may hold spaces and keeps its quotes.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let end = match rest.strip_prefix('"') {
            None => rest.find(' ').unwrap_or(rest.len()),
            Some(inner) => {
                let mut is_escaped = false;
                let close = inner.char_indices().find(|(_, sign)| {
                    let closes = *sign == '"' && !is_escaped;
                    is_escaped = *sign == '\\' && !is_escaped;
                    closes
                });
                close.map(|(at, _)| at + 2).ok_or_else(|| format!("{rest}: a quote is open"))?
            }
        };
        words.push(rest[..end].to_owned());
        rest = rest[end..].trim_start();
    }
    Ok(words)
}

/// A word without its quotes.
pub(super) fn plain(word: &str) -> String {
    match word.starts_with('"') {
        true => serde_json::from_str(word).unwrap_or_else(|error| panic!("{word}: {error}")),
        false => word.to_owned(),
    }
}

/// A text as a word: in quotes.
pub(super) fn quoted(text: &str) -> String {
    Json::String(text.to_owned()).to_string()
}

/// Whether lines of this address are left out.
pub(super) fn is_left_out(address: &str) -> bool {
    ["/meter/", "/text/meter/", "/event/xrun"].iter().any(|start| address.starts_with(start))
}

/// Whether the values of this address are other ones each time.
pub(super) fn differs(address: &str) -> bool {
    let Some(key) = address.strip_prefix("/status/") else { return false };
    ["load", "xruns", "faults", "tap_frames_lost", "readings_lost", "uptime_s", "realtime", "thread_restarts"]
        .iter()
        .any(|start| key.starts_with(start))
}

/// A text, with `*` for the folder of the station, and for ports.
pub(super) fn masked(text: &str, folder: &str) -> String {
    const HOST: &str = "127.0.0.1:";
    let text = text.replace(&format!("{folder}/"), "*/").replace(folder, "*");
    let mut parts = text.split(HOST);
    let mut masked = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|sign: char| sign.is_ascii_digit());
        masked += HOST;
        masked += if rest.len() < part.len() { "*" } else { "" };
        masked += rest;
    }
    masked
}

/// JSON for people: what fits stands on one line.
pub(super) fn json(value: &Json, indent: usize) -> String {
    let whole = value.to_string();
    let (open, close, inner): (_, _, Vec<String>) = match value {
        _ if whole.len() + indent <= WIDE => return whole,
        Json::Object(map) => {
            let entry =
                |(key, value): (&String, &Json)| format!("{}: {}", quoted(key), json(value, indent + 2));
            ("{", "}", map.iter().map(entry).collect())
        }
        Json::Array(list) => ("[", "]", list.iter().map(|value| json(value, indent + 2)).collect()),
        _ => return whole,
    };
    let (pad, end) = (" ".repeat(indent + 2), " ".repeat(indent));
    format!("{open}\n{pad}{}\n{end}{close}", inner.join(&format!(",\n{pad}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_masks() {
        assert_eq!(split("udp a /b \"c \\\" d\" 2").unwrap(), ["udp", "a", "/b", "\"c \\\" d\"", "2"]);
        assert!(split("a \"b").is_err());
        assert_eq!(masked("osc 127.0.0.1:4711 in /tmp/x/a.yaml", "/tmp/x"), "osc 127.0.0.1:* in */a.yaml");
    }
}
