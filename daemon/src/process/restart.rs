//! The daemon executes itself again when a node or a library hangs: a thread that hangs cannot be stopped.
//!
//! The process number stays the same, so a service manager sees no exit. A record in the environment tells the new
//! process what hung.

use crate::process::log_writer::flush;
use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

/// The environment variable that carries the record.
const VARIABLE: &str = "LACQUER_HUNG";
/// Hangs farther apart than this count as unrelated, in seconds.
const MINUTE: u64 = 60;
/// Most restarts in a minute.
const MOST_RESTARTS: usize = 3;

/// What hung, and how often.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct HangRecord {
    /// The chain on air.
    pub chain: String,
    /// What hung.
    pub what: Hung,
    /// The restarts of the last minute, in seconds since 1970.
    times: Vec<u64>,
}

/// What hung, and so what the new process bypasses.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Hung {
    /// A node.
    Node(String),
    /// All nodes of the chain: which one is not known, or bypassing one did not help.
    Chain,
    /// The audio server's library. Nothing is bypassed.
    Server,
}

impl HangRecord {
    /// The record that this process was started with.
    pub(crate) fn read() -> Option<Self> {
        serde_json::from_str(&env::var(VARIABLE).ok()?).ok()
    }

    /// The record for the next process; this one was started with `before`. `None` after too many restarts in a minute.
    /// If a chain hangs again within a minute, all its nodes are bypassed.
    pub(crate) fn next(before: Option<&HangRecord>, chain: &str, what: Hung) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut times = before.map_or_else(Vec::new, |record| record.times.clone());
        times.retain(|time| now.saturating_sub(*time) < MINUTE);
        if times.len() >= MOST_RESTARTS {
            return None;
        }
        let is_same = |record: &HangRecord| record.chain == chain && record.what != Hung::Server;
        let is_again = !times.is_empty() && before.is_some_and(is_same);
        times.push(now);
        let what = if is_again && what != Hung::Server { Hung::Chain } else { what };
        Some(Self { chain: chain.to_owned(), what, times })
    }
}

/// Executes this program again, in the same process. Returns only if that fails.
pub(crate) fn execute_again(record: &HangRecord) -> io::Error {
    flush();
    if let Err(error) = close_all_on_exec() {
        return error;
    }
    let record = match serde_json::to_string(record) {
        Ok(record) => record,
        Err(error) => return error.into(),
    };
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    // The file that runs now, even if an upgrade has replaced it.
    Command::new("/proc/self/exe").arg0(name).args(args).env(VARIABLE, record).exec()
}

/// Ends the process; what was logged is written before.
pub(crate) fn exit(code: i32) -> ! {
    flush();
    std::process::exit(code)
}

/// Marks all files so that the exec closes them. A library's socket that stayed open would keep its JACK client
/// registered.
fn close_all_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if number > 2 {
            // SAFETY: the number was open a moment ago and is used for this call only. If it has been closed since, the
            // call fails; if it is another file by now, that one is to be marked as well.
            let file = unsafe { BorrowedFd::borrow_raw(number) };
            fcntl_setfd(file, FdFlags::CLOEXEC).ok();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_that_hangs_again_is_bypassed_whole_and_after_three_restarts_there_is_no_more() {
        let node = |name: &str| Hung::Node(name.to_owned());
        let first = HangRecord::next(None, "a", node("n")).unwrap();
        assert_eq!((first.chain.as_str(), &first.what), ("a", &node("n")));
        assert_eq!(HangRecord::next(Some(&first), "b", node("m")).unwrap().what, node("m"));
        let second = HangRecord::next(Some(&first), "a", node("m")).unwrap();
        assert_eq!(second.what, Hung::Chain);
        let third = HangRecord::next(Some(&second), "a", Hung::Chain).unwrap();
        assert_eq!(HangRecord::next(Some(&third), "a", Hung::Chain), None);
        let old = HangRecord { times: vec![1, 2, 3], ..third };
        assert_eq!(HangRecord::next(Some(&old), "a", node("n")).unwrap().what, node("n"));
        // A hang of the server's library does not count against the chain.
        let server = HangRecord::next(None, "a", Hung::Server).unwrap();
        assert_eq!(HangRecord::next(Some(&server), "a", node("n")).unwrap().what, node("n"));
    }
}
