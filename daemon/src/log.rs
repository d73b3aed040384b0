//! Where the log goes: stderr, without time stamps where the journal adds its own, and around the meters
//! where a terminal shows them.

use indicatif::MultiProgress;
use std::io::{self, IsTerminal, Write};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Starts the log. `LACQUER_LOG` chooses what is logged, as in `LACQUER_LOG=debug`; else it is `info`.
pub fn start(screen: &MultiProgress) {
    let filter = EnvFilter::try_from_env("LACQUER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_terminal = io::stderr().is_terminal();
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_target(false)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none())
        .with_writer(Around(screen.clone()));
    let started = if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().try_init()
    } else {
        log.try_init()
    };
    // A second log in one process: the first one goes on.
    started.ok();
}

/// Writes to stderr while the meters are out of the way.
#[derive(Clone)]
struct Around(MultiProgress);

impl Write for Around {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.suspend(|| io::stderr().write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl<'a> MakeWriter<'a> for Around {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}
