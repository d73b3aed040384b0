//! The two halves of a node: [`NodeType`] on the control side, [`Node`] on the audio side.

use crate::block::Block;
use crate::param::Param;
use crate::param::ramp::Ramp;
use crate::param::text::{Data, Impulse, Profile, Text};
use crate::reading::{Reading, Readings};
use std::any::Any;
use std::sync::Arc;

/// `[audio]` The half that processes sound. Built on the control side, then owned by the audio thread.
pub trait Node: Any + Send {
    /// `[audio]` Processes 1 to [`crate::SUBBLOCK`] frames in place. The result must not depend on the sizes of the
    /// blocks into which the signal is cut.
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, meter: &mut Readings);

    /// `[audio]` Clears the state: afterwards the node sounds the same as a new one.
    fn reset(&mut self);

    /// `[audio]` Frames by which it delays the signal at these values, besides its latency. After a reset its output is
    /// silent for that long.
    fn own_delay(&self, _params: &Params<'_>) -> usize {
        0
    }

    /// `[audio]` Copies the state of the node that it replaces in a swap, if both have the same structure.
    /// The cost is bounded; nothing is allocated or freed.
    fn adopt(&mut self, old: &dyn Node);

    /// `[audio]` Copies more of the state, where it is too large for one call of [`Self::adopt`]. Both nodes have played
    /// `_frames` frames since the previous call. Returns the least number of frames until the copy is complete; the
    /// warm-up of the swap lasts at least that long. Called once with 0 frames after [`Self::adopt`], then after each
    /// sub-block of the warm-up.
    fn adopt_more(&mut self, _old: &dyn Node, _frames: usize) -> usize {
        0
    }
}

/// `[audio]` `old` as a node of type `N`, for [`Node::adopt`]; `None` if it has another type.
pub(crate) fn same<N: Node>(old: &dyn Node) -> Option<&N> {
    (old as &dyn Any).downcast_ref()
}

/// `[audio]` Current parameter values of a node: one ramp for each row, first the base rows, then those of each part.
#[derive(Clone, Copy)]
pub struct Params<'a> {
    ramps: &'a [Ramp],
    base: usize,
    part: usize,
    moving: bool,
}

impl<'a> Params<'a> {
    /// The values of `ramps`, for a node type with `base` rows, and `part` rows in each part. `moving` is false if no
    /// ramp is moving.
    pub fn new(ramps: &'a [Ramp], base: usize, part: usize, moving: bool) -> Self {
        Self { ramps, base, part, moving }
    }

    /// A copy of the row's ramp, to be advanced once per frame; the chain advances the original.
    #[inline]
    pub fn ramp(&self, row: &Param) -> Ramp {
        self.ramps[row.slot]
    }

    /// The row's value at the start of the block.
    #[inline]
    pub fn value(&self, row: &Param) -> f64 {
        self.ramps[row.slot].value()
    }

    /// Whether any of these values is moving.
    pub(crate) fn are_moving(&self) -> bool {
        self.moving && self.ramps.iter().any(Ramp::is_moving)
    }

    /// The values of part `index`, counted from 0.
    pub fn part(&self, index: usize) -> Params<'a> {
        let start = self.base + index * self.part;
        Params { ramps: &self.ramps[start..start + self.part], base: self.part, part: 0, moving: self.moving }
    }
}

/// Input and output channels of a node type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// As many outputs as inputs, 1 to 8.
    Through,
    /// Two inputs, two outputs.
    Stereo,
    /// No input; the row with this slot gives the number of outputs.
    Source(usize),
    /// The row with this slot gives the number of outputs; its lowest value means as many as inputs. One input is
    /// copied to all outputs; several inputs are averaged to one output.
    Remix(usize),
}

/// The numbered parts of a node type, such as the bands of an equaliser.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Name of one part in an address: `/node/tone/band/1/gain`.
    pub name: &'static str,
    /// Name of the list in a file: `bands`.
    pub list: &'static str,
    /// The parameter table of each part.
    pub rows: &'static [Param],
    /// Smallest number of parts.
    pub least: usize,
    /// Largest number of parts.
    pub most: usize,
    /// The row that the last part lacks, such as the upper edge of the highest band.
    pub last_lacks: Option<&'static str>,
    /// The base row that names one of the bands which these parts divide; there is one more of them than there are parts.
    pub picked_by: Option<&'static str>,
}

impl Parts {
    /// Whether part `index` of `count`, counted from 0, has `row`.
    pub fn has(&self, index: usize, count: usize, row: &Param) -> bool {
        index + 1 < count || self.last_lacks != Some(row.name)
    }
}

/// Everything a node is built from: sample rate, channels, values and data.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a> {
    /// Sample rate in Hz.
    pub sample_rate: f64,
    /// Channels in and out, 1 to 8.
    pub channels: usize,
    /// Channels of the side-chain, or `channels` where there is none.
    pub(crate) key_channels: usize,
    /// Unit values of all rows: the base rows, then those of each part.
    pub values: &'a [f64],
    /// Number of parts.
    pub parts: usize,
    /// The data of each text setting; `None` where the text is empty.
    pub data: &'a [Option<Arc<Data>>],
    /// Numbers of base rows and of part rows of the node type.
    shape: (usize, usize),
}

impl<'a> Setup<'a> {
    /// The setup of a node of type `node_type`.
    pub fn new(
        node_type: &NodeType,
        sample_rate: f64,
        channels: usize,
        key_channels: usize,
        values: &'a [f64],
        data: &'a [Option<Arc<Data>>],
    ) -> Self {
        let (base, part) = (node_type.rows.len(), node_type.part_rows().len());
        let parts = (values.len() - base).checked_div(part).unwrap_or(0);
        Self { sample_rate, channels, key_channels, values, parts, data, shape: (base, part) }
    }

    /// The unit value of a base row.
    pub fn value(&self, row: &Param) -> f64 {
        self.values[row.slot]
    }

    /// The unit value of a row of part `index`, counted from 0.
    pub(crate) fn part_value(&self, index: usize, row: &Param) -> f64 {
        self.values[self.shape.0 + index * self.shape.1 + row.slot]
    }

    /// The impulse response of text setting `at`.
    pub fn impulse(&self, at: usize) -> Option<&'a Impulse> {
        match self.data.get(at)?.as_deref()? {
            Data::Impulse(impulse) => Some(impulse),
            Data::Profile(_) => None,
        }
    }

    /// The noise profile of text setting `at`.
    pub fn profile(&self, at: usize) -> Option<&'a Profile> {
        match self.data.get(at)?.as_deref()? {
            Data::Profile(profile) => Some(profile),
            Data::Impulse(_) => None,
        }
    }

    /// `ms` milliseconds in frames, rounded.
    pub fn frames(&self, ms: f64) -> usize {
        (ms * self.sample_rate / 1000.0).round() as usize
    }
}

/// What a type repairs. It leaves every other programme nearly as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// Clicks and crackle.
    Clicks,
    /// Mains hum and its harmonics.
    Hum,
    /// Peaks that were clipped flat.
    Clipping,
}

/// Rows of a type, each with a unit value.
pub type RowValues = &'static [(Param, f64)];

/// Settings under which a node has its usual work to do. The benches read them.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What follows the type's name in the figures; may be empty.
    pub name: &'static str,
    /// The settings, as in a chain file.
    pub settings: &'static str,
    /// The row that moves all the time, in all parts.
    pub moving: Option<&'static str>,
}

/// A node as it is by default.
const PLAIN: Workload = Workload::new("", "");

impl Workload {
    /// `settings` that stay as they are.
    pub const fn new(name: &'static str, settings: &'static str) -> Self {
        Self { name, settings, moving: None }
    }

    /// `settings` of which the row `moving` moves.
    pub const fn moving(name: &'static str, settings: &'static str, moving: &'static str) -> Self {
        Self { name, settings, moving: Some(moving) }
    }
}

/// `[control]` A node type: its name, its tables, and how to build a node. The single source for file keys,
/// ranges, error texts, addresses, schema and docs. Two types are equal if their names are.
#[derive(Clone, Copy, Debug)]
pub struct NodeType {
    /// Its name in files.
    pub name: &'static str,
    /// Help text: one sentence.
    pub help: &'static str,
    /// Its parameter table, in slot order.
    pub rows: &'static [Param],
    /// Its numbered parts, if it has any.
    pub parts: Option<&'static Parts>,
    /// Its text settings.
    pub texts: &'static [Text],
    /// Its input and output channels.
    pub ports: Ports,
    /// Whether it has a side-chain input (`key:`).
    pub has_key: bool,
    /// Its readings.
    pub readings: &'static [Reading],
    /// Frames from input to output. It depends on settings only, so it is constant for the life of a node.
    pub latency: fn(&Setup<'_>) -> usize,
    /// Builds the audio half.
    pub build: fn(&Setup<'_>) -> Box<dyn Node>,
    /// Seconds after which nothing of an earlier signal is left: its tail is 240 dB down. The laws of tails and of NaN read
    /// it, and play that long.
    pub settles_in: fn(&Setup<'_>) -> f64,
    /// Seconds of programme until it has measured or found what it works by; 0 where it works at once. The tests' programme
    /// is made by it.
    pub learns_in: fn(&Setup<'_>) -> f64,
    /// Whether what it has learned outlives a reset and does not go over in a swap. The laws of reset, of adoption and of
    /// swaps read it.
    pub has_memory: fn(&Setup<'_>) -> bool,
    /// With which values it does the same to every channel, so that equal channels come out equal; `None`: with no values.
    /// The law of channels reads it.
    pub per_channel: Option<RowValues>,
    /// Frames after its latency at which a click comes out: begins, or is highest; `None` where nothing marks it. The law of
    /// latency reads it.
    pub onset: fn(&Setup<'_>) -> Option<usize>,
    /// Whether it adds frequencies above 16 kHz to a steady sine, and others with every value. The law of clicks, which
    /// listens there, leaves it out.
    pub adds_highs: bool,
    /// With which values, all others at their defaults, a programme below -30 dBFS comes out bit for bit, after the latency;
    /// `None`: with no values. The law of transparency reads it.
    pub transparent_at: Option<RowValues>,
    /// What it repairs. The tests' programme has it.
    pub repairs: Option<Damage>,
    /// Work for the benches.
    pub workloads: &'static [Workload],
}

impl PartialEq for NodeType {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl NodeType {
    /// A type with one table, as many output as input channels, no latency, no side-chain input and no readings.
    pub const fn new(
        name: &'static str,
        help: &'static str,
        rows: &'static [Param],
        build: fn(&Setup<'_>) -> Box<dyn Node>,
    ) -> Self {
        assert_slots(rows);
        Self {
            name,
            help,
            rows,
            parts: None,
            texts: &[],
            ports: Ports::Through,
            has_key: false,
            readings: &[],
            latency: |_| 0,
            build,
            settles_in: |_| 0.1,
            learns_in: |_| 0.0,
            has_memory: |_| false,
            per_channel: Some(&[]),
            onset: |_| Some(0),
            adds_highs: false,
            transparent_at: None,
            repairs: None,
            workloads: &[PLAIN],
        }
    }

    /// Adds numbered parts.
    pub const fn parts(mut self, parts: &'static Parts) -> Self {
        assert_slots(parts.rows);
        self.parts = Some(parts);
        self
    }

    /// Adds text settings.
    pub const fn texts(mut self, texts: &'static [Text]) -> Self {
        self.texts = texts;
        self
    }

    /// Sets its input and output channels.
    pub const fn ports(mut self, ports: Ports) -> Self {
        self.ports = ports;
        self
    }

    /// Adds a side-chain input.
    pub const fn key(mut self) -> Self {
        self.has_key = true;
        self
    }

    /// Sets its readings.
    pub const fn readings(mut self, readings: &'static [Reading]) -> Self {
        assert!(readings.len() <= crate::reading::MAX_READINGS, "more readings than a report holds");
        self.readings = readings;
        self
    }

    /// Sets the function that computes its latency from its settings.
    pub const fn latency(mut self, latency: fn(&Setup<'_>) -> usize) -> Self {
        self.latency = latency;
        self
    }

    /// Sets how many seconds its tail takes to be 240 dB down: see [`Self::settles_in`].
    pub const fn settles_in(mut self, seconds: fn(&Setup<'_>) -> f64) -> Self {
        self.settles_in = seconds;
        self
    }

    /// Sets how many seconds of programme it learns from: see [`Self::learns_in`].
    pub const fn learns_in(mut self, seconds: fn(&Setup<'_>) -> f64) -> Self {
        self.learns_in = seconds;
        self
    }

    /// Sets when what it learned outlives a reset: see [`Self::has_memory`].
    pub const fn has_memory(mut self, has_memory: fn(&Setup<'_>) -> bool) -> Self {
        self.has_memory = has_memory;
        self
    }

    /// Sets with which values all channels are treated alike: see [`Self::per_channel`].
    pub const fn per_channel(mut self, values: Option<RowValues>) -> Self {
        self.per_channel = values;
        self
    }

    /// Sets when a click comes out: see [`Self::onset`].
    pub const fn onset(mut self, frames: fn(&Setup<'_>) -> Option<usize>) -> Self {
        self.onset = frames;
        self
    }

    /// Says that it adds high frequencies: see [`Self::adds_highs`].
    pub const fn adds_highs(mut self) -> Self {
        self.adds_highs = true;
        self
    }

    /// Sets with which values it is transparent: see [`Self::transparent_at`].
    pub const fn transparent_at(mut self, values: RowValues) -> Self {
        self.transparent_at = Some(values);
        self
    }

    /// Sets what it repairs.
    pub const fn repairs(mut self, damage: Damage) -> Self {
        self.repairs = Some(damage);
        self
    }

    /// Sets what the benches give it to do.
    pub const fn workloads(mut self, workloads: &'static [Workload]) -> Self {
        self.workloads = workloads;
        self
    }

    /// The row that says how many channels come out, if the type has one.
    pub fn channels_row(&self) -> Option<&'static Param> {
        match self.ports {
            Ports::Source(slot) | Ports::Remix(slot) => self.rows.get(slot),
            Ports::Through | Ports::Stereo => None,
        }
    }

    /// The parameter table of one part; empty if there are no parts.
    pub fn part_rows(&self) -> &'static [Param] {
        self.parts.map_or(&[], |parts| parts.rows)
    }

    /// Number of rows of a node with `parts` parts.
    pub fn row_count(&self, parts: usize) -> usize {
        self.rows.len() + parts * self.part_rows().len()
    }

    /// The table row of row `index` of a node.
    pub fn row(&self, index: usize) -> Option<&'static Param> {
        match index.checked_sub(self.rows.len()) {
            None => self.rows.get(index),
            Some(rest) => self.part_rows().get(rest.checked_rem(self.part_rows().len())?),
        }
    }

    /// Default unit values of all rows of a node with `parts` parts.
    pub fn defaults(&self, parts: usize) -> Vec<f64> {
        (0..self.row_count(parts)).filter_map(|i| self.row(i)).map(|row| row.default).collect()
    }
}

const fn assert_slots(rows: &[Param]) {
    let mut i = 0;
    while i < rows.len() {
        assert!(rows[i].slot == i, "list a table's rows in slot order");
        i += 1;
    }
}
