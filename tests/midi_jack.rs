//! MIDI controllers over real JACK MIDI: every shipped map with its device's published messages, learning, fights.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::value::Value;
use lacquer_tests::controller::{CHAIN, Controller, MAPS};
use lacquer_tests::daemon::{Daemon, Folder, Listener, eventually, free_port, root, text};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::random::Random;
use lacquer_tests::state::read_kept;
use lacquer_tests::studio::number;
use std::fs;
use std::process::Stdio;
use std::time::Duration;

fn station(folder: &Folder, midi: &str) -> Daemon {
    folder.write("main.yaml", CHAIN);
    folder.write("other.yaml", "nodes: [{gain: {id: level}}]");
    let port = free_port();
    let station = folder.write(
        "station.yaml",
        &format!(
            "audio: {{backend: jack, jack: {{client: under-test}}}}\nchains: [main.yaml, other.yaml]\n\
             swap: {{warmup: 5 ms, fade: 5 ms}}\n\
             control: {{osc: {{listen: \"127.0.0.1:{port}\"}}, midi: {midi}}}\n"
        ),
    );
    Daemon::start_with(&station, port, |command| {
        command.env("LACQUER_FAULTS", "stdin").stdin(Stdio::piped());
    })
}

fn norm(client: &Listener, address: &str) -> f64 {
    number(&client.ask(&address.replace("/node", "/norm"), vec![]))
}

/// Sends these until it `is` so: a block that the server leaves out on a busy machine takes its messages with it.
fn sends_until(what: &str, controller: &Controller, messages: &[Vec<u8>], is: impl Fn() -> bool) {
    eventually(what, || {
        messages.iter().for_each(|message| controller.send(message));
        (0..100).find_map(|_| {
            std::thread::park_timeout(Duration::from_millis(10));
            is().then_some(())
        })
    });
}

/// A control that sets the value that its way ends at: plays up to the top, then down to the bottom.
fn sweep(
    client: &Listener,
    name: &str,
    controller: &Controller,
    address: &str,
    bytes: impl Fn(u8) -> Vec<u8>,
) {
    for (from, to, end) in [(0, 127, 1.0), (127, 0, 0.0)] {
        let way: Vec<u8> = if from < to { (from..=to).collect() } else { (to..=from).rev().collect() };
        let way: Vec<_> = way.iter().step_by(3).chain(way.last()).map(|value| bytes(*value)).collect();
        let what = format!("{name}: {address} at {end}");
        sends_until(&what, controller, &way, || norm(client, address) == end);
    }
}

const FADERS: [&str; 8] = [
    "/node/tone/band/1/gain",
    "/node/tone/band/2/gain",
    "/node/tone/band/3/gain",
    "/node/tone/band/4/gain",
    "/node/glue/threshold",
    "/node/glue/makeup",
    "/node/level/gain",
    "/node/ceiling/ceiling",
];
const FREQ: &str = "/node/tone/band/1/freq";

#[test]
fn every_shipped_map_plays_and_shows_over_jack() {
    if !alone("every_shipped_map_plays_and_shows_over_jack") {
        return;
    }
    let _server = Server::start(256);
    let folder = Folder::new("maps");
    let list: Vec<String> = MAPS
        .iter()
        .map(|name| root().join(format!("configs/midi/{name}.yaml")).display().to_string())
        .collect();
    // The one for any controller would take them all.
    let daemon = station(&folder, &format!("[{}]", list[..6].join(", ")));
    let client = daemon.client();
    let set = |address: &str, value: f64| {
        client.say(&address.replace("/node", "/norm"), vec![Value::Number(value)])
    };
    let enabled = "/node/tone/enabled";
    let press = |what: &str, controller: &Controller, button: &[u8], is: &dyn Fn() -> bool| {
        sends_until(what, controller, &[[button, &[127]].concat(), [button, &[0]].concat()], is);
    };

    // Sliders and knobs that send control changes, and what each shows.
    type Sends = fn(u8, u8) -> Vec<u8>;
    let simple: [(&str, Sends, Sends, [u8; 2]); 3] = [
        (
            "nanoKONTROL2 CTRL",
            |at, value| vec![0xB0, at, value],
            |_, value| vec![0xB0, 16, value],
            [0xB0, 32],
        ),
        (
            "MIDI Mix",
            |at, value| vec![0xB0, [19, 23, 27, 31, 49, 53, 57, 61][usize::from(at)], value],
            |_, value| vec![0xB0, 16, value],
            [0x90, 1],
        ),
        (
            "Launch Control XL",
            |at, value| vec![0xB8, 77 + at, value],
            |_, value| vec![0xB8, 13, value],
            [0x98, 73],
        ),
    ];
    for (name, fader, knob, button) in simple {
        let controller = Controller::plug(name);
        for (at, address) in FADERS.iter().enumerate() {
            sweep(&client, name, &controller, address, |value| fader(at as u8, value));
        }
        sweep(&client, name, &controller, FREQ, |value| knob(0, value));
        set(enabled, 1.0);
        let lit = if name.starts_with("Launch") { 63 } else { 127 };
        let dark = if name.starts_with("Launch") { 12 } else { 0 };
        controller.wait_for("its light", &[&button[..], &[lit]].concat());
        press("the node in bypass", &controller, &button, &|| norm(&client, enabled) == 0.0);
        controller.wait_for("its light off", &[&button[..], &[dark]].concat());
        set(enabled, 1.0);
    }

    let name = "X-TOUCH MINI";
    let mini = Controller::plug(name);
    mini.wait_for("standard mode", &[0xBA, 0x7F, 0]);
    mini.wait_for("rings filled", &[0xBA, 8, 2]);
    for (at, address) in FADERS.iter().enumerate() {
        sweep(&client, name, &mini, address, |value| vec![0xBA, 1 + at as u8, value]);
    }
    sweep(&client, name, &mini, FADERS[7], |value| vec![0xBA, 9, value]);
    set(FADERS[0], 1.0);
    mini.wait_for("a full ring", &[0xBA, 9, 13]);
    set(FADERS[0], 0.5);
    mini.wait_for("half a ring", &[0xBA, 9, 7]);
    client.say("/scene/save", vec![text("first")]);
    mini.wait_for("the light of the scene", &[0x9A, 0, 1]);
    set(FADERS[0], 0.9);
    mini.wait_for("its light off", &[0x9A, 0, 0]);
    press("the scene", &mini, &[0x9A, 8], &|| (norm(&client, FADERS[0]) - 0.5).abs() < 1e-6);

    for (name, has_touch) in [("X-Touch", true), ("BCF2000", false)] {
        let mackie = Controller::plug(name);
        set(FADERS[2], 0.25);
        mackie.wait_for("the motor", &[0xE2, 0, 32]);
        if has_touch {
            mackie.send(&[0x90, 104, 127]);
        }
        for (at, address) in FADERS.iter().enumerate() {
            for value in [0_u16, 16_383, 8_192, 4_097] {
                let message = vec![0xE0 | at as u8, (value & 127) as u8, (value >> 7) as u8];
                let wanted = f64::from(value) / 16_383.0;
                sends_until(&format!("{name} {address}"), &mackie, &[message], || {
                    (norm(&client, address) - wanted).abs() < 1e-6
                });
            }
        }
        if has_touch {
            assert!(!mackie.was_shown(&[0xE0, 1, 32]), "a motor stands still under the hand");
            mackie.send(&[0x90, 104, 0]);
        }
        // 4097 is 32 * 128 + 1: the motor is told where it is left.
        mackie.wait_for("where the fader is left", &[0xE0, 1, 32]);
        // V-pots.
        set(FREQ, 0.5);
        mackie.wait_for("the ring", &[0xB0, 48, 0x20 | 6]);
        sends_until("the top", &mackie, &vec![vec![0xB0, 16, 1]; 300], || norm(&client, FREQ) == 1.0);
        sends_until("the bottom", &mackie, &vec![vec![0xB0, 16, 0x41]; 300], || norm(&client, FREQ) == 0.0);
        press("mute", &mackie, &[0x90, 16], &|| norm(&client, enabled) == 0.0);
        set(enabled, 1.0);
        mackie.wait_for("its light", &[0x90, 16, 127]);
        if has_touch {
            let mut lcd = vec![0xF0, 0, 0, 0x66, 0x14, 0x12, 28];
            lcd.extend(b"thresho\xF7");
            mackie.wait_for("a name on the display", &lcd);
            client.say("/node/glue/threshold", vec![Value::Number(-20.0)]);
            let mut lcd = vec![0xF0, 0, 0, 0x66, 0x14, 0x12, 0x38 + 28];
            lcd.extend(b"-20dBFS\xF7");
            mackie.wait_for("its value on the display", &lcd);
            let is_meter = |message: &Vec<u8>| message[0] == 0xD0;
            eventually("meters", || mackie.shown.lock().unwrap().iter().any(is_meter).then_some(()));
        }
        let plays = |chain: &str| client.ask("/swap", vec![]).values == [text(chain)];
        press("the second chain", &mackie, &[0x90, 9], &|| plays("other"));
        press("the first chain", &mackie, &[0x90, 8], &|| plays("main"));
    }
}

#[test]
fn a_controller_that_comes_back_is_lit_again_and_a_control_is_learned() {
    if !alone("a_controller_that_comes_back_is_lit_again_and_a_control_is_learned") {
        return;
    }
    let _server = Server::start(256);
    let folder = Folder::new("learn");
    let file = "name: box\ndevice: \"box*\" # any of them\ncontrols:\n  - {note: 1, as: toggle, light: true, to: /node/glue/enabled}\n  - {program: true, to: /program/chain}\n";
    folder.write("box.yaml", file);
    let mut daemon = station(&folder, "[box.yaml]");
    let client = daemon.client();
    for _ in 0..3 {
        let controller = Controller::plug("box");
        controller.wait_for("its light", &[0x90, 1, 127]);
    }
    let controller = Controller::plug("box 2");
    controller.wait_for("its light", &[0x90, 1, 127]);
    let why = client.ask("/learn", vec![text("/node/glue/rotio")]);
    assert!(matches!(&why.values[1], Value::Text(why) if why.contains("did you mean")), "{why:?}");
    client.say("/learn", vec![text("/node/glue/ratio")]);
    client.ask("/chains", vec![]);
    eventually("it is learned", || {
        (60..70).for_each(|value| controller.send(&[0xB0, 22, value]));
        client.hear_for(Duration::from_millis(50)).into_iter().find(|line| line.address == "/event/learn")
    });
    let learned = fs::read_to_string(folder.at("box.yaml")).unwrap();
    assert_eq!(learned, format!("{file}  - {{cc: 22, channel: 1, to: /node/glue/ratio}}\n"));
    sweep(&client, "box", &controller, "/node/glue/ratio", |value| vec![0xB0, 22, value]);
    // A thread that was started again knows the ports, the light and what was learned.
    controller.shown.lock().unwrap().clear();
    daemon.say_to_stdin("panic midi");
    daemon.logged("thread midi panicked");
    controller.wait_for("its light", &[0x90, 1, 127]);
    sweep(&client, "box", &controller, "/node/glue/ratio", |value| vec![0xB0, 22, value]);
    controller.send(&[0xC0, 1]);
    eventually("the second chain", || (client.ask("/swap", vec![]).values == [text("other")]).then_some(()));
    controller.wait_for("what the chain lacks is dark", &[0x90, 1, 0]);
}

#[test]
fn a_controller_that_sends_thousands_of_messages_a_second_is_throttled_and_its_last_values_arrive() {
    if !alone(
        "a_controller_that_sends_thousands_of_messages_a_second_is_throttled_and_its_last_values_arrive",
    ) {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("storm");
    folder.write(
        "box.yaml",
        "name: box\ndevice: box\npickup: false\ncontrols:\n  - {note: 1, as: momentary, to: /bypass}\n  - {cc: 1, to: /node/level/gain}\n",
    );
    let mut daemon = station(&folder, "[box.yaml]");
    let client = daemon.client();
    let controller = Controller::plug("box");
    for n in 0..6_000 {
        let value = (n % 100) as u8;
        [[0x90, 1, 127], [0xB0, 1, value], [0x90, 1, 0]].iter().for_each(|message| controller.send(message));
    }
    let ends = [vec![0x90, 1, 0], vec![0xB0, 1, 127]];
    let is_on = || client.ask("/bypass", vec![]).values == [Value::Switch(true)];
    sends_until("the last values", &controller, &ends, || {
        norm(&client, "/node/level/gain") == 1.0 && !is_on()
    });
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    let lines = daemon.log().lines().filter(|line| line.contains(" bypass o")).count();
    assert!((90..=400).contains(&lines), "{lines} lines:\n{}", daemon.log());
    assert!(daemon.log().contains("midi 1: "), "what is left out is counted:\n{}", daemon.log());
    let audit = read_kept(&folder.at("station.yaml"), ".audit.log").unwrap();
    assert!(audit.lines().count() < 600 && audit.contains(" changes\n"), "{audit}");
}

#[test]
fn a_fader_and_two_clients_fight_and_all_agree_in_the_end() {
    if !alone("a_fader_and_two_clients_fight_and_all_agree_in_the_end") {
        return;
    }
    let _server = Server::start(64);
    let folder = Folder::new("fight");
    folder.write(
        "box.yaml",
        "name: box\ndevice: box\nmotor: true\ncontrols:\n  - {bend: true, to: /node/level/gain}\n",
    );
    let daemon = station(&folder, "[box.yaml]");
    let controller = Controller::plug("box");
    let address = "/norm/level/gain";
    let clients = [daemon.client(), daemon.client()];
    let mut shown = [0.0; 2];
    for client in &clients {
        client.say("/subscribe", vec![Value::Number(120.0), text("meters 0")]);
        client.hear("the state", |line| line.address == address);
    }
    let mut random = Random::new(5);
    for _ in 0..if std::env::var_os("LACQUER_LONG").is_some() { 30_000 } else { 500 } {
        for (shown, client) in shown.iter_mut().zip(&clients) {
            let value = random.below(1_000) as f64 / 1_000.0;
            client.say(address, vec![Value::Number(value)]);
            *shown = value;
            for line in client.hear_for(Duration::from_micros(500)) {
                *shown = if line.address == address { number(&line) } else { *shown };
            }
        }
        let value = random.below(16_384) as u16;
        controller.send(&[0xE0, (value & 127) as u8, (value >> 7) as u8]);
    }
    for (shown, client) in shown.iter_mut().zip(&clients) {
        let last = client.quiet("nothing goes on by itself", |line| line.address == address);
        *shown = last.as_ref().map_or(*shown, number);
    }
    let truth = number(&daemon.client().ask(address, vec![]));
    assert!(shown.iter().all(|shown| (shown - truth).abs() < 1e-6), "{shown:?} are shown, {truth} is true");
    let motor = (truth * 16_383.0).round() as u16;
    let shown = || controller.shown.lock().unwrap().clone();
    eventually("the motor stands where it should", || {
        let last = shown().into_iter().rfind(|message| message[0] == 0xE0)?;
        (last == [0xE0, (motor & 127) as u8, (motor >> 7) as u8]).then_some(())
    });
    eventually("it rests", || {
        let before = shown();
        std::thread::park_timeout(Duration::from_millis(500));
        (shown() == before).then_some(())
    });
}
