//! The watcher: tells the conductor when a chain file changes on disk.

use crossbeam_channel::Sender;
use lacquer_control::intent::{Asked, Intent, Peer};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Watches the folders of `files`: editors put a new file in the place of the old one. Watching ends when
/// the watcher is dropped; its thread is `notify`'s own.
pub fn watch<'a>(
    files: impl Iterator<Item = &'a Path>,
    asked: Sender<Asked>,
) -> notify::Result<RecommendedWatcher> {
    let folders: BTreeSet<PathBuf> = files
        .filter_map(|file| file.parent())
        .map(|folder| if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder.to_owned() })
        .collect();
    let mut watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        let Ok(event) = event else { return };
        if event.kind.is_access() {
            return;
        }
        let intents = event.paths.into_iter().map(Intent::Changed).collect();
        // A conductor that is flooded sees the next change.
        asked.try_send(Asked { by: Peer::Files, intents, due: None }).ok();
    })?;
    folders.iter().try_for_each(|folder| watcher.watch(folder, RecursiveMode::NonRecursive))?;
    Ok(watcher)
}
