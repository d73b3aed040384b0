//! Watches files: sends the conductor a request when chain files, or impulse files of chains, change on disk.
//!
//! A thread of its own, because a dead disk may hold up whoever touches it. The conductor only leaves the set of files.
//! The system's reports, and mounts, say that something happened; what, is found by comparing the files. So nothing is
//! missed where reports were lost or a folder was replaced.

use super::watch_inbox::{Asked, Inbox, Notes};
use super::watched_files::WatchedFiles;
use super::watched_folders::WatchedFolders;
use crate::process::supervise::{self, Pulse};
use crossbeam_channel::{Sender, TrySendError};
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use tracing::warn;

/// Most files that are watched.
const MOST_FILES: usize = 1_024;
/// Least time between two looks at the files, and between two tries to send.
const GAP: Duration = Duration::from_millis(20);

/// The conductor's end of the thread.
pub(crate) struct FileWatcher(Arc<Inbox>);

impl FileWatcher {
    /// Starts the thread, which sends `Request::Changed`. It runs until the process ends.
    ///
    /// # Errors
    /// The system has no file descriptor or no thread for it.
    pub(crate) fn start(requests: Sender<RequestBundle>) -> io::Result<Self> {
        let inbox = Arc::new(Inbox::new()?);
        let mut watching = Watching {
            inbox: Arc::clone(&inbox),
            requests,
            files: WatchedFiles::default(),
            folders: WatchedFolders::default(),
            unsent: BTreeSet::new(),
            next_look: None,
            is_stale: false,
        };
        supervise::keep_running("watcher", move |pulse| watching.run(pulse))?;
        Ok(Self(inbox))
    }

    /// Watches `files`, as the station names them, and no others. They were not read before
    /// `read_since`, a time of files. Never waits.
    pub(crate) fn watch(&self, files: impl Iterator<Item = PathBuf>, read_since: SystemTime) {
        let all: BTreeSet<PathBuf> = files.collect();
        let count = all.len();
        let files: BTreeSet<PathBuf> = all.into_iter().take(MOST_FILES).collect();
        if count > MOST_FILES {
            warn!("{count} files are in use: only {MOST_FILES} of them are watched");
        }
        self.0.note(|notes| {
            let read_since =
                notes.asked.as_ref().map_or(read_since, |asked| asked.read_since.min(read_since));
            notes.asked = Some(Asked { files, read_since });
        });
    }

    /// Watches anew, and compares all files. Never waits.
    pub(crate) fn watch_again(&self) {
        self.0.note(|notes| notes.is_stale = true);
    }
}

/// What the thread has.
struct Watching {
    inbox: Arc<Inbox>,
    requests: Sender<RequestBundle>,
    files: WatchedFiles,
    folders: WatchedFolders,
    /// Files that changed, and that the conductor does not know of yet.
    unsent: BTreeSet<PathBuf>,
    next_look: Option<Instant>,
    /// Whether the watches are to be renewed.
    is_stale: bool,
}

impl Watching {
    /// Runs until there is no conductor.
    fn run(&mut self, pulse: &Pulse) -> io::Result<()> {
        // After a panic the watches may be those of before, and notes lost.
        (self.is_stale, self.next_look) = (true, Some(Instant::now()));
        // Without it, mounts are noticed with the next change.
        let mounts = File::open("/proc/self/mountinfo").ok();
        loop {
            pulse.set_waiting();
            let is_mount = self.inbox.wait(mounts.as_ref(), self.time_to_next())?;
            pulse.beat();
            self.receive(is_mount);
            let now = Instant::now();
            if self.next_look.is_some_and(|next| next <= now) {
                self.look(pulse, now);
            }
            if self.send().is_err() {
                return Ok(());
            }
        }
    }

    /// Time until there is something to do; `None` if there is nothing.
    fn time_to_next(&self) -> Option<Duration> {
        let send = (!self.unsent.is_empty()).then_some(GAP);
        let dues = [self.next_look, self.folders.retry].into_iter().flatten();
        dues.map(|due| due.saturating_duration_since(Instant::now())).chain(send).min()
    }

    fn receive(&mut self, is_mount: bool) {
        let Notes { asked, is_touched, is_stale, fault } = self.inbox.take();
        let now = Instant::now();
        if let Some((generation, why)) = fault {
            self.folders.fail(generation, &why, now);
        }
        let has_set = asked.is_some();
        if let Some(Asked { files, read_since }) = asked {
            self.files.set(files, read_since);
        }
        let is_retry = self.folders.retry.take_if(|due| *due <= now).is_some();
        let is_stale = is_stale || is_mount || is_retry;
        self.is_stale |= is_stale;
        if is_stale || is_touched || has_set {
            self.look_at(now + GAP);
        }
    }

    /// Looks at this time, or before it.
    fn look_at(&mut self, due: Instant) {
        self.next_look = Some(self.next_look.map_or(due, |next| next.min(due)));
    }

    /// Compares all files, and watches the folders in which they lie now.
    fn look(&mut self, pulse: &Pulse, now: Instant) {
        self.next_look = None;
        let look = self.files.look(now, || pulse.beat());
        if self.folders.watch(look.places, std::mem::take(&mut self.is_stale), &self.inbox, now) {
            // What changed before the watches began is found by another look.
            self.look_at(Instant::now() + GAP);
        }
        look.again.into_iter().for_each(|due| self.look_at(due));
        self.unsent.extend(look.changed);
    }

    /// Sends what has changed; if the channel is full, it is sent later.
    fn send(&mut self) -> Result<(), ()> {
        if self.unsent.is_empty() {
            return Ok(());
        }
        let requests = vec![Request::Changed(self.unsent.iter().cloned().collect())];
        match self.requests.try_send(RequestBundle { by: Peer::Files, requests, due: None }) {
            Ok(()) => self.unsent.clear(),
            Err(TrySendError::Full(_)) => {}
            Err(TrySendError::Disconnected(_)) => return Err(()),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::named::file_time;
    use crossbeam_channel::bounded;
    use std::fs;

    #[test]
    fn a_change_that_finds_the_channel_full_is_sent_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a.yaml"), folder.path().join("b.yaml"));
        fs::write(&a, "1").unwrap();
        fs::write(&b, "1").unwrap();
        let (sender, requests) = bounded(1);
        let bundle = |requests| RequestBundle { by: Peer::Files, requests, due: None };
        assert!(sender.send(bundle(vec![Request::Ping])).is_ok());
        let watcher = FileWatcher::start(sender).unwrap();
        // Whatever comes first, the watcher or the changes.
        watcher.watch([a.clone(), b.clone()].into_iter(), file_time());
        fs::write(&a, "22").unwrap();
        fs::write(&b, "22").unwrap();
        // Long enough to find the channel full. Nothing comes after this, so nothing else would send them.
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(requests.recv().unwrap(), bundle(vec![Request::Ping]));
        let mut changed = Vec::new();
        while changed.len() < 2 {
            let Request::Changed(more) = requests.recv().unwrap().requests.remove(0) else {
                panic!("another request")
            };
            changed.extend(more);
        }
        changed.sort();
        assert_eq!(changed, [a, b]);
    }
}
