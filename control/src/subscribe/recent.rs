//! A map of bounded size: of what was used, the most recent.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

/// A map of at most so many entries. For a new one, the least recently used goes.
#[derive(Debug)]
pub struct Recent<K, V> {
    most: usize,
    next: u64,
    entries: HashMap<K, (u64, V)>,
    order: BTreeMap<u64, K>,
}

impl<K: Copy + Eq + Hash, V> Recent<K, V> {
    /// An empty one.
    pub fn new(most: usize) -> Self {
        Self { most, next: 0, entries: HashMap::new(), order: BTreeMap::new() }
    }

    /// Uses the entry of a key, a new one where there is none; also returns what went for it.
    pub(crate) fn use_or_insert(&mut self, key: K, new: impl FnOnce() -> V) -> (&mut V, Option<(K, V)>) {
        let mut gone = None;
        if !self.entries.contains_key(&key) && self.entries.len() >= self.most {
            gone = self.order.pop_first().and_then(|(_, key)| Some((key, self.entries.remove(&key)?.1)));
        }
        let at = self.next;
        self.next += 1;
        let (used, value) = self.entries.entry(key).or_insert_with(|| (at, new()));
        self.order.remove(used);
        self.order.insert(at, key);
        *used = at;
        (value, gone)
    }

    /// The entry of a key, which does not count as used by this.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    /// Removes the entry of a key.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.order.remove(&used);
        Some(value)
    }

    /// All entries, in no order.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        self.entries.iter_mut().map(|(key, (_, value))| (key, value))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn for_a_new_entry_the_least_recently_used_goes() {
        let mut recent = Recent::new(3);
        for key in [1, 2, 3] {
            assert!(recent.use_or_insert(key, || key * 10).1.is_none());
        }
        *recent.use_or_insert(1, || 0).0 += 1;
        assert_eq!(recent.use_or_insert(4, || 40).1, Some((2, 20)));
        assert_eq!((recent.get(&1), recent.get(&2)), (Some(&11), None));
        assert_eq!((recent.remove(&3), recent.remove(&3)), (Some(30), None));
        assert!(recent.use_or_insert(5, || 50).1.is_none(), "there is room again");
        assert_eq!(recent.use_or_insert(6, || 60).1, Some((1, 11)));
        assert_eq!((recent.entries.len(), recent.order.len()), (3, 3));
    }
}
