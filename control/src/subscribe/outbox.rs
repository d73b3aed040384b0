//! What is still to be sent to one client: of each address only the newest value, at most 50 times a second.
//!
//! A client's own changes are not sent back to it. If another client's change was sent shortly before, the two may have
//! crossed, and the client may show the wrong one: it is sent the current value once the value no longer changes.

use crate::subscribe::wanted::Wanted;
use crate::update::Update;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Most addresses of which a value waits, and most of which the time is known at which one was sent.
pub(crate) const MOST_ADDRESSES: usize = 16_384;
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
    /// When each address was sent last.
    sent: BTreeMap<String, Instant>,
    next_meters: Option<Instant>,
}

#[derive(Debug)]
struct Pending {
    line: Update,
    due: Instant,
}

impl Outbox {
    /// Keeps copies of the updates that are wanted until they are due; returns those to be sent at once.
    pub fn enqueue(&mut self, lines: &[Update], wanted: &Wanted, now: Instant) -> Vec<Update> {
        let mut at_once = Vec::new();
        for line in lines.iter().filter(|line| wanted.has(line)) {
            if line.is_none() {
                self.waiting.remove(&line.address);
                continue;
            }
            if !line.is_state() {
                if line.address == "/event/swap" {
                    // Readings of nodes that are no longer on air.
                    self.waiting.retain(|address, _| !address.contains("/meter/node/"));
                }
                at_once.push(line.clone());
                continue;
            }
            let due = match line.is_meter() {
                true => *self.next_meters.get_or_insert(now),
                false => self.sent.get(&line.address).map_or(now, |sent| (*sent + BETWEEN).max(now)),
            };
            let has_room = self.waiting.len() < MOST_ADDRESSES;
            match self.waiting.get_mut(&line.address) {
                Some(pending) => {
                    *pending = Pending { line: line.after(&pending.line), due: due.min(pending.due) };
                }
                // Without room to wait, it goes at once: no value is lost.
                None if !has_room => at_once.push(line.clone()),
                None => {
                    self.waiting.insert(line.address.clone(), Pending { line: line.clone(), due });
                }
            }
        }
        at_once
    }

    /// Records changes that the client made itself: older values are not sent. If another's change may have crossed one,
    /// its value is sent once it no longer changes.
    pub(crate) fn record_own_change(&mut self, lines: &[Update], wanted: &Wanted, now: Instant) {
        for line in lines.iter().filter(|line| wanted.has(line)) {
            let waited = self.waiting.remove(&line.address).is_some();
            let crossed = self.sent.get(&line.address).is_some_and(|sent| now < *sent + CROSSING);
            if waited || crossed {
                self.waiting.insert(line.address.clone(), Pending { line: line.clone(), due: now + RESTED });
            }
        }
    }

    /// Removes the updates that are due, and returns them.
    pub fn drain_due(&mut self, wanted: &Wanted, now: Instant) -> Vec<Update> {
        if self.next_due().is_none_or(|next| next > now) {
            return Vec::new();
        }
        let due = self.waiting.iter().filter(|(_, pending)| pending.due <= now);
        let due: Vec<String> = due.map(|(address, _)| address.clone()).collect();
        self.sent.retain(|_, sent| now < *sent + CROSSING);
        let mut lines = Vec::with_capacity(due.len());
        for address in due {
            let Some(pending) = self.waiting.remove(&address) else { continue };
            if pending.line.is_meter() {
                self.next_meters = wanted.options.meters_every().map(|every| now + every);
            } else if self.sent.len() < MOST_ADDRESSES || self.sent.contains_key(&address) {
                self.sent.insert(address, now);
            }
            lines.push(pending.line);
        }
        lines
    }

    /// When the next update is due.
    pub fn next_due(&self) -> Option<Instant> {
        self.waiting.values().map(|pending| pending.due).min()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::request::Subscription;
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
        let (mut outbox, wanted, start) = (Outbox::default(), Wanted::default(), Instant::now());
        let mut sent = Vec::new();
        for ms in 0..1_000 {
            let now = start + Duration::from_millis(ms);
            outbox.enqueue(&line(GAIN, ms as f64), &wanted, now);
            sent.extend(outbox.drain_due(&wanted, now));
        }
        sent.extend(outbox.drain_due(&wanted, start + Duration::from_secs(2)));
        assert!((45..=51).contains(&sent.len()), "{} in a second", sent.len());
        assert_eq!(sent.last(), line(GAIN, 999.0).first(), "the last is never lost");
    }

    #[test]
    fn what_waits_is_bounded_and_no_value_is_lost() {
        let (mut outbox, wanted, start) = (Outbox::default(), Wanted::default(), Instant::now());
        let many = MOST_ADDRESSES + 1_000;
        let mut sent = Vec::new();
        for round in 0..2 {
            let lines: Vec<_> =
                (0..many).map(|at| Update::number(format!("/node/{at}"), f64::from(round))).collect();
            sent.extend(outbox.enqueue(&lines, &wanted, start));
            assert_eq!(outbox.waiting.len(), MOST_ADDRESSES);
        }
        sent.extend(outbox.drain_due(&wanted, start));
        assert_eq!(outbox.sent.len(), MOST_ADDRESSES);
        let last: BTreeMap<_, _> = sent.into_iter().map(|line| (line.address, line.values)).collect();
        assert_eq!(last.len(), many);
        assert!(last.values().all(|values| *values == [Value::Number(1.0)]));
    }

    #[test]
    fn an_own_move_is_not_told_back_unless_anothers_crossed_it() {
        let (mut outbox, wanted, start) = (Outbox::default(), Wanted::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        outbox.record_own_change(&line(GAIN, 1.0), &wanted, at(0));
        assert_eq!(outbox.drain_due(&wanted, at(5_000)), []);
        outbox.enqueue(&line(GAIN, 2.0), &wanted, at(5_000));
        assert_eq!(outbox.drain_due(&wanted, at(5_000)), line(GAIN, 2.0));
        outbox.record_own_change(&line(GAIN, 3.0), &wanted, at(5_010));
        outbox.record_own_change(&line(GAIN, 4.0), &wanted, at(5_200));
        assert_eq!(outbox.drain_due(&wanted, at(5_400)), [], "it still changes it");
        assert_eq!(outbox.drain_due(&wanted, at(5_450)), line(GAIN, 4.0));
    }

    #[test]
    fn meters_come_at_the_clients_rate_and_lose_no_peak() {
        let wanted = Wanted::all(Subscription { meters_hz: 5.0, ..Subscription::default() });
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        let mut sent = Vec::new();
        for look in 0..40 {
            let now = start + Duration::from_millis(50 * look);
            let value = if look == 21 { -3.0 } else { -20.0 };
            outbox.enqueue(&peak(value), &wanted, now);
            sent.extend(outbox.drain_due(&wanted, now));
        }
        assert!((9..=11).contains(&sent.len()), "{} in 2 s", sent.len());
        assert!(sent.contains(&peak(-3.0)[1]));
        let (mut outbox, none) =
            (Outbox::default(), Wanted::all(Subscription { meters_hz: 0.0, ..wanted.options }));
        assert_eq!(outbox.enqueue(&peak(0.0), &none, start), []);
        assert_eq!(outbox.drain_due(&none, start + Duration::from_secs(9)).len(), 0);
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
        let wanted = Wanted::all(Subscription { text: true, ..Subscription::default() });
        // The path has another name than the row: names say nothing.
        for (row, left) in [(row("peak"), -3.0), (&REDUCTION, -20.0), (row("momentary"), -9.0)] {
            let (mut outbox, start) = (Outbox::default(), Instant::now());
            for value in [-12.0, -3.0, -20.0, -9.0] {
                outbox.enqueue(&Update::reading("some/where", row, Some(value)), &wanted, start);
            }
            let mut sent = outbox.drain_due(&wanted, start);
            sent.sort_by(|one, other| other.address.cmp(&one.address));
            assert_eq!(sent, Update::reading("some/where", row, Some(left)), "{}", row.name);
        }
    }

    #[test]
    fn where_there_is_no_reading_nothing_is_sent_but_a_dash_as_text() {
        let wanted = Wanted::all(Subscription { text: true, ..Subscription::default() });
        let (mut outbox, start) = (Outbox::default(), Instant::now());
        outbox.enqueue(&peak(-3.0), &wanted, start);
        let at_once = outbox.enqueue(&Update::reading("output/peak", row("peak"), None), &wanted, start);
        assert_eq!(at_once, []);
        let sent = outbox.drain_due(&wanted, start);
        let sent: Vec<_> = sent.into_iter().map(|line| (line.address, line.values)).collect();
        assert_eq!(sent, [("/text/meter/output/peak".to_owned(), vec![Value::Text("-".to_owned())])]);
    }

    #[test]
    fn arrays_are_sent_to_those_who_ask_for_them() {
        static BANDS: Reading = Reading::new("bands", Unit::Dbfs, "").array(3);
        let lines = || vec![Update::array("output/bands", &BANDS, [1.0, 2.0, 3.0])];
        for arrays in [false, true] {
            let wanted = Wanted::all(Subscription { arrays, ..Subscription::default() });
            let (mut outbox, start) = (Outbox::default(), Instant::now());
            outbox.enqueue(&lines(), &wanted, start);
            assert_eq!(outbox.drain_due(&wanted, start), if arrays { lines() } else { vec![] });
        }
    }
}
