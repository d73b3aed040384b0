//! The house itself: what the documents promise of the code holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_control::address::arguments::SUBSCRIBE_WORDS;
use lacquer_control::address::commands::{Bare, COMMANDS};
use lacquer_graph::nodes::CATALOGUE;
use lacquer_tests::daemon::root;
use std::fs;
use std::path::{Path, PathBuf};

fn sources(folder: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![root().join(folder)];
    while let Some(path) = todo.pop() {
        if path.is_dir() {
            todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
    found
}

fn all_sources() -> Vec<PathBuf> {
    ["graph", "control", "daemon", "tests"].iter().flat_map(|folder| sources(folder)).collect()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap()
}

/// The `use` lines of a file.
fn uses(text: &str) -> Vec<&str> {
    text.lines().filter_map(|line| line.trim().strip_prefix("use ")).collect()
}

#[test]
fn every_file_says_what_it_is_and_stays_small() {
    for path in all_sources() {
        let text = read(&path);
        assert!(text.starts_with("//! "), "{}: begin with //!", path.display());
        let lines = text.lines().count();
        assert!(lines <= 500, "{}: {lines} lines", path.display());
    }
}

#[test]
fn every_file_in_nodes_is_in_the_catalogue() {
    let mut files: Vec<_> = sources("graph/src/nodes")
        .iter()
        .filter(|path| !path.to_string_lossy().contains("/common/"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    files.sort();
    let names: Vec<_> = CATALOGUE.iter().map(|node_type| node_type.name.to_owned()).collect();
    assert_eq!(files, names, "and the catalogue is in alphabetical order");
}

#[test]
fn the_callback_sees_only_the_engine_the_commands_and_the_audio_end_of_the_queues() {
    let allowed = [
        "crate::audio::load::LoadMeter;",
        "crate::audio::ports::Ports;",
        "crate::audio::realtime::{ThreadId, guarded};",
        "crate::audio::taps::Probe;",
        "lacquer_control::message::{FromAudio, Load, ToAudio};",
        "lacquer_control::queues::AudioEnd;",
        "lacquer_graph::{Engine, SUBBLOCK};",
        "std::time::Instant;",
    ];
    assert_eq!(uses(&read(&root().join("daemon/src/audio/callback.rs"))), allowed);
}

#[test]
fn imports_go_one_way() {
    for path in sources("graph/src/nodes") {
        let text = read(&path);
        assert!(
            !text.replace("crate::nodes::common::", "").contains("crate::nodes::"),
            "{}: a node never imports another",
            path.display()
        );
    }
    for path in sources("control/src/surface") {
        let text = read(&path);
        assert!(!text.contains("crate::queues") && !text.contains("crate::message"), "{}", path.display());
    }
    for (folder, banned) in [("graph/src", "lacquer_control"), ("control/src", "lacquer::")] {
        for path in sources(folder) {
            assert!(!read(&path).contains(banned), "{}: {banned}", path.display());
        }
    }
}

#[test]
fn threads_of_the_daemon_are_started_where_they_are_watched() {
    for path in sources("daemon/src") {
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap();
        let starts = [" thread::spawn", "std::thread::spawn", "thread::Builder", "Builder::new().name("];
        let is_watched = path.to_string_lossy().contains("process/supervise/");
        assert!(is_watched || !starts.iter().any(|start| code.contains(start)), "{}", path.display());
    }
}

#[test]
fn every_path_that_the_documents_name_exists() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "README.md"] {
        let text = read(&root().join(document));
        let quoted = text.split('`').skip(1).step_by(2);
        let tops = ["graph/", "control/", "daemon/", "tests/", "configs/", "systemd/"];
        for path in
            quoted.filter(|path| tops.iter().any(|top| path.starts_with(top)) && !path.contains("NAME"))
        {
            assert!(root().join(path).exists(), "{document} names {path}");
        }
    }
}

#[test]
fn every_node_type_and_address_is_in_the_readme() {
    let readme = read(&root().join("README.md"));
    for node_type in CATALOGUE {
        assert!(readme.contains(&format!("`{}`", node_type.name)), "{}", node_type.name);
    }
    assert!(readme.contains("`/error`"));
}

/// The part of the README that lists the commands.
fn commands_markdown() -> String {
    let mut text = "| message | without arguments | does | example |\n| --- | --- | --- | --- |\n".to_owned();
    for command in &COMMANDS {
        let bare = match command.nature.bare() {
            Bare::Reads => "reads",
            Bare::Acts => "acts",
            Bare::Refused => "",
        };
        let (usage, help, example) = (command.usage(), command.help, command.example);
        text += &format!("| `{usage}` | {bare} | {help} | `{example}` |\n");
    }
    let limits = |(_, min, max): (&str, f64, f64)| format!(", {min} to {max}");
    let words = SUBSCRIBE_WORDS.map(|word| {
        format!("`{}` ({}{})", word.usage(), word.help, word.number.map(limits).unwrap_or_default())
    });
    text + &format!("\nThe options of `/subscribe` are a number of seconds and {}.\n", words.join(", "))
}

#[test]
fn the_readme_lists_the_commands_as_the_table_has_them() {
    const MARKS: [&str; 2] = ["<!-- commands -->\n", "<!-- /commands -->"];
    let path = root().join("README.md");
    let readme = read(&path);
    let (before, rest) = readme.split_once(MARKS[0]).unwrap();
    let (_, after) = rest.split_once(MARKS[1]).unwrap();
    let wanted = [before, MARKS[0], &commands_markdown(), MARKS[1], after].concat();
    if std::env::var_os("LACQUER_APPROVE").is_some() {
        fs::write(&path, &wanted).unwrap();
    }
    assert!(read(&path) == wanted, "the commands in README.md are old: make golden");
}

// No test asserts a time -----------------------------------------------------------------------------------

/// Where the rule below is wrong: a file, what the place holds, and why it may.
const TIMES_THAT_HOLD: [(&str, &str, &str); 6] = [
    ("tests/control.rs", ">= due", "not before its time: a slow machine is later still"),
    ("tests/hands.rs", "done >= now", "not before its time: a slow machine is later still"),
    (
        "tests/jack_faults.rs",
        "there are no deadlines",
        "nothing is counted while there are none, however slow it is",
    ),
    ("tests/jack_faults.rs", "minutes * 60.0", "a long run that is asked for, and asserts nothing of it"),
    (
        "tests/pipewire.rs",
        "from_secs(5)",
        "after so long it tries once more; what it waits for is a condition",
    ),
    ("daemon/src/audio/xruns.rs", "xruns.", "the clock of these tests is simulated"),
];

/// The asserts of a file by the lines in which they begin.
fn asserts(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in text.match_indices("assert") {
        let Some(open) = text[at..].find('(').map(|open| at + open) else { continue };
        if !["assert!", "assert_eq!", "assert_ne!"].contains(&&text[at..open]) {
            continue;
        }
        let (mut depth, mut is_string, mut before) = (0, false, ' ');
        let length = text[open..].find(|c| {
            match c {
                '"' if before != '\\' => is_string = !is_string,
                '(' if !is_string => depth += 1,
                ')' if !is_string => depth -= 1,
                _ => {}
            }
            before = c;
            depth == 0
        });
        found.push((text[..at].matches('\n').count(), text[at..open + length.unwrap_or(0)].to_owned()));
    }
    found
}

/// Text in which string literals are empty.
fn without_strings(text: &str) -> String {
    text.split('"').step_by(2).collect::<Vec<_>>().join("\"\"")
}

/// Whether a text has this name as a word of its own.
fn has_word(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|word| word == name)
}

/// What is wrong with a file's tests: asserts about the clock or about xruns, and stretches of real time.
fn timed(text: &str) -> Vec<String> {
    const CLOCKS: [&str; 6] =
        ["elapsed", "Instant::now", "SystemTime::now", "as_secs", "as_millis", "as_micros"];
    let mut wrong = Vec::new();
    // The names of what was measured, in the function at hand.
    let mut measured: Vec<Vec<String>> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for (at, line) in text.lines().enumerate() {
        let code = without_strings(line);
        if code.trim_start().starts_with("fn ") || code.trim_start().starts_with("pub fn ") {
            names.clear();
        }
        if ["elapsed(", "duration_since(", "as_secs"].iter().any(|clock| code.contains(clock))
            || names.iter().any(|name| has_word(&code, name))
        {
            let to = code.split(" = ").next().unwrap_or_default();
            let to = to.split(".push(").next().unwrap_or_default().trim_start();
            if to.len() < code.trim().len() && !to.contains("||") {
                let words = to.split(|c: char| !c.is_alphanumeric() && c != '_');
                names.extend(words.filter(|word| !["", "let", "mut"].contains(word)).map(ToOwned::to_owned));
            }
        }
        measured.push(names.clone());
        let is_long_look = code.split("hear_for(Duration::from_secs").count() > 1;
        if is_long_look || code.contains("while") && code.contains("elapsed()") {
            wrong.push(format!("{}: waits for a time, not for a condition: {}", at + 1, line.trim()));
        }
    }
    for (at, assert) in asserts(text) {
        let code = without_strings(&assert);
        let is_timed = CLOCKS.iter().any(|clock| code.contains(clock))
            || measured[at].iter().any(|name| has_word(&code, name))
            || ["p50", "p99", "slowest"].iter().any(|name| has_word(&code, name))
            || assert.contains("xruns");
        if is_timed {
            wrong.push(format!("{}: asserts a time, a rate or xruns: {assert}", at + 1));
        }
    }
    wrong
}

#[test]
fn no_test_asserts_a_wall_time_a_rate_or_a_number_of_xruns() {
    let mut wrong = Vec::new();
    for path in all_sources() {
        let text = read(&path);
        let name = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        let is_tests = name.starts_with("tests/");
        let from = if is_tests { Some(0) } else { text.find("#[cfg(test)]") };
        // What is measured is printed there; the limit of all waiting is in the second, what is wrong in this one.
        let is_other =
            ["tests/benches/live.rs", "tests/support/daemon.rs", "tests/house.rs"].contains(&name.as_str());
        if from.is_none() || is_other {
            continue;
        }
        for place in timed(&text[from.unwrap_or(0)..]) {
            let holds = TIMES_THAT_HOLD.iter().any(|(file, what, _)| *file == name && place.contains(what));
            if !holds {
                wrong.push(format!("{name}:{place}"));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "wait for a condition (eventually), or measure in a bench:\n{}",
        wrong.join("\n")
    );
}

#[test]
fn what_asserts_a_time_is_found() {
    for text in [
        "fn a() {\n    let begin = Instant::now();\n    assert!(begin.elapsed().as_secs() < 5, \"slow\");\n}",
        "fn a() {\n    let took = begin.elapsed();\n    let [half, all] = spread(took);\n    assert!(half < 2.0);\n}",
        "fn a() {\n    worst.push(asked.elapsed());\n    assert!(\n        worst[0] < FEW\n    );\n}",
        "fn a() {\n    assert_eq!(status(\"xruns\"), 0.0);\n}",
        "fn a() {\n    assert!(p50 <= 2.0, \"blocks\");\n}",
        "fn a() {\n    while start.elapsed() < LONG {\n        count += 1;\n    }\n    assert!(count > 20);\n}",
        "fn a() {\n    let heard = client.hear_for(Duration::from_secs(2));\n    assert_eq!(heard.len(), 10);\n}",
    ] {
        assert_eq!(timed(text).len(), 1, "{text}");
    }
    let waits = "fn a() {\n    let begin = Instant::now();\n    eventually(\"x\", || done().then_some(()));\n    \
                 println!(\"{:?}\", begin.elapsed());\n    assert!(done());\n}";
    assert!(timed(waits).is_empty(), "{:?}", timed(waits));
}
