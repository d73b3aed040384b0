//! What differs between two plans: what a swap from one to the other will do.

use crate::plan::{From, Plan, PlanNode};
use std::cmp::Reverse;

/// The difference between the plan of a chain and that of the chain that follows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diff {
    /// Nodes of both, by their places before and after: same id and same type. They keep their state.
    pub kept: Vec<(usize, usize)>,
    /// Of the kept nodes, by their places after: those with other values, texts, sources or another bypass.
    pub changed: Vec<usize>,
    /// Of the kept nodes, by their places after: the fewest whose move explains the new running order.
    pub moved: Vec<usize>,
    /// Nodes that only the plan after has, by their places in it.
    pub added: Vec<usize>,
    /// Nodes that only the plan before has, by their places in it.
    pub removed: Vec<usize>,
    /// Latency of the nodes before and after, in frames, without padding.
    pub latency: [usize; 2],
    /// Whether the plans are equal in all.
    is_empty: bool,
}

impl Diff {
    /// The difference between `before` and `after`.
    pub fn between(before: &Plan, after: &Plan) -> Self {
        let is_same =
            |(old, new): &(usize, usize)| before.nodes[*old].node_type == after.nodes[*new].node_type;
        let places = after.nodes.iter().enumerate();
        let pairs = places.filter_map(|(new, node)| Some((before.find(&node.id)?, new)));
        let kept: Vec<(usize, usize)> = pairs.filter(is_same).collect();
        let has =
            |place: fn(&(usize, usize)) -> usize, at: &usize| kept.iter().any(|pair| place(pair) == *at);
        let is_changed = |(old, new): &&(usize, usize)| {
            let (old, new) = (&before.nodes[*old], &after.nodes[*new]);
            let shape = |node: &PlanNode| (node.enabled, node.channels, node.key_channels);
            let is_set_alike = shape(old) == shape(new) && old.values == new.values && old.data == new.data;
            !is_set_alike || sources(before, old) != sources(after, new)
        };
        Self {
            changed: kept.iter().filter(is_changed).map(|(_, new)| *new).collect(),
            moved: moved(&kept),
            added: (0..after.nodes.len()).filter(|at| !has(|pair| pair.1, at)).collect(),
            removed: (0..before.nodes.len()).filter(|at| !has(|pair| pair.0, at)).collect(),
            latency: [before.latency, after.latency],
            is_empty: before == after,
            kept,
        }
    }

    /// Whether the plans are equal, so that a swap would change nothing.
    pub fn is_empty(&self) -> bool {
        self.is_empty
    }

    /// The ids of the nodes, one word and its list for each kind of difference. `before` and `after` are the plans.
    pub fn lists<'a>(&self, before: &'a Plan, after: &'a Plan) -> [(&'static str, Vec<&'a str>); 5] {
        let ids =
            |plan: &'a Plan, places: &[usize]| places.iter().map(|at| plan.nodes[*at].id.as_str()).collect();
        let kept: Vec<usize> = self.kept.iter().map(|(_, new)| *new).collect();
        [
            ("added", ids(after, &self.added)),
            ("removed", ids(before, &self.removed)),
            ("kept", ids(after, &kept)),
            ("changed", ids(after, &self.changed)),
            ("moved", ids(after, &self.moved)),
        ]
    }

    /// The difference as text: a line for each kind of difference, and the latencies.
    pub fn text(&self, before: &Plan, after: &Plan) -> String {
        let ms = |frames: usize| frames as f64 * 1000.0 / after.sample_rate;
        let mut text = format!("{} -> {} at {} Hz\n", before.name, after.name, after.sample_rate);
        for (word, ids) in self.lists(before, after) {
            text += &format!("{word:<9}{}\n", if ids.is_empty() { "-".to_owned() } else { ids.join(", ") });
        }
        let [old, new] = self.latency;
        text + &format!("latency  {old} -> {new} frames = {:.2} -> {:.2} ms\n", ms(old), ms(new))
    }
}

/// The sources of a node with their gains, and behind them those of its side-chain input.
fn sources<'a>(plan: &'a Plan, node: &PlanNode) -> [Vec<(&'a str, f64)>; 2] {
    let name = |from: From| match from {
        From::Input(group) => plan.io.inputs[group].name.as_str(),
        From::Node(at) => plan.nodes[at].id.as_str(),
    };
    [&node.feeds, &node.key].map(|feeds| feeds.iter().map(|feed| (name(feed.from), feed.gain)).collect())
}

/// The places after of the nodes that left the order of the others: all but a longest run that kept it.
fn moved(kept: &[(usize, usize)]) -> Vec<usize> {
    // For each pair, the length of the longest such run that ends with it, and the pair before it there.
    let mut runs: Vec<(usize, Option<usize>)> = Vec::with_capacity(kept.len());
    for (at, (old, _)) in kept.iter().enumerate() {
        let earlier = (0..at).filter(|other| kept[*other].0 < *old);
        let best = earlier.max_by_key(|other| (runs[*other].0, Reverse(*other)));
        runs.push((best.map_or(1, |other| runs[other].0 + 1), best));
    }
    let mut stays = vec![false; kept.len()];
    let mut next = (0..kept.len()).max_by_key(|at| (runs[*at].0, Reverse(*at)));
    while let Some(at) = next {
        stays[at] = true;
        next = runs[at].1;
    }
    kept.iter().zip(stays).filter(|(_, stays)| !stays).map(|((_, new), _)| *new).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;
    use crate::file::spec::Spec;
    use crate::plan::Io;

    fn plan(nodes: &str) -> Plan {
        let text = format!("name: chain\nnodes:\n{nodes}");
        Plan::new(&Spec::parse(text.as_bytes()).0, &Io::stereo(), 48_000.0).unwrap()
    }

    const BEFORE: &str = "
  - eq: {id: tone}
  - compressor: {id: glue, threshold: -20 dB}
  - stereo: {id: width}
  - limiter: {id: ceiling}
";

    #[test]
    fn the_lists_name_what_a_swap_does_with_each_node() {
        let after = plan(
            "
  - stereo: {id: width}
  - eq: {id: tone}
  - compressor: {id: glue, threshold: -18 dB}
  - exciter: {id: air}
  - clipper: {id: ceiling}
",
        );
        let before = plan(BEFORE);
        let diff = Diff::between(&before, &after);
        let lists = diff.lists(&before, &after).map(|(word, ids)| format!("{word} {}", ids.join(" ")));
        let wanted = [
            "added air ceiling",
            "removed ceiling",
            "kept width tone glue",
            // The first node has another source, and so has the one that stood behind it.
            "changed width tone glue",
            "moved width",
        ];
        assert_eq!(lists, wanted);
        assert_eq!(diff.latency, [before.latency, after.latency]);
        assert!(!diff.is_empty());
    }

    #[test]
    fn a_plan_differs_in_nothing_from_itself_and_in_one_node_where_that_is_bypassed() {
        let before = plan(BEFORE);
        let same = Diff::between(&before, &before);
        assert!(same.is_empty() && same.moved.is_empty() && same.changed.is_empty());
        let mut after = before.clone();
        after.nodes[1].enabled = false;
        let diff = Diff::between(&before, &after);
        assert_eq!((diff.changed.as_slice(), diff.is_empty()), (&[1][..], false));
        let mut padded = before.clone();
        padded.pad(before.total + 64);
        assert!(!Diff::between(&before, &padded).is_empty());
    }

    #[test]
    fn the_fewest_nodes_are_named_as_moved() {
        let order = |old: &[usize]| old.iter().enumerate().map(|(new, old)| (*old, new)).collect::<Vec<_>>();
        for (old, places) in [
            (&[0, 1, 2, 3][..], &[][..]),
            (&[3, 0, 1, 2], &[0]),
            (&[1, 2, 3, 0], &[3]),
            (&[3, 2, 1, 0], &[1, 2, 3]),
            (&[0, 2, 1, 4, 3], &[2, 4]),
            (&[], &[]),
        ] {
            assert_eq!(moved(&order(old)), places, "{old:?}");
        }
    }
}
