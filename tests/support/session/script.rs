//! The text of a session, read and written.

use super::{Line, words};
use lacquer_control::address::Tree;
use std::collections::BTreeMap;

/// From so many values of one address on in one step they are a glide.
const GLIDE: usize = 6;
/// How a glide is written.
pub(super) const GLIDES: &str = "glides to ";

/// A session.
pub(super) struct Script {
    pub station: String,
    pub steps: Vec<Step>,
    /// What stands behind the last step.
    rest: Vec<String>,
}

/// A request and what comes of it.
pub(super) struct Step {
    /// Its line in the file, from 1.
    pub at: usize,
    /// What is asked.
    pub words: Vec<String>,
    /// The text of a file that is written.
    pub body: Option<String>,
    /// What a recording waits for.
    pub wait: Option<Line>,
    /// What comes of it, each with its line in the file.
    pub expected: Vec<(usize, Line)>,
    /// The lines before it, and its own, as they stand in the file.
    before: Vec<String>,
    own: Vec<String>,
}

impl Script {
    /// Reads the text of `file`.
    pub(super) fn parse(file: &str, text: &str) -> Self {
        let mut script = Self { station: String::new(), steps: Vec::new(), rest: Vec::new() };
        let mut lines = text.lines().enumerate();
        while let Some((at, raw)) = lines.next() {
            let place = format!("{file}:{}", at + 1);
            let last = script.steps.last_mut();
            if raw.is_empty() || raw.starts_with('#') {
                script.rest.push(raw.to_owned());
            } else if let Some(name) = raw.strip_prefix("station ") {
                name.trim().clone_into(&mut script.station);
                script.rest.push(raw.to_owned());
            } else if raw.starts_with(' ') {
                let step = last.unwrap_or_else(|| panic!("{place}: a reply before any request"));
                step.expected.push((at + 1, line(&place, raw)));
            } else if let Some(awaited) = raw.strip_prefix("wait ") {
                let step = last.unwrap_or_else(|| panic!("{place}: nothing to wait for before any request"));
                step.wait = Some(line(&place, awaited));
                step.own.push(raw.to_owned());
            } else {
                let mut own = vec![raw.to_owned()];
                let mut words = words::split(raw).unwrap_or_else(|why| panic!("{place}: {why}"));
                let body = (words.last().is_some_and(|word| word == "<<")).then(|| {
                    words.pop();
                    let body: Vec<String> =
                        lines.by_ref().map(|(_, raw)| raw.to_owned()).take_while(|raw| raw != ">>").collect();
                    own.extend(body.iter().cloned());
                    own.push(">>".to_owned());
                    body.iter().map(|line| format!("{line}\n")).collect()
                });
                let before = std::mem::take(&mut script.rest);
                script.steps.push(Step {
                    at: at + 1,
                    words,
                    body,
                    wait: None,
                    expected: Vec::new(),
                    before,
                    own,
                });
            }
        }
        assert!(!script.station.is_empty(), "{file}: no line \"station NAME\"");
        script
    }

    /// The text again.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            step.before.iter().chain(&step.own).for_each(|raw| text += &format!("{raw}\n"));
            step.expected.iter().for_each(|(_, line)| text += &format!("    {line}\n"));
        }
        self.rest.iter().for_each(|raw| text += &format!("{raw}\n"));
        text
    }
}

fn line(place: &str, raw: &str) -> Line {
    let (client, rest) =
        raw.trim().split_once(' ').unwrap_or_else(|| panic!("{place}: a reply is CLIENT ADDRESS VALUES"));
    let (address, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Line::new(client, address, rest)
}

/// Lines as they are written: by client and address, in order for each address; many values of one as a glide.
pub(super) fn sorted(lines: Vec<Line>) -> Vec<(usize, Line)> {
    let mut by_key: BTreeMap<_, Vec<Line>> = BTreeMap::new();
    for line in lines {
        by_key.entry(line.key()).or_default().push(line);
    }
    let is_value = |address: &str| Tree::split(address).is_some();
    let written = by_key.into_values().flat_map(|lines| match &lines[..] {
        [.., last] if lines.len() >= GLIDE && is_value(&last.address) => {
            vec![Line { rest: format!("{GLIDES}{}", last.rest), ..last.clone() }]
        }
        _ => lines,
    });
    written.map(|line| (0, line)).collect()
}
