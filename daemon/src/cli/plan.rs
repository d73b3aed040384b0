//! `lacquer plan`: what a swap from one chain of a station to another does.

use super::{Outcome, complain, print};
use crate::station::load;
use lacquer_graph::param::hint::Hint;
use lacquer_graph::plan::Plan;
use lacquer_graph::plan::diff::Diff;
use std::path::Path;

pub(super) fn run(station: &Path, to: Option<&str>, from: Option<&str>) -> Outcome {
    let loaded = match load::station(station, None) {
        Ok(loaded) => loaded,
        Err(reports) => {
            return reports.iter().fold(Outcome::Done, |_, report| complain(report, Outcome::Wrong));
        }
    };
    let plans: Vec<&Plan> = loaded.chains.iter().map(|(_, plan)| &**plan).collect();
    let (from, to) = match (find(&plans, from.unwrap_or(loaded.start())), to.map(|to| find(&plans, to))) {
        (Err(why), _) | (_, Some(Err(why))) => return complain(&why, Outcome::Misused),
        (Ok(from), Some(Ok(to))) => (from, vec![to]),
        (Ok(from), None) => (from, plans.into_iter().filter(|plan| plan.name != from.name).collect()),
    };
    let texts: Vec<String> = to.into_iter().map(|to| Diff::between(from, to).text(from, to)).collect();
    print(texts.join("\n").trim_end())
}

fn find<'a>(plans: &[&'a Plan], name: &str) -> Result<&'a Plan, String> {
    plans.iter().copied().find(|plan| plan.name == name).ok_or_else(|| {
        let names: Vec<&str> = plans.iter().map(|plan| plan.name.as_str()).collect();
        let hint = Hint::nearest(name, names.iter().copied());
        format!("no chain \"{name}\"{hint}; there are {}", names.join(", "))
    })
}
