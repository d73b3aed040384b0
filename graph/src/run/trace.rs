//! A record of what the audio thread is running, to find out why a callback does not return.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Written by the audio thread with plain stores, read by any thread. A value may be slightly outdated.
#[derive(Debug, Default)]
pub struct Trace {
    /// Number of times that a callback began or ended: odd during a callback.
    turns: AtomicU64,
    /// The generation and the node; 0 outside of nodes.
    place: AtomicU64,
}

/// Bits of `place` that hold the node.
const NODE_BITS: u32 = 16;

impl Trace {
    /// `[audio]` Records the begin or the end of a callback.
    pub fn turn(&self) {
        self.turns.store(self.turns.load(Relaxed).wrapping_add(1), Relaxed);
    }

    /// `[audio]` Records that node `node` of chain `generation` runs next.
    #[inline]
    pub fn enter(&self, generation: u64, node: usize) {
        self.place.store(generation << NODE_BITS | (node as u64 + 1), Relaxed);
    }

    /// `[audio]` Records that no node is running.
    #[inline]
    pub fn leave(&self) {
        self.place.store(0, Relaxed);
    }

    /// A unique number of the callback that is running; `None` between two callbacks.
    pub fn callback(&self) -> Option<u64> {
        Some(self.turns.load(Relaxed)).filter(|turns| turns % 2 == 1)
    }

    /// The chain's generation and the node that is running.
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
    fn a_trace_holds_the_callback_and_the_node() {
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
