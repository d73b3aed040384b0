//! A plan: a spec at one sample rate, checked, ordered, latency-aligned, with buffers assigned.
//!
//! Plain data: it can be printed (see [`Plan`]'s `Display`) and compared, and a chain is built from it.

pub mod diff;
pub(crate) mod planner;

use crate::file::error::Mistake;
use crate::file::spec::Spec;
use crate::node::NodeType;
use crate::param::text::{Data, Loader, no_files};
use crate::plan::planner::plan;
use std::fmt;
use std::sync::Arc;

/// A named group of channels of a station.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Its name, as in `input.NAME`.
    pub name: String,
    /// Number of channels, 1 to 8.
    pub channels: usize,
}

/// The inputs and outputs of a chain. The first input group is `input`; the last node feeds the first output group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Io {
    /// Input groups.
    pub inputs: Vec<Group>,
    /// Output groups.
    pub outputs: Vec<Group>,
}

impl Io {
    /// One stereo input group and one stereo output group.
    pub fn stereo() -> Self {
        let group = |name: &str| vec![Group { name: name.to_owned(), channels: 2 }];
        Self { inputs: group("programme"), outputs: group("master") }
    }

    /// Stereo, with a stereo group for every `input.NAME` and every output in `spec`: for checking a chain
    /// file without a station.
    pub fn assumed(spec: &Spec) -> Self {
        let mut io = Self::stereo();
        let add = |groups: &mut Vec<Group>, name: &str| {
            if groups.iter().all(|group| group.name != name) {
                groups.push(Group { name: name.to_owned(), channels: 2 });
            }
        };
        let keys = spec.nodes.iter().flat_map(|node| node.feeds.iter().chain(&node.key).flatten());
        for feed in keys.chain(spec.outputs.iter().flat_map(|output| &output.feeds)) {
            if let Some(name) = feed.from.strip_prefix("input.") {
                add(&mut io.inputs, name);
            }
        }
        spec.outputs.iter().for_each(|output| add(&mut io.outputs, &output.name));
        io
    }

    /// Number of channels of all input groups.
    pub fn input_channels(&self) -> usize {
        self.inputs.iter().map(|group| group.channels).sum()
    }

    /// Number of channels of all output groups.
    pub fn output_channels(&self) -> usize {
        self.outputs.iter().map(|group| group.channels).sum()
    }
}

/// The source of a feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    /// An input group, by index.
    Input(usize),
    /// A node, by its index in [`Plan::nodes`].
    Node(usize),
}

/// One source of a sum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Feed {
    /// Its source.
    pub from: From,
    /// Gain as a linear factor.
    pub gain: f64,
    /// Delay in frames that aligns it with the other sources.
    pub delay: usize,
    /// Number of its channels.
    pub channels: usize,
}

/// A node in the order of the plan.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanNode {
    /// Its id.
    pub id: String,
    /// Its type.
    pub node_type: &'static NodeType,
    /// False if it starts bypassed.
    pub enabled: bool,
    /// Unit values of all its rows.
    pub values: Vec<f64>,
    /// The data of each of its text settings.
    pub data: Vec<Option<Arc<Data>>>,
    /// Number of output channels.
    pub channels: usize,
    /// Number of channels of its side-chain input, if it is connected.
    pub(crate) key_channels: Option<usize>,
    /// Its sources.
    pub feeds: Vec<Feed>,
    /// The sources of its side-chain input.
    pub key: Vec<Feed>,
    /// Latency in frames from the inputs of the chain to its input.
    pub arrival: usize,
    /// Latency in frames from its input to its output.
    pub latency: usize,
    /// Index of the buffer that it processes.
    pub slot: usize,
    /// Index of the buffer of its side-chain input.
    pub(crate) key_slot: Option<usize>,
    /// Whether its only source has the same buffer.
    pub in_place: bool,
}

/// The feeds of one output group.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanOutput {
    /// Its sources; without any it is silent. Their delays include the padding.
    pub feeds: Vec<Feed>,
}

/// A spec at one sample rate: checked, ordered, latency-aligned, with buffers assigned.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    /// The chain's name.
    pub name: String,
    /// Sample rate in Hz.
    pub sample_rate: f64,
    /// Its inputs and outputs.
    pub io: Io,
    /// The nodes, in running order.
    pub nodes: Vec<PlanNode>,
    /// One for each output group.
    pub outputs: Vec<PlanOutput>,
    /// Number of buffers.
    pub slots: usize,
    /// Latency of its nodes in frames, from input to output.
    pub latency: usize,
    /// Latency in frames after padding; at least `latency`.
    pub total: usize,
}

impl Plan {
    /// `[control]` Plans `spec` for a station with `io` at `sample_rate` Hz. Returns all errors, not just the first. A
    /// path in `spec` is an error here, because no file can be read.
    pub fn new(spec: &Spec, io: &Io, sample_rate: f64) -> Result<Self, Vec<Mistake>> {
        Self::with(spec, io, sample_rate, &no_files)
    }

    /// `[control]` The same; `load` loads the files of the paths in `spec`.
    pub fn with(spec: &Spec, io: &Io, sample_rate: f64, load: &Loader<'_>) -> Result<Self, Vec<Mistake>> {
        plan(spec, io, sample_rate, load)
    }

    /// `[control]` Pads every output to a latency of `total` frames; less than it has already has no effect.
    pub fn pad(&mut self, total: usize) {
        let total = total.max(self.total);
        for feed in self.outputs.iter_mut().flat_map(|output| &mut output.feeds) {
            feed.delay += total - self.total;
        }
        self.total = total;
    }

    /// The index of the node with this id.
    pub fn find(&self, id: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |feed: &Feed| {
            let mut text = match feed.from {
                From::Input(0) => "input".to_owned(),
                From::Input(group) => format!("input.{}", self.io.inputs[group].name),
                From::Node(at) => self.nodes[at].id.clone(),
            };
            if feed.gain != 1.0 {
                text += &format!(" {:+.1} dB", crate::param::gain_to_db(feed.gain));
            }
            if feed.delay > 0 {
                text += &format!(" +{}", feed.delay);
            }
            text
        };
        let sum = |feeds: &[Feed]| feeds.iter().map(name).collect::<Vec<_>>().join(", ");
        let groups = |groups: &[Group]| {
            groups.iter().map(|g| format!("{} {}", g.name, g.channels)).collect::<Vec<_>>().join(", ")
        };
        writeln!(f, "chain {} at {} Hz", self.name, self.sample_rate)?;
        writeln!(f, "in       {}", groups(&self.io.inputs))?;
        for (at, node) in self.nodes.iter().enumerate() {
            let id = format!("\"{}\"", node.id);
            write!(
                f,
                "{at:>3} {:<11}{id:<14} {} ch {:>6} frames",
                node.node_type.name, node.channels, node.latency
            )?;
            write!(f, "  buffer {}{}", node.slot, if node.in_place { " in place" } else { "" })?;
            if !node.feeds.is_empty() {
                write!(f, "  <- {}", sum(&node.feeds))?;
            }
            if let Some(slot) = node.key_slot {
                write!(f, "  key {slot} <- {}", sum(&node.key))?;
            }
            writeln!(f, "{}", if node.enabled { "" } else { "  (bypassed)" })?;
        }
        for (group, output) in self.io.outputs.iter().zip(&self.outputs) {
            writeln!(f, "out      {} {}  <- {}", group.name, group.channels, sum(&output.feeds))?;
        }
        writeln!(f, "buffers  {}", self.slots)?;
        let ms = |frames: usize| frames as f64 * 1000.0 / self.sample_rate;
        write!(f, "latency  {} frames = {:.2} ms", self.latency, ms(self.latency))?;
        if self.total > self.latency {
            write!(f, ", padded to {} frames = {:.2} ms", self.total, ms(self.total))?;
        }
        writeln!(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_never_takes_padding_away() {
        let (spec, _) = Spec::parse(b"nodes: [limiter: {lookahead: 2 ms}]");
        let mut plan = Plan::new(&spec, &Io::stereo(), 48_000.0).unwrap();
        plan.pad(960);
        let padded = plan.clone();
        plan.pad(480);
        assert_eq!(plan, padded);
        assert_eq!(plan.total, 960);
    }
}
