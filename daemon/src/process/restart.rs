//! A process that takes its own place: what to do where a node does not come back, for no thread can be stopped.
//!
//! The program is executed anew, under the same number, so that whoever watches it sees no end. A note in the
//! environment tells the newcomer what hung.

use rustix::io::{FdFlags, fcntl_setfd};
use serde::{Deserialize, Serialize};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};
use std::{env, fs, io};

/// The variable that the note travels in.
const NOTE: &str = "LACQUER_HUNG";
/// Hangs farther apart have nothing to do with each other, in seconds.
const MINUTE: u64 = 60;
/// So often a minute the place is taken.
const MOST: usize = 3;

/// What hung.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Note {
    /// The chain on air.
    pub chain: String,
    /// What did not come back.
    pub what: Hung,
    /// When the place was taken within the last minute, in seconds since 1970.
    times: Vec<u64>,
}

/// What did not come back, and so what is to stay out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Hung {
    /// A node.
    Node(String),
    /// All nodes of the chain: which one is not known, or to leave it out did not help.
    Chain,
    /// The audio server's library: nothing of ours.
    Server,
}

impl Note {
    /// The note that this process was started with.
    pub fn read() -> Option<Self> {
        serde_json::from_str(&env::var(NOTE).ok()?).ok()
    }

    /// The note for the next process, after this one was started with `before`; `None` where it has been tried often
    /// enough. A chain that hangs again within a minute loses all its nodes.
    pub fn next(before: Option<&Note>, chain: &str, what: Hung) -> Option<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut times = before.map_or_else(Vec::new, |note| note.times.clone());
        times.retain(|time| now.saturating_sub(*time) < MINUTE);
        if times.len() >= MOST {
            return None;
        }
        let was_it = |note: &Note| note.chain == chain && note.what != Hung::Server;
        let is_again = !times.is_empty() && before.is_some_and(was_it);
        times.push(now);
        let what = if is_again && what != Hung::Server { Hung::Chain } else { what };
        Some(Self { chain: chain.to_owned(), what, times })
    }
}

/// Executes this program anew. Comes back only where that fails, with why.
pub fn start(note: &Note) -> io::Error {
    if let Err(error) = close_all_on_exec() {
        return error;
    }
    let note = match serde_json::to_string(note) {
        Ok(note) => note,
        Err(error) => return error.into(),
    };
    let mut args = env::args_os();
    let name = args.next().unwrap_or_default();
    // The file that runs, also where another one has its name by now.
    Command::new("/proc/self/exe").arg0(name).args(args).env(NOTE, note).exec()
}

/// Libraries open sockets that an exec would keep: a JACK server would hold the client for alive.
fn close_all_on_exec() -> io::Result<()> {
    for entry in fs::read_dir("/proc/self/fd")? {
        let Some(number) = entry?.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        if number > 2 {
            // SAFETY: the number was open a moment ago and is used for this call alone; where it has been closed or is
            // another file by now, that one is refused or marked, and all of them are to be.
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
    fn a_chain_that_hangs_again_loses_all_its_nodes_and_in_the_end_its_place() {
        let node = |name: &str| Hung::Node(name.to_owned());
        let first = Note::next(None, "a", node("n")).unwrap();
        assert_eq!((first.chain.as_str(), &first.what), ("a", &node("n")));
        assert_eq!(Note::next(Some(&first), "b", node("m")).unwrap().what, node("m"));
        let second = Note::next(Some(&first), "a", node("m")).unwrap();
        assert_eq!(second.what, Hung::Chain);
        let third = Note::next(Some(&second), "a", Hung::Chain).unwrap();
        assert_eq!(Note::next(Some(&third), "a", Hung::Chain), None);
        let old = Note { times: vec![1, 2, 3], ..third };
        assert_eq!(Note::next(Some(&old), "a", node("n")).unwrap().what, node("n"));
        // What the server did is nothing that a chain is blamed for.
        let server = Note::next(None, "a", Hung::Server).unwrap();
        assert_eq!(Note::next(Some(&server), "a", node("n")).unwrap().what, node("n"));
    }
}
