//! Many second-order sections in a row, as a wavefront: while the first works on a sample, the second works on
//! the one before it, and so on. What is a chain of waits in one section after another is then eight lanes of
//! one vector.
//!
//! The same arithmetic in the same order on every path, so the result is the same to the bit whatever vectors
//! the processor has.

use crate::dsp::svf::{Coeffs, State};
use crate::dsp::vectors::Vectors;

/// Sections that are worked on at once.
const LANES: usize = 8;

type Lane = [f64; LANES];

/// Coefficients of eight sections, one field of [`Coeffs`] a row.
#[derive(Clone, Copy, Debug)]
struct Group {
    a1: Lane,
    a2: Lane,
    a3: Lane,
    m0: Lane,
    m1: Lane,
    m2: Lane,
}

/// What eight sections of one channel remember.
#[derive(Clone, Copy, Debug, Default)]
struct Memory {
    ic1: Lane,
    ic2: Lane,
}

/// Sections in a row, for some channels.
#[derive(Clone, Debug)]
pub struct Cascade {
    groups: Box<[Group]>,
    /// Channel after channel, group after group.
    memories: Box<[Memory]>,
    vectors: Vectors,
}

impl Cascade {
    /// `[control]` So many sections, all wires, for so many channels.
    pub fn new(sections: usize, channels: usize) -> Self {
        let count = sections.div_ceil(LANES);
        let [a1, a2, a3, m0, m1, m2] = Coeffs::WIRE.parts().map(|value| [value; LANES]);
        let wires = Group { a1, a2, a3, m0, m1, m2 };
        Self {
            groups: vec![wires; count].into_boxed_slice(),
            memories: vec![Memory::default(); count * channels].into_boxed_slice(),
            vectors: Vectors::detect(),
        }
    }

    /// `[audio]` Sets the coefficients of a section.
    pub fn set(&mut self, section: usize, coeffs: &Coeffs) {
        let Group { a1, a2, a3, m0, m1, m2 } = &mut self.groups[section / LANES];
        for (row, value) in [a1, a2, a3, m0, m1, m2].into_iter().zip(coeffs.parts()) {
            row[section % LANES] = value;
        }
    }

    /// `[audio]` Filters channel `channel` and, where there is `second`, the one after it.
    pub fn process(&mut self, channel: usize, first: &mut [f64], second: Option<&mut [f64]>) {
        let count = self.groups.len();
        let memories = &mut self.memories[channel * count..];
        let (one, rest) = memories.split_at_mut(count);
        match second {
            Some(second) => {
                for (group, (a, b)) in self.groups.iter().zip(one.iter_mut().zip(rest)) {
                    let samples = [&mut *first, &mut *second];
                    self.vectors.run(
                        #[inline(always)]
                        || wavefront(group, [a, b], samples),
                    );
                }
            }
            None => {
                for (group, memory) in self.groups.iter().zip(one) {
                    let samples = [&mut *first];
                    self.vectors.run(
                        #[inline(always)]
                        || wavefront(group, [memory], samples),
                    );
                }
            }
        }
    }

    /// `[audio]` Filters one sample of a channel through some of the sections, one after the other.
    pub fn tick(&mut self, channel: usize, sections: std::ops::Range<usize>, sample: f64) -> f64 {
        let count = self.groups.len();
        sections.fold(sample, |sample, section| {
            let (at, lane) = (section / LANES, section % LANES);
            let (group, memory) = (&self.groups[at], &mut self.memories[channel * count + at]);
            let rows = [&group.a1, &group.a2, &group.a3, &group.m0, &group.m1, &group.m2];
            let coeffs = Coeffs::from_parts(rows.map(|row| row[lane]));
            let mut state = State { ic1: memory.ic1[lane], ic2: memory.ic2[lane] };
            let sample = coeffs.tick(&mut state, sample);
            (memory.ic1[lane], memory.ic2[lane]) = (state.ic1, state.ic2);
            sample
        })
    }

    /// `[audio]` Forgets the past.
    pub fn reset(&mut self) {
        self.memories.fill(Memory::default());
    }

    /// `[audio]` Takes over what a section of another cascade of as many channels remembers.
    pub fn adopt(&mut self, section: usize, old: &Cascade, old_section: usize) {
        let (mine, theirs) = (self.groups.len(), old.groups.len());
        let channels = self.memories.chunks_exact_mut(mine).zip(old.memories.chunks_exact(theirs));
        for (memories, old) in channels {
            let (memory, old) = (&mut memories[section / LANES], &old[old_section / LANES]);
            memory.ic1[section % LANES] = old.ic1[old_section % LANES];
            memory.ic2[section % LANES] = old.ic2[old_section % LANES];
        }
    }
}

#[inline(always)]
fn wavefront<const N: usize>(group: &Group, memories: [&mut Memory; N], samples: [&mut [f64]; N]) {
    let frames = samples.iter().map(|samples| samples.len()).min().unwrap_or(0);
    let mut memory = memories.each_ref().map(|memory| **memory);
    // What each lane gives, for the next lane's next step.
    let mut given = [[0.0; LANES]; N];
    let last = LANES - 1;
    // The front comes in, lane after lane, ...
    for step in 0..last.min(frames + last) {
        for channel in 0..N {
            let input = samples[channel].get(step).copied().unwrap_or(0.0);
            let next = advance(group, &mut memory[channel], &given[channel], input, |lane| {
                lane <= step && step - lane < frames
            });
            given[channel] = next;
        }
    }
    // ... works on all lanes, ...
    for step in last..frames {
        for channel in 0..N {
            let input = samples[channel][step];
            given[channel] = advance(group, &mut memory[channel], &given[channel], input, |_| true);
            samples[channel][step - last] = given[channel][last];
        }
    }
    // ... and goes out.
    for step in frames.max(last)..frames + last {
        for channel in 0..N {
            let next =
                advance(group, &mut memory[channel], &given[channel], 0.0, |lane| step - lane < frames);
            given[channel] = next;
            samples[channel][step - last] = next[last];
        }
    }
    for (kept, memory) in memories.into_iter().zip(memory) {
        *kept = memory;
    }
}

/// One step of all lanes: each takes what the lane before it gave. A lane that has nothing to do yet, or any
/// more, keeps its memory.
#[inline(always)]
fn advance(
    group: &Group,
    memory: &mut Memory,
    given: &Lane,
    input: f64,
    is_active: impl Fn(usize) -> bool,
) -> Lane {
    let mut taken = [input; LANES];
    taken[1..].copy_from_slice(&given[..LANES - 1]);
    let mut out = [0.0; LANES];
    for lane in 0..LANES {
        let (ic1, ic2) = (memory.ic1[lane], memory.ic2[lane]);
        let v3 = taken[lane] - ic2;
        let v1 = group.a1[lane] * ic1 + group.a2[lane] * v3;
        let v2 = ic2 + group.a2[lane] * ic1 + group.a3[lane] * v3;
        let keep = !is_active(lane);
        memory.ic1[lane] = if keep { ic1 } else { 2.0 * v1 - ic1 };
        memory.ic2[lane] = if keep { ic2 } else { 2.0 * v2 - ic2 };
        out[lane] = group.m0[lane] * taken[lane] + group.m1[lane] * v1 + group.m2[lane] * v2;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Any sections will do, as long as they differ.
    fn cascade(sections: usize, channels: usize) -> Cascade {
        let mut cascade = Cascade::new(sections, channels);
        for section in 0..sections {
            let freq = 50.0 * 1.6_f64.powi(section as i32 % 12);
            cascade.set(section, &Coeffs::bell(48_000.0, freq, 3.0 - section as f64, 1.0));
        }
        cascade
    }

    fn noise(frames: usize) -> Vec<f64> {
        (0..frames).map(|n| ((n * n * 7919 + n) % 2_001) as f64 / 1_000.0 - 1.0).collect()
    }

    #[test]
    fn the_wavefront_is_one_section_after_another_to_the_bit_on_every_processor() {
        for sections in [1, 3, 8, 9, 24] {
            let mut single = cascade(sections, 2);
            let input = noise(500);
            let expected: Vec<f64> = input.iter().map(|x| single.tick(1, 0..sections, *x)).collect();
            for vectors in Vectors::all() {
                for block in [1, 2, 7, 8, 9, 63, 64] {
                    let mut front = Cascade { vectors, ..cascade(sections, 2) };
                    let (mut left, mut right) = (noise(500), noise(500));
                    for (left, right) in left.chunks_mut(block).zip(right.chunks_mut(block)) {
                        front.process(0, left, Some(right));
                    }
                    assert_eq!(right, expected, "{vectors:?}, {sections} sections, blocks of {block}");
                    assert_eq!(left, expected);
                    let mut alone = Cascade { vectors, ..cascade(sections, 2) };
                    let mut right = noise(500);
                    right.chunks_mut(block).for_each(|right| alone.process(1, right, None));
                    assert_eq!(right, expected);
                }
            }
        }
    }
}
