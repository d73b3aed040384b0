//! Errors of the operating system, in plain words.

use crate::process::named::NotAFile;
use std::io;

/// The text of an error of the operating system: lower case, without its number.
pub(crate) fn plain(error: &io::Error) -> String {
    if let Some(what) = NotAFile::found(error) {
        return what.to_string();
    }
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission".to_owned(),
        io::ErrorKind::IsADirectory => "a folder, not a file".to_owned(),
        _ if error.raw_os_error().is_some() => {
            let text = error.to_string().to_lowercase();
            text.rsplit_once(" (os error ").map_or(text.clone(), |(words, _)| words.to_owned())
        }
        // The text of a library or of this program.
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::Errno;

    #[test]
    fn an_error_of_the_system_has_no_number_and_no_capitals() {
        for (errno, text) in [
            (Errno::NOENT, "no such file"),
            (Errno::ACCESS, "no permission"),
            (Errno::ISDIR, "a folder, not a file"),
            (Errno::NOSPC, "no space left on device"),
            (Errno::ADDRINUSE, "address already in use"),
            (Errno::IO, "input/output error"),
        ] {
            assert_eq!(plain(&errno.into()), text);
        }
        assert_eq!(plain(&io::Error::other("Chain of A")), "Chain of A");
    }
}
