//! The texts that a row reads, as a regular expression: for JSON Schema.

use crate::param::{Param, Unit};

impl Param {
    /// `[control]` A regular expression, as ECMA-262 has them, of all the texts that the row reads. It does not know the
    /// range.
    pub fn pattern(&self) -> String {
        let texts = match self.unit {
            Unit::Switch => alternatives(["true", "on", "1", "false", "off", "0"]),
            Unit::Choice(names) => alternatives(names.iter().copied()),
            _ => {
                let number = if self.is_whole() {
                    r"[+-]?[0-9]+(\.0*)?([eE]\+?[0-9]+)?"
                } else {
                    r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
                };
                let spellings = self.unit.spellings().iter().map(|(spelling, _)| *spelling);
                let unit = match alternatives(spellings) {
                    none if none.is_empty() => none,
                    units => format!(r"\s*({units})?"),
                };
                let ends = self.bottom.into_iter().chain(self.top);
                let words = alternatives(ends.chain(self.words.iter().map(|(word, _)| *word)));
                let words = if words.is_empty() { words } else { format!("|{words}") };
                format!("{number}{unit}{words}")
            }
        };
        format!(r"^\s*({texts})\s*$")
    }
}

/// Words, in capitals or not; where one has a space, with it or without.
fn alternatives<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| word.chars().map(any_case).collect()).collect();
    words.join("|")
}

fn any_case(c: char) -> String {
    match c {
        ' ' => " *".to_owned(),
        c if c.is_ascii_alphabetic() => format!("[{}{}]", c.to_ascii_lowercase(), c.to_ascii_uppercase()),
        c if r".+*?()|[]{}^$\/".contains(c) => format!("\\{c}"),
        c => c.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_units_and_words_in_capitals_or_not() {
        let rate = Param::new(0, "rate", Unit::Hz).range(1.0, 2.0);
        let number = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?";
        assert_eq!(rate.pattern(), format!(r"^\s*({number}\s*([hH][zZ]|[kK][hH][zZ])?)\s*$"));
        let slope = Param::new(0, "slope", Unit::Choice(&["6 dB/oct"]));
        assert_eq!(slope.pattern(), r"^\s*(6 *[dD][bB]\/[oO][cC][tT])\s*$");
        let count = Param::new(0, "priority", Unit::Count).range(0.0, 95.0).bottom("off");
        assert_eq!(count.pattern(), r"^\s*([+-]?[0-9]+(\.0*)?([eE]\+?[0-9]+)?|[oO][fF][fF])\s*$");
    }
}
