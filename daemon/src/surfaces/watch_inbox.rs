//! What wakes the thread that watches files: the conductor, the system's reports, and mounts.

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::Timespec;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

/// The files to watch.
#[derive(Debug)]
pub(super) struct Asked {
    /// As the station names them.
    pub files: BTreeSet<PathBuf>,
    /// They were not read before this time of files.
    pub read_since: SystemTime,
}

/// What has happened since the thread last looked. Its size is bounded: what comes again replaces what was there.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// The newest set of files.
    pub asked: Option<Asked>,
    /// A name changed that is part of a path of a file.
    pub is_touched: bool,
    /// The watches may be gone, or changes lost: watch again, and compare all files.
    pub is_stale: bool,
    /// Which watcher has failed, and why.
    pub fault: Option<(u64, String)>,
}

/// Wakes the thread, and holds what it is woken for. Who writes to it never waits.
pub(super) struct Inbox {
    wake: OwnedFd,
    notes: Mutex<(Notes, BTreeSet<PathBuf>)>,
}

impl Inbox {
    pub(super) fn new() -> io::Result<Self> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { wake, notes: Mutex::default() })
    }

    /// The lock is held for no longer than it takes to write a note.
    fn lock(&self) -> MutexGuard<'_, (Notes, BTreeSet<PathBuf>)> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a note, and wakes the thread.
    pub(super) fn note(&self, write: impl FnOnce(&mut Notes)) {
        write(&mut self.lock().0);
        // It fails only if the thread has been woken very often, and has not come to look.
        rustix::io::write(&self.wake, &1_u64.to_ne_bytes()).ok();
    }

    /// Notes a change if it is about one of the names; `is_stale` if a watch may have ended by it.
    pub(super) fn note_change(&self, is_stale: bool, is_about: impl FnOnce(&BTreeSet<PathBuf>) -> bool) {
        let is_about = is_about(&self.lock().1);
        if is_about {
            self.note(|notes| {
                notes.is_touched = true;
                notes.is_stale |= is_stale;
            });
        }
    }

    /// Sets the names whose changes are noted.
    pub(super) fn set_names(&self, names: BTreeSet<PathBuf>) {
        self.lock().1 = names;
    }

    /// Takes the notes.
    pub(super) fn take(&self) -> Notes {
        std::mem::take(&mut self.lock().0)
    }

    /// Waits until there are notes, something was mounted or unmounted, or the time is up. Returns whether it was a mount.
    pub(super) fn wait(&self, mounts: Option<&File>, time: Option<Duration>) -> io::Result<bool> {
        let limit = time.and_then(|time| Timespec::try_from(time).ok());
        let mut sources = vec![PollFd::new(&self.wake, PollFlags::IN)];
        // proc_pid_mountinfo(5): a change is an exceptional condition.
        sources.extend(mounts.map(|mounts| PollFd::new(mounts, PollFlags::PRI)));
        match poll(&mut sources, limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let is_mount = sources.get(1).is_some_and(|mounts| mounts.revents().contains(PollFlags::PRI));
        // It is empty where another source woke the thread.
        rustix::io::read(&self.wake, &mut [0_u8; 8]).ok();
        Ok(is_mount)
    }
}
