//! Convolution with long impulse responses, without added latency, with the work spread evenly over time.
//!
//! The first 64 taps are convolved directly. The following taps are divided into partitions of increasing lengths, from 64
//! taps up, which are convolved by Fourier transforms of twice their length (overlap-save). The number of partitions of each
//! length is chosen so that the work for the next length has enough time. Transforms of the input are shared by all paths.
//!
//! Sources: W. G. Gardner, *Efficient convolution without input-output delay*, JAES 43(3), 1995; G. García, *Optimal filter
//! partition for efficient convolution with short input/output delay*, AES 113, 2002; F. Wefers, *Partitioned convolution
//! algorithms for real-time auralization*, 2015, chapters 5 and 6.
//!
//! The schedule of the work is fixed in frames since the last reset, so the output does not depend on block sizes.

mod handover;
mod level;

use crate::dsp::fir::convolution::handover::Handover;
use crate::dsp::fir::convolution::level::{Level, Partitioning};
use crate::dsp::simd::{Eight, InLanes, LANES, Vectors};

/// Frames from one tick to the next; a share of the work is done at each tick.
pub const TICK: usize = 64;
/// Frames that are convolved directly at once.
const AT_ONCE: usize = 4 * LANES;
/// Partition lengths in ticks.
const TICKS: [usize; 5] = [1, 4, 16, 64, 256];

/// A path from an input through an impulse response to an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Index of the input.
    pub input: usize,
    /// Index of the impulse response.
    pub impulse: usize,
    /// Index of the output.
    pub output: usize,
}

/// Numbers of inputs and outputs.
#[derive(Clone, Copy, Debug)]
struct Shape {
    inputs: usize,
    outputs: usize,
}

/// A convolution of some inputs with some impulse responses.
pub struct Convolution {
    paths: Box<[Path]>,
    /// The first taps of each impulse response.
    heads: Box<[Box<[f64]>]>,
    levels: Box<[Level]>,
    /// For each input, the samples of the previous tick and of this one so far.
    past: Box<[[f64; 2 * TICK + AT_ONCE]]>,
    /// For each output, the sum of the levels for this tick.
    level_output: Box<[[f64; TICK]]>,
    /// Ticks since the last reset, and frames since the last tick.
    tick: usize,
    at: usize,
    handover: Option<Handover>,
    vectors: Vectors,
}

impl Convolution {
    /// `[control]` A convolution from `inputs` inputs to `outputs` outputs; an output is the sum of its paths.
    pub fn new(impulses: &[&[f64]], paths: &[Path], inputs: usize, outputs: usize) -> Self {
        let taps = impulses.iter().map(|impulse| impulse.len()).max().unwrap_or(0);
        let shape = Shape { inputs, outputs };
        let level = |partitioning: &Partitioning| Level::new(partitioning, impulses, &shape, paths.len());
        Self {
            paths: paths.into(),
            heads: impulses.iter().map(|impulse| impulse[..impulse.len().min(TICK)].into()).collect(),
            levels: plan(taps, &shape, paths.len()).iter().map(level).collect(),
            past: vec![[0.0; 2 * TICK + AT_ONCE]; inputs].into_boxed_slice(),
            level_output: vec![[0.0; TICK]; outputs].into_boxed_slice(),
            tick: 0,
            at: 0,
            handover: None,
            vectors: Vectors::detect(),
        }
    }

    /// `[control]` A convolution of one channel.
    pub fn mono(impulse: &[f64]) -> Self {
        Self::each(impulse, 1)
    }

    /// `[control]` A convolution of each of `channels` channels with the same impulse response.
    pub fn each(impulse: &[f64], channels: usize) -> Self {
        let path = |channel| Path { input: channel, impulse: 0, output: channel };
        Self::new(&[impulse], &(0..channels).map(path).collect::<Vec<_>>(), channels, channels)
    }

    /// `[audio]` Convolves the first `frames` (at most 64) of each input.
    pub fn process(&mut self, inputs: &[[f64; TICK]], outputs: &mut [[f64; TICK]], frames: usize) {
        let mut from = 0;
        while from < frames {
            let count = (frames - from).min(TICK - self.at);
            for (past, input) in self.past.iter_mut().zip(inputs) {
                past[TICK + self.at..][..count].copy_from_slice(&input[from..from + count]);
            }
            for (at, output) in outputs.iter_mut().enumerate().take(self.level_output.len()) {
                let ahead = &self.level_output[at][self.at..self.at + count];
                output[from..from + count].copy_from_slice(ahead);
                self.add_head(at, &mut output[from..from + count]);
            }
            (from, self.at) = (from + count, self.at + count);
            if self.at == TICK {
                self.end_tick();
            }
        }
    }

    /// `[audio]` Clears the state. The cost is small, whatever the length of the impulse response.
    pub fn reset(&mut self) {
        (self.tick, self.at, self.handover) = (0, 0, None);
        self.past.as_flattened_mut().fill(0.0);
        self.level_output.as_flattened_mut().fill(0.0);
        self.levels.iter_mut().for_each(|level| level.clear_before(0));
    }

    /// Adds the convolution with the first taps, from frame `self.at` on.
    fn add_head(&self, output: usize, samples: &mut [f64]) {
        for path in self.paths.iter().filter(|path| path.output == output) {
            let (taps, past) = (&*self.heads[path.impulse], &self.past[path.input]);
            for (at, samples) in samples.chunks_mut(AT_ONCE).enumerate() {
                let from = TICK + self.at + at * AT_ONCE;
                self.vectors.run_in_lanes(Direct { taps, past, from, samples });
            }
        }
    }

    /// Ends a tick: every level receives its input, does its share of the work, and adds its output for the next tick.
    fn end_tick(&mut self) {
        self.tick += 1;
        self.at = 0;
        self.level_output.as_flattened_mut().fill(0.0);
        for level in &mut self.levels {
            for (input, past) in self.past.iter().enumerate() {
                if let Some(samples) = past[TICK..].first_chunk() {
                    level.push_input(self.tick, input, samples);
                }
            }
            level.work(self.tick, &self.paths);
            for (output, ahead) in self.level_output.iter_mut().enumerate() {
                level.add_output(self.tick, output, ahead);
            }
        }
        self.past.iter_mut().for_each(|past| past.copy_within(TICK..2 * TICK, 0));
    }
}

/// Adds the direct convolution of `past`, from `from` on, to `samples`.
struct Direct<'a> {
    taps: &'a [f64],
    past: &'a [f64; 2 * TICK + AT_ONCE],
    from: usize,
    samples: &'a mut [f64],
}

impl InLanes for Direct<'_> {
    type Result = ();

    #[inline(always)]
    fn run<E: Eight>(self) {
        let mut sums = [E::of(&[0.0; LANES]); AT_ONCE / LANES];
        for (age, tap) in self.taps.iter().enumerate() {
            let tap = E::of(&[*tap; LANES]);
            let (recent, _) = self.past[self.from - age..self.from - age + AT_ONCE].as_chunks();
            sums.iter_mut().zip(recent).for_each(|(sum, recent)| *sum = tap.mul_add(E::of(recent), *sum));
        }
        let sums = sums.map(E::values);
        self.samples.iter_mut().zip(sums.as_flattened()).for_each(|(sample, sum)| *sample += sum);
    }
}

/// The cheapest partitioning of impulse responses of `taps` taps.
fn plan(taps: usize, shape: &Shape, paths: usize) -> Vec<Partitioning> {
    // The output of a partition length is available one length after its input block, less one tick.
    let start = |ticks: usize| (2 * ticks - 1) * TICK;
    let up_to = |last: usize| -> Vec<Partitioning> {
        let partitioning = |at: usize| {
            let (ticks, start_at) = (TICKS[at], start(TICKS[at]));
            let end = if at == last { taps } else { start(TICKS[at + 1]) };
            Partitioning { ticks, start: start_at, partitions: (end - start_at).div_ceil(ticks * TICK) }
        };
        (0..=last).map(partitioning).collect()
    };
    let possible = (0..TICKS.len()).filter(|last| taps > start(TICKS[*last])).map(up_to);
    let cost = |plan: &Vec<Partitioning>| {
        plan.iter().map(|partitioning| partitioning.cost(shape, paths)).sum::<f64>()
    };
    possible.min_by(|a, b| cost(a).total_cmp(&cost(b))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
