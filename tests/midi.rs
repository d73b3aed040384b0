//! MIDI controllers, from bytes to intents: resolution, pickup, encoders, buttons, learning.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::Addresses;
use lacquer_control::request::{Request, Scope};
use lacquer_control::surface::midi::Device;
use lacquer_control::surface::midi::learn::insert;
use lacquer_control::surface::midi::map::Map;
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::plan::{Io, Plan};
use lacquer_tests::controller::{CHAIN, MAPS};
use lacquer_tests::daemon::root;
use lacquer_tests::random::Random;
use lacquer_tests::rig::spec;
use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;
use std::time::{Duration, Instant};

fn shipped(name: &str) -> Map {
    let bytes = fs::read(root().join(format!("configs/midi/{name}.yaml"))).unwrap();
    let (map, mistakes) = Map::parse(&bytes);
    assert!(mistakes.is_empty(), "{name}: {mistakes:?}");
    map.unwrap()
}

fn map(controls: &str) -> Map {
    let (map, mistakes) = Map::parse(format!("name: test\ndevice: test\ncontrols:\n{controls}").as_bytes());
    assert!(mistakes.is_empty(), "{mistakes:?}");
    map.unwrap()
}

/// A controller before [`CHAIN`], its values told.
fn device(map: Map) -> Device {
    let plan = Plan::new(&spec(CHAIN), &Io::stereo(), 48_000.0).unwrap();
    let places = Arc::new(Addresses::of(&plan));
    let mut device = Device::new(map);
    device.set_places(&places);
    let lines: Vec<Update> = places.all().iter().flat_map(|place| place.lines(&place.default())).collect();
    device.receive_updates(&lines, false);
    device
}

/// The one number that is asked for at `address`.
fn asked(requests: &[Request], address: &str) -> Option<f64> {
    requests.iter().rev().find_map(|request| match request {
        Request::Set { address: at, value: Value::Number(value) } if at == address => Some(*value),
        _ => None,
    })
}

const GAIN: &str = "/norm/tone/band/1/gain";

#[test]
fn every_shipped_map_is_right_and_binds_what_there_is() {
    for name in MAPS {
        let device = device(shipped(name));
        assert_eq!(device.unknown_addresses().into_iter().collect::<Vec<_>>(), [""; 0], "{name}");
    }
    let wrong = ["/undoo", "/chains", "/node/nobody/gain", "/nonsense/1"];
    let lines: String =
        wrong.iter().zip(1..).map(|(to, n)| format!("  - {{note: {n}, to: {to}}}\n")).collect();
    let fine =
        "  - {note: 90, to: /undo}\n  - {note: 91, to: /chain/any}\n  - {note: 92, to: /norm/bypass}\n";
    let device = device(map(&(lines + fine)));
    assert_eq!(device.unknown_addresses(), wrong.into());
    let files = fs::read_dir(root().join("configs/midi")).unwrap();
    assert_eq!(files.count(), MAPS.len(), "each shipped map is tested");
}

#[test]
fn fourteen_bits_make_16384_values() {
    let now = Instant::now();
    type Bytes = fn(u16) -> Vec<u8>;
    let ways: [(&str, Bytes); 4] = [
        ("{cc14: 3, pickup: false, to: /node/tone/band/1/gain}", |n| {
            vec![0xB0, 3, (n >> 7) as u8, 0xB0, 35, (n & 127) as u8]
        }),
        ("{nrpn: 1000, pickup: false, to: /node/tone/band/1/gain}", |n| {
            vec![0xB0, 99, 7, 98, 104, 6, (n >> 7) as u8, 38, (n & 127) as u8]
        }),
        // The parameter need not be chosen again.
        ("{nrpn: 1000, pickup: false, to: /node/tone/band/1/gain}", |n| {
            let value = [6, (n >> 7) as u8, 38, (n & 127) as u8];
            let choice: &[u8] = if n == 0 { &[0xB0, 99, 7, 98, 104] } else { &[0xB0] };
            [choice, &value].concat()
        }),
        ("{bend: true, pickup: false, to: /node/tone/band/1/gain}", |n| {
            vec![0xE0, (n & 127) as u8, (n >> 7) as u8]
        }),
    ];
    for (control, bytes) in ways {
        let mut device = device(map(&format!("  - {control}\n")));
        let mut seen = BTreeSet::new();
        for n in 0..16_384 {
            let value = asked(&device.receive_bytes(&bytes(n), now), GAIN)
                .unwrap_or_else(|| panic!("{control} at {n}"));
            assert!((value - f64::from(n) / 16_383.0).abs() < 1e-12);
            seen.insert(value.to_bits());
        }
        assert_eq!(seen.len(), 16_384, "{control}");
    }
}

#[test]
fn a_coarse_half_without_its_fine_half_arrives_all_the_same() {
    let mut device = device(map("  - {cc14: 3, pickup: false, to: /node/tone/band/1/gain}\n"));
    let now = Instant::now();
    for (coarse, value) in [(0, 0.0), (64, 8_192.0 / 16_383.0), (127, 1.0)] {
        assert_eq!(asked(&device.receive_bytes(&[0xB0, 3, coarse], now), GAIN), None);
        let (heard, _) = device.tick(now + Duration::from_millis(10));
        assert_eq!(asked(&heard.requests, GAIN), Some(value));
    }
}

#[test]
fn a_fader_without_a_motor_waits_until_it_meets_the_value() {
    let mut device = device(map("  - {cc: 7, to: /node/tone/band/1/gain}\n"));
    let now = Instant::now();
    device.receive_updates(&[Update::number(GAIN, 0.8)], false);
    for value in 0..95 {
        assert_eq!(device.receive_bytes(&[0xB0, 7, value], now), [], "at {value} it is still far away");
    }
    assert!(asked(&device.receive_bytes(&[0xB0, 7, 103], now), GAIN).is_some(), "it has crossed it");
    assert!(asked(&device.receive_bytes(&[0xB0, 7, 20], now), GAIN).is_some(), "and holds it");
    // Another hand takes it away.
    device.receive_updates(&[Update::number(GAIN, 0.9)], false);
    assert_eq!(device.receive_bytes(&[0xB0, 7, 21], now), []);
}

#[test]
fn encoders_of_every_kind_reach_both_ends() {
    for (kind, up, down) in [
        ("signed-bit", 1, 65),
        ("signed-bit-2", 65, 1),
        ("twos-complement", 1, 127),
        ("binary-offset", 65, 63),
    ] {
        for (address, steps) in [("/node/tone/band/1/gain", None), ("/node/image/mono_slope", Some(1.0))] {
            let mut device = device(map(&format!("  - {{cc: 16, as: {kind}, to: {address}}}\n")));
            let mut value = 0.5_f64;
            let start = Instant::now();
            for (byte, end) in [(up, 1.0), (down, 0.0), (up, 1.0)] {
                let mut turns = 0;
                while value != end {
                    turns += 1;
                    assert!(turns < 2_000, "{kind} comes to {value}, not to {end}");
                    let now = start + Duration::from_millis(turns * 100);
                    for request in device.receive_bytes(&[0xB0, 16, byte], now) {
                        let Request::Nudge { by, .. } = request else { panic!("{request:?}") };
                        value = (value + by).clamp(0.0, 1.0);
                        value = steps.map_or(value, |steps| (value * steps).round() / steps);
                    }
                }
                assert!(steps.is_some() || turns > 50, "slowly turned it is fine: {turns} clicks");
            }
        }
    }
}

#[test]
fn a_fast_turn_goes_farther() {
    let way = |every: u64| {
        let mut device = device(map("  - {cc: 16, as: signed-bit, to: /node/tone/band/1/gain}\n"));
        let start = Instant::now();
        let by = |n| match device.receive_bytes(&[0xB0, 16, 1], start + Duration::from_millis(n * every))[..]
        {
            [Request::Nudge { by, .. }] => by,
            _ => panic!("one nudge a click"),
        };
        (0..20).map(by).sum::<f64>()
    };
    assert!(way(5) > 3.0 * way(200), "{} and {}", way(5), way(200));
}

#[test]
fn ranges_tapers_and_several_targets() {
    let mut device = device(map(
        "  - cc: 1\n    pickup: false\n    to:\n      - {address: /node/tone/band/1/gain, range: [-12 dB, 3 dB]}\n      - {address: /node/tone/band/2/freq, range: [100 Hz, 1 kHz], taper: linear, invert: true}\n      - /node/nobody/gain\n",
    ));
    let now = Instant::now();
    let plan = Plan::new(&spec(CHAIN), &Io::stereo(), 48_000.0).unwrap();
    let addresses = Addresses::of(&plan);
    let unit = |requests: &[Request], path: &str| {
        let norm = asked(requests, &format!("/norm{path}")).unwrap();
        addresses.at(path).unwrap().row.from_norm(norm).unwrap()
    };
    for (byte, gain, freq) in [(0, -12.0, 1_000.0), (127, 3.0, 100.0)] {
        let requests = device.receive_bytes(&[0xB0, 1, byte], now);
        assert_eq!(requests.len(), 2, "what the chain lacks is idle");
        assert!((unit(&requests, "/tone/band/1/gain") - gain).abs() < 1e-9);
        assert!((unit(&requests, "/tone/band/2/freq") - freq).abs() < 1e-6);
    }
    let middle = device.receive_bytes(&[0xB0, 1, 64], now);
    assert!((unit(&middle, "/tone/band/2/freq") - (1_000.0 - 900.0 * 64.0 / 127.0)).abs() < 1e-6);
}

#[test]
fn buttons_toggle_hold_and_trigger() {
    let mut device = device(map(
        "  - {note: 1, as: toggle, to: /node/glue/enabled}\n  - {note: 2, as: momentary, to: /bypass}\n  - {note: 3, to: /swap, send: night}\n  - {program: true, to: /program/chain}\n  - {cc: 9, as: trigger, to: /undo}\n",
    ));
    let now = Instant::now();
    let enabled = "/norm/glue/enabled";
    assert_eq!(asked(&device.receive_bytes(&[0x90, 1, 127], now), enabled), Some(0.0));
    assert_eq!(device.receive_bytes(&[0x80, 1, 0], now), [], "let go");
    assert_eq!(asked(&device.receive_bytes(&[0x90, 1, 1], now), enabled), Some(1.0));
    assert_eq!(
        device.receive_bytes(&[0x90, 2, 127, 2, 0], now),
        [Request::Bypass(true), Request::Bypass(false)]
    );
    assert_eq!(device.receive_bytes(&[0x90, 3, 127, 3, 0], now), [Request::Swap("night".to_owned())]);
    assert_eq!(device.receive_bytes(&[0xC0, 4], now), [Request::ChainNumber(5)]);
    assert_eq!(device.receive_bytes(&[0xB0, 9, 127, 9, 0], now), [Request::Undo(Scope::Own)]);
}

#[test]
fn random_bytes_never_harm() {
    let mut random = Random::new(11);
    let now = Instant::now();
    for name in MAPS {
        let mut device = device(shipped(name));
        for round in 0..3_000 {
            let bytes: Vec<u8> = (0..random.below(64)).map(|_| random.bits() as u8).collect();
            let mut requests = device.receive_bytes(&bytes, now + Duration::from_millis(round));
            let (heard, out) = device.tick(now + Duration::from_millis(round));
            requests.extend(heard.requests);
            for request in requests {
                match request {
                    Request::Set { value: Value::Number(value), .. } => assert!((0.0..=1.0).contains(&value)),
                    Request::Nudge { by, .. } => assert!(by.is_finite()),
                    _ => {}
                }
            }
            let is_midi = |message: &Vec<u8>| {
                message[0] >= 0x80 && message[1..].iter().all(|byte| *byte < 0x80 || *byte == 0xF7)
            };
            assert!(out.iter().all(is_midi));
        }
    }
}

#[test]
fn learning_keeps_the_file_and_knows_what_was_moved() {
    let file = "# Mine.\nname: test\ndevice: x # the black one\ncontrols:\n    # faders\n    - {cc: 1, to: /node/a/b} # keep\n\n# the end\n";
    for (bytes, line) in [
        (vec![0xB2, 16, 5, 16, 6, 16, 7], "{cc: 16, channel: 3, to: /node/glue/ratio}"),
        (vec![0xB0, 3, 5, 35, 1, 3, 5, 35, 9], "{cc14: 3, channel: 1, to: /node/glue/ratio}"),
        (vec![0xB0, 99, 1, 98, 2, 6, 64, 38, 0], "{nrpn: 130, channel: 1, to: /node/glue/ratio}"),
        (vec![0xE8, 0, 64, 5, 64], "{bend: true, channel: 9, to: /node/glue/ratio}"),
        (vec![0x90, 60, 127, 60, 0], "{note: 60, channel: 1, as: toggle, light: true, to: /node/glue/ratio}"),
        (
            vec![0xB0, 20, 65, 20, 65, 20, 63, 20, 66],
            "{cc: 20, channel: 1, as: binary-offset, to: /node/glue/ratio}",
        ),
        (
            vec![0xB0, 20, 1, 20, 127, 20, 127, 20, 2],
            "{cc: 20, channel: 1, as: twos-complement, to: /node/glue/ratio}",
        ),
    ] {
        let mut device = device(map("  []\n"));
        device.learn(Some("/node/glue/ratio"));
        let now = Instant::now();
        assert_eq!(device.receive_bytes(&bytes, now), [], "what is learned does nothing yet");
        assert!(device.tick(now + Duration::from_millis(300)).0.learned.is_none(), "it listens a while");
        let learned = device.tick(now + Duration::from_millis(700)).0.learned.unwrap();
        assert_eq!(learned.line, line);
        let text = insert(file, &learned).unwrap();
        let wanted = file.replace("# keep\n", &format!("# keep\n    - {line}\n"));
        assert_eq!(text, wanted);
        // The same control again takes the place of its line.
        let again = insert(&text.replace("glue/ratio", "glue/knee"), &learned).unwrap();
        assert_eq!(again, wanted);
    }
}
