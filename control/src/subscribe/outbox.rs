//! What one client has yet to be told: of each value only the newest, at most so often a second.
//!
//! A client that moves a value itself knows it already, so that is not told back. But where another's move was on
//! its way to the client meanwhile, the client may be left with that: once the value rests, it is told what holds.

use crate::request::Subscription;
use crate::subscribe::subscription::is_meter;
use crate::update::Update;
use crate::value::Value;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Least time between two tellings of one value to one client.
const BETWEEN: Duration = Duration::from_millis(20);
/// How long after another's move was told a move of the client's own may have crossed it.
const CROSSING: Duration = Duration::from_secs(2);
/// How long a value must rest until it is told to one who may have missed it.
const RESTED: Duration = Duration::from_millis(250);

/// The values that wait for one client, by their addresses.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: BTreeMap<String, Pending>,
    /// When each value was told last. Bounded by the addresses there are.
    told: BTreeMap<String, Instant>,
    next_meters: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    values: Vec<Value>,
    due: Instant,
}

/// Whether a line holds a state, of which only the newest counts; else it is told as it comes.
fn is_state(line: &Update) -> bool {
    !(line.address.starts_with("/event/") || line.address == "/error" || line.values.is_empty())
}

impl Outbox {
    /// Takes what the client is to be told. Gives back what it is told at once.
    pub fn put(&mut self, lines: Vec<Update>, wish: &Subscription, now: Instant) -> Vec<Update> {
        let mut at_once = Vec::new();
        for line in lines {
            if !wish.has(&line.address) {
                continue;
            }
            if !is_state(&line) {
                if line.address == "/event/swap" {
                    // What nodes did that have gone is of no use.
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
                Some(letter) => {
                    let values = merged(&line.address, &letter.values, line.values);
                    *letter = Pending { values, due: due.min(letter.due) };
                }
                None => _ = self.waiting.insert(line.address, Pending { values: line.values, due }),
            }
        }
        at_once
    }

    /// The client has moved these values itself: what waited of them is old. Where another's move was told to it
    /// a short time ago, it is told what holds, once they rest.
    pub fn own(&mut self, lines: Vec<Update>, wish: &Subscription, now: Instant) {
        for line in lines.into_iter().filter(|line| wish.has(&line.address)) {
            let waited = self.waiting.remove(&line.address).is_some();
            let crossed = self.told.get(&line.address).is_some_and(|told| now < *told + CROSSING);
            if waited || crossed {
                self.waiting.insert(line.address, Pending { values: line.values, due: now + RESTED });
            }
        }
    }

    /// What is due.
    pub fn due(&mut self, wish: &Subscription, now: Instant) -> Vec<Update> {
        if self.next().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let due = self.waiting.iter().filter(|(_, letter)| letter.due <= now);
        let due: Vec<String> = due.map(|(address, _)| address.clone()).collect();
        let mut lines = Vec::with_capacity(due.len());
        for address in due {
            let Some(letter) = self.waiting.remove(&address) else { continue };
            if is_meter(&address) {
                self.next_meters = wish.meters_every().map(|every| now + every);
            } else {
                self.told.insert(address.clone(), now);
            }
            lines.push(Update::new(address, letter.values));
        }
        self.told.retain(|_, told| now < *told + CROSSING);
        lines
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|letter| letter.due).min()
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
        let (mut mail, wish, start) = (Outbox::default(), Subscription::default(), Instant::now());
        let mut told = Vec::new();
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            mail.put(line(GAIN, ms as f64), &wish, now);
            told.extend(mail.due(&wish, now));
        }
        told.extend(mail.due(&wish, start + Duration::from_secs(2)));
        assert!((45..=51).contains(&told.len()), "{} in a second", told.len());
        assert_eq!(told.last(), line(GAIN, 999.0).first(), "the last is never lost");
    }

    #[test]
    fn an_own_move_is_not_told_back_unless_anothers_crossed_it() {
        let (mut mail, wish, start) = (Outbox::default(), Subscription::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        mail.own(line(GAIN, 1.0), &wish, at(0));
        assert_eq!(mail.due(&wish, at(5_000)), []);
        mail.put(line(GAIN, 2.0), &wish, at(5_000));
        assert_eq!(mail.due(&wish, at(5_000)), line(GAIN, 2.0));
        mail.own(line(GAIN, 3.0), &wish, at(5_010));
        mail.own(line(GAIN, 4.0), &wish, at(5_200));
        assert_eq!(mail.due(&wish, at(5_400)), [], "its hand is still on it");
        assert_eq!(mail.due(&wish, at(5_450)), line(GAIN, 4.0));
    }

    #[test]
    fn meters_come_at_the_clients_rate_and_lose_no_peak() {
        let wish = Subscription { meters_hz: 5.0, ..Subscription::default() };
        let (mut mail, start) = (Outbox::default(), Instant::now());
        let mut told = Vec::new();
        for look in 0..40 {
            let now = start + Duration::from_millis(50 * look);
            let value = if look == 21 { -3.0 } else { -20.0 };
            mail.put(line("/meter/output/peak", value), &wish, now);
            told.extend(mail.due(&wish, now));
        }
        assert!((9..=11).contains(&told.len()), "{} in 2 s", told.len());
        assert!(told.contains(&line("/meter/output/peak", -3.0)[0]));
        let (mut mail, none) = (Outbox::default(), Subscription { meters_hz: 0.0, ..wish });
        assert_eq!(mail.put(line("/meter/output/peak", 0.0), &none, start), []);
        assert_eq!(mail.due(&none, start + Duration::from_secs(9)).len(), 0);
    }
}
