//! Which updates one subscriber is sent.

use crate::request::Subscription;
use crate::update::Update;
use std::collections::HashSet;

/// Most addresses that one subscriber names.
pub(crate) const MOST_NAMED: usize = 16_384;
/// Longest address that a subscriber names, in bytes: all of ours are far shorter.
pub(crate) const LONGEST_NAMED: usize = 256;

/// Which updates one subscriber is sent: those of its options, and of these only the addresses that it named, if it
/// names any.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// The options.
    pub options: Subscription,
    /// The addresses; `None` for all.
    named: Option<HashSet<String>>,
}

impl Wanted {
    /// All addresses.
    pub fn all(options: Subscription) -> Self {
        Self { options, named: None }
    }

    /// Only addresses that will be named.
    pub fn named(options: Subscription) -> Self {
        Self { options, named: Some(HashSet::new()) }
    }

    /// Whether an update is wanted.
    pub fn has(&self, update: &Update) -> bool {
        self.named.as_ref().is_none_or(|named| named.contains(&update.address)) && self.options.has(update)
    }

    /// Names an address. False where it is too long, or too many are named.
    pub fn add(&mut self, address: &str) -> bool {
        let Some(named) = &mut self.named else { return false };
        let has_room = named.len() < MOST_NAMED && address.len() <= LONGEST_NAMED;
        has_room && (named.insert(address.to_owned()) || named.contains(address))
    }

    /// Names an address no longer.
    pub fn remove(&mut self, address: &str) {
        if let Some(named) = &mut self.named {
            named.remove(address);
        }
    }
}
