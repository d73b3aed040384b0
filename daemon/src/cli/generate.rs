//! What packagers install beside the command: manual pages and completions, made from its own description.

use super::{Cli, Outcome, complain};
use clap::CommandFactory;
use clap_complete::Shell;
use std::fs;
use std::io;
use std::path::Path;

/// Writes `man1/` and the completions of three shells under `folder`.
pub(super) fn run(folder: &Path) -> Outcome {
    match write(folder) {
        Ok(()) => Outcome::Done,
        Err(error) => complain(&format!("{}: {error}", folder.display()), Outcome::Refused),
    }
}

fn write(folder: &Path) -> io::Result<()> {
    let man = folder.join("man1");
    fs::create_dir_all(&man)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    let completions = folder.join("completions");
    fs::create_dir_all(&completions)?;
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut Cli::command(), "lacquer", &completions)?;
    }
    Ok(())
}
