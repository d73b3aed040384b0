//! What is still to be sent to one client: of each address only the newest value, at most 50 times a second.
//!
//! A client's own changes are not sent back to it. If another client's change was sent shortly before, the two may have
//! crossed, and the client may show the wrong one: it is sent the current value once the value no longer changes.

use crate::request::Subscription;
use crate::subscribe::subscription::is_meter;
use crate::update::Update;
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Least time between two updates of one address to one client.
const BETWEEN: Duration = Duration::from_millis(20);
/// How long after an update a change of the client's own may have crossed it.
const CROSSING: Duration = Duration::from_secs(2);
/// How long a value must stay unchanged until it is sent to a client that may show another.
const RESTED: Duration = Duration::from_millis(250);

/// The values that wait for one client, by their addresses.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<String, Pending>,
    /// When each address was sent last. Bounded by the number of addresses.
    told: BTreeMap<String, Instant>,
    next_meters: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    values: Vec<Value>,
    due: Instant,
}

/// Whether an update holds a state, of which only the newest counts; others are all sent.
fn is_state(line: &Update) -> bool {
    !(line.address.starts_with("/event/") || line.address == "/error" || line.values.is_empty())
}

impl Outbox {
    /// Keeps updates until they are due; returns those to be sent at once.
    pub fn enqueue(&mut self, lines: Vec<Update>, wish: &Subscription, now: Instant) -> Vec<Update> {
        let mut at_once = Vec::new();
        for line in lines {
            if !wish.has(&line.address) {
                continue;
            }
            if !is_state(&line) {
                if line.address == "/event/swap" {
                    // Readings of nodes that are no longer on air.
                    self.waiting.retain(|address, _| !address.contains("/meter/node/"));
                }
                at_once.push(line);
                continue;
            }
            let due = match is_meter(&line.address) {
                true => *self.next_meters.get_or_insert(now),
                false => self.told.get(&line.address).map_or(now, |told| (*told + BETWEEN).max(now)),
            };
            match self.waiting.get_mut(&line.address) {
                Some(pending) => {
                    let values = merged(&line.address, &pending.values, line.values);
                    *pending = Pending { values, due: due.min(pending.due) };
                }
                None => _ = self.waiting.insert(line.address, Pending { values: line.values, due }),
            }
        }
        at_once
    }

    /// Records changes that the client made itself: older values are not sent. If another's change may have crossed one,
    /// its value is sent once it no longer changes.
    pub fn record_own_change(&mut self, lines: Vec<Update>, wish: &Subscription, now: Instant) {
        for line in lines.into_iter().filter(|line| wish.has(&line.address)) {
            let waited = self.waiting.remove(&line.address).is_some();
            let crossed = self.told.get(&line.address).is_some_and(|told| now < *told + CROSSING);
            if waited || crossed {
                self.waiting.insert(line.address, Pending { values: line.values, due: now + RESTED });
            }
        }
    }

    /// Removes the updates that are due, and returns them.
    pub fn drain_due(&mut self, wish: &Subscription, now: Instant) -> Vec<Update> {
        if self.next_due().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let due = self.waiting.iter().filter(|(_, pending)| pending.due <= now);
        let due: Vec<String> = due.map(|(address, _)| address.clone()).collect();
        let mut lines = Vec::with_capacity(due.len());
        for address in due {
            let Some(pending) = self.waiting.remove(&address) else { continue };
            if is_meter(&address) {
                self.next_meters = wish.meters_every().map(|every| now + every);
            } else {
                self.told.insert(address.clone(), now);
            }
            lines.push(Update::new(address, pending.values));
        }
        self.told.retain(|_, told| now < *told + CROSSING);
        lines
    }

    /// When the next update is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|pending| pending.due).min()
    }
}

/// What is shown of readings of which only one is told: of peaks the highest, of gain reductions the deepest.
fn merged(address: &str, was: &[Value], is: Vec<Value>) -> Vec<Value> {
    if !is_meter(address) {
        return is;
    }
    let name = address.rsplit('/').next().unwrap_or_default();
    match (was, is.as_slice()) {
        ([Value::Number(was)], [Value::Number(is)]) if name == "peak" => vec![Value::Number(was.max(*is))],
        ([Value::Number(was)], [Value::Number(is)]) if name.starts_with("reduction") => {
            vec![Value::Number(was.min(*is))]
        }
        _ => is,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GAIN: &str = "/norm/level/gain";

    fn line(address: &str, value: f64) -> Vec<Update> {
        vec![Update::number(address, value)]
    }

    #[test]
    fn of_a_value_only_the_newest_is_told_and_not_too_often() {
        let (mut outbox, wish, start) = (Outbox::default(), Subscription::default(), Instant::now());
        let mut told = Vec::new();
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            outbox.enqueue(line(GAIN, ms as f64), &wish, now);
            told.extend(outbox.drain_due(&wish, now));
        }
        told.extend(outbox.drain_due(&wish, start + Duration::from_secs(2)));
        assert!((45..=51).contains(&told.len()), "{} in a second", told.len());
        assert_eq!(told.last(), line(GAIN, 999.0).first(), "the last is never lost");
    }

    #[test]
    fn an_own_move_is_not_told_back_unless_anothers_crossed_it() {
        let (mut outbox, wish, start) = (Outbox::default(), Subscription::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        outbox.record_own_change(line(GAIN, 1.0), &wish, at(0));
        assert_eq!(outbox.drain_due(&wish, at(5_000)), []);
        outbox.enqueue(line(GAIN, 2.0), &wish, at(5_000));
        assert_eq!(outbox.drain_due(&wish, at(5_000)), line(GAIN, 2.0));
        outbox.record_own_change(line(GAIN, 3.0), &wish, at(5_010));
        outbox.record_own_change(line(GAIN, 4.0), &wish, at(5_200));
        assert_eq!(outbox.drain_due(&wish, at(5_400)), [], "it still changes it");
        assert_eq!(outbox.drain_due(&wish, at(5_450)), line(GAIN, 4.0));
    }

    #[test]
    fn meters_come_at_the_clients_rate_and_lose_no_peak() {
        let wish = Subscription { meters_hz: 5.0, ..Subscription::default() };
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let mut told = Vec::new();
        for look in 0..40 {
            let now = start + Duration::from_millis(50 * look);
            let value = if look == 21 { -3.0 } else { -20.0 };
            outbox.enqueue(line("/meter/output/peak", value), &wish, now);
            told.extend(outbox.drain_due(&wish, now));
        }
        assert!((9..=11).contains(&told.len()), "{} in 2 s", told.len());
        assert!(told.contains(&line("/meter/output/peak", -3.0)[0]));
        let (mut outbox, none) = (Outbox::default(), Subscription { meters_hz: 0.0, ..wish });
        assert_eq!(outbox.enqueue(line("/meter/output/peak", 0.0), &none, start), []);
        assert_eq!(outbox.drain_due(&none, start + Duration::from_secs(9)).len(), 0);
    }
}
