//! What a thread does that makes no progress: whether it is stuck, or the machine gives it no time.

use rustix::thread::Pid;
use std::fs;
use std::time::{Duration, Instant};

/// How much time of a processor a thread had had at a time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    at: Instant,
    ran: Duration,
}

/// Looks how much a thread has run; `None` where the system does not say.
pub(super) fn read(thread: Option<Pid>) -> Option<Seen> {
    let path = format!("/proc/self/task/{}/schedstat", thread?.as_raw_nonzero());
    let ran = fs::read_to_string(path).ok()?.split(' ').next()?.parse().ok()?;
    Some(Seen { at: Instant::now(), ran: Duration::from_nanos(ran) })
}

/// What it has done since it was looked at, in words; nothing where the system does not say.
pub(super) fn since(before: Option<Seen>, thread: Option<Pid>) -> &'static str {
    let told = || {
        let (before, now) = (before?, read(thread)?);
        let stat = fs::read_to_string(format!("/proc/self/task/{}/stat", thread?.as_raw_nonzero())).ok()?;
        // proc(5): the state stands behind the name, which is in brackets and may hold anything.
        let state = stat.rsplit_once(") ")?.1.chars().next()?;
        Some(words(state, now.ran.saturating_sub(before.ran), now.at - before.at))
    };
    told().unwrap_or_default()
}

fn words(state: char, ran: Duration, passed: Duration) -> &'static str {
    match state {
        _ if ran >= passed / 2 => " (it is busy with one thing)",
        'R' => " (it is ready to run, and other programs have the processors)",
        'D' => " (it waits for a device)",
        _ => " (it waits for something)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_is_let_run_is_told_from_one_that_is_not() {
        let ms = Duration::from_millis;
        assert_eq!(words('R', ms(4_900), ms(5_000)), " (it is busy with one thing)");
        assert_eq!(
            words('R', ms(20), ms(5_000)),
            " (it is ready to run, and other programs have the processors)"
        );
        assert_eq!(words('S', ms(0), ms(5_000)), " (it waits for something)");
        assert_eq!(words('D', ms(0), ms(5_000)), " (it waits for a device)");
    }

    #[test]
    fn a_thread_can_be_looked_at_and_one_that_is_unknown_says_nothing() {
        let own = Some(rustix::thread::gettid());
        let before = read(own);
        assert!(before.is_some());
        assert!(since(before, own).starts_with(" (it is "), "it runs");
        assert_eq!((since(None, own), since(before, None)), ("", ""));
    }
}
