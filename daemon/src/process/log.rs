//! The log: to the journal, with fields to search by, if stderr is connected to it; else to stderr, above the meters if
//! a terminal shows them.

use crate::process::named::lines;
use indicatif::MultiProgress;
use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal, Write};
use tracing::field::Field;
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Fields that go to the journal only (`CHAIN=`, `NODE=` ...); each of its lines has `STATION=` as well. On stderr they
/// are omitted: the message contains the same.
const FIELDS: [&str; 5] = ["chain", "node", "backend", "latency", "xruns"];

/// Starts the log of a station. `LACQUER_LOG` sets the level, for example `LACQUER_LOG=debug`; the default is `info`.
pub fn start(screen: &MultiProgress, station: &str) {
    let filter = EnvFilter::try_from_env("LACQUER_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let is_journal = is_journal();
    let started = match tracing_journald::layer() {
        Ok(journal) if is_journal => {
            let journal = journal
                .with_field_prefix(None)
                .with_priority_mappings(PriorityMappings {
                    info: Priority::Informational,
                    debug: Priority::Debug,
                    ..PriorityMappings::new()
                })
                .with_syslog_identifier("lacquer".to_owned())
                .with_custom_fields([("STATION", station)]);
            tracing_subscriber::registry().with(filter).with(journal).try_init()
        }
        _ => {
            let log = tracing_subscriber::fmt::layer()
                .fmt_fields(format::debug_fn(write_field))
                .with_target(false)
                .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
                .with_writer(Around(screen.clone()));
            // The journal has time stamps of its own.
            let log = if is_journal { log.without_time().boxed() } else { log.boxed() };
            tracing_subscriber::registry().with(filter).with(log).try_init()
        }
    };
    // A process that has a log already keeps it.
    started.ok();
}

/// Whether stderr is connected to the journal: systemd puts its device and inode into the environment.
fn is_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    rustix::fs::fstat(io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    match field.name() {
        "message" => write!(Plain(writer), "{value:?}"),
        name if FIELDS.contains(&name) => Ok(()),
        name => write!(Plain(writer), " {name}={value:?}"),
    }
}

/// Writes text with its control characters escaped, so that no name or file can send commands to the terminal.
struct Plain<'a, 'b>(&'a mut Writer<'b>);

impl fmt::Write for Plain<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write_str(&lines(text))
    }
}

/// Writes to stderr; the meters are hidden while it writes.
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
