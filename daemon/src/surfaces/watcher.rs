//! The watcher: tells the conductor when a chain file, or an impulse of one, changes on disk.

use crate::process::supervise::Pulse;
use crossbeam_channel::Sender;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Watches folders. Watching ends when it is dropped; the thread is `notify`'s own.
pub struct Watched {
    /// Which.
    pub folders: BTreeSet<PathBuf>,
    _watcher: RecommendedWatcher,
}

/// The folders of `files`: editors put a new file in the place of the old one.
pub fn folders(files: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    let folder = |file: PathBuf| match file.parent()? {
        folder if folder.as_os_str().is_empty() => Some(PathBuf::from(".")),
        folder => Some(folder.to_owned()),
    };
    files.filter_map(folder).collect()
}

/// Watches `folders`.
pub fn watch(folders: BTreeSet<PathBuf>, asked: Sender<RequestBundle>) -> notify::Result<Watched> {
    let pulse = Pulse::new("watcher");
    pulse.waits();
    let beat = pulse.clone();
    let changed = move |event: notify::Result<Event>| {
        beat.beat();
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        let requests = event.paths.into_iter().map(Request::Changed).collect();
        // A conductor that is flooded sees the next change.
        asked.try_send(RequestBundle { by: Peer::Files, requests, due: None }).ok();
    };
    // What panicked there would end the thread of `notify`, which nobody starts again.
    let mut watcher = notify::recommended_watcher(move |event| {
        pulse.guard(|| changed(event));
        pulse.waits();
    })?;
    folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
    Ok(Watched { folders, _watcher: watcher })
}
