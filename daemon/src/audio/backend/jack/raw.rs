//! What the `jack` crate has no word for: the latency callback, and a port's number for metadata.

use crate::audio::backend::BackendError;
use jack::{Client, LatencyType, Port, Unowned};
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// What the latency callback knows.
pub(super) struct Latency {
    pub(super) inputs: Vec<Port<Unowned>>,
    pub(super) outputs: Vec<Port<Unowned>>,
    /// Frames between them.
    pub(super) frames: AtomicU32,
    /// Whether the answer has to come later, from another thread: PipeWire asks while it holds a lock that a change of its
    /// quantum takes too, and an answer at once may have its loop wait for itself for ever (seen in 0.3.65).
    pub(super) is_later: bool,
    /// Whether it was asked for and is still to come.
    pub(super) asked: AtomicBool,
}

impl Latency {
    /// Answers what was asked and could not be answered at once.
    pub(super) fn answer(&self) {
        if self.asked.swap(false, Ordering::Relaxed) {
            [LatencyType::Capture, LatencyType::Playback].into_iter().for_each(|mode| self.tell(mode));
        }
    }

    /// Sound that is captured is this much older at our outputs; sound that is to be played is this much
    /// longer under way from our inputs.
    fn tell(&self, mode: LatencyType) {
        let (from, to) = match mode {
            LatencyType::Capture => (&self.inputs, &self.outputs),
            LatencyType::Playback => (&self.outputs, &self.inputs),
        };
        let ranges = from.iter().map(|port| port.get_latency_range(mode));
        let range = ranges.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))).unwrap_or((0, 0));
        let frames = self.frames.load(Ordering::Relaxed);
        to.iter().for_each(|port| port.set_latency_range(mode, (range.0 + frames, range.1 + frames)));
    }
}

extern "C" fn on_latency(mode: jack::jack_sys::jack_latency_callback_mode_t, latency: *mut c_void) {
    let mode =
        if mode == jack::jack_sys::JackCaptureLatency { LatencyType::Capture } else { LatencyType::Playback };
    // SAFETY: the pointer is the one that `listen` registered, made of an `Arc` that is never given back, so
    // what it points to outlives every call; it is only ever shared.
    let latency = unsafe { &*latency.cast::<Latency>() };
    if latency.is_later {
        latency.asked.store(true, Ordering::Relaxed);
    } else {
        latency.tell(mode);
    }
}

/// Registers the latency callback, which the `jack` crate has no word for. Must come before activation.
pub(super) fn listen(client: &Client, latency: &Arc<Latency>) -> Result<(), BackendError> {
    let pointer = Arc::into_raw(Arc::clone(latency)).cast_mut().cast();
    // SAFETY: the client is open and not active, and the pointer stays valid for ever: its count is leaked,
    // some hundred bytes for each connection to a server.
    let refused =
        unsafe { jack::jack_sys::jack_set_latency_callback(client.raw(), Some(on_latency), pointer) };
    if refused == 0 {
        Ok(())
    } else {
        Err(BackendError::Jack { doing: "setting the latency callback".to_owned(), why: refused.to_string() })
    }
}

/// Has the server ask for all latencies anew.
pub(super) fn recompute(client: &Client) {
    // SAFETY: the client is open: it is borrowed from an `AsyncClient`, which closes it only when dropped.
    unsafe { jack::jack_sys::jack_recompute_total_latencies(client.raw()) };
}

/// The number by which metadata knows a port.
pub(super) fn uuid(port: &Port<Unowned>) -> jack::jack_sys::jack_uuid_t {
    // SAFETY: the port was just found by a client that is open; asking for its number changes nothing.
    unsafe { jack::jack_sys::jack_port_uuid(port.raw()) }
}
