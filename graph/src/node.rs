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

    /// `[audio]` Copies the state of the node that it replaces in a swap, if both have the same structure.
    /// The cost is bounded; nothing is allocated or freed.
    fn adopt(&mut self, old: &dyn Node);

    /// `[audio]` Copies more of the state, where it is too large for one call of [`Self::adopt`]. Both nodes have played
    /// `_frames` frames since the previous call. Returns the least number of frames until the copy is complete. Called after
    /// each sub-block until that is 0; the fade of the swap waits for it.
    fn adopt_more(&mut self, _old: &dyn Node, _frames: usize) -> usize {
        0
    }
}

/// `[audio]` `old` as a node of type `N`, for [`Node::adopt`]; `None` if it has another type.
pub fn same<N: Node>(old: &dyn Node) -> Option<&N> {
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
    pub fn are_moving(&self) -> bool {
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
    pub key_channels: usize,
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
    pub fn part_value(&self, index: usize, row: &Param) -> f64 {
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
