//! Lines of the audit log that are merged, where a client causes more than are written.

use crate::desk::turn::AuditLine;
use crate::subscribe::quota::Line;

impl Line for AuditLine {
    /// Of a value of a node its chain and its address; of all else only the kind (`scene`, `swap`, `undo`), because clients
    /// choose the names.
    type Key = (String, String);

    fn key(&self) -> Self::Key {
        if self.what.starts_with("/node/") {
            return (self.chain.clone(), self.what.clone());
        }
        (String::new(), self.what.split(' ').next().unwrap_or_default().to_owned())
    }

    /// From the value before the first change to the value after the last.
    fn merge(&mut self, later: Self) {
        let is_same = self.what == later.what;
        let from = std::mem::take(&mut self.from);
        *self = later;
        if is_same {
            self.from = from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    fn line(chain: &str, what: &str, from: &str, to: &str) -> AuditLine {
        let [chain, what, from, to] = [chain, what, from, to].map(str::to_owned);
        AuditLine { by: Peer::Midi(0), chain, what, from, to }
    }

    #[test]
    fn changes_of_a_value_are_one_from_the_first_to_the_last() {
        let mut first = line("a", "/node/glue/ratio", "1", "2");
        let last = line("a", "/node/glue/ratio", "7", "4");
        assert_eq!(first.key(), last.key());
        first.merge(last);
        assert_eq!(first, line("a", "/node/glue/ratio", "1", "4"));
        assert_ne!(first.key(), line("b", "/node/glue/ratio", "1", "2").key(), "another chain's value");
        assert_ne!(first.key(), line("a", "/node/glue/knee", "1", "2").key());
    }

    #[test]
    fn names_that_clients_choose_make_no_more_lines() {
        let mut first = line("a", "scene x", "", "saved");
        let last = line("b", "scene y", "", "deleted");
        assert_eq!(first.key(), last.key());
        first.merge(last.clone());
        assert_eq!(first, last);
        let mut swap = line("b", "swap", "a", "b");
        swap.merge(line("c", "swap", "b", "c"));
        assert_eq!(swap, line("c", "swap", "a", "c"));
    }
}
