//! `lacquer graph`: the plan of a chain.

use super::{Outcome, complain, print};
use crate::station::load;
use lacquer_graph::plan::{Feed, From, Plan};
use std::fmt::Write;
use std::path::Path;

pub(super) fn run(chain: &Path, dot: bool, rate: f64) -> Outcome {
    match load::chain(chain, None, rate) {
        Ok((_, plan)) if dot => print(&graphviz(&plan)),
        Ok((_, plan)) => print(&plan.to_string()),
        Err(report) => complain(&report, Outcome::Wrong),
    }
}

/// The plan as a Graphviz graph.
fn graphviz(plan: &Plan) -> String {
    let mut text = format!("digraph \"{}\" {{\n  rankdir=LR; node [shape=box];\n", plan.name);
    let mut line = |line: String| writeln!(text, "  {line}").ok();
    let name = |from: From| match from {
        From::Input(group) => format!("\"input.{}\"", plan.io.inputs[group].name),
        From::Node(node) => format!("\"{}\"", plan.nodes[node].id),
    };
    let edge = |feed: &Feed, to: &str, style: &str| {
        let delay = if feed.delay > 0 { format!("+{} ", feed.delay) } else { String::new() };
        let gain = if feed.gain == 1.0 {
            String::new()
        } else {
            format!("{:+.1} dB", lacquer_graph::param::gain_to_db(feed.gain))
        };
        format!("{} -> {to} [label=\"{delay}{gain}\"{style}];", name(feed.from))
    };
    for node in &plan.nodes {
        let latency = if node.latency > 0 { format!("\\n{} frames", node.latency) } else { String::new() };
        line(format!("\"{}\" [label=\"{}\\n{}{latency}\"];", node.id, node.id, node.node_type.name));
        let to = format!("\"{}\"", node.id);
        node.feeds.iter().for_each(|feed| _ = line(edge(feed, &to, "")));
        node.key.iter().for_each(|feed| _ = line(edge(feed, &to, ", style=dashed")));
    }
    for (group, output) in plan.io.outputs.iter().zip(&plan.outputs) {
        let to = format!("\"output.{}\"", group.name);
        output.feeds.iter().for_each(|feed| _ = line(edge(feed, &to, "")));
    }
    text + "}\n"
}
