//! The thread `keeper`: writes the state file and the audit log, so that no other thread waits for a disk.

use crate::process::named::shown;
use crate::process::os_error::plain;
use crate::process::supervise::Pulse;
use crate::process::{state_file, supervise};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use jiff::Zoned;
use lacquer_control::desk::kept::Kept;
use rustix::fs::OFlags;
use std::fmt::Display;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// Most requests that wait to be written.
const WAITING: usize = 1_024;
/// At this size the audit log is renamed and a new one is begun, in bytes.
const FULL: u64 = 16 << 20;
/// Time between attempts to write, after one failed.
const RETRY: Duration = Duration::from_secs(1);
/// Time between two warnings about the disk.
const QUIET: Duration = Duration::from_secs(60);

/// How times are written in the audit log.
pub(crate) const STAMP: &str = "%Y-%m-%dT%H:%M:%S%.3f%:z";

/// What is to be written.
pub(crate) enum WriteRequest {
    /// The state; replaces the one before.
    State(Box<Kept>),
    /// A line of the audit log.
    Audit(String),
    /// Answer when all requests before this one are written, or have failed.
    Flush(Sender<()>),
}

/// The files of a station.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// The state file; `None` if the one that is there must not be replaced.
    pub state: Option<PathBuf>,
    /// The audit log.
    pub audit: PathBuf,
}

impl Files {
    /// The files of a station: in the state folder; the audit log in systemd's log folder, if there is one. `None`,
    /// with a warning, if there is no state folder.
    pub(crate) fn of(station: &Path) -> Option<Self> {
        let Some(folder) = state_file::folder() else {
            warn!("state and audit log are not saved: set STATE_DIRECTORY, XDG_STATE_HOME or HOME");
            return None;
        };
        if let Err(error) = fs::create_dir_all(&folder) {
            warn!("cannot make {}: {}; state and audit log are not saved", shown(&folder), plain(&error));
            return None;
        }
        let stem = state_file::stem(station);
        let logs = state_file::logs().unwrap_or_else(|| folder.clone());
        Some(Self {
            state: Some(folder.join(format!("{stem}.state.json"))),
            audit: logs.join(format!("{stem}.audit.log")),
        })
    }

    /// Reads the state file. One that is not usable and cannot be renamed is not replaced later either.
    pub(crate) fn read_state(&mut self) -> Option<Kept> {
        let state = state_file::read(self.state.as_deref()?);
        if state.is_err() {
            self.state = None;
        }
        state.ok().flatten()
    }
}

/// Starts the thread. It ends when its sender is dropped and all is written.
pub(crate) fn spawn(files: Files) -> io::Result<(Sender<WriteRequest>, JoinHandle<()>)> {
    let (to_writer, requests) = bounded(WAITING);
    let mut unwritten = Unwritten::default();
    let thread = supervise::keep_running("keeper", move |pulse| {
        run(&files, &requests, &mut unwritten, pulse);
        Ok(())
    })?;
    Ok((to_writer, thread))
}

/// What is written, and what of it failed. A thread that is started again goes on with it.
#[derive(Default)]
struct Unwritten {
    /// The newest state, until it is written.
    state: Option<Box<Kept>>,
    /// Whether writing it failed.
    has_failed: bool,
    /// Lines of the audit log that could not be written, and that nothing says yet.
    lines: usize,
    /// When a failure of each file was reported last.
    warned: [Option<Instant>; 2],
}

fn run(files: &Files, requests: &Receiver<WriteRequest>, unwritten: &mut Unwritten, pulse: &Pulse) {
    loop {
        pulse.set_waiting();
        let first = match unwritten.has_failed {
            true => requests.recv_timeout(RETRY),
            false => requests.recv().map_err(Into::into),
        };
        pulse.beat();
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let mut lines = String::new();
        let mut flushes = Vec::new();
        // Of several states only the newest is written.
        for request in first.into_iter().chain(requests.try_iter()) {
            match request {
                WriteRequest::State(state) => unwritten.state = Some(state),
                WriteRequest::Audit(line) => lines += &line,
                WriteRequest::Flush(done) => flushes.push(done),
            }
        }
        let results = [unwritten.write_lines(files, &lines), unwritten.write_state(files)];
        let paths = [(Some(&files.audit), "audit lines lost"), (files.state.as_ref(), "state not saved")];
        for (((path, lost), result), warned) in paths.into_iter().zip(results).zip(&mut unwritten.warned) {
            let (Some(path), Err(error)) = (path, result) else { continue };
            if warned.is_none_or(|before| before.elapsed() > QUIET) {
                *warned = Some(Instant::now());
                warn!("cannot write {}: {}; audio unaffected, {lost}", shown(path), plain(&error));
            }
        }
        flushes.iter().for_each(|done| _ = done.try_send(()));
    }
}

impl Unwritten {
    /// Adds lines to the audit log. Those that cannot be written are counted, and the log says so once it can be.
    fn write_lines(&mut self, files: &Files, lines: &str) -> io::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let written = match self.lines {
            0 => append(&files.audit, lines),
            lost => {
                let why = format!("{lost} lines lost because the file could not be written");
                append(&files.audit, &(note(&"lacquer", &why) + lines))
            }
        };
        self.lines = if written.is_ok() { 0 } else { self.lines + lines.lines().count() };
        written
    }

    /// Writes the newest state.
    fn write_state(&mut self, files: &Files) -> io::Result<()> {
        let Some((path, state)) = files.state.as_deref().zip(self.state.as_deref()) else { return Ok(()) };
        let written = state_file::write(path, state);
        if written.is_ok() {
            self.state = None;
            if self.has_failed {
                info!("{}: state is saved again", shown(path));
            }
        }
        self.has_failed = written.is_err();
        written
    }
}

fn append(path: &Path, lines: &str) -> io::Result<()> {
    if path.metadata().is_ok_and(|meta| meta.len() >= FULL) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    // Where a FIFO lies in its place, nobody is waited for.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut file: File = OpenOptions::new().create(true).append(true).custom_flags(flags).open(path)?;
    file.write_all(lines.as_bytes())
}

/// A line of the audit log about lines that are not in it, and whose they are.
pub(crate) fn note(of: &dyn Display, text: &str) -> String {
    format!("{}\t{of}\t\tleft out\t\t{text}\n", Zoned::now().strftime(STAMP))
}
