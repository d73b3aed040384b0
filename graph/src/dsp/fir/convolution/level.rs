//! The partitions of one length: a section of the impulse response, convolved by transforms of twice that length.
//!
//! Every `ticks` ticks (64 frames each) a block of input is complete, and its job begins: transform it, multiply it and the
//! previous blocks with their partitions, and transform the sum back. The job is a list of small units, spread evenly over
//! the ticks until the next block is complete; its output is played from the last of them on.

use crate::dsp::fft::split_real::{Group, LANES, Place, Transform};
use crate::dsp::fir::convolution::{Path, Shape, TICK};
use crate::dsp::simd::{self, Eight, InLanes, Vectors};

/// Output blocks: the one that is played, and the one that is computed.
const SIDES: usize = 2;
/// Input blocks: the previous one, the one that is transformed with it, and the incoming one.
const BLOCKS: usize = 3;

/// A part of a job.
#[derive(Clone, Copy, Debug)]
enum Unit {
    /// Transforms a way of an input: every n-th sample (see `split_real`).
    Forward { input: usize, way: usize },
    /// Joins the ways of an input, one step of it.
    Join { input: usize, step: usize },
    /// Multiplies a group of bins of all blocks, for all paths.
    Multiply { group: usize },
    /// Splits the spectrum of an output into ways, one step of it.
    Part { output: usize, step: usize },
    /// Transforms a way of an output back.
    Inverse { output: usize, way: usize },
}

/// The partitions of one length.
pub(super) struct Level {
    /// Ticks in a block.
    pub ticks: usize,
    /// Number of partitions.
    pub partitions: usize,
    inputs: usize,
    outputs: usize,
    transform: Transform,
    /// Input: for each input three blocks in rotation, for each way its samples.
    pub blocks: Box<[f64]>,
    /// Spectra of the newest blocks: for each group of bins, for each block from new to old, for each input.
    pub history: Box<[Group]>,
    /// Spectra of the impulse responses: for each of them, for each group of bins, for each partition.
    taps: Box<[Group]>,
    /// Sums of a job: for each output, for each group of bins.
    sums: Box<[Group]>,
    /// Output blocks: for each of the two, for each output, for each way its samples.
    output_blocks: Box<[f64]>,
    units: Box<[Unit]>,
    /// End of the units of each tick.
    due: Box<[usize]>,
    /// The block before the first with input. Blocks are counted from 1.
    pub unknown: usize,
    /// The first block that is transformed, and the first whose whole job is done.
    pub first: usize,
    pub first_complete: usize,
    /// The tick from which the output includes all adopted input.
    pub complete: usize,
    pub vectors: Vectors,
}

/// The partitions of one length.
pub(super) struct Partitioning {
    /// Ticks in a block.
    pub ticks: usize,
    /// The first tap.
    pub start: usize,
    /// Number of partitions.
    pub partitions: usize,
}

impl Level {
    /// `[control]` The level of a section of `impulses`.
    pub(super) fn new(partitioning: &Partitioning, impulses: &[&[f64]], shape: &Shape, paths: usize) -> Self {
        let Partitioning { ticks, start, partitions } = *partitioning;
        let Shape { inputs, outputs } = *shape;
        let size = ticks * TICK;
        let mut transform = Transform::new(2 * size);
        let groups = size / LANES;
        let mut lines = room(impulses.len() * groups * partitions);
        for (at, impulse) in impulses.iter().enumerate() {
            for partition in 0..partitions {
                let from = (start + partition * size).min(impulse.len());
                let taps = &impulse[from..(from + size).min(impulse.len())];
                let ways = transform.ways();
                for way in 0..ways {
                    transform.forward(way, |samples| {
                        samples.fill(0.0);
                        let taps = taps.iter().skip(way).step_by(ways);
                        // The inverse transform multiplies by the size.
                        samples.iter_mut().zip(taps).for_each(|(to, tap)| *to = tap / (2 * size) as f64);
                    });
                }
                let place = Place { offset: at * groups * partitions + partition, stride: partitions };
                (0..transform.steps()).for_each(|step| transform.join(step, &mut lines, place));
            }
        }
        let (units, due) = schedule(&transform, partitioning, shape, paths);
        Self {
            ticks,
            partitions,
            inputs,
            outputs,
            blocks: room(inputs * BLOCKS * size),
            history: room(groups * partitions * inputs),
            taps: lines,
            sums: room(outputs * groups),
            output_blocks: room(SIDES * outputs * size),
            transform,
            units,
            due,
            unknown: 0,
            first: 1,
            first_complete: 1,
            complete: 0,
            vectors: Vectors::detect(),
        }
    }

    fn size(&self) -> usize {
        self.ticks * TICK
    }

    /// Number of groups of bins of a spectrum.
    pub(super) fn groups(&self) -> usize {
        self.size() / LANES
    }

    /// `[audio]` Adds the samples of input `input` before tick `tick`, counted from 1.
    pub(super) fn push_input(&mut self, tick: usize, input: usize, samples: &[f64; TICK]) {
        let (size, ways) = (self.size(), self.transform.ways());
        let before = tick - 1;
        let block = (input * BLOCKS + (before / self.ticks + 1) % BLOCKS) * size;
        let at = before % self.ticks * TICK / ways;
        for way in 0..ways {
            let from = block + way * size / ways + at;
            let places = &mut self.blocks[from..from + TICK / ways];
            places.iter_mut().zip(samples[way..].iter().step_by(ways)).for_each(|(to, x)| *to = *x);
        }
    }

    /// `[audio]` Discards the input up to block `block`.
    pub(super) fn clear_before(&mut self, block: usize) {
        self.unknown = block;
        (self.first, self.first_complete) = (block + 1, block + 1);
    }

    /// The block whose job is done at tick `tick`.
    pub(super) fn block(&self, tick: usize) -> usize {
        tick / self.ticks
    }

    /// `[audio]` Does the units of tick `tick`.
    pub(super) fn work(&mut self, tick: usize, paths: &[Path]) {
        let (block, phase) = (self.block(tick), tick % self.ticks);
        if block >= self.first {
            let from = if phase == 0 { 0 } else { self.due[phase - 1] };
            (from..self.due[phase]).for_each(|unit| self.do_unit(self.units[unit], block, paths));
        }
    }

    fn do_unit(&mut self, unit: Unit, block: usize, paths: &[Path]) {
        let (size, ways) = (self.size(), self.transform.ways());
        let share = size / ways;
        match unit {
            Unit::Multiply { .. } | Unit::Part { .. } | Unit::Inverse { .. }
                if block < self.first_complete => {}
            Unit::Forward { input, way } => {
                let part = |block: usize| {
                    let from = (input * BLOCKS + block % BLOCKS) * size + way * share;
                    &self.blocks[from..from + share]
                };
                let (before, now) = (part(block - 1), part(block));
                // Before the first block there is silence.
                let is_first = block == self.unknown + 1;
                self.transform.forward(way, |samples| {
                    let (first, second) = samples.split_at_mut(share);
                    if is_first {
                        first.fill(0.0)
                    } else {
                        first.copy_from_slice(before)
                    }
                    second.copy_from_slice(now);
                });
            }
            Unit::Join { input, step } => {
                let offset = self.newest(block) * self.inputs + input;
                let place = Place { offset, stride: self.partitions * self.inputs };
                self.transform.join(step, &mut self.history, place);
            }
            Unit::Multiply { group } => {
                self.vectors.run_in_lanes(Multiply { level: self, group, block, paths });
            }
            Unit::Part { output, step } => {
                let place = Place { offset: output * self.groups(), stride: 1 };
                self.transform.part(step, &self.sums, place);
            }
            Unit::Inverse { output, way } => {
                let from = ((block % SIDES) * self.outputs + output) * size + way * share;
                self.output_blocks[from..from + share].copy_from_slice(&self.transform.inverse(way)[share..]);
            }
        }
    }

    /// Index of the spectrum of a block; those of the previous blocks follow it.
    pub(super) fn newest(&self, block: usize) -> usize {
        (self.partitions - block % self.partitions) % self.partitions
    }

    #[inline(always)]
    fn multiply<E: Eight>(&mut self, group: usize, block: usize, paths: &[Path]) {
        let (groups, partitions, inputs) = (self.groups(), self.partitions, self.inputs);
        let known = (block - self.unknown).min(partitions);
        let newest = self.newest(block);
        let row = &self.history[group * partitions * inputs..][..partitions * inputs];
        for output in 0..self.outputs {
            let mut sums = [E::of(&[0.0; simd::LANES]); 6];
            for path in paths.iter().filter(|path| path.output == output) {
                let taps = &self.taps[(path.impulse * groups + group) * partitions..][..known];
                // From the newest block to the end of the row, then from its beginning.
                let (early, late) = taps.split_at(known.min(partitions - newest));
                for (taps, first) in [(early, newest), (late, 0)] {
                    let lines = row[first * inputs + path.input..].iter().step_by(inputs);
                    taps.iter().zip(lines).for_each(|(taps, lines)| add_products(&mut sums, taps, lines));
                }
            }
            let [rr0, rr1, ii0, ii1, im0, im1] = sums;
            let sum = &mut self.sums[output * groups + group];
            for (at, part) in [rr0.minus(ii0), rr1.minus(ii1), im0, im1].into_iter().enumerate() {
                sum[at * simd::LANES..][..simd::LANES].copy_from_slice(&part.values());
            }
            if group == 0 {
                // The lowest and the highest frequency are two real bins.
                (sum[0], sum[LANES]) = (rr0.values()[0], ii0.values()[0]);
            }
        }
    }

    /// Whether the spectrum of the newest block is complete.
    pub(super) fn is_transformed(&self, tick: usize) -> bool {
        self.due[tick % self.ticks] >= self.inputs * (self.transform.ways() + self.transform.steps())
    }

    /// `[audio]` Copies a group of bins of all blocks. Returns the number of samples copied.
    pub(super) fn adopt_group(&mut self, old: &Self, group: usize, tick: usize) -> usize {
        let (inputs, block) = (self.inputs, self.block(tick));
        let [mine, theirs] = [&*self, old].map(|level| (level.partitions, level.newest(block)));
        let place = |(partitions, newest): (usize, usize), age| {
            (group * partitions + (newest + age) % partitions) * inputs
        };
        let common = mine.0.min(theirs.0);
        for age in 0..common {
            let (to, from) = (place(mine, age), place(theirs, age));
            self.history[to..to + inputs].copy_from_slice(&old.history[from..from + inputs]);
        }
        common * inputs * 2 * LANES
    }

    /// `[audio]` Adds the output from tick `tick` on to `samples`.
    pub(super) fn add_output(&self, tick: usize, output: usize, samples: &mut [f64; TICK]) {
        let (size, ways) = (self.size(), self.transform.ways());
        // The newest block whose job is done.
        let Some(block) = (tick + 1).checked_div(self.ticks).and_then(|jobs| jobs.checked_sub(1)) else {
            return;
        };
        if block < self.first_complete {
            return;
        }
        let at = (tick + 1) % self.ticks * TICK / ways;
        let side = ((block % SIDES) * self.outputs + output) * size;
        for way in 0..ways {
            let from = side + way * size / ways + at;
            let places = samples[way..].iter_mut().step_by(ways);
            places.zip(&self.output_blocks[from..from + TICK / ways]).for_each(|(to, x)| *to += x);
        }
    }
}

/// Multiplies a group of bins of all blocks, for each output.
struct Multiply<'a> {
    level: &'a mut Level,
    group: usize,
    block: usize,
    paths: &'a [Path],
}

impl InLanes for Multiply<'_> {
    type Result = ();

    #[inline(always)]
    fn run<E: Eight>(self) {
        self.level.multiply::<E>(self.group, self.block, self.paths);
    }
}

/// Adds the products of two groups of bins: of real parts, of imaginary parts, and of one with the other.
#[inline(always)]
fn add_products<E: Eight>(sums: &mut [E; 6], taps: &Group, lines: &Group) {
    let (a, b) = (taps.as_chunks().0, lines.as_chunks().0);
    for half in 0..2 {
        let [ar, ai, br, bi] = [&a[half], &a[2 + half], &b[half], &b[2 + half]].map(E::of);
        sums[half] = ar.mul_add(br, sums[half]);
        sums[2 + half] = ai.mul_add(bi, sums[2 + half]);
        sums[4 + half] = ar.mul_add(bi, ai.mul_add(br, sums[4 + half]));
    }
}

/// Approximate cost in ns: of a transform, for each sample and each factor of two in its length ...
const TRANSFORM_NS: f64 = 0.16;
/// ... of joining or splitting a bin, and for each factor of two in the number of ways, because of cache misses ...
const JOIN_NS: (f64, f64) = (1.7, 2.0);
/// ... and of multiplying a bin.
const MULTIPLY_NS: f64 = 1.0;
/// A level with more bins to multiply than this exceeds the fast caches ...
const NEAR_LINES: usize = 65_536;
/// ... and access to them takes longer by this factor.
const FAR: f64 = 1.5;

fn join_ns(ways: usize) -> f64 {
    JOIN_NS.0 + JOIN_NS.1 * f64::from(ways.ilog2())
}

impl Partitioning {
    /// Approximate cost of a tick in ns.
    pub(super) fn cost(&self, shape: &Shape, paths: usize) -> f64 {
        let size = 2 * self.ticks * TICK;
        let ways = Transform::ways_of(size);
        let transform = 2.0 * TRANSFORM_NS * f64::from((size / ways).ilog2()) + join_ns(ways);
        let transforms = (shape.inputs + shape.outputs) as f64 * transform;
        TICK as f64 * (transforms + MULTIPLY_NS * (self.partitions * paths) as f64)
    }
}

/// The units of a job, and the end of those of each tick.
fn schedule(
    transform: &Transform,
    partitioning: &Partitioning,
    shape: &Shape,
    paths: usize,
) -> (Box<[Unit]>, Box<[usize]>) {
    let (ways, steps) = (transform.ways(), transform.steps());
    let size = partitioning.ticks * TICK;
    let mut units = Vec::new();
    for input in 0..shape.inputs {
        units.extend((0..ways).map(|way| Unit::Forward { input, way }));
        units.extend((0..steps).map(|step| Unit::Join { input, step }));
    }
    units.extend((0..size / LANES).map(|group| Unit::Multiply { group }));
    for output in 0..shape.outputs {
        units.extend((0..steps).map(|step| Unit::Part { output, step }));
        units.extend((0..ways).map(|way| Unit::Inverse { output, way }));
    }
    let piece = transform.piece() as f64;
    let is_far = size * partitioning.partitions * paths > NEAR_LINES;
    let far = if is_far { FAR } else { 1.0 };
    let step = join_ns(ways) * size as f64 / steps as f64;
    let cost = |unit: &Unit| match unit {
        Unit::Forward { .. } => far * TRANSFORM_NS * piece * piece.log2(),
        Unit::Inverse { .. } => TRANSFORM_NS * piece * piece.log2(),
        // The bins of the first input bring those of the other inputs into the cache.
        Unit::Join { input: 0, .. } => far * step,
        Unit::Join { .. } | Unit::Part { .. } => step,
        Unit::Multiply { .. } => far * MULTIPLY_NS * (LANES * partitioning.partitions * paths) as f64,
    };
    let share = units.iter().map(cost).sum::<f64>() / partitioning.ticks as f64;
    // A unit belongs to the tick that contains its middle.
    let mut done = 0.0;
    let middles: Vec<f64> = units
        .iter()
        .map(|unit| {
            done += cost(unit);
            done - cost(unit) / 2.0
        })
        .collect();
    let due =
        (1..=partitioning.ticks).map(|tick| middles.partition_point(|middle| *middle < share * tick as f64));
    let due = due.collect();
    (units.into(), due)
}

/// Memory without page faults on the audio thread: every page has been touched.
fn room<T: Copy + Default>(count: usize) -> Box<[T]> {
    let mut room = vec![T::default(); count].into_boxed_slice();
    std::hint::black_box(&mut room).fill(T::default());
    room
}
