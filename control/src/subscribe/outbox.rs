//! What one client has yet to be told: of each value only the newest, at most so often a second.
//!
//! A client that moves a value itself knows it already, so that is not told back. But where another's move was on
//! its way to the client meanwhile, the client may be left with that: once the value rests, it is told what holds.

use crate::request::Subscription;
use crate::subscribe::subscription::is_meter;
use crate::update::Update;
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
    line: Update,
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
            if !wish.has(&line) {
                continue;
            }
            if line.is_none() {
                self.waiting.remove(&line.address);
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
                Some(pending) => {
                    *pending = Pending { line: line.after(&pending.line), due: due.min(pending.due) };
                }
                None => _ = self.waiting.insert(line.address.clone(), Pending { line, due }),
            }
        }
        at_once
    }

    /// The client has moved these values itself: what waited of them is old. Where another's move was told to it
    /// a short time ago, it is told what holds, once they rest.
    pub fn own(&mut self, lines: Vec<Update>, wish: &Subscription, now: Instant) {
        for line in lines.into_iter().filter(|line| wish.has(line)) {
            let waited = self.waiting.remove(&line.address).is_some();
            let crossed = self.told.get(&line.address).is_some_and(|told| now < *told + CROSSING);
            if waited || crossed {
                self.waiting.insert(line.address.clone(), Pending { line, due: now + RESTED });
            }
        }
    }

    /// What is due.
    pub fn due(&mut self, wish: &Subscription, now: Instant) -> Vec<Update> {
        if self.next().is_none_or(|next| next > now) {
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
                self.told.insert(address, now);
            }
            lines.push(pending.line);
        }
        self.told.retain(|_, told| now < *told + CROSSING);
        lines
    }

    /// When something is due next.
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|pending| pending.due).min()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::value::Value;
    use lacquer_graph::metering::READINGS;
    use lacquer_graph::param::Unit;
    use lacquer_graph::reading::{REDUCTION, Reading};

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
            mail.put(peak(value), &wish, now);
            told.extend(mail.due(&wish, now));
        }
        assert!((9..=11).contains(&told.len()), "{} in 2 s", told.len());
        assert!(told.contains(&peak(-3.0)[1]));
        let (mut mail, none) = (Outbox::default(), Subscription { meters_hz: 0.0, ..wish });
        assert_eq!(mail.put(peak(0.0), &none, start), []);
        assert_eq!(mail.due(&none, start + Duration::from_secs(9)).len(), 0);
    }

    /// The row of a tap's reading.
    fn row(name: &str) -> &'static Reading {
        READINGS.iter().map(|(row, _)| row).find(|row| row.name == name).unwrap()
    }

    fn peak(value: f64) -> Vec<Update> {
        Update::reading("output/peak", row("peak"), Some(value)).into()
    }

    #[test]
    fn of_several_readings_the_row_says_which_is_sent_and_its_text_is_of_the_same() {
        let wish = Subscription { text: true, ..Subscription::default() };
        // The path has another name than the row: names say nothing.
        for (row, wanted) in [(row("peak"), -3.0), (&REDUCTION, -20.0), (row("momentary"), -9.0)] {
            let (mut mail, start) = (Outbox::default(), Instant::now());
            for value in [-12.0, -3.0, -20.0, -9.0] {
                mail.put(Update::reading("some/where", row, Some(value)).into(), &wish, start);
            }
            let mut sent = mail.due(&wish, start);
            sent.sort_by(|one, other| other.address.cmp(&one.address));
            assert_eq!(sent, Update::reading("some/where", row, Some(wanted)), "{}", row.name);
        }
    }

    #[test]
    fn where_there_is_no_reading_nothing_is_sent_but_a_dash_as_text() {
        let wish = Subscription { text: true, ..Subscription::default() };
        let (mut mail, start) = (Outbox::default(), Instant::now());
        mail.put(peak(-3.0), &wish, start);
        let at_once = mail.put(Update::reading("output/peak", row("peak"), None).into(), &wish, start);
        assert_eq!(at_once, []);
        let sent = mail.due(&wish, start);
        let sent: Vec<_> = sent.into_iter().map(|line| (line.address, line.values)).collect();
        assert_eq!(sent, [("/text/meter/output/peak".to_owned(), vec![Value::Text("-".to_owned())])]);
    }

    #[test]
    fn arrays_are_sent_to_those_who_ask_for_them() {
        static BANDS: Reading = Reading::new("bands", Unit::Dbfs, "").array(3);
        let lines = || vec![Update::array("output/bands", &BANDS, [1.0, 2.0, 3.0])];
        for arrays in [false, true] {
            let wish = Subscription { arrays, ..Subscription::default() };
            let (mut mail, start) = (Outbox::default(), Instant::now());
            mail.put(lines(), &wish, start);
            assert_eq!(mail.due(&wish, start), if arrays { lines() } else { vec![] });
        }
    }
}
