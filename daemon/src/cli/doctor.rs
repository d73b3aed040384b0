//! `lacquer doctor`: checks the machine, and a station, for real-time audio; prints each problem and its fix.

use super::{Outcome, complain, print};
use crate::doctor::{Finding, Machine, station};
use crate::station::load;
use std::path::Path;

pub(super) fn run(path: Option<&Path>, as_json: bool) -> Outcome {
    let mut findings = Machine::here().check();
    findings.push(station::state_folder());
    if let Some(path) = path {
        match load::station(path, None) {
            Ok(loaded) => findings.extend(station::check(&loaded.station)),
            Err(reports) => {
                return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
            }
        }
    }
    let output = if as_json { json(&findings) } else { text(&findings) };
    match print(&output) {
        Outcome::Done if findings.iter().any(|finding| finding.fix.is_some()) => Outcome::Wrong,
        outcome => outcome,
    }
}

fn text(findings: &[Finding]) -> String {
    let wide = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let word = if finding.fix.is_some() { "fix " } else { "fine" };
        lines.push(format!("{word}  {:wide$}  {}", finding.what, finding.found));
        lines.extend(finding.fix.iter().map(|fix| format!("      {fix}")));
    }
    lines.join("\n")
}

/// A list of objects: what was checked, what was found, and how to fix it, or null. `mend` is the old name of `fix`;
/// scripts that read it work for one more release.
fn json(findings: &[Finding]) -> String {
    let object = |finding: &Finding| {
        let Finding { what, found, fix } = finding;
        serde_json::json!({"what": what, "found": found, "fix": fix, "mend": fix})
    };
    format!("{:#}", serde_json::Value::Array(findings.iter().map(object).collect()))
}
