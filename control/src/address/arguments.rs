//! What the commands take: the forms of their arguments, how values are checked against them, how they are described.

use crate::request::{Scope, Subscription};
use crate::value::Value;
use thiserror::Error;

/// Longest subscription, in seconds. A longer one is shortened to this.
const LONGEST_SUBSCRIPTION: f64 = Subscription::LONGEST as f64;

/// One argument of a command.
#[derive(Clone, Copy, Debug)]
pub struct Argument {
    /// Its name in lists of commands: `CHAIN`.
    pub name: &'static str,
    /// What it is, as an error says it: "the name of a chain".
    pub what: &'static str,
    /// Which values it accepts.
    pub kind: Kind,
    /// How often it is given.
    pub count: Count,
}

/// Which values an argument accepts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    /// A text.
    Text,
    /// A name, or the whole number that stands for one.
    Name,
    /// On or off: `T`, `F`, a number (on from 0.5), `true`, `false`, `on`, `off`.
    Switch,
    /// State A or B: `a`, `b`, or a switch that is on for B.
    Side,
    /// 1, as a button sends it when it is pressed. Its release, 0, does nothing.
    Press,
    /// The same, or one of [`SCOPES`].
    Scope,
    /// A number within these limits.
    Number {
        /// The least.
        min: f64,
        /// The most; infinite where there is no limit.
        max: f64,
    },
    /// A number that is counted; what is behind its point is ignored.
    Counted {
        /// The least.
        min: f64,
        /// The most; infinite where there is no limit.
        max: f64,
    },
    /// A number of seconds, or one of [`SUBSCRIBE_WORDS`].
    SubscribeOption,
    /// Anything, which is ignored.
    Ignored,
}

/// The words of `/undo` and `/redo`.
pub const SCOPES: [(&str, Scope); 2] = [("all", Scope::All), ("swap", Scope::Swap)];

fn scope(word: &str) -> Option<Scope> {
    SCOPES.iter().find(|(known, _)| *known == word).map(|(_, scope)| *scope)
}

/// How often an argument is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Count {
    /// Once.
    One,
    /// Once, or not at all.
    Optional,
    /// Any number of times. Only the last argument of a command is.
    Any,
}

impl Argument {
    /// An argument that is required.
    pub const fn new(name: &'static str, what: &'static str, kind: Kind) -> Self {
        Self { name, what, kind, count: Count::One }
    }

    /// The same, but given so often.
    pub const fn count(self, count: Count) -> Self {
        Self { count, ..self }
    }

    /// What it is, with its limits: "the seconds to glide (0 to 3600)".
    pub fn describe(&self) -> String {
        match self.limits() {
            Some((min, max)) if max.is_finite() => format!("{} ({min} to {max})", self.what),
            Some((min, _)) => format!("{} (from {min})", self.what),
            None => self.what.to_owned(),
        }
    }

    /// The least and the most, where it has limits.
    pub fn limits(&self) -> Option<(f64, f64)> {
        match self.kind {
            Kind::Number { min, max } | Kind::Counted { min, max } => Some((min, max)),
            Kind::SubscribeOption => Some((1.0, LONGEST_SUBSCRIPTION)),
            _ => None,
        }
    }

    /// The values it can have, where they are few.
    pub fn choices(&self) -> &'static [&'static str] {
        if self.kind == Kind::Side { &["a", "b"] } else { &[] }
    }

    /// Its OSC type tag.
    pub fn tag(&self) -> char {
        match self.kind {
            Kind::Text | Kind::Name | Kind::Side => 's',
            Kind::Switch => 'T',
            Kind::Press | Kind::Scope if self.count == Count::Optional => 'N',
            Kind::Press | Kind::Scope | Kind::Number { .. } => 'f',
            Kind::Counted { .. } | Kind::SubscribeOption => 'i',
            Kind::Ignored => 'N',
        }
    }

    /// A value in this argument's form: switches as switches, names as texts. `None` where it is none of it.
    fn read(&self, value: &Value) -> Option<Value> {
        match self.kind {
            Kind::Text => matches!(value, Value::Text(_)).then(|| value.clone()),
            Kind::Name => name(value).map(Value::Text),
            Kind::Scope if matches!(value, Value::Text(word) if scope(word).is_some()) => Some(value.clone()),
            Kind::Switch | Kind::Press | Kind::Scope => switch(value).map(Value::Switch),
            Kind::Side => side(value).map(Value::Switch),
            Kind::Number { min, max } | Kind::Counted { min, max } => match value {
                Value::Number(number) if (min..=max).contains(number) => Some(value.clone()),
                _ => None,
            },
            Kind::SubscribeOption | Kind::Ignored => Some(value.clone()),
        }
    }
}

/// What a command was given, checked.
#[derive(Clone, Debug)]
pub struct Given<'a> {
    /// The address as it was written.
    pub address: &'a str,
    /// The part of the address where its row has a word in capitals.
    pub part: &'a str,
    /// Values in the form of the row's arguments.
    pub values: Vec<Value>,
}

impl<'a> Given<'a> {
    /// The values in the form of `arguments`; `None` where they do not fit.
    pub fn check(
        address: &'a str,
        part: &'a str,
        arguments: &[Argument],
        values: &[Value],
    ) -> Option<Given<'a>> {
        let mut checked = Vec::with_capacity(values.len());
        let mut left = values.iter();
        for argument in arguments {
            match argument.count {
                Count::One => checked.push(argument.read(left.next()?)?),
                Count::Optional => {
                    if let Some(value) = left.next() {
                        checked.push(argument.read(value)?);
                    }
                }
                Count::Any => {
                    for value in left.by_ref() {
                        checked.push(argument.read(value)?);
                    }
                }
            }
        }
        left.next().is_none().then_some(Self { address, part, values: checked })
    }

    /// The text at a place; empty where none was given.
    pub fn text(&self, at: usize) -> String {
        match self.values.get(at) {
            Some(Value::Text(text)) => text.clone(),
            _ => String::new(),
        }
    }

    /// The texts from a place on.
    pub(crate) fn texts_from(&self, at: usize) -> Vec<String> {
        (at..self.values.len()).map(|at| self.text(at)).collect()
    }

    /// The number at a place; 0 where none was given.
    pub fn number(&self, at: usize) -> f64 {
        match self.values.get(at) {
            Some(Value::Number(number)) => *number,
            _ => 0.0,
        }
    }

    /// Whether the switch at a place is on; off where none was given.
    pub fn is_on(&self, at: usize) -> bool {
        matches!(self.values.get(at), Some(Value::Switch(true)))
    }

    /// What the argument of `/undo` or `/redo` says.
    pub fn scope(&self) -> Scope {
        scope(&self.text(0)).unwrap_or(Scope::Own)
    }

    /// What the options of `/subscribe` say.
    ///
    /// # Errors
    /// Which of them cannot be understood, and what there is.
    pub fn subscription(&self) -> Result<Subscription, SubscribeError> {
        let mut subscription = Subscription::default();
        for value in &self.values {
            let text = match value {
                Value::Number(seconds) if seconds.is_finite() && *seconds >= 1.0 => {
                    subscription.seconds = *seconds as u32;
                    continue;
                }
                Value::Text(text) => text,
                _ => return Err(SubscribeError::Shape),
            };
            let (word, number) =
                text.split_once(' ').map_or((text.as_str(), ""), |(word, number)| (word, number.trim()));
            let known = SUBSCRIBE_WORDS.iter().find(|known| known.word == word);
            if !known.is_some_and(|known| known.apply(number, &mut subscription)) {
                return Err(SubscribeError::Word(text.clone()));
            }
        }
        Ok(subscription)
    }
}

/// Why the options of `/subscribe` cannot be understood.
#[derive(Debug, PartialEq, Eq, Error)]
pub enum SubscribeError {
    /// Neither a number of seconds nor a text.
    #[error("takes a number of seconds (1 to {LONGEST_SUBSCRIPTION}) and words")]
    Shape,
    /// An unknown word, or one whose number is missing or outside its limits.
    #[error("\"{0}\" is not understood; there are {words}", words = SUBSCRIBE_WORDS.map(|known| known.describe()).join(", "))]
    Word(String),
}

/// A word of `/subscribe`.
#[derive(Clone, Copy, Debug)]
pub struct SubscribeWord {
    /// The word.
    pub word: &'static str,
    /// The number behind it: its name, the least and the most.
    pub number: Option<(&'static str, f64, f64)>,
    /// What it does.
    pub help: &'static str,
    /// Changes a subscription.
    set: fn(&mut Subscription, f64),
}

/// The words of `/subscribe`.
pub const SUBSCRIBE_WORDS: [SubscribeWord; 5] = [
    SubscribeWord {
        word: "text",
        number: None,
        help: "the /text tree too",
        set: |subscription, _| subscription.text = true,
    },
    SubscribeWord {
        word: "arrays",
        number: None,
        help: "readings that are arrays too",
        set: |subscription, _| subscription.arrays = true,
    },
    SubscribeWord {
        word: "echo",
        number: None,
        help: "the sender's own changes too",
        set: |subscription, _| subscription.echo = true,
    },
    SubscribeWord {
        word: "meters",
        number: Some(("HZ", 0.0, 60.0)),
        help: "how often meters are sent, a second",
        set: |subscription, hz| subscription.meters_hz = hz,
    },
    SubscribeWord {
        word: "port",
        number: Some(("N", 1.0, 65_535.0)),
        help: "everything is sent to this port of the sender",
        set: |subscription, port| subscription.port = Some(port as u16),
    },
];

impl SubscribeWord {
    /// How it is written: `meters HZ`.
    pub fn usage(&self) -> String {
        self.number.map_or_else(|| self.word.to_owned(), |(name, ..)| format!("{} {name}", self.word))
    }

    /// How it is written, with the limits of its number: `"meters HZ" (0 to 60)`.
    fn describe(&self) -> String {
        let limits = self.number.map_or_else(String::new, |(_, min, max)| format!(" ({min} to {max})"));
        format!("\"{}\"{limits}", self.usage())
    }

    /// Changes a subscription; false where the text behind the word is not what it takes.
    fn apply(&self, behind: &str, subscription: &mut Subscription) -> bool {
        let number = match self.number {
            None => behind.is_empty().then_some(0.0),
            Some((_, min, max)) => behind.parse().ok().filter(|number| (min..=max).contains(number)),
        };
        number.map(|number| (self.set)(subscription, number)).is_some()
    }
}

/// A switch, in each form that a surface may send.
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

/// Whether B is meant, else A.
fn side(value: &Value) -> Option<bool> {
    match value {
        Value::Text(side) if side.eq_ignore_ascii_case("a") => Some(false),
        Value::Text(side) if side.eq_ignore_ascii_case("b") => Some(true),
        value => switch(value),
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

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn subscribe(values: &[Value]) -> Result<Subscription, SubscribeError> {
        Given { address: "/subscribe", part: "", values: values.to_vec() }.subscription()
    }

    #[test]
    fn the_words_of_subscribe_are_read_and_wrong_ones_are_named_with_what_there_is() {
        let text = |text: &str| Value::Text(text.to_owned());
        let all = [Value::Number(60.0), text("text"), text("echo"), text("meters 5"), text("port 9001")];
        let Subscription { seconds, text: is_text, echo, meters_hz, port, .. } = subscribe(&all).unwrap();
        assert_eq!((seconds, is_text, echo, meters_hz, port), (60, true, true, 5.0, Some(9_001)));
        assert_eq!(subscribe(&[text("text"), Value::Number(60.0)]).unwrap().seconds, 60, "in any order");
        assert_eq!(subscribe(&[Value::Number(1e12)]).unwrap().seconds, u32::MAX, "to be shortened");
        for wrong in [
            "meters",
            "meters 61",
            "meters -1",
            "meters x",
            "port 0",
            "port 70000",
            "port x",
            "text 1",
            "x",
            "",
        ] {
            let why = subscribe(&[text(wrong)]).unwrap_err().to_string();
            let all =
                "there are \"text\", \"arrays\", \"echo\", \"meters HZ\" (0 to 60), \"port N\" (1 to 65535)";
            assert_eq!(why, format!("\"{wrong}\" is not understood; {all}"));
        }
        for wrong in
            [0.0, -1.0, f64::NAN, f64::INFINITY].map(Value::Number).into_iter().chain([Value::Switch(true)])
        {
            assert_eq!(subscribe(&[wrong]).unwrap_err(), SubscribeError::Shape);
        }
    }
}
