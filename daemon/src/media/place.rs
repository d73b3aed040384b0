//! Where a command writes: a file of its own beside the place, put there when it is whole.
//!
//! What is there is replaced only where that was asked for, and what is read never. A link stays one: the file that it
//! points to is written. A new file has the mode that the umask gives, whatever the one before it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::{FileError, name};
use crate::process::replacement::{Replacement, folder, sync_folder};

/// Links that are followed, as many as the system does.
const MOST_LINKS: usize = 40;

/// A place that may be written to.
#[derive(Clone, Debug)]
pub struct Place {
    given: String,
    /// The place itself, all links followed.
    target: PathBuf,
    /// A terminal, a pipe or a device, which is written to and not replaced.
    is_stream: bool,
    replaces: bool,
    /// Device and number of the files that are read.
    inputs: Vec<(u64, u64)>,
}

impl Place {
    /// The place `path`, for what is made of `inputs`. With `replaces` a file may be there.
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
            let what = "it is a folder; give the name of a file".into();
            return Err(FileError::Output { file: given, what });
        }
        let kind = meta.file_type();
        place.is_stream |=
            kind.is_fifo() || kind.is_char_device() || kind.is_block_device() || kind.is_socket();
        place.check()?;
        Ok(place)
    }

    /// Whether what is there now may go.
    fn check(&self) -> Result<(), FileError> {
        let Ok(meta) = self.target.metadata() else { return Ok(()) };
        let file = self.given.clone();
        if self.inputs.contains(&(meta.dev(), meta.ino())) {
            return Err(FileError::IsInput { file });
        }
        if self.replaces || self.is_stream { Ok(()) } else { Err(FileError::Exists { file }) }
    }

    /// Writes all of a file.
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

    /// Begins the file beside the place, after those that killed processes have left there.
    ///
    /// # Errors
    ///
    /// [`FileError::Io`]; [`FileError::Output`] if it could not be put in place.
    pub(super) fn begin(&self) -> Result<(Part, File), FileError> {
        if self.is_stream {
            let what = "it is no regular file; give the name of one".into();
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

/// A file that is being written beside its place; dropped before it is finished, it goes.
pub(super) struct Part {
    place: Place,
    replacement: Replacement,
}

impl Part {
    /// Puts the file in its place, on disk before it is seen.
    pub fn finish(self, file: File) -> Result<(), FileError> {
        let Self { place, replacement } = self;
        // The work may have taken long, and others may have been here meanwhile.
        place.check()?;
        replacement.finish(&file, place.replaces).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists { file: place.given.clone() },
            _ => place.failed(error),
        })?;
        // The rename itself; a folder that cannot be synced does not undo a whole file.
        sync_folder(&place.target).ok();
        Ok(())
    }
}

/// Where the links of `path` end, whether something is there or not; and whether it stands for an open file of a
/// process, as /dev/stdout does.
fn follow(path: &Path) -> io::Result<(PathBuf, bool)> {
    let mut path = path.to_path_buf();
    for _ in 0..MOST_LINKS {
        match fs::read_link(&path) {
            Ok(_) if folder(&path).canonicalize()?.starts_with("/proc") => return Ok((path, true)),
            Ok(to) => path = folder(&path).join(to),
            // No link, or nothing at all.
            Err(_) => return Ok((path, false)),
        }
    }
    Err(Errno::LOOP.into())
}
