//! The description of one section of a file: its keys, what each holds, and which of them go together. The reading of a
//! file ([`crate::file::values`]), its error texts and its JSON Schema all come from it.

use crate::file::name::{self, is_name};
use crate::param::Param;

/// A map whose keys are known.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// How messages name it: `cpal`, `a station`.
    pub owner: &'static str,
    /// Its keys, in the order in which messages list them.
    pub keys: &'static [Key],
    /// Which keys go together.
    pub rules: &'static [Rule],
    /// Whether messages number it where it stands in a list: `cue 2`.
    pub is_counted: bool,
}

/// One key of a section.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Its name.
    pub name: &'static str,
    /// Another name that it is read by too.
    pub other: Option<&'static str>,
    /// What it holds.
    pub holds: Holds,
    /// One sentence for people.
    pub help: &'static str,
    /// Whether the section is a mistake without it.
    pub is_needed: bool,
    /// Whether the default of its row holds where the key is not written.
    pub has_default: bool,
}

/// What a key, or an item of a list, holds.
#[derive(Clone, Copy, Debug)]
pub enum Holds {
    /// A number with a unit and a range, a switch, or one of some words.
    Row(Param),
    /// A text.
    Text(Text),
    /// A list.
    List(List),
    /// A map whose keys are known.
    Section(&'static Section),
    /// A map of any keys.
    Named(Named),
    /// One of several, distinguished by shape; and what to call them in errors.
    Any(&'static [Holds], &'static str),
}

/// A text: one of some words, or one that passes a check.
#[derive(Clone, Copy, Debug)]
pub struct Text {
    /// Words that are always right.
    pub words: &'static [&'static str],
    /// Whether another text is right.
    pub fits: fn(&str) -> bool,
    /// A regular expression that every other right text matches; empty where any may.
    pub pattern: &'static str,
    /// What may be written; empty where all words may.
    pub allowed: &'static str,
    /// A right text.
    pub example: &'static str,
}

/// A list. A single item may be written without the brackets.
#[derive(Clone, Copy, Debug)]
pub struct List {
    /// What its items hold.
    pub of: &'static Holds,
    /// Fewest items.
    pub least: usize,
    /// Most items.
    pub most: usize,
    /// What it is in words: `a list of processors, as in [2, 3]`.
    pub wanted: &'static str,
}

/// A map of any keys.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    /// What each key holds.
    pub of: &'static Holds,
    /// What a key is the name of, where it may be any name that can stand in an address.
    pub names: Option<&'static str>,
    /// Fewest keys.
    pub least: usize,
}

/// How many of some keys a section has.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    /// The keys.
    pub keys: &'static [&'static str],
    /// At least so many of them are written: 0 or 1.
    pub least: usize,
    /// At most so many: 1, or all.
    pub most: usize,
    /// What is wrong where there are fewer.
    pub why: &'static str,
}

impl Section {
    /// A section of these keys.
    pub const fn new(owner: &'static str, keys: &'static [Key]) -> Self {
        Self { owner, keys, rules: &[], is_counted: false }
    }

    /// Sets which keys go together.
    pub const fn rules(mut self, rules: &'static [Rule]) -> Self {
        self.rules = rules;
        self
    }

    /// Lets messages number it.
    pub const fn counted(mut self) -> Self {
        self.is_counted = true;
        self
    }

    /// The key that is written as `name`.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.keys.iter().find(|key| key.name == name || key.other == Some(name))
    }

    /// Whether it may be left empty.
    pub fn may_be_empty(&self) -> bool {
        self.keys.iter().all(|key| !key.is_needed) && self.rules.iter().all(|rule| rule.least == 0)
    }
}

impl Key {
    /// A key that may be left out.
    pub const fn new(name: &'static str, holds: Holds, help: &'static str) -> Self {
        Self { name, other: None, holds, help, is_needed: false, has_default: true }
    }

    /// A key that holds a row of its name.
    pub const fn row(row: Param) -> Self {
        Self::new(row.name, Holds::Row(row), row.help)
    }

    /// Makes the section a mistake without it.
    pub const fn needed(mut self) -> Self {
        self.is_needed = true;
        self
    }

    /// Leaves it without a value where it is not written.
    pub const fn open(mut self) -> Self {
        self.has_default = false;
        self
    }

    /// Lets it be read by another name too.
    pub const fn or(mut self, other: &'static str) -> Self {
        self.other = Some(other);
        self
    }
}

impl Text {
    /// Any text.
    pub const ANY: Self =
        Self { words: &[], fits: |_| true, pattern: "", allowed: "write a text", example: "" };

    /// A name that can stand in an address.
    pub const NAME: Self = Self {
        words: &[],
        fits: is_name,
        pattern: "^[A-Za-z0-9_-]{1,64}$",
        allowed: name::ALLOWED,
        example: "",
    };

    /// One of `words`, and nothing else; `allowed` lists them, where not all of them are meant for users.
    pub const fn one_of(words: &'static [&'static str], allowed: &'static str) -> Self {
        Self { words, fits: |_| false, pattern: "", allowed, example: "" }
    }

    /// Whether it is one of its words and nothing else.
    pub fn is_closed(&self) -> bool {
        !self.words.is_empty() && self.pattern.is_empty()
    }

    /// Whether `text` is right.
    pub fn takes(&self, text: &str) -> bool {
        self.words.contains(&text) || (self.fits)(text)
    }
}

impl List {
    /// A list of any number of items, which may be none.
    pub const fn of(of: &'static Holds, wanted: &'static str) -> Self {
        Self { of, least: 0, most: usize::MAX, wanted }
    }

    /// Sets how many items it has.
    pub const fn count(mut self, least: usize, most: usize) -> Self {
        (self.least, self.most) = (least, most);
        self
    }
}
