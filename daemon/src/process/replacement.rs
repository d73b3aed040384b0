//! A file that takes the place of another: it is written beside it, is on the disk before it is seen, and what a killed
//! process left of one is removed.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process;
use tempfile::{Builder, TempPath};

/// Bytes of a name that its file beside it begins with, so that this name is not too long.
const MOST_OF_NAME: usize = 200;
/// What the names of all files beside end with.
const ENDING: &str = ".part";
/// The mode of a new file, less what the umask takes.
const MODE: u32 = 0o666;

/// A file that is being written beside its place; dropped before it is finished, it is removed.
pub(crate) struct Replacement {
    target: PathBuf,
    part: TempPath,
}

impl Replacement {
    /// Begins a file beside `target`, and removes those that killed processes have left there.
    ///
    /// # Errors
    /// What the system refuses.
    pub(crate) fn begin(target: &Path) -> io::Result<(Self, File)> {
        remove_leftovers(target);
        let prefix = format!("{}{}-", prefix(target), process::id());
        loop {
            let mut builder = Builder::new();
            builder.prefix(&prefix).suffix(ENDING).permissions(Permissions::from_mode(MODE));
            let (file, part) = builder.tempfile_in(folder(target))?.into_parts();
            // Another process may take it for a leftover until it is locked. Not all file systems have locks; where
            // there are none, nobody can lock and remove it.
            let is_taken = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
            if !is_taken && file.metadata()?.nlink() > 0 {
                return Ok((Self { target: target.to_owned(), part }, file));
            }
        }
    }

    /// Puts the file in its place, on disk before it is seen. Without `replaces` nothing may be there.
    ///
    /// # Errors
    /// What the system refuses; what was in the place is untouched then.
    pub(crate) fn finish(self, file: &File, replaces: bool) -> io::Result<()> {
        let Self { target, part } = self;
        file.sync_all()?;
        if replaces {
            return Ok(part.persist(target)?);
        }
        match part.persist_noclobber(&target) {
            Err(refused) if refused.error.kind() != io::ErrorKind::AlreadyExists => {
                // The file system has neither a rename that replaces nothing nor hard links: that nothing is there now must do.
                match target.symlink_metadata() {
                    Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
                    Err(_) => Ok(refused.path.persist(target)?),
                }
            }
            done => Ok(done?),
        }
    }
}

/// Puts `bytes` in the place of a file: whole, or not at all.
///
/// # Errors
/// What the system refuses; the old file is untouched then, unless only its folder could not be written to the disk.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let (replacement, mut file) = Replacement::begin(path)?;
    file.write_all(bytes)?;
    replacement.finish(&file, true)?;
    sync_folder(path)
}

/// Writes the names in the folder of `path` to the disk.
///
/// # Errors
/// What the system refuses.
pub(crate) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(folder(path))?.sync_all()
}

/// The folder that a path is in.
pub(crate) fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// What the names of the files beside `target` begin with.
fn prefix(target: &Path) -> String {
    let name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!(".{}.", &name[..name.floor_char_boundary(MOST_OF_NAME)])
}

/// Removes what killed processes have left: files that nobody holds locked.
fn remove_leftovers(target: &Path) {
    let prefix = prefix(target);
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_word = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    for entry in fs::read_dir(folder(target)).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let middle = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(ENDING));
        let is_ours = middle
            .and_then(|middle| middle.split_once('-'))
            .is_some_and(|(process, rest)| is_number(process) && is_word(rest));
        if !is_ours || !entry.file_type().is_ok_and(|kind| kind.is_file()) {
            continue;
        }
        let path = entry.path();
        if let Ok(file) = OpenOptions::new().write(true).open(&path)
            && file.try_lock().is_ok()
        {
            fs::remove_file(&path).ok();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_or_not_at_all_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.json");
        replace(&path, b"old").unwrap();
        // What was killed while it wrote.
        fs::write(folder.path().join(".state.json.1-x7Yz01.part"), "ne").unwrap();
        let (unfinished, mut file) = Replacement::begin(&path).unwrap();
        file.write_all(b"ne").unwrap();
        assert_eq!(names(folder.path()).len(), 2, "the leftover is gone: {:?}", names(folder.path()));
        replace(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        drop(unfinished);
        assert_eq!(names(folder.path()), ["state.json"]);
        let (second, file) = Replacement::begin(&path).unwrap();
        assert_eq!(second.finish(&file, false).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!((fs::read(&path).unwrap(), names(folder.path()).len()), (b"new".to_vec(), 1));
        assert!(replace(&folder.path().join("none/state.json"), b"new").is_err());
    }
}
