//! Delay: 0 to 500 ms, in whole frames.
//!
//! For lip sync and effects. The delay is not latency: nothing is aligned with it. A new time is reached by a
//! crossfade of 20 ms. In a swap, the newest 16,384 samples of all channels are adopted at once, the others during the
//! warm-up. Out of bypass, the dry signal plays until the delay is full.

use crate::block::Block;
use crate::dsp::delay::tap::Tap;
use crate::node::{Node, NodeType, Params, Setup, Workload, same};
use crate::param::{Param, Unit};
use crate::reading::Readings;

const TIME: Param = Param::new(0, "time", Unit::Ms)
    .range(0.0, 500.0)
    .help("Delay time, rounded to whole frames. Changes are crossfaded.");

/// See the module.
pub(super) const NODE_TYPE: NodeType =
    NodeType::new("delay", "Delay of up to 500 ms. Not counted as latency.", &[TIME], build)
        .settles_in(|setup| (setup.value(&TIME) + FADE_MS) / 1000.0)
        .onset(|setup| Some(setup.frames(setup.value(&TIME))))
        .transparent_at(&[])
        .workloads(&[Workload::new("", "time: 100 ms")]);

/// Time of the crossfade to a new delay.
const FADE_MS: f64 = 20.0;
/// Largest number of samples that are adopted at once.
const ADOPTED_SAMPLES: usize = 16_384;

fn build(setup: &Setup<'_>) -> Box<dyn Node> {
    let tap = Tap::new(setup.frames(TIME.max), setup.frames(FADE_MS) as u32);
    let mut node = Delay {
        frames_per_ms: setup.sample_rate / 1000.0,
        start: setup.frames(setup.value(&TIME)),
        taps: vec![tap; setup.channels].into_boxed_slice(),
    };
    node.reset();
    Box::new(node)
}

struct Delay {
    frames_per_ms: f64,
    /// The initial delay in frames.
    start: usize,
    taps: Box<[Tap]>,
}

impl Delay {
    /// The delay in frames.
    fn frames(&self, params: &Params<'_>) -> usize {
        (params.ramp(&TIME).target() * self.frames_per_ms).round() as usize
    }
}

impl Node for Delay {
    fn process(&mut self, block: &mut Block<'_>, params: &Params<'_>, _meter: &mut Readings) {
        let frames = self.frames(params);
        for (samples, tap) in block.channels().zip(&mut self.taps) {
            samples.iter_mut().for_each(|sample| *sample = tap.tick(*sample, frames));
        }
    }

    fn reset(&mut self) {
        for tap in &mut self.taps {
            tap.reset();
            tap.set(self.start);
        }
    }

    fn adopt(&mut self, old: &dyn Node) {
        let Some(old) = same::<Self>(old) else { return };
        let most = ADOPTED_SAMPLES / self.taps.len().max(1);
        self.taps.iter_mut().zip(&old.taps).for_each(|(tap, old)| tap.adopt(old, most));
    }

    fn adopt_more(&mut self, old: &dyn Node, frames: usize) -> usize {
        same::<Self>(old).map_or(0, |old| Tap::adopt_more_of(&mut self.taps, &old.taps, frames))
    }

    fn own_delay(&self, params: &Params<'_>) -> usize {
        self.frames(params)
    }
}
