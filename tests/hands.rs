//! Several hands on one desk: who is told what, undo, scenes, cues, A and B.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Daemon, Listener, PATIENCE, eventually, text};
use lacquer_tests::studio::{Studio, number, why};
use std::time::Duration;

const GAIN: &str = "/node/tone/band/1/gain";
const THRESHOLD: &str = "/node/glue/threshold";

fn subscribe(client: &Listener, words: &[&str]) {
    let mut values = vec![Value::Number(600.0)];
    values.extend(words.iter().map(|word| text(word)));
    client.say("/subscribe", values);
}

fn set(client: &Listener, address: &str, value: f64) {
    client.say(address, vec![Value::Number(value)]);
}

fn asked(client: &Listener, address: &str) -> f64 {
    number(&client.ask(address, vec![]))
}

/// Waits until the daemon has `value` at `address`.
fn holds(client: &Listener, address: &str, value: f64) {
    eventually(&format!("{address} at {value}"), || {
        ((asked(client, address) - value).abs() < 1e-4).then_some(())
    });
}

#[test]
fn every_subscriber_hears_all_three_trees_as_it_wishes() {
    let studio = Studio::new("trees");
    let daemon = studio.start();
    let (plain, words, quiet) = (daemon.client(), daemon.client(), daemon.client());
    subscribe(&plain, &[]);
    subscribe(&words, &["text", "meters 5"]);
    subscribe(&quiet, &["meters 0"]);
    words.hear("the value as text", |line| {
        line.address == "/text/glue/threshold" && line.values == [text("-20 dBFS")]
    });
    quiet.hear("the state", |line| line.address == "/norm/glue/threshold");
    daemon.client().say("/text/glue/threshold", vec![text("-24 dB")]);
    for client in [&plain, &words, &quiet] {
        client.hear("the change", |line| line.address == THRESHOLD && number(line) == -24.0);
    }
    words.hear("it as text", |line| {
        line.address == "/text/glue/threshold" && line.values == [text("-24 dBFS")]
    });
    let count = |lines: &[Update], what: &str| lines.iter().filter(|line| line.address == what).count();
    words.hear("meters as text", |line| line.address == "/text/meter/output/peak");
    // In any stretch in which the machine lets it.
    eventually("who wants five meters a second is sent fewer than the others", || {
        let [many, few] = [&plain, &words]
            .map(|client| count(&client.hear_for(Duration::from_millis(400)), "/meter/output/peak"));
        (few > 0 && many > 2 * few).then_some(())
    });
    let heard = quiet.hear_for(Duration::from_millis(200));
    assert!(heard.iter().all(|line| !line.address.contains("/meter/")), "no meters were wanted");
    assert!(heard.iter().all(|line| !line.address.starts_with("/text/")));
    for (wish, reason) in [("loud", "not understood"), ("meters 1000", "0 to 60"), ("port 0", "port N")] {
        let error = words.ask("/subscribe", vec![text(wish)]);
        assert!(why(&error).contains(reason), "{error:?}");
    }
}

#[test]
fn answers_go_to_the_port_that_a_client_names() {
    let studio = Studio::new("replyport");
    let daemon = studio.start();
    let listener = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    listener.set_read_timeout(Some(PATIENCE)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let client = daemon.client();
    subscribe(&client, &[&format!("port {port}")]);
    let mut bytes = [0; 65_536];
    let (length, from) = listener.recv_from(&mut bytes).unwrap();
    assert!(length > 0);
    assert_eq!(from, daemon.address, "from the port that it listens on");
    assert!(client.hear_for(Duration::from_millis(200)).is_empty(), "nothing goes to the other one");
}

#[test]
fn of_a_flood_of_changes_the_newest_are_told_and_it_ends_right() {
    let studio = Studio::new("coalesce");
    let daemon = studio.start();
    let (listener, actor) = (daemon.client(), daemon.client());
    subscribe(&listener, &["meters 0"]);
    listener.hear("the state", |line| line.address == GAIN);
    // How often in a second is the matter of control/src/subscribe/outbox.rs, by a clock of its own.
    const SENT: usize = 2_000;
    for n in 0..SENT {
        set(&actor, GAIN, n as f64 / SENT as f64);
    }
    // What a socket had no room for is lost, but the last is asked for until it holds.
    eventually("the last holds", || {
        set(&actor, GAIN, -7.5);
        (asked(&actor, GAIN) == -7.5).then_some(())
    });
    let mut told = 0;
    listener.hear("the last", |line| {
        told += usize::from(line.address == GAIN);
        line.address == GAIN && number(line) == -7.5
    });
    assert!(told < SENT / 2, "{told} of {SENT} changes were told one by one");
    let after = listener.quiet("nothing more is told", |line| line.address == GAIN);
    assert!(after.is_none_or(|line| number(&line) == -7.5));
}

#[test]
fn two_who_fight_over_a_value_agree_in_the_end() {
    let studio = Studio::new("fight");
    let daemon = studio.start();
    let (a, b) = (daemon.client(), daemon.client());
    for client in [&a, &b] {
        subscribe(client, &["meters 0"]);
        client.hear("the state", |line| line.address == GAIN);
    }
    // Each shows what it did itself, or was told, whichever came last: as a tablet does.
    let mut shown = [0.0, 0.0];
    let mut told = [0, 0];
    let mut round = 0;
    eventually("both have heard each other often", || {
        round += 1;
        for (at, client) in [&a, &b].into_iter().enumerate() {
            shown[at] = if at == 0 { 5.0 } else { -5.0 } + f64::from(round % 50) / 100.0;
            set(client, GAIN, shown[at]);
            for line in client.hear_for(Duration::from_millis(1)) {
                if line.address == GAIN {
                    shown[at] = number(&line);
                    told[at] += 1;
                }
            }
        }
        (round >= 200 && told.iter().all(|count| *count > 20)).then_some(())
    });
    for (at, client) in [&a, &b].into_iter().enumerate() {
        let last = client.quiet("nothing goes on by itself", |line| line.address == GAIN);
        shown[at] = last.as_ref().map_or(shown[at], number);
    }
    let truth = asked(&daemon.client(), GAIN);
    for shown in shown {
        assert!((shown - truth).abs() < 1e-5, "{shown:?} is shown, {truth} is true");
    }
}

#[test]
fn who_moved_a_value_last_is_known() {
    let studio = Studio::new("who");
    let daemon = studio.start();
    let client = daemon.client();
    let who = |address: &str| {
        client.say("/who", vec![text(address)]);
        client.hear("who it was", |line| line.address == "/who").values
    };
    assert_eq!(who(THRESHOLD), [text(THRESHOLD), text("file")]);
    set(&client, THRESHOLD, -30.0);
    let values = who(THRESHOLD);
    assert!(matches!(&values[1], Value::Text(peer) if peer.starts_with("osc 127.0.0.1:")), "{values:?}");
    assert!(matches!(values[2], Value::Number(ago) if ago < 10.0));
}

#[test]
fn moves_are_undone_and_done_again_gesture_by_gesture() {
    let studio = Studio::new("undo");
    let daemon = studio.start();
    let (a, b) = (daemon.client(), daemon.client());
    assert!(why(&a.ask("/undo", vec![])).contains("nothing to undo"));
    for step in 1..=20 {
        set(&a, GAIN, f64::from(step) / 2.0);
    }
    set(&a, THRESHOLD, -40.0);
    holds(&a, THRESHOLD, -40.0);
    a.say("/undo", vec![Value::Number(1.0)]);
    a.say("/undo", vec![Value::Number(0.0)]);
    holds(&a, THRESHOLD, -20.0);
    assert_eq!(asked(&a, GAIN), 10.0, "a button that is let go does nothing");
    b.say("/undo", vec![text("all")]);
    holds(&a, GAIN, 2.0);
    b.say("/redo", vec![]);
    holds(&a, GAIN, 10.0);
    a.say("/redo", vec![]);
    holds(&a, THRESHOLD, -40.0);
    assert!(why(&a.ask("/redo", vec![])).contains("nothing to redo"));
}

#[test]
fn each_client_takes_back_its_own_last_move_and_a_swap_by_its_own_word() {
    let studio = Studio::new("undoown");
    let daemon = studio.start();
    let (a, b) = (daemon.client(), daemon.client());
    set(&a, GAIN, 6.0);
    holds(&a, GAIN, 6.0);
    set(&b, THRESHOLD, -40.0);
    holds(&b, THRESHOLD, -40.0);
    a.say("/undo", vec![]);
    holds(&a, GAIN, 2.0);
    assert_eq!(asked(&a, THRESHOLD), -40.0, "the other client's stays");
    assert!(why(&a.ask("/undo", vec![])).contains("nothing to undo on chain \"a\" by this client"));
    a.say("/bypass", vec![Value::Switch(true)]);
    assert_eq!(a.ask("/bypass", vec![]).values, [Value::Switch(true)]);
    b.say("/undo", vec![]);
    holds(&b, THRESHOLD, -20.0);
    a.say("/undo", vec![]);
    assert_eq!(a.ask("/bypass", vec![]).values, [Value::Switch(false)]);
    // What another one has moved since stays.
    set(&a, GAIN, 5.0);
    holds(&a, GAIN, 5.0);
    set(&b, GAIN, 7.0);
    holds(&b, GAIN, 7.0);
    assert!(why(&a.ask("/undo", vec![])).contains("was changed since by osc 127.0.0.1:"));
    assert_eq!(asked(&a, GAIN), 7.0);
    subscribe(&a, &["meters 0"]);
    a.say("/swap", vec![text("b")]);
    a.swap_phase("done", "b");
    b.say("/undo", vec![text("swap")]);
    b.hear("where it goes", |line| line.address == "/undo" && line.values == [text("swap to a")]);
    a.swap_phase("done", "a");
    b.say("/redo", vec![text("swap")]);
    b.hear("where it goes", |line| line.address == "/redo" && line.values == [text("swap to b")]);
    a.swap_phase("done", "b");
}

#[test]
fn scenes_are_saved_recalled_and_deleted() {
    let studio = Studio::new("scenes");
    let daemon = studio.start();
    let client = daemon.client();
    subscribe(&client, &["meters 0"]);
    set(&client, GAIN, 6.0);
    client.say("/scene/save", vec![text("bright")]);
    client.hear("its button", |line| line.address == "/scene/1" && number(line) == 1.0);
    set(&client, GAIN, -6.0);
    set(&client, THRESHOLD, -50.0);
    client.hear("that it is left", |line| line.address == "/scene/1" && number(line) == 0.0);
    client.say("/scene/3/save", vec![Value::Number(1.0)]);
    client.hear("the name of the third", |line| {
        line.address == "/scene/3/name" && line.values == [text("Scene 3")]
    });
    client.say("/scene/recall", vec![text("bright")]);
    holds(&client, GAIN, 6.0);
    assert_eq!(asked(&client, THRESHOLD), -20.0);
    client.say("/scene/3", vec![Value::Number(1.0)]);
    holds(&client, THRESHOLD, -50.0);
    // Some nodes only.
    client.say("/scene/save", vec![text("dynamics"), text("glue")]);
    client.say("/scene/1", vec![Value::Number(1.0)]);
    holds(&client, GAIN, 6.0);
    client.say("/scene/recall", vec![text("dynamics")]);
    holds(&client, THRESHOLD, -50.0);
    assert_eq!(asked(&client, GAIN), 6.0, "of another node");
    client.say("/undo", vec![]);
    holds(&client, THRESHOLD, -20.0);
    client.say("/scene/delete", vec![text("dynamics")]);
    assert!(why(&client.ask("/scene/recall", vec![text("dynamics")])).contains("there are bright, Scene 3"));
    assert!(why(&client.ask("/scene/save", vec![text("x"), text("nobody")])).contains("no node \"nobody\""));
}

#[test]
fn a_scene_of_another_chain_swaps_to_it_with_its_values() {
    let studio = Studio::new("scenechain");
    let daemon = studio.start();
    let client = daemon.client();
    subscribe(&client, &["meters 0"]);
    client.say("/swap", vec![text("b")]);
    client.swap_phase("done", "b");
    set(&client, "/node/level/gain", -9.0);
    client.say("/scene/save", vec![text("soft")]);
    set(&client, "/node/level/gain", -1.0);
    client.say("/swap", vec![text("a")]);
    client.swap_phase("done", "a");
    client.say("/scene/recall", vec![text("soft")]);
    client.swap_phase("done", "b");
    assert_eq!(asked(&client, "/node/level/gain"), -9.0);
    let on = client.ask_for("/scenes", "/scene/1");
    assert_eq!(number(&on), 1.0);
}

#[test]
fn a_morph_glides_along_the_taper_and_a_hand_stops_it() {
    let studio = Studio::new("morph");
    let daemon = studio.start();
    let (client, hand) = (daemon.client(), daemon.client());
    let freq = "/node/tone/band/2/freq";
    set(&client, freq, 200.0);
    set(&client, GAIN, -10.0);
    client.say("/scene/save", vec![text("low")]);
    set(&client, freq, 20_000.0);
    set(&client, GAIN, 10.0);
    holds(&client, GAIN, 10.0);
    subscribe(&client, &["meters 0"]);
    client.say("/scene/recall", vec![text("low"), Value::Number(1.5)]);
    // How far both have come, each along its own taper, whenever both were told.
    let (mut ratio, mut level) = (0.0, 0.0);
    let mut path: Vec<(f64, f64)> = Vec::new();
    client.hear("the end of the way", |line| {
        match line.address.as_str() {
            address if address == freq => ratio = (20_000.0 / number(line)).log10() / 2.0,
            GAIN => level = (10.0 - number(line)) / 20.0,
            _ => return false,
        }
        path.push((ratio, level));
        ratio > 0.999 && level > 0.999
    });
    assert!(path.is_sorted_by(|one, next| one.0 <= next.0 && one.1 <= next.1), "one way only: {path:?}");
    let is_between =
        |(ratio, level): &&(f64, f64)| *ratio > 0.02 && *ratio < 0.98 && (ratio - level).abs() < 0.01;
    assert!(path.iter().filter(is_between).count() > 2, "in ratios, as the level goes in decibels: {path:?}");
    holds(&client, GAIN, -10.0);
    client.say("/undo", vec![]);
    holds(&client, GAIN, 10.0);
    // A hand takes its own control out of the glide; the rest goes on.
    client.say("/scene/recall", vec![text("low"), Value::Number(1.0)]);
    client.hear("that it has begun", |line| line.address == GAIN);
    set(&hand, GAIN, 3.0);
    holds(&client, freq, 200.0);
    assert_eq!(asked(&hand, GAIN), 3.0);
}

#[test]
fn the_cue_list_goes_on_by_hand() {
    let studio = Studio::new("cues");
    let cues = "cues:\n  - {name: opening, chain: a}\n  - {name: news, chain: b}\n  - {name: soft, scene: soft, morph: 100 ms}\n";
    studio.folder.write("cues.yaml", cues);
    studio.write("[a.yaml, b.yaml]", "cues: cues.yaml");
    let daemon = studio.start();
    let client = daemon.client();
    set(&client, GAIN, -8.0);
    client.say("/scene/save", vec![text("soft")]);
    set(&client, GAIN, 0.0);
    subscribe(&client, &["meters 0"]);
    assert_eq!(client.ask("/cues", vec![]).values, [text("opening"), text("news"), text("soft")]);
    let next =
        |name: &str| client.hear(name, |line| line.address == "/cue/name" && line.values == [text(name)]);
    client.say("/cue/go", vec![]);
    next("news");
    client.say("/cue/go", vec![Value::Number(1.0)]);
    next("soft");
    client.swap_phase("done", "b");
    client.say("/cue/previous", vec![]);
    next("news");
    client.say("/cue/next", vec![]);
    next("soft");
    client.say("/cue/go", vec![]);
    client.swap_phase("done", "a");
    holds(&client, GAIN, -8.0);
    client.say("/cue", vec![text("news")]);
    client.swap_phase("done", "b");
    assert!(why(&client.ask("/cue", vec![text("x")])).contains("there are opening, news, soft"));
}

#[test]
fn a_cue_is_done_by_the_clock_on_the_wall() {
    let studio = Studio::new("clock");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() + 3;
    let at = format!("{:02}:{:02}:{:02}", now / 3_600 % 24, now / 60 % 60, now % 60);
    studio.folder.write("cues.yaml", &format!("cues: [{{name: news, chain: b, at: \"{at}\"}}]\n"));
    studio.write("[a.yaml, b.yaml]", "cues: cues.yaml");
    let daemon = Daemon::start_with(&studio.station, studio.port, |command| _ = command.env("TZ", "UTC"));
    let client = daemon.client();
    subscribe(&client, &["meters 0"]);
    client.swap_phase("done", "b");
    let done = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(done >= now, "at {done}, before {now}");
    client.say("/who", vec![text("/node/level/gain")]);
    assert_eq!(client.ask("/swap", vec![]).values, [text("b")]);
}

fn heard(daemon: &Daemon, reading: &str) -> f64 {
    let client = daemon.client();
    subscribe(&client, &[]);
    let address = format!("/meter/output/{reading}");
    number(&client.hear(&address, |line| line.address == address))
}

#[test]
fn a_and_b_are_two_full_states_and_can_be_equally_loud() {
    let studio = Studio::new("ab");
    studio.folder.write("a.yaml", "nodes: [{gain: {id: level}}, {limiter: {id: ceiling}}]");
    let daemon = studio.start();
    let client = daemon.client();
    let gain = "/node/level/gain";
    set(&client, gain, -12.0);
    client.say("/ab", vec![text("b")]);
    assert_eq!(asked(&client, gain), -12.0, "B begins as A is");
    set(&client, gain, -18.0);
    client.say("/norm/ab", vec![Value::Number(0.0)]);
    holds(&client, gain, -12.0);
    client.say("/ab", vec![text("b")]);
    holds(&client, gain, -18.0);
    // Both must have been heard for the short-term loudness to know them; A is 6 dB louder. That B is known shows where
    // the bypass is made as loud.
    subscribe(&client, &["meters 0"]);
    client.say("/bypass/match", vec![Value::Switch(true)]);
    client.hear("how loud B is", |line| line.address == "/bypass/trim" && (number(line) + 18.0).abs() < 0.3);
    client.say("/bypass/match", vec![Value::Switch(false)]);
    client.say("/ab/match", vec![Value::Switch(true)]);
    client.say("/ab", vec![text("a")]);
    let trim = client
        .hear("that A is turned down", |line| line.address == "/ab/trim" && (number(line) + 6.0).abs() < 0.3);
    assert_eq!(client.ask("/ab", vec![]).values, [text("a")], "{trim:?}");
    client.say("/ab/copy", vec![]);
    client.say("/ab", vec![text("b")]);
    holds(&client, gain, -12.0);
    client.say("/ab/chain", vec![text("b")]);
    client.say("/ab", vec![text("a")]);
    client.swap_phase("done", "b");
    client.say("/ab", vec![text("c")]);
    let error = client.hear("the error", |line| line.address == "/error");
    assert!(why(&error).contains("takes a or b, or nothing to read it"));
    assert!(heard(&daemon, "peak") < 0.0);
}

#[test]
fn a_matched_bypass_is_as_loud_as_the_chain() {
    let studio = Studio::new("matched");
    studio.folder.write("a.yaml", "nodes: [{gain: {id: level, gain: -15 dB}}]");
    let daemon = studio.start();
    let client = daemon.client();
    subscribe(&client, &["meters 0"]);
    client.say("/bypass/match", vec![Value::Switch(true)]);
    client.hear("the trim", |line| line.address == "/bypass/trim" && (number(line) + 15.0).abs() < 0.3);
    client.say("/norm/bypass", vec![Value::Number(1.0)]);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(true)]);
    // The programme's peaks lie near -6 dBFS; turned down like the chain they cannot.
    eventually("the dry signal is as soft", || (heard(&daemon, "peak") < -15.0).then_some(()));
}
