//! The files of the station: watched for changes on disk, and what of a new station file needs a restart.

use super::Conductor;
use crate::station::Station;
use crate::surfaces::watcher;
use lacquer_control::desk::turn::Input;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use tracing::warn;

/// Time without changes before a file is read again: editors write in several steps.
const FILE_SETTLE: Duration = Duration::from_millis(100);

impl Conductor {
    /// Watches the folders of all files in use, if they have changed.
    pub(super) fn watch_all(&mut self) {
        let folders = watcher::folders(self.desk.chains().paths());
        if !self.station.watch {
            self.watched = None;
        } else if self.watched.as_ref().is_none_or(|watched| watched.folders != folders) {
            self.watched = None;
            match watcher::watch(folders, self.request_sender.clone()) {
                Ok(watched) => self.watched = Some(watched),
                Err(error) => warn!("cannot watch files: {error}; changes on disk are not noticed"),
            }
        }
    }

    /// A file in a watched folder has changed.
    pub(super) fn file_changed(&mut self, path: &Path) {
        let due = Instant::now() + FILE_SETTLE;
        let is_same = |known: &Path| known == path || is_same_file(known, path);
        self.changed.extend(self.desk.chains().readers_of(is_same).into_iter().map(|file| (file, due)));
    }

    /// Reads the files again that have settled.
    pub(super) fn read_changed(&mut self, now: Instant) {
        let settled: Vec<PathBuf> =
            self.changed.iter().filter(|(_, due)| **due <= now).map(|(path, _)| path.clone()).collect();
        for path in settled {
            self.changed.remove(&path);
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

/// The changes from `old` to `new` that need a restart.
pub(super) fn needs_restart(old: &Station, new: &Station) -> Vec<String> {
    let (was, audio) = (&old.audio, &new.audio);
    let mut fixed = Vec::new();
    if audio.backend != was.backend {
        let (from, to) = (was.backend.name(), audio.backend.name());
        let what = if from == to { format!("the settings of {from}") } else { format!("{from} to {to}") };
        fixed.push(format!("the backend cannot change while the station runs ({what}): restart to apply"));
    }
    if audio.io != was.io {
        fixed.push(
            "input and output groups cannot change while the station runs: restart to apply".to_owned(),
        );
    }
    if new.control != old.control {
        fixed.push("the control section cannot change while the station runs: restart to apply".to_owned());
    }
    fixed
}
