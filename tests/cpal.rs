//! The daemon on sound devices: ALSA's, behind which a real PipeWire plays. Real cards: `make test-lab`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Folder, binary, eventually, free_port, lacquer, text};
use lacquer_tests::pipewire::{Server, alone};
use lacquer_tests::signal::{db, peak};
use lacquer_tests::studio::number;
use std::f64::consts::TAU;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs};

/// The level of a tone that comes in, and what the chain makes of it, in dB.
const LEVEL: f64 = -12.0;
const GAIN: f64 = -6.0;
/// Frames that are looked at at once: whole periods of 1 kHz at 48 kHz.
const WINDOW: usize = 960;

struct Desk {
    folder: Folder,
    server: Server,
    port: u16,
}

impl Desk {
    /// PipeWire with a sink and a source; the source plays a tone of 1 kHz.
    fn new(name: &str) -> Self {
        let folder = Folder::new(name);
        folder.write("a.yaml", &format!("nodes: [{{gain: {{id: g, gain: {GAIN} dB}}}}]"));
        let server = Server::start();
        Self { folder, server, port: free_port() }
    }

    fn station(&self, cpal: &str) -> PathBuf {
        let yaml = format!(
            "audio: {{backend: cpal, cpal: {{{cpal}}}}}\nchains: [a.yaml]\nstart: last\n\
             control: {{osc: {{listen: \"127.0.0.1:{}\"}}}}\n",
            self.port
        );
        self.folder.write("station.yaml", &yaml)
    }

    fn start(&self, cpal: &str) -> Daemon {
        Daemon::start(&self.station(cpal), self.port)
    }

    /// A tone into the source.
    fn sing(&self) -> Child {
        let source = "{ factory.name=support.null-audio-sink node.name=mic media.class=Audio/Source/Virtual object.linger=1 audio.position=[FL FR] }";
        assert!(self.server.tool("pw-cli", &["create-node", "adapter", source]).status.success());
        let path = self.folder.at("tone.wav");
        let sox = Command::new("sox")
            .args(["-n", "-r", "48000", "-c", "2", "-b", "32", "-e", "float"])
            .arg(&path)
            .args(["synth", "120", "sine", "1000", "gain", &LEVEL.to_string()])
            .status();
        assert!(sox.unwrap().success());
        let mut player = Command::new("pw-cat");
        player.args(["-p", "--target", "0"]).arg(&path);
        let player = player.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        for side in ["FL", "FR"] {
            let (from, to) = (format!("pw-cat:output_{side}"), format!("mic:input_{side}"));
            let link = || self.server.tool("pw-link", &[&from, &to]).status.success();
            eventually("the tone goes into the source", || link().then_some(()));
        }
        player
    }

    /// Waits until 20 ms of what the sink plays are a tone of 1 kHz at this level, in dB.
    fn hears(&self, level: f64) {
        let path = self.folder.at("heard.wav");
        let mut recorder = Command::new("pw-cat");
        recorder.args(["-r", "-P", "{ stream.capture.sink=true }", "--target", "sink"]);
        recorder.args(["--rate", "48000", "--channels", "2", "--format", "f32"]).arg(&path);
        let mut recorder = recorder.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let mut looked = 0;
        eventually(&format!("1 kHz at {level} dB"), || {
            // Only what is new: a machine that is busy already has no time to look at all of it again and again.
            let mut bytes = Vec::new();
            let mut file = fs::File::open(&path).ok()?;
            file.seek(SeekFrom::Start(looked)).ok()?;
            file.read_to_end(&mut bytes).ok()?;
            bytes.truncate(bytes.len() / (8 * WINDOW) * (8 * WINDOW));
            looked += bytes.len() as u64;
            let left = bytes
                .chunks_exact(8)
                .map(|frame| f64::from(f32::from_ne_bytes(frame[..4].try_into().unwrap())));
            let left: Vec<f64> = left.collect();
            let found = left.chunks_exact(WINDOW).any(|window| {
                // Over whole periods a tone is its own only component.
                let w = TAU / 48.0;
                let part = |f: fn(f64) -> f64| {
                    2.0 * window.iter().enumerate().map(|(n, x)| x * f(w * n as f64)).sum::<f64>()
                        / WINDOW as f64
                };
                let tone = part(f64::sin).hypot(part(f64::cos));
                // Two clocks that have just been joined may be off by a thousandth: a hertz.
                (db(tone) - level).abs() < 0.3 && (peak(window) / tone - 1.0).abs() < 0.05
            });
            found.then_some(())
        });
        recorder.kill().ok();
        recorder.wait().ok();
    }
}

fn status(daemon: &Daemon, key: &str) -> Update {
    let (client, address) = (daemon.client(), format!("/status/{key}"));
    // Of devices there is nothing while they are looked for, as they may be at any time on a busy machine.
    eventually(&address, || {
        client.say("/status", vec![]);
        client.hear_for(Duration::from_millis(200)).into_iter().find(|line| line.address == address)
    })
}

fn words(line: &Update) -> String {
    match line.values.as_slice() {
        [Value::Text(text)] => text.clone(),
        other => panic!("{other:?} at {}", line.address),
    }
}

#[test]
fn a_station_plays_through_devices_that_go_and_come() {
    if !alone("a_station_plays_through_devices_that_go_and_come") {
        return;
    }
    let mut desk = Desk::new("cpal");
    let mut player = desk.sing();
    let daemon = desk.start("device: default, block: 1024");
    daemon.logged("a is on air");
    desk.hears(LEVEL + GAIN);
    // A machine that does much else lets a block come late now and then.
    eventually("the input comes", || (words(&status(&daemon, "join")) == "running").then_some(()));
    eventually("it lies waiting", || (number(&status(&daemon, "join_fill_ms")) > 10.0).then_some(()));
    let devices = words(&status(&daemon, "devices"));
    assert!(devices.starts_with("from default (2 channels, 32-bit, blocks of"), "{devices}");
    assert!(devices.contains("one clock; to default"), "{devices}");
    let client = daemon.client();
    client.say("/node/g/gain", vec![Value::Number(-10.0)]);
    desk.hears(LEVEL - 10.0);
    // The source is taken away.
    let link = |options: &[&str]| {
        for side in ["FL", "FR"] {
            let (from, to) = (format!("mic:capture_{side}"), format!("ALSA Capture:input_{side}"));
            let args: Vec<&str> = options.iter().copied().chain([from.as_str(), to.as_str()]).collect();
            assert!(desk.server.tool("pw-link", &args).status.success(), "{}", desk.server.links());
        }
    };
    link(&["-d"]);
    daemon.logged("input device sends no samples: input is silent");
    assert_eq!(words(&status(&daemon, "join")), "waiting for the input");
    link(&[]);
    daemon.logged("input device sends samples again");
    desk.hears(LEVEL - 10.0);
    player.kill().ok();
    player.wait().ok();
    // Everything goes, and comes back.
    desk.server.stop();
    eventually("the loss is told", || {
        let log = daemon.log();
        (log.contains("session closed, retrying")).then_some(())
    });
    assert_eq!(words(&status(&daemon, "audio")), "waiting for the server");
    desk.server = Server::start();
    eventually("it plays again", || (status(&daemon, "audio").values == [text("running")]).then_some(()));
    let mut player = desk.sing();
    desk.hears(LEVEL - 10.0);
    player.kill().ok();
    player.wait().ok();
}

#[test]
fn every_format_is_played_and_two_clocks_are_joined() {
    if !alone("every_format_is_played_and_two_clocks_are_joined") {
        return;
    }
    let desk = Desk::new("cpalformats");
    let mut player = desk.sing();
    for (format, word) in
        [("16-bit", "16-bit"), ("24-bit", "24-bit"), ("32-bit, depth: 24", "32-bit"), ("float", "float")]
    {
        let daemon = desk.start(&format!("device: pipewire, block: 1024, clocks: two, format: {format}"));
        daemon.logged("a is on air");
        desk.hears(LEVEL + GAIN);
        let devices = words(&status(&daemon, "devices"));
        assert_eq!(devices.matches(word).count(), 2, "{devices}");
        assert!(devices.contains("two clocks"), "{devices}");
        let ratio = number(&status(&daemon, "join_ratio"));
        assert!((ratio - 1.0).abs() < 0.002, "{ratio}");
    }
    player.kill().ok();
    player.wait().ok();
}

#[test]
fn a_station_plays_through_a_pulseaudio_server() {
    if !alone("a_station_plays_through_a_pulseaudio_server") {
        return;
    }
    let mut desk = Desk::new("cpalpulse");
    if !desk.server.start_pulse() {
        return;
    }
    let mut player = desk.sing();
    let station = desk.station("host: pulseaudio, input: mic, output: sink, block: 1024");
    let run = |cookie: &str| {
        let mut command = Command::new(binary());
        command.args(["run", station.to_str().unwrap()]).env("PULSE_COOKIE", cookie).output().unwrap()
    };
    let refused = String::from_utf8(run("/nonexistent").stderr).unwrap();
    assert!(refused.contains("`pactl info` makes its cookie"), "{refused}");
    let cookie = desk.folder.write("cookie", &"c".repeat(256));
    let daemon = Daemon::start_with(&station, desk.port, |command| {
        command.env("PULSE_COOKIE", &cookie);
    });
    daemon.logged("a is on air");
    desk.hears(LEVEL + GAIN);
    let devices = words(&status(&daemon, "devices"));
    assert!(devices.contains("from mic") && devices.contains("to sink"), "{devices}");
    let listed = Command::new(binary()).arg("devices").env("PULSE_COOKIE", &cookie).output().unwrap();
    let listed = format!("\n{}", String::from_utf8(listed.stdout).unwrap());
    assert!(listed.contains("\nsink  pulseaudio: "), "{listed}");
    player.kill().ok();
    player.wait().ok();
}

#[test]
fn devices_are_listed_with_what_they_can() {
    if !alone("devices_are_listed_with_what_they_can") {
        return;
    }
    let _desk = Desk::new("cpaldevices");
    let list = |args: &[&str]| {
        let out = Command::new(binary()).args(args).output().unwrap();
        assert!(out.status.success() && out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
        String::from_utf8(out.stdout).unwrap()
    };
    let text = list(&["devices"]);
    assert!(text.contains("\npipewire  alsa: PipeWire Sound Server\n    input   "), "{text}");
    assert!(text.contains("to 384000 Hz, 1 to 64 channels, 16-bit 24-bit 32-bit float"), "{text}");
    let json: serde_json::Value = serde_json::from_str(&list(&["devices", "--json"])).unwrap();
    let pipewire = json.as_array().unwrap().iter().find(|device| device["name"] == "pipewire").unwrap();
    assert_eq!(pipewire["output"][0]["rates_hz"][1], 384_000);
}

#[test]
fn a_device_that_is_not_there_is_waited_for_and_one_that_cannot_is_told() {
    assert!(env::var_os("LACQUER_TEST_CHILD").is_none());
    let folder = Folder::new("cpalnone");
    folder.write("a.yaml", "nodes: [{gain: {}}]");
    let port = free_port();
    let write = |cpal: &str| {
        let yaml = format!(
            "audio: {{backend: cpal, cpal: {{{cpal}}}}}\nchains: [a.yaml]\ncontrol: {{osc: {{listen: \"127.0.0.1:{port}\"}}}}\n"
        );
        folder.write("station.yaml", &yaml)
    };
    let daemon = Daemon::start(&write("device: \"hw:CARD=NoSuchCard*\""), port);
    daemon.logged("hw:CARD=NoSuchCard*: no such output device; `lacquer devices` lists all; retrying");
    assert_eq!(words(&status(&daemon, "audio")), "waiting for the server");
    drop(daemon);
    let out = lacquer(&["doctor", folder.at("station.yaml").to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let found = said.lines().find(|line| line.contains("sound devices")).unwrap();
    assert!(found.starts_with("fix ") && found.contains("no such output device"), "{said}");
    let station = write("device: \"null\", host: asio");
    let out = lacquer(&["run", station.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(3), "{said}");
    assert!(said.contains("asio: no such host; this build has pulseaudio, alsa"), "{said}");
}
