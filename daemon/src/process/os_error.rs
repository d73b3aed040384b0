//! Errors of the operating system, in plain words.

use std::io;

/// The text of an error of the operating system: lower case, without its number for the common ones.
pub(crate) fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file".to_owned(),
        io::ErrorKind::PermissionDenied => "no permission".to_owned(),
        io::ErrorKind::IsADirectory => "a folder, not a file".to_owned(),
        _ => error.to_string().to_lowercase(),
    }
}
