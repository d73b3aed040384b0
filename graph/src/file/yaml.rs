//! YAML with places: a tree of lists, maps and scalars with the line and column of each.
//!
//! It follows YAML 1.2 (`no` is text, not false), rejects duplicate keys, and has a limit: a file cannot
//! expand to more than [`MAX_VALUES`] values, however its aliases are nested.

use crate::file::error::{At, Mistake, Problem};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// Largest file that is read, in bytes.
pub const MAX_BYTES: u64 = 4 << 20;
/// Largest number of values that a file may expand to.
pub(crate) const MAX_VALUES: usize = 200_000;
/// Deepest nesting.
pub(crate) const MAX_DEPTH: usize = 32;

/// A value and its place.
#[derive(Clone, Debug)]
pub struct Value {
    /// Its place in the file; for a list or map, of its beginning.
    pub at: At,
    /// Its content.
    pub item: Item,
}

/// The content of a value.
#[derive(Clone, Debug)]
pub enum Item {
    /// An empty value.
    Null,
    /// A scalar as written.
    Scalar {
        /// Its text.
        text: String,
        /// Whether it is written without quotes.
        plain: bool,
    },
    /// A list.
    List(Vec<Value>),
    /// A map, in the order written, without duplicates.
    Map(Vec<Entry>),
}

/// One entry of a map.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key.
    pub key: String,
    /// The place of the key.
    pub at: At,
    /// The value.
    pub value: Value,
}

impl Value {
    /// The shape of the value, for messages.
    pub fn shape(&self) -> &'static str {
        match self.item {
            _ if self.is_nothing() => "nothing",
            Item::Null => "nothing",
            Item::Scalar { .. } => "a single value",
            Item::List(_) => "a list",
            Item::Map(_) => "a map",
        }
    }

    /// Whether nothing is written, or one of YAML's own words for it. They stay words in the tree, since `null` names a
    /// backend.
    pub(crate) fn is_nothing(&self) -> bool {
        match &self.item {
            Item::Null => true,
            Item::Scalar { text, plain: true } => matches!(text.as_str(), "null" | "Null" | "NULL"),
            _ => false,
        }
    }

    fn size(&self) -> usize {
        1 + match &self.item {
            Item::List(values) => values.iter().map(Value::size).sum(),
            Item::Map(entries) => entries.iter().map(|entry| 1 + entry.value.size()).sum(),
            _ => 0,
        }
    }
}

/// `[control]` Parses bytes as one YAML document. The first syntax error ends the parsing; duplicate keys do not.
pub fn parse(bytes: &[u8]) -> Result<(Value, Vec<Mistake>), Mistake> {
    if bytes.len() as u64 > MAX_BYTES {
        return Err(Mistake::of_file(Problem::TooLarge { found: bytes.len() as u64, most: MAX_BYTES }));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|error| Mistake::of_file(Problem::NotText { byte: error.valid_up_to() }))?;
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let mark = error.marker();
            let at = At { line: mark.line(), column: mark.col() + 1, length: 1 };
            // The scanner reads ahead, and reaches its own limit before ours.
            let problem = match error.info() {
                "recursion limit exceeded" => Problem::TooDeep { most: MAX_DEPTH },
                info => Problem::Syntax(info.to_owned()),
            };
            Mistake::new(at, problem)
        })?;
        tree.add(event, at(span))?;
    }
    let root = tree.root.ok_or_else(|| Mistake::of_file(Problem::Empty))?;
    Ok((root, tree.mistakes))
}

fn at(span: Span) -> At {
    let one_line = span.start.line() == span.end.line();
    let length = if one_line { span.len().max(1) } else { 1 };
    At { line: span.start.line(), column: span.start.col() + 1, length }
}

/// A list or map under construction.
struct Open {
    value: Value,
    anchor: usize,
    key: Option<(String, At)>,
    /// The keys so far, with the line of each.
    lines: BTreeMap<String, usize>,
}

#[derive(Default)]
struct Tree {
    open: Vec<Open>,
    anchors: BTreeMap<usize, Value>,
    root: Option<Value>,
    values: usize,
    mistakes: Vec<Mistake>,
}

impl Tree {
    fn add(&mut self, event: Event<'_>, at: At) -> Result<(), Mistake> {
        match event {
            Event::DocumentStart(_) if self.root.is_some() => Err(Mistake::new(at, Problem::SecondDocument)),
            Event::Scalar(text, style, anchor, _) => {
                let plain = style == ScalarStyle::Plain;
                // `null` stays text: it is the name of a backend.
                let item = if plain && matches!(&*text, "" | "~") {
                    Item::Null
                } else {
                    Item::Scalar { text: text.into_owned(), plain }
                };
                self.value(Value { at, item }, anchor)
            }
            Event::SequenceStart(anchor, _) => self.open(Item::List(Vec::new()), at, anchor),
            Event::MappingStart(anchor, _) => self.open(Item::Map(Vec::new()), at, anchor),
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(done) => self.value(done.value, done.anchor),
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some(mut value) = self.anchors.get(&anchor).cloned() else {
                    let text = "an alias of something that is not finished yet".to_owned();
                    return Err(Mistake::new(at, Problem::Syntax(text)));
                };
                self.count(value.size(), at)?;
                value.at = at;
                self.value(value, 0)
            }
            _ => Ok(()),
        }
    }

    fn count(&mut self, values: usize, at: At) -> Result<(), Mistake> {
        self.values += values;
        if self.values > MAX_VALUES {
            return Err(Mistake::new(at, Problem::TooManyValues { most: MAX_VALUES }));
        }
        Ok(())
    }

    fn open(&mut self, item: Item, at: At, anchor: usize) -> Result<(), Mistake> {
        if self.open.len() >= MAX_DEPTH {
            return Err(Mistake::new(at, Problem::TooDeep { most: MAX_DEPTH }));
        }
        self.open.push(Open { value: Value { at, item }, anchor, key: None, lines: BTreeMap::new() });
        Ok(())
    }

    /// Adds a finished value to the innermost open list or map.
    fn value(&mut self, value: Value, anchor: usize) -> Result<(), Mistake> {
        self.count(1, value.at)?;
        if anchor > 0 {
            self.anchors.insert(anchor, value.clone());
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(value);
            return Ok(());
        };
        match (&mut open.value.item, open.key.take()) {
            (Item::List(values), _) => values.push(value),
            (Item::Map(entries), Some((key, at))) => match open.lines.get(&key) {
                Some(&first) => self.mistakes.push(Mistake::new(at, Problem::DuplicateKey { key, first })),
                None => {
                    open.lines.insert(key.clone(), at.line);
                    entries.push(Entry { key, at, value });
                }
            },
            (Item::Map(_), None) => {
                let key = match value.item {
                    Item::Scalar { text, .. } => text,
                    Item::Null => String::new(),
                    _ => {
                        let what = "a key".to_owned();
                        let found = value.shape();
                        let problem = Problem::WrongShape { what, wanted: "a single value", found };
                        return Err(Mistake::new(value.at, problem));
                    }
                };
                open.key = Some((key, value.at));
            }
            (Item::Null | Item::Scalar { .. }, _) => {}
        }
        Ok(())
    }
}
