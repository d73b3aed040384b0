//! A node at its place in a running chain: its connections, bypass, latency compensation and fault guard.

use crate::block::{Block, HIGHEST, MAX_CHANNELS, Plane, SUBBLOCK};
use crate::dsp::delay::line::Delay;
use crate::dsp::delay::splice::Splice;
use crate::dsp::fade::Fade;
use crate::node::{Node, Params, Setup};
use crate::param::ramp::Ramp;
use crate::plan::{Feed, From, PlanNode};
use crate::reading::Readings;
use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The payload of a panic.
pub(crate) type Payload = Box<dyn Any + Send>;

/// The samples of one connection; only the first channels are used.
pub(crate) type Buffer = [Plane; MAX_CHANNELS];
/// Silence.
pub(crate) const SILENCE: Buffer = [[0.0; SUBBLOCK]; MAX_CHANNELS];

/// Time of the crossfade to bypass, and back.
const BYPASS_MS: f64 = 15.0;
/// Time that a node runs before the crossfade from bypass, on top of its latency and its own delay, so that it can settle.
const SETTLE_MS: f64 = 50.0;
/// Time that a node with a faulty output stays bypassed the first time; each further fault doubles it, until it is forgotten.
const RETRY_MS: f64 = 250.0;
/// Largest number of doublings: a node that always fails is retried about every half hour.
const MOST_DOUBLINGS: u32 = 13;
/// Time without a fault after which one fault is forgotten.
const FORGIVEN_MS: f64 = 60_000.0;

/// Highest valid output sample of a node. Sums of higher samples could overflow to infinity.
const MOST: f64 = HIGHEST * 1e50;

/// The buffers and inputs of the chain that its nodes work on.
pub(crate) struct Workspace<'a> {
    pub buffers: &'a mut [Buffer],
    pub inputs: &'a [Plane],
    /// Scratch buffers: the summed input, the summed side-chain input, and the dry signal.
    pub scratch: &'a mut [Buffer; 3],
}

/// One source of a sum, with the delay that aligns it.
pub(crate) struct Connection {
    /// Buffer, or first input channel.
    from: Result<usize, usize>,
    gain: f64,
    delays: Box<[Delay]>,
    channels: usize,
}

impl Connection {
    /// `[control]` The connection of a planned feed. `slot` gives the buffer of a node, `input` the first channel of a group.
    pub(crate) fn new(feed: &Feed, slot: impl Fn(usize) -> usize, input: impl Fn(usize) -> usize) -> Self {
        let from = match feed.from {
            From::Node(node) => Ok(slot(node)),
            From::Input(group) => Err(input(group)),
        };
        let count = if feed.delay > 0 { feed.channels } else { 0 };
        let delays = (0..count).map(|_| Delay::new(feed.delay)).collect();
        Self { from, gain: feed.gain, delays, channels: feed.channels }
    }

    pub(crate) fn adopt(&mut self, old: &Connection) {
        for (delay, old) in self.delays.iter_mut().zip(&old.delays) {
            delay.adopt(old);
        }
    }

    /// `[audio]` Adds the source to `sum`; the first source of a sum overwrites it.
    fn add(
        &mut self,
        buffers: &[Buffer],
        inputs: &[Plane],
        frames: usize,
        is_first: bool,
        sum: &mut [Plane],
    ) {
        let width = sum.len();
        for channel in 0..self.channels {
            let mut plane = match self.from {
                Ok(slot) => buffers[slot][channel],
                Err(first) => inputs[first + channel],
            };
            let samples = &mut plane[..frames];
            if let Some(delay) = self.delays.get_mut(channel) {
                delay.process(samples);
            }
            // One channel is copied to all; several are averaged to one; else each goes to the channel of its number.
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

/// `[audio]` Sums `connections` into `sum`.
pub(crate) fn sum_connections(
    connections: &mut [Connection],
    buffers: &[Buffer],
    inputs: &[Plane],
    frames: usize,
    sum: &mut [Plane],
) {
    if connections.is_empty() {
        sum.iter_mut().for_each(|plane| plane[..frames].fill(0.0));
    }
    for (i, connection) in connections.iter_mut().enumerate() {
        connection.add(buffers, inputs, frames, i == 0, sum);
    }
}

/// `[audio]` The most of `late`, which has a number of frames for each buffer, among the sources of a sum.
pub(crate) fn latest(connections: &[Connection], late: &[usize]) -> usize {
    connections.iter().filter_map(|connection| late.get(connection.from.ok()?)).copied().max().unwrap_or(0)
}

/// The retry after a faulty output.
#[derive(Clone, Copy, Default)]
struct Retry {
    /// Frames until it; 0 if the node is not bypassed for a fault.
    frames: u64,
    /// Faults that are not forgotten.
    failures: u32,
    /// Frames without a fault since the last one, or since one was forgotten.
    faultless: u64,
}

/// The values of the node's rows.
struct Rows {
    ramps: Box<[Ramp]>,
    /// Whether any ramp is moving.
    moving: bool,
    base_rows: usize,
    part_rows: usize,
}

/// What the node is connected to.
struct Wiring {
    feeds: Box<[Connection]>,
    key: Box<[Connection]>,
    buffer: usize,
    key_buffer: Option<usize>,
    in_place: bool,
    width: usize,
    key_width: usize,
}

pub(crate) struct NodeSlot {
    node: Box<dyn Node>,
    rows: Rows,
    wiring: Wiring,
    /// The dry signal, delayed by the node's latency.
    dry: Box<[Delay]>,
    /// False if the node is bypassed by request.
    enabled: bool,
    wet_share: Fade,
    /// Frames to run before the crossfade from bypass.
    settling: u64,
    settle: u64,
    retry: Retry,
    retry_frames: u64,
    forgiven_frames: u64,
    /// Whether it has the state of a predecessor.
    has_adopted: bool,
    /// The node has panicked, and is not called again.
    has_panicked: bool,
    /// The payload of its panic, until the engine passes it on.
    pub thrown: Option<Payload>,
    splices: [Splice; MAX_CHANNELS],
    pub meter: Readings,
}

impl NodeSlot {
    /// `[control]` Builds the node of `plan`, at `rate` Hz.
    pub(crate) fn new(plan: &PlanNode, rate: f64, connection: impl Fn(&Feed) -> Connection) -> Self {
        let key_width = plan.key_channels.unwrap_or(plan.channels);
        let setup = Setup::new(plan.node_type, rate, plan.channels, key_width, &plan.values, &plan.data);
        let ramps = plan.values.iter().enumerate();
        let ramps =
            ramps.filter_map(|(i, value)| Some(plan.node_type.row(i)?.at_rest(*value, rate))).collect();
        let frames = |ms: f64| (ms * rate / 1000.0) as u64;
        Self {
            node: (plan.node_type.build)(&setup),
            rows: Rows {
                ramps,
                moving: false,
                base_rows: plan.node_type.rows.len(),
                part_rows: plan.node_type.part_rows().len(),
            },
            wiring: Wiring {
                feeds: plan.feeds.iter().map(&connection).collect(),
                key: plan.key.iter().map(&connection).collect(),
                buffer: plan.slot,
                key_buffer: plan.key_slot,
                in_place: plan.in_place,
                width: plan.channels,
                key_width: plan.key_channels.unwrap_or(0),
            },
            dry: (0..plan.channels).map(|_| Delay::new(plan.latency)).collect(),
            enabled: plan.enabled,
            wet_share: Fade::new(frames(BYPASS_MS) as u32, plan.enabled),
            settling: 0,
            settle: plan.latency as u64 + frames(SETTLE_MS),
            retry: Retry::default(),
            retry_frames: frames(RETRY_MS),
            forgiven_frames: frames(FORGIVEN_MS),
            has_adopted: false,
            has_panicked: false,
            thrown: None,
            splices: [Splice::new(rate); MAX_CHANNELS],
            meter: Readings::default(),
        }
    }

    /// `[audio]` Sets a row to an audio value; its ramp moves there.
    pub(crate) fn set(&mut self, row: usize, value: f64) {
        if let Some(ramp) = self.rows.ramps.get_mut(row) {
            ramp.set_target(value);
            self.rows.moving = true;
        }
    }

    /// `[audio]` Bypasses the node, or takes it out of bypass: it is reset, settles while the dry signal plays, then fades in.
    pub(crate) fn enable(&mut self, on: bool) {
        self.enabled = on;
        self.retry = Retry::default();
        if !on {
            self.wet_share.set_target(false);
        } else if self.wet_share.steady() == Some(0.0) {
            self.restart();
        } else {
            self.wet_share.set_target(true);
        }
    }

    fn restart(&mut self) {
        let mut own_delay = 0;
        let has_restarted = self.guarded(|node| {
            node.node.reset();
            own_delay = node.node.own_delay(&node.params());
        });
        if has_restarted {
            self.wet_share.set_target(true);
            self.settling = self.settle + own_delay as u64;
        }
    }

    /// Calls the node, unless it has panicked before. After a panic its state is undefined, so it is bypassed until the
    /// chain is rebuilt. Returns whether the call succeeded.
    ///
    /// A panic allocates its payload, which cannot be avoided. It is not freed here.
    fn guarded(&mut self, call: impl FnOnce(&mut Self)) -> bool {
        if self.has_panicked {
            return false;
        }
        let Err(thrown) = catch_unwind(AssertUnwindSafe(|| call(self))) else { return true };
        (self.has_panicked, self.thrown) = (true, Some(thrown));
        self.wet_share = Fade::new(self.wet_share.frames(), false);
        false
    }

    /// `[audio]` Adopts the state of the node that this one replaces.
    pub(crate) fn adopt(&mut self, old: &NodeSlot) {
        for (mine, old) in
            [(&mut self.wiring.feeds, &old.wiring.feeds), (&mut self.wiring.key, &old.wiring.key)]
        {
            mine.iter_mut().zip(old).for_each(|(connection, old)| connection.adopt(old));
        }
        self.dry.iter_mut().zip(&old.dry).for_each(|(delay, old)| delay.adopt(old));
        for (ramp, old) in self.rows.ramps.iter_mut().zip(&old.rows.ramps) {
            if ramp.target() == old.target() {
                *ramp = *old;
            }
        }
        self.rows.moving |= old.rows.moving;
        // A node that is bypassed for a fault is tried again at once: the new one may be without it.
        if self.enabled == old.enabled && !old.has_panicked && old.retry.frames == 0 {
            (self.wet_share, self.settling) = (old.wet_share, old.settling);
        }
        // The state of a bypassed node is outdated, that of one that has panicked undefined.
        if old.wet_share.steady() != Some(0.0) && !old.has_panicked {
            self.has_adopted = self.guarded(|node| node.node.adopt(old.node.as_ref()));
        }
        self.splices.iter_mut().zip(&old.splices).for_each(|(splice, old)| splice.adopt(old));
    }

    /// `[audio]` Frames until what comes in is at its output, its latency aside. `late` has the same of each buffer.
    pub(crate) fn fills_in(&mut self, late: &mut [usize]) {
        let before =
            if self.wiring.in_place { late[self.wiring.buffer] } else { latest(&self.wiring.feeds, late) };
        let mut own = 0;
        if !self.has_adopted && self.wet_share.steady() != Some(0.0) {
            self.guarded(|node| own = node.node.own_delay(&node.params()));
        }
        late[self.wiring.buffer] = before + own;
    }

    /// `[audio]` Adopts more state: see [`Node::adopt_more`].
    pub(crate) fn adopt_more(&mut self, old: &NodeSlot, frames: usize) -> usize {
        let mut left = 0;
        if old.wet_share.steady() != Some(0.0) && !old.has_panicked {
            self.guarded(|node| left = node.node.adopt_more(old.node.as_ref(), frames));
        }
        left
    }

    /// `[audio]` Runs the node for 1 to 64 frames. `Err` if its output is NaN, infinite or above [`MOST`]. Then, and after a panic, the
    /// output is the dry signal.
    pub(crate) fn run(&mut self, workspace: &mut Workspace<'_>, frames: usize) -> Result<(), ()> {
        let Workspace { buffers, inputs, scratch: [sum, key_sum, dry] } = workspace;
        let (width, key_width) = (self.wiring.width, self.wiring.key_width);
        // All sums are computed before a buffer is written: the plan may reuse the buffer of a source.
        if !self.wiring.in_place {
            sum_connections(&mut self.wiring.feeds, buffers, inputs, frames, &mut sum[..width]);
        }
        if let Some(slot) = self.wiring.key_buffer {
            sum_connections(&mut self.wiring.key, buffers, inputs, frames, &mut key_sum[..key_width]);
            buffers[slot][..key_width].copy_from_slice(&key_sum[..key_width]);
        }
        if !self.wiring.in_place {
            buffers[self.wiring.buffer][..width].copy_from_slice(&sum[..width]);
        }
        let dry = &mut dry[..width];
        dry.copy_from_slice(&buffers[self.wiring.buffer][..width]);
        for (plane, delay) in dry.iter_mut().zip(&mut self.dry) {
            delay.process(&mut plane[..frames]);
        }
        self.recover(frames);
        let mut outcome = Ok(());
        if self.wet_share.steady() == Some(0.0) {
            buffers[self.wiring.buffer][..width].copy_from_slice(dry);
        } else {
            let has_played = self.guarded(|node| node.process(buffers, frames));
            let wet = &mut buffers[self.wiring.buffer][..width];
            if has_played && are_within(wet, frames, MOST) {
                self.blend(wet, dry, frames);
            } else {
                wet.copy_from_slice(dry);
                self.splices.iter_mut().zip(&*dry).for_each(|(splice, dry)| splice.switch(dry[0]));
                if has_played {
                    self.bypass_after_fault();
                    outcome = Err(());
                }
            }
        }
        for (plane, splice) in buffers[self.wiring.buffer][..width].iter_mut().zip(&mut self.splices) {
            splice.process(&mut plane[..frames]);
        }
        if self.rows.moving {
            self.rows.ramps.iter_mut().for_each(|ramp| ramp.advance(frames));
            self.rows.moving = self.rows.ramps.iter().any(Ramp::is_moving);
        }
        outcome
    }

    fn params(&self) -> Params<'_> {
        Params::new(&self.rows.ramps, self.rows.base_rows, self.rows.part_rows, self.rows.moving)
    }

    fn process(&mut self, buffers: &mut [Buffer], frames: usize) {
        let params =
            Params::new(&self.rows.ramps, self.rows.base_rows, self.rows.part_rows, self.rows.moving);
        let (planes, key) = match self.wiring.key_buffer {
            None => (&mut buffers[self.wiring.buffer], None),
            // The plan assigns two different buffers.
            Some(key) => match buffers.get_disjoint_mut([self.wiring.buffer, key]) {
                Ok([planes, key]) => (planes, Some(&key[..self.wiring.key_width])),
                Err(_) => return,
            },
        };
        let mut block = Block::new(&mut planes[..self.wiring.width], key, frames);
        self.node.process(&mut block, &params, &mut self.meter);
    }

    /// Mixes the node's output and the dry signal during a crossfade to or from bypass.
    fn blend(&mut self, wet: &mut [Plane], dry: &[Plane], frames: usize) {
        if self.settling == 0 && self.wet_share.steady() == Some(1.0) {
            return;
        }
        for frame in 0..frames {
            let gain = if self.settling > 0 {
                self.settling -= 1;
                0.0
            } else {
                self.wet_share.tick()
            };
            for (wet, dry) in wet.iter_mut().zip(dry) {
                // Bit-exact at both ends, including the sign of zero.
                wet[frame] = match gain {
                    0.0 => dry[frame],
                    1.0 => wet[frame],
                    _ => dry[frame] + gain * (wet[frame] - dry[frame]),
                };
            }
        }
    }

    /// Resets the node and bypasses it, because its output was faulty. It is retried, each time after twice as long; each
    /// minute without a fault takes one doubling back.
    fn bypass_after_fault(&mut self) {
        self.guarded(|node| node.node.reset());
        self.wet_share = Fade::new(self.wet_share.frames(), false);
        let Retry { failures, .. } = self.retry;
        self.retry = Retry {
            frames: self.retry_frames << failures.min(MOST_DOUBLINGS),
            failures: (failures + 1).min(MOST_DOUBLINGS),
            faultless: 0,
        };
    }

    fn recover(&mut self, frames: usize) {
        let retry = &mut self.retry;
        if retry.failures == 0 {
            return;
        }
        if retry.frames > 0 {
            retry.frames = retry.frames.saturating_sub(frames as u64);
            if retry.frames == 0 && self.enabled {
                self.restart();
            }
            return;
        }
        retry.faultless += frames as u64;
        if retry.faultless >= self.forgiven_frames {
            (retry.failures, retry.faultless) = (retry.failures - 1, 0);
        }
    }

    /// Whether the node contributes to the output.
    pub(crate) fn is_active(&self) -> bool {
        self.settling == 0 && self.wet_share.steady() != Some(0.0)
    }
}

/// Whether no sample is NaN, infinite or above `most` in amplitude. There is no branch per sample, so it is fast.
pub(crate) fn are_within(planes: &[Plane], frames: usize, most: f64) -> bool {
    // The comparison is false for NaN.
    planes.iter().all(|plane| plane[..frames].iter().fold(true, |ok, sample| ok & (sample.abs() <= most)))
}
