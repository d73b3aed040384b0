//! Counted instructions of each node type, some ready chains, a swap, a plan and a build, compared with approved
//! figures.
//!
//! `make bench-counts` runs it. It runs itself again under Valgrind's callgrind, which gives the same counts for the
//! same code, however busy the machine is. Valgrind does not support AVX-512, so the code for AVX2 is counted, in the
//! development build: optimised, with the checks of development.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a count that fails has failed")]
#![allow(clippy::disallowed_methods, reason = "figures are in a file")]

mod cases;
#[path = "../common/mod.rs"]
mod common;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

/// The file of approved figures.
const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/counts.txt");
/// Largest increase of a figure in percent; after a decrease by more than that, the figures should be renewed.
const ALLOWED: f64 = 3.0;

fn main() -> ExitCode {
    if std::env::args().any(|word| word == "--play") {
        cases::cases().iter().for_each(|case| (case.play)());
        return ExitCode::SUCCESS;
    }
    let counts = count();
    let place = place();
    if std::env::var_os("LACQUER_APPROVE").is_some() {
        fs::write(FIGURES, text(&place, &counts)).unwrap();
        println!("{FIGURES}: renewed");
        return ExitCode::SUCCESS;
    }
    compare(&fs::read_to_string(FIGURES).unwrap(), &place, &counts)
}

/// Plays all cases under callgrind, and reads the count of each.
fn count() -> Vec<(String, u64)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("counts-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    // A mark is a function: callgrind counts inside it, and writes a file with the next number at its end.
    let status = Command::new("valgrind")
        .args([
            "--tool=callgrind",
            "--quiet",
            "--toggle-collect=*cases::counted",
            "--dump-after=*cases::counted",
        ])
        .arg(format!("--callgrind-out-file={}", folder.join("out").display()))
        .arg(std::env::current_exe().unwrap())
        .arg("--play")
        .status();
    assert!(status.expect("valgrind: installed by make setup-test").success(), "valgrind has failed");
    let read = |(at, case): (usize, cases::Case)| {
        let text = fs::read_to_string(folder.join(format!("out.{}", at + 1))).unwrap();
        let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).unwrap();
        (case.name, total.trim().parse().unwrap())
    };
    let counts = cases::cases().into_iter().enumerate().map(read).collect();
    fs::remove_dir_all(&folder).unwrap();
    counts
}

/// The environment that the counts depend on, besides the code.
fn place() -> [String; 4] {
    let first = |command: &str, arg: &str| {
        let out = Command::new(command).arg(arg).output();
        let text = out.map(|out| String::from_utf8_lossy(&out.stdout).trim().to_owned());
        text.ok().and_then(|text| text.lines().next().map(str::to_owned)).unwrap_or_default()
    };
    #[cfg(target_arch = "x86_64")]
    let has_avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    #[cfg(not(target_arch = "x86_64"))]
    let has_avx2 = false;
    [
        format!("compiler: {}", first("rustc", "--version")),
        format!("library: {}", first("getconf", "GNU_LIBC_VERSION")),
        format!("counted by: {}", first("valgrind", "--version")),
        format!(
            "processor: {}, {}",
            std::env::consts::ARCH,
            if has_avx2 { "AVX2 and FMA" } else { "no AVX2" }
        ),
    ]
}

fn text(place: &[String], counts: &[(String, u64)]) -> String {
    let mut text = "# Instructions that each bench of graph/benches/counts takes: the nodes and chains for 256 sub-blocks of 64 frames\n\
                    # in stereo. `make bench-counts` compares, `make bench-counts APPROVE=1` renews. The counts hold where these hold:\n"
        .to_owned();
    place.iter().for_each(|line| _ = writeln!(text, "{line}"));
    counts.iter().for_each(|(name, count)| _ = writeln!(text, "{name:<30} {count:>10}"));
    text
}

fn compare(approved: &str, place: &[String], counts: &[(String, u64)]) -> ExitCode {
    let known = |name: &str| {
        let mut lines = approved.lines().filter_map(|line| line.rsplit_once(' '));
        lines.find(|(known, _)| known.trim() == name)?.1.parse::<u64>().ok()
    };
    let (mut worse, mut better) = (Vec::new(), Vec::new());
    println!("{:<30} {:>11} {:>11}", "instructions", "approved", "now");
    for (name, count) in counts {
        let Some(before) = known(name) else {
            println!("{name:<30} {:>11} {count:>11}", "-");
            worse.push(format!("{name} (not in the file yet)"));
            continue;
        };
        let percent = 100.0 * (*count as f64 / before as f64 - 1.0);
        println!("{name:<30} {before:>11} {count:>11} {percent:>+7.2} %");
        let list = if percent > ALLOWED { &mut worse } else { &mut better };
        if percent.abs() > ALLOWED {
            list.push(format!("{name} ({percent:+.1} %)"));
        }
    }
    let elsewhere: Vec<_> =
        place.iter().filter(|line| !approved.lines().any(|known| known == *line)).collect();
    if !elsewhere.is_empty() {
        println!(
            "no comparison: the approved figures are for another environment; this one has {elsewhere:?}"
        );
        return ExitCode::SUCCESS;
    }
    let renew = "`make bench-counts APPROVE=1` renews the figures";
    if !better.is_empty() {
        println!("better by more than {ALLOWED} %: {}; {renew}", better.join(", "));
    }
    if worse.is_empty() {
        return ExitCode::SUCCESS;
    }
    println!("worse by more than {ALLOWED} %: {}; if that is intended, {renew}", worse.join(", "));
    ExitCode::FAILURE
}
