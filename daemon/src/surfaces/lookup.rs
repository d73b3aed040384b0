//! Looks watched files up as the system does, part by part: notes each folder in which a name is looked up, so that it is
//! seen when any part of a path is replaced, a symbolic link included.

use crate::process::os_error;
use rustix::io::Errno;
use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::ffi::OsString;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Most symbolic links in one path, as in Linux.
const MOST_LINKS: usize = 40;

/// What tells one version of a file from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

/// A file that was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    pub stamp: Stamp,
    /// When it was last written, renamed or linked.
    pub changed: SystemTime,
}

impl Found {
    fn of(meta: &Metadata) -> Self {
        let (device, inode, bytes) = (meta.dev(), meta.ino(), meta.size());
        let stamp = Stamp { device, inode, bytes, modified: (meta.mtime(), meta.mtime_nsec()) };
        let seconds = Duration::from_secs(u64::try_from(meta.ctime()).unwrap_or(0));
        let nanoseconds = Duration::from_nanos(u64::try_from(meta.ctime_nsec()).unwrap_or(0));
        // A time that the clock cannot hold is one of the far future.
        let changed = SystemTime::UNIX_EPOCH.checked_add(seconds + nanoseconds);
        Self { stamp, changed: changed.unwrap_or_else(SystemTime::now) }
    }
}

/// A file that was not found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Lost {
    /// The part of its path where the search ended.
    pub at: PathBuf,
    /// Why.
    pub why: String,
}

impl Lost {
    fn new(at: &Path, error: &io::Error) -> Self {
        Self { at: at.to_owned(), why: os_error::plain(error) }
    }
}

/// Which one of the system a folder is: its device and its inode.
pub(super) type FolderId = (u64, u64);

/// The folders in which files were looked up, without symbolic links, and each name that was looked up in one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Places {
    pub folders: BTreeMap<PathBuf, FolderId>,
    pub names: BTreeSet<PathBuf>,
}

impl Places {
    /// Looks a file up.
    pub(super) fn find(&mut self, file: &Path) -> Result<Found, Lost> {
        let (mut folder, mut rest, mut links) = (PathBuf::from("/"), Vec::new(), 0);
        if !file.is_absolute() {
            folder = env::current_dir().map_err(|error| Lost::new(Path::new("."), &error))?;
        }
        push_parts(&mut rest, file);
        while let Some(part) = rest.pop() {
            if part == ".." {
                folder.pop();
                continue;
            } else if part == "/" {
                folder = part.into();
                continue;
            }
            self.enter(&folder)?;
            let path = folder.join(part);
            self.names.insert(path.clone());
            let lost = |error: io::Error| Lost::new(&path, &error);
            let meta = path.symlink_metadata().map_err(lost)?;
            if meta.is_symlink() {
                links += 1;
                if links > MOST_LINKS {
                    return Err(lost(Errno::LOOP.into()));
                }
                push_parts(&mut rest, &path.read_link().map_err(lost)?);
            } else if rest.is_empty() {
                return Ok(Found::of(&meta));
            } else if meta.is_dir() {
                folder = path;
            } else {
                return Err(lost(Errno::NOTDIR.into()));
            }
        }
        // The path ends in `/` or `..`.
        folder.symlink_metadata().map(|meta| Found::of(&meta)).map_err(|error| Lost::new(&folder, &error))
    }

    fn enter(&mut self, folder: &Path) -> Result<(), Lost> {
        if !self.folders.contains_key(folder) {
            let meta = folder.symlink_metadata().map_err(|error| Lost::new(folder, &error))?;
            self.folders.insert(folder.to_owned(), (meta.dev(), meta.ino()));
        }
        Ok(())
    }
}

/// Puts the parts of a path on the stack, the first on top.
fn push_parts(rest: &mut Vec<OsString>, path: &Path) {
    let parts = path.components().rev().filter(|part| *part != Component::CurDir);
    rest.extend(parts.map(|part| part.as_os_str().to_owned()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn each_folder_of_a_path_and_of_its_links_is_noted() {
        let top = tempfile::tempdir().unwrap();
        let top_path = top.path().canonicalize().unwrap();
        let at = |name: &str| top_path.join(name);
        fs::create_dir_all(at("releases/2")).unwrap();
        fs::create_dir(at("shared")).unwrap();
        fs::write(at("shared/a.yaml"), "nodes: []").unwrap();
        symlink("../../shared/a.yaml", at("releases/2/a.yaml")).unwrap();
        symlink("releases/2", at("current")).unwrap();
        let mut places = Places::default();
        let found = places.find(&at("current/a.yaml")).unwrap();
        assert_eq!(found.stamp, Places::default().find(&at("shared/a.yaml")).unwrap().stamp);
        let own = |path: &PathBuf| path.strip_prefix(&top_path).ok().map(Path::to_owned);
        let folders: Vec<PathBuf> = places.folders.keys().filter_map(own).collect();
        assert_eq!(folders, ["", "releases", "releases/2", "shared"].map(PathBuf::from));
        let names: Vec<PathBuf> =
            places.names.iter().filter_map(own).filter(|name| name.as_os_str() != "").collect();
        let all = ["current", "releases", "releases/2", "releases/2/a.yaml", "shared", "shared/a.yaml"];
        assert_eq!(names, all.map(PathBuf::from));
        assert!(places.folders.contains_key(Path::new("/")), "up to the root");

        let lost = |name: &str| Places::default().find(&at(name)).unwrap_err();
        assert_eq!(lost("current/b/c"), Lost { at: at("releases/2/b"), why: "no such file".to_owned() });
        assert_eq!(lost("shared/a.yaml/c").at, at("shared/a.yaml"));
        symlink("loop", at("loop")).unwrap();
        assert_eq!(lost("loop/a").at, at("loop"));
    }
}
