//! Click detection: samples that a model of the sound predicts neither from before nor from after.
//!
//! A click exceeds the forward residual from its beginning on, and the backward residual up to its end; where both are
//!  exceeded is the click. The threshold is relative to medians of short segments, so that neither the clicks
//! themselves nor an onset of the programme changes it.
//!
//! Sources: S. V. Vaseghi, *Advanced Digital Signal Processing and Noise Reduction* (2000), chapter 13; S. J. Godsill,
//! P. J. W. Rayner, *Digital Audio Restoration* (1998), sections 5.2 and 5.3. P. J. Huber, *Robust Statistics* (1981), for
//! the median as a scale.

use crate::dsp::restore::autoregression::{backward_residual, residual};

/// Segments of a hop, each with a scale of its own.
const SEGMENTS: usize = 4;
/// Standard deviation of a normal distribution, relative to the median of its magnitudes.
const DEVIATION: f64 = 1.4826;
/// Smallest scale of the residual, relative to the level of the sound: 80 dB below it nothing counts as a click.
const LEAST: f64 = 1e-4;
/// Share of the threshold above which neighbours of a click belong to it.
const EDGE: f64 = 0.4;

/// Click detection in one channel.
#[derive(Clone, Debug)]
pub(crate) struct Clicks {
    hop: usize,
    /// Residuals of the hop in work, and of a segment before and after it.
    forward: Box<[f64]>,
    backward: Box<[f64]>,
    /// For the same samples: which exceed each residual's limit, and which are clicks.
    forward_outliers: Box<[bool]>,
    backward_outliers: Box<[bool]>,
    marks: Box<[bool]>,
    /// Median of the forward residual in each segment.
    medians: [f64; SEGMENTS + 2],
    /// Scratch memory for medians.
    scratch: Box<[u64]>,
}

impl Clicks {
    /// `[control]` Detection for hops of `hop` frames.
    pub(crate) fn new(hop: usize) -> Self {
        let count = hop + 2 * hop / SEGMENTS;
        let (zeros, no) = (vec![0.0; count].into_boxed_slice(), vec![false; count].into_boxed_slice());
        let scratch = vec![0; hop / SEGMENTS].into_boxed_slice();
        let (forward_outliers, backward_outliers, medians) = (no.clone(), no.clone(), [0.0; SEGMENTS + 2]);
        Self {
            hop,
            forward: zeros.clone(),
            backward: zeros,
            forward_outliers,
            backward_outliers,
            marks: no,
            medians,
            scratch,
        }
    }

    fn segment(&self) -> usize {
        self.hop / SEGMENTS
    }

    /// Index in the window at which the residuals begin.
    fn first(&self) -> usize {
        self.hop - self.segment()
    }

    /// `[audio]` Computes part `part` of `parts` (an even number) of the residuals, and the medians of the forward
    /// residual.
    pub(crate) fn listen(&mut self, (part, parts): (usize, usize), coeffs: &[f64], window: &[f64]) {
        let half = parts / 2;
        let size = self.forward.len() / half;
        let at = part % half * size;
        let from = self.first() + at;
        if part < half {
            residual(coeffs, window, from, &mut self.forward[at..at + size]);
        } else {
            backward_residual(coeffs, window, from, &mut self.backward[at..at + size]);
        }
        if part + 1 == half {
            // The medians are computed here, so that the last part does not have all the work.
            let segments = self.forward.chunks_exact(self.hop / SEGMENTS);
            self.medians
                .iter_mut()
                .zip(segments)
                .for_each(|(left, part)| *left = median(part, &mut self.scratch));
        }
    }

    /// `[audio]` Marks the clicks that begin in the hop in work: above `threshold` times the scale of the residual, up
    /// to `longest` frames long. Outliers within `reach` frames of each other count as one.
    pub(crate) fn find(&mut self, window: &[f64], threshold: f64, longest: usize, reach: usize) {
        let (segment, first) = (self.segment(), self.first());
        let mut scales = [0.0; SEGMENTS + 2];
        let segments = window[first..].chunks_exact(segment);
        for ((scale, left), part) in scales.iter_mut().zip(self.medians).zip(segments) {
            *scale = DEVIATION * left.max(LEAST * median(part, &mut self.scratch));
        }
        // For an onset the scale after it counts, for an end that before it. In silence there is no scale, so nothing
        // is marked.
        let limits: [f64; SEGMENTS + 2] = std::array::from_fn(|at| {
            let around = &scales[at.saturating_sub(1)..(at + 2).min(scales.len())];
            let scale = around.iter().copied().fold(0.0, f64::max);
            if scales[at] > 0.0 { threshold * scale } else { f64::INFINITY }
        });
        let limit = |place: usize| limits[place / segment];
        mark_outliers(&self.forward, limit, reach, &mut self.forward_outliers);
        mark_outliers(&self.backward, limit, reach, &mut self.backward_outliers);
        self.marks.fill(false);
        let mut place = segment;
        while place < segment + self.hop {
            let is_in = |place: &usize| self.forward_outliers[*place] && self.backward_outliers[*place];
            let end = (place..self.marks.len()).find(|place| !is_in(place)).unwrap_or(self.marks.len());
            let rises = |residual: &[f64]| (place..end).any(|place| residual[place].abs() > limit(place));
            if (1..=longest).contains(&(end - place)) && rises(&self.forward) && rises(&self.backward) {
                self.marks[place..end].fill(true);
            }
            place = end + 1;
        }
    }

    /// The marks, to be combined with those of other channels.
    pub(crate) fn marks(&mut self) -> &mut [bool] {
        &mut self.marks
    }

    /// The marked indices in the window.
    pub(crate) fn places(&self) -> impl Iterator<Item = usize> {
        let first = self.first();
        self.marks.iter().enumerate().filter(|(_, mark)| **mark).map(move |(at, _)| first + at)
    }

    /// `[audio]` Clears the state.
    pub(crate) fn reset(&mut self) {
        self.forward.fill(0.0);
        self.backward.fill(0.0);
        self.medians.fill(0.0);
    }

    /// `[audio]` Adopts the state of another one of the same size.
    pub(crate) fn adopt(&mut self, old: &Self) {
        self.forward.copy_from_slice(&old.forward);
        self.backward.copy_from_slice(&old.backward);
        self.medians = old.medians;
    }
}

/// Marks samples above [`EDGE`] of `limit`, and the gaps between two such samples that are no more than `reach` apart.
fn mark_outliers(residual: &[f64], limit: impl Fn(usize) -> f64, reach: usize, out: &mut [bool]) {
    out.fill(false);
    let mut last: Option<usize> = None;
    for (place, _) in residual.iter().enumerate().filter(|(at, e)| e.abs() > EDGE * limit(*at)) {
        let from = last.filter(|last| place - last <= reach).unwrap_or(place);
        out[from..=place].fill(true);
        last = Some(place);
    }
}

/// Median of the magnitudes; `scratch` has the same length.
fn median(samples: &[f64], scratch: &mut [u64]) -> f64 {
    // The bit patterns of magnitudes have the same order, and are faster to compare.
    scratch.iter_mut().zip(samples).for_each(|(place, sample)| *place = sample.abs().to_bits());
    f64::from_bits(*scratch.select_nth_unstable(samples.len() / 2).1)
}
