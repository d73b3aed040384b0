//! An inverse Fourier transform that is computed in small pieces.
//!
//! A transform of N = R C points is C transforms of R points (the columns), a multiplication by twiddle factors, and R
//! transforms of C points (the rows).
//!
//! Source: D. H. Bailey, *FFTs in External or Hierarchical Memory*, Journal of Supercomputing 4, 1990: the four-step
//! method, here without its last step, the transposition.

use num_complex::Complex64;
use rustfft::{Fft, FftPlanner};
use std::f64::consts::TAU;
use std::sync::Arc;

/// Approximate number of points in one piece.
const PIECE: usize = 2048;

/// An inverse transform in place.
#[derive(Clone)]
pub struct Transform {
    columns: Arc<dyn Fft<f64>>,
    rows: Arc<dyn Fft<f64>>,
    points: Box<[Complex64]>,
    column: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
    /// Number of columns and rows that are done.
    done: usize,
}

impl Transform {
    /// `[control]` A transform of `size` points, a power of two.
    pub fn new(size: usize) -> Self {
        let rows = 1 << (size.ilog2() / 2);
        let mut planner = FftPlanner::new();
        let (columns, rows) = (planner.plan_fft_inverse(rows), planner.plan_fft_inverse(size / rows));
        let scratch = columns.get_inplace_scratch_len().max(rows.get_inplace_scratch_len());
        let zeros = |count: usize| vec![Complex64::ZERO; count].into_boxed_slice();
        Self {
            points: zeros(size),
            column: zeros(columns.len()),
            scratch: zeros(scratch),
            columns,
            rows,
            done: 0,
        }
    }

    /// `[audio]` The spectrum, to be written before the first piece.
    pub fn spectrum(&mut self) -> &mut [Complex64] {
        self.done = 0;
        &mut self.points
    }

    /// `[audio]` Computes a piece. Returns whether it was the last one.
    pub fn piece(&mut self) -> bool {
        let (height, width) = (self.columns.len(), self.rows.len());
        if self.done < width {
            // The points of a column are far apart in memory, so it takes twice as long as a row.
            let until = (self.done + (PIECE / 2 / height).max(1)).min(width);
            (self.done..until).for_each(|at| self.turn_column(at));
            self.done = until;
            return false;
        }
        let first = self.done - width;
        let until = (first + (PIECE / width).max(1)).min(height);
        for row in self.points[first * width..until * width].chunks_exact_mut(width) {
            self.rows.process_with_scratch(row, &mut self.scratch);
        }
        self.done = width + until;
        until == height
    }

    fn turn_column(&mut self, at: usize) {
        let width = self.rows.len();
        for (point, place) in self.column.iter_mut().zip(self.points[at..].iter().step_by(width)) {
            *point = *place;
        }
        self.columns.process_with_scratch(&mut self.column, &mut self.scratch);
        let step = Complex64::from_polar(1.0, TAU * at as f64 / self.points.len() as f64);
        let mut turn = Complex64::ONE;
        for (place, point) in self.points[at..].iter_mut().step_by(width).zip(&self.column) {
            *place = point * turn;
            turn *= step;
        }
    }

    /// Sample `n` of the result, times the number of points.
    #[inline]
    pub fn sample(&self, n: usize) -> Complex64 {
        // Both lengths are powers of two.
        let (height, width) = (self.columns.len(), self.rows.len());
        self.points[(n & (height - 1)) * width + (n >> height.trailing_zeros())]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_add_up_to_the_inverse_transform() {
        for size in [64, 128, 2_048, 32_768] {
            let mut transform = Transform::new(size);
            let spectrum =
                |k: usize| Complex64::new((k * k % 97) as f64 / 97.0, (k % 31) as f64 / 31.0 - 0.5);
            transform.spectrum().iter_mut().enumerate().for_each(|(k, point)| *point = spectrum(k));
            while !transform.piece() {}
            let mut expected: Vec<_> = (0..size).map(spectrum).collect();
            FftPlanner::new().plan_fft_inverse(size).process(&mut expected);
            let worst = (0..size).map(|n| (transform.sample(n) - expected[n]).norm()).fold(0.0, f64::max);
            assert!(worst < 1e-10, "{size}: {worst:e}");
        }
    }
}
