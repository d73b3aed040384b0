//! The keeper's thread: writes the state file and the audit log, so that nobody else waits for a disk.

use crate::process::named::shown;
use crate::process::state_file::Kept;
use crate::process::supervise::Pulse;
use crate::process::{state_file, supervise};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use rustix::fs::OFlags;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tracing::{info, warn};

/// What may wait for the disk.
const WAITING: usize = 1_024;
/// At this size the audit log is put aside, and a new one begun, in bytes.
const FULL: u64 = 16 << 20;
/// Between two attempts to write a state that could not be written.
const AGAIN: Duration = Duration::from_secs(1);
/// Between two complaints about the disk.
const QUIET: Duration = Duration::from_secs(60);

/// What is to be kept.
pub enum Keep {
    /// The state, in place of the one before.
    State(Box<Kept>),
    /// A line of the audit log.
    Audit(String),
    /// Say when all that came before is written, as far as it can be.
    Done(Sender<()>),
}

/// Where a station's things are kept.
#[derive(Clone, Debug)]
pub struct Files {
    /// The state file.
    pub state: PathBuf,
    /// The audit log.
    pub audit: PathBuf,
}

impl Files {
    /// The files of a station in the state folder, its audit log in the log folder where systemd gives one; `None`
    /// where there is no state folder, which is said.
    pub fn of(station: &Path) -> Option<Self> {
        let Some(folder) = state_file::folder() else {
            warn!(
                "nothing is kept for the next start: neither STATE_DIRECTORY, XDG_STATE_HOME nor HOME is set"
            );
            return None;
        };
        if let Err(error) = fs::create_dir_all(&folder) {
            warn!("nothing is kept for the next start: {}: {error}", shown(&folder));
            return None;
        }
        let stem = state_file::stem(station);
        let logs = state_file::logs().unwrap_or_else(|| folder.clone());
        Some(Self {
            state: folder.join(format!("{stem}.state.json")),
            audit: logs.join(format!("{stem}.audit.log")),
        })
    }
}

/// Starts the thread. It ends when its sender is dropped and all is written.
pub fn spawn(files: Files) -> io::Result<(Sender<Keep>, JoinHandle<()>)> {
    let (keeps, kept) = bounded(WAITING);
    let thread = supervise::keep_running("keeper", move |pulse| {
        run(&files, &kept, pulse);
        Ok(())
    })?;
    Ok((keeps, thread))
}

fn run(files: &Files, kept: &Receiver<Keep>, pulse: &Pulse) {
    let mut complained: Option<Instant> = None;
    // The newest state, until it is written.
    let mut newest = None;
    let mut failed = false;
    loop {
        pulse.waits();
        let first = if failed { kept.recv_timeout(AGAIN) } else { kept.recv().map_err(Into::into) };
        pulse.beat();
        if matches!(first, Err(RecvTimeoutError::Disconnected)) {
            return;
        }
        let mut lines = String::new();
        let mut wait = Vec::new();
        // Of states that have piled up only the newest counts.
        for keep in first.into_iter().chain(kept.try_iter()) {
            match keep {
                Keep::State(state) => newest = Some(state),
                Keep::Audit(line) => lines += &line,
                Keep::Done(done) => wait.push(done),
            }
        }
        let audited = if lines.is_empty() { Ok(()) } else { append(&files.audit, &lines) };
        let written = newest.as_deref().map_or(Ok(()), |state| state_file::write(&files.state, state));
        if written.is_ok() {
            newest = None;
            if failed {
                info!("{}: what is on air is kept again", shown(&files.state));
            }
        }
        failed = written.is_err();
        for (path, result) in [(&files.audit, audited), (&files.state, written)] {
            let Err(error) = result else { continue };
            if complained.is_none_or(|before| before.elapsed() > QUIET) {
                complained = Some(Instant::now());
                warn!("{}: {error}; what is on air plays on, but is not kept", shown(path));
            }
        }
        wait.iter().for_each(|done| _ = done.try_send(()));
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
