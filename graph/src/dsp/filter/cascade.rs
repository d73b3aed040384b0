//! Many second-order sections in a row, as a wavefront: while the first works on a sample, the second works on
//! the one before it, and so on. What is a chain of waits in one section after another is then eight lanes of
//! one vector.
//!
//! Sections that are wires take no lane. Where the processor can, multiplications and additions are fused; the result
//! then differs from the portable one by roundings only, and on one machine it is always the same to the bit.

use crate::dsp::filter::wavefront_section::{Course, Flow, Memory};
use crate::dsp::simd::{Eight, InLanes, LANES, Vectors};
use std::ops::Range;

/// Most frames of a piece while coefficients move.
pub const SPAN: usize = 16;
/// A section has coefficients for the first channel, the second, and all others.
pub const SIDES: usize = 3;

type Lane = [f64; LANES];

/// Sections in a row, for some channels.
#[derive(Clone, Debug)]
pub struct Cascade {
    /// Coefficients of each section.
    courses: Box<[[Course; SIDES]]>,
    /// Whether a section hears the middle and the side in place of the first two channels.
    mid_side: Box<[bool]>,
    /// Channel after channel, section after section.
    memories: Box<[Memory]>,
    /// For the first two channels, and for the others.
    line_ups: [LineUp; 2],
    vectors: Vectors,
}

/// Which sections are worked on, eight at a time.
#[derive(Clone, Debug)]
struct LineUp {
    groups: Box<[Group]>,
    used: usize,
    is_stale: bool,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    sections: [usize; LANES],
    used: usize,
    mid_side: bool,
    flows: [[Lane; 6]; 2],
}

const EMPTY: Group = Group {
    sections: [0; LANES],
    used: 0,
    mid_side: false,
    flows: [[[0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES], [0.0; LANES], [1.0; LANES]]; 2],
};

impl Cascade {
    /// `[control]` One section for each of `mid_side`, which says whether it hears the middle and the side; all wires,
    /// for so many channels.
    pub fn new(mid_side: Box<[bool]>, channels: usize) -> Self {
        let count = mid_side.len();
        let changes = mid_side.windows(2).filter(|pair| pair[0] != pair[1]).count();
        let groups = vec![EMPTY; count.div_ceil(LANES) + changes].into_boxed_slice();
        let line_up = LineUp { groups, used: 0, is_stale: true };
        Self {
            courses: vec![[Course::IDENTITY; SIDES]; count].into_boxed_slice(),
            memories: vec![Memory::default(); count * channels].into_boxed_slice(),
            mid_side,
            line_ups: [line_up.clone(), line_up],
            vectors: Vectors::detect(),
        }
    }

    /// How many sections there are.
    pub fn sections(&self) -> usize {
        self.courses.len()
    }

    /// `[audio]` Sets the coefficients of a section at once.
    pub fn set(&mut self, section: usize, flows: [Flow; SIDES]) {
        self.place(section, flows.map(Course::at));
    }

    fn place(&mut self, section: usize, courses: [Course; SIDES]) {
        self.courses[section] = courses;
        self.line_ups.iter_mut().for_each(|line_up| line_up.is_stale = true);
        // A wire forgets the past.
        let count = self.courses.len();
        for (channel, memory) in self.memories.iter_mut().skip(section).step_by(count).enumerate() {
            if courses[channel.min(SIDES - 1)].is_identity() {
                *memory = Memory::default();
            }
        }
    }

    /// `[audio]` Sends the coefficients of a section to `flows`; to be said for each section every [`SPAN`] frames
    /// until all have arrived. Whether this one has.
    pub fn aim(&mut self, section: usize, flows: &[Flow; SIDES]) -> bool {
        let mut courses = self.courses[section];
        courses.iter_mut().zip(flows).for_each(|(course, flow)| course.aim(flow, SPAN));
        if courses != self.courses[section] {
            self.place(section, courses);
        }
        courses.iter().all(Course::has_arrived)
    }

    /// `[audio]` Filters channel `channel` (an even number) and, where there is `second`, the one after it.
    pub fn process(&mut self, channel: usize, first: &mut [f64], second: Option<&mut [f64]>) {
        let count = self.courses.len();
        let line_up = &mut self.line_ups[usize::from(channel > 0)];
        if line_up.is_stale {
            line_up.renew(&self.courses, &self.mid_side, channel);
        }
        let (one, rest) = self.memories[channel * count..].split_at_mut(count);
        let mut none: [f64; 0] = [];
        let is_pair = second.is_some();
        let second = second.unwrap_or(&mut none);
        let (vectors, mut mid_side) = (self.vectors, false);
        for group in &line_up.groups[..line_up.used] {
            turn(&mut mid_side, group.mid_side, first, second);
            if is_pair {
                wavefront(vectors, group, [&mut *one, &mut *rest], [&mut *first, &mut *second]);
            } else {
                wavefront(vectors, group, [&mut *one], [&mut *first]);
            }
        }
        turn(&mut mid_side, false, first, second);
    }

    /// `[audio]` The same while coefficients move: one piece of at most [`SPAN`] frames through all sections. `parts` are
    /// the sections in order, some at a time, and how much of what these do is heard in each frame, where that is not
    /// all of it. The coefficients themselves stay: see [`Self::advance`].
    pub fn glide<'a>(
        &mut self,
        channel: usize,
        first: &mut [f64],
        second: Option<&mut [f64]>,
        parts: impl Iterator<Item = (Range<usize>, Option<&'a [f64; SPAN]>)>,
    ) {
        let count = self.courses.len();
        let sides = sides(channel);
        let (one, rest) = self.memories[channel * count..].split_at_mut(count);
        let mut none: [f64; 0] = [];
        let is_pair = second.is_some();
        let second = second.unwrap_or(&mut none);
        let vectors = self.vectors;
        let run = |course: &Course, memory: &mut Memory, samples: &mut [f64]| {
            let (mut course, fuse) = (*course, vectors.fuse());
            vectors.run(
                #[inline(always)]
                || match fuse {
                    true => course.run::<true>(memory, samples),
                    false => course.run::<false>(memory, samples),
                },
            );
        };
        let mut mid_side = false;
        for (sections, heard) in parts {
            let mut dry = [[0.0; SPAN]; 2];
            let mut is_dry = true;
            for section in sections {
                let courses = &self.courses[section];
                if sides.iter().all(|side| courses[*side].is_identity()) {
                    continue;
                }
                turn(&mut mid_side, self.mid_side[section], first, second);
                if std::mem::take(&mut is_dry) {
                    dry[0][..first.len()].copy_from_slice(first);
                    dry[1][..second.len()].copy_from_slice(second);
                }
                run(&courses[sides[0]], &mut one[section], first);
                if is_pair {
                    run(&courses[sides[1]], &mut rest[section], second);
                }
            }
            if let (Some(heard), false) = (heard, is_dry) {
                for (samples, dry) in [&mut *first, &mut *second].into_iter().zip(dry) {
                    for ((sample, dry), heard) in samples.iter_mut().zip(dry).zip(heard) {
                        *sample = if *heard == 1.0 { *sample } else { dry + heard * (*sample - dry) };
                    }
                }
            }
        }
        turn(&mut mid_side, false, first, second);
    }

    /// `[audio]` Moves all coefficients on by `frames`.
    pub fn advance(&mut self, frames: usize) {
        for course in self.courses.iter_mut().flatten().filter(|course| !course.is_at_rest()) {
            (0..frames).for_each(|_| course.step());
        }
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        self.memories.fill(Memory::default());
    }

    /// `[audio]` Takes over the coefficients of a section of another cascade of as many channels, and what it
    /// remembers.
    pub fn adopt(&mut self, section: usize, old: &Cascade, old_section: usize) {
        let (mine, theirs) = (self.courses.len(), old.courses.len());
        self.place(section, old.courses[old_section]);
        let channels = self.memories.chunks_exact_mut(mine).zip(old.memories.chunks_exact(theirs));
        for (memories, old) in channels {
            memories[section] = old[old_section];
        }
    }
}

impl LineUp {
    /// Gathers what is no wire for the pair of channels that begins with `channel`.
    fn renew(&mut self, courses: &[[Course; SIDES]], mid_side: &[bool], channel: usize) {
        let sides = sides(channel);
        (self.used, self.is_stale) = (0, false);
        for (section, (courses, mid_side)) in courses.iter().zip(mid_side).enumerate() {
            let courses = sides.map(|side| &courses[side]);
            if courses.iter().all(|course| course.is_identity()) {
                continue;
            }
            let fits = |group: &Group| group.used < LANES && group.mid_side == *mid_side;
            if self.used == 0 || !fits(&self.groups[self.used - 1]) {
                self.groups[self.used] = Group { mid_side: *mid_side, ..EMPTY };
                self.used += 1;
            }
            let group = &mut self.groups[self.used - 1];
            for (rows, course) in group.flows.iter_mut().zip(courses) {
                rows.iter_mut().zip(course.now.0).for_each(|(row, value)| row[group.used] = value);
            }
            group.sections[group.used] = section;
            group.used += 1;
        }
    }
}

/// The coefficients that are for channel `channel` and the one after it.
fn sides(channel: usize) -> [usize; 2] {
    [channel, channel + 1].map(|channel| channel.min(SIDES - 1))
}

/// Left and right to middle and side, M = (L+R)/2 and S = (L-R)/2, or back, where that is not what they are already.
/// A channel alone stays as it is.
fn turn(is_mid_side: &mut bool, wanted: bool, left: &mut [f64], right: &mut [f64]) {
    if std::mem::replace(is_mid_side, wanted) == wanted {
        return;
    }
    let scale = if wanted { 0.5 } else { 1.0 };
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
    vectors.run_in_lanes(Sweep { flows: &group.flows, front: &mut front, samples });
    for (front, memories) in front.iter().zip(memories) {
        for (lane, section) in group.sections[..group.used].iter().enumerate() {
            memories[*section] = Memory { s1: front[0][lane], s2: front[1][lane] };
        }
    }
}

/// The samples' way through the sections of a group.
struct Sweep<'a, const N: usize> {
    flows: &'a [[Lane; 6]; 2],
    front: &'a mut [[Lane; 2]; N],
    samples: [&'a mut [f64]; N],
}

impl<const N: usize> InLanes for Sweep<'_, N> {
    type Result = ();

    #[inline(always)]
    fn run<E: Eight>(self) {
        let Self { flows, front, samples } = self;
        let frames = samples.iter().map(|samples| samples.len()).min().unwrap_or(0);
        let samples = samples.map(|samples| &mut samples[..frames]);
        let flows: [[E; 6]; 2] = std::array::from_fn(|side| std::array::from_fn(|i| E::of(&flows[side][i])));
        let mut memory: [[E; 2]; N] = std::array::from_fn(|at| [E::of(&front[at][0]), E::of(&front[at][1])]);
        // What each lane gives, for the next lane's next step.
        let mut given = [E::of(&[0.0; LANES]); N];
        let last = LANES - 1;
        // The front comes in, lane after lane, ...
        for step in 0..last {
            edge(&flows, &samples, step, &mut memory, &mut given);
        }
        // ... works on all lanes, ...
        for step in last..frames {
            for channel in 0..N {
                (memory[channel], given[channel]) =
                    advance(&flows[channel], memory[channel], given[channel].shift(samples[channel][step]));
                samples[channel][step - last] = given[channel].values()[last];
            }
        }
        // ... and goes out.
        for step in frames.max(last)..frames + last {
            edge(&flows, &samples, step, &mut memory, &mut given);
            for channel in 0..N {
                samples[channel][step - last] = given[channel].values()[last];
            }
        }
        for (front, memory) in front.iter_mut().zip(memory) {
            *front = memory.map(E::values);
        }
    }
}

/// One step at an edge: a lane that has nothing to do yet, or any more, keeps its memory.
#[inline(always)]
fn edge<const N: usize, E: Eight>(
    flows: &[[E; 6]; 2],
    samples: &[&mut [f64]; N],
    step: usize,
    memory: &mut [[E; 2]; N],
    given: &mut [E; N],
) {
    for channel in 0..N {
        let frames = samples[channel].len();
        let begun = if step < LANES { (2_u16 << step) - 1 } else { 0xff };
        let ended = if step < frames { 0 } else { (2_u16 << (step - frames)) - 1 };
        let active = (begun & !ended) as u8;
        let input = samples[channel].get(step).copied().unwrap_or(0.0);
        let [s1, s2] = memory[channel];
        let ([next1, next2], out) = advance(&flows[channel], [s1, s2], given[channel].shift(input));
        (memory[channel], given[channel]) = ([next1.or(s1, active), next2.or(s2, active)], out);
    }
}

/// One step of all lanes: what they remember after it, and what they give.
#[inline(always)]
fn advance<E: Eight>([p, q, r, c1, c2, d]: &[E; 6], [s1, s2]: [E; 2], taken: E) -> ([E; 2], E) {
    let t = taken.minus(s2);
    let held = c1.mul_add(s1, c2.times(s2));
    let next = [q.mul_add(t, p.times(s1)), r.mul_add(t, q.mul_add(s1, s2))];
    (next, d.mul_add(taken, held))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dsp::filter::svf::Coeffs;

    /// Any sections will do, as long as they differ; some are wires, some hear the middle and the side.
    fn cascade(sections: usize, channels: usize) -> Cascade {
        let mut cascade = Cascade::new((0..sections).map(|i| i % 7 > 4).collect(), channels);
        for section in 0..sections {
            let freq = 50.0 * 1.6_f64.powi(section as i32 % 12);
            let bell = |gain| Flow::new(&Coeffs::bell(48_000.0, freq, gain, 1.0));
            match section % 5 {
                0 => {}
                1 => cascade.set(section, [Flow::IDENTITY, bell(4.0), Flow::IDENTITY]),
                _ => cascade.set(section, [bell(3.0 - section as f64); SIDES]),
            }
        }
        cascade
    }

    fn noise(frames: usize) -> Vec<f64> {
        (0..frames).map(|n| ((n * n * 7919 + n) % 2_001) as f64 / 1_000.0 - 1.0).collect()
    }

    fn one_after_another(mut cascade: Cascade, [mut left, mut right]: [Vec<f64>; 2]) -> [Vec<f64>; 2] {
        let sections = cascade.courses.len();
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
            cascade.set(0, [Flow::new(&Coeffs::lowpass(48_000.0, freq, q)); SIDES]);
            let mut sample = [2.0 * random() - 1.0];
            cascade.process(0, &mut sample, None);
            highest = highest.max(sample[0].abs());
        }
        assert!(highest < 100.0, "{highest}");
    }
}
