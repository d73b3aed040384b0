//! A real jackd with its dummy driver, in a process of the test's own.

use crate::daemon::{PATIENCE, eventually, send_signal};
use jack::{Client, ClientOptions};
use std::ffi::OsStr;
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs the test `name` again in a process whose default JACK server is one of its own. True in there.
pub fn alone(name: &str) -> bool {
    if std::env::var_os("LACQUER_TEST_CHILD").is_some() {
        return true;
    }
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let (name_of_server, _held) = name_of_server();
    let status = with_parent(std::env::current_exe().unwrap())
        .args(["--exact", name, "--include-ignored", "--nocapture"])
        .env("LACQUER_TEST_CHILD", "1")
        .env("JACK_DEFAULT_SERVER", name_of_server)
        .env("JACK_NO_AUDIO_RESERVATION", "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its own process");
    false
}

/// A command that is killed with the thread that started it: a test that is interrupted leaves no server behind, whose name
/// the next one would take for its own.
fn with_parent(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL"]).arg(program);
    command
}

/// A name that no other test has meanwhile. There are few of them: a server that is killed keeps its place among the
/// machine's eight until the next one of its name, and one that ends by itself is killed by SIGPIPE now and then, when a
/// client goes first.
fn name_of_server() -> (String, File) {
    eventually("a name for a server", || {
        (0..4).find_map(|number| {
            let name = format!("lacquer-test-{number}");
            let file = File::create(std::env::temp_dir().join(format!("{name}.lock"))).unwrap();
            file.try_lock().ok().map(|()| (name, file))
        })
    })
}

/// A jackd with the dummy driver.
pub struct Server(Child);

impl Server {
    /// At 48 kHz, with blocks of `block` frames.
    pub fn start(block: usize) -> Self {
        Self::at(48_000, block)
    }

    pub fn at(rate: u32, block: usize) -> Self {
        Self::with(&[], rate, block)
    }

    /// The same, with options of the server's own.
    pub fn with(options: &[&str], rate: u32, block: usize) -> Self {
        let child = with_parent("jackd")
            .args(options)
            .args(["-d", "dummy", "-r", &rate.to_string(), "-p", &block.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("jackd: install jackd2, as make test does");
        jack::set_logger(jack::LoggerType::None);
        let server = Self(child);
        eventually("the server answers", || {
            Client::new("probe", ClientOptions::NO_START_SERVER).ok().map(drop)
        });
        server
    }

    /// Stops it where it stands, until what is given is dropped: before any client, whose leaving would wait for it.
    pub fn frozen(&self) -> Frozen {
        send_signal("STOP", self.0.id()).unwrap();
        Frozen(self.0.id())
    }

    /// Kills it.
    pub fn kill(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }

    /// Asks it to end and waits.
    pub fn stop(&mut self) {
        // Only while it is still ours to wait for: later its number may be another process's.
        if matches!(self.0.try_wait(), Ok(None)) {
            send_signal("TERM", self.0.id()).ok();
        }
        let deadline = Instant::now() + PATIENCE;
        while matches!(self.0.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::park_timeout(Duration::from_millis(5));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
        // The last resort, for one that did not listen.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A server that stands still.
pub struct Frozen(u32);

impl Drop for Frozen {
    fn drop(&mut self) {
        send_signal("CONT", self.0).ok();
    }
}
