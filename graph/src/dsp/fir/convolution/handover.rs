//! What a convolution remembers, handed over to another while both play the same programme.
//!
//! It may be seconds of spectra, so it goes over in pieces. Both keep step meanwhile: what one writes, the other writes at the
//! same place at the same time, so a piece that went over stays what it is. Impulses need not be the same; what was under
//! way in the newcomer when the last piece came must be past before it is heard.

use crate::dsp::fir::convolution::level::Level;
use crate::dsp::fir::convolution::{Convolution, TICK};

/// Samples that go over for each frame.
pub(super) const SHARE: usize = 64;

/// Frames that it still takes while there is more to go over: beyond the block that comes next.
const AT_LEAST: usize = TICK + 1;

/// How far it has come.
pub(super) struct Handover {
    level: usize,
    stage: Stage,
}

#[derive(Clone, Copy)]
enum Stage {
    /// The blocks in the time domain: so many samples have gone over.
    Blocks(usize),
    /// The block that is being transformed is taken over, too, once its spectrum is there.
    Wait,
    /// Spectra: so many groups of lines have gone over.
    Spectra(usize),
    /// All is there.
    Done,
}

impl Convolution {
    /// `[audio]` Begins to take over what `old` remembers. This one must be new. It is complete when [`Self::adopt_more`]
    /// says so.
    pub fn adopt(&mut self, old: &Self) {
        if self.past.len() != old.past.len() {
            return;
        }
        (self.tick, self.at) = (old.tick, old.at);
        self.past.copy_from_slice(&old.past);
        for (at, level) in self.levels.iter_mut().enumerate() {
            level.clear_before(level.block(self.tick));
            if let Some(old) = old.levels.get(at) {
                // What it would make of blocks that it does not know yet is worth no work.
                (level.unknown, level.first, level.first_complete) = (old.unknown, usize::MAX, usize::MAX);
            }
        }
        self.handover = Some(Handover { level: 0, stage: Stage::Blocks(0) });
    }

    /// `[audio]` Takes over as much as is due after `frames` more frames that both have played, and gives how many frames it
    /// still takes, at least, until this one sounds as if it had heard all that `old` has.
    pub fn adopt_more(&mut self, old: &Self, frames: usize) -> usize {
        let Some(handover) = &mut self.handover else { return 0 };
        if (self.tick, self.at) != (old.tick, old.at) {
            // One of them was reset: there is nothing to keep step with.
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
