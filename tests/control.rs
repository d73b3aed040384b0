//! The daemon as its users meet it: a process, OSC, signals, files that change.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_tests::daemon::{Listener, PATIENCE, eventually, text};
use lacquer_tests::random::Random;
use lacquer_tests::studio::{Studio, number, why};
use std::net::UdpSocket;
use std::process::Command;
use std::time::Duration;

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

/// The numbers of the bands of `tone` whose gain is this.
fn bands(client: &Listener, gain: f64) -> Vec<usize> {
    let is = |band: &usize| number(&client.ask(&format!("/node/tone/band/{band}/gain"), vec![])) == gain;
    (1..=22).filter(is).collect()
}

#[test]
fn a_pattern_means_whole_parts_and_nothing_else() {
    let studio = Studio::new("parts");
    let bands_22 = (1..=22).map(|band| format!("{{freq: {} Hz}}", 100 * band)).collect::<Vec<_>>().join(", ");
    studio.folder.write(
        "a.yaml",
        &format!("nodes:\n  - eq: {{id: tone, bands: [{bands_22}]}}\n  - compressor: {{id: g, threshold: -20 dB}}\n  - limiter: {{id: ceiling}}\n"),
    );
    let daemon = studio.start();
    let client = daemon.client();
    let set = |address: &str, value: f64| client.say(address, vec![Value::Number(value)]);
    set("/node/tone/band/[12]/gain", -6.0);
    assert_eq!(bands(&client, -6.0), [1, 2]);
    set("/node/tone/band/[!1]/gain", 2.0);
    assert_eq!(bands(&client, 2.0), [2, 3, 4, 5, 6, 7, 8, 9]);
    set("/node/tone/band/{1,11}/gain", 3.0);
    assert_eq!(bands(&client, 3.0), [1, 11]);
    set("/n*de/tone/band/2?/gain/", 4.0);
    assert_eq!(bands(&client, 4.0), [20, 21, 22]);
    set("/node//band/{1,2,3}{,0}/gain", 5.0);
    assert_eq!(bands(&client, 5.0), [1, 2, 3, 10, 20]);
    let enabled = || {
        ["tone", "g", "ceiling"]
            .map(|id| client.ask(&format!("/node/{id}/enabled"), vec![]).values == [Value::Switch(true)])
    };
    assert!(why(&client.ask("/node/[!z]", vec![Value::Number(0.0)])).contains("matches"));
    assert_eq!(enabled(), [true; 3], "a set is one character");
    // A star may stand for nothing.
    set("/node/ceiling/ceiling*", -3.0);
    set("/node/g*/ratio*", 4.0);
    assert_eq!(number(&client.ask("/node/ceiling/ceiling", vec![])), -3.0);
    assert_eq!(number(&client.ask("/node/g/ratio", vec![])), 4.0);
    set("//enabled", 0.0);
    assert_eq!(enabled(), [false; 3]);
    set("/node/{tone,ceiling}/enabled", 1.0);
    assert_eq!(enabled(), [true, false, true]);
    // Where a pattern means a value in several trees, it is set in its own unit.
    set("/{norm,node}/ceiling/ceiling", -4.0);
    assert_eq!(number(&client.ask("/node/ceiling/ceiling", vec![])), -4.0);
    set("/n*rm/g/threshold", 0.5);
    assert_eq!(number(&client.ask("/node/g/threshold", vec![])), -30.0);
    for (pattern, reason) in [
        ("/node/[12/gain", "not a valid address pattern: \"[\" without \"]\""),
        ("/node/{a/gain", "not a valid address pattern: \"{\" without \"}\""),
        (&format!("/node/{}*", "a".repeat(1_100)), "not a valid address pattern: longer than 1024 bytes"),
    ] {
        for values in [vec![], vec![Value::Number(0.0)]] {
            // The error quotes the beginning of a long pattern, so it is waited for by itself.
            client.say(pattern, values);
            let error = client.hear(pattern, |line| line.address == "/error");
            assert!(why(&error).contains(reason), "{pattern}");
        }
    }
}

#[test]
fn a_pattern_reaches_switches_and_nothing_that_acts() {
    let studio = Studio::new("reach");
    studio.folder.write("cues.yaml", "cues: [{name: news, chain: b}]");
    studio.write("[a.yaml, b.yaml]", "cues: cues.yaml");
    let daemon = studio.start();
    let (client, listener) = (daemon.client(), daemon.client());
    client.say("/node/glue/threshold", vec![Value::Number(-31.0)]);
    client.say("/scene/1/save", vec![Value::Number(1.0)]);
    client.say("/node/glue/threshold", vec![Value::Number(-32.0)]);
    client.ask("/node/glue/threshold", vec![]);
    listener.say("/subscribe", vec![Value::Number(60.0), text("meters 0")]);
    listener.hear("the state", |line| line.address == "/node/ceiling/ceiling");
    listener.ask_for("/ping", "/pong");
    for pattern in [
        "/chain/*",
        "/chain/{a,b}",
        "//b",
        "/und*",
        "/{undo,redo}",
        "/scene/*",
        "/scene/[1-8]",
        "/scene/*/save",
        "/cue/*",
        "/cu?",
        "/swa*",
        "/re*",
        "/ab/cop?",
        "/a[b]",
        "/norm/a?",
        "/program/*",
        "/learn*",
        "/*subscribe",
    ] {
        for value in [Value::Number(1.0), text("b")] {
            let error = client.ask(pattern, vec![value]);
            assert!(why(&error).contains("need their plain address"), "{pattern}: {}", why(&error));
        }
    }
    // Without a value a pattern reads, whatever it means.
    for pattern in ["/und*", "/{undo,redo,reload}", "/scene/*/save", "/cue/[gnp]*", "/ab/co*"] {
        client.say(pattern, vec![]);
        client.ask_for("/ping", "/pong");
    }
    let told = listener.hear_for(Duration::from_millis(300));
    let told: Vec<_> = told.iter().filter(|line| line.address != "/event/xrun").collect();
    assert!(told.is_empty(), "{told:?}");
    assert_eq!(client.ask("/swap", vec![]).values, [text("a")]);
    assert_eq!(number(&client.ask("/node/glue/threshold", vec![])), -32.0);
    client.say("/byp*", vec![Value::Switch(true)]);
    client.say("//match", vec![Value::Number(1.0)]);
    for switch in ["/bypass", "/bypass/match", "/ab/match"] {
        assert_eq!(client.ask(switch, vec![]).values, [Value::Switch(true)], "{switch}");
    }
    client.say("/{norm,text}/b*", vec![Value::Number(0.0)]);
    assert_eq!(client.ask("/bypass", vec![]).values, [Value::Switch(false)]);
}

#[test]
fn an_address_alone_is_read() {
    let studio = Studio::new("bare");
    let daemon = studio.start();
    let client = daemon.client();
    let (on, off) = (Value::Number(1.0), Value::Number(0.0));
    let holds = |address: &str, value: &Value| {
        client.say(address, vec![]);
        let told = address.trim_end_matches('/');
        let line = client.hear(address, |line| line.address == told || line.address == "/error");
        assert_eq!((line.address.as_str(), line.values.as_slice()), (told, &[value.clone()][..]));
    };
    for (address, value) in [
        ("/swap", text("a")),
        ("/chain/a", on.clone()),
        ("/chain/b", off.clone()),
        ("/chain/b/", off.clone()),
        ("/program/chain", on.clone()),
        ("/program/scene", off.clone()),
        ("/scene/1", off.clone()),
        ("/scene/1/name", text("")),
        ("/scene/100", off.clone()),
        ("/cue/name", text("")),
        ("/bypass", Value::Switch(false)),
        ("/bypass/match", Value::Switch(false)),
        ("/bypass/trim", off.clone()),
        ("/norm/bypass", off.clone()),
        ("/ab", text("a")),
        ("/norm/ab", off.clone()),
        ("/ab/match", Value::Switch(false)),
        ("/ab/trim", off.clone()),
        ("/ab/chain", text("a")),
        ("/status/chain", text("a")),
        ("/node/glue/threshold/", Value::Number(-20.0)),
    ] {
        holds(address, &value);
    }
    for (address, reason) in [
        ("/chain/c", "no chain \"c\""),
        ("/scene/0", "numbered from 1 to 128"),
        ("/scene/129/name", "numbered from 1 to 128"),
        ("/scene/1/save", "takes 1, as a button sends it when it is pressed"),
        ("/scene/save", "takes the name or number of a scene"),
        ("/who", "takes the address of a value"),
        ("/status/nothing", "there is no value"),
        ("/cues/go", "no such address"),
    ] {
        assert!(why(&client.ask(address, vec![])).contains(reason), "{address}");
    }
    holds("/swap", &text("a"));
    assert_eq!(client.ask("/scenes", vec![]).values, [], "nothing was saved");
    client.say("/chain/b", vec![on.clone()]);
    client.say("/scene/3/save", vec![on.clone()]);
    client.ask_for("/sync", "/synced");
    for (address, value) in [
        ("/chain/a", &off),
        ("/chain/b", &on),
        ("/program/chain", &Value::Number(2.0)),
        ("/scene/3", &on),
        ("/scene/3/name", &text("Scene 3")),
        ("/program/scene", &Value::Number(3.0)),
    ] {
        holds(address, value);
    }
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
    listener.quiet("nothing comes after /unsubscribe", |_| true);
}

#[test]
fn a_subscription_lapses_unless_it_is_renewed() {
    let studio = Studio::new("lapse");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(1.0)]);
    client.hear("meters", |line| line.address.starts_with("/meter/"));
    client.quiet("the end of the subscription", |_| true);
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
fn meters_of_nodes_that_have_gone_are_told_no_more() {
    let studio = Studio::new("gonemeters");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    client.hear("the meter", |line| line.address == "/meter/node/glue/reduction");
    client.say("/swap", vec![text("b")]);
    client.swap_phase("done", "b");
    for _ in 0..5 {
        let line = client.hear("meters", |line| {
            line.address.contains("/glue/") || line.address == "/meter/node/ceiling/reduction"
        });
        assert!(!line.address.contains("/glue/"), "{line:?}");
    }
}

#[test]
fn a_reading_is_told_in_its_own_unit() {
    let studio = Studio::new("readings");
    studio.folder.write("a.yaml", "nodes: [{leveler: {id: lev, target: -8 LUFS, fast: 0 dB}}]");
    let daemon = studio.start();
    let client = daemon.client();
    client.say("/subscribe", vec![Value::Number(60.0)]);
    // The programme begins softly, so it is turned up.
    let is_up = |line: &Update| line.address == "/meter/node/lev/gain" && number(line) > 0.5;
    client.hear("a gain above 0 dB", is_up);
    let loudness = client.hear("its loudness", |line| line.address == "/meter/node/lev/loudness");
    assert!((-45.0..-8.5).contains(&number(&loudness)), "{loudness:?}");
}

#[test]
fn a_bundle_is_done_in_order_and_answered() {
    let studio = Studio::new("bundle");
    let daemon = studio.start();
    let client = daemon.client();
    let line = |address: &str, value: f64| Update::number(address, value);
    let lines = [
        line("/node/glue/threshold", -10.0),
        line("/node/glue/ratio", 4.0),
        line("/node/glue/threshold", -15.0),
        Update::new("/node/glue/threshold", vec![]),
    ];
    client.0.send(&lines).unwrap();
    assert_eq!(number(&client.hear("the answer", |line| line.address == "/node/glue/threshold")), -15.0);
    assert_eq!(number(&client.ask("/node/glue/ratio", vec![])), 4.0);
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
fn a_bundle_for_later_waits_for_its_time_and_one_for_the_past_does_not() {
    use rosc::{OscBundle, OscMessage, OscPacket, OscTime, OscType, encoder};
    use std::time::{Duration, SystemTime};
    let studio = Studio::new("later");
    let daemon = studio.start();
    let client = daemon.client();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let send = |due: SystemTime, address: &str, value: f32| {
        let message = OscMessage { addr: address.to_owned(), args: vec![OscType::Float(value)] };
        let timetag = OscTime::try_from(due).unwrap();
        let bundle = OscBundle { timetag, content: vec![OscPacket::Message(message)] };
        socket.send_to(&encoder::encode(&OscPacket::Bundle(bundle)).unwrap(), daemon.address).unwrap();
    };
    let due = SystemTime::now() + Duration::from_millis(700);
    send(due, "/node/glue/threshold", -33.0);
    send(SystemTime::now() - Duration::from_secs(5), "/node/tone/band/1/gain", 4.0);
    // The second came after the first, and is done already.
    eventually("the late bundle", || {
        (number(&client.ask("/node/tone/band/1/gain", vec![])) == 4.0).then_some(())
    });
    let threshold = number(&client.ask("/node/glue/threshold", vec![]));
    if SystemTime::now() < due {
        assert_eq!(threshold, -20.0, "it is not time yet");
    }
    eventually("the bundle for later", || {
        (number(&client.ask("/node/glue/threshold", vec![])) == -33.0).then_some(())
    });
    assert!(SystemTime::now() >= due, "not before its time");
    send(SystemTime::now() + Duration::from_secs(86_400), "/node/glue/threshold", -10.0);
    let mut answer = [0; 1_500];
    let length = socket.recv(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("more than an hour ahead"));
}
