//! The real daemon as a process, and an OSC client to talk to it.

use lacquer_control::surface::client::Client;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use rustix::process::{Pid, Signal, kill_process};
use std::cell::RefCell;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How long a test waits for what must happen: long beyond what a busy machine takes, since only a failure waits for it.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// The repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The `lacquer` command of this build; `make test` builds it before the tests.
pub fn binary() -> PathBuf {
    let mut folder = std::env::current_exe().unwrap();
    while folder.pop() {
        let binary = folder.join("lacquer");
        if binary.is_file() {
            return binary;
        }
    }
    panic!("build the lacquer command first: cargo build");
}

/// Where the daemon of a test keeps its state.
pub fn state_home(station: &Path) -> PathBuf {
    station.parent().unwrap().join("state")
}

/// Runs the command to its end.
pub fn lacquer(args: &[&str]) -> Output {
    Command::new(binary()).args(args).current_dir(root()).stdin(Stdio::null()).output().unwrap()
}

/// A folder of its own for each test, gone with it.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("lacquer-test-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A port that nobody listens on, neither over UDP nor over TCP. It lies below those that the system gives to clients: a
/// daemon that is started again finds it free.
pub fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let own = std::process::id() % 1_000 * 20;
    loop {
        let next = u32::from(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = 10_000 + ((own + next) % 22_000) as u16;
        if UdpSocket::bind(("127.0.0.1", port)).is_ok() && TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "in vain: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Lets this time pass, in which something is stopped: long enough for others to see it.
pub fn pass(time: Duration) {
    std::thread::sleep(time);
}

/// Does what must come to an end, on a thread of its own; gives what comes of it.
pub fn ends<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (done, comes) = std::sync::mpsc::channel();
    let worker = std::thread::spawn(move || _ = done.send(work()));
    match comes.recv_timeout(PATIENCE) {
        Ok(result) => result,
        Err(RecvTimeoutError::Timeout) => panic!("no end: {what}"),
        Err(RecvTimeoutError::Disconnected) => match worker.join() {
            Err(panic) => std::panic::resume_unwind(panic),
            Ok(()) => unreachable!("it sends before it ends"),
        },
    }
}

/// Sends a signal by its short name to a process that is still the caller's to wait for.
pub fn send_signal(name: &str, pid: u32) -> rustix::io::Result<()> {
    let signal = match name {
        "CONT" => Signal::CONT,
        "HUP" => Signal::HUP,
        "INT" => Signal::INT,
        "STOP" => Signal::STOP,
        "TERM" => Signal::TERM,
        "USR1" => Signal::USR1,
        "XCPU" => Signal::XCPU,
        other => panic!("no test sends {other} yet"),
    };
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap();
    kill_process(pid, signal)
}

/// A running daemon. Dropped, it is killed.
pub struct Daemon {
    child: Child,
    pub address: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Daemon {
    /// Starts `lacquer run STATION` and waits until OSC answers. The station must listen on `port`.
    pub fn start(station: &Path, port: u16) -> Self {
        Self::start_with(station, port, |_| {})
    }

    pub fn start_with(station: &Path, port: u16, change: impl FnOnce(&mut Command)) -> Self {
        let mut command = Command::new(binary());
        command.arg("run").arg(station).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        // What it keeps lies beside its station, not in the home of whoever runs the tests.
        command.env_remove("STATE_DIRECTORY").env("XDG_STATE_HOME", state_home(station));
        change(&mut command);
        let mut child = command.spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        // Unless the test reads it itself.
        if let Some(stderr) = child.stderr.take() {
            let sink = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    sink.lock().unwrap().push(line);
                }
            });
        }
        let mut daemon = Self { child, address: ([127, 0, 0, 1], port).into(), log };
        eventually("the daemon answers a ping", || {
            assert!(daemon.is_running(), "the daemon has ended");
            let client = daemon.client();
            client.say("/ping", vec![]);
            client.hear_for(Duration::from_millis(100)).iter().find(|line| line.address == "/pong").cloned()
        });
        daemon
    }

    pub fn client(&self) -> Listener {
        Listener(Client::connect(self.address).unwrap(), RefCell::default())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, name: &str) {
        send_signal(name, self.pid()).unwrap();
    }

    /// Writes a line to its standard input, where that is a pipe.
    pub fn say_to_stdin(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    /// The log so far.
    pub fn log(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }

    /// Waits until the log holds `text`.
    pub fn logged(&self, text: &str) {
        eventually(&format!("\"{text}\" in the log"), || self.log().contains(text).then_some(()));
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for the end.
    pub fn ended(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the daemon ends", || child.try_wait().unwrap())
    }

    /// Resident memory in KiB.
    pub fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// An OSC client. What it heard beside what it waited for is kept for the next wait.
pub struct Listener(pub Client, RefCell<Vec<Update>>);

impl Listener {
    pub fn say(&self, address: &str, values: Vec<Value>) {
        self.0.send(&[Update::new(address, values)]).unwrap();
    }

    /// All lines that come within `time`.
    pub fn hear_for(&self, time: Duration) -> Vec<Update> {
        let deadline = Instant::now() + time;
        let mut heard = self.1.take();
        // A refused port shows as an error: nobody listens yet.
        while let Ok(Some(lines)) = self.0.receive(deadline) {
            heard.extend(lines);
        }
        heard
    }

    /// Waits until nothing that `is` such a line comes for half a second; gives the last that came.
    pub fn quiet(&self, what: &str, is: impl Fn(&Update) -> bool) -> Option<Update> {
        let mut last = None;
        eventually(what, || {
            let newest = self.hear_for(Duration::from_millis(500)).into_iter().rfind(&is);
            let is_quiet = newest.is_none();
            last = newest.or_else(|| last.take());
            is_quiet.then_some(())
        });
        last
    }

    /// Waits for a line that `is` the one.
    pub fn hear(&self, what: &str, mut is: impl FnMut(&Update) -> bool) -> Update {
        let deadline = Instant::now() + PATIENCE;
        let mut others = Vec::new();
        let mut lines = self.1.take();
        loop {
            if let Some(at) = lines.iter().position(&mut is) {
                *self.1.borrow_mut() = lines.split_off(at + 1);
                return lines.remove(at);
            }
            others.extend(lines.into_iter().filter(|line| !line.address.starts_with("/meter/")));
            let Some(more) = self.0.receive(deadline).unwrap() else { break };
            lines = more;
        }
        panic!("in vain: {what}; heard {others:?}");
    }

    /// Asks, and waits for the answer at the same address, or for the error about it.
    pub fn ask(&self, address: &str, values: Vec<Value>) -> Update {
        self.say(address, values);
        let about = Value::Text(address.to_owned());
        self.hear(address, |line| {
            line.address == address || (line.address == "/error" && line.values.first() == Some(&about))
        })
    }

    /// Asks at one address, and waits for one line of the answer.
    pub fn ask_for(&self, address: &str, line: &str) -> Update {
        self.say(address, vec![]);
        self.hear(line, |heard| heard.address == line)
    }

    /// Waits for a phase of a swap.
    pub fn swap_phase(&self, phase: &str, chain: &str) {
        let wanted = [Value::Text(phase.to_owned()), Value::Text(chain.to_owned())];
        self.hear(&format!("swap {phase} {chain}"), |line| {
            line.address == "/event/swap" && line.values.get(..2) == Some(&wanted)
        });
    }
}

pub fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}
