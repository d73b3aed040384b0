//! How the kernel schedules the audio thread, and what is told of it: by own rights, by rtkit, by a JACK server, or not.
//!
//! What only root can arrange (a service without a right to real time beside an rtkit that gives it) is skipped for
//! others.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::rights::{NO_BUS, has_rights, is_root, through, without_rights};
use lacquer_tests::studio::A;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

struct Station {
    folder: Folder,
    path: PathBuf,
    port: u16,
}

impl Station {
    fn new(name: &str, audio: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("a.yaml", A);
        let port = free_port();
        let yaml = format!(
            "audio: {{{audio}}}\nchains: [a.yaml]\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}}}\n"
        );
        let path = folder.write("station.yaml", &yaml);
        Self { folder, path, port }
    }

    fn start(&self) -> Daemon {
        Daemon::start_with(&self.path, self.port, |command| {
            command.env("DBUS_SYSTEM_BUS_ADDRESS", NO_BUS);
        })
    }

    /// Starts it without any right to real time.
    fn start_without_rights(&self, bus: &str) -> Daemon {
        Daemon::start_with(&self.path, self.port, |command| without_rights(command, bus))
    }
}

/// What the station says of its audio thread, once it `is` what is waited for.
fn told(daemon: &Daemon, is: impl Fn(&str) -> bool) -> String {
    let client = daemon.client();
    let mut last = String::new();
    eventually("the audio thread is as it should be", || {
        let line = client.ask_for("/status", "/status/realtime");
        if let [Value::Text(text)] = line.values.as_slice() {
            last.clone_from(text);
        }
        is(&last).then_some(())
    });
    last
}

/// The ids of the threads of this name.
fn threads(daemon: &Daemon, name: &str) -> Vec<String> {
    let folder = PathBuf::from(format!("/proc/{}/task", daemon.pid()));
    let all = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let is_it = |thread: &String| {
        fs::read_to_string(folder.join(thread).join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    all.filter(is_it).collect()
}

/// What the system's own tool says of a thread.
fn chrt(thread: &str) -> String {
    let out = Command::new("chrt").args(["-p", thread]).output().unwrap();
    String::from_utf8_lossy(&out.stdout).into_owned()
}

#[test]
fn own_rights_give_the_audio_thread_alone_its_priority_and_processors() {
    if !has_rights() {
        return;
    }
    let station = Station::new("own", "backend: none, realtime: {priority: 42, cpus: [0]}");
    let daemon = station.start();
    assert_eq!(told(&daemon, |text| text.starts_with("SCHED")), "SCHED_FIFO 42 on CPU 0");
    daemon.logged("audio thread: SCHED_FIFO 42 on CPU 0");
    let audio = threads(&daemon, "audio");
    let said = chrt(&audio[0]);
    assert!(said.contains("SCHED_FIFO|SCHED_RESET_ON_FORK") && said.contains("priority: 42"), "{said}");
    let status = fs::read_to_string(format!("/proc/{}/task/{}/status", daemon.pid(), audio[0])).unwrap();
    assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    let main = chrt(&daemon.pid().to_string());
    assert!(main.contains("SCHED_OTHER"), "{main}");
    // Somebody takes it away: that is seen and said.
    assert!(Command::new("chrt").args(["-o", "-p", "0", &audio[0]]).status().unwrap().success());
    told(&daemon, |text| text.starts_with("none: it was removed"));
    daemon.logged("audio thread has no real-time priority (it was removed");
}

#[test]
fn a_thread_that_runs_too_long_loses_real_time_and_plays_on() {
    if !has_rights() {
        return;
    }
    let station = Station::new("xcpu", "backend: none");
    let mut daemon = station.start();
    told(&daemon, |text| text == "SCHED_FIFO 70");
    // What the kernel sends where RLIMIT_RTTIME is passed; unheard, it ends the process.
    daemon.signal("XCPU");
    daemon.logged("a block took longer than RLIMIT_RTTIME allows");
    told(&daemon, |text| text.starts_with("none: a block took longer"));
    assert!(chrt(&threads(&daemon, "audio")[0]).contains("SCHED_OTHER"));
    assert!(daemon.is_running());
}

#[test]
fn nobody_wants_real_time_for_a_free_clock_or_where_the_station_says_off() {
    for (audio, wanted) in [
        ("backend: none, none: {clock: free}", "not wanted: a free-running clock"),
        ("backend: none, realtime: {priority: off}", "not wanted: the station says priority: off"),
    ] {
        let station = Station::new("nobody", audio);
        let daemon = station.start();
        told(&daemon, |text| text.starts_with(wanted));
        assert!(!daemon.log().contains("no real-time priority"), "{}", daemon.log());
    }
}

#[test]
fn a_processor_that_is_not_there_is_told() {
    let station = Station::new("cpus", "backend: none, realtime: {cpus: [0, 1000]}");
    station.start().logged("audio.realtime.cpus: this process has no processor 1000");
    let station = Station::new("nocpus", "backend: none, realtime: {cpus: [1000]}");
    station.start().logged("audio.realtime.cpus: cannot restrict the audio thread to 1000");
}

#[test]
fn without_rights_and_without_rtkit_it_is_said_once_and_plays_on() {
    let station = Station::new("none", "backend: none");
    let daemon = station.start_without_rights(NO_BUS);
    let text = told(&daemon, |text| text.contains("rtkit:"));
    assert!(text.starts_with("none: RLIMIT_RTPRIO is 0; rtkit: no system bus"), "{text}");
    daemon.logged("audio thread has no real-time priority (RLIMIT_RTPRIO is 0; rtkit: no system bus");
    daemon.logged("run `lacquer doctor`");
    assert_eq!(daemon.log().matches("no real-time priority").count(), 1, "{}", daemon.log());
    assert!(chrt(&threads(&daemon, "audio")[0]).contains("SCHED_OTHER"));
}

/// A system bus of the test's own, with the services that are started on it.
struct Bus {
    address: String,
    children: Vec<Child>,
}

impl Bus {
    fn start(folder: &Folder) -> Self {
        // rtkit's and polkit's own users come in, too.
        fs::set_permissions(&folder.0, fs::Permissions::from_mode(0o755)).unwrap();
        let socket = folder.at("bus");
        let address = format!("unix:path={}", socket.display());
        let allow = ["send_type=\"method_call\"", "send_type=\"signal\"", "receive_type=\"method_call\""];
        let allow: String = allow.iter().map(|what| format!("<allow {what}/>")).collect();
        let config = folder.write(
            "bus.conf",
            &format!(
                "<busconfig><type>system</type><listen>{address}</listen><policy context=\"default\">\
                 <allow user=\"*\"/><allow own=\"*\"/>{allow}<allow send_requested_reply=\"true\"/>\
                 <allow receive_requested_reply=\"true\"/></policy></busconfig>"
            ),
        );
        let mut bus = Self { address, children: Vec::new() };
        bus.spawn(
            "dbus-daemon",
            &[&format!("--config-file={}", config.display()), "--nofork", "--nopidfile"],
        );
        eventually("the bus listens", || socket.exists().then_some(()));
        bus
    }

    fn spawn(&mut self, program: &str, args: &[&str]) {
        let mut command = Command::new(program);
        command.args(args).env("DBUS_SYSTEM_BUS_ADDRESS", &self.address);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn();
        self.children.push(child.unwrap_or_else(|_| panic!("{program}: install it, as make test does")));
    }

    /// Starts a service, and waits until it has its name.
    fn serve(&mut self, program: &str, args: &[&str], name: &str) {
        self.spawn(program, args);
        eventually(&format!("{name} is there"), || {
            let names = Command::new("dbus-send")
                .arg(format!("--bus={}", self.address))
                .args(["--dest=org.freedesktop.DBus", "--print-reply", "/", "org.freedesktop.DBus.ListNames"])
                .output()
                .unwrap();
            String::from_utf8_lossy(&names.stdout).contains(name).then_some(())
        });
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        for child in self.children.iter_mut().rev() {
            child.kill().ok();
            child.wait().ok();
        }
    }
}

#[test]
fn without_rights_rtkit_is_asked() {
    if !is_root() || !has_rights() {
        return;
    }
    let station = Station::new("rtkit", "backend: none, realtime: {priority: 15}");
    let mut bus = Bus::start(&station.folder);
    // A bus without rtkit: it is not installed.
    let daemon = station.start_without_rights(&bus.address);
    let text = told(&daemon, |text| text.contains("rtkit:"));
    assert_eq!(text, "none: RLIMIT_RTPRIO is 0; rtkit: it is not installed");
    drop(daemon);
    bus.serve("/usr/lib/polkit-1/polkitd", &[], "org.freedesktop.PolicyKit1");
    // Its own limits count the processes of its user: the machine's rtkit, where one runs, is one too many.
    bus.serve("/usr/libexec/rtkit-daemon", &["--no-limit-resources"], "org.freedesktop.RealtimeKit1");
    let daemon = station.start_without_rights(&bus.address);
    // Debian's rtkit gives SCHED_RR.
    assert_eq!(told(&daemon, |text| text.contains(" by ")), "SCHED_RR 15 by rtkit");
    daemon.logged("audio thread: SCHED_RR 15 by rtkit");
    let said = chrt(&threads(&daemon, "audio")[0]);
    assert!(said.contains("SCHED_RR|SCHED_RESET_ON_FORK") && said.contains("priority: 15"), "{said}");
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).unwrap();
    let time = limits.lines().find(|line| line.starts_with("Max realtime timeout")).unwrap();
    assert_eq!(time.split_whitespace().nth(3), Some("100000"), "{time}");
    drop(daemon);
    // More than rtkit gives becomes what it gives.
    let eager = Station::new("eager", "backend: none, realtime: {priority: 95}");
    let daemon = eager.start_without_rights(&bus.address);
    assert_eq!(told(&daemon, |text| text.starts_with("SCHED")), "SCHED_RR 20 by rtkit");
}

/// A control group of its own, gone with it.
struct Group(PathBuf);

impl Drop for Group {
    fn drop(&mut self) {
        eventually("the group is empty", || fs::remove_dir(&self.0).ok());
    }
}

#[test]
fn a_control_group_without_real_time_is_named() {
    // Only kernels with RT_GROUP_SCHED have it, and only the first version of control groups shows it.
    let root = Path::new("/sys/fs/cgroup/cpu");
    if !root.join("cpu.rt_runtime_us").exists() || !is_root() {
        return;
    }
    let name = format!("lacquer-test-{}", std::process::id());
    let group = Group(root.join(&name));
    fs::create_dir(&group.0).unwrap();
    let station = Station::new("group", "backend: none");
    let enter = format!("echo $$ > {}/cgroup.procs; exec \"$@\"", group.0.display());
    let daemon = Daemon::start_with(&station.path, station.port, |command| {
        through(command, "sh", &["-c", &enter, "sh"], NO_BUS);
    });
    let text = told(&daemon, |text| text.contains("rtkit:"));
    let wanted =
        format!("although RLIMIT_RTPRIO allows it: the control group /{name} has no real-time budget");
    assert!(text.contains(&wanted), "{text}");
    drop(daemon);
}

#[test]
fn on_jack_the_servers_word_holds_and_is_told() {
    if !alone("on_jack_the_servers_word_holds_and_is_told") {
        return;
    }
    let station = Station::new("jack", "backend: jack");
    let mut server = Server::with(&["-r"], 48_000, 256);
    let daemon = station.start();
    told(&daemon, |text| text == "none: the audio server itself runs without it");
    daemon.logged("audio thread has no real-time priority (the audio server itself runs without it)");
    drop(daemon);
    server.stop();
    if !has_rights() {
        return;
    }
    let _server = Server::with(&["-R", "-P", "20"], 48_000, 256);
    let daemon = station.start();
    // A client's thread stands below the server's.
    assert_eq!(told(&daemon, |text| text.starts_with("SCHED")), "SCHED_FIFO 15 by the server");
}
