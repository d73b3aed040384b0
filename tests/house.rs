//! The house itself: what the documents promise of the code holds.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

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
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "mod")
        .collect();
    files.sort();
    let names: Vec<_> = CATALOGUE.iter().map(|kind| kind.name.to_owned()).collect();
    assert_eq!(files, names, "and the catalogue is in alphabetical order");
}

#[test]
fn the_callback_sees_only_the_seat_the_orders_and_the_audio_end_of_the_wire() {
    let allowed = [
        "crate::backend::Ports;",
        "crate::load::LoadMeter;",
        "crate::realtime::{Mark, guarded};",
        "crate::taps::Probe;",
        "lacquer_control::message::{Load, Order, Reading};",
        "lacquer_control::wire::AudioEnd;",
        "lacquer_graph::{QUANTUM, Seat};",
        "std::time::Instant;",
    ];
    assert_eq!(uses(&read(&root().join("daemon/src/threads/audio.rs"))), allowed);
}

#[test]
fn imports_go_one_way() {
    for path in sources("graph/src/dsp") {
        let is_ours = |line: &&str| line.starts_with("crate") && !line.starts_with("crate::dsp");
        assert!(!uses(&read(&path)).iter().any(is_ours), "{}", path.display());
    }
    for path in sources("graph/src/nodes") {
        let text = read(&path);
        assert!(!text.contains("crate::nodes::"), "{}: a node never imports another", path.display());
    }
    for path in sources("control/src/surface") {
        let text = read(&path);
        assert!(!text.contains("crate::wire") && !text.contains("crate::message"), "{}", path.display());
    }
    for (folder, banned) in [("graph/src", "lacquer_control"), ("control/src", "lacquer::")] {
        for path in sources(folder) {
            assert!(!read(&path).contains(banned), "{}: {banned}", path.display());
        }
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
    for kind in CATALOGUE {
        assert!(readme.contains(&format!("`{}`", kind.name)), "{}", kind.name);
    }
    for address in
        ["/swap", "/chains", "/status", "/ping", "/bypass", "/reload", "/subscribe", "/unsubscribe", "/error"]
    {
        assert!(readme.contains(&format!("`{address}`")), "{address}");
    }
}
