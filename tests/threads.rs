//! Threads that end or hang: each is reported, started again, and does again what it is for, while the programme plays.

#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Listener, eventually, free_port, lacquer, pass, state_home, text};
use lacquer_tests::state::read_kept;
use lacquer_tests::studio::{Studio, number};
use rustix::fs::OFlags;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use std::ffi::CString;
use std::fs;
use std::io::{BufRead, BufReader, PipeReader, Read, Write, pipe};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const CHAIN: &str = "
nodes:
  - tone: {id: line, level: -12 dB, freq: 441 Hz}
  - gain: {id: level, gain: -3 dB}
";

fn studio(name: &str) -> Studio {
    let studio = Studio::new(name);
    studio.folder.write("a.yaml", CHAIN);
    studio
}

/// Starts the daemon, whose faults come from its standard input.
fn start(studio: &Studio) -> Daemon {
    Daemon::start_with(&studio.station, studio.port, |command| {
        command.args(["--report", "1"]).env("LACQUER_FAULTS", "stdin").stdin(Stdio::piped());
    })
}

/// Subscribes, and waits until the meters show the programme.
fn plays(client: &Listener) {
    eventually("the meters show the programme", || {
        client.say("/subscribe", vec![]);
        let lines = client.hear_for(Duration::from_millis(150));
        let shows = |line: &Update| line.address == "/meter/output/peak" && number(line) > -50.0;
        lines.iter().any(shows).then_some(())
    });
}

/// Sets the level, and waits until it is so.
fn set(client: &Listener, value: f64) {
    eventually(&format!("the level is {value}"), || {
        client.say("/node/level/gain", vec![Value::Number(value)]);
        client.say("/node/level/gain", vec![]);
        let lines = client.hear_for(Duration::from_millis(100));
        let is = |line: &Update| line.address == "/node/level/gain" && line.values == [Value::Number(value)];
        lines.iter().any(is).then_some(())
    });
}

fn status(client: &Listener, key: &str) -> Update {
    client.ask_for("/status", &format!("/status/{key}"))
}

/// The state file.
fn state(studio: &Studio) -> String {
    read_kept(&studio.station, ".state.json").unwrap_or_default()
}

/// Asks the web port for a value, until it answers.
fn web_answers(port: u16) {
    eventually("the web port answers", || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream
            .write_all(b"GET /node/level/gain HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
            .ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
}

#[test]
fn each_thread_that_ends_is_reported_and_started_again_while_the_programme_plays() {
    let studio = studio("threads");
    let web = free_port();
    let osc = format!("osc: {{listen: \"127.0.0.1:{}\"}}, web: {{listen: \"127.0.0.1:{web}\"}}", studio.port);
    studio.write_control("[a.yaml, b.yaml]", &osc, "watch: true\n");
    let mut daemon = start(&studio);
    let client = daemon.client();
    plays(&client);
    let threads =
        ["osc-in", "osc-out", "net", "taps", "keeper", "signals", "watcher", "screen", "conductor", "log"];
    for (at, name) in threads.into_iter().enumerate() {
        let value = -(at as f64) - 1.0;
        daemon.say_to_stdin(&format!("panic {name}"));
        // Those that wait for work do it with the next.
        eventually(&format!("{name} panics"), || {
            match name {
                "keeper" => set(&client, value - 20.0),
                "signals" => daemon.signal("USR1"),
                "watcher" => _ = studio.folder.write("a.yaml", CHAIN),
                _ => {}
            }
            let said = format!("thread {name} panicked: thread {name} was asked to panic");
            daemon.log().contains(&said).then_some(())
        });
        // Each does again what it is for.
        set(&client, value);
        match name {
            "net" => web_answers(web),
            "taps" | "osc-out" => plays(&client),
            "keeper" => {
                let text = format!("{value:.1}");
                eventually("the value is kept", || state(&studio).contains(&text).then_some(()));
            }
            "signals" => {
                daemon.signal("HUP");
                daemon.logged("files read again");
            }
            "watcher" => {
                studio.folder.write("a.yaml", &CHAIN.replace("441 Hz", "442 Hz"));
                eventually("the file is read", || {
                    (number(&client.ask("/node/line/freq", vec![])) == 442.0).then_some(())
                });
            }
            "log" => daemon.logged("1 log lines lost"),
            "screen" => {
                let lines = || daemon.log().matches("LUFS").count();
                let before = lines();
                eventually("it shows more", || (lines() > before).then_some(()));
            }
            _ => {}
        }
    }
    eventually("all restarts are counted", || {
        (number(&status(&client, "thread_restarts")) >= threads.len() as f64).then_some(())
    });
    assert_eq!(status(&client, "threads").values, [text("running")]);
    // Every surface hears of it.
    client.say("/subscribe", vec![]);
    daemon.say_to_stdin("panic taps");
    let fault = client.hear("a fault of the taps", |line| line.address == "/event/fault");
    let what = text("panicked: thread taps was asked to panic; restarting");
    assert_eq!(fault.values, [text("thread taps"), what]);
    plays(&client);
}

#[test]
fn a_thread_that_hangs_is_reported_and_so_is_its_return() {
    let studio = studio("thread-hangs");
    let osc = format!("osc: {{listen: \"127.0.0.1:{}\"}}", studio.port);
    studio.write_control("[a.yaml, b.yaml]", &osc, "watch: true\n");
    let mut daemon = start(&studio);
    let client = daemon.client();
    plays(&client);
    client.say("/subscribe", vec![Value::Number(600.0)]);
    daemon.say_to_stdin("hang taps");
    // As on a disk that does not answer: the next change holds it up.
    daemon.say_to_stdin("hang watcher");
    let change = |freq: i32| studio.folder.write("a.yaml", &CHAIN.replace("441 Hz", &format!("{freq} Hz")));
    eventually("the watcher is late", || {
        change(442);
        pass(Duration::from_millis(100));
        daemon.log().contains("thread watcher has made no progress for 10 s").then_some(())
    });
    let of_taps = |line: &Update| line.address == "/event/fault" && line.values[0] == text("thread taps");
    let fault = client.hear("the taps are late", of_taps);
    assert_eq!(fault.values[1], text("has made no progress for 10 s; what it shows may be out of date"));
    let threads = format!("{:?}", status(&client, "threads").values);
    assert!(threads.contains("without progress: "), "{threads}");
    assert!(threads.contains("taps") && threads.contains("watcher"), "{threads}");
    // All else goes on without it: a reload reads the file, and the conductor does not wait for it to be watched.
    let is_read = |freq: f64| {
        eventually(&format!("{freq} Hz"), || {
            (number(&client.ask("/node/line/freq", vec![])) == freq).then_some(())
        });
    };
    change(443);
    client.say("/reload", vec![]);
    is_read(443.0);
    change(444);
    daemon.say_to_stdin("go watcher");
    daemon.logged("thread watcher makes progress again");
    is_read(444.0);
    // The log says what it does instead: it waits, or the machine has no time for it.
    daemon.logged("what it shows may be out of date (it ");
    daemon.say_to_stdin("go taps");
    assert_eq!(client.hear("the taps go on", of_taps).values[1], text("makes progress again"));
    assert_eq!(status(&client, "threads").values, [text("running")]);
    plays(&client);
}

/// A thread that never sleeps takes a processor from the audio, as the conductor once did on backends without events.
#[test]
fn every_thread_sleeps_when_there_is_nothing_to_do() {
    let studio = Studio::new("sleep");
    let osc = format!("osc: {{listen: \"127.0.0.1:{}\"}}", studio.port);
    studio.write_control("[a.yaml, b.yaml]", &osc, "");
    let daemon = start(&studio);
    plays(&daemon.client());
    all_sleep(&daemon, &["audio", "osc-in", "worker"]);
    // All controllers are on JACK, and there is no server.
    studio.folder.write("map.yaml", "device: any\ncontrols: [{cc: 1, to: /node/tone/band/1/gain}]\n");
    studio.folder.write(
        "station.yaml",
        &format!(
            "audio: {{backend: jack, jack: {{client: nobody}}}}\nchains: [a.yaml]\n\
             control: {{{osc}, midi: [{{device: any, map: map.yaml}}]}}\n"
        ),
    );
    drop(daemon);
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("JACK_DEFAULT_SERVER", "nobody");
    });
    all_sleep(&daemon, &["midi"]);
}

/// Waits until each thread of a daemon sleeps; these must be among them.
fn all_sleep(daemon: &Daemon, names: &[&str]) {
    let mut seen = Vec::new();
    for task in fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap() {
        let task = task.unwrap().path();
        let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
        seen.push(name.trim().to_owned());
        eventually(&format!("thread {} sleeps", name.trim()), || {
            // proc(5): the state is behind the name, which is in brackets. A short thread may have ended.
            let Ok(stat) = fs::read_to_string(task.join("stat")) else { return Some(()) };
            stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S')).then_some(())
        });
    }
    assert!(names.iter().all(|name| seen.iter().any(|known| known == name)), "{names:?} in {seen:?}");
}

/// A socket in place of systemd's, and how often its watchdog was notified there.
fn watchdog(studio: &Studio) -> (PathBuf, Arc<AtomicUsize>) {
    let path = studio.folder.at("notify");
    let (socket, fed) = (UnixDatagram::bind(&path).unwrap(), Arc::<AtomicUsize>::default());
    let count = Arc::clone(&fed);
    std::thread::spawn(move || {
        let mut bytes = [0; 1024];
        while let Ok(length) = socket.recv(&mut bytes) {
            let is_watchdog = String::from_utf8_lossy(&bytes[..length]).contains("WATCHDOG=1");
            count.fetch_add(usize::from(is_watchdog), Ordering::Relaxed);
        }
    });
    (path, fed)
}

/// The watchdog is notified, again and again, and requests are answered.
fn lives(client: &Listener, fed: &AtomicUsize) {
    let before = fed.load(Ordering::Relaxed);
    eventually("the watchdog is notified", || {
        client.ask_for("/ping", "/pong");
        (fed.load(Ordering::Relaxed) > before + 3).then_some(())
    });
}

/// A daemon whose stderr and stdout are a pipe that nobody reads, with more in its log than the pipe and its queue hold.
/// The number counts how often systemd's watchdog was notified.
fn start_unread(studio: &Studio) -> (Daemon, PipeReader, Arc<AtomicUsize>) {
    let (path, fed) = watchdog(studio);
    let (unread, full) = pipe().unwrap();
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.args(["--report", "1"]).env("LACQUER_FAULTS", "stdin").stdin(Stdio::piped());
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
        command.stdout(full.try_clone().unwrap()).stderr(full);
    });
    let client = daemon.client();
    // The status has some thirty lines.
    for _ in 0..400 {
        daemon.signal("USR1");
        client.ask_for("/ping", "/pong");
    }
    (daemon, unread, fed)
}

#[test]
fn a_log_that_nobody_reads_stops_no_thread_and_then_says_how_much_is_lost() {
    let studio = studio("unread");
    let (mut daemon, unread, fed) = start_unread(&studio);
    let client = daemon.client();
    lives(&client, &fed);
    // A panic is logged too, and by the thread itself.
    client.say("/subscribe", vec![Value::Number(600.0)]);
    daemon.say_to_stdin("panic taps");
    let of_taps = |line: &Update| line.address == "/event/fault" && line.values[0] == text("thread taps");
    client.hear("the taps are restarted", of_taps);
    plays(&client);
    // Now somebody reads.
    let log = Arc::<Mutex<Vec<String>>>::default();
    let lines = Arc::clone(&log);
    let reader = std::thread::spawn(move || {
        BufReader::new(unread)
            .lines()
            .map_while(Result::ok)
            .for_each(|line| lines.lock().unwrap().push(line));
    });
    let lost = eventually("the log says how much is lost", || {
        let is_lost = |line: &String| line.contains("log lines lost: the log was not read fast enough");
        log.lock().unwrap().iter().position(is_lost)
    });
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    reader.join().unwrap();
    let log = log.lock().unwrap();
    assert!(log[..lost].iter().any(|line| line.contains("a is on air")));
    assert!(lost > 1_000, "{lost} of {} lines were kept", log.len());
    assert!(log[lost..].iter().any(|line| line.contains("fading out")), "{:?}", log.last());
}

#[test]
fn the_end_of_the_process_does_not_wait_for_a_log_that_nobody_reads() {
    let studio = studio("unread-end");
    let (mut daemon, _unread, _) = start_unread(&studio);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_terminal_that_is_stopped_stops_no_thread_and_its_last_picture_is_not_waited_for() {
    let studio = studio("stopped-terminal");
    // Nobody reads this end, as after Ctrl-S.
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).and_then(|()| unlockpt(&terminal)).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let mut options = fs::File::options();
    options.read(true).write(true).custom_flags(OFlags::NOCTTY.bits().cast_signed());
    let screen = options.open(name.to_str().unwrap()).unwrap();
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("TERM", "xterm").stdout(screen.try_clone().unwrap()).stderr(screen);
    });
    let client = daemon.client();
    for _ in 0..200 {
        daemon.signal("USR1");
        client.ask_for("/ping", "/pong");
    }
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

/// A disk that hangs: whoever opens, looks for or reads a file below it waits until it is dropped.
struct Hanging {
    folder: PathBuf,
    /// A file system in user space that never answers.
    _server: fs::File,
}

impl Hanging {
    /// Over a folder; none where this user may not mount.
    fn over(folder: &Path) -> Option<Self> {
        let server = fs::File::options().read(true).write(true).open("/dev/fuse").ok()?;
        let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", server.as_raw_fd());
        let flags = MountFlags::NOSUID | MountFlags::NODEV;
        match mount("hanging", folder, "fuse", flags, &*CString::new(options).unwrap()) {
            Ok(()) => Some(Self { folder: folder.to_owned(), _server: server }),
            Err(error) => {
                eprintln!("not tested: a disk that hangs takes a mount, and this user has none: {error}");
                None
            }
        }
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        unmount(&self.folder, UnmountFlags::DETACH).ok();
    }
}

#[test]
fn a_disk_that_hangs_stops_neither_programme_nor_controls_and_says_what_waited_for_it() {
    let studio = studio("hanging");
    let disk = studio.folder.at("disk");
    fs::create_dir(&disk).unwrap();
    fs::write(disk.join("room.txt"), "1.0\n0.5\n").unwrap();
    studio.folder.write("disk/far.yaml", "name: far\nnodes: [gain: {id: level}]\n");
    studio
        .folder
        .write("c.yaml", "nodes: [convolver: {id: room, impulse: disk/room.txt}, gain: {id: level}]\n");
    studio.write("[a.yaml, b.yaml, c.yaml, disk/far.yaml]", "watch: true");
    let (path, fed) = watchdog(&studio);
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    });
    plays(&daemon.client());
    // One that subscribes to nothing: no meters that it does not read take the place of its answers.
    let client = daemon.client();
    let Some(hanging) = Hanging::over(&disk) else { return };
    client.say("/swap", vec![text("c")]);
    client.say("/reload", vec![]);
    let other = daemon.client();
    lives(&other, &fed);
    plays(&other);
    set(&other, -6.0);
    // Both wait for the disk, and end in an error.
    let why =
        client.hear("the swap fails", |line| line.address == "/error" && line.values[0] == text("/swap"));
    let told = format!("{:?}", why.values);
    assert!(
        told.contains("planning chain \\\"c\\\": not done after 10 s")
            && told.contains("the disk may not answer"),
        "{told}"
    );
    client.hear("the reload fails", |line| line.address == "/error" && line.values[0] == text("/reload"));
    lives(&daemon.client(), &fed);
    // What is not on that disk is played.
    client.say("/subscribe", vec![Value::Number(600.0)]);
    client.say("/swap", vec![text("b")]);
    client.swap_phase("done", "b");
    // When the disk answers again, all is as before.
    drop(hanging);
    client.say("/swap", vec![text("c")]);
    client.swap_phase("done", "c");
    // The end waits for no disk.
    let _hanging = Hanging::over(&disk);
    client.say("/reload", vec![]);
    daemon.client().ask_for("/ping", "/pong");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_disk_that_hangs_under_the_state_is_not_waited_for() {
    let studio = studio("hanging-state");
    let (path, fed) = watchdog(&studio);
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    });
    let client = daemon.client();
    plays(&client);
    let Some(_hanging) = Hanging::over(&state_home(&studio.station).join("lacquer")) else { return };
    for value in [-4.0, -5.0, -6.0] {
        set(&client, value);
        lives(&client, &fed);
    }
    plays(&client);
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn a_check_of_a_file_on_a_disk_that_hangs_ends_and_says_why() {
    let studio = studio("hanging-check");
    let disk = studio.folder.at("disk");
    fs::create_dir(&disk).unwrap();
    let chain = studio.folder.write("c.yaml", "nodes: [convolver: {impulse: disk/room.txt}]\n");
    let Some(_hanging) = Hanging::over(&disk) else { return };
    let check = lacquer(&["check", chain.to_str().unwrap()]);
    let told = String::from_utf8_lossy(&check.stderr);
    assert!(check.status.code() == Some(3) && told.contains("not done after 10 s"), "{told}");
}
