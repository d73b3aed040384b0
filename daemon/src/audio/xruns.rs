//! Missed deadlines, and why, as far as it is known.

use lacquer_control::message::Missed;
use std::time::{Duration, Instant};

/// The reasons, by their words: the callback took longer than its block; it was let run late, by the machine or by its
/// server; neither, so it was another client or the server.
pub const REASONS: [&str; 3] = ["own", "late", "other"];
/// The reasons for the log.
const PLAIN: [&str; 3] = ["took longer than their block", "began late", "another client or the server"];

/// What the callback says of itself and what the backend says of it lie at most so far apart.
const NEAR: Duration = Duration::from_millis(100);

/// Deadlines missed since the start.
#[derive(Default)]
pub struct Xruns {
    /// How many, by reason.
    counts: [u64; 3],
    /// How many the present link has told.
    of_link: u64,
    /// How many wait for a reason, and since when.
    waiting: Option<(u64, Instant)>,
    /// When the callback said last that it was too long, and too late.
    seen: [Option<Instant>; 2],
    /// Nothing counts while there is no deadline.
    pub is_free: bool,
}

impl Xruns {
    /// A new link counts from 0.
    pub fn new_link(&mut self, is_free: bool) {
        (self.of_link, self.is_free) = (0, is_free);
    }

    /// The callback says that it missed its deadline.
    pub fn seen(&mut self, why: Missed, now: Instant) {
        self.seen[why as usize] = Some(now);
    }

    /// The backend says how many deadlines were missed since the link was opened.
    pub fn missed(&mut self, count: u64, now: Instant) {
        let more = count.saturating_sub(std::mem::replace(&mut self.of_link, count));
        if more > 0 && !self.is_free {
            let (before, since) = self.waiting.unwrap_or((0, now));
            self.waiting = Some((before + more, since));
        }
    }

    /// The number of a reason for the deadlines that were missed, once it is known.
    pub fn explained(&mut self, now: Instant) -> Option<usize> {
        let (count, since) = self.waiting?;
        let is_near =
            |seen: &Option<Instant>| seen.is_some_and(|seen| now.saturating_duration_since(seen) < NEAR);
        let why = self.seen.iter().position(is_near);
        let why = why.or_else(|| (now.saturating_duration_since(since) >= NEAR).then_some(2))?;
        self.waiting = None;
        self.counts[why] += count;
        Some(why)
    }

    /// All of them.
    pub fn sum(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// How many for each of [`REASONS`].
    pub fn by_reason(&self) -> [(&'static str, u64); 3] {
        [0, 1, 2].map(|why| (REASONS[why], self.counts[why]))
    }

    /// All of them for the log.
    pub fn plain(&self) -> String {
        let parts = PLAIN.iter().zip(self.counts).filter(|(_, count)| *count > 0);
        let parts: Vec<String> = parts.map(|(why, count)| format!("{count} {why}")).collect();
        parts.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_deadline_has_the_reason_that_was_seen_near_it() {
        let (mut xruns, start) = (Xruns::default(), Instant::now());
        let at = |ms: u64| start + Duration::from_millis(ms);
        xruns.seen(Missed::Own, at(0));
        xruns.missed(1, at(5));
        assert_eq!(xruns.explained(at(5)), Some(0));
        xruns.missed(3, at(500));
        assert_eq!(xruns.explained(at(505)), None, "the callback may still run");
        xruns.seen(Missed::Late, at(510));
        assert_eq!(xruns.explained(at(510)), Some(1));
        xruns.missed(4, at(1000));
        assert_eq!((xruns.explained(at(1050)), xruns.explained(at(1100))), (None, Some(2)));
        assert_eq!(xruns.by_reason(), [("own", 1), ("late", 2), ("other", 1)]);
        xruns.new_link(true);
        xruns.missed(9, at(2000));
        assert_eq!((xruns.explained(at(2200)), xruns.sum()), (None, 4));
        assert_eq!(
            xruns.plain(),
            "1 took longer than their block, 2 began late, 1 another client or the server"
        );
    }
}
