//! A real Fourier transform in small pieces, so that a long one can be spread over time.
//!
//! A transform of N samples consists of R transforms of N/R samples, each of every R-th sample (a way), joined by R-point
//! transforms (J. W. Cooley, J. W. Tukey, Math. Comp. 19(90), 1965). Samples are stored by ways: way r holds samples r,
//! r + R, r + 2R ...

use realfft::num_complex::Complex64;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use std::f64::consts::TAU;
use std::ops::Range;
use std::sync::Arc;

/// Bins of a spectrum that are stored together.
pub(crate) const LANES: usize = 16;
/// Their real parts, then their imaginary parts.
pub(crate) type Group = [f64; 2 * LANES];
/// Longest way, in samples.
const LONGEST: usize = 2048;
/// Columns that are joined or split at once.
const COLUMNS: usize = 16;

/// Place of a spectrum in memory: its first group, and the distance between two groups.
///
/// The first bin holds the lowest and the highest frequency, which are both real, as real and imaginary part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub offset: usize,
    pub stride: usize,
}

impl Place {
    #[inline(always)]
    fn group(self, line: usize) -> usize {
        self.offset + line / LANES * self.stride
    }
}

/// A real transform and its inverse, one at a time.
pub(crate) struct Transform {
    size: usize,
    ways: usize,
    forward: Arc<dyn RealToComplex<f64>>,
    inverse: Arc<dyn ComplexToReal<f64>>,
    /// Twiddle factors of the bins of each way, in the order of `lines`.
    turns: Box<[Complex64]>,
    /// Twiddle factors of the transforms across the rows.
    roots: Box<[Complex64]>,
    /// Samples of one way.
    samples: Box<[f64]>,
    /// Bins, row by row; way r is in the row with the bit-reversed number of r.
    lines: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
}

impl Transform {
    /// `[control]` A transform of `size` samples, a power of two.
    pub(crate) fn new(size: usize) -> Self {
        let ways = Self::ways_of(size);
        let piece = size / ways;
        let mut planner = RealFftPlanner::new();
        let (forward, inverse) = (planner.plan_fft_forward(piece), planner.plan_fft_inverse(piece));
        let width = piece / 2 + 1;
        let turn = |at: usize| {
            let way = reverse(at / width, ways);
            Complex64::from_polar(1.0, -TAU * (way * (at % width)) as f64 / size as f64)
        };
        let zero = Complex64::default();
        let scratch = forward.get_scratch_len().max(inverse.get_scratch_len());
        Self {
            size,
            ways,
            forward,
            inverse,
            turns: (0..ways * width).map(turn).collect(),
            roots: (0..ways).map(|i| Complex64::from_polar(1.0, -TAU * i as f64 / ways as f64)).collect(),
            samples: vec![0.0; piece].into_boxed_slice(),
            lines: vec![zero; ways * width].into_boxed_slice(),
            scratch: vec![zero; scratch].into_boxed_slice(),
        }
    }

    /// Number of ways of a transform of `size` samples.
    pub(crate) fn ways_of(size: usize) -> usize {
        (size / LONGEST).max(1)
    }

    /// Number of ways.
    pub(crate) fn ways(&self) -> usize {
        self.ways
    }

    /// Samples of a way.
    pub(crate) fn piece(&self) -> usize {
        self.size / self.ways
    }

    /// Number of steps to join the ways, or to split a spectrum into them.
    pub(crate) fn steps(&self) -> usize {
        self.width().div_ceil(COLUMNS)
    }

    /// Lines that a step joins or parts.
    pub(crate) fn lines(&self) -> usize {
        COLUMNS * self.ways
    }

    fn width(&self) -> usize {
        self.piece() / 2 + 1
    }

    fn columns(&self, step: usize) -> Range<usize> {
        step * COLUMNS..((step + 1) * COLUMNS).min(self.width())
    }

    /// `[audio]` Transforms way `way`: `fill` writes its samples.
    pub(crate) fn forward(&mut self, way: usize, fill: impl FnOnce(&mut [f64])) {
        fill(&mut self.samples);
        let (row, width) = (reverse(way, self.ways), self.width());
        let lines = &mut self.lines[row * width..(row + 1) * width];
        let done = self.forward.process_with_scratch(&mut self.samples, lines, &mut self.scratch);
        debug_assert!(done.is_ok(), "it refuses only buffers of another length");
    }

    /// `[audio]` Joins some columns of all ways, and writes the bins to `place` in `to`.
    pub(crate) fn join(&mut self, step: usize, to: &mut [Group], place: Place) {
        let (columns, width, piece) = (self.columns(step), self.width(), self.piece());
        for row in 1..self.ways {
            let row = row * width + columns.start..row * width + columns.end;
            self.lines[row.clone()].iter_mut().zip(&self.turns[row]).for_each(|(line, turn)| *line *= turn);
        }
        self.across(columns.clone(), false);
        for (row, lines) in self.lines.chunks_exact(width).enumerate() {
            let is_upper = self.is_upper(row);
            for column in columns.clone() {
                let line = lines[column];
                let at = column + row * piece;
                let (at, im) = if is_upper { (self.size - at, -line.im) } else { (at, line.im) };
                if at == 0 {
                    to[place.offset][0] = line.re;
                } else if 2 * at == self.size {
                    to[place.offset][LANES] = line.re;
                } else {
                    let group = &mut to[place.group(at)];
                    (group[at % LANES], group[LANES + at % LANES]) = (line.re, im);
                }
            }
        }
    }

    /// `[audio]` Splits some columns of the spectrum at `place` in `from` into the spectra of all ways.
    pub(crate) fn part(&mut self, step: usize, from: &[Group], place: Place) {
        let (columns, width, piece) = (self.columns(step), self.width(), self.piece());
        for row in 0..self.ways {
            let is_upper = self.is_upper(row);
            let lines = &mut self.lines[reverse(row, self.ways) * width..];
            for column in columns.clone() {
                let at = column + row * piece;
                let at = if is_upper { self.size - at } else { at };
                lines[column] = if at == 0 {
                    Complex64::new(from[place.offset][0], 0.0)
                } else if 2 * at == self.size {
                    Complex64::new(from[place.offset][LANES], 0.0)
                } else {
                    let group = &from[place.group(at)];
                    let im = group[LANES + at % LANES];
                    Complex64::new(group[at % LANES], if is_upper { -im } else { im })
                };
            }
        }
        self.across(columns.clone(), true);
        // The rows are now in the order of the ways.
        for way in 1..self.ways {
            let turned = reverse(way, self.ways) * width;
            let turns = &self.turns[turned + columns.start..turned + columns.end];
            let lines = &mut self.lines[way * width + columns.start..way * width + columns.end];
            lines.iter_mut().zip(turns).for_each(|(line, turn)| *line *= turn.conj());
        }
    }

    /// `[audio]` Returns the samples of way `way`, times the size of the transform.
    pub(crate) fn inverse(&mut self, way: usize) -> &[f64] {
        let width = self.width();
        let lines = &mut self.lines[way * width..(way + 1) * width];
        (lines[0].im, lines[width - 1].im) = (0.0, 0.0);
        let done = self.inverse.process_with_scratch(lines, &mut self.samples, &mut self.scratch);
        debug_assert!(done.is_ok(), "it refuses only buffers of another length");
        &self.samples
    }

    /// Whether the bins of a row are above half the sample rate: they mirror those below.
    fn is_upper(&self, row: usize) -> bool {
        row >= self.ways.div_ceil(2)
    }

    /// Transforms across the rows, in place: from bit-reversed to natural order.
    fn across(&mut self, columns: Range<usize>, is_inverse: bool) {
        let width = self.width();
        let mut half = 1;
        while half < self.ways {
            for group in self.lines.chunks_exact_mut(2 * half * width) {
                let (low, high) = group.split_at_mut(half * width);
                for row in 0..half {
                    let root = self.roots[row * self.ways / (2 * half)];
                    let turn = if is_inverse { root.conj() } else { root };
                    let columns = row * width + columns.start..row * width + columns.end;
                    for (a, b) in low[columns.clone()].iter_mut().zip(&mut high[columns]) {
                        let turned = *b * turn;
                        (*a, *b) = (*a + turned, *a - turned);
                    }
                }
            }
            half *= 2;
        }
    }
}

/// Bit-reversed number of a row among `count` rows, a power of two.
fn reverse(row: usize, count: usize) -> usize {
    if count == 1 { 0 } else { row.reverse_bits() >> (usize::BITS - count.ilog2()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transform_in_pieces_equals_the_definition_and_its_inverse_restores_the_samples() {
        for size in [128, 1024, 4 * LONGEST] {
            let samples: Vec<f64> = (0..size as i64).map(|n| (n * n % 1_009) as f64 / 504.5 - 1.0).collect();
            let mut transform = Transform::new(size);
            let ways = transform.ways();
            let mut lines = vec![[0.0; 2 * LANES]; size / 2 / LANES];
            let place = Place { offset: 0, stride: 1 };
            for way in 0..ways {
                transform.forward(way, |piece| {
                    piece.iter_mut().zip(samples.iter().skip(way).step_by(ways)).for_each(|(to, x)| *to = *x);
                });
            }
            (0..transform.steps()).for_each(|step| transform.join(step, &mut lines, place));
            for line in [0, 1, 15, 16, 63, size / 2 - 1, size / 2] {
                let turn =
                    |n: usize| Complex64::from_polar(1.0, -TAU * (n * line % size) as f64 / size as f64);
                let sum: Complex64 = samples.iter().enumerate().map(|(n, x)| turn(n) * x).sum();
                let found = match line {
                    0 => Complex64::new(lines[0][0], 0.0),
                    line if 2 * line == size => Complex64::new(lines[0][LANES], 0.0),
                    line => {
                        let group = lines[line / LANES];
                        Complex64::new(group[line % LANES], group[LANES + line % LANES])
                    }
                };
                assert!((found - sum).norm() < 1e-9, "size {size}, line {line}: {found}, not {sum}");
            }
            (0..transform.steps()).for_each(|step| transform.part(step, &lines, place));
            for way in 0..ways {
                let expected = samples.iter().skip(way).step_by(ways);
                for (found, x) in transform.inverse(way).iter().zip(expected) {
                    assert!((found / size as f64 - x).abs() < 1e-13, "size {size}, way {way}");
                }
            }
        }
    }
}
