//! A chain that runs: a plan with its nodes, buffers and delays built.

use crate::block::{Plane, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::delay::splice::Splice;
use crate::param::ramp::Ramp;
use crate::plan::diff::Diff;
use crate::plan::{Feed, Plan};
use crate::reading::Report;
use crate::run::node_slot::{
    Buffer, Connection, NodeSlot, Payload, SILENCE, Workspace, latest, sum_connections,
};
use crate::run::trace::Trace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A chain that can be played. Built on the control side, owned by the audio thread.
pub struct Chain {
    generation: u64,
    buffers: Box<[Buffer]>,
    scratch: Box<[Buffer; 3]>,
    nodes: Box<[NodeSlot]>,
    outputs: Box<[Output]>,
    /// For each node, the node of the previous chain whose state it adopts.
    follows: Box<[Option<usize>]>,
    latency: usize,
    /// For each buffer, frames until what comes in is there, latencies aside; used at the start of a swap.
    late: Box<[usize]>,
    /// The node whose readings are the first of the next report.
    first_report: usize,
    /// Gain factors of the chain's output and of the dry signal.
    trims: [Ramp; 2],
    /// Where it records which node is running.
    trace: Option<Arc<Trace>>,
    /// It has panicked outside its nodes, and plays the dry signal only.
    has_panicked: bool,
    /// The node that has panicked, or `None` for the chain itself; and the panic's payload.
    thrown: Option<(Option<usize>, Payload)>,
    /// One for each output channel.
    splices: Box<[Splice]>,
}

/// Time that a change of a trim takes, in ms.
const TRIM_MS: f64 = 100.0;
/// Largest trim, as a factor.
const MOST_TRIM: f64 = 16.0;
/// Largest number of readings in a report, so that the queue has room for other events.
const MOST_REPORTS: usize = 1024;

/// One output group.
struct Output {
    feeds: Box<[Connection]>,
    /// Its first channel.
    first: usize,
    channels: usize,
    /// The dry signal of each of its channels: the input channel, and a delay of the chain's latency.
    dry: Box<[(usize, Delay)]>,
}

impl Chain {
    /// `[control]` Builds the chain of `plan`. `generation` identifies it among the chains of an engine.
    pub fn new(plan: &Plan, generation: u64) -> Self {
        let first =
            |groups: &[crate::plan::Group], at: usize| groups[..at].iter().map(|group| group.channels).sum();
        let connection = |feed: &Feed| {
            Connection::new(feed, |node| plan.nodes[node].slot, |group| first(&plan.io.inputs, group))
        };
        let output = |(at, output): (usize, &crate::plan::PlanOutput)| {
            let channels = plan.io.outputs[at].channels;
            let source = plan.io.inputs.get(at);
            let dry = |channel: usize| {
                let group = source?;
                // A mono input goes to every channel; a channel without an input is not bypassed.
                let channel = if group.channels == 1 { 0 } else { channel };
                let input: usize = first(&plan.io.inputs, at);
                (channel < group.channels).then(|| (input + channel, Delay::new(plan.total)))
            };
            Output {
                feeds: output.feeds.iter().map(connection).collect(),
                first: first(&plan.io.outputs, at),
                channels,
                dry: (0..channels).map_while(dry).collect(),
            }
        };
        Self {
            generation,
            buffers: vec![SILENCE; plan.slots].into_boxed_slice(),
            scratch: Box::new([SILENCE; 3]),
            nodes: plan.nodes.iter().map(|node| NodeSlot::new(node, plan.sample_rate, connection)).collect(),
            outputs: plan.outputs.iter().enumerate().map(output).collect(),
            follows: vec![None; plan.nodes.len()].into_boxed_slice(),
            latency: plan.total,
            late: vec![0; plan.slots].into_boxed_slice(),
            first_report: 0,
            trims: [Ramp::new(1.0, 0.0, MOST_TRIM, (TRIM_MS * plan.sample_rate / 1000.0) as u32); 2],
            trace: None,
            has_panicked: false,
            thrown: None,
            splices: vec![Splice::new(plan.sample_rate); plan.io.output_channels()].into_boxed_slice(),
        }
    }

    /// `[control]` Sets what this chain keeps of the one that it will replace: its nodes adopt the state of the nodes that
    /// `diff`, from that chain's plan to this one's, says are kept.
    pub fn follow(&mut self, diff: &Diff) {
        self.follows.fill(None);
        diff.kept.iter().for_each(|(old, new)| self.follows[*new] = Some(*old));
    }

    /// Identifies the chain among the chains of an engine.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Frames from input to output, padding included.
    pub fn latency(&self) -> usize {
        self.latency
    }

    /// `[audio]` Records from now on in `trace` which node is running. Only the first call has an effect.
    pub(crate) fn set_trace(&mut self, trace: &Arc<Trace>) {
        self.trace.get_or_insert_with(|| Arc::clone(trace));
    }

    fn enter(&self, node: usize) {
        if let Some(trace) = &self.trace {
            trace.enter(self.generation, node);
        }
    }

    fn leave(&self) {
        if let Some(trace) = &self.trace {
            trace.leave();
        }
    }

    /// `[audio]` The panic since the last call, if any: the node, or `None` for the chain, and the panic's payload.
    pub fn next_panic(&mut self) -> Option<(Option<usize>, Payload)> {
        self.thrown.take()
    }

    /// Plays the dry signal from now on, because the chain has panicked.
    fn bypass_after_panic(&mut self, payload: Payload) {
        self.has_panicked = true;
        match &self.thrown {
            None => self.thrown = Some((None, payload)),
            // Nothing may be freed here, and one message is enough: this one is leaked.
            Some(_) => std::mem::forget(payload),
        }
        self.leave();
    }

    /// `[audio]` Adopts the state of the previous chain.
    pub(crate) fn adopt(&mut self, old: &Chain) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.adopt_state(old))) {
            self.bypass_after_panic(payload);
        }
    }

    /// `[audio]` Frames until what comes in is at the output: the latency, and the delays of nodes that begin empty.
    pub(crate) fn fills_in(&mut self) -> usize {
        self.nodes.iter_mut().for_each(|node| node.fills_in(&mut self.late));
        let late = self.outputs.iter().map(|output| latest(&output.feeds, &self.late)).max();
        self.latency + late.unwrap_or(0)
    }

    /// `[audio]` Adopts more state of the previous chain, after `frames` more frames that both have played. Returns the
    /// least number of frames until all is adopted: see [`Node::adopt_more`](crate::node::Node::adopt_more).
    pub(crate) fn adopt_more(&mut self, old: &Chain, frames: usize) -> usize {
        let mut left = 0;
        let adopt_nodes = || {
            for at in 0..self.nodes.len() {
                self.enter(at);
                if let Some(old) = self.follows[at].and_then(|at| old.nodes.get(at)) {
                    left = left.max(self.nodes[at].adopt_more(old, frames));
                }
            }
            self.leave();
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(adopt_nodes)) {
            self.bypass_after_panic(payload);
        }
        left
    }

    fn adopt_state(&mut self, old: &Chain) {
        for at in 0..self.nodes.len() {
            self.enter(at);
            let (node, follows) = (&mut self.nodes[at], self.follows[at]);
            if let Some(old) = follows.and_then(|at| old.nodes.get(at)) {
                node.adopt(old);
            }
        }
        for (output, old) in self.outputs.iter_mut().zip(&old.outputs) {
            output.feeds.iter_mut().zip(&old.feeds).for_each(|(connection, old)| connection.adopt(old));
            output.dry.iter_mut().zip(&old.dry).for_each(|((_, delay), (_, old))| delay.adopt(old));
        }
        self.splices.iter_mut().zip(&old.splices).for_each(|(splice, old)| splice.adopt(old));
        self.leave();
    }

    /// `[audio]` Sets row `row` of node `node` to an audio value; its ramp moves there.
    pub fn set(&mut self, node: usize, row: usize, value: f64) {
        if let Some(node) = self.nodes.get_mut(node) {
            node.set(row, value);
        }
    }

    /// `[audio]` Takes node `node` out of bypass (`on`), or bypasses it.
    pub(crate) fn enable(&mut self, node: usize, on: bool) {
        self.enter(node);
        if let Some(node) = self.nodes.get_mut(node) {
            node.enable(on);
        }
        self.leave();
    }

    /// `[audio]` Sets the gain factors of the chain's output and of the dry signal.
    pub(crate) fn trim(&mut self, chain: f64, dry: f64) {
        self.trims[0].set_target(chain);
        self.trims[1].set_target(dry);
    }

    /// `[audio]` Plays 1 to 64 frames. `bypass` is the share of the dry signal in each frame; `None` means none.
    /// `fault` is called with each node whose output is NaN, infinite or above 1e150. After a panic the dry signal is played, and
    /// [`Self::next_panic`] reports it.
    pub fn process(
        &mut self,
        inputs: &[Plane],
        outputs: &mut [Plane],
        frames: usize,
        bypass: Option<&Plane>,
        fault: impl FnMut(usize),
    ) {
        if !self.has_panicked {
            let play = || self.play(inputs, outputs, frames, bypass, fault);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(play)) {
                self.bypass_after_panic(payload);
                self.play_dry(inputs, outputs, frames);
                self.splices.iter_mut().zip(&*outputs).for_each(|(splice, plane)| splice.switch(plane[0]));
            }
        } else {
            self.play_dry(inputs, outputs, frames);
        }
        for (plane, splice) in outputs.iter_mut().zip(&mut self.splices) {
            splice.process(&mut plane[..frames]);
        }
    }

    /// Plays the dry signal only, delayed by the chain's latency.
    fn play_dry(&mut self, inputs: &[Plane], outputs: &mut [Plane], frames: usize) {
        for output in &mut self.outputs {
            let planes = &mut outputs[output.first..output.first + output.channels];
            planes.iter_mut().for_each(|plane| plane[..frames].fill(0.0));
            for (plane, (input, delay)) in planes.iter_mut().zip(&mut output.dry) {
                *plane = inputs[*input];
                delay.process(&mut plane[..frames]);
            }
        }
    }

    fn play(
        &mut self,
        inputs: &[Plane],
        outputs: &mut [Plane],
        frames: usize,
        bypass: Option<&Plane>,
        mut fault: impl FnMut(usize),
    ) {
        let mut workspace = Workspace { buffers: &mut self.buffers, inputs, scratch: &mut self.scratch };
        for (at, node) in self.nodes.iter_mut().enumerate() {
            if let Some(trace) = &self.trace {
                trace.enter(self.generation, at);
            }
            if node.run(&mut workspace, frames).is_err() {
                fault(at);
            }
            if node.thrown.is_some() && self.thrown.is_none() {
                self.thrown = node.thrown.take().map(|payload| (Some(at), payload));
            }
        }
        self.leave();
        let [wet, dry] = self.trims.each_mut().map(|ramp| factors(ramp, frames));
        for output in &mut self.outputs {
            let planes = &mut outputs[output.first..output.first + output.channels];
            sum_connections(&mut output.feeds, &self.buffers, inputs, frames, planes);
            if let Some(factors) = &wet {
                planes.iter_mut().for_each(|plane| multiply(plane, factors, frames));
            }
            for (plane, (input, delay)) in planes.iter_mut().zip(&mut output.dry) {
                let mut late = inputs[*input];
                delay.process(&mut late[..frames]);
                let Some(bypass) = bypass else { continue };
                if let Some(factors) = &dry {
                    multiply(&mut late, factors, frames);
                }
                for frame in 0..frames {
                    let wet = plane[frame];
                    plane[frame] = match bypass[frame] {
                        1.0 => late[frame],
                        share => wet + share * (late[frame] - wet),
                    };
                }
            }
        }
    }

    /// `[audio]` Sends what the nodes report; `emit` returns whether it was accepted. A bypassed node has no readings. What
    /// finds no room is the first of the next report.
    pub(crate) fn report(&mut self, mut emit: impl FnMut(usize, Report) -> bool) {
        let (mut room, count) = (MOST_REPORTS, self.nodes.len());
        for at in (self.first_report..count).chain(0..self.first_report) {
            let node = &mut self.nodes[at];
            let is_active = node.is_active();
            let is_sent = node.meter.take(is_active, |report| {
                let has_room = room > 0 && emit(at, report);
                room -= usize::from(has_room);
                has_room
            });
            if !is_sent {
                self.first_report = at;
                return;
            }
        }
    }
}

/// The factors of a trim for these frames; `None` if it is at rest at 1.
fn factors(trim: &mut Ramp, frames: usize) -> Option<Plane> {
    if trim.steady() == Some(1.0) {
        return None;
    }
    let mut factors = [1.0; SUBBLOCK];
    factors[..frames].iter_mut().for_each(|factor| *factor = trim.tick());
    Some(factors)
}

fn multiply(plane: &mut Plane, factors: &Plane, frames: usize) {
    plane.iter_mut().zip(factors).take(frames).for_each(|(sample, factor)| *sample *= factor);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::file::spec::Spec;
    use crate::plan::Io;

    #[test]
    fn a_chain_that_panics_outside_its_nodes_plays_the_delayed_dry_signal() {
        let (spec, mistakes) = Spec::parse(b"nodes:\n  - gain: {gain: -6 dB}\n  - limiter\n");
        assert!(mistakes.is_empty());
        let plan = Plan::new(&spec, &Io::stereo(), 48_000.0).unwrap();
        let mut chain = Chain::new(&plan, 1);
        let input = |n: usize| 0.25 * (n as f64 * 0.01).sin();
        let (mut output, mut panics) = (Vec::new(), 0);
        for block in 0..100 {
            if block == 50 {
                chain.buffers = Box::new([]);
            }
            let mut plane = [0.0; SUBBLOCK];
            plane.iter_mut().enumerate().for_each(|(at, sample)| *sample = input(block * SUBBLOCK + at));
            let mut outputs = [[0.0; SUBBLOCK]; 2];
            chain.process(&[plane; 2], &mut outputs, SUBBLOCK, None, |_| {});
            output.extend(outputs[1]);
            while let Some((node, _)) = chain.next_panic() {
                assert_eq!(node, None);
                panics += 1;
            }
        }
        assert_eq!(panics, 1);
        let steps = output.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f64::max) < 0.004, "no click");
        // 5 ms later the output is the dry signal, delayed by the chain's latency.
        for (at, sample) in output.iter().enumerate().skip(60 * SUBBLOCK) {
            assert!((sample - input(at - plan.total)).abs() < 1e-3, "{at}: {sample}");
        }
    }
}
