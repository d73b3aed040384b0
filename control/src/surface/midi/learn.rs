//! Learning: which control was moved, and the line of the map that binds it.

use super::map::{Map, Source};
use super::message::Message;
use lacquer_graph::file::error::Problem;
use std::collections::BTreeSet;
use std::time::{Duration, Instant};
use thiserror::Error;

/// How long messages are collected after the first one.
const COLLECT: Duration = Duration::from_millis(600);

/// A control that was learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Learned {
    /// The address that it sets.
    pub address: String,
    /// Its line of the map.
    pub line: String,
    /// What it sends, as text.
    pub what: String,
    source: Source,
}

/// Waits for a control to be moved.
#[derive(Clone, Debug)]
pub struct Learner {
    address: String,
    received: Vec<Message>,
    until: Option<Instant>,
}

impl Learner {
    /// Waits for the control that is to set `address`.
    pub fn new(address: &str) -> Self {
        Self { address: address.to_owned(), received: Vec::new(), until: None }
    }

    /// Receives a message of the controller.
    pub fn receive(&mut self, message: Message, now: Instant) {
        self.until.get_or_insert(now + COLLECT);
        if self.received.len() < 4_096 {
            self.received.push(message);
        }
    }

    /// The control that was moved, once that is known.
    pub fn learned(&self, now: Instant) -> Option<Learned> {
        self.until.filter(|until| now >= *until)?;
        let (source, act) = recognise(&self.received)?;
        let (key, number, channel) = match source {
            Source::Cc(channel, number) => ("cc", number.to_string(), channel),
            Source::Cc14(channel, number) => ("cc14", number.to_string(), channel),
            Source::Nrpn(channel, number) => ("nrpn", number.to_string(), channel),
            Source::Bend(channel) => ("bend", "true".to_owned(), channel),
            Source::Note(channel, number) => ("note", number.to_string(), channel),
            Source::Program(channel) => ("program", "true".to_owned(), channel),
        };
        let channel = channel + 1;
        let line = format!("{{{key}: {number}, channel: {channel}{act}, to: {}}}", self.address);
        let what = format!("{key} {number} on channel {channel}");
        Some(Learned { address: self.address.clone(), line, what, source })
    }
}

/// The control that these messages come from, and the keys for its kind in the map.
fn recognise(received: &[Message]) -> Option<(Source, &'static str)> {
    let first = *received.first()?;
    Some(match first {
        Message::Note { channel, number, .. } => (Source::Note(channel, number), ", as: toggle, light: true"),
        Message::Program { channel, .. } => (Source::Program(channel), ""),
        Message::Bend { channel, .. } => (Source::Bend(channel), ""),
        Message::Control { channel, number, .. } => {
            let values = |wanted: u8| {
                received.iter().filter_map(move |message| match message {
                    Message::Control { channel: on, number, value }
                        if (*on, *number) == (channel, wanted) =>
                    {
                        Some(*value)
                    }
                    _ => None,
                })
            };
            if let (Some(high), Some(low), Some(_)) = (values(99).next(), values(98).next(), values(6).next())
            {
                return Some((Source::Nrpn(channel, u16::from(high) << 7 | u16::from(low)), ""));
            }
            let coarse = number & 31;
            if number < 64 && values(coarse).next().is_some() && values(coarse + 32).next().is_some() {
                return Some((Source::Cc14(channel, coarse), ""));
            }
            let seen: BTreeSet<u8> = values(number).collect();
            let near = |centre: u8, reach: u8| seen.iter().all(|value| value.abs_diff(centre) <= reach);
            let ends = seen.iter().all(|value| (1..=7).contains(value) || (121..=127).contains(value));
            let act = match () {
                () if seen.len() == 1 && seen.contains(&127) => ", as: toggle, light: true",
                () if seen == BTreeSet::from([0, 127]) => ", as: toggle, light: true",
                () if values(number).count() >= 3 && near(64, 7) && !seen.contains(&64) => {
                    ", as: binary-offset"
                }
                () if values(number).count() >= 3 && ends && seen.iter().any(|value| *value > 64) => {
                    ", as: twos-complement"
                }
                () if values(number).count() >= 3 && seen == BTreeSet::from([1]) => ", as: signed-bit",
                () => "",
            };
            (Source::Cc(channel, number), act)
        }
    })
}

/// Why a map file cannot take a learned control.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum InsertError {
    /// It was wrong before.
    #[error("the map has a mistake: {0}")]
    Mistake(Box<Problem>),
    /// It is no map at all.
    #[error("the map cannot be read")]
    Unreadable,
    /// The control's entry cannot be replaced.
    #[error("that control has an entry of several lines already: change it there")]
    SeveralLines,
    /// There is no line to add one behind.
    #[error("its controls stand on one line: write them one a line")]
    OneLine,
    /// With the new line it would be wrong.
    #[error("the line does not fit into the map: {0}")]
    DoesNotFit(Box<Problem>),
}

/// The text of a map file with a learned control: what else stands in it stays as it is, to the byte.
///
/// # Errors
/// Why the file cannot take it.
pub fn insert(file: &str, learned: &Learned) -> Result<String, InsertError> {
    let (map, mistakes) = Map::parse(file.as_bytes());
    let map = match (map, mistakes.first()) {
        (Some(map), None) => map,
        (_, Some(mistake)) => return Err(InsertError::Mistake(mistake.problem.clone())),
        (None, None) => return Err(InsertError::Unreadable),
    };
    let line_end = if file.contains("\r\n") { "\r\n" } else { "\n" };
    let mut lines: Vec<String> = file.split_inclusive('\n').map(str::to_owned).collect();
    let known = map.controls.iter().find(|control| control.source == learned.source);
    if let Some(line) = known.and_then(|control| lines.get_mut(control.at.line.saturating_sub(1)))
        && let (Some(dash), true) = (line.find("- {"), line.contains('}'))
    {
        // The same control again: its line is replaced, a comment behind it stays.
        let rest = line.rfind('}').map(|end| line[end + 1..].to_owned()).unwrap_or_default();
        *line = format!("{}- {}{rest}", &line[..dash], learned.line);
        return checked(lines.concat());
    }
    if known.is_some() {
        return Err(InsertError::SeveralLines);
    }
    let head = lines.iter().position(|line| line.starts_with("controls:"));
    let at = match head {
        None => {
            if lines.last().is_some_and(|last| !last.ends_with('\n')) {
                lines.push(line_end.to_owned());
            }
            lines.push(format!("controls:{line_end}"));
            lines.len()
        }
        Some(head) => {
            let rest =
                lines[head]["controls:".len()..].split('#').next().unwrap_or_default().trim().to_owned();
            match rest.as_str() {
                "" => {}
                "[]" => lines[head] = lines[head].replacen("[]", "", 1),
                _ => return Err(InsertError::OneLine),
            }
            // After the last line of the list, before comments and keys that follow it.
            let is_inside = |line: &String| line.starts_with([' ', '-', '#', '\n', '\r']);
            let is_of_list = |line: &String| !line.trim().is_empty() && !line.trim_start().starts_with('#');
            let inside = lines[head + 1..].iter().take_while(|line| is_inside(line));
            let last = inside.enumerate().filter(|(_, line)| is_of_list(line)).last();
            last.map_or(head + 1, |(last, _)| head + 2 + last)
        }
    };
    if at > 0 && !lines[at - 1].ends_with('\n') {
        lines[at - 1].push_str(line_end);
    }
    let indent: String = head
        .and_then(|head| lines[head + 1..].iter().find(|line| line.trim_start().starts_with("- ")))
        .map_or("  ".to_owned(), |line| line.chars().take_while(|sign| *sign == ' ').collect());
    lines.insert(at, format!("{indent}- {}{line_end}", learned.line));
    checked(lines.concat())
}

/// The text, where it is a map without mistakes.
fn checked(text: String) -> Result<String, InsertError> {
    match Map::parse(text.as_bytes()).1.first() {
        None => Ok(text),
        Some(mistake) => Err(InsertError::DoesNotFit(mistake.problem.clone())),
    }
}
