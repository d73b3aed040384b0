//! The shipped files are right, the broken ones are told in the approved words, and nothing of any size or
//! shape does more harm than a message.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer::media::{Depth, Sink};
use lacquer_graph::file::yaml;
use lacquer_graph::file::yaml::Item;
use lacquer_tests::daemon::{Folder, ends, lacquer, root};
use rustix::fs::{CWD, FileType, Mode, mknodat};
use std::fs;
use std::path::{Path, PathBuf};

fn files(folder: &str, ending: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(root().join(folder))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .filter(|name| name.ends_with(ending))
        .map(|name| format!("{folder}/{name}"))
        .collect();
    names.sort();
    assert!(!names.is_empty());
    names
}

fn shipped() -> Vec<String> {
    [files("configs", ".yaml"), files("configs/chains", ".yaml")].concat()
}

/// Compares with an approved file, or renews it.
fn approve(path: &Path, text: &str) {
    if std::env::var_os("LACQUER_APPROVE").is_some() {
        fs::write(path, text).unwrap();
    }
    let approved = fs::read_to_string(path).unwrap_or_default();
    assert_eq!(text, approved, "{}: make golden renews it", path.display());
}

#[test]
fn every_shipped_file_is_right() {
    for file in shipped() {
        let out = lacquer(&["check", &file]);
        assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(String::from_utf8_lossy(&out.stdout), format!("{file}: ok\n"));
    }
}

#[test]
fn every_broken_file_is_told_in_the_approved_words() {
    for file in files("configs/broken", ".yaml") {
        let out = lacquer(&["check", &file]);
        assert_eq!(out.status.code(), Some(1), "{file} is not broken");
        approve(&root().join(file.replace(".yaml", ".txt")), &String::from_utf8_lossy(&out.stderr));
    }
}

#[test]
fn the_schemas_are_those_of_the_tables() {
    for what in ["chain", "station", "map", "cues"] {
        let out = lacquer(&["schema", what]);
        approve(&root().join(format!("configs/{what}.schema.json")), &String::from_utf8_lossy(&out.stdout));
    }
}

/// Whether our marked tree and serde_yaml's value are the same.
fn agree(ours: &yaml::Value, theirs: &serde_yaml::Value) -> bool {
    use serde_yaml::Value;
    match (&ours.item, theirs) {
        (Item::Null, Value::Null) => true,
        // It stays a word in our tree: the name of a backend.
        (Item::Scalar { text, plain: true }, Value::Null) => text == "null",
        (Item::Scalar { text, .. }, Value::String(string)) => text == string,
        (Item::Scalar { text, plain: true }, Value::Bool(on)) => *text == on.to_string(),
        (Item::Scalar { text, plain: true }, Value::Number(number)) => {
            text.parse::<f64>().ok() == number.as_f64()
        }
        (Item::List(ours), Value::Sequence(theirs)) => {
            ours.len() == theirs.len() && ours.iter().zip(theirs).all(|(ours, theirs)| agree(ours, theirs))
        }
        (Item::Map(ours), Value::Mapping(theirs)) => {
            let value = |key: &str| match theirs.get(key) {
                None if key == "null" => theirs.get(Value::Null),
                found => found,
            };
            ours.len() == theirs.len()
                && ours.iter().all(|entry| value(&entry.key).is_some_and(|value| agree(&entry.value, value)))
        }
        _ => false,
    }
}

#[test]
fn both_readings_of_a_file_agree() {
    for file in [shipped(), files("configs/broken", ".yaml")].concat() {
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let ours = yaml::parse(text.as_bytes());
        let theirs: Result<serde_yaml::Value, _> = serde_yaml::from_str(&text);
        match (ours, theirs) {
            (Ok((ours, mistakes)), Ok(theirs)) if mistakes.is_empty() => {
                assert!(agree(&ours, &theirs), "{file}: {ours:?}\n{theirs:?}");
            }
            (Ok((_, mistakes)), Ok(_)) => panic!("{file}: only we see {mistakes:?}"),
            (ours, Err(_)) => {
                let is_whole = matches!(&ours, Ok((_, mistakes)) if mistakes.is_empty());
                assert!(!is_whole, "{file}: only serde_yaml refuses it");
            }
            (Err(mistake), Ok(_)) => panic!("{file}: only we refuse it: {mistake:?}"),
        }
    }
}

// What a file may do at worst ---------------------------------------------------------------------------

/// Checks a file that must be refused; gives what is told.
fn refused(path: &Path) -> String {
    let name = path.to_str().unwrap().to_owned();
    let out = ends("a file is refused", move || lacquer(&["check", &name]));
    let text = String::from_utf8_lossy(&out.stderr).into_owned();
    assert_eq!(out.status.code(), Some(1), "{}: {text}", path.display());
    text
}

#[test]
fn a_missing_file_a_folder_and_a_huge_file_are_told() {
    let folder = Folder::new("sizes");
    assert_eq!(refused(Path::new("missing.yaml")), "missing.yaml: no such file\n");
    assert!(refused(&folder.0).contains("a folder, not a file"));
    let huge = folder.at("huge.yaml");
    fs::File::create(&huge).unwrap().set_len(100 << 20).unwrap();
    assert!(refused(&huge).contains("the file has 104857600 bytes; at most 4194304 are read"));
    let empty = folder.write("empty.yaml", "# nothing\n");
    assert!(refused(&empty).contains("the file is empty"));
    let binary = folder.at("binary.yaml");
    fs::write(&binary, [b'n', 0xff, 0xfe, 0]).unwrap();
    assert!(refused(&binary).contains("not UTF-8 text (byte 1)"));
}

#[test]
fn what_is_no_file_is_refused_at_once_by_every_command_and_wherever_it_is_named() {
    let folder = Folder::new("nofiles");
    let fifo = folder.at("fifo.yaml");
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
    let (fifo, zero) = (fifo.to_str().unwrap(), "/dev/zero");
    let sound = folder.at("in.wav");
    let sink = Sink::create(&sound, 48_000, 2, Depth::Int16).unwrap();
    sink.finish().unwrap();
    let (sound, out) = (sound.to_str().unwrap(), folder.at("out.wav"));
    let (out, layout) = (out.to_str().unwrap(), folder.at("x.tosc"));
    let chain = folder.write("chain.yaml", "nodes: [gain]\n");
    for (given, what) in [(fifo, "a FIFO, not a file"), (zero, "a device, not a file")] {
        for (code, args) in [
            (1, vec!["check", given]),
            (1, vec!["graph", given]),
            (1, vec!["plan", given]),
            (1, vec!["meter", given]),
            (1, vec!["render", "--chain", given, sound, out]),
            (1, vec!["render", "--chain", chain.to_str().unwrap(), given, out]),
            (1, vec!["touchosc", given, "-o", layout.to_str().unwrap()]),
            (78, vec!["run", given]),
        ] {
            let args: Vec<String> = args.into_iter().map(str::to_owned).collect();
            let about = format!("{args:?}");
            let done = ends(&about, move || lacquer(&args.iter().map(String::as_str).collect::<Vec<_>>()));
            let told = String::from_utf8_lossy(&done.stderr).into_owned();
            assert_eq!(done.status.code(), Some(code), "{about}: {told}");
            assert!(told.starts_with(&format!("{given}: {what}")), "{about}: {told}");
        }
    }
    for (name, text, what) in [
        ("chain", "chains: [fifo.yaml]\n", "chain file"),
        ("cues", "chains: [chain.yaml]\ncues: fifo.yaml\n", "cue list"),
        ("map", "chains: [chain.yaml]\ncontrol: {midi: [{map: fifo.yaml}]}\n", "MIDI map"),
    ] {
        let told =
            refused(&folder.write(&format!("{name}.s.yaml"), &format!("audio: {{backend: null}}\n{text}")));
        assert!(told.contains(&format!("{what} {fifo}: a FIFO, not a file")), "{told}");
    }
    for ending in ["wav", "txt", "raw"] {
        let name = format!("room.{ending}");
        mknodat(CWD, folder.at(&name), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();
        let chain = folder.write("room.yaml", &format!("nodes: [convolver: {{impulse: {name}}}]\n"));
        assert!(refused(&chain).contains("a FIFO, not a file"));
    }
}

/// A file of 1 TiB that begins with `head`: nobody waits until it has been read to its end.
fn sparse(path: &Path, head: &[u8]) {
    fs::write(path, head).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_len(1 << 40).unwrap();
}

#[test]
fn a_file_that_claims_a_terabyte_is_refused_long_before_its_end() {
    let folder = Folder::new("sparse");
    // STREAMINFO with the checksum of no audio; then blocks of metadata without end.
    let mut flac = [b"fLaC\0\0\0\x22".as_slice(), &[0; 34]].concat();
    flac[18..22].copy_from_slice(&(44_100_u32 << 12 | 1 << 9 | 15 << 4).to_be_bytes());
    flac[26..].copy_from_slice(&[
        0xd4, 0x1d, 0x8c, 0xd9, 0x8f, 0, 0xb2, 4, 0xe9, 0x80, 9, 0x98, 0xec, 0xf8, 0x42, 0x7e,
    ]);
    // Frames of silence: MPEG 1 Layer III, 128 kbit/s, 44.1 kHz.
    let mp3 = [b"\xff\xfb\x90\0".as_slice(), &[0; 413]].concat().repeat(8);
    let mp4 = b"\0\0\0\x14ftypM4A \0\0\0\0M4A \0\0\0\x01moov\0\0\0\xff\xff\xff\xff\xff\0\0\x10\0stsz";
    let aiff = b"FORM\x7f\xff\xff\xffAIFFCOMM\0\0\0\x12\0\x01\0\0\x03\xe8\0\x10\x40\x0e\xac\x44\0\0\0\0\0\0";
    // A page with the header of a Vorbis stream.
    let ogg = b"OggS\0\x02\0\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\0\x0f\xb6DE\x01\x1e\x01vorbis\0\0\0\0\x01D\xac\0\0\0\0\0\0\0\xf4\x01\0\0\0\0\0\xb8\x01";
    let cases: [(&str, &[u8], &str); 11] = [
        ("zeros.txt", b"", "line 1: not a number"),
        ("taps.txt", b"0.5\n", "line 2: not a number"),
        ("rew.txt", b"* Data start\n0.5\n", "line 3: not a number"),
        ("taps.raw", b"", "at most 10 s are convolved"),
        ("zeros.wav", b"", "not a supported audio file"),
        ("chunks.wav", b"RIFF\0\0\0\0WAVE", "no data chunk among its first 4096 chunks"),
        ("chunks.aiff", aiff, "no samples among its first 4096 chunks"),
        ("blocks.flac", &flac, ""),
        ("silence.mp3", &mp3, "does not end within the first 67108864 bytes"),
        ("boxes.m4a", mp4, ""),
        ("pages.ogg", ogg, "does not end within the first 67108864 bytes"),
    ];
    for (name, head, what) in cases {
        sparse(&folder.at(name), head);
        let chain = folder.write("room.yaml", &format!("nodes: [convolver: {{impulse: {name}}}]\n"));
        let told = refused(&chain);
        assert!(told.contains(name) || told.contains("impulse"), "{name}: {told}");
        assert!(told.contains(what), "{name}: {told}");
    }
    for name in ["chain.yaml", "map.yaml", "cues.yaml"] {
        sparse(&folder.at(name), b"nodes: [gain]\n");
        assert!(refused(&folder.at(name)).contains("at most 4194304 are read"), "{name}");
    }
    let text = "chains: [chain.yaml]\ncues: cues.yaml\ncontrol: {midi: [{map: map.yaml}]}\n";
    let told = refused(&folder.write("s.yaml", &format!("audio: {{backend: null}}\n{text}")));
    assert_eq!(told.matches("at most 4194304 are read").count(), 3, "{told}");
}

#[test]
fn no_name_of_a_file_forges_a_line() {
    let folder = Folder::new("forged");
    let at = |name: &str| folder.at(name).display().to_string();
    let (good, bad) = (at("a.yaml: ok\nb.yaml"), at("bad\n\u{1b}[2J\u{202e}.yaml"));
    fs::write(&good, "name: a\nnodes: [gain]\n").unwrap();
    fs::write(&bad, "nodes: [gian]\n").unwrap();
    let (sound, out) = (at("in\n.wav"), at("out\n.wav"));
    let mut sink = Sink::create(Path::new(&sound), 48_000, 1, Depth::Float64).unwrap();
    sink.write(&[&[f64::NAN, 2.0]]).unwrap();
    sink.finish().unwrap();
    let plain =
        |name: &str| name.replace('\n', "\\n").replace('\u{1b}', "\\u{1b}").replace('\u{202e}', "\\u{202e}");
    for (args, given) in [
        (vec!["check", &good], &good),
        (vec!["check", &bad], &bad),
        (vec!["graph", &bad], &bad),
        (vec!["plan", &bad], &bad),
        (vec!["run", &bad], &bad),
        (vec!["meter", &sound], &sound),
        (vec!["meter", &bad], &bad),
        (vec!["render", "--force", "--chain", &good, &sound, &out], &sound),
        (vec!["render", "--chain", &good, &sound, &out], &out),
        (vec!["render", "--chain", &bad, &sound, &out], &bad),
        (vec!["touchosc", &bad, "-o", &out], &bad),
    ] {
        let done = lacquer(&args);
        let told = [done.stdout, done.stderr].concat();
        let told = String::from_utf8_lossy(&told);
        assert!(told.contains(&plain(given)) && !told.contains(given.as_str()), "{args:?}: {told}");
    }
    // A program gets the name itself.
    let json: serde_json::Value =
        serde_json::from_slice(&lacquer(&["meter", "--json", &sound]).stdout).unwrap();
    assert_eq!(json["file"], serde_json::json!(sound));
}

#[test]
fn bombs_and_monsters_are_refused() {
    let folder = Folder::new("monsters");
    let lines = |count: usize, line: &dyn Fn(usize) -> String| (0..count).map(line).collect::<String>();
    let bomb = |levels: usize| {
        let level =
            |i: usize| format!("a{}: &a{} [{}]\n", i + 1, i + 1, vec![format!("*a{i}"); 9].join(", "));
        format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", lines(levels, &level))
    };
    let cases: Vec<(&str, String, &str)> = vec![
        ("aliases", bomb(6), "more than 200000 values, with its aliases"),
        ("more-aliases", bomb(20), "more than 200000 values, with its aliases"),
        ("itself", "nodes: &n [*n]\n".to_owned(), "not YAML"),
        ("deep", format!("nodes: {}", "[".repeat(100_000)), "nested more than 32 deep"),
        ("deep-maps", lines(1_000, &|i| format!("{}a:\n", " ".repeat(i))), "nested more than 32 deep"),
        ("keys", lines(190_000, &|i| format!("k{i}: 1\n")), "more than 200000 values"),
        (
            "many",
            format!("nodes:\n{}", lines(10_000, &|i| format!("  - gain: {{id: g{i}}}\n"))),
            "10000 nodes; a chain holds at most 1000",
        ),
        (
            "many-bad",
            format!("nodes:\n{}", lines(10_000, &|i| format!("  - gian: {{id: g{i}, gain: 99 dB}}\n"))),
            "10000 nodes; a chain holds at most 1000",
        ),
        (
            "same",
            format!("nodes:\n{}", lines(900, &|_| "  - gain: {id: g}\n".to_owned())),
            "id \"g\" is already used by the node in line 2",
        ),
        (
            "tangle",
            format!(
                "nodes:\n{}",
                lines(900, &|i| format!("  - gain: {{id: g{i}, in: g{}}}\n", (i + 1) % 900))
            ),
            "a cycle: g0 -> g899",
        ),
        ("long", format!("name: {}\nnodes: [gain]\n", "x".repeat(4_000_000)), "write up to 64 letters"),
        (
            "long-line",
            format!("nodes: [{}gian]\n", " ".repeat(4_000_000)),
            "no node type \"gian\", did you mean \"gain\"?",
        ),
    ];
    for (name, text, words) in cases {
        let told = refused(&folder.write(&format!("{name}.yaml"), &text));
        assert!(told.contains(words), "{name}: {}", told.chars().take(400).collect::<String>());
    }
}

#[test]
fn a_station_is_never_half_read() {
    let folder = Folder::new("half");
    let good = "nodes: [gain]\n";
    folder.write("good.yaml", good);
    folder.write("bad.yaml", "nodes: [gian]\n");
    let station = folder.write("station.yaml", "audio: {backend: none}\nchains: [good.yaml, bad.yaml]\n");
    let out = lacquer(&["run", station.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&out.stderr).contains("bad.yaml:1:9: no node type \"gian\""));
}

#[test]
fn the_largest_chain_that_is_allowed_plays() {
    let folder = Folder::new("largest");
    let nodes: String = (0..1_000).map(|i| format!("  - gain: {{id: g{i}}}\n")).collect();
    let path: PathBuf = folder.write("largest.yaml", &format!("nodes:\n{nodes}"));
    let out = lacquer(&["check", path.to_str().unwrap()]);
    assert_eq!(out.status.code(), Some(0));
    let mut rig = lacquer_tests::rig::Rig::of(&nodes);
    let input = lacquer_tests::signal::noise(-6.0, 1, 2, 640);
    assert_eq!(rig.play(&input), input);
}

#[test]
fn maps_and_cue_lists_are_checked_as_what_they_are() {
    let folder = Folder::new("checkothers");
    let check = |text: &str| {
        let file = folder.write("file.yaml", text);
        let out = lacquer(&["check", file.to_str().unwrap()]);
        let told = [out.stdout, out.stderr].concat();
        (out.status.code(), String::from_utf8_lossy(&told).into_owned())
    };
    for maps in fs::read_dir(root().join("configs/midi")).unwrap() {
        let text = fs::read_to_string(maps.unwrap().path()).unwrap();
        assert_eq!(check(&text).0, Some(0));
    }
    assert_eq!(check("cues: [{name: news, chain: b, at: \"18:00\"}]").0, Some(0));
    for (text, wanted) in [
        ("device: x\ncontrols:\n  - {cc: 128, to: /undo}\n", "file.yaml:3:10"),
        ("cues:\n  - {name: news}\n", "cue 1 has no effect"),
    ] {
        let (code, told) = check(text);
        assert!(code == Some(1) && told.contains(wanted), "{told}");
    }
}
