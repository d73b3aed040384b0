//! Whether what comes is what was recorded.

use super::Line;
use super::script::{GLIDES, Script};
use crate::daemon::PATIENCE;
use std::collections::{BTreeMap, VecDeque};

/// What was recorded and has not come yet.
pub(super) struct Judge<'a> {
    file: &'a str,
    script: &'a Script,
    waiting: BTreeMap<(String, String), VecDeque<Recorded<'a>>>,
    /// How many lines of each step have not come.
    left: Vec<usize>,
    step: usize,
    /// The value that each glide is at.
    glides: BTreeMap<(String, String), f64>,
}

struct Recorded<'a> {
    step: usize,
    at: usize,
    line: &'a Line,
}

impl<'a> Judge<'a> {
    pub(super) fn new(file: &'a str, script: &'a Script) -> Self {
        let mut waiting: BTreeMap<_, VecDeque<_>> = BTreeMap::new();
        for (step, asked) in script.steps.iter().enumerate() {
            for (at, line) in &asked.expected {
                waiting.entry(line.key()).or_default().push_back(Recorded { step, at: *at, line });
            }
        }
        let left = script.steps.iter().map(|step| step.expected.len()).collect();
        Self { file, script, waiting, left, step: 0, glides: BTreeMap::new() }
    }

    /// The request of this step is about to be made.
    pub(super) fn begin(&mut self, step: usize) {
        self.step = step;
    }

    /// Whether all has come that this step and those before it bring.
    pub(super) fn has_all(&self) -> bool {
        self.left[..=self.step].iter().all(|left| *left == 0)
    }

    /// Takes a line: the next one that was recorded of its client and address, or the session has failed.
    pub(super) fn heard(&mut self, line: Line) {
        let key = line.key();
        let waiting = self.waiting.entry(key.clone()).or_default();
        let Some(next) = waiting.front() else {
            self.fail(None, &format!("no more of \"{} {}\"", line.client, line.address), &line.to_string());
        };
        let (at, step, expected) = (next.at, next.step, next.line);
        if let Some(end) = expected.rest.strip_prefix(GLIDES).filter(|end| *end != line.rest) {
            self.glide(key, at, end, &line);
            return;
        }
        let rest = expected.rest.strip_prefix(GLIDES).unwrap_or(&expected.rest);
        if rest != line.rest {
            self.fail(Some(at), &expected.to_string(), &line.to_string());
        }
        waiting.pop_front();
        self.left[step] -= 1;
        self.glides.remove(&key);
    }

    /// A value on its way: it never goes back.
    fn glide(&mut self, key: (String, String), at: usize, end: &str, line: &Line) {
        let (Ok(end), Ok(is)) = (end.parse::<f64>(), line.rest.parse::<f64>()) else { return };
        let was = self.glides.insert(key, is).unwrap_or(is);
        if (end - is).abs() > (end - was).abs() || (end - is) * (end - was) < 0.0 {
            self.fail(Some(at), &format!("a value between {was} and {end}"), &line.to_string());
        }
    }

    /// What was waited for has not come.
    pub(super) fn in_vain(&self) -> ! {
        let missing = self.waiting.values().flatten().filter(|next| next.step <= self.step);
        let Some(first) = missing.min_by_key(|next| next.at) else {
            panic!("{}: nothing is missing", self.file)
        };
        let found = format!("nothing more within {} s", PATIENCE.as_secs());
        self.fail(Some(first.at), &first.line.to_string(), &found)
    }

    fn fail(&self, at: Option<usize>, expected: &str, found: &str) -> ! {
        let asked = &self.script.steps[self.step];
        panic!(
            "{}:{}: not as it was recorded\n  request   {} (line {})\n  expected  {expected}\n  found     {found}\n\
             If it is meant to be so from now on: make golden, and look at the diff.",
            self.file,
            at.unwrap_or(asked.at),
            asked.words.join(" "),
            asked.at,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::script::sorted;
    use std::panic::catch_unwind;

    const TEXT: &str = "# Two steps.\nstation plain\nudp desk /a\n    desk /a 1\n    desk /b glides to 9\n\n\
                        udp desk /c\nwait desk /c 3\n    desk /a 2\n    desk /c 3\n";

    /// What is said of lines that come of the first step; `None` where all is well.
    fn said(lines: &[&str]) -> Option<String> {
        let judged = catch_unwind(|| {
            let script = Script::parse("x", TEXT);
            let mut judge = Judge::new("x", &script);
            for line in lines {
                let words: Vec<&str> = line.split(' ').collect();
                judge.heard(Line::new(words[0], words[1], words[2]));
            }
            if !judge.has_all() {
                judge.in_vain();
            }
        });
        judged.err().map(|why| *why.downcast::<String>().unwrap())
    }

    #[test]
    fn only_what_was_recorded_passes_in_order_for_each_address() {
        for well in [
            &["desk /a 1", "desk /b 2", "desk /b 9"][..],
            &["desk /b 9", "desk /a 1"],
            // What the next step brings may come early; what comes of it does not change.
            &["desk /c 3", "desk /a 1", "desk /a 2", "desk /b 9"],
        ] {
            assert_eq!(said(well), None);
        }
        for (wrong, why) in [
            (
                &["desk /a 2"][..],
                "x:4: not as it was recorded\n  request   udp desk /a (line 3)\n  expected  desk /a 1\n  found     desk /a 2",
            ),
            (&["tablet /a 1"], "no more of \"tablet /a\""),
            (&["desk /c 3", "desk /c 3"], "no more of \"desk /c\""),
            (&["desk /b 5", "desk /b 4"], "a value between 5 and 9"),
            (&["desk /a 1"], "desk /b glides to 9\n  found     nothing more"),
        ] {
            let said = said(wrong).expect("it is wrong");
            assert!(said.contains(why), "{said}");
        }
    }

    #[test]
    fn a_session_is_written_as_it_was_read() {
        let script = Script::parse("x", TEXT);
        assert_eq!(script.text(), TEXT);
        let values: Vec<Line> =
            (0..9).map(|value| Line::new("desk", "/node/x", &value.to_string())).collect();
        assert_eq!(sorted(values)[0].1.to_string(), "desk /node/x glides to 8");
    }
}
