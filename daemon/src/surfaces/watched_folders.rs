//! The folders whose changes the system reports, and why where it does not.

use super::lookup::{FolderId, Places};
use super::watch_inbox::Inbox;
use crate::process::named::shown;
use crate::process::os_error;
use notify::event::ModifyKind;
use notify::{ErrorKind, Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Period in which it is tried again to watch, after an error that may pass.
const RETRY: Duration = Duration::from_secs(10);

/// The watched folders.
#[derive(Default)]
pub(super) struct WatchedFolders {
    watcher: Option<RecommendedWatcher>,
    /// Counts the watchers, because one that was dropped may end later than the next begins.
    generation: u64,
    folders: BTreeMap<PathBuf, FolderId>,
    names: BTreeSet<PathBuf>,
    /// What was last logged of folders that cannot be watched.
    complaint: Option<String>,
    /// When to try again.
    pub retry: Option<Instant>,
}

/// Why folders cannot be watched.
struct Complaint {
    text: String,
    /// Whether it may pass.
    is_passing: bool,
}

impl WatchedFolders {
    /// Watches the folders of `places`; `anew` also those that are watched already. Returns whether anything is watched
    /// that was not before, so that a change since the files were looked up may have been missed.
    pub(super) fn watch(&mut self, places: Places, anew: bool, inbox: &Arc<Inbox>, now: Instant) -> bool {
        let Places { folders, names } = places;
        let (is_new, has_new_names) = (anew || folders != self.folders, names != self.names);
        if has_new_names {
            inbox.set_names(names.clone());
            self.names = names;
        }
        if is_new {
            self.folders = folders;
            self.build(inbox, now);
        }
        is_new || has_new_names
    }

    /// Drops the watcher that has failed, if there is no newer one, and tries again later.
    pub(super) fn fail(&mut self, generation: u64, why: &str, now: Instant) {
        if self.watcher.is_some() && self.generation == generation {
            self.watcher = None;
            let text = format!("watching files has failed: {why}; changes on disk are not noticed");
            self.complain(Some(Complaint { text, is_passing: true }), now);
        }
    }

    /// All folders are given to a new watcher: to `notify` a folder is its path, whichever one lies there.
    fn build(&mut self, inbox: &Arc<Inbox>, now: Instant) {
        (self.watcher, self.retry) = (None, None);
        self.generation += 1;
        let complaint = if self.folders.is_empty() { None } else { self.start(inbox) };
        self.complain(complaint, now);
    }

    /// Logs why folders are not watched, if that is new.
    fn complain(&mut self, complaint: Option<Complaint>, now: Instant) {
        self.retry = complaint.as_ref().filter(|complaint| complaint.is_passing).map(|_| now + RETRY);
        let text = complaint.as_ref().map(|complaint| complaint.text.clone());
        match complaint {
            Some(complaint) if text == self.complaint => drop(complaint),
            Some(Complaint { text, is_passing: true }) => {
                warn!("{text}; trying again every {} s", RETRY.as_secs())
            }
            Some(Complaint { text, is_passing: false }) => warn!("{text} until a reload"),
            None if self.complaint.is_some() && !self.folders.is_empty() => {
                info!("all files are watched again")
            }
            None => {}
        }
        self.complaint = text;
    }

    fn start(&mut self, inbox: &Arc<Inbox>) -> Option<Complaint> {
        let events = Events {
            inbox: Arc::clone(inbox),
            generation: self.generation,
            folders: self.folders.keys().cloned().collect(),
        };
        let watcher = match notify::recommended_watcher(move |event| events.receive(event)) {
            Ok(watcher) => self.watcher.insert(watcher),
            Err(error) => return Some(no_watcher(&error.kind)),
        };
        let (mut refused, mut complaint) = (Vec::new(), None);
        for folder in self.folders.keys().cloned().collect::<Vec<_>>() {
            match watcher.watch(&folder, RecursiveMode::NonRecursive) {
                Ok(()) => {}
                // It was replaced since; it is looked up again.
                Err(error) if is_kind(&error.kind, io::ErrorKind::NotFound) => {
                    _ = self.folders.remove(&folder)
                }
                Err(error) if is_kind(&error.kind, io::ErrorKind::PermissionDenied) => refused.push(folder),
                Err(error) => complaint = complaint.or_else(|| Some(not_watched(&folder, &error.kind))),
            }
        }
        complaint.or_else(|| Some(no_permission(refused.first()?, refused.len())))
    }
}

/// What a watcher reports, on its own thread.
struct Events {
    inbox: Arc<Inbox>,
    generation: u64,
    folders: BTreeSet<PathBuf>,
}

impl Events {
    fn receive(&self, event: notify::Result<Event>) {
        match event {
            Ok(event) if event.need_rescan() => self.inbox.note(|notes| notes.is_stale = true),
            Ok(event) if event.kind.is_access() => {}
            Ok(event) => self.receive_change(&event),
            Err(error) => {
                let text = format!("the system reports {}", kind_text(&error.kind));
                self.inbox.note(|notes| notes.fault = Some((self.generation, text)));
            }
        }
    }

    fn receive_change(&self, event: &Event) {
        // A folder that was removed or renamed is watched no longer, or elsewhere.
        let ends = matches!(event.kind, EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)));
        let is_folder = |path: &PathBuf| self.folders.contains(path);
        let ends_folder = ends && event.paths.iter().any(is_folder);
        self.inbox.note_change(ends_folder, |names| {
            event.paths.iter().any(|path| names.contains(path) || is_folder(path))
        });
    }
}

impl Drop for Events {
    /// The watcher was dropped, or its thread has ended.
    fn drop(&mut self) {
        let text = "the thread that receives changes has ended".to_owned();
        self.inbox.note(|notes| {
            if notes.fault.as_ref().is_none_or(|(generation, _)| *generation < self.generation) {
                notes.fault = Some((self.generation, text));
            }
        });
    }
}

fn is_kind(found: &ErrorKind, wanted: io::ErrorKind) -> bool {
    match found {
        ErrorKind::Io(error) => error.kind() == wanted,
        ErrorKind::PathNotFound => wanted == io::ErrorKind::NotFound,
        _ => false,
    }
}

/// There are no watches at all.
fn no_watcher(kind: &ErrorKind) -> Complaint {
    let why = match kind {
        ErrorKind::Io(error) if error.raw_os_error() == Some(rustix::io::Errno::MFILE.raw_os_error()) => {
            format!(
                "this user's programs have all inotify instances that the system allows (fs.inotify.max_user_instances{}), \
             or this process has too many open files",
                limit("max_user_instances")
            )
        }
        kind => kind_text(kind),
    };
    Complaint {
        text: format!("cannot watch files: {why}; changes on disk are not noticed"),
        is_passing: true,
    }
}

/// One folder cannot be watched, by an error that may pass.
fn not_watched(folder: &Path, kind: &ErrorKind) -> Complaint {
    let why = match kind {
        ErrorKind::MaxFilesWatch => format!(
            "this user's programs have all inotify watches that the system allows (fs.inotify.max_user_watches{})",
            limit("max_user_watches")
        ),
        kind => kind_text(kind),
    };
    let text = format!(
        "cannot watch {}: {why}; changes in it, and perhaps in other folders, are not noticed",
        shown(folder)
    );
    Complaint { text, is_passing: true }
}

/// Folders that may be entered, but not read.
fn no_permission(first: &Path, count: usize) -> Complaint {
    let others = match count {
        0 | 1 => String::new(),
        count => format!(" and {} more folders", count - 1),
    };
    let text = format!(
        "cannot watch {}{others}: no permission to read; what is replaced there is not noticed",
        shown(first)
    );
    Complaint { text, is_passing: false }
}

fn kind_text(kind: &ErrorKind) -> String {
    match kind {
        ErrorKind::Io(error) => os_error::plain(error),
        ErrorKind::Generic(text) => text.to_lowercase(),
        ErrorKind::MaxFilesWatch => "no more inotify watches".to_owned(),
        ErrorKind::PathNotFound => "no such file".to_owned(),
        ErrorKind::WatchNotFound | ErrorKind::InvalidConfig(_) => format!("{kind:?}").to_lowercase(),
    }
}

/// A limit of inotify, in words behind its name; nothing where the system does not say.
fn limit(name: &str) -> String {
    let text = fs::read_to_string(Path::new("/proc/sys/fs/inotify").join(name)).unwrap_or_default();
    text.trim().parse::<u64>().map_or_else(|_| String::new(), |limit| format!(" is {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn limits_of_inotify_are_named_with_what_follows() {
        let text = no_watcher(&ErrorKind::Io(Errno::MFILE.into())).text;
        assert!(text.contains("fs.inotify.max_user_instances is "), "{text}");
        assert!(text.ends_with("; changes on disk are not noticed"), "{text}");
        let text = not_watched(Path::new("/srv"), &ErrorKind::MaxFilesWatch).text;
        assert!(
            text.starts_with("cannot watch /srv: ") && text.contains("fs.inotify.max_user_watches is "),
            "{text}"
        );
        let complaint = no_permission(Path::new("/home"), 3);
        assert!(complaint.text.starts_with("cannot watch /home and 2 more folders: no permission to read; "));
        assert!(!complaint.is_passing);
    }
}
