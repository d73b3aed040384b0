//! The thread `keeper`: writes the state file and the audit log, so that no other thread waits for a disk.

use crate::process::named::shown;
use crate::process::supervise::Pulse;
use crate::process::{state_file, supervise};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use lacquer_control::desk::kept::Kept;
use rustix::fs::OFlags;
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
            warn!("cannot make {}: {error}; state and audit log are not saved", shown(&folder));
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
    let thread = supervise::keep_running("keeper", move |pulse| {
        run(&files, &requests, pulse);
        Ok(())
    })?;
    Ok((to_writer, thread))
}

fn run(files: &Files, requests: &Receiver<WriteRequest>, pulse: &Pulse) {
    let mut warned: Option<Instant> = None;
    // The newest state, until it is written.
    let mut newest_state = None;
    let mut failed = false;
    loop {
        pulse.set_waiting();
        let first = if failed { requests.recv_timeout(RETRY) } else { requests.recv().map_err(Into::into) };
        pulse.beat();
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let mut lines = String::new();
        let mut flushes = Vec::new();
        // Of several states only the newest is written.
        for request in first.into_iter().chain(requests.try_iter()) {
            match request {
                WriteRequest::State(state) => newest_state = Some(state),
                WriteRequest::Audit(line) => lines += &line,
                WriteRequest::Flush(done) => flushes.push(done),
            }
        }
        let audited = if lines.is_empty() { Ok(()) } else { append(&files.audit, &lines) };
        let state_path = files.state.as_deref();
        let written = match state_path.zip(newest_state.as_deref()) {
            Some((path, state)) => state_file::write(path, state),
            None => Ok(()),
        };
        if written.is_ok() {
            newest_state = None;
            if let Some(path) = state_path.filter(|_| failed) {
                info!("{}: state is saved again", shown(path));
            }
        }
        failed = written.is_err();
        for (path, result, lost) in
            [(Some(&*files.audit), audited, "audit lines lost"), (state_path, written, "state not saved")]
        {
            let (Some(path), Err(error)) = (path, result) else { continue };
            if warned.is_none_or(|before| before.elapsed() > QUIET) {
                warned = Some(Instant::now());
                warn!("cannot write {}: {error}; audio unaffected, {lost}", shown(path));
            }
        }
        flushes.iter().for_each(|done| _ = done.try_send(()));
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
