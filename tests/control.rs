//! The daemon as its users meet it: a process, OSC, signals, files that change.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::intent::Value;
use lacquer_control::notice::Line;
use lacquer_tests::daemon::{Daemon, Folder, eventually, free_port, lacquer, text};
use lacquer_tests::random::Random;
use std::fs;
use std::net::UdpSocket;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

const A: &str = "
description: the first
nodes:
  - eq: {id: tone, bands: [{shape: bell, freq: 1 kHz, gain: 2 dB}, {shape: highshelf, freq: 8 kHz}]}
  - compressor: {id: glue, threshold: -20 dB}
  - limiter: {id: ceiling}
";
const B: &str = "
nodes:
  - gain: {id: level, gain: -3 dB}
  - limiter: {id: ceiling, ceiling: -2 dBTP}
";

struct Studio {
    folder: Folder,
    station: PathBuf,
    port: u16,
}

impl Studio {
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("a.yaml", A);
        folder.write("b.yaml", B);
        let port = free_port();
        let station = folder.write("station.yaml", "");
        let studio = Self { folder, station, port };
        studio.write("[a.yaml, b.yaml]", "");
        studio
    }

    /// Writes the station file with these chains and more lines.
    fn write(&self, chains: &str, more: &str) {
        let port = self.port;
        let yaml = format!(
            "name: Test\naudio: {{backend: null, null: {{block: 64, source: programme}}}}\nchains: {chains}\n\
             swap: {{warmup: 20 ms, fade: 20 ms}}\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}}}\n{more}"
        );
        fs::write(&self.station, yaml).unwrap();
    }

    fn start(&self) -> Daemon {
        Daemon::start(&self.station, self.port)
    }

    fn ctl(&self, args: &[&str]) -> (i32, String, String) {
        let to = format!("127.0.0.1:{}", self.port);
        let out = lacquer(&[&["ctl", "--to", &to], args].concat());
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        (out.status.code().unwrap(), text(&out.stdout), text(&out.stderr))
    }
}

fn number(line: &Line) -> f64 {
    match line.values.as_slice() {
        [Value::Number(number)] => *number,
        other => panic!("{other:?} at {}", line.address),
    }
}

fn why(line: &Line) -> &str {
    match (line.address.as_str(), line.values.as_slice()) {
        ("/error", [Value::Text(_), Value::Text(why)]) => why,
        _ => panic!("{line:?} is no error"),
    }
}

#[test]
fn every_address_is_answered_with_its_value_and_takes_one() {
    let studio = Studio::new("addresses");
    let daemon = studio.start();
    let client = daemon.client();
    for (address, start, new) in [
        ("/node/glue/threshold", -20.0, -31.5),
        ("/node/tone/band/1/gain", 2.0, -4.25),
        ("/node/tone/band/2/freq", 8000.0, 12_000.0),
        ("/node/ceiling/ceiling", -1.0, -2.0),
    ] {
        assert_eq!(number(&client.ask(address, vec![])), start);
        client.say(address, vec![Value::Number(new)]);
        assert_eq!(number(&client.ask(address, vec![])), new);
    }
    client.say("/norm/node", vec![]);
    client.say("/norm/glue/threshold", vec![Value::Number(0.5)]);
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -30.0);
    assert_eq!(number(&client.ask("/norm/glue/threshold", vec![])), 0.5);
    client.say("/node/glue/release", vec![text("auto")]);
    assert_eq!(number(&client.ask("/norm/glue/release", vec![])), 1.0);
    client.say("/node/glue/attack", vec![text("0.05 s")]);
    assert_eq!(number(&client.ask("/node/glue/attack", vec![])), 50.0);
    // Every way to say no.
    for off in [Value::Switch(false), Value::Number(0.0), text("false")] {
        client.say("/node/glue/enabled", vec![Value::Switch(true)]);
        client.say("/node/glue/enabled", vec![off]);
        assert_eq!(client.ask("/node/glue/enabled", vec![]).values, [Value::Switch(false)]);
    }
    assert_eq!(client.ask("/swap", vec![]).values, [text("a")]);
    assert_eq!(client.ask("/chains", vec![]).values, [text("a"), text("b")]);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(false)]);
    client.say("/bypass", vec![Value::Number(1.0)]);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(true)]);
    client.say("/ping", vec![]);
    client.hear("/pong", |line| line.address == "/pong");
    client.say("/status", vec![]);
    client.hear("the chain in the status", |line| {
        line.address == "/status/chain" && line.values == [text("a")]
    });
}

#[test]
fn a_pattern_reaches_all_that_it_matches() {
    let studio = Studio::new("patterns");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/node/*/enabled", vec![Value::Switch(false)]);
    for id in ["tone", "glue", "ceiling"] {
        assert_eq!(client.ask(&format!("/node/{id}/enabled"), vec![]).values, [Value::Switch(false)]);
    }
    client.say("/node/tone/band/[1-2]/{gain,q}", vec![Value::Number(3.0)]);
    for address in ["/node/tone/band/1/gain", "/node/tone/band/2/gain", "/node/tone/band/2/q"] {
        assert_eq!(number(&client.ask(address, vec![])), 3.0);
    }
    assert!(why(&client.ask("/node/none*/gain", vec![Value::Number(1.0)])).contains("matches"));
}

#[test]
fn what_cannot_be_done_is_answered_with_the_address_and_why() {
    let studio = Studio::new("errors");
    let daemon = studio.start();
    let client = daemon.client();
    for (address, values, reason) in [
        ("/node/glue/threshhold", vec![Value::Number(1.0)], "did you mean \"/node/glue/threshold\"?"),
        ("/node/glue/threshold", vec![text("loud")], "loud is not a value here"),
        ("/node/glue/threshold", vec![text("3 Hz")], "3 Hz has the wrong unit"),
        ("/node/glue/threshold", vec![text("40 dB")], "40 dB is outside -60 to 0 dBFS"),
        ("/node/glue/threshold", vec![Value::Number(1.0), Value::Number(2.0)], "takes one value"),
        ("/node/glue/threshold", vec![Value::Number(f64::NAN)], "not a finite number"),
        ("/node/glue/threshold", vec![Value::Number(f64::INFINITY)], "not a finite number"),
        ("/swap", vec![text("c")], "no chain \"c\""),
        ("/swap", vec![Value::Number(1.0)], "takes the name of a chain"),
        ("/bypass", vec![text("x")], "takes true or false"),
        ("/subscribe", vec![Value::Number(-1.0)], "takes a number of seconds"),
        ("/nonsense", vec![], "no such address"),
    ] {
        let error = client.ask(address, values);
        assert!(why(&error).contains(reason), "{address}: {}", why(&error));
    }
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -20.0, "nothing was changed");
}

#[test]
fn a_number_out_of_range_is_clipped_and_its_sender_told() {
    let studio = Studio::new("clip");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/node/ceiling/ceiling", vec![Value::Number(6.0)]);
    assert_eq!(
        number(&client.hear("the value that it became", |line| line.address == "/node/ceiling/ceiling")),
        0.0
    );
}

#[test]
fn subscribers_hear_the_state_the_changes_of_others_and_the_meters() {
    let studio = Studio::new("subscribe");
    let daemon = studio.start();
    let (listener, actor) = (daemon.client(), daemon.client());
    listener.say("/subscribe", vec![Value::Number(60.0)]);
    listener.hear("the state", |line| line.address == "/node/ceiling/ceiling" && number(line) == -1.0);
    actor.say("/node/ceiling/ceiling", vec![Value::Number(-3.0)]);
    listener.hear("the change", |line| line.address == "/node/ceiling/ceiling" && number(line) == -3.0);
    listener
        .hear("it along the taper", |line| line.address == "/norm/ceiling/ceiling" && number(line) == 0.875);
    for meter in [
        "input/peak",
        "output/momentary",
        "output/truepeak",
        "output/correlation",
        "node/ceiling/reduction",
        "load/mean",
    ] {
        let address = format!("/meter/{meter}");
        listener.hear(&address, |line| line.address == address && number(line).is_finite());
    }
    // Its own change is not echoed.
    listener.say("/node/ceiling/ceiling", vec![Value::Number(-4.0)]);
    actor.say("/node/ceiling/ceiling", vec![Value::Number(-5.0)]);
    let next = listener.hear("the next change", |line| line.address == "/node/ceiling/ceiling");
    assert_eq!(number(&next), -5.0);
    listener.say("/unsubscribe", vec![]);
    listener.ask("/chains", vec![]);
    let heard = listener.hear_for(Duration::from_millis(300));
    assert!(heard.is_empty(), "{heard:?} after /unsubscribe");
}

#[test]
fn a_subscription_lapses_unless_it_is_renewed() {
    let studio = Studio::new("lapse");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(1.0)]);
    let heard = client.hear_for(Duration::from_millis(1_500));
    assert!(heard.iter().any(|line| line.address.starts_with("/meter/")));
    assert!(client.hear_for(Duration::from_millis(300)).is_empty());
}

#[test]
fn a_swap_tells_its_phases_and_the_last_asked_wins() {
    let studio = Studio::new("swap");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    client.say("/swap", vec![text("b")]);
    for phase in ["loading", "warming", "fading", "done"] {
        client.swap_phase(phase, "b");
    }
    // From b's side: its own addresses, its own values.
    assert_eq!(number(&client.ask("/node/level/gain", vec![])), -3.0);
    assert!(why(&client.ask("/node/glue/threshold", vec![])).contains("no such address"));
    for name in ["a", "b", "a", "b", "a"] {
        client.say("/swap", vec![text(name)]);
    }
    client.swap_phase("done", "a");
    eventually("nothing is left to swap", || {
        (client.ask("/swap", vec![]).values == [text("a")]).then_some(())
    });
}

#[test]
fn a_bundle_is_done_in_order_and_answered() {
    let studio = Studio::new("bundle");
    let daemon = studio.start();
    let client = daemon.client();
    let line = |address: &str, value: f64| Line::number(address, value);
    let lines = [
        line("/node/glue/threshold", -10.0),
        line("/node/glue/ratio", 4.0),
        line("/node/glue/threshold", -15.0),
        Line::new("/node/glue/threshold", vec![]),
    ];
    client.0.ask(&lines).unwrap();
    assert_eq!(number(&client.hear("the answer", |line| line.address == "/node/glue/threshold")), -15.0);
    assert_eq!(number(&client.ask("/node/glue/ratio", vec![])), 4.0);
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
    fs::write(&studio.station, yaml.replace("backend: null", "backend: jack")).unwrap();
    let answer = client.ask("/reload", vec![]);
    let words = format!("{:?}", answer.values);
    assert!(
        words.contains("the backend cannot change while it plays (null to jack): restart for that"),
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
fn sigterm_and_sigint_fade_out_and_end_well() {
    for signal in ["TERM", "INT"] {
        let studio = Studio::new(signal);
        let mut daemon = studio.start();
        daemon.logged("a is on air");
        daemon.signal(signal);
        assert_eq!(daemon.ended().code(), Some(0));
        daemon.logged("fading out");
        assert!(!daemon.log().contains("did not fade out in time"), "{}", daemon.log());
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
fn the_real_liblo_client_is_understood() {
    let studio = Studio::new("liblo");
    let daemon = studio.start();
    let client = daemon.client();
    let port = studio.port.to_string();
    for (args, address, value) in [
        (&["/node/glue/threshold", "f", "-12.5"][..], "/node/glue/threshold", Value::Number(-12.5)),
        (&["/node/glue/threshold", "i", "-13"], "/node/glue/threshold", Value::Number(-13.0)),
        (&["/node/glue/threshold", "d", "-14.25"], "/node/glue/threshold", Value::Number(-14.25)),
        (&["/node/glue/threshold", "s", "-15 dB"], "/node/glue/threshold", Value::Number(-15.0)),
        (&["/node/glue/enabled", "F"], "/node/glue/enabled", Value::Switch(false)),
        (&["/node/glue/enabled", "T"], "/node/glue/enabled", Value::Switch(true)),
        (&["/node/glue/enabled", "i", "0"], "/node/glue/enabled", Value::Switch(false)),
    ] {
        let sent = Command::new("oscsend").args(["127.0.0.1", &port]).args(args).status();
        assert!(sent.expect("oscsend: install liblo-tools, as make test does").success());
        eventually(&format!("{args:?}"), || {
            (client.ask(address, vec![]).values == [value.clone()]).then_some(())
        });
    }
}

#[test]
fn arbitrary_bytes_on_the_socket_harm_nothing() {
    let studio = Studio::new("bytes");
    let mut daemon = studio.start();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let mut random = Random::new(1);
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = (0..random.below(200)).map(|_| random.bits() as u8).collect();
        if round % 2 == 0 {
            bytes.splice(0..0, b"/node/glue/thre\0,f\0\0".iter().copied());
        }
        socket.send_to(&bytes, daemon.address).unwrap();
    }
    let nested = b"#bundle\0\0\0\0\0\0\0\0\x01".repeat(3_000);
    socket.send_to(&nested, daemon.address).unwrap();
    let brackets = [b"/x\0\0,".to_vec(), b"[".repeat(30_000), b"]".repeat(30_000), vec![0; 4]].concat();
    socket.send_to(&brackets, daemon.address).unwrap();
    let client = daemon.client();
    eventually("it still answers", || {
        client.say("/node/glue/threshold", vec![]);
        let heard = client.hear_for(Duration::from_millis(200));
        heard
            .iter()
            .any(|line| line.address == "/node/glue/threshold" && line.values == [Value::Number(-20.0)])
            .then_some(())
    });
    assert!(daemon.is_running());
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
    socket.set_read_timeout(Some(lacquer_tests::daemon::PATIENCE)).unwrap();
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
