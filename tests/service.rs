//! Lacquer as a service: what systemd is told, where the log goes, and the units as they are installed.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, PATIENCE, binary, eventually, root};
use lacquer_tests::studio::{B, Studio};
use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Command;

/// The highest exposure that `systemd-analyze security` may find.
const EXPOSURE: f64 = 1.8;

/// systemd's end of the socket.
struct Systemd(UnixDatagram);

impl Systemd {
    fn at(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    /// The next message that holds `wanted`, and those before it.
    fn told(&self, wanted: &str) -> (String, Vec<String>) {
        let mut before = Vec::new();
        let mut bytes = [0; 4096];
        loop {
            let length = self.0.recv(&mut bytes).unwrap_or_else(|_| panic!("in vain: {wanted}; {before:?}"));
            let message = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if message.contains(wanted) {
                return (message, before);
            }
            before.push(message);
        }
    }
}

#[test]
fn a_reload_by_signal_is_told_from_its_begin_to_its_outcome() {
    let studio = Studio::new("reload-told");
    let path = studio.folder.at("notify");
    let systemd = Systemd::at(&path);
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    systemd.told("READY=1");

    daemon.signal("HUP");
    let (reloading, before) = systemd.told("RELOADING=1");
    assert!(!before.iter().any(|message| message.contains("READY=1")), "{before:?}");
    let usec = reloading.lines().find_map(|line| line.strip_prefix("MONOTONIC_USEC=")).unwrap();
    assert!(usec.parse::<u64>().unwrap() > 0, "{reloading}");
    let (done, _) = systemd.told("READY=1");
    assert!(done.contains("STATUS=on air: a; files read again"), "{done}");

    studio.folder.write("b.yaml", "nodes: [{gain: {gian: 1}}]");
    daemon.signal("HUP");
    systemd.told("RELOADING=1");
    let (failed, _) = systemd.told("READY=1");
    let status = failed.lines().find(|line| line.starts_with("STATUS=")).unwrap();
    assert!(status.starts_with("STATUS=on air: a; reload failed, running chain unchanged"), "{failed}");
    assert!(status.contains("b.yaml:1:"), "{failed}");
    assert_eq!(failed.lines().count(), 2, "no line of the report is a word of its own: {failed}");

    // What is not asked for by systemd is not told to it.
    studio.folder.write("b.yaml", B);
    daemon.client().ask("/reload", vec![]);
    daemon.signal("TERM");
    let (_, before) = systemd.told("STOPPING=1");
    assert!(!before.iter().any(|message| message.contains("RELOADING=1")), "{before:?}");
}

#[test]
fn without_a_journal_the_log_goes_to_stderr_and_is_dated_where_that_is_no_journal() {
    let studio = Studio::new("no-journal");
    // Inherited from a service, but stderr leads elsewhere: a pipe.
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("JOURNAL_STREAM", "1:1");
    });
    daemon.signal("TERM");
    daemon.ended();
    let text = eventually("the log", || Some(daemon.log()).filter(|text| text.contains("fading out")));
    let line = text.lines().find(|line| line.contains("a is on air")).unwrap();
    assert!(line.starts_with("20"), "dated: {line}");
    assert!(!line.contains("chain="), "the fields are the journal's: {line}");
    // As systemd starts it, where its journal does not run.
    let log = studio.folder.at("log");
    let file = File::create(&log).unwrap();
    let meta = file.metadata().unwrap();
    let mut child = Command::new(binary())
        .arg("run")
        .arg(&studio.station)
        .env("XDG_STATE_HOME", studio.folder.at("state"))
        .env("JOURNAL_STREAM", format!("{}:{}", meta.dev(), meta.ino()))
        .stderr(file)
        .spawn()
        .unwrap();
    if !Path::new("/run/systemd/journal/socket").exists() {
        eventually("the log in the file", || {
            let text = fs::read_to_string(&log).unwrap();
            text.lines().find(|line| line.trim_start().starts_with("INFO a is on air")).map(drop)
        });
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_level_that_is_none_is_said_and_the_log_is_written_all_the_same() {
    let studio = Studio::new("level");
    for (level, misread) in [("debugg", true), ("lacquer=loud", true), ("warn,lacquer=info", false)] {
        let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
            command.env("LACQUER_LOG", level);
        });
        daemon.logged("a is on air");
        let text = format!("LACQUER_LOG: \"{level}\" is no level; write error, warn, info, debug or trace");
        assert_eq!(daemon.log().contains(&text), misread, "{}", daemon.log());
    }
}

#[test]
fn the_audit_log_goes_where_systemd_keeps_logs() {
    let studio = Studio::new("logs-directory");
    let (state, logs) = (studio.folder.at("state-of-unit"), studio.folder.at("logs-of-unit"));
    fs::create_dir_all(&logs).unwrap();
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("STATE_DIRECTORY", &state).env("LOGS_DIRECTORY", &logs);
    });
    daemon.client().say("/bypass", vec![Value::Switch(true)]);
    let ends_with = |folder: &Path, ending: &str| {
        let mut names = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.any(|name| name.to_string_lossy().ends_with(ending))
    };
    eventually("the audit log", || ends_with(&logs, ".audit.log").then_some(()));
    eventually("the state file", || ends_with(&state, ".state.json").then_some(()));
    assert!(!ends_with(&state, ".audit.log"));
}

#[test]
fn what_make_installs_is_found_correct_and_tight_by_systemd() {
    let folder = Folder::new("installed");
    let built = binary();
    let make = |variables: &[String]| {
        let out = Command::new("make").current_dir(root()).arg("install").args(variables).output().unwrap();
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8_lossy(&out.stdout).into_owned()
    };
    let prefix = format!("PREFIX={}", folder.0.display());
    let built = format!("BUILT={}", built.parent().unwrap().display());
    let told = make(&[prefix.clone(), built.clone(), "NOTIFY_RELOAD=no".to_owned()]);
    let is_root = rustix::process::geteuid().is_root();
    for command in ["systemd-sysusers", "systemd-tmpfiles --create", "systemctl daemon-reload"] {
        assert_eq!(told.contains(command), is_root, "{command} in {told}");
    }

    let analyze = |args: &[&str], unit: &str| {
        let out = Command::new("systemd-analyze")
            .args(args)
            .arg(folder.at(&format!("lib/systemd/{unit}")))
            .env("MANPATH", folder.at("share/man"))
            .env("XDG_RUNTIME_DIR", &folder.0)
            .output()
            .unwrap();
        let text = [out.stdout, out.stderr].concat();
        (out.status.success(), String::from_utf8_lossy(&text).into_owned())
    };
    for (scope, unit) in [("--system", "system/lacquer@.service"), ("--user", "user/lacquer@.service")] {
        // What it finds in units of others is not ours.
        let (_, text) = analyze(&["verify", scope, "--recursive-errors=no"], unit);
        let ours: Vec<_> = text.lines().filter(|line| line.contains("lacquer")).collect();
        assert!(ours.is_empty(), "{unit}: {ours:#?}");
    }
    let threshold = format!("--threshold={}", (EXPOSURE * 10.0).round());
    let unit = "system/lacquer@.service";
    let (is_tight, text) = analyze(&["security", "--offline=yes", "--no-pager", &threshold], unit);
    assert!(is_tight && text.contains("Overall exposure level"), "{text}");

    // Where systemd knows it, the reload is waited for.
    make(&[prefix, built, "NOTIFY_RELOAD=yes".to_owned()]);
    for scope in ["system", "user"] {
        let drop_in = folder.at(&format!("lib/systemd/{scope}/lacquer@.service.d/notify-reload.conf"));
        let text = fs::read_to_string(&drop_in).unwrap();
        assert!(text.contains("Type=notify-reload"), "{text}");
        assert!(text.contains(&format!("ExecReload={}/bin/lacquer check", folder.0.display())), "{text}");
    }
    // Each command that the help names has its page.
    let help = Command::new(folder.at("bin/lacquer")).arg("--help").output().unwrap().stdout;
    let help = String::from_utf8_lossy(&help).into_owned();
    let commands =
        help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    // A long line goes on further to the right.
    let names = commands.filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let names: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(names.contains(&"run") && names.contains(&"doctor"), "{help}");
    for name in names.into_iter().filter(|name| *name != "help") {
        assert!(folder.at(&format!("share/man/man1/lacquer-{name}.1")).exists(), "{name}");
    }
    let chain = fs::read_to_string(folder.at("share/man/man5/lacquer-chain.5")).unwrap();
    for node_type in lacquer_graph::nodes::CATALOGUE {
        assert!(chain.contains(&format!(".SS {}\n", node_type.name)), "{}", node_type.name);
    }
    for (page, key) in
        [("station", "audio.none.block"), ("map", "controls.touch.note"), ("cues", "cues.morph")]
    {
        let page = fs::read_to_string(folder.at(&format!("share/man/man5/lacquer-{page}.5"))).unwrap();
        assert!(page.contains(key), "{key}");
    }
    // Nothing in it still points to where it was not installed.
    for file in ["lib/systemd/system/lacquer@.service", "lib/systemd/user/lacquer@.service"] {
        assert!(!fs::read_to_string(folder.at(file)).unwrap().contains("/usr/local"), "{file}");
    }
}
