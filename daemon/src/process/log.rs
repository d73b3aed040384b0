//! The log: to the journal, with fields to search by, if stderr is connected to it; else to stderr, above the meters if
//! a terminal shows them. The thread `log` writes it.

use crate::process::client_log;
use crate::process::log_writer::{Entries, Line, Lines, flush, start as start_writer};
use crate::process::named::{lines, shown};
use indicatif::MultiProgress;
use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal, Write};
use std::path::Path;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing::{Dispatch, warn};
use tracing_journald::{Priority, PriorityMappings};
use tracing_subscriber::fmt::format::{self, Writer};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer};

/// Fields that go to the journal only (`CHAIN=`, `NODE=` ...); each of its lines has `STATION=` as well. On stderr they
/// are omitted: the message contains the same.
const FIELDS: [&str; 5] = ["chain", "node", "backend", "latency", "xruns"];

/// The variable that sets the level.
const LEVEL: &str = "LACQUER_LOG";
/// Where the journal listens.
const JOURNAL: &str = "/run/systemd/journal/socket";

/// The log of the process. Dropped, it waits a short time until all lines are written.
pub(crate) struct Log;

impl Drop for Log {
    fn drop(&mut self) {
        client_log::report_left_out(true);
        flush();
    }
}

/// Starts the log of a station. `LACQUER_LOG` sets the level, for example `LACQUER_LOG=debug`; the default is `info`.
///
/// # Errors
/// The system cannot start a thread.
pub(crate) fn start(screen: &MultiProgress, station: &str) -> io::Result<Log> {
    let wanted = std::env::var_os(LEVEL).map(|text| text.to_string_lossy().into_owned());
    let filter = wanted.as_deref().map_or_else(|| Ok(EnvFilter::new("info")), filter);
    let (filter, misread) = match filter {
        Ok(filter) => (filter, false),
        Err(()) => (EnvFilter::new("info"), true),
    };
    let is_journal = is_journal();
    let has_journal = is_journal && Path::new(JOURNAL).exists();
    let (screen, station) = (screen.clone(), station.to_owned());
    let started = start_writer(move |is_first| {
        // The first message to a journal that is stopped may wait as well.
        let journal = has_journal.then(|| journal(&station)).and_then(Result::ok);
        // A terminal that is gone makes the meters panic: after that the log goes to stderr without them.
        let bars = is_first.then(|| screen.clone());
        move |line| write(&line, journal.as_ref(), bars.as_ref())
    });
    match started {
        // A process that has a log already keeps it.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(Log),
        started => started?,
    }
    let registry = tracing_subscriber::registry().with(filter);
    if has_journal {
        registry.with(Entries).try_init().ok();
    } else {
        let log = tracing_subscriber::fmt::layer()
            .fmt_fields(format::debug_fn(write_field))
            .with_target(false)
            .with_ansi(io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none())
            .with_writer(|| Lines);
        // The journal has time stamps of its own.
        registry.with(if is_journal { log.without_time().boxed() } else { log.boxed() }).try_init().ok();
    }
    if misread {
        let wanted = shown(wanted.unwrap_or_default().as_ref());
        warn!("{LEVEL}: \"{wanted}\" is no level; write error, warn, info, debug or trace; info is used");
    }
    Ok(Log)
}

/// The filter that a text asks for: a level, or levels by module, as in `info,lacquer::surfaces=debug`. `tracing` takes any
/// other word for the name of a module, and would log nothing but that.
fn filter(text: &str) -> Result<EnvFilter, ()> {
    let is_known = |part: &str| {
        let part = part.trim();
        part.is_empty()
            || part.parse::<LevelFilter>().is_ok()
            || part.contains('=')
            || part.starts_with("lacquer")
    };
    match text.split(',').all(is_known) {
        true if text.trim().is_empty() => Ok(EnvFilter::new("info")),
        true => EnvFilter::try_new(text).map_err(drop),
        false => Err(()),
    }
}

/// What sends events to the journal.
fn journal(station: &str) -> io::Result<Dispatch> {
    let journal = tracing_journald::layer()?
        .with_field_prefix(None)
        .with_priority_mappings(PriorityMappings {
            info: Priority::Informational,
            debug: Priority::Debug,
            ..PriorityMappings::new()
        })
        .with_syslog_identifier("lacquer".to_owned())
        .with_custom_fields([("STATION", station)]);
    Ok(Dispatch::new(tracing_subscriber::registry().with(journal)))
}

/// Writes a line. If that fails, nobody reads the log, and nothing can be said about it.
fn write(line: &Line, journal: Option<&Dispatch>, bars: Option<&MultiProgress>) {
    let to_stderr = |text: &[u8]| {
        let write = || io::stderr().write_all(text).ok();
        // The meters are hidden meanwhile.
        bars.map_or_else(write, |bars| bars.suspend(write));
    };
    match (line, journal) {
        (Line::Text(text), _) => to_stderr(text),
        (Line::Entry(entry), None) => to_stderr(entry.text().as_bytes()),
        (Line::Entry(entry), Some(journal)) => entry.send_to(journal),
    }
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
