//! `lacquer doctor`: what of this machine stands in the way, and what to do.

use super::{Outcome, complain, print};
use crate::doctor::{Finding, Machine, station};
use crate::station::load;
use std::path::Path;

pub(super) fn run(path: Option<&Path>, as_json: bool) -> Outcome {
    let mut findings = Machine::here().look();
    findings.push(station::place());
    if let Some(path) = path {
        match load::station(path, None) {
            Ok(loaded) => findings.extend(station::look(&loaded.station)),
            Err(reports) => {
                return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
            }
        }
    }
    let told = if as_json { json(&findings) } else { text(&findings) };
    match print(&told) {
        Outcome::Done if findings.iter().any(|finding| finding.mend.is_some()) => Outcome::Wrong,
        outcome => outcome,
    }
}

fn text(findings: &[Finding]) -> String {
    let wide = findings.iter().map(|finding| finding.what.len()).max().unwrap_or(0);
    let mut lines = Vec::new();
    for finding in findings {
        let word = if finding.mend.is_some() { "mend" } else { "fine" };
        lines.push(format!("{word}  {:wide$}  {}", finding.what, finding.found));
        lines.extend(finding.mend.iter().map(|mend| format!("      {mend}")));
    }
    lines.join("\n")
}

/// A list of what was looked at, what was found, and what to do, where something is.
fn json(findings: &[Finding]) -> String {
    format!("{:#}", serde_json::json!(findings))
}
