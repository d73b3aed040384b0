//! Errors quote what a client sent, but never at length: an answer is not made large by what it answers.

use crate::update::Update;
use crate::value::Value;

/// Most characters that are quoted of what was sent.
pub(crate) const MOST_QUOTED: usize = 64;
/// Most bytes of each text of an error.
pub const LONGEST: usize = 1_024;

/// An update as it is sent in answer to a client: in an error, long quotations are shortened.
pub fn shortened(update: &Update) -> Update {
    let mut update = update.clone();
    if update.address == "/error" {
        for (at, value) in update.values.iter_mut().enumerate() {
            if let Value::Text(text) = value {
                // The first is the address that was sent.
                *text = if at == 0 { cut(text) } else { why(text) };
            }
        }
    }
    update
}

/// The first characters of what was sent, where it is long.
pub fn cut(text: &str) -> String {
    match text.char_indices().nth(MOST_QUOTED) {
        Some(_) => text.chars().take(MOST_QUOTED - 1).chain(['…']).collect(),
        None => text.to_owned(),
    }
}

/// A sentence with its quotations and its longest words cut.
fn why(text: &str) -> String {
    let part = |(at, part): (usize, &str)| match at % 2 {
        1 => cut(part),
        _ => part.split(' ').map(cut).collect::<Vec<_>>().join(" "),
    };
    let mut text = text.split('"').enumerate().map(part).collect::<Vec<_>>().join("\"");
    if text.len() > LONGEST {
        let end = (0..=LONGEST - '…'.len_utf8()).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn error(address: &str, why: &str) -> Vec<String> {
        let update = shortened(&Update::words("/error", &[address, why]));
        let text = |value: Value| if let Value::Text(text) = value { text } else { panic!("{value:?}") };
        update.values.into_iter().map(text).collect()
    }

    #[test]
    fn an_error_quotes_64_characters_at_most_and_keeps_its_own_words() {
        let long = "ü".repeat(10_000);
        let quoted = "ü".repeat(63) + "…";
        let why = |name: &str| format!("no chain \"{name}\", did you mean \"a\"?; there are a, b");
        assert_eq!(error(&long, &why(&long)), [quoted.clone(), why(&quoted)]);
        let just = "x".repeat(64);
        assert_eq!(error(&just, &why(&just)), [just.clone(), why(&just)]);
        assert_eq!(error("/", &format!("{long} is wrong"))[1], format!("{quoted} is wrong"));
        let tricky = "\" x ".repeat(10_000);
        let [_, text] = &error("/", &why(&tricky))[..] else { panic!("two texts") };
        assert!(text.len() <= LONGEST, "{}", text.len());
    }

    #[test]
    fn values_are_sent_as_they_are() {
        let value = Update::words("/node/a/impulse", &[&"x".repeat(10_000)]);
        assert_eq!(shortened(&value), value);
    }
}
