//! What the desk needs of the station file.

/// Settings of the station that a reload may change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The station's name.
    pub station: String,
    /// Warm-up of a swap, in ms.
    pub warmup_ms: f64,
    /// Crossfade of a swap, in ms.
    pub fade_ms: f64,
    /// The latency that the file gives, in ms.
    pub latency_ms: Option<f64>,
    /// Ids of the nodes to bypass while the machine is too slow, in order.
    pub overload_bypass: Vec<String>,
    /// The chain to swap to if that is not enough.
    pub overload_chain: Option<String>,
    /// Whether the station has a MIDI controller.
    pub has_midi: bool,
}
