//! Where a command writes: a file of its own beside the place, put there when it is whole.
//!
//! What is there is replaced only where that was asked for, and what is read never. A link stays one: the file that it
//! points to is written. A new file has the mode that the umask gives, whatever the one before it had.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{FileError, name};

/// Keeps the files of one process apart.
static SERIAL: AtomicU64 = AtomicU64::new(0);
/// Bytes of a name that its file beside it begins with, so that this name is not too long.
const MOST_OF_NAME: usize = 200;
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
        self.clear();
        loop {
            let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
            let path =
                self.target.with_file_name(format!("{}{}-{serial}.part", self.prefix(), process::id()));
            let file = match OpenOptions::new().write(true).create_new(true).open(&path) {
                // Left by a process of the same number, where there are no locks.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                file => file.map_err(|error| self.failed(error))?,
            };
            let part = Part { place: self.clone(), path };
            // Another process may take it for a leftover until it is locked. Not all file systems have locks; where
            // there are none, nobody can lock and remove it.
            let is_taken = matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock));
            let meta = file.metadata().map_err(|error| self.failed(error))?;
            if !is_taken && meta.nlink() > 0 {
                return Ok((part, file));
            }
        }
    }

    /// What the names of the files beside this place begin with.
    fn prefix(&self) -> String {
        let name = self.target.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!(".{}.", &name[..name.floor_char_boundary(MOST_OF_NAME)])
    }

    /// Removes what killed processes have left: files that nobody holds locked.
    fn clear(&self) {
        let (prefix, folder) = (self.prefix(), folder(&self.target));
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let numbers = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.strip_suffix(".part"));
            let is_ours = numbers
                .and_then(|numbers| numbers.split_once('-'))
                .is_some_and(|(process, serial)| is_number(process) && is_number(serial));
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
    path: PathBuf,
}

impl Part {
    /// Puts the file in its place, on disk before it is seen.
    pub fn finish(self, file: File) -> Result<(), FileError> {
        let Place { target, replaces, .. } = &self.place;
        // The work may have taken long, and others may have been here meanwhile.
        self.place.check()?;
        let placed = file.sync_all().and_then(|()| match replaces {
            true => fs::rename(&self.path, target),
            false => match renameat_with(CWD, &self.path, CWD, target, RenameFlags::NOREPLACE) {
                // The file system has no such rename. A hard link replaces nothing either; where there are none, that
                // nothing was there a moment ago must do.
                Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => fs::hard_link(&self.path, target)
                    .or_else(|error| match error.kind() {
                        io::ErrorKind::AlreadyExists => Err(error),
                        _ => fs::rename(&self.path, target),
                    }),
                done => Ok(done?),
            },
        });
        placed.map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => FileError::Exists { file: self.place.given.clone() },
            _ => self.place.failed(error),
        })?;
        // The rename itself; a folder that cannot be synced does not undo a whole file.
        if let Ok(folder) = File::open(folder(target)) {
            folder.sync_all().ok();
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // After a finish the name is gone already, and this does nothing.
        fs::remove_file(&self.path).ok();
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
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
