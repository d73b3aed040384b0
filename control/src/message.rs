//! Every word that crosses between the conductor and the audio thread.

use basedrop::Owned;
use lacquer_graph::Chain;
use lacquer_graph::run::engine::Event;

/// What the conductor tells the audio thread.
pub enum ToAudio {
    /// Put this chain on air from silence.
    Start(Owned<Chain>),
    /// Swap this chain in.
    Swap {
        /// The chain.
        chain: Owned<Chain>,
        /// Frames that it runs unheard.
        warmup: u32,
        /// Frames that the crossfade takes.
        fade: u32,
    },
    /// Move a row of a node to an audio value.
    Set {
        /// Whose.
        target: Row,
        /// The audio value.
        value: f64,
    },
    /// Take a node out of bypass, or into it.
    Enable {
        /// Which chain.
        generation: u64,
        /// Which node.
        node: u32,
        /// Whether it is to be heard.
        on: bool,
    },
    /// Turn what a chain gives, and the dry signal beside it, down or up by a factor.
    Trim {
        /// Which chain.
        generation: u64,
        /// The factor of what the chain gives.
        chain: f64,
        /// The factor of the dry signal.
        dry: f64,
    },
    /// Take the whole chain into bypass, or out of it.
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

/// What the audio thread tells the conductor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FromAudio {
    /// What the seat has to tell.
    Engine(Event),
    /// How the time was spent since the last such reading.
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
    /// Frames that a tap had no room for, since the start.
    pub tap_lost: u64,
    /// Readings that found no room, since the start.
    pub readings_lost: u64,
}
