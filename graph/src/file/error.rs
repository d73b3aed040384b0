//! Every error that a file can have, and its message: place, what was found, what is valid.

use crate::param::ValueError;
use crate::param::hint::Hint;
use std::fmt;
use thiserror::Error;

/// A place in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// Line, from 1.
    pub line: usize,
    /// Column, from 1.
    pub column: usize,
    /// Length in characters.
    pub length: usize,
}

/// An error in a file.
#[derive(Clone, Debug, PartialEq, Error)]
#[expect(missing_docs, reason = "the messages say what the fields are")]
pub enum Problem {
    #[error("the file has {found} bytes; at most {most} are read")]
    TooLarge { found: u64, most: u64 },
    #[error("not UTF-8 text (byte {byte})")]
    NotText { byte: usize },
    #[error("not YAML: {0}")]
    Syntax(String),
    #[error("the file is empty")]
    Empty,
    #[error("a second document; one file holds one")]
    SecondDocument,
    #[error("nested more than {most} deep")]
    TooDeep { most: usize },
    #[error("the file has more than {most} values, with its aliases expanded")]
    TooManyValues { most: usize },
    #[error("{what} must be {wanted}, found {found}")]
    WrongShape { what: String, wanted: &'static str, found: &'static str },
    #[error("{owner} has no \"{key}\"{hint}; valid: {allowed}")]
    UnknownKey { owner: String, key: String, hint: Hint, allowed: String },
    #[error("\"{key}\" is written twice; the first is in line {first}")]
    DuplicateKey { key: String, first: usize },
    #[error("{owner} needs \"{key}\"")]
    Missing { owner: String, key: &'static str },
    #[error("{owner}: {key} = {error}")]
    Value { owner: String, key: String, error: ValueError },
    #[error("{owner}: {key} = \"{found}\": {why}")]
    BadText { owner: String, key: &'static str, found: String, why: String },
    #[error("{owner}: {key} is {found}; {allowed}")]
    Text { owner: String, key: String, found: String, allowed: String },
    #[error("no node type \"{found}\"{hint}; there are {allowed}")]
    UnknownKind { found: String, hint: Hint, allowed: String },
    #[error("a node is written as one \"type: {{...}}\"; found {found}")]
    NotANode { found: String },
    #[error("id \"{id}\" is already used by the node in line {first}; give this node another id")]
    DuplicateId { id: String, first: usize },
    #[error("a chain needs at least one node")]
    EmptyChain,
    #[error("{found} nodes; a chain holds at most {most}")]
    TooManyNodes { found: usize, most: usize },
    #[error("{owner}: {found} {list}; at most {most} are allowed")]
    TooManyParts { owner: String, list: &'static str, found: usize, most: usize },
    #[error("{owner}: {found} {list}; {least} to {most} are allowed")]
    TooFewParts { owner: String, list: &'static str, found: usize, least: usize, most: usize },
    #[error("{owner}: no node or input \"{name}\" here{hint}; there are {allowed}")]
    UnknownSource { owner: String, name: String, hint: Hint, allowed: String },
    #[error("no output \"{name}\"{hint}; the station has {allowed}")]
    UnknownOutput { name: String, hint: Hint, allowed: String },
    #[error("a cycle: {}", .path.join(" -> "))]
    Cycle { path: Vec<String> },
    #[error(
        "the output of {owner} is used by no other node and no output; remove it, or name it in an \"in:\""
    )]
    Unused { owner: String },
    #[error("{owner} is a signal source and has no \"in\"")]
    NoInput { owner: String },
    #[error("{owner} has no side-chain input (\"key\")")]
    NoKey { owner: String },
    #[error("{owner}: {what}; put a \"mix: {{channels: N}}\" between")]
    Channels { owner: String, what: String },
    #[error("{0}")]
    Other(String),
}

/// One error and its place.
#[derive(Clone, Debug, PartialEq)]
pub struct Mistake {
    /// The place; `None` if the error concerns the whole file.
    pub at: Option<At>,
    /// The error.
    pub problem: Box<Problem>,
}

impl Mistake {
    /// An error at a place.
    pub fn new(at: At, problem: Problem) -> Self {
        Self { at: Some(at), problem: Box::new(problem) }
    }

    /// An error of the whole file.
    pub fn of_file(problem: Problem) -> Self {
        Self { at: None, problem: Box::new(problem) }
    }
}

/// All errors of one file, ready to print: `file:line:column: message`, and the line below it.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    file: String,
    lines: Vec<String>,
    /// The errors, in the order of the file.
    pub mistakes: Vec<Mistake>,
}

/// Longest excerpt of a line that is printed.
const EXCERPT: usize = 100;
/// Longest message that is printed in full, in characters.
const LONGEST: usize = 1_000;

/// Text that is safe on a terminal and stays on one line: control characters, and those that change the writing
/// direction, are escaped.
pub fn printable(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Whether a character may control a terminal, end the line, or change the writing direction.
fn is_unsafe(c: char) -> bool {
    let turns =
        matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    c.is_control() || turns || matches!(c, '\u{2028}' | '\u{2029}')
}

/// The same, with the middle of a very long text left out: it begins with what was found, and ends with what is valid.
fn shortened(text: &str) -> String {
    let text = printable(text);
    let count = text.chars().count();
    if count <= LONGEST {
        return text;
    }
    let first: String = text.chars().take(LONGEST / 2).collect();
    let last: String = text.chars().skip(count - LONGEST / 2).collect();
    format!("{first} ... {last}")
}

impl Report {
    /// The errors of the file named `file`, whose text is `text`.
    pub fn new(file: impl Into<String>, text: &str, mut mistakes: Vec<Mistake>) -> Self {
        mistakes.sort_by_key(|mistake| mistake.at);
        let mut all = text.lines();
        let mut lines = Vec::new();
        let mut next = 1;
        for line in mistakes.iter().filter_map(|mistake| mistake.at).map(|at| at.line) {
            if line >= next {
                lines.push(all.nth(line - next).unwrap_or_default().to_owned());
                next = line + 1;
            } else {
                lines.push(lines.last().cloned().unwrap_or_default());
            }
        }
        Self { file: printable(&file.into()), lines, mistakes }
    }
}

impl std::error::Error for Report {}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut excerpts = self.lines.iter();
        for (i, mistake) in self.mistakes.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            let problem = shortened(&mistake.problem.to_string());
            let Some(at) = mistake.at else {
                write!(f, "{}: {problem}", self.file)?;
                continue;
            };
            write!(f, "{}:{}:{}: {problem}", self.file, at.line, at.column)?;
            let excerpt = excerpts.next().map_or("", String::as_str);
            write_excerpt(f, at, excerpt)?;
        }
        Ok(())
    }
}

/// Writes the line with a mark under the place; a long line is cut around it.
fn write_excerpt(f: &mut fmt::Formatter<'_>, at: At, line: &str) -> fmt::Result {
    let skip = at.column.saturating_sub(EXCERPT / 2);
    let printable = |c: char| if is_unsafe(c) { ' ' } else { c };
    let shown: String = line.chars().skip(skip).take(EXCERPT).map(printable).collect();
    if shown.trim().is_empty() {
        return Ok(());
    }
    let column = at.column.saturating_sub(skip + 1);
    let length = at.length.clamp(1, shown.chars().count().saturating_sub(column).max(1));
    write!(f, "\n{:>6} | {shown}\n       | {:column$}{}", at.line, "", "^".repeat(length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_of_a_file_controls_a_terminal_or_floods_it() {
        let found = format!("\u{1b}]0;title\u{7}\u{202e}{}", "x".repeat(1_000_000));
        let problem = Problem::UnknownKind { found, hint: Hint(None), allowed: "gain, eq".to_owned() };
        let at = At { line: 1, column: 4, length: 1 };
        let text = format!("a: \u{1b}[31m\u{202e}\u{61c}\u{2028}{}", "y".repeat(1_000_000));
        let shown = Report::new("bad.yaml", &text, vec![Mistake::new(at, problem)]).to_string();
        assert!(
            shown.starts_with("bad.yaml:1:4: no node type \"\\u{1b}]0;title\\u{7}\\u{202e}xxx"),
            "{shown}"
        );
        assert!(shown.contains("xxx\"; there are gain, eq\n"), "what is valid stands at the end: {shown}");
        assert!(shown.chars().count() < 1_500);
        assert!(shown.chars().all(|c| c == '\n' || !is_unsafe(c)));
    }
}
