//! One node at its place in a chain: what feeds it, its bypass, and the guard that catches what it may do.

use crate::block::{Block, HIGHEST, MAX_CHANNELS, Plane, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::delay::slip::Slip;
use crate::dsp::fade::Fade;
use crate::node::{Node, Params, Setup};
use crate::param::ramp::Ramp;
use crate::plan::{Feed, From, PlanNode};
use crate::reading::Readings;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic throws.
pub(crate) type Payload = Box<dyn Any + Send>;

/// One edge's samples; only its first channels are used.
pub(crate) type Slot = [Plane; MAX_CHANNELS];
/// Silence.
pub(crate) const SILENCE: Slot = [[0.0; SUBBLOCK]; MAX_CHANNELS];

/// Time in which a node goes into bypass and comes back.
const BYPASS_MS: f64 = 15.0;
/// Time that a node runs unheard before it comes back, on top of its latency.
const SETTLE_MS: f64 = 50.0;
/// How long a node that failed rests the first time; each further failure doubles it.
const REST_MS: f64 = 250.0;
/// Most doublings: a node that always fails is tried about every half hour.
const MOST_DOUBLINGS: u32 = 13;

/// Highest sample that a node may give: what is higher is about to be an infinity, and sums of it would be one.
const MOST: f64 = HIGHEST * 1e50;

/// What a step works on: the chain's buffers and inputs.
pub(crate) struct Bench<'a> {
    pub slots: &'a mut [Slot],
    pub inputs: &'a [Plane],
    /// Room for what is gathered, for the side-chain, and for the dry signal.
    pub scratch: &'a mut [Slot; 3],
}

/// One source of a sum, with the delay that aligns it.
pub(crate) struct Wire {
    /// Buffer, or first input channel.
    from: Result<usize, usize>,
    gain: f64,
    delays: Box<[Delay]>,
    channels: usize,
}

impl Wire {
    /// `[control]` The wire of a planned feed. `slot` and `input` tell where nodes and groups begin.
    pub fn new(feed: &Feed, slot: impl Fn(usize) -> usize, input: impl Fn(usize) -> usize) -> Self {
        let from = match feed.from {
            From::Node(node) => Ok(slot(node)),
            From::Input(group) => Err(input(group)),
        };
        let count = if feed.delay > 0 { feed.channels } else { 0 };
        let delays = (0..count).map(|_| Delay::new(feed.delay)).collect();
        Self { from, gain: feed.gain, delays, channels: feed.channels }
    }

    pub fn adopt(&mut self, old: &Wire) {
        for (delay, old) in self.delays.iter_mut().zip(&old.delays) {
            delay.adopt(old);
        }
    }

    /// `[audio]` Adds the source to `sum`; the first of a sum replaces what was there.
    fn add(&mut self, slots: &[Slot], inputs: &[Plane], frames: usize, is_first: bool, sum: &mut [Plane]) {
        let width = sum.len();
        for channel in 0..self.channels {
            let mut plane = match self.from {
                Ok(slot) => slots[slot][channel],
                Err(first) => inputs[first + channel],
            };
            let samples = &mut plane[..frames];
            if let Some(delay) = self.delays.get_mut(channel) {
                delay.process(samples);
            }
            // One channel is spread to all, all are averaged to one; else each goes to its own.
            let (gain, onto) = match (self.channels, width) {
                (1, _) => (self.gain, 0..width),
                (many, 1) => (self.gain / many as f64, 0..1),
                _ => (self.gain, channel..channel + 1),
            };
            let replaces = is_first && (width > 1 || channel == 0);
            for sum in &mut sum[onto] {
                for (sum, sample) in sum.iter_mut().zip(&*samples) {
                    *sum = if replaces { gain * sample } else { *sum + gain * sample };
                }
            }
        }
    }
}

/// `[audio]` Sums `wires` into `sum`.
pub(crate) fn gather(wires: &mut [Wire], slots: &[Slot], inputs: &[Plane], frames: usize, sum: &mut [Plane]) {
    if wires.is_empty() {
        sum.iter_mut().for_each(|plane| plane[..frames].fill(0.0));
    }
    for (i, wire) in wires.iter_mut().enumerate() {
        wire.add(slots, inputs, frames, i == 0, sum);
    }
}

/// What keeps a node out, and for how long.
#[derive(Clone, Copy, Default)]
struct Rest {
    frames: u64,
    failures: u32,
}

pub(crate) struct NodeSlot {
    node: Box<dyn Node>,
    ramps: Box<[Ramp]>,
    /// Whether any of them is under way.
    moving: bool,
    base_rows: usize,
    part_rows: usize,
    feeds: Box<[Wire]>,
    key: Box<[Wire]>,
    slot: usize,
    key_slot: Option<usize>,
    in_place: bool,
    width: usize,
    key_width: usize,
    /// The input, as late as the output.
    dry: Box<[Delay]>,
    /// Whether a person wants the node to be heard.
    enabled: bool,
    heard: Fade,
    /// Frames to run unheard before it may be heard.
    settling: u64,
    settle: u64,
    rest: Rest,
    rest_frames: u64,
    /// The node has panicked: it is never called again.
    is_out: bool,
    /// What it threw, until somebody takes it home.
    pub thrown: Option<Payload>,
    slips: [Slip; MAX_CHANNELS],
    pub meter: Readings,
}

impl NodeSlot {
    /// `[control]`
    pub fn new(plan: &PlanNode, rate: f64, wire: impl Fn(&Feed) -> Wire) -> Self {
        let key_width = plan.key_channels.unwrap_or(plan.channels);
        let setup = Setup::new(plan.node_type, rate, plan.channels, key_width, &plan.values, &plan.data);
        let ramps = plan.values.iter().enumerate();
        let ramps =
            ramps.filter_map(|(i, value)| Some(plan.node_type.row(i)?.at_rest(*value, rate))).collect();
        let frames = |ms: f64| (ms * rate / 1000.0) as u64;
        Self {
            node: (plan.node_type.build)(&setup),
            ramps,
            moving: false,
            base_rows: plan.node_type.rows.len(),
            part_rows: plan.node_type.part_rows().len(),
            feeds: plan.feeds.iter().map(&wire).collect(),
            key: plan.key.iter().map(&wire).collect(),
            slot: plan.slot,
            key_slot: plan.key_slot,
            in_place: plan.in_place,
            width: plan.channels,
            key_width: plan.key_channels.unwrap_or(0),
            dry: (0..plan.channels).map(|_| Delay::new(plan.latency)).collect(),
            enabled: plan.enabled,
            heard: Fade::new(frames(BYPASS_MS) as u32, plan.enabled),
            settling: 0,
            settle: plan.latency as u64 + frames(SETTLE_MS),
            rest: Rest::default(),
            rest_frames: frames(REST_MS),
            is_out: false,
            thrown: None,
            slips: [Slip::new(rate); MAX_CHANNELS],
            meter: Readings::default(),
        }
    }

    /// `[audio]` Moves a row to an audio value.
    pub fn set(&mut self, row: usize, value: f64) {
        if let Some(ramp) = self.ramps.get_mut(row) {
            ramp.aim(value);
            self.moving = true;
        }
    }

    /// `[audio]` Takes the node out, or back in: it starts afresh, settles unheard, then fades in.
    pub fn enable(&mut self, on: bool) {
        self.enabled = on;
        self.rest = Rest::default();
        if !on {
            self.heard.aim(false);
        } else if self.heard.steady() == Some(0.0) {
            self.wake();
        } else {
            self.heard.aim(true);
        }
    }

    fn wake(&mut self) {
        if self.call(|step| step.node.reset()) {
            self.heard.aim(true);
            self.settling = self.settle;
        }
    }

    /// Calls the node, unless it has panicked. One that panics is out for good, for what it left behind is nothing to
    /// build on; false then.
    ///
    /// To panic allocates what is thrown: no guard can help that. It is not freed here.
    fn call(&mut self, call: impl FnOnce(&mut Self)) -> bool {
        if self.is_out {
            return false;
        }
        let Err(thrown) = catch_unwind(AssertUnwindSafe(|| call(self))) else { return true };
        (self.is_out, self.thrown) = (true, Some(thrown));
        self.heard = Fade::new(self.heard.frames(), false);
        false
    }

    /// `[audio]` Takes over the state of the node that this one follows.
    pub fn adopt(&mut self, old: &NodeSlot) {
        for (mine, old) in [(&mut self.feeds, &old.feeds), (&mut self.key, &old.key)] {
            mine.iter_mut().zip(old).for_each(|(wire, old)| wire.adopt(old));
        }
        self.dry.iter_mut().zip(&old.dry).for_each(|(delay, old)| delay.adopt(old));
        for (ramp, old) in self.ramps.iter_mut().zip(&old.ramps) {
            if ramp.target() == old.target() {
                *ramp = *old;
            }
        }
        self.moving |= old.moving;
        if self.enabled == old.enabled && !old.is_out {
            self.heard = old.heard;
            (self.settling, self.rest) = (old.settling, old.rest);
        }
        // The state of a node that sleeps is stale; that of one that has panicked is worth nothing.
        if old.heard.steady() != Some(0.0) && !old.is_out {
            self.call(|step| step.node.adopt(old.node.as_ref()));
        }
        self.slips.iter_mut().zip(&old.slips).for_each(|(slip, old)| slip.adopt(old));
    }

    /// `[audio]` Goes on to take over state: see [`Node::adopt_more`].
    pub fn adopt_more(&mut self, old: &NodeSlot, frames: usize) -> usize {
        let mut left = 0;
        if old.heard.steady() != Some(0.0) && !old.is_out {
            self.call(|step| left = step.node.adopt_more(old.node.as_ref(), frames));
        }
        left
    }

    /// `[audio]` Runs the node for 1 to 64 frames. `Err` where it made something that is no number. Then, and where it
    /// panics, the dry signal takes its place.
    pub fn run(&mut self, bench: &mut Bench<'_>, frames: usize) -> Result<(), ()> {
        let Bench { slots, inputs, scratch: [sum, key_sum, dry] } = bench;
        let (width, key_width) = (self.width, self.key_width);
        // All is gathered before anything is written: the plan may give a source's buffer away.
        if !self.in_place {
            gather(&mut self.feeds, slots, inputs, frames, &mut sum[..width]);
        }
        if let Some(slot) = self.key_slot {
            gather(&mut self.key, slots, inputs, frames, &mut key_sum[..key_width]);
            slots[slot][..key_width].copy_from_slice(&key_sum[..key_width]);
        }
        if !self.in_place {
            slots[self.slot][..width].copy_from_slice(&sum[..width]);
        }
        let dry = &mut dry[..width];
        dry.copy_from_slice(&slots[self.slot][..width]);
        for (plane, delay) in dry.iter_mut().zip(&mut self.dry) {
            delay.process(&mut plane[..frames]);
        }
        self.recover(frames);
        let mut outcome = Ok(());
        if self.heard.steady() == Some(0.0) {
            slots[self.slot][..width].copy_from_slice(dry);
        } else {
            let has_played = self.call(|step| step.process(slots, frames));
            let wet = &mut slots[self.slot][..width];
            if has_played && are_within(wet, frames, MOST) {
                self.blend(wet, dry, frames);
            } else {
                wet.copy_from_slice(dry);
                self.slips.iter_mut().zip(&*dry).for_each(|(slip, dry)| slip.jump(dry[0]));
                if has_played {
                    self.fail();
                    outcome = Err(());
                }
            }
        }
        for (plane, slip) in slots[self.slot][..width].iter_mut().zip(&mut self.slips) {
            slip.process(&mut plane[..frames]);
        }
        if self.moving {
            self.ramps.iter_mut().for_each(|ramp| ramp.advance(frames));
            self.moving = self.ramps.iter().any(Ramp::is_moving);
        }
        outcome
    }

    fn process(&mut self, slots: &mut [Slot], frames: usize) {
        let params = Params::new(&self.ramps, self.base_rows, self.part_rows, self.moving);
        let (planes, key) = match self.key_slot {
            None => (&mut slots[self.slot], None),
            // The plan never gives a node one buffer for both.
            Some(key) => match slots.get_disjoint_mut([self.slot, key]) {
                Ok([planes, key]) => (planes, Some(&key[..self.key_width])),
                Err(_) => return,
            },
        };
        let mut block = Block::new(&mut planes[..self.width], key, frames);
        self.node.process(&mut block, &params, &mut self.meter);
    }

    /// Mixes node and dry signal while it goes into bypass or comes back.
    fn blend(&mut self, wet: &mut [Plane], dry: &[Plane], frames: usize) {
        if self.settling == 0 && self.heard.steady() == Some(1.0) {
            return;
        }
        for frame in 0..frames {
            let gain = if self.settling > 0 {
                self.settling -= 1;
                0.0
            } else {
                self.heard.tick()
            };
            for (wet, dry) in wet.iter_mut().zip(dry) {
                // At both ends to the bit, the sign of nought included.
                wet[frame] = match gain {
                    0.0 => dry[frame],
                    1.0 => wet[frame],
                    _ => dry[frame] + gain * (wet[frame] - dry[frame]),
                };
            }
        }
    }

    /// The node made a NaN or an infinity: it rests, then tries again, each time after twice as long.
    fn fail(&mut self) {
        self.call(|step| step.node.reset());
        self.heard = Fade::new(self.heard.frames(), false);
        self.rest.frames = self.rest_frames << self.rest.failures.min(MOST_DOUBLINGS);
        self.rest.failures += 1;
    }

    fn recover(&mut self, frames: usize) {
        if self.rest.frames > 0 {
            self.rest.frames = self.rest.frames.saturating_sub(frames as u64);
            if self.rest.frames == 0 && self.enabled {
                self.wake();
            }
        }
    }

    /// Whether the node takes part in what is heard.
    pub fn is_heard(&self) -> bool {
        self.settling == 0 && self.heard.steady() != Some(0.0)
    }
}

/// Whether all samples are numbers, and no higher than `most`; without a branch for each, so that it is quick.
pub(crate) fn are_within(planes: &[Plane], frames: usize, most: f64) -> bool {
    // It is false for NaN.
    planes.iter().all(|plane| plane[..frames].iter().fold(true, |ok, sample| ok & (sample.abs() <= most)))
}
