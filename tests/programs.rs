//! Every program that tests and scripts call is installed by the set-up, or is there on every Debian.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

use lacquer_tests::daemon::root;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What is not the set-up's to install: Rust and make are what one begins with, the rest is built here or by what was installed.
const GIVEN: [&str; 9] = [
    "cargo",
    "rustc",
    "rustfmt",
    "make",
    "cargo-deny",
    "cargo-deb",
    "lacquer",
    "./lacquer",
    "target/release/lacquer",
];
/// The calls whose first text is a program: the standard library's, and those of our support that stand for it.
const CALLS: [&str; 7] =
    ["Command::new(", "with_parent(", "spawn(", "serve(", "tool(", "through(command, ", "run_tool("];
/// What else `Command::new` is given: ourselves, and what the calls above were given.
const NO_TEXTS: [&str; 13] = [
    "binary()",
    "lacquer_tests::daemon::binary()",
    "&me",
    "env::current_exe()",
    "std::env::current_exe()",
    "&python",
    "clients.join(",
    "folder.at(",
    "name)",
    "tool)",
    "program)",
    "rustc)",
    "\"/proc/self/exe\"",
];
/// Words of the shell, and the functions that it has itself.
const SHELL: [&str; 43] = [
    "if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "exit",
    "return", "set", "trap", "echo", "printf", "cd", "command", "exec", "export", "local", "read", "shift",
    "test", "true", "false", "wait", "kill", "time", "unset", "eval", "break", "continue", "umask", "jobs",
    "pwd", "type", "ulimit", "break;", "exit;",
];

fn files(folder: &str) -> Vec<PathBuf> {
    let (mut found, mut todo) = (Vec::new(), vec![root().join(folder)]);
    while let Some(path) = todo.pop() {
        match path.is_dir() {
            true => todo.extend(fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path())),
            false => found.push(path),
        }
    }
    found
}

/// The programs that a Rust source calls, and what it gives to `Command::new` that is neither that nor known.
fn called_by_rust(text: &str) -> (BTreeSet<String>, Vec<String>) {
    let (mut called, mut unknown) = (BTreeSet::new(), Vec::new());
    for call in CALLS {
        for (at, _) in text.match_indices(call) {
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = text[at + call.len()..].trim_start();
            if let Some(name) = rest.strip_prefix('"').and_then(|rest| rest.split('"').next()) {
                called.insert(name.to_owned());
            } else if call == "Command::new(" && !NO_TEXTS.iter().any(|known| rest.starts_with(known)) {
                unknown.push(rest.chars().take(40).collect());
            }
        }
    }
    called.retain(|name| name != "/proc/self/exe");
    (called, unknown)
}

/// The programs that a script calls: the first words of its commands, without what stands in quotes or here-documents.
fn called_by_shell(text: &str) -> BTreeSet<String> {
    let (mut plain, mut ends) = (String::new(), Vec::<String>::new());
    for line in text.lines() {
        if let Some(end) = ends.first() {
            if line.trim() == end {
                ends.remove(0);
            }
            continue;
        }
        let line = if line.trim_start().starts_with('#') { "" } else { line };
        if let Some((_, word)) = line.split_once("<<").filter(|(_, word)| !word.starts_with('<')) {
            let word = word.trim_start_matches('-').split_whitespace().next().unwrap_or_default();
            ends.push(word.trim_matches(['\'', '"']).to_owned());
        }
        plain += line;
        plain += "\n";
    }
    let plain = plain.replace("\\\n", " ");
    // A text in single quotes is another language's: awk's, sed's. Of one in double quotes only what is run counts.
    let plain: String = plain.split('\'').step_by(2).collect::<Vec<_>>().join("''");
    let quoted = |part: &str| part.find("$(").map_or(String::new(), |at| part[at..].to_owned());
    let parts = plain.split('"').enumerate();
    let plain: String =
        parts.map(|(at, part)| if at % 2 == 0 { part.to_owned() } else { quoted(part) }).collect();
    let mut called = BTreeSet::new();
    for command in plain.split(['\n', ';', '|', '&', '(', ')', '{', '}', '`']) {
        let mut words = command.split_whitespace().peekable();
        // What stands before a command: the shell's own words, assignments, redirections.
        while let Some(word) = words.next_if(|word| {
            ["if", "then", "else", "elif", "while", "until", "do", "exec", "!", "command"].contains(word)
                || word.contains('=') && !word.starts_with('-')
        }) {
            if word == "command" && words.peek() == Some(&"-v") {
                words = "".split_whitespace().peekable();
            }
        }
        let Some(word) = words.next() else { continue };
        let is_name =
            word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.+".contains(c));
        let is_name = is_name && word.starts_with(|c: char| c.is_ascii_lowercase());
        if is_name && !SHELL.contains(&word) {
            called.insert(word.to_owned());
        }
    }
    called
}

/// The functions that a script defines.
fn functions(text: &str) -> BTreeSet<String> {
    let words = text.split_whitespace().filter_map(|word| word.strip_suffix("()"));
    words.map(ToOwned::to_owned).collect()
}

/// What a variable of the Makefile holds, with the variables in it.
fn variable(makefile: &str, name: &str) -> Vec<String> {
    let makefile = makefile.replace("\\\n", " ");
    let line = makefile.lines().find(|line| line.starts_with(&format!("{name} ="))).unwrap();
    let words = line.split_once('=').unwrap().1.split_whitespace();
    words
        .flat_map(|word| match word.strip_prefix("$(").and_then(|word| word.strip_suffix(')')) {
            Some(other) => variable(&makefile, other),
            None => vec![word.to_owned()],
        })
        .collect()
}

/// The packages that are there, with what each needs; and those that every Debian has.
struct Packages {
    needs: BTreeMap<String, Vec<String>>,
    of_all: BTreeSet<String>,
}

impl Packages {
    /// Nothing where the system is no Debian.
    fn installed() -> Option<Self> {
        let format = "${Package}\t${Essential}\t${Pre-Depends}, ${Depends}\n";
        let out = Command::new("dpkg-query").args(["-W", "-f", format]).output().ok()?;
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let mut packages = Self { needs: BTreeMap::new(), of_all: BTreeSet::new() };
        for line in text.lines() {
            let [name, essential, needs] = line.split('\t').collect::<Vec<_>>()[..] else { continue };
            let needs = needs.split([',', '|']).filter_map(|need| need.trim().split([' ', ':']).next());
            packages.needs.insert(name.to_owned(), needs.map(ToOwned::to_owned).collect());
            if essential == "yes" {
                packages.of_all.insert(name.to_owned());
            }
        }
        // Debian's own awk and Perl come with what is essential, by names that others could provide as well.
        packages.of_all.extend(["apt", "mawk", "perl-base"].map(ToOwned::to_owned));
        Some(packages)
    }

    /// These, what they need, and what every Debian has.
    fn with_needs(&self, names: impl Iterator<Item = String>) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        let mut todo: Vec<String> = names.chain(self.of_all.iter().cloned()).collect();
        while let Some(name) = todo.pop() {
            let Some(needs) = self.needs.get(&name) else { continue };
            if all.insert(name) {
                todo.extend(needs.iter().cloned());
            }
        }
        all
    }
}

/// Where a program lies.
fn which(name: &str) -> Option<PathBuf> {
    if name.starts_with('/') {
        return Some(PathBuf::from(name)).filter(|path| path.exists());
    }
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap());
    // Where several have it, Debian's.
    let mut found: Vec<PathBuf> = path.split(':').map(|folder| Path::new(folder).join(name)).collect();
    found.retain(|path| path.is_file());
    found
        .iter()
        .find(|path| path.starts_with("/usr") && !path.starts_with("/usr/local"))
        .or(found.first())
        .cloned()
}

/// The names under which Debian may know a file: many by the folders that were before /usr was merged.
fn names_of(path: &Path) -> Vec<PathBuf> {
    let names = [path.to_owned(), fs::canonicalize(path).unwrap()];
    let before = |name: &PathBuf| Some(Path::new("/").join(name.strip_prefix("/usr").ok()?));
    let before: Vec<PathBuf> = names.iter().filter_map(before).collect();
    [&names[..], &before].concat()
}

/// The packages that files are of, by the files' names.
fn owners(paths: &[PathBuf]) -> BTreeMap<PathBuf, Vec<String>> {
    let out = Command::new("dpkg-query").arg("-S").args(paths).output().unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let lines = text.lines().filter(|line| !line.starts_with("diversion"));
    let mut owners = BTreeMap::<PathBuf, Vec<String>>::new();
    for (packages, path) in lines.filter_map(|line| line.rsplit_once(": ")) {
        let packages =
            packages.split(", ").map(|package| package.split(':').next().unwrap_or_default().to_owned());
        owners.entry(PathBuf::from(path)).or_default().extend(packages);
    }
    owners
}

#[test]
fn the_set_up_installs_every_program_that_tests_and_scripts_call() {
    let mut called: BTreeMap<String, String> = BTreeMap::new();
    let mut note = |names: BTreeSet<String>, path: &Path| {
        let by = path.strip_prefix(root()).unwrap().to_string_lossy().into_owned();
        names.into_iter().for_each(|name| _ = called.entry(name).or_insert(by.clone()));
    };
    for path in [files("tests"), files("daemon/src"), files("daemon/benches")].concat() {
        if path.extension().is_some_and(|ending| ending == "rs") {
            // Of `run` there are others.
            let is_tools = path.starts_with(root().join("tests/files"));
            let mut text = fs::read_to_string(&path).unwrap();
            if is_tools {
                text = text.replace(" run(", " run_tool(");
            }
            let (names, unknown) = called_by_rust(&text);
            let is_this = path.ends_with("tests/programs.rs");
            assert!(is_this || unknown.is_empty(), "{}: which program is {unknown:?}?", path.display());
            note(if is_this { BTreeSet::new() } else { names }, &path);
        }
    }
    let makefile = fs::read_to_string(root().join("Makefile")).unwrap();
    let recipes = makefile.lines().filter_map(|line| line.strip_prefix('\t'));
    let recipes: Vec<&str> = recipes.map(|line| line.trim_start_matches(['@', '-'])).collect();
    let recipes = recipes
        .join("\n")
        .replace("$(CARGO)", "cargo")
        .replace("$(MAKE)", "make")
        .replace("$$(", "\n")
        .replace("$(", "$");
    note(called_by_shell(&recipes), &root().join("Makefile"));
    let mut wanted = variable(&makefile, "TEST_PACKAGES");
    // A C compiler is what the set-up looks for first.
    wanted.push("gcc".to_owned());
    let scripts =
        [files("tests/lab"), vec![root().join("tests/setup"), root().join("tests/clients/setup")]].concat();
    let texts: Vec<String> = scripts.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    let ours: BTreeSet<String> = texts.iter().flat_map(|text| functions(text)).collect();
    for (path, text) in scripts.iter().zip(&texts) {
        note(called_by_shell(text).difference(&ours).cloned().collect(), path);
        // What a script of the lab has installed for itself, and has in the machines that it makes.
        for line in text.lines() {
            let own = line.split_once("../setup\" ").map_or("", |(_, packages)| packages);
            let inside = line.split_once("--include=").map_or("", |(_, packages)| packages);
            let inside = inside.split(' ').next().unwrap_or_default();
            wanted.extend(own.split([' ', ',']).chain(inside.split(',')).map(ToOwned::to_owned));
        }
    }
    for line in makefile.lines() {
        let own = line.split_once("@tests/setup ").map_or("", |(_, packages)| packages);
        wanted.extend(own.split(' ').map(ToOwned::to_owned));
    }
    let Some(packages) = Packages::installed() else {
        eprintln!("skipped: no dpkg here");
        return;
    };
    let by_name: BTreeSet<&str> = wanted.iter().filter_map(|word| Some(word.split_once(':')?.0)).collect();
    let come = packages.with_needs(wanted.iter().map(|word| word.rsplit(':').next().unwrap().to_owned()));
    let found: BTreeMap<&String, PathBuf> =
        called.keys().filter_map(|name| Some((name, which(name)?))).collect();
    let owners = owners(&found.values().flat_map(|path| names_of(path)).collect::<Vec<_>>());
    let mut missing = Vec::new();
    for (name, by) in &called {
        if GIVEN.contains(&name.as_str()) || by_name.contains(name.as_str()) {
            continue;
        }
        let Some(path) = found.get(name) else {
            // What only the lab wants is installed when the lab first runs.
            match by.starts_with("tests/lab/") {
                true => eprintln!("not here, of the lab: {name} ({by})"),
                false => missing.push(format!("{name}, which {by} calls, is not here")),
            }
            continue;
        };
        let of: Vec<&String> = names_of(path).iter().filter_map(|name| owners.get(name)).flatten().collect();
        if !of.iter().any(|package| come.contains(*package)) {
            missing.push(format!("{name}, which {by} calls, is of {of:?}"));
        }
    }
    assert!(missing.is_empty(), "TEST_PACKAGES in the Makefile lacks a package:\n{}", missing.join("\n"));
}

#[test]
fn called_programs_are_found_in_the_sources() {
    let (called, unknown) =
        called_by_rust("Command::new(\"kill\"); bus.serve(\n  \"/usr/x\", 1); Command::new(what)");
    assert_eq!(called, ["kill", "/usr/x"].map(ToOwned::to_owned).into());
    assert_eq!(unknown, ["what)"]);
    let script = "f() { grep x; }\nif ! cmp -s a b || [ -d c ]; then A=1 npm install >x; fi\ncat <<END\nno such\nEND\n\
                  grep \"no (such)\" | awk '{print; system(\"no\")}' # nothing\nx=$(sed -n 1p y)\n";
    let names = ["awk", "cat", "cmp", "grep", "npm", "sed"];
    let called: Vec<_> = called_by_shell(script).difference(&functions(script)).cloned().collect();
    assert_eq!(called, names);
}
