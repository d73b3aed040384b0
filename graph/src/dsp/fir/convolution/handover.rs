//! Adopting the state of another convolution while both play the same programme.
//!
//! The state can be seconds of spectra, so it is copied in pieces. Meanwhile both receive the same input and write at the same
//! index at the same time, so a copied piece stays valid. The impulse responses may differ. Output that the new convolution
//! computed before the last piece was copied must have left it before it is audible.

use crate::dsp::fir::convolution::level::Level;
use crate::dsp::fir::convolution::{Convolution, TICK};

/// Samples that are copied per frame.
pub(super) const SHARE: usize = 64;

/// Frames to report while the copy is not complete: more than the next block.
const AT_LEAST: usize = TICK + 1;

/// Progress of the copy.
pub(super) struct Handover {
    level: usize,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// Copying the blocks in the time domain; number of samples copied.
    Blocks(usize),
    /// Waiting for the spectrum of the block that is being transformed.
    Wait,
    /// Copying the spectra; number of groups of bins copied.
    Spectra(usize),
    /// The level is complete.
    Done,
}

impl Convolution {
    /// `[audio]` Begins to adopt the state of `old`. This one must be new. [`Self::adopt_more`] completes it.
    pub(crate) fn adopt(&mut self, old: &Self) {
        if self.past.len() != old.past.len() {
            return;
        }
        (self.tick, self.at) = (old.tick, old.at);
        self.past.copy_from_slice(&old.past);
        for (at, level) in self.levels.iter_mut().enumerate() {
            level.clear_before(level.block(self.tick));
            if let Some(old) = old.levels.get(at) {
                // Blocks that are not copied yet are not worth computing.
                (level.unknown, level.first, level.first_complete) = (old.unknown, usize::MAX, usize::MAX);
            }
        }
        self.handover = Some(Handover { level: 0, stage: Stage::Blocks(0) });
    }

    /// `[audio]` Adopts more of the state, after `frames` more frames that both have played. Returns the least number of frames
    /// until the output is the same as if this one had received all the input of `old`.
    pub(crate) fn adopt_more(&mut self, old: &Self, frames: usize) -> usize {
        let Some(handover) = &mut self.handover else { return 0 };
        if (self.tick, self.at) != (old.tick, old.at) {
            // One of them was reset: they are no longer synchronous.
            self.handover = None;
            for level in &mut self.levels {
                let next = level.block(self.tick) + 1;
                (level.first, level.first_complete) = (level.first.min(next), level.first_complete.min(next));
            }
            return 0;
        }
        let mut budget = frames * SHARE;
        let mut pairs = self.levels.iter_mut().zip(&old.levels).skip(handover.level);
        for (level, old) in &mut pairs {
            handover.stage.adopt_level(level, old, self.tick, &mut budget);
            if !matches!(handover.stage, Stage::Done) {
                return AT_LEAST;
            }
            (handover.level, handover.stage) = (handover.level + 1, Stage::Blocks(0));
            level.complete = (level.block(self.tick) + 2) * level.ticks - 1;
        }
        let complete = self.levels.iter().map(|level| level.complete).max().unwrap_or(0);
        let left = (complete * TICK).saturating_sub(self.tick * TICK + self.at);
        if left == 0 {
            self.handover = None;
        }
        left
    }
}

impl Stage {
    fn adopt_level(&mut self, level: &mut Level, old: &Level, tick: usize, budget: &mut usize) {
        if let Self::Blocks(at) = *self {
            let end = level.blocks.len().min(at + *budget);
            level.blocks[at..end].copy_from_slice(&old.blocks[at..end]);
            *budget -= end - at;
            *self = Self::Blocks(end);
            if end == level.blocks.len() {
                level.first = level.block(tick) + 1;
                *self = Self::Wait;
            }
        }
        if matches!(self, Self::Wait) && (level.block(tick) >= level.first || old.is_transformed(tick)) {
            *self = Self::Spectra(0);
        }
        if let Self::Spectra(from) = *self {
            let mut group = from;
            while group < level.groups() && *budget > 0 {
                let went = level.adopt_group(old, group, tick);
                *budget = budget.saturating_sub(went);
                group += 1;
            }
            *self = Self::Spectra(group);
            if group == level.groups() {
                let common = level.partitions.min(old.partitions);
                level.unknown = old.unknown.max(level.block(tick).saturating_sub(common));
                level.first_complete = level.block(tick) + 1;
                *self = Self::Done;
            }
        }
    }
}
