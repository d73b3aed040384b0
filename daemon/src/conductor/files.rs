//! The files of the station, which a thread of its own watches for changes on disk.

use super::Conductor;
use crate::process::named::file_time;
use crate::surfaces::watcher::FileWatcher;
use lacquer_control::desk::turn::Input;
use std::path::PathBuf;
use std::time::SystemTime;
use tracing::warn;

/// What watches the files.
pub(super) struct WatchedFiles {
    /// Runs once the station has asked for it.
    watcher: Option<FileWatcher>,
    /// Files that are not watched yet were not read before this [`file_time`].
    read_since: Option<SystemTime>,
}

impl WatchedFiles {
    /// Nothing is watched yet.
    pub(super) fn new(read_since: SystemTime) -> Self {
        Self { watcher: None, read_since: Some(read_since) }
    }

    /// Files are about to be read.
    pub(super) fn begin_reading(&mut self) {
        self.read_since.get_or_insert_with(file_time);
    }
}

impl Conductor {
    /// Watches all files in use, where the station asks for it.
    pub(super) fn watch_files(&mut self) {
        let read_since = self.files.read_since.take().unwrap_or_else(file_time);
        if self.work.station.watch && self.files.watcher.is_none() {
            match FileWatcher::start(self.request_sender.clone()) {
                Ok(watcher) => self.files.watcher = Some(watcher),
                Err(error) => {
                    warn!(
                        "cannot start the thread that watches files: {error}; changes on disk are not noticed"
                    );
                }
            }
        }
        if let Some(watcher) = &self.files.watcher {
            let files = self.desk.chains().paths().filter(|_| self.work.station.watch);
            watcher.watch(files, read_since);
        }
    }

    /// After a reload, files are watched again whatever has become of it.
    pub(super) fn watch_again(&self) {
        self.files.watcher.iter().for_each(FileWatcher::watch_again);
    }

    /// Watched files have changed: the chains that read them are read again.
    pub(super) fn files_changed(&mut self, paths: &[PathBuf]) {
        let chains = self.desk.chains().readers_of(|known| paths.iter().any(|path| path == known));
        chains.into_iter().for_each(|chain| self.handle(Input::FileChanged(chain)));
    }
}
