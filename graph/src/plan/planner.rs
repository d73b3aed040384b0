//! Makes a plan from a spec: connections, running order, delays and buffers.

use crate::block::MAX_CHANNELS;
use crate::file::error::{At, Mistake, Problem};
use crate::file::spec::{FEED_GAIN, FeedSpec, NodeSpec, Spec};
use crate::node::{Ports, Setup};
use crate::param::db_to_gain;
use crate::param::hint::Hint;
use crate::param::text::{self, Data, Loader};
use crate::plan::{Feed, From, Io, Plan, PlanNode, PlanOutput};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `[control]` Plans `spec`; see [`Plan::new`].
pub(crate) fn plan(spec: &Spec, io: &Io, sample_rate: f64, load: &Loader<'_>) -> Result<Plan, Vec<Mistake>> {
    let mut planner = Planner { spec, io, ids: BTreeMap::new(), mistakes: Vec::new() };
    match planner.plan(sample_rate, load) {
        Some(plan) if planner.mistakes.is_empty() => Ok(plan),
        _ => Err(planner.mistakes),
    }
}

/// A source before the nodes are ordered: nodes by their index in the spec.
type Link = (From, usize);

struct Planner<'a> {
    spec: &'a Spec,
    io: &'a Io,
    ids: BTreeMap<&'a str, usize>,
    mistakes: Vec<Mistake>,
}

impl<'a> Planner<'a> {
    fn plan(&mut self, sample_rate: f64, load: &Loader<'_>) -> Option<Plan> {
        let spec = self.spec;
        self.ids = spec.nodes.iter().enumerate().map(|(i, node)| (node.id.as_str(), i)).collect();
        if spec.nodes.is_empty() {
            return None;
        }
        let mut feeds: Vec<Vec<FeedSpec>> = Vec::new();
        for (i, node) in spec.nodes.iter().enumerate() {
            feeds.push(self.feeds_of(i, node));
        }
        let outputs = self.outputs();
        let links: Vec<Vec<Link>> = (0..spec.nodes.len())
            .map(|i| {
                let key = spec.nodes[i].key.iter().flatten();
                feeds[i].iter().chain(key).filter_map(|feed| self.link(feed)).collect()
            })
            .collect();
        for (i, node) in spec.nodes.iter().enumerate() {
            for feed in feeds[i].iter().chain(node.key.iter().flatten()) {
                self.check_source(&node.owner(), feed);
            }
        }
        for feed in outputs.iter().flatten() {
            self.check_source("output", feed);
        }
        self.check_used(&links, &outputs);
        let data: Vec<_> = spec.nodes.iter().map(|node| self.data(node, sample_rate, load)).collect();
        let order = self.order(&links)?;
        if spec.nodes.iter().any(|node| node.node_type.is_none()) {
            return None;
        }
        self.assemble(sample_rate, &order, &feeds, &outputs, data)
    }

    /// The data of the text settings of a node.
    fn data(&mut self, node: &NodeSpec, rate: f64, load: &Loader<'_>) -> Vec<Option<Arc<Data>>> {
        let texts = node.node_type.map_or(&[][..], |node_type| node_type.texts);
        let mut data = Vec::with_capacity(texts.len());
        for (text, written) in texts.iter().zip(&node.texts) {
            data.push(text::read(text.form, &written.text, rate, load).unwrap_or_else(|why| {
                let (owner, key, found) = (node.owner(), text.name, written.text.chars().take(80).collect());
                let why = why.to_string();
                self.mistakes.push(Mistake::new(written.at, Problem::BadText { owner, key, found, why }));
                None
            }));
        }
        data
    }

    /// The feeds of node `i`: those in the file, else the previous node.
    fn feeds_of(&mut self, i: usize, node: &NodeSpec) -> Vec<FeedSpec> {
        let is_source = node.node_type.is_some_and(|node_type| matches!(node_type.ports, Ports::Source(_)));
        match (&node.feeds, is_source) {
            (Some(_), true) => {
                self.mistakes.push(Mistake::new(node.at, Problem::NoInput { owner: node.owner() }));
                Vec::new()
            }
            (None, true) => Vec::new(),
            (Some(feeds), false) => feeds.clone(),
            (None, false) => {
                let before = i.checked_sub(1).map_or("input", |before| self.spec.nodes[before].id.as_str());
                vec![FeedSpec { from: before.to_owned(), gain_db: 0.0, at: node.at }]
            }
        }
    }

    /// The feeds of each output group; the first is fed by the last node unless the file gives others.
    fn outputs(&mut self) -> Vec<Vec<FeedSpec>> {
        let mut outputs: Vec<Option<Vec<FeedSpec>>> = vec![None; self.io.outputs.len()];
        for output in &self.spec.outputs {
            match self.io.outputs.iter().position(|group| group.name == output.name) {
                Some(at) => outputs[at] = Some(output.feeds.clone()),
                None => {
                    let names: Vec<_> = self.io.outputs.iter().map(|group| group.name.as_str()).collect();
                    let hint = Hint::nearest(&output.name, names.iter().copied());
                    let problem =
                        Problem::UnknownOutput { name: output.name.clone(), hint, allowed: names.join(", ") };
                    self.mistakes.push(Mistake::new(output.at, problem));
                }
            }
        }
        if let (Some(first @ None), Some(last)) = (outputs.first_mut(), self.spec.nodes.last()) {
            *first = Some(vec![FeedSpec { from: last.id.clone(), gain_db: 0.0, at: last.at }]);
        }
        outputs.into_iter().map(Option::unwrap_or_default).collect()
    }

    fn input(&self, name: &str) -> Option<usize> {
        match name.strip_prefix("input") {
            Some("") if !self.io.inputs.is_empty() => Some(0),
            Some(rest) => {
                let name = rest.strip_prefix('.')?;
                self.io.inputs.iter().position(|group| group.name == name)
            }
            None => None,
        }
    }

    fn link(&self, feed: &FeedSpec) -> Option<Link> {
        if let Some(&node) = self.ids.get(feed.from.as_str()) {
            return Some((From::Node(node), node));
        }
        self.input(&feed.from).map(|group| (From::Input(group), group))
    }

    /// The node whose name is most similar to an unknown source: it must not be reported as unused too.
    fn similar_node(&self, feed: &FeedSpec) -> Option<Link> {
        let names = self.spec.nodes.iter().map(|node| node.id.as_str());
        let name = Hint::nearest(&feed.from, names).0?;
        self.ids.get(name.as_str()).map(|node| (From::Node(*node), *node))
    }

    fn check_source(&mut self, owner: &str, feed: &FeedSpec) {
        if self.link(feed).is_some() {
            return;
        }
        let mut names = vec!["input".to_owned()];
        names.extend(self.io.inputs.iter().map(|group| format!("input.{}", group.name)));
        names.extend(self.spec.nodes.iter().map(|node| node.id.clone()));
        let hint = Hint::nearest(&feed.from, names.iter().map(String::as_str));
        const SHOWN: usize = 12;
        let more = names.len().saturating_sub(SHOWN);
        names.truncate(SHOWN);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let allowed = format!("{}{more}", names.join(", "));
        let problem =
            Problem::UnknownSource { owner: owner.to_owned(), name: feed.from.clone(), hint, allowed };
        self.mistakes.push(Mistake::new(feed.at, problem));
    }

    /// Checks that every node reaches an output.
    fn check_used(&mut self, links: &[Vec<Link>], outputs: &[Vec<FeedSpec>]) {
        let mut used = vec![false; links.len()];
        let mut todo: Vec<usize> = Vec::new();
        let mut reach = |link: Option<Link>, todo: &mut Vec<usize>| {
            if let Some((From::Node(node), _)) = link
                && !std::mem::replace(&mut used[node], true)
            {
                todo.push(node);
            }
        };
        for feed in outputs.iter().flatten() {
            reach(self.link(feed), &mut todo);
        }
        let written = self.spec.nodes.iter().flat_map(|node| node.feeds.iter().chain(&node.key).flatten());
        for feed in written.filter(|feed| self.link(feed).is_none()) {
            reach(self.similar_node(feed), &mut todo);
        }
        while let Some(node) = todo.pop() {
            links[node].iter().for_each(|link| reach(Some(*link), &mut todo));
        }
        for (node, _) in self.spec.nodes.iter().zip(&used).filter(|(_, used)| !**used) {
            self.mistakes.push(Mistake::new(node.at, Problem::Unused { owner: node.owner() }));
        }
    }

    /// The running order: as written, but sources first. `None` if there is a cycle.
    fn order(&mut self, links: &[Vec<Link>]) -> Option<Vec<usize>> {
        let mut order = Vec::new();
        let mut done = vec![false; links.len()];
        for start in 0..links.len() {
            // Depth first, without recursion: (node, its next source).
            let mut path: Vec<(usize, usize)> = Vec::new();
            if !done[start] {
                path.push((start, 0));
            }
            while let Some((node, next)) = path.last_mut() {
                let node = *node;
                match links[node].get(*next) {
                    None => {
                        done[node] = true;
                        order.push(node);
                        path.pop();
                    }
                    Some((from, _)) => {
                        *next += 1;
                        let From::Node(source) = *from else { continue };
                        if let Some(at) = path.iter().position(|(node, _)| *node == source) {
                            self.report_cycle(&path[at..]);
                            return None;
                        }
                        if !done[source] {
                            path.push((source, 0));
                        }
                    }
                }
            }
        }
        Some(order)
    }

    /// Reports a cycle with its nodes in signal order.
    fn report_cycle(&mut self, path: &[(usize, usize)]) {
        let nodes = &self.spec.nodes;
        let first = path[0].0;
        let mut names: Vec<String> = path.iter().rev().map(|(node, _)| nodes[*node].id.clone()).collect();
        names.insert(0, nodes[first].id.clone());
        self.mistakes.push(Mistake::new(nodes[first].at, Problem::Cycle { path: names }));
    }

    fn assemble(
        &mut self,
        sample_rate: f64,
        order: &[usize],
        feeds: &[Vec<FeedSpec>],
        outputs: &[Vec<FeedSpec>],
        mut data: Vec<Vec<Option<Arc<Data>>>>,
    ) -> Option<Plan> {
        let mut place = vec![0; order.len()];
        order.iter().enumerate().for_each(|(at, node)| place[*node] = at);
        let mut nodes: Vec<PlanNode> = Vec::with_capacity(order.len());
        for &index in order {
            let spec = &self.spec.nodes[index];
            let mut main = self.resolve(&feeds[index], &place, &nodes);
            let mut key = self.resolve(spec.key.as_deref().unwrap_or_default(), &place, &nodes);
            let channels = self.channels(spec, &main, &feeds[index]);
            let key_channels =
                self.sum_channels(&spec.owner(), &key, spec.key.as_deref().unwrap_or_default());
            let arrival = align(&mut [&mut main, &mut key], &nodes);
            let node_type = spec.node_type?;
            let data = std::mem::take(&mut data[index]);
            let key_width = key_channels.unwrap_or(channels);
            let setup = Setup::new(node_type, sample_rate, channels, key_width, &spec.values, &data);
            let latency = (node_type.latency)(&setup);
            nodes.push(PlanNode {
                id: spec.id.clone(),
                node_type,
                enabled: spec.enabled,
                values: spec.values.clone(),
                data,
                channels,
                key_channels,
                feeds: main,
                key,
                arrival,
                latency,
                slot: 0,
                key_slot: None,
                in_place: false,
            });
        }
        let mut planned: Vec<PlanOutput> = Vec::new();
        for (group, specs) in self.io.outputs.iter().zip(outputs) {
            let feeds = self.resolve(specs, &place, &nodes);
            for (feed, spec) in feeds.iter().zip(specs).filter(|(feed, _)| feed.channels != group.channels) {
                let what = format!(
                    "it has {}, and \"{}\" has {}",
                    count(group.channels),
                    spec.from,
                    count(feed.channels)
                );
                self.channel_mistake(spec.at, format!("output \"{}\"", group.name), what);
            }
            planned.push(PlanOutput { feeds });
        }
        let mut sums: Vec<&mut Vec<Feed>> = planned.iter_mut().map(|output| &mut output.feeds).collect();
        let latency = align(&mut sums, &nodes);
        let slots = assign_slots(&mut nodes, &planned);
        Some(Plan {
            name: self.spec.name.clone(),
            sample_rate,
            io: self.io.clone(),
            nodes,
            outputs: planned,
            slots,
            latency,
            total: latency,
        })
    }

    fn resolve(&self, specs: &[FeedSpec], place: &[usize], nodes: &[PlanNode]) -> Vec<Feed> {
        let feed = |spec: &FeedSpec| {
            let (from, channels) = match self.link(spec)?.0 {
                From::Node(node) => (From::Node(place[node]), nodes[place[node]].channels),
                From::Input(group) => (From::Input(group), self.io.inputs[group].channels),
            };
            let gain = if spec.gain_db <= FEED_GAIN.min { 0.0 } else { db_to_gain(spec.gain_db) };
            Some(Feed { from, gain, delay: 0, channels })
        };
        specs.iter().filter_map(feed).collect()
    }

    /// Number of output channels of a node. Reports input channels that do not fit.
    fn channels(&mut self, spec: &NodeSpec, feeds: &[Feed], written: &[FeedSpec]) -> usize {
        let given = self.sum_channels(&spec.owner(), feeds, written).unwrap_or(2);
        let row = |slot: usize| spec.values.get(slot).map_or(0, |value| *value as usize);
        match spec.node_type.map(|node_type| node_type.ports) {
            Some(Ports::Source(slot)) => row(slot).clamp(1, MAX_CHANNELS),
            Some(Ports::Remix(slot)) if row(slot) > 0 => {
                let wanted = row(slot);
                if wanted != given && wanted != 1 && given != 1 {
                    let what = format!("it cannot convert {} to {wanted}", count(given));
                    let owner = spec.owner();
                    self.mistakes.push(Mistake::new(
                        spec.at,
                        Problem::Other(format!("{owner}: {what}; only 1 to several, or several to 1")),
                    ));
                }
                wanted
            }
            Some(Ports::Stereo) if given != 2 => {
                self.channel_mistake(
                    spec.at,
                    spec.owner(),
                    format!("it needs 2 channels, and its input has {given}"),
                );
                2
            }
            _ => given,
        }
    }

    /// Number of channels of a sum. All its sources must have the same number.
    fn sum_channels(&mut self, owner: &str, feeds: &[Feed], written: &[FeedSpec]) -> Option<usize> {
        let first = feeds.first()?.channels;
        if let Some((_, spec)) = feeds.iter().zip(written).find(|(feed, _)| feed.channels != first) {
            let list: Vec<_> = feeds.iter().map(|feed| feed.channels.to_string()).collect();
            let what = format!("its sources have {} channels and cannot be summed", list.join(" and "));
            self.channel_mistake(spec.at, owner.to_owned(), what);
        }
        Some(first)
    }

    fn channel_mistake(&mut self, at: At, owner: String, what: String) {
        self.mistakes.push(Mistake::new(at, Problem::Channels { owner, what }));
    }
}

fn count(channels: usize) -> String {
    if channels == 1 { "1 channel".to_owned() } else { format!("{channels} channels") }
}

/// Latency in frames from the chain's inputs to the output of a feed's source.
fn ready(feed: &Feed, nodes: &[PlanNode]) -> usize {
    match feed.from {
        From::Input(_) => 0,
        From::Node(at) => nodes[at].arrival + nodes[at].latency,
    }
}

/// Aligns all feeds of these sums with the latest one. Returns its latency in frames.
fn align(sums: &mut [&mut Vec<Feed>], nodes: &[PlanNode]) -> usize {
    let latest = sums.iter().flat_map(|sum| sum.iter()).map(|feed| ready(feed, nodes)).max().unwrap_or(0);
    for feed in sums.iter_mut().flat_map(|sum| sum.iter_mut()) {
        feed.delay = latest - ready(feed, nodes);
    }
    latest
}

/// Assigns a buffer to every node; a buffer is free again after its last use. A node whose only source
/// has no other reader works in place.
fn assign_slots(nodes: &mut [PlanNode], outputs: &[PlanOutput]) -> usize {
    let mut last_use = vec![0; nodes.len()];
    for (at, node) in nodes.iter().enumerate() {
        for feed in node.feeds.iter().chain(&node.key) {
            if let From::Node(source) = feed.from {
                last_use[source] = at;
            }
        }
    }
    for feed in outputs.iter().flat_map(|output| &output.feeds) {
        if let From::Node(source) = feed.from {
            last_use[source] = nodes.len();
        }
    }
    let mut free: Vec<usize> = Vec::new();
    let mut slots = 0;
    let mut claim = |free: &mut Vec<usize>| {
        free.pop().unwrap_or_else(|| {
            slots += 1;
            slots - 1
        })
    };
    for at in 0..nodes.len() {
        let node = &nodes[at];
        let alone = match node.feeds.as_slice() {
            [Feed { from: From::Node(source), gain: 1.0, delay: 0, channels }]
                if last_use[*source] == at && *channels == node.channels =>
            {
                Some(*source)
            }
            _ => None,
        };
        // Buffers that are read here for the last time are free already: all sums are computed before a buffer is written.
        for feed in nodes[at].feeds.iter().chain(&nodes[at].key) {
            if let From::Node(source) = feed.from {
                let was = nodes[source].slot;
                if last_use[source] == at && alone != Some(source) && !free.contains(&was) {
                    free.push(was);
                }
            }
        }
        // The lowest buffers are used first, because they are in the cache.
        free.sort_unstable_by(|a, b| b.cmp(a));
        let slot = alone.map_or_else(|| claim(&mut free), |source| nodes[source].slot);
        let key_slot = (!nodes[at].key.is_empty()).then(|| claim(&mut free));
        free.extend(key_slot);
        let node = &mut nodes[at];
        (node.slot, node.key_slot, node.in_place) = (slot, key_slot, alone.is_some());
    }
    slots
}
