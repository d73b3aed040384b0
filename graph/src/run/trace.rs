//! Where the audio thread is: for the one who must find out why it does not come back.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written by the audio thread with plain stores, read by anybody. What is read may be a moment old.
#[derive(Debug, Default)]
pub struct Trace {
    /// How often a callback began or ended: odd while one runs.
    turns: AtomicU64,
    /// The generation and the node; 0 outside of nodes.
    place: AtomicU64,
}

/// Bits of a place that tell the node.
const NODE_BITS: u32 = 16;

impl Trace {
    /// `[audio]` A callback begins, or ends.
    pub fn turn(&self) {
        self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// `[audio]` Node `node` of chain `generation` is next.
    #[inline]
    pub fn enter(&self, generation: u64, node: usize) {
        self.place.store(generation << NODE_BITS | (node as u64 + 1), Relaxed);
    }

    /// `[audio]` No node is at work.
    #[inline]
    pub fn leave(&self) {
        self.place.store(0, Relaxed);
    }

    /// The callback that runs, by a number of its own; `None` between two.
    pub fn callback(&self) -> Option<u64> {
        Some(self.turns.load(Relaxed)).filter(|turns| turns % 2 == 1)
    }

    /// The generation and the node at work.
    pub fn place(&self) -> Option<(u64, usize)> {
        let place = self.place.load(Relaxed);
        let node = (place & ((1 << NODE_BITS) - 1)).checked_sub(1)?;
        Some((place >> NODE_BITS, node as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_tells_the_callback_and_the_node() {
        let trace = Trace::default();
        assert_eq!((trace.callback(), trace.place()), (None, None));
        trace.turn();
        trace.enter(7, 0);
        let first = trace.callback();
        assert_eq!((first.is_some(), trace.place()), (true, Some((7, 0))));
        trace.enter(70_000, 65_000);
        assert_eq!(trace.place(), Some((70_000, 65_000)));
        trace.leave();
        trace.turn();
        assert_eq!((trace.callback(), trace.place()), (None, None));
        trace.turn();
        assert_ne!(trace.callback(), first);
    }
}
