//! The files of the station, watched for changes on disk.

use super::Conductor;
use crate::surfaces::watcher::{self, Watched};
use lacquer_control::desk::turn::Input;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::warn;

/// Time without changes before a file is read again: editors write in several steps.
const FILE_SETTLE: Duration = Duration::from_millis(100);

/// The watched folders, and the files that changed in them.
#[derive(Default)]
pub(super) struct WatchedFiles {
    watched: Option<Watched>,
    /// Files that changed, and when to read them.
    changed: BTreeMap<PathBuf, Instant>,
}

impl Conductor {
    /// Watches the folders of all files in use, if they have changed.
    pub(super) fn watch_all(&mut self) {
        let folders = watcher::folders(self.desk.chains().paths());
        if !self.work.station.watch {
            self.files.watched = None;
        } else if self.files.watched.as_ref().is_none_or(|watched| watched.folders != folders) {
            self.files.watched = None;
            match watcher::watch(folders, self.request_sender.clone()) {
                Ok(watched) => self.files.watched = Some(watched),
                Err(error) => warn!("cannot watch files: {error}; changes on disk are not noticed"),
            }
        }
    }

    /// A file in a watched folder has changed.
    pub(super) fn file_changed(&mut self, path: &Path) {
        let due = Instant::now() + FILE_SETTLE;
        let is_same = |known: &Path| known == path || is_same_file(known, path);
        self.files.changed.extend(self.desk.chains().readers_of(is_same).into_iter().map(|file| (file, due)));
    }

    /// Reads the files again that have settled.
    pub(super) fn read_changed(&mut self, now: Instant) {
        let settled: Vec<PathBuf> =
            self.files.changed.iter().filter(|(_, due)| **due <= now).map(|(path, _)| path.clone()).collect();
        for path in settled {
            self.files.changed.remove(&path);
            self.handle(Input::FileChanged(path));
        }
    }
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
