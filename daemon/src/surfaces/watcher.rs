//! Watches files: sends the conductor a request when a chain file, or an impulse file of a chain, changes on disk.

use crate::process::supervise::Pulse;
use crossbeam_channel::Sender;
use lacquer_control::peer::Peer;
use lacquer_control::request::{Request, RequestBundle};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::PathBuf;

/// Watches folders until it is dropped. The thread belongs to the crate `notify`.
pub(crate) struct Watched {
    /// The folders.
    pub folders: BTreeSet<PathBuf>,
    _watcher: RecommendedWatcher,
}

/// The folders of `files`. Folders are watched because editors replace a file by a new one.
pub(crate) fn folders(files: impl Iterator<Item = PathBuf>) -> BTreeSet<PathBuf> {
    let folder = |file: PathBuf| match file.parent()? {
        folder if folder.as_os_str().is_empty() => Some(PathBuf::from(".")),
        folder => Some(folder.to_owned()),
    };
    files.filter_map(folder).collect()
}

/// Watches `folders`.
pub(crate) fn watch(folders: BTreeSet<PathBuf>, requests: Sender<RequestBundle>) -> notify::Result<Watched> {
    let pulse = Pulse::new("watcher");
    pulse.set_waiting();
    let beat = pulse.clone();
    let changed = move |event: notify::Result<Event>| {
        beat.beat();
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        let changes = event.paths.into_iter().map(Request::Changed).collect();
        // If the conductor's channel is full, a later change reloads the file.
        requests.try_send(RequestBundle { by: Peer::Files, requests: changes, due: None }).ok();
    };
    // A panic would end the thread of `notify`, which is not restarted.
    let mut watcher = notify::recommended_watcher(move |event| {
        pulse.catch_panic(|| changed(event));
        pulse.set_waiting();
    })?;
    folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
    Ok(Watched { folders, _watcher: watcher })
}
