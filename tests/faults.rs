//! Whatever goes wrong, the programme plays on: each fault is made, and what was lost and how long it took is told.
//! The node `fault` goes wrong on demand; only development builds have it.

#![cfg(debug_assertions)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use jack::{AudioIn, Client, ClientOptions, Control, Port, ProcessScope};
use lacquer_control::desk::turn::Input;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::run::engine::Event;
use lacquer_tests::daemon::{Daemon, Listener, eventually, pass, text};
use lacquer_tests::jackd::{Server, alone};
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{Channels, distance, noise};
use lacquer_tests::state::{kept, read_kept};
use lacquer_tests::studio::{Studio, number};
use std::fs;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

const CHAIN: &str = "
nodes:
  - tone: {id: line, level: -12 dB, freq: 441 Hz}
  - gain: {id: level, gain: -3 dB}
  - fault: {id: bad, share: 150 %}
  - gain: {id: sparkle}
  - limiter: {id: ceiling}
";

/// A station whose chain `a` can go wrong.
fn studio(name: &str, more: &str) -> Studio {
    let studio = Studio::new(name);
    studio.folder.write("a.yaml", CHAIN);
    studio.write("[a.yaml, b.yaml]", more);
    studio
}

/// Lower than anything that is heard here, and higher than silence, in dBFS.
const HEARD: f64 = -50.0;

/// Subscribes, and waits until the programme is heard at full level. What came before counts for nothing.
fn plays(client: &Listener) {
    client.hear_for(Duration::from_millis(20));
    eventually("the programme is heard", || {
        client.say("/subscribe", vec![]);
        let lines = client.hear_for(Duration::from_millis(150));
        let mut peaks = lines.iter().filter(|line| line.address == "/meter/output/peak").map(number);
        peaks.any(|peak| peak > HEARD).then_some(())
    });
}

/// Waits until an address has a value.
fn has(client: &Listener, address: &str, value: &Value) {
    eventually(&format!("{address} is {value:?}"), || {
        client.say(address, vec![]);
        let lines = client.hear_for(Duration::from_millis(50));
        lines.iter().any(|line| line.address == address && line.values.first() == Some(value)).then_some(())
    });
}

fn status(client: &Listener, key: &str) -> Update {
    client.ask_for("/status", &format!("/status/{key}"))
}

fn goes_wrong(client: &Listener, how: &str) {
    client.say("/node/bad/what", vec![text(how)]);
}

fn audit(studio: &Studio) -> String {
    eventually("there is an audit log", || read_kept(&studio.station, ".audit.log"))
}

/// A node that takes all the time there is, at real-time priority, leaves a small machine little for anybody else.
static BUSY: Mutex<()> = Mutex::new(());

/// Until it is dropped, no other daemon is tested here.
fn alone_here() -> MutexGuard<'static, ()> {
    BUSY.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn a_node_that_panics_leaves_its_input_and_comes_back_in_a_chain_built_anew() {
    lacquer::process::panics::install();
    let nodes = "  - limiter: {id: before}\n  - fault: {id: bad}\n  - limiter: {id: after}\n";
    let mut rig = Rig::of(nodes);
    let input = noise(-20.0, 4, 2, 48_000);
    let before = rig.play(&input);
    rig.set_value("/node/bad/what", &text("panic"));
    let after = rig.play(&input);
    let panicked = rig.control.next_panic().expect("it is told");
    assert_eq!((panicked.node, panicked.message()), (Some(1), "asked to panic, 64 frames at once"));
    let (generation, node, message) = (panicked.generation, panicked.node, panicked.message().to_owned());
    assert!(rig.control.next_panic().is_none(), "it is not called again");
    // The node passes its input on, so nothing but the smoothed step may be heard of it.
    let late = |channels: &Channels, from: usize| -> Channels {
        channels.iter().map(|samples| samples[from..].to_vec()).collect()
    };
    assert!(distance(&late(&before, 5_000), &late(&after, 5_000)) == 0.0);
    assert!(distance(&late(&before, 500), &late(&after, 500)) < 0.35);
    // In vain while it is the same.
    rig.set("/node/bad/enabled", 0.0);
    rig.set_value("/node/bad/what", &text("none"));
    rig.set("/node/bad/enabled", 1.0);
    rig.play(&input);
    rig.set_value("/node/bad/what", &text("panic"));
    rig.play(&input);
    assert!(rig.control.next_panic().is_none());
    rig.set_value("/node/bad/what", &text("none"));
    // The desk bypasses it, so whoever enables it has the chain built anew.
    rig.ask(Input::Panicked { generation, node, message }).unwrap_err();
    rig.set("/node/bad/enabled", 1.0);
    assert!(rig.is_swapping());
    rig.play(&input);
    assert!(rig.control.next_panic().is_none());
    rig.set_value("/node/bad/what", &text("panic"));
    rig.play(&input);
    assert!(rig.control.next_panic().is_some(), "it plays again, and may panic again");
    rig.collector.collect();
}

/// Plays this long; how often a node had a faulty output.
fn faults(rig: &mut Rig, seconds: f64) -> usize {
    rig.events.clear();
    rig.block = 1_024;
    rig.play(&noise(-20.0, 5, 2, (seconds * RATE) as usize));
    rig.count(|event| matches!(event, Event::Fault { .. }))
}

#[test]
fn a_node_that_is_bypassed_for_a_nan_is_tried_again_at_once_after_a_swap() {
    let mut rig = Rig::of("  - fault: {id: bad}\n");
    rig.set_value("/node/bad/what", &text("nan"));
    // Each time after twice as long: the next time would be after 8 s.
    assert_eq!(faults(&mut rig, 9.0), 6);
    rig.swap("main");
    assert!(faults(&mut rig, 1.0) > 0, "it is the same: it fails again, which shows that it was tried");
    rig.set_value("/node/bad/what", &text("none"));
    rig.swap("main");
    assert_eq!(faults(&mut rig, 1.0), 0);
    rig.set_value("/node/bad/what", &text("nan"));
    assert_eq!(faults(&mut rig, 0.1), 1, "it plays");
}

#[test]
fn faults_of_long_ago_do_not_prolong_the_next_bypass() {
    let mut rig = Rig::of("  - fault: {id: bad}\n");
    rig.set_value("/node/bad/what", &text("nan"));
    assert_eq!(faults(&mut rig, 4.5), 5);
    rig.set_value("/node/bad/what", &text("none"));
    assert_eq!(faults(&mut rig, 330.0), 0);
    rig.set_value("/node/bad/what", &text("nan"));
    assert_eq!(faults(&mut rig, 1.0), 3, "after 250 and after 500 ms");
}

#[test]
fn every_surface_is_told_of_a_node_that_panics() {
    let _alone = alone_here();
    let studio = studio("panics", "start: last");
    let mut daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    goes_wrong(&client, "panic");
    let told = client.hear("the fault", |line| line.address == "/event/fault");
    assert_eq!(told.values, [text("bad"), text("panicked: asked to panic, 64 frames at once; bypassed")]);
    client.hear("its lamp goes out", |line| {
        line.address == "/node/bad/enabled" && line.values == [Value::Switch(false)]
    });
    assert_eq!(status(&client, "out").values, [text("bad")]);
    plays(&client);
    let log = daemon.log();
    assert_eq!(log.matches("panicked").count(), 1, "nothing is printed on the audio thread: {log}");
    // A person brings it back.
    client.ask("/node/bad/what", vec![]);
    client.say("/node/bad/what", vec![text("none")]);
    client.say("/node/bad/enabled", vec![Value::Switch(true)]);
    client.swap_phase("done", "a");
    assert_eq!(client.ask("/node/bad/enabled", vec![]).values, [Value::Switch(true)]);
    goes_wrong(&client, "panic");
    client.hear("the second fault", |line| line.address == "/event/fault");
    // That it is out is nobody's wish, and not kept.
    client.say("/node/bad/what", vec![text("none")]);
    has(&client, "/node/bad/enabled", &Value::Switch(false));
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    assert!(audit(&studio).contains("lacquer\ta\t/node/bad/enabled\ttrue\tfalse"), "{}", audit(&studio));
    let client = studio.start();
    assert_eq!(client.client().ask("/node/bad/enabled", vec![]).values, [Value::Switch(true)]);
}

#[test]
fn a_node_that_makes_a_nan_is_told_and_the_programme_plays_on() {
    let _alone = alone_here();
    let studio = studio("nan", "");
    let daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    goes_wrong(&client, "nan");
    let told = client.hear("the fault", |line| line.address == "/event/fault");
    assert_eq!(told.values, [text("bad"), text("output NaN or infinite; bypassed")]);
    plays(&client);
}

#[test]
fn a_node_that_does_not_come_back_is_out_and_all_else_goes_on() {
    let _alone = alone_here();
    let studio = studio("loops", "");
    let _memory = studio.keep_in_memory();
    let mut daemon = studio.start();
    let client = daemon.client();
    client.say("/node/level/gain", vec![Value::Number(-4.5)]);
    plays(&client);
    let start = Instant::now();
    goes_wrong(&client, "loop");
    client.hear("the fault", |line| {
        line.address == "/event/fault" && line.values == [text("bad"), text("hangs; restarting the process")]
    });
    let found = start.elapsed();
    has(&client, "/node/bad/enabled", &Value::Switch(false));
    plays(&client);
    println!("a hang: found after {found:?}, the programme is heard again after {:?}", start.elapsed());
    assert!(daemon.is_running(), "to whoever started it, it is the same process");
    assert_eq!(number(&client.ask("/node/level/gain", vec![])), -4.5);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(false)]);
    daemon.logged("node \"bad\" of chain \"a\" hangs");
    daemon.logged("node \"bad\" of chain \"a\" hung; bypassed until enabled");
    let line = "lacquer\ta\t/node/bad/enabled\ttrue\tfalse";
    eventually("its line in the audit log", || audit(&studio).contains(line).then_some(()));
}

#[test]
fn a_chain_that_hangs_again_is_bypassed_whole_and_in_the_end_the_process_ends() {
    let _alone = alone_here();
    let studio = studio("loops-on", "");
    let _memory = studio.keep_in_memory();
    let mut daemon = studio.start();
    let client = daemon.client();
    client.say("/node/bad/what", vec![text("loop")]);
    daemon.logged("node \"bad\" of chain \"a\" hung; bypassed");
    has(&client, "/node/bad/enabled", &Value::Switch(false));
    for time in 1..=2 {
        client.say("/node/bad/enabled", vec![Value::Switch(true)]);
        eventually("it starts again", || {
            (daemon.log().matches("the chain and all its nodes are bypassed").count() >= time).then_some(())
        });
        has(&client, "/node/level/enabled", &Value::Switch(false));
        assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(true)]);
    }
    plays(&client);
    client.say("/node/bad/enabled", vec![Value::Switch(true)]);
    daemon.logged("again after every restart");
    assert_eq!(daemon.ended().code(), Some(3), "for systemd to start it");
}

#[test]
fn without_a_state_folder_a_hang_costs_the_values_but_not_the_programme() {
    let _alone = alone_here();
    let studio = studio("homeless", "");
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| {
        command.env_remove("XDG_STATE_HOME").env_remove("HOME");
    });
    let client = daemon.client();
    goes_wrong(&client, "loop");
    has(&client, "/node/bad/enabled", &Value::Switch(false));
    plays(&client);
}

#[test]
fn a_process_that_was_stopped_goes_on_and_is_not_taken_for_one_that_hangs() {
    let _alone = alone_here();
    let studio = studio("stopped", "");
    let daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    daemon.signal("STOP");
    pass(Duration::from_secs(2));
    daemon.signal("CONT");
    let start = Instant::now();
    plays(&client);
    println!("SIGSTOP for 2 s: heard {:?} after SIGCONT", start.elapsed());
    eventually("the gap is counted with its reason", || {
        (number(&status(&client, "xruns_late")) > 0.0).then_some(())
    });
    assert!(!daemon.log().contains("hangs"), "{}", daemon.log());
}

#[test]
fn a_state_that_cannot_be_written_is_said_once_and_is_written_when_it_can_be() {
    let _alone = alone_here();
    let studio = studio("full", "start: last");
    let mut daemon = studio.start();
    daemon.signal("TERM");
    daemon.ended();
    let state = eventually("there is a state file", || kept(&studio.station, ".state.json"));
    let before = fs::read(&state).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    // Its disk is gone.
    let (folder, away) = (state.parent().unwrap(), studio.folder.at("away"));
    fs::rename(folder, &away).unwrap();
    for gain in 1..=20 {
        client.say("/node/level/gain", vec![Value::Number(-f64::from(gain))]);
        client.hear_for(Duration::from_millis(50));
    }
    daemon.logged("no such file");
    assert_eq!(daemon.log().matches("state not saved").count(), 1, "{}", daemon.log());
    plays(&client);
    assert_eq!(fs::read(away.join(state.file_name().unwrap())).unwrap(), before, "the old state is whole");
    let start = Instant::now();
    fs::rename(&away, folder).unwrap();
    daemon.logged("state is saved again");
    println!("a disk that was gone: kept again {:?} after it came back; nothing was lost", start.elapsed());
    let kept: serde_json::Value = serde_json::from_slice(&fs::read(&state).unwrap()).unwrap();
    assert!(kept["values"]["a"].to_string().contains("[\"/level/gain\",-20.0,-3.0]"), "{kept}");
}

/// Waits for a step of the house's against an overload, or back.
fn step(client: &Listener, what: &str, name: &str) {
    let wanted = [text(what), text(name)];
    let hears = |line: &Update| line.address == "/event/overload" && line.values == wanted;
    eventually(&format!("{what} {name}"), || {
        client.say("/subscribe", vec![]);
        client.hear_for(Duration::from_millis(200)).iter().any(hears).then_some(())
    });
}

#[test]
fn the_chain_that_was_meant_comes_back_from_the_safe_one_and_then_its_nodes() {
    let _alone = alone_here();
    let studio = studio("back", "overload: {bypass: [sparkle], chain: b}");
    let yaml = fs::read_to_string(&studio.station).unwrap().replace("block: 64", "block: 4096");
    fs::write(&studio.station, yaml).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    goes_wrong(&client, "slow");
    step(&client, "bypass", "sparkle");
    step(&client, "chain", "b");
    step(&client, "back", "a");
    // The machine is as quick as before.
    client.say("/node/bad/what", vec![text("none")]);
    step(&client, "back", "sparkle");
    assert_eq!(client.ask("/swap", vec![]).values, [text("a")]);
    assert_eq!(client.ask("/node/sparkle/enabled", vec![]).values, [Value::Switch(true)]);
    assert!(status(&client, "overload").values.is_empty());
}

#[test]
fn an_overload_leaves_out_what_the_station_names_and_gives_it_back() {
    let _alone = alone_here();
    let studio = studio("overload", "overload: {bypass: [sparkle, bad], chain: b}\nstart: last");
    let yaml = fs::read_to_string(&studio.station).unwrap().replace("block: 64", "block: 4096");
    fs::write(&studio.station, yaml).unwrap();
    let mut daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    let step = |what: &str, id: &str| step(&client, what, id);
    let start = Instant::now();
    goes_wrong(&client, "slow");
    step("bypass", "sparkle");
    step("bypass", "bad");
    println!("an overload of 150 %: over after {:?}", start.elapsed());
    client.say("/node/bad/what", vec![text("none")]);
    assert_eq!(client.ask("/node/sparkle/enabled", vec![]).values, [Value::Switch(false)]);
    assert_eq!(client.ask("/who", vec![text("/node/bad/enabled")]).values[1], text("lacquer"));
    eventually("its cause is told", || (number(&status(&client, "xruns_own")) > 0.0).then_some(()));
    step("back", "bad");
    assert_eq!(client.ask("/node/bad/enabled", vec![]).values, [Value::Switch(true)]);
    // What a person moves is theirs.
    client.say("/node/sparkle/enabled", vec![Value::Switch(true)]);
    has(&client, "/node/sparkle/enabled", &Value::Switch(true));
    eventually("the house has let go", || status(&client, "overload").values.is_empty().then_some(()));
    // And what the house leaves out is nobody's wish.
    goes_wrong(&client, "slow");
    step("bypass", "sparkle");
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    let daemon = studio.start();
    assert_eq!(daemon.client().ask("/node/sparkle/enabled", vec![]).values, [Value::Switch(true)]);
}

#[test]
fn an_overload_that_nothing_else_mends_brings_the_safe_chain() {
    let _alone = alone_here();
    let studio = studio("safe", "overload: {bypass: [sparkle], chain: b}\nstart: last");
    let yaml = fs::read_to_string(&studio.station).unwrap().replace("block: 64", "block: 4096");
    fs::write(&studio.station, yaml).unwrap();
    let mut daemon = studio.start();
    let client = daemon.client();
    plays(&client);
    goes_wrong(&client, "slow");
    has(&client, "/swap", &text("b"));
    assert_eq!(status(&client, "overload").values, [text("sparkle"), text("a")]);
    plays(&client);
    // The state keeps the chain that is meant.
    daemon.signal("TERM");
    assert_eq!(daemon.ended().code(), Some(0));
    let daemon = studio.start();
    assert_eq!(daemon.client().ask("/swap", vec![]).values, [text("a")]);
}

#[test]
fn a_person_who_swaps_while_something_is_left_out_is_obeyed() {
    let _alone = alone_here();
    let studio = studio("obeyed", "overload: {bypass: [sparkle], chain: b}");
    studio.folder.write("c.yaml", "nodes:\n  - gain: {id: sparkle}\n");
    let yaml = fs::read_to_string(&studio.station).unwrap();
    let yaml = yaml.replace("block: 64", "block: 4096").replace("b.yaml]", "b.yaml, c.yaml]");
    fs::write(&studio.station, yaml).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    goes_wrong(&client, "slow");
    has(&client, "/swap", &text("b"));
    client.say("/swap", vec![text("c")]);
    eventually("the house has let go", || status(&client, "overload").values.is_empty().then_some(()));
    assert!(status(&client, "out").values.is_empty());
    assert_eq!(client.ask("/swap", vec![]).values, [text("c")]);
    // What was left out of the first chain is there again when that comes back.
    client.say("/swap", vec![text("a")]);
    has(&client, "/node/sparkle/enabled", &Value::Switch(true));
}

/// Counts the frames in which nothing new is heard: silence, the block before once more, or no block at all.
struct Gaps {
    port: Port<AudioIn>,
    before: Vec<f32>,
    /// Where the last block ended that was good.
    good: u32,
    lost: Arc<AtomicU32>,
}

impl jack::ProcessHandler for Gaps {
    fn process(&mut self, _: &Client, scope: &ProcessScope) -> Control {
        let block = self.port.as_slice(scope);
        if block.iter().any(|sample| *sample != 0.0) && block != self.before {
            self.lost.fetch_add(scope.last_frame_time().wrapping_sub(self.good), Ordering::Relaxed);
            self.good = scope.last_frame_time().wrapping_add(block.len() as u32);
        }
        self.before.copy_from_slice(block);
        Control::Continue
    }
}

#[test]
fn on_jack_a_hang_costs_about_a_second_and_no_connection() {
    let _alone = alone_here();
    if !alone("on_jack_a_hang_costs_about_a_second_and_no_connection") {
        return;
    }
    let _server = Server::start(256);
    let studio = studio("jackloops", "");
    let chain = "nodes:\n  - tone: {id: line, level: -12 dB, freq: 441 Hz}\n  - fault: {id: bad}\n";
    studio.folder.write("a.yaml", chain);
    let yaml = fs::read_to_string(&studio.station).unwrap();
    let yaml = yaml.replace(
        "backend: none, none: {block: 64, source: programme}",
        "backend: jack, jack: {client: under-test}",
    );
    fs::write(&studio.station, yaml).unwrap();
    let daemon = studio.start();
    let client = daemon.client();
    let (ear, _) = Client::new("ear", ClientOptions::NO_START_SERVER).unwrap();
    let port = ear.register_port("in", AudioIn::default()).unwrap();
    let lost = Arc::new(AtomicU32::new(0));
    let gaps = Gaps { port, before: vec![0.0; 256], good: 0, lost: Arc::clone(&lost) };
    let ear = ear.activate_async((), gaps).unwrap();
    eventually("the ear is connected", || {
        ear.as_client().connect_ports_by_name("under-test:master_1", "ear:in").ok()
    });
    eventually("the connection is kept", || {
        read_kept(&studio.station, ".state.json")?.contains("ear:in").then_some(())
    });
    plays(&client);
    lost.store(0, Ordering::Relaxed);
    goes_wrong(&client, "loop");
    daemon.logged("hung; bypassed");
    let frames = eventually("sound comes over the same connection", || {
        Some(lost.load(Ordering::Relaxed)).filter(|lost| *lost > 12_000)
    });
    println!("a hang on JACK: {:.0} ms lost", f64::from(frames) / 48.0);
    has(&client, "/node/bad/enabled", &Value::Switch(false));
    assert!(ear.as_client().port_by_name("under-test:master_1").is_some());
    assert!(ear.as_client().port_by_name("under-test-01:master_1").is_none());
}
