//! What runs: a plan with its nodes, buffers and delays built.

use crate::block::{Plane, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::delay::slip::Slip;
use crate::param::ramp::Ramp;
use crate::plan::{Feed, Plan};
use crate::reading::Report;
use crate::run::node_slot::{Bench, NodeSlot, Payload, SILENCE, Slot, Wire, gather};
use crate::run::trace::Trace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A chain that can be played. Built by the control side, owned by the audio thread.
pub struct Chain {
    generation: u64,
    slots: Box<[Slot]>,
    scratch: Box<[Slot; 3]>,
    steps: Box<[NodeSlot]>,
    outputs: Box<[Output]>,
    /// For each step, the step of the chain before that it follows.
    follows: Box<[Option<usize>]>,
    latency: usize,
    /// Factors of what the chain gives, and of the dry signal.
    trims: [Ramp; 2],
    /// Where it says which node is at work.
    trace: Option<Arc<Trace>>,
    /// It has panicked outside of its nodes: the dry signal is all that it plays.
    is_out: bool,
    /// The node that has panicked, or `None` for the chain, and what was thrown.
    thrown: Option<(Option<usize>, Payload)>,
    /// For each channel of the output.
    slips: Box<[Slip]>,
}

/// How long a trim takes to arrive, in ms.
const TRIM_MS: f64 = 100.0;
/// Farthest that anything is trimmed, as a factor.
const MOST_TRIM: f64 = 16.0;

/// One output group.
struct Output {
    feeds: Box<[Wire]>,
    /// Where its channels begin.
    first: usize,
    channels: usize,
    /// The input channel that each of its channels is in bypass, as late as the chain is.
    dry: Box<[(usize, Delay)]>,
}

impl Chain {
    /// `[control]` Builds the chain of `plan`. `generation` tells it from every other chain of a seat.
    pub fn new(plan: &Plan, generation: u64) -> Self {
        let first =
            |groups: &[crate::plan::Group], at: usize| groups[..at].iter().map(|group| group.channels).sum();
        let wire = |feed: &Feed| {
            Wire::new(feed, |node| plan.nodes[node].slot, |group| first(&plan.io.inputs, group))
        };
        let output = |(at, output): (usize, &crate::plan::PlanOutput)| {
            let channels = plan.io.outputs[at].channels;
            let source = plan.io.inputs.get(at);
            let dry = |channel: usize| {
                let group = source?;
                // A mono source is heard on every channel; a channel without a source keeps its own.
                let channel = if group.channels == 1 { 0 } else { channel };
                let input: usize = first(&plan.io.inputs, at);
                (channel < group.channels).then(|| (input + channel, Delay::new(plan.total)))
            };
            Output {
                feeds: output.feeds.iter().map(wire).collect(),
                first: first(&plan.io.outputs, at),
                channels,
                dry: (0..channels).map_while(dry).collect(),
            }
        };
        Self {
            generation,
            slots: vec![SILENCE; plan.slots].into_boxed_slice(),
            scratch: Box::new([SILENCE; 3]),
            steps: plan.nodes.iter().map(|node| NodeSlot::new(node, plan.sample_rate, wire)).collect(),
            outputs: plan.outputs.iter().enumerate().map(output).collect(),
            follows: vec![None; plan.nodes.len()].into_boxed_slice(),
            latency: plan.total,
            trims: [Ramp::new(1.0, 0.0, MOST_TRIM, (TRIM_MS * plan.sample_rate / 1000.0) as u32); 2],
            trace: None,
            is_out: false,
            thrown: None,
            slips: vec![Slip::new(plan.sample_rate); plan.io.output_channels()].into_boxed_slice(),
        }
    }

    /// `[control]` Says which chain this one follows: nodes with the same id and type will take over the
    /// state of theirs.
    pub fn follow(&mut self, mine: &Plan, before: &Plan) {
        for (follows, node) in self.follows.iter_mut().zip(&mine.nodes) {
            let same = |at: &usize| before.nodes[*at].node_type == node.node_type;
            *follows = before.find(&node.id).filter(same);
        }
    }

    /// What tells this chain from others.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Frames from input to output, padding included.
    pub fn latency(&self) -> usize {
        self.latency
    }

    /// `[audio]` Says from now on which node is at work. A chain that was told so once goes on there.
    pub(crate) fn be_traced(&mut self, trace: &Arc<Trace>) {
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

    /// `[audio]` What was thrown by a node (its number) or by the chain, if it has panicked since the last time.
    pub fn thrown(&mut self) -> Option<(Option<usize>, Payload)> {
        self.thrown.take()
    }

    /// The chain has panicked: its dry signal is heard from now on.
    fn give_up(&mut self, payload: Payload) {
        self.is_out = true;
        match &self.thrown {
            None => self.thrown = Some((None, payload)),
            // Nothing is freed here, and one message is enough: this one is never freed.
            Some(_) => std::mem::forget(payload),
        }
        self.leave();
    }

    /// `[audio]` Takes over the state of the chain before.
    pub fn adopt(&mut self, old: &Chain) {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(|| self.take_over(old))) {
            self.give_up(payload);
        }
    }

    /// `[audio]` Goes on to take over the state of the chain before, after `frames` more that both have played; gives how many
    /// frames that takes yet, at least.
    pub fn adopt_more(&mut self, old: &Chain, frames: usize) -> usize {
        let mut left = 0;
        let go_on = || {
            for at in 0..self.steps.len() {
                self.enter(at);
                if let Some(old) = self.follows[at].and_then(|at| old.steps.get(at)) {
                    left = left.max(self.steps[at].adopt_more(old, frames));
                }
            }
            self.leave();
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(go_on)) {
            self.give_up(payload);
        }
        left
    }

    fn take_over(&mut self, old: &Chain) {
        for at in 0..self.steps.len() {
            self.enter(at);
            let (step, follows) = (&mut self.steps[at], self.follows[at]);
            if let Some(old) = follows.and_then(|at| old.steps.get(at)) {
                step.adopt(old);
            }
        }
        for (output, old) in self.outputs.iter_mut().zip(&old.outputs) {
            output.feeds.iter_mut().zip(&old.feeds).for_each(|(wire, old)| wire.adopt(old));
            output.dry.iter_mut().zip(&old.dry).for_each(|((_, delay), (_, old))| delay.adopt(old));
        }
        self.slips.iter_mut().zip(&old.slips).for_each(|(slip, old)| slip.adopt(old));
        self.leave();
    }

    /// `[audio]` Moves row `row` of node `node` to an audio value.
    pub fn set(&mut self, node: usize, row: usize, value: f64) {
        if let Some(step) = self.steps.get_mut(node) {
            step.set(row, value);
        }
    }

    /// `[audio]` Takes node `node` out of bypass, or into it.
    pub fn enable(&mut self, node: usize, on: bool) {
        self.enter(node);
        if let Some(step) = self.steps.get_mut(node) {
            step.enable(on);
        }
        self.leave();
    }

    /// `[audio]` Turns what the chain gives, and the dry signal, up or down by a factor.
    pub fn trim(&mut self, chain: f64, dry: f64) {
        self.trims[0].aim(chain);
        self.trims[1].aim(dry);
    }

    /// `[audio]` Plays 1 to 64 frames. `bypass` is how much of the dry signal is wanted in each frame,
    /// `None` where it is none. `fault` is told of each node that made something that is no number. Whatever panics
    /// leaves dry signal, and is told by [`Self::thrown`].
    pub fn process(
        &mut self,
        inputs: &[Plane],
        outputs: &mut [Plane],
        frames: usize,
        bypass: Option<&Plane>,
        fault: impl FnMut(usize),
    ) {
        if !self.is_out {
            let play = || self.play(inputs, outputs, frames, bypass, fault);
            if let Err(payload) = catch_unwind(AssertUnwindSafe(play)) {
                self.give_up(payload);
                self.play_dry(inputs, outputs, frames);
                self.slips.iter_mut().zip(&*outputs).for_each(|(slip, plane)| slip.jump(plane[0]));
            }
        } else {
            self.play_dry(inputs, outputs, frames);
        }
        for (plane, slip) in outputs.iter_mut().zip(&mut self.slips) {
            slip.process(&mut plane[..frames]);
        }
    }

    /// Plays the dry signal alone, as late as the chain is.
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
        let mut bench = Bench { slots: &mut self.slots, inputs, scratch: &mut self.scratch };
        for (at, step) in self.steps.iter_mut().enumerate() {
            if let Some(trace) = &self.trace {
                trace.enter(self.generation, at);
            }
            if step.run(&mut bench, frames).is_err() {
                fault(at);
            }
            if step.thrown.is_some() && self.thrown.is_none() {
                self.thrown = step.thrown.take().map(|payload| (Some(at), payload));
            }
        }
        self.leave();
        let [wet, dry] = self.trims.each_mut().map(|ramp| factors(ramp, frames));
        for output in &mut self.outputs {
            let planes = &mut outputs[output.first..output.first + output.channels];
            gather(&mut output.feeds, &self.slots, inputs, frames, planes);
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

    /// `[audio]` Sends what the nodes report. A bypassed node has no readings.
    pub fn report(&mut self, mut tell: impl FnMut(usize, Report)) {
        for (at, step) in self.steps.iter_mut().enumerate() {
            let is_heard = step.is_heard();
            step.meter.take(is_heard, |report| tell(at, report));
        }
    }
}

/// The factors of a trim for these frames; `None` where it rests at 1.
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
    fn a_chain_that_panics_outside_of_its_nodes_leaves_dry_signal_in_time() {
        let (spec, mistakes) = Spec::parse(b"nodes:\n  - gain: {gain: -6 dB}\n  - limiter\n");
        assert!(mistakes.is_empty());
        let plan = Plan::new(&spec, &Io::stereo(), 48_000.0).unwrap();
        let mut chain = Chain::new(&plan, 1);
        let input = |n: usize| 0.25 * (n as f64 * 0.01).sin();
        let (mut heard, mut thrown) = (Vec::new(), 0);
        for quantum in 0..100 {
            if quantum == 50 {
                chain.slots = Box::new([]);
            }
            let mut plane = [0.0; SUBBLOCK];
            plane.iter_mut().enumerate().for_each(|(at, sample)| *sample = input(quantum * SUBBLOCK + at));
            let mut outputs = [[0.0; SUBBLOCK]; 2];
            chain.process(&[plane; 2], &mut outputs, SUBBLOCK, None, |_| {});
            heard.extend(outputs[1]);
            while let Some((node, _)) = chain.thrown() {
                assert_eq!(node, None);
                thrown += 1;
            }
        }
        assert_eq!(thrown, 1);
        let steps = heard.windows(2).map(|pair| (pair[1] - pair[0]).abs());
        assert!(steps.fold(0.0, f64::max) < 0.004, "no click");
        // 5 ms later nothing but the dry signal is heard, as late as the chain was.
        for (at, sample) in heard.iter().enumerate().skip(60 * SUBBLOCK) {
            assert!((sample - input(at - plan.total)).abs() < 1e-3, "{at}: {sample}");
        }
    }
}
