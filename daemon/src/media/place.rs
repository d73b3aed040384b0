//! The output of a command: a temporary file in the same folder, renamed to its target when it is complete.
//!
//! An existing file is replaced only on request, and an input never. For a symbolic link the file that it points to is
//! written. A new file has the mode given by the umask, not that of the file it replaces.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{FileError, name};
use crate::process::replacement::{Replacement, folder, sync_folder};

/// Most symbolic links followed, as in the kernel.
const MOST_LINKS: usize = 40;

/// An output path that may be written to.
#[derive(Clone, Debug)]
pub struct Place {
    given: String,
    /// The target with all links followed.
    target: PathBuf,
    /// A terminal, a pipe or a device: it is written to, not replaced.
    is_stream: bool,
    replaces: bool,
    /// Device and inode numbers of the inputs.
    inputs: Vec<(u64, u64)>,
}

impl Place {
    /// The output `path`, made from `inputs`. With `replaces` it may exist.
    ///
    /// # Errors
    ///
    /// [`FileError::IsInput`], [`FileError::Exists`], [`FileError::Output`] for a folder;
    /// [`FileError::Io`] if the links cannot be followed.
    pub fn new(path: &Path, inputs: &[&Path], replaces: bool) -> Result<Place, FileError> {
        let given = name(path);
        let failed = |source| FileError::Io { file: given.clone(), doing: "written", source };
        let (target, is_open) = follow(path).map_err(failed)?;
        let inputs = inputs.iter().filter_map(|input| input.metadata().ok());
        let inputs = inputs.map(|meta| (meta.dev(), meta.ino())).collect();
        let mut place = Place { given: given.clone(), target, is_stream: is_open, replaces, inputs };
        let meta = match path.metadata() {
            Ok(meta) => meta,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(place),
            Err(error) => return Err(failed(error)),
        };
        if meta.is_dir() {
            let what = "a folder; give the name of a file".into();
            return Err(FileError::Output { file: given, what });
        }
        let kind = meta.file_type();
        place.is_stream |=
            kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket();
        place.check()?;
        Ok(place)
    }

    /// Checks that the target may be replaced.
    fn check(&self) -> Result<(), FileError> {
        let Ok(meta) = self.target.metadata() else { return Ok(()) };
        let file = self.given.clone();
        if self.inputs.contains(&(meta.dev(), meta.ino())) {
            return Err(FileError::IsInput { file });
        }
        if self.replaces || self.is_stream { Ok(()) } else { Err(FileError::Exists { file }) }
    }

    /// Writes a whole file.
    ///
    /// # Errors
    ///
    /// As [`begin`](Self::begin) and [`Part::finish`].
    pub fn write(&self, bytes: &[u8]) -> Result<(), FileError> {
        if self.is_stream {
            let file = OpenOptions::new().append(true).open(&self.target);
            return file.and_then(|mut file| file.write_all(bytes)).map_err(|error| self.failed(error));
        }
        let (part, mut file) = self.begin()?;
        file.write_all(bytes).map_err(|error| self.failed(error))?;
        part.finish(file)
    }

    /// Creates the temporary file, after removing those left by killed processes.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`]; [`FileError::Output`] if it could not be put in place.
    pub(super) fn begin(&self) -> Result<(Part, File), FileError> {
        if self.is_stream {
            let what = "not a regular file; give the name of one".into();
            return Err(FileError::Output { file: self.given.clone(), what });
        }
        let (replacement, file) = Replacement::begin(&self.target).map_err(|error| self.failed(error))?;
        Ok((Part { place: self.clone(), replacement }, file))
    }

    pub(super) fn failed(&self, source: io::Error) -> FileError {
        FileError::Io { file: self.given.clone(), doing: "written", source }
    }

    /// The path, as it was given.
    pub(super) fn given(&self) -> &str {
        &self.given
    }
}

/// A temporary file that is being written; it is deleted if it is dropped before it is finished.
pub(super) struct Part {
    place: Place,
    replacement: Replacement,
}

impl Part {
    /// Renames the file to its target after syncing it to disk.
    pub(super) fn finish(self, file: File) -> Result<(), FileError> {
        let Self { place, replacement } = self;
        // Another process may have created the target since the start.
        place.check()?;
        replacement.finish(&file, place.replaces).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists { file: place.given.clone() },
            _ => place.failed(error),
        })?;
        // Makes the rename durable; the file is complete even if its folder cannot be synced.
        sync_folder(&place.target).ok();
        Ok(())
    }
}

/// Follows the links of `path`, also to a target that does not exist. The flag is true for an open file of a process,
/// such as /dev/stdout.
fn follow(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(_) if folder(&path).canonicalize()?.starts_with("/proc") => return Ok((path, true)),
            Ok(to) => path = folder(&path).join(to),
            // Not a link, or it does not exist.
            Err(_) => return Ok((path, false)),
        }
    }
    Err(Errno::LOOP.into())
}
