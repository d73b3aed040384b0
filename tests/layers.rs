//! Who may import whom: every `use`, `crate::` and `super::` path is read.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::daemon::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The layers of each crate: a layer imports only those before it.
const LAYERS: [(&str, &[&str]); 3] = [
    ("graph", &["dsp", "block", "param", "reading", "node", "metering", "nodes", "file", "plan", "run"]),
    (
        "control",
        &[
            "value",
            "peer",
            "update",
            "request",
            "schedule",
            "message",
            "queues",
            "address",
            "subscribe",
            "desk",
            "surface",
        ],
    ),
    (
        "daemon",
        &["process", "media", "station", "audio", "offline", "surfaces", "conductor", "doctor", "cli"],
    ),
];

/// A module as the names on the way to it; the crate itself has none.
type Module = Vec<String>;

/// The modules of a crate and, for each, the modules whose names it writes.
fn imports(layer: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let src = root().join(layer).join("src");
    let mut files = Vec::new();
    find_files(&src, &mut Vec::new(), &mut files);
    let modules: BTreeSet<Module> = files.iter().map(|(module, _)| module.clone()).collect();
    files
        .into_iter()
        .map(|(here, text)| {
            let named = paths(&text).iter().filter_map(|path| resolve(path, &here, &modules)).collect();
            (here, named)
        })
        .collect()
}

fn find_files(folder: &Path, at: &mut Module, files: &mut Vec<(Module, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
        let stem = entry.file_stem().unwrap().to_string_lossy().into_owned();
        if entry.is_dir() {
            at.push(stem);
            find_files(&entry, at, files);
            at.pop();
        } else if entry.extension().is_some_and(|ending| ending == "rs") && stem != "main" {
            let mut module = at.clone();
            module.extend((stem != "mod" && stem != "lib").then_some(stem));
            files.push((module, fs::read_to_string(&entry).unwrap()));
        }
    }
}

/// The paths that the code of a file writes; its tests may import what they want.
fn paths(text: &str) -> Vec<Vec<String>> {
    let code = text.split("#[cfg(test)]").next().unwrap();
    let code: String = code.lines().map(|line| line.split("//").next().unwrap().to_owned() + "\n").collect();
    let code: String = code.split('"').step_by(2).collect();
    let mut found = Vec::new();
    for (at, _) in code.match_indices("use ") {
        if code[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric() && c != '_') {
            let tree = code[at + 4..].split(';').next().unwrap();
            expand(&mut Vec::new(), tree, &mut found);
        }
    }
    for root in ["crate::", "super::"] {
        for (at, _) in code.match_indices(root) {
            let path =
                code[at..].split(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next().unwrap();
            found.push(names(path));
        }
    }
    found
}

fn names(path: &str) -> Vec<String> {
    path.split("::").map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect()
}

/// The leaves of a tree as `use` has it: `a::{b, c::{d, e}}`.
fn expand(before: &mut Vec<String>, tree: &str, found: &mut Vec<Vec<String>>) {
    let Some((head, rest)) = tree.split_once('{') else {
        let leaf = tree.split(" as ").next().unwrap();
        found.push([before.clone(), names(leaf)].concat());
        return;
    };
    let length = before.len();
    before.extend(names(head));
    let (mut depth, mut begin) = (0, 0);
    for (at, c) in rest.char_indices() {
        match c {
            '{' => depth += 1,
            ',' | '}' if depth == 0 => {
                if !rest[begin..at].trim().is_empty() {
                    expand(before, &rest[begin..at], found);
                }
                begin = at + 1;
            }
            '}' => depth -= 1,
            _ => {}
        }
        if c == '}' && depth < 0 {
            break;
        }
    }
    before.truncate(length);
}

/// The module that a path written in `here` leads to, if it is one of the crate's others.
fn resolve(path: &[String], here: &Module, modules: &BTreeSet<Module>) -> Option<Module> {
    let ups = path.iter().take_while(|name| *name == "super").count();
    let full: Module = match path.first()?.as_str() {
        "crate" => path[1..].to_vec(),
        "super" => [&here[..here.len().saturating_sub(ups)], &path[ups..]].concat(),
        _ => [here, path].concat(),
    };
    let module =
        (0..=full.len()).rev().map(|length| full[..length].to_vec()).find(|at| modules.contains(at))?;
    (module != *here).then_some(module)
}

#[test]
fn a_layer_imports_only_those_before_it() {
    for (name, layers) in LAYERS {
        let rank = |module: &Module| {
            let top = module.first()?;
            let rank = layers.iter().position(|layer| layer == top);
            Some(rank.unwrap_or_else(|| panic!("{name}/src/{top} stands in no layer")))
        };
        for (here, named) in imports(name) {
            for other in named {
                let (Some(mine), Some(theirs)) = (rank(&here), rank(&other)) else { continue };
                assert!(theirs <= mine, "{name}: {} imports {}", here.join("::"), other.join("::"));
            }
        }
    }
}

/// In each folder, a file and a folder count as one thing each. A folder's `mod.rs` and its files may know each other.
#[test]
fn no_imports_run_in_a_circle() {
    for (name, _) in LAYERS {
        let mut edges: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (here, named) in imports(name) {
            for other in named {
                let shared = here.iter().zip(&other).take_while(|(a, b)| a == b).count();
                if let (Some(from), Some(to)) = (here.get(shared), other.get(shared)) {
                    let folder = edges.entry(here[..shared].to_vec()).or_default();
                    folder.entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        for (folder, mut edges) in edges {
            // What imports nothing that is left is taken away, until nothing is left.
            loop {
                let before = edges.len();
                let left: BTreeSet<String> = edges.keys().cloned().collect();
                edges.retain(|_, named| named.iter().any(|name| left.contains(name)));
                if edges.len() == before {
                    break;
                }
            }
            assert!(edges.is_empty(), "{name}/src/{}: a circle in {edges:?}", folder.join("/"));
        }
    }
}

#[test]
fn paths_are_read_from_code() {
    let text = "use crate::{a::{b::C, d}, e};\nfn f() { super::g::h(); } // crate::no\n";
    let found: BTreeSet<String> = paths(text).iter().map(|path| path.join("::")).collect();
    for path in ["crate::a::b::C", "crate::a::d", "crate::e", "super::g::h"] {
        assert!(found.contains(path), "{path} in {found:?}");
    }
    assert!(!found.iter().any(|path| path.contains("no")), "{found:?}");
}
