//! The machine to check: its files, its processes, and what its audio servers answer. A test gives a folder with a copy
//! of these files.

use super::Finding;
use crate::audio::backend::jack;
use crate::audio::realtime::limits;
use crate::audio::realtime::sched::Policy;
use crate::process::supervise::within;
use crate::station::jack::Jack;
use lacquer_graph::plan::Io;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// Time limit for an audio server to answer: one that hangs is one that does not answer.
const LIMIT: Duration = Duration::from_secs(5);

/// What a command prints, if it ends within a limit; else it is killed.
fn output_within(limit: Duration, command: &mut Command) -> Option<String> {
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).spawn().ok()?;
    let mut stdout = child.stdout.take()?;
    let read = move || {
        let mut bytes = Vec::new();
        stdout.read_to_end(&mut bytes).ok().map(|_| String::from_utf8_lossy(&bytes).into_owned())
    };
    let output = within("doctor", limit, read).flatten();
    // One that has ended is not killed by this.
    child.kill().ok();
    child.wait().ok();
    output
}

/// The machine, or a copy of its files under another root.
pub struct Machine {
    pub(super) root: PathBuf,
    /// Highest real-time priority, and most locked memory in bytes, that a process may have; `None` is unlimited.
    pub(super) priority: Option<u64>,
    pub(super) locked: Option<u64>,
    pub(super) answers: Answers,
    /// The user who runs the check, and that user's home folder under the root.
    pub(super) user: Option<(String, PathBuf)>,
}

/// What the audio servers answer.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// JACK's rate, in Hz, and block, in frames.
    pub jack: Option<(f64, usize)>,
    /// PipeWire's settings, as `pw-metadata -n settings` prints them.
    pub pipewire: Option<String>,
}

/// A process.
pub(super) struct Process {
    pub pid: u32,
    pub name: String,
}

impl Machine {
    /// The machine that this runs on.
    pub fn here() -> Self {
        let (priority, locked) = limits();
        let mut machine = Self::under(Path::new("/"), priority, locked);
        let word = |name: &str| std::env::var(name).ok().filter(|word| !word.is_empty());
        machine.user = word("USER").zip(word("HOME").map(PathBuf::from));
        machine.answers = machine.query_servers();
        machine
    }

    /// A machine whose files lie under `root`, with these limits.
    pub fn under(root: &Path, priority: Option<u64>, locked: Option<u64>) -> Self {
        Self { root: root.to_owned(), priority, locked, answers: Answers::default(), user: None }
    }

    /// The same, with these answers of the audio servers.
    pub fn with_answers(self, answers: Answers) -> Self {
        Self { answers, ..self }
    }

    /// The same, checked by this user, with this home folder under the root.
    pub fn with_user(self, user: &str, folder: &Path) -> Self {
        Self { user: Some((user.to_owned(), folder.to_owned())), ..self }
    }

    /// Queries the audio servers that seem to run.
    fn query_servers(&self) -> Answers {
        let (has_jack, mut has_pipewire) = self.running_servers();
        // Its socket may be in another folder.
        has_pipewire |= self.process(&["pipewire"]).is_some();
        let jack = || {
            let none = Io { inputs: Vec::new(), outputs: Vec::new() };
            let (system, client) = (Jack::default(), "lacquer-doctor");
            let wanted = jack::ClientConfig { jack: &system, station: client, client, io: &none, midi: &[] };
            jack::open(&wanted).ok().map(|opened| (opened.rate(), opened.block()))
        };
        Answers {
            jack: has_jack.then(|| within("doctor", LIMIT, jack)).flatten().flatten(),
            pipewire: has_pipewire
                .then(|| {
                    let mut command = Command::new("pw-metadata");
                    output_within(LIMIT, command.args(["-n", "settings"]))
                })
                .flatten(),
        }
    }

    /// Runs all checks, in this order.
    pub fn check(&self) -> Vec<Finding> {
        let checks = [
            Self::real_time,
            Self::locked_memory,
            Self::share,
            Self::control_group,
            Self::rtkit,
            Self::running,
            Self::kernel,
            Self::interrupts,
            Self::governor,
            Self::isolation,
            Self::clock,
            Self::swapping,
            Self::cards,
            Self::cards_in_use,
            Self::sequencer,
            Self::servers,
            Self::jack,
            Self::pipewire,
            Self::library,
            Self::quantum,
            Self::linger,
        ];
        checks.iter().filter_map(|check| check(self)).collect()
    }

    /// A text file, without leading and trailing white space.
    pub(super) fn read(&self, path: &str) -> Option<String> {
        let text = fs::read_to_string(self.root.join(path)).ok()?;
        Some(text.trim().to_owned())
    }

    pub(super) fn has(&self, path: &str) -> bool {
        self.root.join(path).exists()
    }

    /// The names in a folder, in order.
    pub(super) fn list(&self, path: impl AsRef<Path>) -> Vec<String> {
        let entries = fs::read_dir(self.root.join(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// The processes that this user can see.
    pub(super) fn processes(&self) -> impl Iterator<Item = Process> {
        let pids = self.list("proc").into_iter().filter_map(|name| name.parse().ok());
        pids.filter_map(|pid: u32| Some(Process { pid, name: self.read(&format!("proc/{pid}/comm"))? }))
    }

    /// The highest real-time policy of a process's threads; `None` if this user cannot see it.
    pub(super) fn real_time_of(&self, process: &Process) -> Option<Policy> {
        let pid = process.pid;
        let threads = self.list(format!("proc/{pid}/task")).into_iter();
        let policies = threads.filter_map(|thread| {
            let stat = self.read(&format!("proc/{pid}/task/{thread}/stat"))?;
            // The name, in brackets, may contain anything. Field 3 follows it; priority and policy are fields 40 and 41
            // (proc(5)).
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(37);
            let (priority, policy) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            Some(Policy::of(policy, priority))
        });
        policies.max_by_key(|policy| match policy {
            Policy::Fifo(priority) | Policy::RoundRobin(priority) => *priority,
            Policy::Deadline => u32::MAX,
            Policy::Shared => 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_does_not_answer_is_not_waited_for() {
        let short = Duration::from_millis(20);
        assert_eq!(within("doctor", short, std::thread::park), None);
        assert_eq!(output_within(short, Command::new("sleep").arg("1000")), None);
        let long = Duration::from_secs(120);
        assert_eq!(within("doctor", long, || 7), Some(7));
        assert_eq!(output_within(long, Command::new("echo").arg("settings")).as_deref(), Some("settings\n"));
        assert_eq!(output_within(long, Command::new("pw-metadata").current_dir("/nowhere")), None);
    }
}
