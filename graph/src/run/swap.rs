//! Two chains change places: the new one runs unheard beside the old one, then they fade over.
//!
//! The fade is a raised cosine whose two amplitudes sum to one, since both carry the same programme. It is
//! made as old + g (new − old): where both are equal, not one bit changes.

use crate::block::{Plane, SUBBLOCK};
use crate::dsp::fade::Fade;
use crate::run::chain::Chain;
use basedrop::Owned;

/// `[audio]` The newcomer and how far it has come.
pub(crate) struct Swap {
    pub next: Owned<Chain>,
    warmup: u32,
    fade: Fade,
}

/// What the last block of a swap brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Same,
    FadeBegins,
    Done,
}

impl Swap {
    /// Begins: the newcomer takes over what the chain on air remembers.
    pub fn begin(mut next: Owned<Chain>, on_air: &Chain, warmup: u32, fade: u32) -> Self {
        next.adopt(on_air);
        // What the newcomer's delays did not take over must be past before it is heard.
        let left = next.latency().max(next.adopt_more(on_air, 0));
        let warmup = warmup.max(left as u32);
        let mut fade = Fade::new(fade, false);
        fade.aim(true);
        Self { next, warmup, fade }
    }

    /// Hands over more of what the chain on air remembers, after `frames` that both have played. The fade waits for it.
    pub fn hand_over(&mut self, on_air: &Chain, frames: usize) {
        if self.warmup > 0 {
            self.warmup = self.warmup.max(self.next.adopt_more(on_air, frames) as u32);
        }
    }

    /// Fades `incoming` into `outputs` as far as it is due.
    pub fn blend(&mut self, outputs: &mut [Plane], incoming: &[Plane], frames: usize) -> Progress {
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
                    // Even a negative zero stays one.
                    _ if was == is => was,
                    gain => was + gain * (is - was),
                };
            }
        }
        match self.fade.steady() {
            Some(1.0) => Progress::Done,
            _ if was_warming && self.warmup == 0 => Progress::FadeBegins,
            _ => Progress::Same,
        }
    }
}
