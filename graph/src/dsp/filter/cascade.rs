//! A cascade of many second-order sections, computed as a wavefront: while the first section processes a sample, the
//! second processes the sample before it, and so on. So eight sections are the eight lanes of a vector, instead of
//! waiting for each other.
//!
//! Sections that pass the signal unchanged need no lane. If the processor can, multiplications and additions are fused;
//! the result then differs from the portable one by rounding only, and on one machine it is always bit-identical.

use crate::dsp::filter::wavefront_section::{CoeffPath, Memory, StateSpace};
use crate::dsp::simd::{Eight, InLanes, LANES, Vectors};
use std::ops::Range;

/// Largest number of frames of a piece while coefficients move.
pub(crate) const SPAN: usize = 16;
/// Sets of coefficients of a section: for the first channel, the second, and all others.
pub(crate) const SIDES: usize = 3;

type Lane = [f64; LANES];

/// A cascade of sections for some channels.
#[derive(Clone, Debug)]
pub(crate) struct Cascade {
    /// Coefficients of each section.
    paths: Box<[[CoeffPath; SIDES]]>,
    /// Whether a section processes mid and side instead of the first two channels.
    mid_side: Box<[bool]>,
    /// State of each section, channel by channel.
    memories: Box<[Memory]>,
    /// The sections that are computed: for the first two channels, and for the others.
    active: [ActiveSections; 2],
    vectors: Vectors,
}

/// The sections that do not pass the signal unchanged, in groups of eight.
#[derive(Clone, Debug)]
struct ActiveSections {
    groups: Box<[Group]>,
    used: usize,
    is_stale: bool,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    sections: [usize; LANES],
    used: usize,
    mid_side: bool,
    coeffs: [[Lane; 6]; 2],
}

const EMPTY: Group = Group {
    sections: [0; LANES],
    used: 0,
    mid_side: false,
    coeffs: [[[0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES], [1.0; LANES]]; 2],
};

impl Cascade {
    /// `[control]` One section for each item of `mid_side`, which is true if it processes mid and side. All sections pass the
    /// signal unchanged.
    pub(crate) fn new(mid_side: Box<[bool]>, channels: usize) -> Self {
        let count = mid_side.len();
        let changes = mid_side.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let groups = vec![EMPTY; count.div_ceil(LANES) + changes].into_boxed_slice();
        let active = ActiveSections { groups, used: 0, is_stale: true };
        Self {
            paths: vec![[CoeffPath::IDENTITY; SIDES]; count].into_boxed_slice(),
            memories: vec![Memory::default(); count * channels].into_boxed_slice(),
            mid_side,
            active: [active.clone(), active],
            vectors: Vectors::detect(),
        }
    }

    /// Number of sections.
    pub(crate) fn sections(&self) -> usize {
        self.paths.len()
    }

    /// `[audio]` Sets the coefficients of a section immediately.
    pub(crate) fn set(&mut self, section: usize, coeffs: [StateSpace; SIDES]) {
        self.set_paths(section, coeffs.map(CoeffPath::at));
    }

    fn set_paths(&mut self, section: usize, paths: [CoeffPath; SIDES]) {
        self.paths[section] = paths;
        self.active.iter_mut().for_each(|active| active.is_stale = true);
        // A section that passes the signal unchanged has no state.
        let count = self.paths.len();
        for (channel, memory) in self.memories.iter_mut().skip(section).step_by(count).enumerate() {
            if paths[channel.min(SIDES - 1)].is_identity() {
                *memory = Memory::default();
            }
        }
    }

    /// `[audio]` Moves the coefficients of a section towards `coeffs`. To be called for each section every [`SPAN`] frames
    /// until all have arrived; returns whether this one has.
    pub(crate) fn set_target(&mut self, section: usize, coeffs: &[StateSpace; SIDES]) -> bool {
        let mut paths = self.paths[section];
        paths.iter_mut().zip(coeffs).for_each(|(path, coeffs)| path.set_target(coeffs, SPAN));
        if paths != self.paths[section] {
            self.set_paths(section, paths);
        }
        paths.iter().all(CoeffPath::has_arrived)
    }

    /// `[audio]` Filters channel `channel` (an even number), and the next one if `second` is given.
    pub(crate) fn process(&mut self, channel: usize, first: &mut [f64], second: Option<&mut [f64]>) {
        let count = self.paths.len();
        let active = &mut self.active[usize::from(channel > 0)];
        if active.is_stale {
            active.update(&self.paths, &self.mid_side, channel);
        }
        let (one, rest) = self.memories[channel * count..].split_at_mut(count);
        let mut none: [f64; 0] = [];
        let is_pair = second.is_some();
        let second = second.unwrap_or(&mut none);
        let (vectors, mut mid_side) = (self.vectors, false);
        for group in &active.groups[..active.used] {
            set_mid_side(&mut mid_side, group.mid_side, first, second);
            if is_pair {
                wavefront(vectors, group, [&mut *one, &mut *rest], [&mut *first, &mut *second]);
            } else {
                wavefront(vectors, group, [&mut *one], [&mut *first]);
            }
        }
        set_mid_side(&mut mid_side, false, first, second);
    }

    /// `[audio]` The same while coefficients move: one piece of at most [`SPAN`] frames through all sections. `parts` are
    /// ranges of sections in order, each with its wet share in each frame, if that is not 1. The stored coefficients do not
    /// change: see [`Self::advance`].
    pub(crate) fn glide<'a>(
        &mut self,
        channel: usize,
        first: &mut [f64],
        second: Option<&mut [f64]>,
        parts: impl Iterator<Item = (Range<usize>, Option<&'a [f64; SPAN]>)>,
    ) {
        let count = self.paths.len();
        let sides = sides(channel);
        let (one, rest) = self.memories[channel * count..].split_at_mut(count);
        let mut none: [f64; 0] = [];
        let is_pair = second.is_some();
        let second = second.unwrap_or(&mut none);
        let vectors = self.vectors;
        let run = |path: &CoeffPath, memory: &mut Memory, samples: &mut [f64]| {
            let (mut path, fuse) = (*path, vectors.fuse());
            vectors.run(
                #[inline(always)]
                || match fuse {
                    true => path.run::<true>(memory, samples),
                    false => path.run::<false>(memory, samples),
                },
            );
        };
        let mut mid_side = false;
        for (sections, share) in parts {
            let mut dry = [[0.0; SPAN]; 2];
            let mut is_dry = true;
            for section in sections {
                let paths = &self.paths[section];
                if sides.iter().all(|side| paths[*side].is_identity()) {
                    continue;
                }
                set_mid_side(&mut mid_side, self.mid_side[section], first, second);
                if std::mem::take(&mut is_dry) {
                    dry[0][..first.len()].copy_from_slice(first);
                    dry[1][..second.len()].copy_from_slice(second);
                }
                run(&paths[sides[0]], &mut one[section], first);
                if is_pair {
                    run(&paths[sides[1]], &mut rest[section], second);
                }
            }
            if let (Some(share), false) = (share, is_dry) {
                for (samples, dry) in [&mut *first, &mut *second].into_iter().zip(dry) {
                    for ((sample, dry), share) in samples.iter_mut().zip(dry).zip(share) {
                        *sample = if *share == 1.0 { *sample } else { dry + share * (*sample - dry) };
                    }
                }
            }
        }
        set_mid_side(&mut mid_side, false, first, second);
    }

    /// `[audio]` Advances all moving coefficients by `frames`.
    pub(crate) fn advance(&mut self, frames: usize) {
        for path in self.paths.iter_mut().flatten().filter(|path| !path.is_at_rest()) {
            (0..frames).for_each(|_| path.step());
        }
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.memories.fill(Memory::default());
    }

    /// `[audio]` Adopts coefficients and state of a section of another cascade with the same number of channels.
    pub(crate) fn adopt(&mut self, section: usize, old: &Cascade, old_section: usize) {
        let (mine, theirs) = (self.paths.len(), old.paths.len());
        self.set_paths(section, old.paths[old_section]);
        let channels = self.memories.chunks_exact_mut(mine).zip(old.memories.chunks_exact(theirs));
        for (memories, old) in channels {
            memories[section] = old[old_section];
        }
    }
}

impl ActiveSections {
    /// Collects the sections that do not pass the signal unchanged, for channel `channel` and the next one.
    fn update(&mut self, paths: &[[CoeffPath; SIDES]], mid_side: &[bool], channel: usize) {
        let sides = sides(channel);
        (self.used, self.is_stale) = (0, false);
        for (section, (paths, mid_side)) in paths.iter().zip(mid_side).enumerate() {
            let paths = sides.map(|side| &paths[side]);
            if paths.iter().all(|path| path.is_identity()) {
                continue;
            }
            let fits = |group: &Group| group.used < LANES && group.mid_side == *mid_side;
            if self.used == 0 || !fits(&self.groups[self.used - 1]) {
                self.groups[self.used] = Group { mid_side: *mid_side, ..EMPTY };
                self.used += 1;
            }
            let group = &mut self.groups[self.used - 1];
            for (rows, path) in group.coeffs.iter_mut().zip(paths) {
                rows.iter_mut().zip(path.now.0).for_each(|(row, value)| row[group.used] = value);
            }
            group.sections[group.used] = section;
            group.used += 1;
        }
    }
}

/// The sets of coefficients of channel `channel` and the next one.
fn sides(channel: usize) -> [usize; 2] {
    [channel, channel + 1].map(|channel| channel.min(SIDES - 1))
}

/// Converts left and right to mid and side, M = (L+R)/2 and S = (L-R)/2, or back, unless they are so already. A single
/// channel does not change.
fn set_mid_side(is_mid_side: &mut bool, target: bool, left: &mut [f64], right: &mut [f64]) {
    if std::mem::replace(is_mid_side, target) == target {
        return;
    }
    let scale = if target { 0.5 } else { 1.0 };
    for (left, right) in left.iter_mut().zip(right) {
        (*left, *right) = (scale * (*left + *right), scale * (*left - *right));
    }
}

/// Runs a group over one or two channels.
fn wavefront<const N: usize>(
    vectors: Vectors,
    group: &Group,
    memories: [&mut [Memory]; N],
    samples: [&mut [f64]; N],
) {
    let mut front: [[Lane; 2]; N] = [[[0.0; LANES]; 2]; N];
    for (front, memories) in front.iter_mut().zip(&memories) {
        for (lane, section) in group.sections[..group.used].iter().enumerate() {
            (front[0][lane], front[1][lane]) = (memories[*section].s1, memories[*section].s2);
        }
    }
    vectors.run_in_lanes(Wavefront { coeffs: &group.coeffs, front: &mut front, samples });
    for (front, memories) in front.iter().zip(memories) {
        for (lane, section) in group.sections[..group.used].iter().enumerate() {
            memories[*section] = Memory { s1: front[0][lane], s2: front[1][lane] };
        }
    }
}

/// Computes the sections of a group for some samples.
struct Wavefront<'a, const N: usize> {
    coeffs: &'a [[Lane; 6]; 2],
    front: &'a mut [[Lane; 2]; N],
    samples: [&'a mut [f64]; N],
}

impl<const N: usize> InLanes for Wavefront<'_, N> {
    type Result = ();

    #[inline(always)]
    fn run<E: Eight>(self) {
        let Self { coeffs, front, samples } = self;
        let frames = samples.iter().map(|samples| samples.len()).min().unwrap_or(0);
        let samples = samples.map(|samples| &mut samples[..frames]);
        let coeffs: [[E; 6]; 2] =
            std::array::from_fn(|side| std::array::from_fn(|i| E::of(&coeffs[side][i])));
        let mut memory: [[E; 2]; N] = std::array::from_fn(|at| [E::of(&front[at][0]), E::of(&front[at][1])]);
        // The output of each lane, which is the input of the next lane in the next step.
        let mut output = [E::of(&[0.0; LANES]); N];
        let last = LANES - 1;
        // The wavefront enters, lane by lane, ...
        for step in 0..last {
            edge(&coeffs, &samples, step, &mut memory, &mut output);
        }
        // ... fills all lanes, ...
        for step in last..frames {
            for channel in 0..N {
                (memory[channel], output[channel]) =
                    advance(&coeffs[channel], memory[channel], output[channel].shift(samples[channel][step]));
                samples[channel][step - last] = output[channel].values()[last];
            }
        }
        // ... and leaves.
        for step in frames.max(last)..frames + last {
            edge(&coeffs, &samples, step, &mut memory, &mut output);
            for channel in 0..N {
                samples[channel][step - last] = output[channel].values()[last];
            }
        }
        for (front, memory) in front.iter_mut().zip(memory) {
            *front = memory.map(E::values);
        }
    }
}

/// One step at the beginning or the end: an idle lane keeps its state.
#[inline(always)]
fn edge<const N: usize, E: Eight>(
    coeffs: &[[E; 6]; 2],
    samples: &[&mut [f64]; N],
    step: usize,
    memory: &mut [[E; 2]; N],
    output: &mut [E; N],
) {
    for channel in 0..N {
        let frames = samples[channel].len();
        let begun = if step < LANES { (2_u16 << step) - 1 } else { 0xff };
        let ended = if step < frames { 0 } else { (2_u16 << (step - frames)) - 1 };
        let active = (begun & !ended) as u8;
        let input = samples[channel].get(step).copied().unwrap_or(0.0);
        let [s1, s2] = memory[channel];
        let ([next1, next2], out) = advance(&coeffs[channel], [s1, s2], output[channel].shift(input));
        (memory[channel], output[channel]) = ([next1.or(s1, active), next2.or(s2, active)], out);
    }
}

/// One step of all lanes: returns their new state and their output.
#[inline(always)]
fn advance<E: Eight>([p, q, r, c1, c2, d]: &[E; 6], [s1, s2]: [E; 2], input: E) -> ([E; 2], E) {
    let t = input.minus(s2);
    let held = c1.mul_add(s1, c2.times(s2));
    let next = [q.mul_add(t, p.times(s1)), r.mul_add(t, q.mul_add(s1, s2))];
    (next, d.mul_add(input, held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::filter::svf::Coeffs;

    /// Different sections; some pass the signal unchanged, some process mid and side.
    fn cascade(sections: usize, channels: usize) -> Cascade {
        let mut cascade = Cascade::new((0..sections).map(|i| i % 7 > 4).collect(), channels);
        for section in 0..sections {
            let freq = 50.0 * 1.6_f64.powi(section as i32 % 12);
            let bell = |gain| StateSpace::new(&Coeffs::bell(48_000.0, freq, gain, 1.0));
            match section % 5 {
                0 => {}
                1 => cascade.set(section, [StateSpace::IDENTITY, bell(4.0), StateSpace::IDENTITY]),
                _ => cascade.set(section, [bell(3.0 - section as f64); SIDES]),
            }
        }
        cascade
    }

    fn noise(frames: usize) -> Vec<f64> {
        (0..frames).map(|n| ((n * n * 7919 + n) % 2_001) as f64 / 1_000.0 - 1.0).collect()
    }

    fn one_after_another(mut cascade: Cascade, [mut left, mut right]: [Vec<f64>; 2]) -> [Vec<f64>; 2] {
        let sections = cascade.paths.len();
        for (left, right) in left.chunks_mut(SPAN).zip(right.chunks_mut(SPAN)) {
            cascade.glide(0, left, Some(right), (0..sections).map(|at| (at..at + 1, None)));
        }
        [left, right]
    }

    #[test]
    fn the_wavefront_is_one_section_after_another_to_the_bit_on_every_processor() {
        for vectors in Vectors::all() {
            for sections in [1, 3, 8, 9, 24] {
                let make = || Cascade { vectors, ..cascade(sections, 2) };
                let expected = one_after_another(make(), [noise(500), noise(501)[1..].to_vec()]);
                for block in [1, 2, 7, 8, 9, 63, 64] {
                    let mut front = make();
                    let (mut left, mut right) = (noise(500), noise(501)[1..].to_vec());
                    for (left, right) in left.chunks_mut(block).zip(right.chunks_mut(block)) {
                        front.process(0, left, Some(right));
                    }
                    assert_eq!(
                        [left, right],
                        expected,
                        "{vectors:?}, {sections} sections, blocks of {block}"
                    );
                }
            }
        }
    }

    #[test]
    fn all_processors_agree_to_within_the_roundings_of_each_section() {
        let play = |vectors| {
            let mut cascade = Cascade { vectors, ..cascade(24, 2) };
            let (mut left, mut right) = (noise(5_000), noise(5_000));
            cascade.process(0, &mut left, Some(&mut right));
            [left, right].concat()
        };
        let portable = play(Vectors::PORTABLE);
        for vectors in Vectors::all() {
            let difference =
                play(vectors).iter().zip(&portable).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(difference < 1e-12, "{vectors:?}: {difference:e}");
        }
    }

    #[test]
    fn coefficients_that_jump_at_random_every_frame_never_make_it_blow_up() {
        let mut cascade = Cascade::new(Box::new([false]), 1);
        let mut seed = 7_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (seed >> 40) as f64 / (1_u64 << 24) as f64
        };
        let mut highest: f64 = 0.0;
        for _ in 0..200_000 {
            let (freq, q) = (20.0 * 1000.0_f64.powf(random()), 0.1 * 240.0_f64.powf(random()));
            cascade.set(0, [StateSpace::new(&Coeffs::lowpass(48_000.0, freq, q)); SIDES]);
            let mut sample = [2.0 * random() - 1.0];
            cascade.process(0, &mut sample, None);
            highest = highest.max(sample[0].abs());
        }
        assert!(highest < 100.0, "{highest}");
    }
}
