//! The readings of the nodes on air.

use lacquer_graph::reading::Reading;
use std::collections::BTreeMap;

/// Readings of the nodes on air, by `node/ID/NAME`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeReadings {
    /// The newest value of each reading that has one.
    latest: BTreeMap<String, (&'static Reading, f64)>,
    /// Readings changed since they were last sent; `None` if there is no longer a value.
    changed: BTreeMap<String, (&'static Reading, Option<f64>)>,
}
impl NodeReadings {
    /// Records the value of a reading, in the row's unit.
    pub(super) fn record(&mut self, path: String, row: &'static Reading, value: Option<f64>) {
        let Some(value) = value else {
            if self.latest.remove(&path).is_some() {
                self.changed.insert(path, (row, None));
            }
            return;
        };
        let kept = match self.changed.get(&path) {
            Some((_, Some(before))) => row.combine.of(*before, value),
            _ => value,
        };
        self.latest.insert(path.clone(), (row, value));
        self.changed.insert(path, (row, Some(kept)));
    }

    /// Clears all values. Readings that had one, and for which `exists` holds, are sent as having none.
    pub fn clear(&mut self, exists: impl Fn(&str) -> bool) {
        // What is gone, but not yet sent as gone, stays among the changes.
        let cleared =
            std::mem::take(&mut self.latest).into_iter().map(|(path, (row, _))| (path, (row, None)));
        self.changed.extend(cleared);
        self.changed.retain(|path, _| exists(path));
    }

    /// The newest value, if there is one.
    pub fn latest(&self, path: &str) -> Option<f64> {
        self.latest.get(path).map(|(_, value)| *value)
    }

    /// The readings changed since the last call.
    pub fn take_changed(&mut self) -> impl Iterator<Item = (String, (&'static Reading, Option<f64>))> {
        std::mem::take(&mut self.changed).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use lacquer_graph::reading::REDUCTION;

    #[test]
    fn a_reading_that_is_gone_is_sent_as_gone_also_when_all_are_cleared_before() {
        let mut readings = NodeReadings::default();
        for path in ["node/a/reduction", "node/b/reduction", "node/gone/reduction"] {
            readings.record(path.to_owned(), &REDUCTION, Some(-3.0));
        }
        readings.take_changed().count();
        readings.record("node/a/reduction".to_owned(), &REDUCTION, None);
        readings.clear(|path| !path.contains("gone"));
        let sent: Vec<_> = readings.take_changed().map(|(path, (_, value))| (path, value)).collect();
        assert_eq!(sent, [("node/a/reduction".to_owned(), None), ("node/b/reduction".to_owned(), None)]);
    }
}
