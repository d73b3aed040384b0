//! Files that people name: only regular ones are opened, no more is read of them than may be, and their names are shown
//! so that they can forge nothing.

use lacquer_graph::file::error::printable;
use rustix::fs::OFlags;
use std::fs::{File, FileType, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};
use thiserror::Error;

/// What is no regular file: to read it could wait for ever, or never end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{0}, not a file")]
pub struct NotAFile(&'static str);

impl NotAFile {
    /// What a file of this kind is, where it is no regular one.
    pub fn of(kind: FileType) -> Option<Self> {
        let what = match kind {
            _ if kind.is_file() => return None,
            _ if kind.is_dir() => "a folder",
            _ if kind.is_fifo() => "a FIFO",
            _ if kind.is_socket() => "a socket",
            _ => "a device",
        };
        Some(Self(what))
    }
}

impl NotAFile {
    /// What an error of [`open`] says is no file, if it says so.
    pub fn found(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|inner| inner.downcast_ref()).copied()
    }
}

impl From<NotAFile> for io::Error {
    fn from(what: NotAFile) -> Self {
        Self::new(io::ErrorKind::InvalidInput, what)
    }
}

/// Opens a regular file for reading, and never waits.
///
/// # Errors
/// What the system refuses; [`NotAFile`].
pub(crate) fn open(path: &Path) -> io::Result<File> {
    let check = |kind: FileType| NotAFile::of(kind).map_or(Ok(()), |what| Err(io::Error::from(what)));
    // Before it is opened, for to open a device may already do something.
    check(path.metadata()?.file_type())?;
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    // Something else may lie there by now.
    check(file.metadata()?.file_type())?;
    Ok(file)
}

/// The bytes of a regular file: at most one more than `most`, which tells that there are too many.
///
/// # Errors
/// As [`open`].
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open(path)?.take(most.saturating_add(1)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The time as the system writes it to files: that of the last tick of its clock, so what is written from now on is not
/// older.
pub(crate) fn file_time() -> SystemTime {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::RealtimeCoarse);
    Duration::try_from(now).map_or_else(|_| SystemTime::now(), |time| SystemTime::UNIX_EPOCH + time)
}

/// A path in one line, in which nothing can command a terminal.
pub(crate) fn shown(path: &Path) -> String {
    printable(&path.display().to_string())
}

/// Lines in which nothing can command a terminal: what others have named may hold anything.
pub(crate) fn lines(text: &str) -> String {
    let cells = |line: &str| line.split('\t').map(printable).collect::<Vec<_>>().join("\t");
    text.split('\n').map(cells).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_regular_files_are_opened_and_only_so_much_is_read() {
        let told = |path: &str| open(Path::new(path)).map(|_| ()).unwrap_err().to_string();
        assert_eq!(told("/dev/zero"), "a device, not a file");
        assert_eq!(told("/"), "a folder, not a file");
        let own = std::env::current_exe().unwrap();
        assert_eq!(read(&own, 10).unwrap().len(), 11);
    }

    #[test]
    fn what_is_written_is_not_older_than_the_time_of_files() {
        let folder = tempfile::tempdir().unwrap();
        for n in 0..100 {
            let (before, path) = (file_time(), folder.path().join(n.to_string()));
            std::fs::write(&path, "").unwrap();
            assert!(path.metadata().unwrap().modified().unwrap() >= before);
        }
    }

    #[test]
    fn a_name_is_one_line_and_lines_command_nothing() {
        assert_eq!(shown(Path::new("a: ok\nb\t\u{1b}[2J\u{202e}")), "a: ok\\nb\\t\\u{1b}[2J\\u{202e}");
        assert_eq!(lines("a\tb\n\u{1b}c\u{202e}"), "a\tb\n\\u{1b}c\\u{202e}");
    }
}
