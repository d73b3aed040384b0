//! Finds clicks: samples that a model of the sound cannot tell, from before nor from after.
//!
//! A click stands out of the residual from where it begins, and of the backward residual up to where it ends; what
//! stands out of both is the click. What counts as high is told by medians of short stretches, so that neither the clicks
//! themselves nor an onset of the programme moves it.
//!
//! Sources: S. V. Vaseghi, *Advanced Digital Signal Processing and Noise Reduction* (2000), chapter 13; S. J. Godsill,
//! P. J. W. Rayner, *Digital Audio Restoration* (1998), sections 5.2 and 5.3. P. J. Huber, *Robust Statistics* (1981), for
//! the median as a scale.

use crate::dsp::restore::autoregression::{backward_residual, residual};

/// Stretches in a hop that have a scale of their own.
const STRETCHES: usize = 4;
/// A normal distribution's deviation by the median of its magnitudes.
const DEVIATION: f64 = 1.4826;
/// Least scale of the residual, as a share of the sound's level: what is 80 dB below masks nothing and is no click.
const LEAST: f64 = 1e-4;
/// Share of the threshold above which what is beside a click belongs to it.
const EDGE: f64 = 0.4;

/// The search in one channel.
#[derive(Clone, Debug)]
pub struct Clicks {
    hop: usize,
    /// Residuals of the hop in work, and of a stretch before and behind it.
    forward: Box<[f64]>,
    backward: Box<[f64]>,
    /// Of the same samples: which stand out of each residual, and which are clicks.
    before: Box<[bool]>,
    after: Box<[bool]>,
    marks: Box<[bool]>,
    /// Median of the forward residual in each stretch.
    left: [f64; STRETCHES + 2],
    /// Where medians are found.
    room: Box<[u64]>,
}

impl Clicks {
    /// `[control]` For hops of `hop` frames.
    pub fn new(hop: usize) -> Self {
        let count = hop + 2 * hop / STRETCHES;
        let (zeros, no) = (vec![0.0; count].into_boxed_slice(), vec![false; count].into_boxed_slice());
        let room = vec![0; hop / STRETCHES].into_boxed_slice();
        let (before, after, left) = (no.clone(), no.clone(), [0.0; STRETCHES + 2]);
        Self { hop, forward: zeros.clone(), backward: zeros, before, after, marks: no, left, room }
    }

    fn stretch(&self) -> usize {
        self.hop / STRETCHES
    }

    /// Where in the window the search begins.
    fn first(&self) -> usize {
        self.hop - self.stretch()
    }

    /// `[audio]` Part `part` of `parts`, an even number: the residuals of what is in work, and how high the first is.
    pub fn listen(&mut self, (part, parts): (usize, usize), coeffs: &[f64], window: &[f64]) {
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
            // Not all at once, in the last part.
            let stretches = self.forward.chunks_exact(self.hop / STRETCHES);
            self.left.iter_mut().zip(stretches).for_each(|(left, part)| *left = median(part, &mut self.room));
        }
    }

    /// `[audio]` Marks the clicks that begin in the hop in work: more than `threshold` times the residual's scale, up to
    /// `longest` frames. Within `reach` frames what stands out is one.
    pub fn find(&mut self, window: &[f64], threshold: f64, longest: usize, reach: usize) {
        let (stretch, first) = (self.stretch(), self.first());
        let mut scales = [0.0; STRETCHES + 2];
        let stretches = window[first..].chunks_exact(stretch);
        for ((scale, left), part) in scales.iter_mut().zip(self.left).zip(stretches) {
            *scale = DEVIATION * left.max(LEAST * median(part, &mut self.room));
        }
        // An onset is heard by the scale behind it, an end by that before it. In silence there is nothing to judge by.
        let limits: [f64; STRETCHES + 2] = std::array::from_fn(|at| {
            let around = &scales[at.saturating_sub(1)..(at + 2).min(scales.len())];
            let scale = around.iter().copied().fold(0.0, f64::max);
            if scales[at] > 0.0 { threshold * scale } else { f64::INFINITY }
        });
        let limit = |place: usize| limits[place / stretch];
        stand_out(&self.forward, limit, reach, &mut self.before);
        stand_out(&self.backward, limit, reach, &mut self.after);
        self.marks.fill(false);
        let mut place = stretch;
        while place < stretch + self.hop {
            let is_in = |place: &usize| self.before[*place] && self.after[*place];
            let end = (place..self.marks.len()).find(|place| !is_in(place)).unwrap_or(self.marks.len());
            let rises = |residual: &[f64]| (place..end).any(|place| residual[place].abs() > limit(place));
            if (1..=longest).contains(&(end - place)) && rises(&self.forward) && rises(&self.backward) {
                self.marks[place..end].fill(true);
            }
            place = end + 1;
        }
    }

    /// What is marked, to be marked in other channels too.
    pub fn marks(&mut self) -> &mut [bool] {
        &mut self.marks
    }

    /// The places in the window that are marked.
    pub fn places(&self) -> impl Iterator<Item = usize> {
        let first = self.first();
        self.marks.iter().enumerate().filter(|(_, mark)| **mark).map(move |(at, _)| first + at)
    }

    /// `[audio]` Forgets all.
    pub fn reset(&mut self) {
        self.forward.fill(0.0);
        self.backward.fill(0.0);
        self.left.fill(0.0);
    }

    /// `[audio]` Takes over another's work, of the same size.
    pub fn adopt(&mut self, old: &Self) {
        self.forward.copy_from_slice(&old.forward);
        self.backward.copy_from_slice(&old.backward);
        self.left = old.left;
    }
}

/// Marks what is above [`EDGE`] of `limit`, and what lies between two such that are no more than `reach` apart.
fn stand_out(residual: &[f64], limit: impl Fn(usize) -> f64, reach: usize, out: &mut [bool]) {
    out.fill(false);
    let mut last: Option<usize> = None;
    for (place, _) in residual.iter().enumerate().filter(|(at, e)| e.abs() > EDGE * limit(*at)) {
        let from = last.filter(|last| place - last <= reach).unwrap_or(place);
        out[from..=place].fill(true);
        last = Some(place);
    }
}

/// Median of the magnitudes; `room` is as long.
fn median(samples: &[f64], room: &mut [u64]) -> f64 {
    // Magnitudes are in the order of their bits, which are quicker to compare.
    room.iter_mut().zip(samples).for_each(|(place, sample)| *place = sample.abs().to_bits());
    f64::from_bits(*room.select_nth_unstable(samples.len() / 2).1)
}
