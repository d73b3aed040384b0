//! Arbitrary files and datagrams: nothing crashes, and the programme is what it was. The seeds are kept here.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::audio::realtime::guarded;
use lacquer::station::Station;
use lacquer_control::peer::Peer;
use lacquer_control::request::Request;
use lacquer_control::surface::osc::{datagrams, decode};
use lacquer_control::update::Update;
use lacquer_control::value::Value;
use lacquer_graph::file::error::Report;
use lacquer_graph::nodes::CATALOGUE;
use lacquer_graph::param::{Param, Unit};
use lacquer_graph::plan::{Io, Plan};
use lacquer_graph::run::engine::Event;
use lacquer_graph::{Chain, Plane, SUBBLOCK, Spec};
use lacquer_tests::catalogue::some_text;
use lacquer_tests::daemon::root;
use lacquer_tests::random::Random;
use lacquer_tests::rig::{RATE, Rig};
use lacquer_tests::signal::{noise, same_bits};
use std::fs;

const YAML_SEED: u64 = 20_261_120;
const OSC_SEED: u64 = 20_261_121;

fn corpus() -> Vec<Vec<u8>> {
    let folders = ["configs", "configs/chains", "configs/broken"];
    let mut files: Vec<_> = folders
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "yaml"))
        .collect();
    files.sort();
    files.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// One small change, of a kind that people and broken disks make.
fn mutate(bytes: &mut Vec<u8>, others: &[Vec<u8>], random: &mut Random) {
    const TOKENS: [&str; 24] = [
        "{", "}", "[", "]", ":", "- ", "&a ", "*a", "!!int ", "| ", "> ", "\"", "'", "#", "\n", "  ", "\t",
        "null", "in: ", "key: ", "1e400", ".nan", "-inf", "\u{feff}",
    ];
    if bytes.is_empty() {
        bytes.push(b'-');
    }
    let at = random.below(bytes.len());
    let end = (at + random.below(40)).min(bytes.len());
    match random.below(8) {
        0 => bytes[at] = random.bits() as u8,
        1 => drop(bytes.drain(at..end)),
        2 => {
            let piece = bytes[at..end].to_vec();
            bytes.splice(at..at, piece);
        }
        3 | 4 => {
            let token = random.pick(&TOKENS).as_bytes().to_vec();
            bytes.splice(at..at, token);
        }
        5 => {
            let other = random.pick(others);
            let from = random.below(other.len());
            bytes.truncate(at);
            bytes.extend(&other[from..]);
        }
        6 => {
            let mut lines: Vec<_> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
            let (from, to) = (random.below(lines.len()), random.below(lines.len()));
            lines.swap(from, to);
            *bytes = lines.join(&b'\n');
        }
        _ => bytes.truncate(at),
    }
}

#[test]
fn ten_thousand_mutated_files_are_read_or_refused() {
    let corpus = corpus();
    let mut random = Random::new(YAML_SEED);
    let input = noise(-12.0, 1, 2, SUBBLOCK);
    let mut planes: [Plane; 2] = [[0.0; SUBBLOCK]; 2];
    planes.iter_mut().zip(&input).for_each(|(plane, samples)| plane.copy_from_slice(samples));
    let (mut played, mut refused) = (0, 0);
    for _ in 0..10_000 {
        let mut bytes = random.pick(&corpus).clone();
        (0..1 + random.below(4)).for_each(|_| mutate(&mut bytes, &corpus, &mut random));
        let (spec, mut mistakes) = Spec::parse(&bytes);
        let io = if random.below(2) == 0 { Io::stereo() } else { Io::assumed(&spec) };
        match Plan::new(&spec, &io, RATE) {
            Ok(plan) if mistakes.is_empty() => {
                let mut outputs = vec![[0.0; SUBBLOCK]; plan.io.output_channels()];
                let inputs: Vec<Plane> = planes.into_iter().cycle().take(plan.io.input_channels()).collect();
                let mut chain = Chain::new(&plan, 1);
                // A node that makes a NaN would be masked by its guard: what is wanted is that none does.
                let mut faults = 0;
                for _ in 0..20 {
                    guarded(|| chain.process(&inputs, &mut outputs, SUBBLOCK, None, |_| faults += 1));
                }
                let is_finite = outputs.iter().flatten().all(|x| x.is_finite());
                assert!(is_finite && faults == 0, "{}", String::from_utf8_lossy(&bytes));
                played += 1;
            }
            Ok(_) => {}
            Err(more) => mistakes.extend(more),
        }
        refused += usize::from(!mistakes.is_empty());
        mistakes.extend(Station::parse(&bytes).1);
        let _printed = Report::new("file.yaml", &String::from_utf8_lossy(&bytes), mistakes).to_string();
    }
    println!("{played} played, {refused} were refused");
    assert!(played > 100 && refused > 1_000, "the mutations are too tame or too wild");
}

const CHAIN: &str = "
  - eq: {id: tone, bands: [{freq: 1 kHz, gain: 2 dB}]}
  - compressor: {id: glue, threshold: -20 dB}
  - limiter: {id: ceiling}
";

/// A datagram: arbitrary bytes, or a message or bundle that was bent a little.
fn datagram(random: &mut Random, only_harmless: bool) -> Vec<u8> {
    const ADDRESSES: [&str; 17] = [
        "/node/glue/threshold",
        "/node/tone/band/1/gain",
        "/norm/glue/ratio",
        "/node/*/enabled",
        "/node/{tone,glue}/*",
        "/norm/[a-z]*/*/[0-9]/?",
        "/node/glue/nothing",
        "/nothing",
        "/node//",
        "/node/*****/*?*[!a]{,}",
        "/norm",
        "/node/[",
        "//gain",
        "/{node,norm,}//[!a]*/",
        "/n{o,}{d,r}*//{,t,th}*",
        "/swap",
        "/bypass",
    ];
    if random.below(3) == 0 {
        return (0..random.below(300)).map(|_| random.bits() as u8).collect();
    }
    let value = |random: &mut Random| match random.below(if only_harmless { 3 } else { 6 }) {
        0 => Value::Number(f64::NAN),
        1 => Value::Number(f64::INFINITY),
        2 => Value::Text("no such value".to_owned()),
        3 => Value::Number(200.0 * random.unit() - 100.0),
        4 => Value::Switch(random.below(2) == 0),
        _ => Value::Text("-3 dB".to_owned()),
    };
    let lines: Vec<Update> = (0..1 + random.below(5))
        .map(|_| Update::new(*random.pick(&ADDRESSES), (0..random.below(3)).map(|_| value(random)).collect()))
        .collect();
    let mut bytes = datagrams(&lines).remove(0);
    if !only_harmless {
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.bits() as u8;
        }
        if random.below(8) == 0 {
            bytes.truncate(random.below(bytes.len()));
        }
    }
    bytes
}

#[test]
fn a_hundred_thousand_datagrams_harm_nothing() {
    let from = Peer::Osc(([127, 0, 0, 1], 9).into());
    let mut random = Random::new(OSC_SEED);
    let (mut quiet, mut still, mut wild) = (Rig::of(CHAIN), Rig::of(CHAIN), Rig::of(CHAIN));
    let input = noise(-12.0, 2, 2, 640);
    for round in 0..100_000 {
        let only_harmless = round % 2 == 0;
        let bytes = datagram(&mut random, only_harmless);
        for request in decode(&bytes, from).into_iter().flat_map(|asked| asked.requests) {
            let rig = if only_harmless { &mut quiet } else { &mut wild };
            match request {
                Request::Set { address, value } => {
                    rig.try_set(&address, &value).ok();
                }
                Request::Get { address } => drop(rig.newest().addresses.find(&address)),
                _ => {}
            }
        }
        if round % 1_000 == 999 {
            let (a, b) = (quiet.play(&input), still.play(&input));
            assert!(same_bits(&a, &b), "the programme changed by round {round}");
            assert!(wild.play(&input).iter().flatten().all(|x| x.is_finite()));
        }
    }
    assert_eq!(wild.count(|event| matches!(event, Event::Fault { .. })), 0, "a node made a NaN");
}

#[test]
fn nests_and_brackets_do_not_lead_the_decoder_down() {
    let from = Peer::Osc(([127, 0, 0, 1], 9).into());
    let wrong = |bytes: &[u8]| {
        let requests: Vec<_> = decode(bytes, from).into_iter().flat_map(|asked| asked.requests).collect();
        assert!(matches!(requests.as_slice(), [Request::Wrong { .. }]), "{requests:?}");
    };
    // Bundles within bundles, as deep as a datagram can hold.
    let mut nested: Vec<u8> = Vec::new();
    while nested.len() < 65_000 {
        let mut outer = b"#bundle\0\0\0\0\0\0\0\0\x01".to_vec();
        outer.extend((nested.len() as u32).to_be_bytes());
        outer.extend(&nested);
        nested = outer;
    }
    wrong(&nested);
    let brackets = [b"/x\0\0,".to_vec(), b"[".repeat(30_000), b"]".repeat(30_000), vec![0; 3]].concat();
    wrong(&brackets);
    wrong(&[]);
    wrong(b"/unterminated");
}

#[test]
fn no_time_of_a_bundle_is_too_early_or_too_late() {
    let from = Peer::Osc(([127, 0, 0, 1], 9).into());
    for time in [0_u64, 1, 2, 1 << 32, 2_208_988_800 << 32, (2_208_988_800 << 32) - 1, u64::MAX] {
        let mut bundle = b"#bundle\0".to_vec();
        bundle.extend(time.to_be_bytes());
        bundle.extend(12_u32.to_be_bytes());
        bundle.extend(b"/ping\0\0\0,\0\0\0");
        let asked = decode(&bundle, from);
        assert!(
            matches!(asked.as_slice(), [asked] if asked.requests == [Request::Ping]),
            "{time:x}: {asked:?}"
        );
    }
}

/// Some value of a row, its ends among them, as text.
fn some_value(row: &Param, random: &mut Random) -> String {
    let norm = match random.below(6) {
        0 => 0.0,
        1 => 1.0,
        _ => random.unit(),
    };
    match row.unit {
        Unit::Choice(names) => names[random.below(names.len())].to_owned(),
        _ => row.text(row.from_norm(norm).unwrap()),
    }
}

#[test]
fn every_kind_bears_any_settings_and_any_moves_at_any_rate() {
    let mut random = Random::new(OSC_SEED + 1);
    let input = noise(0.0, 3, 2, 4_800);
    for node_type in CATALOGUE {
        for round in 0..40 {
            let row = |row: &Param, random: &mut Random| {
                (row.name != "channels").then(|| format!("{}: \"{}\"", row.name, some_value(row, random)))
            };
            let mut fields = vec!["id: n".to_owned()];
            fields.extend(node_type.rows.iter().filter_map(|r| row(r, &mut random)));
            let texts = node_type.texts.iter().filter(|_| random.below(2) == 0);
            fields.extend(texts.map(|text| format!("{}: \"{}\"", text.name, some_text(text.form))));
            if let Some(parts) = node_type.parts {
                let count = parts.least.max(1) + random.below(parts.most - parts.least);
                let list: Vec<_> = (0..count)
                    .map(|at| {
                        let rows = parts.rows.iter().filter(|row| parts.has(at, count, row));
                        let rows: Vec<_> = rows.filter_map(|r| row(r, &mut random)).collect();
                        format!("{{{}}}", rows.join(", "))
                    })
                    .collect();
                fields.push(format!("{}: [{}]", parts.list, list.join(", ")));
            }
            let yaml = format!("  - {}: {{{}}}\n", node_type.name, fields.join(", "));
            let rate = [44_100.0, 48_000.0, 96_000.0, 192_000.0][round % 4];
            let mut rig = Rig::at(rate, &yaml);
            let places: Vec<_> = {
                let all = rig.newest().addresses.all();
                all.iter()
                    .filter(|place| !place.row.is_setting)
                    .map(|place| (place.address(), place.row))
                    .collect()
            };
            for _ in 0..4 {
                let out = rig.play(&input);
                let highest = out.iter().flatten().fold(0.0_f64, |peak, x| peak.max(x.abs()));
                // 24 bands of 48 dB would be more; what runs away is.
                assert!(highest < 1e60, "{highest:e} at {rate} Hz:\n{yaml}");
                for _ in 0..3 {
                    let (address, row) = &places[random.below(places.len())];
                    let text = some_value(row, &mut random);
                    rig.set_value(address, &Value::Text(text));
                }
            }
            let faults = rig.count(|event| matches!(event, Event::Fault { .. }));
            assert_eq!(faults, 0, "a NaN at {rate} Hz:\n{yaml}");
        }
    }
}
