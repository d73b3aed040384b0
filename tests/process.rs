//! The daemon as a process: signals, files that change, the command line, systemd.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::commands::{self, Bare, COMMANDS};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Listener, PATIENCE, eventually, lacquer, pass, text};
use lacquer_tests::state::read_kept;
use lacquer_tests::studio::{A, B, Studio, number, why};
use std::fs;
use std::net::UdpSocket;
use std::process::Command;
use std::time::{Duration, Instant};

#[test]
fn sigterm_and_sigint_fade_out_and_end_well() {
    for signal in ["TERM", "INT"] {
        let studio = Studio::new(signal);
        let mut daemon = studio.start();
        daemon.logged("a is on air");
        daemon.signal(signal);
        assert_eq!(daemon.ended().code(), Some(0));
        daemon.logged("fading out");
        assert!(!daemon.log().contains("did not fade out within"), "{}", daemon.log());
    }
}

#[test]
fn sigusr1_writes_the_status_to_the_log() {
    let studio = Studio::new("usr1");
    let daemon = studio.start();
    daemon.signal("USR1");
    for text in ["/status/chain a", "/status/latency_frames", "/status/xruns"] {
        daemon.logged(text);
    }
}

#[test]
fn ctl_gets_sets_swaps_and_fails_with_the_right_code() {
    let studio = Studio::new("ctl");
    let daemon = studio.start();
    assert_eq!(
        studio.ctl(&["get", "/node/ceiling/ceiling"]),
        (0, "/node/ceiling/ceiling -1".to_owned(), String::new())
    );
    assert_eq!(studio.ctl(&["set", "/node/ceiling/ceiling", "-2.5 dBTP"]).1, "/node/ceiling/ceiling -2.5");
    assert_eq!(studio.ctl(&["set", "/node/ceiling/ceiling", "-3"]).1, "/node/ceiling/ceiling -3");
    let (code, out, error) = studio.ctl(&["set", "/node/ceiling/ceiling", "3 Hz"]);
    assert_eq!((code, out.as_str()), (1, "/node/ceiling/ceiling -3"));
    assert!(error.contains("3 Hz has the wrong unit"), "{error}");
    assert_eq!(studio.ctl(&["swap", "b"]), (0, "b is on air".to_owned(), String::new()));
    assert_eq!(studio.ctl(&["swap"]).1, "/swap b");
    assert_eq!(studio.ctl(&["swap", "bb"]).0, 1);
    assert_eq!(studio.ctl(&["bypass", "true"]).1, "/bypass true");
    assert!(studio.ctl(&["status"]).1.contains("/status/chain b"));
    assert_eq!(studio.ctl(&["reload"]).1, "/reload done");
    drop(daemon);
    let (code, _, error) = studio.ctl(&["get", "/swap"]);
    assert_eq!(code, 3, "{error}");
}

/// All that is told until this is done: the answers, and what a subscriber hears meanwhile.
fn told(client: &Listener, address: &str) -> Vec<Update> {
    client.0.send(&[Update::new(address, vec![]), Update::new("/ping", vec![])]).unwrap();
    let deadline = Instant::now() + PATIENCE;
    let mut told = Vec::new();
    while told.iter().all(|line: &Update| line.address != "/pong") {
        told.extend(client.0.receive(deadline).unwrap().expect("an answer"));
    }
    // What comes by itself tells nothing.
    let is_own =
        |line: &Update| !["/pong", "/event/xrun", "/event/overload"].contains(&line.address.as_str());
    let is_steady = |line: &Update| {
        !line.address.starts_with("/status/")
            || ["chain", "bypass", "swapping_to"].iter().any(|key| line.address.ends_with(key))
    };
    told.retain(|line| is_own(line) && is_steady(line));
    told
}

fn audit(studio: &Studio) -> String {
    read_kept(&studio.station, ".audit.log").unwrap_or_default()
}

#[test]
fn ctl_get_reads_and_never_acts_whatever_it_is_given() {
    let studio = Studio::new("ctlget");
    studio.folder.write("cues.yaml", "cues: [{name: news, chain: b}]");
    studio.write("[a.yaml, b.yaml]", "cues: cues.yaml");
    let daemon = studio.start();
    let (client, listener) = (daemon.client(), daemon.client());
    // Something to undo, to do again, to recall, to go on to.
    let set = |value: f64| client.say("/node/glue/threshold", vec![Value::Number(value)]);
    set(-30.0);
    client.say("/scene/save", vec![text("soft")]);
    set(-40.0);
    client.say("/node/tone/band/1/gain", vec![Value::Number(6.0)]);
    client.say("/undo", vec![]);
    eventually("the audit log", || audit(&studio).contains("undo").then_some(()));
    let (before, log) = (told(&client, "//*"), audit(&studio));
    assert!(
        before.len() > 100 && before.contains(&Update::number("/node/glue/threshold", -40.0)),
        "{before:?}"
    );
    listener.say("/subscribe", vec![Value::Number(3_600.0), text("meters 0")]);
    told(&listener, "/ping");

    let mut addresses: Vec<String> = COMMANDS
        .iter()
        .map(|command| command.address.replace("/NAME", "/b").replace("/N", "/1").replace("/KEY", "/chain"))
        .collect();
    addresses.extend(
        [
            "/node/glue/threshold",
            "/node/glue/threshold/",
            "/text//gain",
            "/*",
            "//*",
            "/undo*",
            "/{undo,redo,reload}",
            "/scene/*/save",
            "/chain/*",
            "/chain/b/",
            "/cue/?o",
            "/ab/*",
            "/undo/",
            "/undo//",
            "//undo",
            "xchain/b",
            "xscene/1",
            "/scenes/1/save",
            "/scenes/1",
            "/cues/go",
            "/scene/01",
            "/nonsense",
            "undo",
            "/",
            "",
        ]
        .map(str::to_owned),
    );
    for address in &addresses {
        let (code, out, err) = studio.ctl(&["get", address]);
        assert!(
            (code == 0) == err.is_empty() && (code == 0) != out.is_empty(),
            "{address}: {code} {out} {err}"
        );
        if commands::find(address).is_some_and(|(command, _)| command.nature.bare() == Bare::Reads) {
            assert_eq!(code, 0, "{address}: {err}");
        }
    }
    assert_eq!(studio.ctl(&["get", "/chain/b"]).1, "/chain/b 0");
    assert_eq!(studio.ctl(&["get", "/scene/1/name"]).1, "/scene/1/name soft");
    assert_eq!(studio.ctl(&["get", "/chain/*"]).1, "/chain/a 1\n/chain/b 0");

    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(told(&listener, "/ping"), [], "nothing has changed");
    assert_eq!(told(&client, "//*"), before);
    client.say("/bypass", vec![Value::Switch(true)]);
    eventually("the next line of the log", || (audit(&studio).len() > log.len()).then_some(()));
    let added = audit(&studio).strip_prefix(&log).unwrap().to_owned();
    assert!(added.lines().count() == 1 && added.contains("bypass"), "{added}");
}

#[test]
fn ctl_get_of_an_action_is_refused_and_says_what_does_it() {
    let studio = Studio::new("ctlrefused");
    let _daemon = studio.start();
    let ways = [
        ("/undo", "undo"),
        ("/redo/", "redo"),
        ("/who", "who ADDRESS"),
        ("/learn", "learn ADDRESS"),
        ("/reload", "reload"),
        ("/cue/go", "cue go"),
        ("/cue/next", "cue next"),
        ("/cue/previous", "cue previous"),
        ("/ab/copy", "ab copy"),
        ("/scene/save", "scene save NAME"),
        ("/scene/recall", "scene recall NAME"),
        ("/scene/delete", "scene delete NAME"),
        ("/scene/1/save", "set /scene/1/save 1"),
        ("/plan", "plan CHAIN"),
        ("/subscribe", "watch"),
        ("/token", "set /token 9001-0123456789abcdef"),
    ];
    let (code, out, err) = studio.ctl(&["get", "/unsubscribe"]);
    let why = "is an action, not a value to read; nothing was done; only a subscribed client can send it";
    assert_eq!((code, out.as_str(), err), (1, "", format!("/unsubscribe {why}")));
    assert_eq!(ways.len() + 1, COMMANDS.iter().filter(|row| row.nature.bare() != Bare::Reads).count(), "all");
    for (address, way) in ways {
        let (code, out, err) = studio.ctl(&["get", address]);
        assert_eq!((code, out.as_str()), (1, ""), "{address}");
        let what = match address {
            "/who" | "/plan" => "needs a value",
            _ => "is an action, not a value to read; nothing was done",
        };
        assert_eq!(err, format!("{address} {what}; use \"lacquer ctl {way}\""));
    }
    let (code, _, err) = studio.ctl(&["get", "/und?"]);
    assert!(code == 1 && err.contains("without a value it reads, so nothing was done"), "{err}");
}

#[test]
fn ctl_set_of_an_action_acts_once() {
    let studio = Studio::new("ctlonce");
    let _daemon = studio.start();
    let (gain, threshold) = ("/node/tone/band/1/gain", "/node/glue/threshold");
    studio.ctl(&["set", gain, "5"]);
    studio.ctl(&["set", threshold, "-33"]);
    assert_eq!(studio.ctl(&["set", "/undo", "all"]), (0, String::new(), String::new()));
    assert_eq!(studio.ctl(&["get", threshold]).1, format!("{threshold} -20"));
    assert_eq!(studio.ctl(&["get", gain]).1, format!("{gain} 5"), "one step was taken back");
    assert_eq!(studio.ctl(&["set", "/scene/2/save", "1"]), (0, String::new(), String::new()));
    assert_eq!(studio.ctl(&["set", "/reload", "true"]).1, "/reload done");
    // It waits for the swap of the reload.
    assert_eq!(studio.ctl(&["set", "/chain/b", "1"]).0, 0);
    eventually("b is on air", || (studio.ctl(&["get", "/chain/b"]).1 == "/chain/b 1").then_some(()));
    let (code, _, err) = studio.ctl(&["set", "/scene/delete", "nobody"]);
    assert!(code == 1 && err.contains("no scene \"nobody\""), "{err}");
}

#[test]
fn ctl_keeps_scenes_compares_undoes_and_says_who_it_was() {
    let studio = Studio::new("ctlhands");
    studio.folder.write("cues.yaml", "cues: [{name: news, chain: b}]");
    studio.write("[a.yaml, b.yaml]", "cues: cues.yaml");
    let _daemon = studio.start();
    let get = |address: &str| studio.ctl(&["get", address]).1;
    let good = |args: &[&str]| {
        let (code, out, err) = studio.ctl(args);
        assert_eq!(code, 0, "{args:?}: {err}");
        out
    };
    let gain = "/node/tone/band/1/gain";
    good(&["set", gain, "-6 dB"]);
    assert!(good(&["who", gain]).starts_with("/who /node/tone/band/1/gain osc 127.0.0.1:"));
    good(&["scene", "save", "soft"]);
    good(&["set", gain, "6"]);
    good(&["undo"]);
    assert_eq!(get(gain), format!("{gain} -6"));
    good(&["redo"]);
    assert_eq!(get(gain), format!("{gain} 6"));
    good(&["scene", "recall", "soft"]);
    assert_eq!(get(gain), format!("{gain} -6"));
    assert!(good(&["scene", "list"]).contains("/scenes soft"));
    good(&["ab", "b"]);
    good(&["set", gain, "1"]);
    good(&["ab", "a"]);
    assert_eq!(get(gain), format!("{gain} -6"));
    assert!(good(&["ab"]).starts_with("/ab a"));
    assert!(good(&["cue"]).contains("/cues news"));
    good(&["cue", "go"]);
    for (args, why) in [
        (&["scene", "recall", "loud"][..], "no scene \"loud\"; there are soft"),
        (&["cue", "weather"], "no cue \"weather\"; there are news"),
        (&["ab", "c"], "takes a or b, or nothing to read it"),
        (&["learn", gain], "no MIDI controller"),
    ] {
        let (code, _, err) = studio.ctl(args);
        assert!(code == 1 && err.contains(why), "{args:?}: {code} {err}");
    }
}

#[test]
fn ctl_watch_prints_what_happens() {
    use std::io::{BufRead, BufReader};
    let studio = Studio::new("ctlwatch");
    let daemon = studio.start();
    let to = daemon.address.to_string();
    let mut watch = Command::new(lacquer_tests::daemon::binary())
        .args(["ctl", "--to", &to, "watch", "--no-meters"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(lines.any(|line| line == "/node/ceiling/ceiling -1"));
    studio.ctl(&["swap", "b"]);
    assert!(lines.any(|line| line == "/event/swap done b"));
    watch.kill().unwrap();
    watch.wait().unwrap();
}

#[test]
fn exit_codes_are_the_documented_ones() {
    let studio = Studio::new("exit");
    let run = |station: &str| lacquer(&["run", station]).status.code();
    let bad = studio.folder.write("bad.yaml", "audio: {backend: nul}\nchains: [a.yaml]\n");
    assert_eq!(run(bad.to_str().unwrap()), Some(78));
    assert_eq!(run("missing.yaml"), Some(78));
    assert_eq!(lacquer(&["check", bad.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(lacquer(&["check", studio.station.to_str().unwrap()]).status.code(), Some(0));
    assert_eq!(lacquer(&["frobnicate"]).status.code(), Some(2));
    let _taken = UdpSocket::bind(("127.0.0.1", studio.port)).unwrap();
    let out = lacquer(&["run", studio.station.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(3));
    assert!(
        String::from_utf8_lossy(&out.stderr).contains(&format!("cannot listen on 127.0.0.1:{}", studio.port))
    );
}

#[test]
fn systemd_is_told_when_the_station_plays_and_when_it_ends() {
    let studio = Studio::new("notify");
    let path = studio.folder.0.join("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("NOTIFY_SOCKET", &path);
    });
    let told = |wanted: &str| {
        let mut bytes = [0; 1024];
        loop {
            let length = socket.recv(&mut bytes).unwrap();
            if String::from_utf8_lossy(&bytes[..length]).contains(wanted) {
                return;
            }
        }
    };
    told("STATUS=on air: a");
    told("READY=1");
    daemon.signal("TERM");
    told("STOPPING=1");
    assert_eq!(daemon.ended().code(), Some(0));
}

#[test]
fn the_watchdog_is_fed_while_the_callback_runs() {
    let studio = Studio::new("watchdog");
    let path = studio.folder.at("notify");
    let socket = std::os::unix::net::UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let _daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "1000000");
    });
    let mut fed = 0;
    let mut bytes = [0; 1024];
    while fed < 5 {
        let length = socket.recv(&mut bytes).unwrap();
        fed += usize::from(String::from_utf8_lossy(&bytes[..length]).contains("WATCHDOG=1"));
    }
}

#[test]
fn a_process_that_was_stopped_goes_on_where_it_was() {
    let studio = Studio::new("stopped");
    let mut daemon = studio.start();
    let client = daemon.client();
    client.say("/node/glue/threshold", vec![Value::Number(-31.0)]);
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -31.0);
    daemon.signal("STOP");
    pass(Duration::from_secs(4));
    daemon.signal("CONT");
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -31.0);
    client.say("/subscribe", vec![Value::Number(10.0)]);
    client.hear("meters", |line| line.address == "/meter/output/peak" && number(line) > -60.0);
    assert!(!daemon.log().contains("no sound"), "{}", daemon.log());
    assert!(daemon.is_running());
}

#[test]
fn sighup_reads_station_and_chains_again() {
    let studio = Studio::new("sighup");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    client.say("/node/glue/ratio", vec![Value::Number(3.0)]);
    // A chain more, and another threshold in the one on air.
    studio.folder.write("c.yaml", "nodes:\n  - gain\n");
    studio.folder.write("a.yaml", &A.replace("threshold: -20 dB", "threshold: -22 dB"));
    studio.write("[a.yaml, b.yaml, c.yaml]", "");
    daemon.signal("HUP");
    client.swap_phase("done", "a");
    assert_eq!(client.ask("/chains", vec![]).values, [text("a"), text("b"), text("c")]);
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -22.0);
    assert_eq!(number(&client.ask("/node/glue/ratio", vec![])), 3.0, "what the file did not change stays");
    // The chain on air leaves the station: the first one takes over.
    studio.write("[b.yaml, c.yaml]", "");
    daemon.signal("HUP");
    client.swap_phase("done", "b");
}

#[test]
fn a_bad_file_changes_nothing_and_says_all_that_is_wrong() {
    let studio = Studio::new("badfile");
    let daemon = studio.start();
    let client = daemon.client();
    studio.folder.write("a.yaml", "nodes:\n  - limitter: {}\n  - gain: {gain: 99 dB}\n");
    studio.folder.write("b.yaml", &B.replace("-3 dB", "-9 dB"));
    let error = client.ask("/reload", vec![]);
    assert!(
        why(&error).contains("a.yaml:2:5: no node type \"limitter\", did you mean \"limiter\"?"),
        "{error:?}"
    );
    assert!(why(&error).contains("99 dB is outside -inf to 24 dB"), "{error:?}");
    client.say("/swap", vec![text("b")]);
    eventually("b answers", || (client.ask("/swap", vec![]).values == [text("b")]).then_some(()));
    assert_eq!(number(&client.ask("/node/level/gain", vec![])), -3.0, "not half of it is taken over either");
}

#[test]
fn a_reload_cannot_change_the_backend_and_says_so() {
    let studio = Studio::new("backend");
    let daemon = studio.start();
    let client = daemon.client();
    let yaml = fs::read_to_string(&studio.station).unwrap();
    fs::write(&studio.station, yaml.replace("backend: none", "backend: jack")).unwrap();
    let answer = client.ask("/reload", vec![]);
    let words = format!("{:?}", answer.values);
    assert!(
        words.contains("the backend cannot change while the station runs (null to jack): restart to apply"),
        "{words}"
    );
    client.ask("/chains", vec![]);
}

#[test]
fn a_watched_chain_file_is_taken_over_when_it_changes() {
    let studio = Studio::new("watch");
    studio.write("[a.yaml, b.yaml]", "watch: true\n");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    client.hear("the state", |line| line.address == "/swap");
    // As editors do it: a new file in the place of the old one.
    let new = studio.folder.write("a.new", &A.replace("threshold: -20 dB", "threshold: -33 dB"));
    fs::rename(new, studio.folder.0.join("a.yaml")).unwrap();
    client.swap_phase("done", "a");
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -33.0);
    studio.folder.write("a.yaml", "nodes: [");
    client.hear("the failure", |line| line.address == "/event/reload" && line.values[0] == text("failed"));
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -33.0);
}

#[test]
fn a_free_clock_waits_for_nothing_between_its_blocks() {
    let studio = Studio::new("free");
    let yaml = fs::read_to_string(&studio.station).unwrap();
    fs::write(&studio.station, yaml.replace("block: 64", "block: 64, clock: free")).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    // How fast it runs is the matter of tests/benches/live.rs, and of what else the machine does. One by the wall sleeps
    // before each block.
    eventually("ten thousand blocks, and far fewer sleeps", || {
        let blocks = client.ask_for("/status", "/status/load_histogram").values;
        let blocks: f64 =
            blocks.iter().map(|value| if let Value::Number(count) = value { *count } else { 0.0 }).sum();
        (blocks > 10_000.0 && blocks > 100.0 * sleeps(&daemon)).then_some(())
    });
}

/// How often the audio thread has given the processor away by itself.
fn sleeps(daemon: &Daemon) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
    let statuses = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("status")).ok());
    let of_audio = statuses.into_iter().find(|status| status.starts_with("Name:\taudio\n")).unwrap();
    let line = of_audio.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
    line.unwrap().trim().parse().unwrap()
}

#[test]
fn the_report_tells_what_dynamics_and_levelers_do() {
    let studio = Studio::new("report");
    studio
        .folder
        .write("a.yaml", "nodes:\n  - leveler: {id: level, target: -8 LUFS}\n  - limiter: {id: ceiling}\n");
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.args(["--report", "1"]);
    });
    daemon.logged("LUFS integrated");
    daemon.logged(", ceiling ");
    // The programme begins softly: it is turned up.
    daemon.logged(", level +");
    assert!(!daemon.log().contains(" -0.0 "), "{}", daemon.log());
}
