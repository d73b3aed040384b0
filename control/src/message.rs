//! Every word that crosses between the conductor and the audio thread.

use basedrop::Owned;
use lacquer_graph::Chain;
use lacquer_graph::run::engine::Event;

/// A command for the audio thread.
pub enum ToAudio {
    /// Start this chain from silence.
    Start(Owned<Chain>),
    /// Swap to this chain.
    Swap {
        /// The chain.
        chain: Owned<Chain>,
        /// Frames of warm-up.
        warmup: u32,
        /// Frames of crossfade.
        fade: u32,
    },
    /// Set a parameter of a node to an audio value.
    Set {
        /// The parameter.
        target: Row,
        /// The audio value.
        value: f64,
    },
    /// End the bypass of a node, or bypass it.
    Enable {
        /// Which chain.
        generation: u64,
        /// Which node.
        node: u32,
        /// Whether the node processes.
        on: bool,
    },
    /// Set the gains of a chain's output and of the dry signal.
    Trim {
        /// Which chain.
        generation: u64,
        /// The gain of the chain's output, linear.
        chain: f64,
        /// The gain of the dry signal, linear.
        dry: f64,
    },
    /// Bypass the whole chain, or end the bypass.
    Bypass(bool),
    /// Fade the output out, or in.
    Mute(bool),
}

/// One row of one node of one chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Row {
    /// Which chain.
    pub generation: u64,
    /// Which node.
    pub node: u32,
    /// Which row of it.
    pub row: u32,
}

/// An event from the audio thread.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FromAudio {
    /// An event of the engine.
    Engine(Event),
    /// The load since the last such event.
    Load(Load),
    /// A callback that missed its deadline.
    Missed(Missed),
}

/// Why a callback missed its deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missed {
    /// It took longer than its block lasts.
    Own,
    /// It began late by more than a block.
    Late,
}

/// How many bars the histogram of a [`Load`] has: each a tenth of the deadline, the last all above it.
pub const LOAD_BARS: usize = 11;

/// Time spent in the callback against its deadline, over some callbacks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// How many callbacks.
    pub callbacks: u32,
    /// Mean share of the deadline, 1.0 is all of it.
    pub mean: f32,
    /// Largest share.
    pub peak: f32,
    /// Callbacks by share: below 10 %, below 20 %, ..., 100 % and above.
    pub histogram: [u32; LOAD_BARS],
    /// Frames that were dropped because a tap's ring was full, since the start.
    pub tap_lost: u64,
    /// Readings that were dropped because their queue was full, since the start.
    pub readings_lost: u64,
}
