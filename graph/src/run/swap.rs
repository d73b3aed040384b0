//! A swap: the new chain runs beside the old one during the warm-up, then a crossfade follows.
//!
//! The crossfade is a raised cosine whose two amplitudes sum to one, because both carry the same programme. It is
//! computed as old + g (new − old): where both are equal, no bit changes.

use crate::block::{Plane, SUBBLOCK};
use crate::dsp::fade::Fade;
use crate::run::chain::Chain;
use basedrop::Owned;

/// `[audio]` The new chain and the progress of the swap.
pub(crate) struct Swap {
    pub next: Owned<Chain>,
    warmup: u32,
    fade: Fade,
}

/// The progress in the last sub-block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Unchanged,
    FadeBegins,
    Done,
}

impl Swap {
    /// `[audio]` Begins a swap: `next` adopts the state of the chain on air.
    pub(crate) fn begin(mut next: Owned<Chain>, on_air: &Chain, warmup: u32, fade: u32) -> Self {
        next.adopt(on_air);
        // State that was not adopted must have left the delays of `next` before the crossfade.
        let left = next.fills_in().max(next.adopt_more(on_air, 0));
        let warmup = warmup.max(left as u32);
        let mut fade = Fade::new(fade, false);
        fade.set_target(true);
        Self { next, warmup, fade }
    }

    /// `[audio]` Adopts more state of the chain on air, after `frames` frames that both have played. The crossfade waits for it.
    pub(crate) fn adopt_more(&mut self, on_air: &Chain, frames: usize) {
        if self.warmup > 0 {
            self.warmup = self.warmup.max(self.next.adopt_more(on_air, frames) as u32);
        }
    }

    /// `[audio]` Crossfades `incoming` into `outputs`, for `frames` frames.
    pub(crate) fn blend(&mut self, outputs: &mut [Plane], incoming: &[Plane], frames: usize) -> Progress {
        let was_warming = self.warmup > 0;
        let mut gains = [0.0; SUBBLOCK];
        for gain in &mut gains[..frames] {
            if self.warmup > 0 {
                self.warmup -= 1;
            } else {
                *gain = self.fade.tick();
            }
        }
        for (old, new) in outputs.iter_mut().zip(incoming) {
            for (frame, gain) in gains[..frames].iter().enumerate() {
                let (was, is) = (old[frame], new[frame]);
                old[frame] = match *gain {
                    1.0 => is,
                    // A negative zero stays negative.
                    _ if was == is => was,
                    gain => was + gain * (is - was),
                };
            }
        }
        match self.fade.steady() {
            Some(1.0) => Progress::Done,
            _ if was_warming && self.warmup == 0 => Progress::FadeBegins,
            _ => Progress::Unchanged,
        }
    }
}
