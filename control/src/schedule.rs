//! Bundles of requests that wait for their time.

use crate::request::RequestBundle;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

/// Largest time from now to the time tag of a bundle, and most bundles that wait.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);
const MOST: usize = 1_024;

/// The bundles that wait, by their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Schedule(BTreeMap<SystemTime, Vec<RequestBundle>>);

impl Schedule {
    /// Keeps a bundle until its time; returns it if it is due now.
    ///
    /// # Errors
    /// Why it cannot be kept.
    pub fn add(
        &mut self,
        bundle: RequestBundle,
        now: SystemTime,
    ) -> Result<Option<RequestBundle>, &'static str> {
        let Some(due) = bundle.due.filter(|due| *due > now) else { return Ok(Some(bundle)) };
        if due > now + MAX_AHEAD {
            return Err("the time tag of the bundle is more than an hour ahead; bundle discarded");
        }
        if self.0.values().map(Vec::len).sum::<usize>() >= MOST {
            return Err("too many bundles wait for their time; bundle discarded");
        }
        self.0.entry(due).or_default().push(bundle);
        Ok(None)
    }

    /// The bundles that are due, in order.
    pub fn take_due(&mut self, now: SystemTime) -> Vec<RequestBundle> {
        let mut due = Vec::new();
        while let Some(first) = self.0.first_entry().filter(|first| *first.key() <= now) {
            due.extend(first.remove());
        }
        due
    }

    /// Time until the next one is due.
    pub fn time_to_next(&self, now: SystemTime) -> Option<Duration> {
        self.0.keys().next().map(|due| due.duration_since(now).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::Peer;

    #[test]
    fn bundles_wait_for_their_time_in_order_and_not_without_end() {
        let start = SystemTime::UNIX_EPOCH;
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let bundle =
            |due: SystemTime| RequestBundle { by: Peer::Files, requests: Vec::new(), due: Some(due) };
        let mut schedule = Schedule::default();
        assert_eq!(schedule.add(bundle(at(5)), at(5)), Ok(Some(bundle(at(5)))), "due already");
        assert_eq!(schedule.add(bundle(at(9)), at(5)), Ok(None));
        assert_eq!(schedule.add(bundle(at(7)), at(5)), Ok(None));
        assert!(schedule.add(bundle(at(3_606)), at(5)).is_err());
        assert_eq!(schedule.time_to_next(at(5)), Some(Duration::from_secs(2)));
        assert_eq!(schedule.take_due(at(6)), []);
        assert_eq!(schedule.take_due(at(9)), [bundle(at(7)), bundle(at(9))]);
        for _ in 0..MOST {
            assert_eq!(schedule.add(bundle(at(9)), at(5)), Ok(None));
        }
        assert!(schedule.add(bundle(at(9)), at(5)).is_err());
    }
}
